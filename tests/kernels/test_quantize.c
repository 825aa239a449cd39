/* Row quantization: scalar against its definition, every other ISA against scalar, bit for bit. */
#include "tests/kernels/support.h"

#include <float.h>
#include <math.h>

#include "lib/base/banned.h"

struct codes {
	uint8_t *q;
	struct fm_row_quant *quant;
	size_t m, k_padded;
};

static struct codes quantize(const struct fm_kernels *kernels, const float *a, size_t a_stride, size_t m,
        size_t k, size_t k_padded, bool nonnegative)
{
	struct codes codes = {.m = m, .k_padded = k_padded};

	codes.q = guarded_alloc(m * k_padded);
	codes.quant = guarded_alloc(m * sizeof(*codes.quant));
	kernels->quantize_rows(codes.q, codes.quant, a, a_stride, m, k, k_padded, nonnegative);
	return codes;
}

static void codes_done(struct codes *codes)
{
	guarded_free(codes->q, codes->m * codes->k_padded);
	guarded_free(codes->quant, codes->m * sizeof(*codes->quant));
}

/* Rows in columns of their own, each ending at an unreadable page, against quantize_rows. By the ranges of
 * their terms, and of their lowest and highest alone. */
static void compare_columns(const float *a, size_t m, size_t k, size_t k_padded)
{
	struct codes expected = quantize(fm_kernels_for(FM_ISA_SCALAR), a, k, m, k, k_padded, false);
	float **columns = guarded_alloc(k * sizeof(*columns));
	float *spans[2] = {guarded_alloc(m * sizeof(float)), guarded_alloc(m * sizeof(float))};

	for (size_t i = 0; i < m; i++) {
		spans[0][i] = spans[1][i] = a[i * k];
		for (size_t t = 1; t < k; t++) {
			spans[0][i] = a[i * k + t] < spans[0][i] ? a[i * k + t] : spans[0][i];
			spans[1][i] = a[i * k + t] > spans[1][i] ? a[i * k + t] : spans[1][i];
		}
	}

	for (size_t t = 0; t < k; t++) {
		columns[t] = guarded_alloc(m * sizeof(float));
		for (size_t i = 0; i < m; i++)
			columns[t][i] = a[i * k + t];
	}
	for (int isa = 2 * FM_ISA_SCALAR; isa < 2 * FM_ISA_COUNT; isa++) {
		const struct fm_kernels *kernels = fm_kernels_for((enum fm_isa)(isa / 2));
		const bool few = isa % 2;
		struct codes codes = {.m = m, .k_padded = k_padded};

		if (kernels == NULL)
			continue;
		codes.q = guarded_alloc(m * k_padded);
		codes.quant = guarded_alloc(m * sizeof(*codes.quant));
		kernels->quantize_columns(codes.q, codes.quant, (const float *const *)columns, m, k, k_padded,
		        (const float *const *)(few ? spans : columns), few ? 2 : k);
		cr_assert_eq(memcmp(codes.quant, expected.quant, m * sizeof(*codes.quant)), 0,
		        "%s: scale or zero, m %zu k %zu", fm_isa_name(kernels->isa), m, k);
		cr_assert_eq(memcmp(codes.q, expected.q, m * k_padded), 0, "%s: codes, m %zu k %zu of %zu",
		        fm_isa_name(kernels->isa), m, k, k_padded);
		codes_done(&codes);
	}
	for (size_t t = 0; t < k; t++)
		guarded_free(columns[t], m * sizeof(float));
	guarded_free(columns, k * sizeof(*columns));
	for (int i = 0; i < 2; i++)
		guarded_free(spans[i], m * sizeof(float));
	codes_done(&expected);
}

/* Of a matrix that ends at an unreadable page; every third round without negative values, or positive ones.
 */
Test(quantize, spans_of_columns_hold_zero_and_all_values)
{
	struct random random = {5};

	for (int round = 0; round < 60; round++) {
		const size_t m = 16 * random_size(&random, 1, 9), k = random_size(&random, 1, 20);
		const size_t bytes = m * sizeof(float);
		float *from = guarded_floats(&random, m * k);

		for (size_t i = 0; round % 3 && i < m * k; i++)
			from[i] = round % 3 == 1 ? fabsf(from[i]) : -fabsf(from[i]);
		for (int isa = FM_ISA_SCALAR; isa < FM_ISA_COUNT; isa++) {
			const struct fm_kernels *kernels = fm_kernels_for((enum fm_isa)isa);

			if (kernels == NULL)
				continue;
			float *low = guarded_alloc(bytes), *high = guarded_alloc(bytes);
			kernels->span_columns(low, high, from, m, m, k);
			for (size_t i = 0; i < m; i++) {
				float lowest = 0, highest = 0;

				for (size_t t = 0; t < k; t++) {
					lowest = fminf(lowest, from[t * m + i]);
					highest = fmaxf(highest, from[t * m + i]);
				}
				cr_assert(low[i] == lowest && high[i] == highest, "%s: m %zu k %zu, row %zu",
				        fm_isa_name(kernels->isa), m, k, i);
			}
			guarded_free(low, bytes);
			guarded_free(high, bytes);
		}
		guarded_free(from, m * k * sizeof(float));
	}
}

