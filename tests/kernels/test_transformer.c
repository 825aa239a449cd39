/* Exponentials, GELU, layer normalization and attention: against definitions in double, and each ISA against
 * the scalar bits. */
#include "lib/kernels/transformer.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define GUARD 64

/* Uniform in [-scale, scale). */
static float *noise(size_t count, float scale, uint32_t seed)
{
	float *values = malloc((count + GUARD) * sizeof(*values));

	for (size_t i = 0; i < count + GUARD; i++) {
		seed = seed * 1664525u + 1013904223u;
		values[i] = ((float)(seed >> 8) / 8388608.0f - 1.0f) * scale;
	}
	return values;
}

static void same_and_guarded(const float *got, const float *wanted, size_t count, const char *what, int isa)
{
	cr_expect_arr_eq(
	        got, wanted, count * sizeof(*got), "%s under %s", what, fm_isa_name((enum fm_isa)isa));
	for (size_t i = count; i < count + GUARD; i++)
		cr_expect_eq(got[i], 77.0f, "%s wrote beyond its end", what);
}

static float *blank(size_t count)
{
	float *values = malloc((count + GUARD) * sizeof(*values));

	for (size_t i = 0; i < count + GUARD; i++)
		values[i] = 77.0f;
	return values;
}

/* exp_f32 against expf's definition is in tests/unit/nn/test_ops.c; here every pattern of bits, thinned out.
 */
Test(transformer, exp_has_the_same_bits_everywhere)
{
	enum { COUNT = 4099 };
	static float x[COUNT], wanted[COUNT];
	uint32_t bits = 0;

	for (int round = 0; round < 256; round++) {
		for (size_t i = 0; i < COUNT; i++, bits += 4093)
			memcpy(&x[i], &bits, sizeof(bits));
		for (size_t i = 0; i < COUNT; i++)
			fm_transformer_kernels_for(FM_ISA_SCALAR)->exp_f32(&wanted[i], &x[i], 1);
		for (int isa = 0; isa < FM_ISA_COUNT; isa++) {
			const size_t count = COUNT - (size_t)round % 17;

			if (!fm_isa_supported((enum fm_isa)isa))
				continue;
			float *got = blank(count);
			fm_transformer_kernels_for((enum fm_isa)isa)->exp_f32(got, x, count);
			same_and_guarded(got, wanted, count, "exp", isa);
			memcpy(got, x, count * sizeof(*got));
			fm_transformer_kernels_for((enum fm_isa)isa)->exp_f32(got, got, count);
			same_and_guarded(got, wanted, count, "exp in place", isa);
			free(got);
		}
	}
}

Test(transformer, gelu_is_what_erf_says)
{
	const struct fm_transformer_kernels *kernels = fm_transformer_kernels_for(FM_ISA_SCALAR);

	for (int i = -300000; i <= 300000; i++) {
		const float x = (float)i * 1e-4f;
		const double wanted = 0.5 * (double)x * erfc(-(double)x / sqrt(2.0));
		float y;

		kernels->gelu_f32(&y, &x, 1);
		cr_assert_lt(fabs(y - wanted), fmax(1.2e-6, 3e-7 * fabs((double)x)), "x %g: %g, wanted %g", x,
		        y, wanted);
	}
}

Test(transformer, gelu_has_the_same_bits_everywhere)
{
	static const size_t counts[] = {1, 7, 16, 31, 64, 100, 1000};

	for (int isa = 0; isa < FM_ISA_COUNT; isa++)
		for (size_t c = 0; fm_isa_supported((enum fm_isa)isa) && c < 7; c++) {
			float *x = noise(counts[c], 8.0f, (uint32_t)c), *got = blank(counts[c]),
			      *wanted = blank(counts[c]);

			fm_transformer_kernels_for(FM_ISA_SCALAR)->gelu_f32(wanted, x, counts[c]);
			fm_transformer_kernels_for((enum fm_isa)isa)->gelu_f32(got, x, counts[c]);
			same_and_guarded(got, wanted, counts[c], "gelu", isa);
			free(x);
			free(got);
			free(wanted);
		}
}

static void naive_layer_norm(float *out, const float *x, size_t k, const float *scale, const float *shift)
{
	double mean = 0, variance = 0;

	for (size_t i = 0; i < k; i++)
		mean += x[i] / (double)k;
	for (size_t i = 0; i < k; i++)
		variance += (x[i] - mean) * (x[i] - mean) / (double)k;
	for (size_t i = 0; i < k; i++)
		out[i] = (float)((x[i] - mean) / sqrt(variance + 1e-6) * scale[i] + shift[i]);
}