static void compare_rows(
        const float *a, size_t a_stride, size_t m, size_t k, size_t k_padded, bool nonnegative)
{
	struct codes expected = quantize(fm_kernels_for(FM_ISA_SCALAR), a, a_stride, m, k, k_padded, false);

	for (int isa = FM_ISA_SCALAR; isa < FM_ISA_COUNT; isa++) {
		const struct fm_kernels *kernels = fm_kernels_for((enum fm_isa)isa);

		if (kernels == NULL)
			continue;
		struct codes codes = quantize(kernels, a, a_stride, m, k, k_padded, nonnegative);
		cr_assert_eq(memcmp(codes.quant, expected.quant, m * sizeof(*codes.quant)), 0,
		        "%s: scale or zero, m %zu k %zu nonnegative %d", fm_isa_name(kernels->isa), m, k,
		        nonnegative);
		cr_assert_eq(memcmp(codes.q, expected.q, m * k_padded), 0,
		        "%s: codes, m %zu k %zu of %zu nonnegative %d", fm_isa_name(kernels->isa), m, k,
		        k_padded, nonnegative);
		codes_done(&codes);
	}
	codes_done(&expected);
}

/* And without a negative value, said so or not: the bits are the same. */
static void compare_all(const float *a, size_t a_stride, size_t m, size_t k, size_t k_padded)
{
	const size_t floats = (m - 1) * a_stride + k;
	float *without = guarded_alloc(floats * sizeof(*without));

	for (size_t i = 0; i < floats; i++)
		without[i] = a[i] < 0 ? -0.0f : a[i];
	compare_rows(a, a_stride, m, k, k_padded, false);
	compare_rows(without, a_stride, m, k, k_padded, false);
	compare_rows(without, a_stride, m, k, k_padded, true);
	guarded_free(without, floats * sizeof(*without));
}

Test(quantize, scalar_is_within_half_a_step)
{
	struct random random = {1};

	for (int round = 0; round < 200; round++) {
		size_t m = random_size(&random, 1, 5), k = random_size(&random, 1, 100);
		float *a = guarded_floats(&random, m * k);
		struct codes codes = quantize(fm_kernels_for(FM_ISA_SCALAR), a, k, m, k, k + 3, false);

		for (size_t i = 0; i < m; i++) {
			double scale = codes.quant[i].scale;
			double low = 0, high = 0;
			for (size_t t = 0; t < k; t++) {
				low = fmin(low, a[i * k + t]);
				high = fmax(high, a[i * k + t]);
				int code = codes.q[i * (k + 3) + t];
				/* Rounding the zero point may push the range by half a step, so an end clips.
				 */
				cr_assert_float_eq(
				        scale * (code - codes.quant[i].zero), a[i * k + t], 1.001 * scale);
				if (code > 0 && code < 255)
					cr_assert_float_eq(scale * (code - codes.quant[i].zero), a[i * k + t],
					        0.501 * scale);
			}
			if (high > low)
				cr_assert_float_eq(scale, (high - low) / 255, 1e-6 * scale);
			for (size_t t = k; t < k + 3; t++)
				cr_assert_eq(codes.q[i * (k + 3) + t], 0, "padding");
		}
		codes_done(&codes);
		guarded_free(a, m * k * sizeof(float));
	}
}

Test(quantize, zero_is_exact)
{
	struct random random = {2};

	for (int round = 0; round < 100; round++) {
		size_t k = random_size(&random, 2, 40);
		float *a = guarded_floats(&random, k);
		a[random_size(&random, 0, k - 1)] = 0.0f;
		struct codes codes = quantize(fm_kernels_for(FM_ISA_SCALAR), a, k, 1, k, k, false);
		for (size_t t = 0; t < k; t++) {
			if (a[t] == 0.0f)
				cr_assert_eq(codes.q[t], codes.quant[0].zero);
		}
		codes_done(&codes);
		guarded_free(a, k * sizeof(float));
	}
}

Test(quantize, every_isa_gives_the_scalar_bits)
{
	struct random random = {3};

	for (int round = 0; round < 2000; round++) {
		size_t m = random_size(&random, 1, 13), k = random_size(&random, 1, 200);
		size_t k_padded = k + random_size(&random, 0, 4), a_stride = k + random_size(&random, 0, 7);
		size_t floats = (m - 1) * a_stride + k;
		float *a = guarded_floats(&random, floats);
		float factor = ldexpf(1.0f, (int)random_size(&random, 0, 240) - 120);
		float shift = (float)random_size(&random, 0, 2) - 1.0f;

		/* shift makes rows of one sign, where the zero point sits at an end. */
		for (size_t i = 0; i < floats; i++)
			a[i] = (a[i] + shift) * factor;
		compare_all(a, a_stride, m, k, k_padded);
		guarded_free(a, floats * sizeof(float));
	}
}

/* Sixteen rows share a reduction, and rows of 16 or 32 terms a store of codes; other rows are left over. */
Test(quantize, blocks_of_short_rows)
{
	struct random random = {5};

	for (size_t m = 1; m <= 40; m++) {
		for (size_t k = 1; k <= 48; k++) {
			size_t k_padded = (k + 3) / 4 * 4, a_stride = k + m % 3;
			size_t floats = (m - 1) * a_stride + k;
			float *a = guarded_floats(&random, floats);

			/* Rows of their own ranges, the first of zeros. */
			for (size_t i = 0; i < floats; i++)
				a[i] *= (float)(i / a_stride);
			compare_all(a, a_stride, m, k, k_padded);
			guarded_free(a, floats * sizeof(float));
		}
	}
}

/*
 * -low / scale and -low * (1 / scale) round to different zero points about once in 100,000 rows: a kernel
 * that takes the one for the other is seen only by very many.
 */
Test(quantize, a_million_ranges)
{
	const size_t m = 1000000;
	struct random random = {4};
	float *a = guarded_floats(&random, m * 2);

	compare_all(a, 2, m, 2, 2);
	guarded_free(a, m * 2 * sizeof(float));
}

/* x / scale exactly between two codes: nearest even decides. */
Test(quantize, ties)
{
	float a[256];

	for (size_t i = 0; i < 255; i++)
		a[i] = (float)i - 100.5f;
	a[255] = 154.5f - 255.0f;
	for (size_t k = 1; k <= 256; k++)
		compare_all(a + 256 - k, k, 1, k, k);
}

Test(quantize, flat_rows_and_limits)
{
	const float values[] = {0.0f, -0.0f, 1.0f, -1.0f, FLT_MIN, -FLT_MIN, FLT_TRUE_MIN, 1e-31f, -1e-31f,
	        1e-30f, FLT_MAX / 2, -FLT_MAX / 2, FLT_MAX / 4, 255.0f};
	const size_t count = sizeof(values) / sizeof(values[0]);
	float a[70];

	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < count; j++) {
			for (size_t t = 0; t < 70; t++)
				a[t] = t % 3 == 0 ? values[i] : values[j];
			compare_all(a, 70, 1, 70, 72);
			compare_all(a, 7, 10, 7, 8);
		}
	}
}

Test(quantize, zeros_have_scale_one)
{
	const float a[20] = {0};

	for (int isa = FM_ISA_SCALAR; isa < FM_ISA_COUNT; isa++) {
		const struct fm_kernels *kernels = fm_kernels_for((enum fm_isa)isa);
		if (kernels == NULL)
			continue;
		struct codes codes = quantize(kernels, a, 20, 1, 20, 20, false);
		cr_assert_eq(codes.quant[0].scale, 1.0f);
		cr_assert_eq(codes.quant[0].zero, 0);
		codes_done(&codes);
	}
}

Test(quantize, columns_give_the_bits_of_rows)
{
	struct random random = {5};

	for (int round = 0; round < 300; round++) {
		size_t m = random_size(&random, 1, 50), k = random_size(&random, 1, 90);
		size_t k_padded = k + random_size(&random, 0, 5);
		float *a = guarded_floats(&random, m * k);
		float factor = ldexpf(1.0f, (int)random_size(&random, 0, 240) - 120);
		float shift = (float)random_size(&random, 0, 2) - 1.0f;

		for (size_t i = 0; i < m * k; i++)
			a[i] = (a[i] + shift) * factor;
		compare_columns(a, m, k, k_padded);
		guarded_free(a, m * k * sizeof(float));
	}
}

Test(quantize, many_ranges_in_columns)
{
	const size_t m = 100000;
	struct random random = {6};
	float *a = guarded_floats(&random, m * 16);

	compare_columns(a, m, 16, 16);
	guarded_free(a, m * 16 * sizeof(float));
}

Test(quantize, flat_columns_and_limits)
{
	const float values[] = {0.0f, -0.0f, 1.0f, -1.0f, FLT_MIN, -FLT_MIN, FLT_TRUE_MIN, 1e-31f, -1e-31f,
	        1e-30f, FLT_MAX / 2, -FLT_MAX / 2, FLT_MAX / 4, 255.0f};
	const size_t count = sizeof(values) / sizeof(values[0]), k = 19;
	float *a = guarded_alloc(count * count * k * sizeof(*a));

	for (size_t i = 0; i < count * count; i++)
		for (size_t t = 0; t < k; t++)
			a[i * k + t] = t % 3 == 0 ? values[i / count] : values[i % count];
	compare_columns(a, count * count, k, 20);
	guarded_free(a, count * count * k * sizeof(*a));
}