Test(transformer, layer_norm_is_its_definition_everywhere)
{
	static const size_t ks[] = {1, 3, 16, 24, 32, 100, 192, 333};

	for (int isa = 0; isa < FM_ISA_COUNT; isa++)
		for (size_t c = 0; fm_isa_supported((enum fm_isa)isa) && c < 8; c++) {
			const size_t k = ks[c], m = 5;
			float *x = noise(m * k, 3.0f, 1), *scale = noise(k, 1.0f, 2),
			      *shift = noise(k, 1.0f, 3);
			float *wanted = blank(m * k), *got = blank(m * k), *row = blank(k);

			fm_transformer_kernels_for(FM_ISA_SCALAR)
			        ->layer_norm_f32(wanted, k, x, k, m, k, scale, shift, 1e-6f);
			fm_transformer_kernels_for((enum fm_isa)isa)
			        ->layer_norm_f32(got, k, x, k, m, k, scale, shift, 1e-6f);
			same_and_guarded(got, wanted, m * k, "layer norm", isa);
			for (size_t i = 0; i < m; i++) {
				naive_layer_norm(row, x + i * k, k, scale, shift);
				for (size_t j = 0; j < k; j++)
					cr_expect_float_eq(got[i * k + j], row[j], 1e-5, "%g, wanted %g",
					        got[i * k + j], row[j]);
			}
			free(x);
			free(scale);
			free(shift);
			free(wanted);
			free(got);
			free(row);
		}
}

static double column_length(const float *x, size_t tokens, size_t stride)
{
	double sum = 0;

	for (size_t t = 0; t < tokens; t++)
		sum += (double)x[t * stride] * x[t * stride];
	return fmax(sqrt(sum), 1e-12);
}

static void naive_attention(float *out, const float *qkv, const struct fm_attention *a)
{
	const size_t channels = a->heads * a->size, stride = 3 * channels;
	double *score = malloc(a->size * sizeof(*score));

	for (size_t h = 0; h < a->heads; h++)
		for (size_t i = 0; i < a->size; i++) {
			const float *q = qkv + h * a->size + i, *k = qkv + channels + h * a->size,
			            *v = k + channels;
			double sum = 0;

			for (size_t j = 0; j < a->size; j++) {
				score[j] = 0;
				for (size_t t = 0; t < a->tokens; t++)
					score[j] += (double)q[t * stride] * k[t * stride + j];
				score[j] = exp(score[j] * a->temperature[h] /
				               column_length(q, a->tokens, stride) /
				               column_length(k + j, a->tokens, stride));
				sum += score[j];
			}
			for (size_t t = 0; t < a->tokens; t++) {
				double mixed = 0;

				for (size_t j = 0; j < a->size; j++)
					mixed += score[j] / sum * v[t * stride + j];
				out[t * channels + h * a->size + i] = (float)mixed;
			}
		}
	free(score);
}

Test(transformer, attention_is_its_definition_everywhere)
{
	static const float temperature[4] = {1.0f, 0.5f, 3.0f, 2.0f};
	static const struct fm_attention shapes[] = {{196, 4, 16, temperature, 1e-12f},
	        {49, 4, 25, temperature, 1e-12f}, {9, 4, 48, temperature, 1e-12f},
	        {1, 2, 9, temperature, 1e-12f}, {6, 1, 17, temperature, 1e-12f}};

	for (int isa = 0; isa < FM_ISA_COUNT; isa++)
		for (size_t s = 0; fm_isa_supported((enum fm_isa)isa) && s < 5; s++) {
			const struct fm_attention *a = &shapes[s];
			const size_t count = a->tokens * a->heads * a->size;
			float *qkv = noise(3 * count, 1.0f, (uint32_t)s), *wanted = blank(count),
			      *got = blank(count), *naive = blank(count);
			float *scratch = malloc(fm_attention_scratch_floats(a) * sizeof(*scratch));

			/* A channel of zeros has no direction. */
			for (size_t t = 0; t < a->tokens; t++)
				qkv[t * 3 * a->heads * a->size + 1] = 0.0f;
			fm_transformer_kernels_for(FM_ISA_SCALAR)->attention_f32(wanted, qkv, scratch, a);
			fm_transformer_kernels_for((enum fm_isa)isa)->attention_f32(got, qkv, scratch, a);
			same_and_guarded(got, wanted, count, "attention", isa);
			naive_attention(naive, qkv, a);
			for (size_t i = 0; i < count; i++)
				cr_expect_float_eq(got[i], naive[i], 3e-6, "%g, wanted %g", got[i], naive[i]);
			free(qkv);
			free(wanted);
			free(got);
			free(naive);
			free(scratch);
		}
}
