/* Static quantization: every ISA against the definition in grid.h; a zero of either sign is zero. */
#include "lib/kernels/grid.h"
#include "tests/kernels/support.h"

#include <math.h>

#include "lib/base/banned.h"

static struct fm_grid random_grid(struct random *random)
{
	const float scale = 0.01f + 0.01f * (float)random_size(random, 0, 20);
	const float low = -(float)random_size(random, 0, 255);

	return (struct fm_grid){.scale = scale, .inverse = 1 / scale, .low = low, .high = low + 255};
}

static float steps(float x, const struct fm_grid *grid)
{
	x *= grid->inverse;
	x = x > grid->low ? x : grid->low;
	x = x < grid->high ? x : grid->high;
	return rintf(x);
}

/* Sums of floats need no more than float: each step is one operation, as in the contract. */
static float chain_value(const struct fm_grid_chain *chain, float v, const float *residual, size_t channel)
{
	if (chain->first)
		v = steps(v, chain->first) * chain->first->scale;
	v += residual ? *residual : 0.0f;
	if (chain->activation == FM_ACT_RELU)
		v = v > 0 ? v : 0;
	else if (chain->activation == FM_ACT_PRELU)
		v = v > 0 ? v : v * chain->slope[channel];
	else if (chain->activation == FM_ACT_CLIP)
		v = fminf(fmaxf(v, chain->clip_low), chain->clip_high);
	return chain->last ? steps(v, chain->last) * chain->last->scale : v;
}

Test(grid, a_chain_is_its_links_in_order)
{
	struct random random = {1};

	for (int round = 0; round < 400; round++) {
		const size_t m = random_size(&random, 1, 9), n = random_size(&random, 1, 70);
		const size_t stride = n + random_size(&random, 0, 3), count = (m - 1) * stride + n;
		const struct fm_grid first = random_grid(&random), last = random_grid(&random);
		float *x = guarded_floats(&random, count), *residual = guarded_floats(&random, count);
		float *slope = guarded_floats(&random, n);
		const struct fm_grid_chain chain = {
		        .first = round & 1 ? &first : NULL,
		        .last = round & 2 ? &last : NULL,
		        .residual = round & 4 ? residual : NULL,
		        .activation = (enum fm_activation)random_size(&random, 0, 3),
		        .slope = slope,
		        .clip_low = -0.5f,
		        .clip_high = 0.75f,
		};

		for (int isa = FM_ISA_SCALAR; isa < FM_ISA_COUNT; isa++) {
			if (fm_kernels_for((enum fm_isa)isa) == NULL)
				continue;
			float *out = guarded_alloc(count * sizeof(*out));

			memcpy(out, x, count * sizeof(*out));
			fm_grid_kernels_for((enum fm_isa)isa)->chain_f32(out, stride, m, n, &chain);
			for (size_t i = 0; i < count; i++) {
				const size_t channel = i % stride;
				const float wanted =
				        channel >= n ? x[i] /* between rows */
				                     : chain_value(&chain, x[i],
				                               chain.residual ? residual + i : NULL, channel);
				cr_assert_float_eq(out[i], wanted, 0,
				        "%s: round %d, %zu of %zux%zu: %g, not %g",
				        fm_isa_name((enum fm_isa)isa), round, i, m, n, (double)out[i],
				        (double)wanted);
			}
			guarded_free(out, count * sizeof(*out));
		}
		guarded_free(x, count * sizeof(*x));
		guarded_free(residual, count * sizeof(*residual));
		guarded_free(slope, n * sizeof(*slope));
	}
}

Test(grid, codes_are_steps_above_the_lowest)
{
	struct random random = {2};

	for (int round = 0; round < 300; round++) {
		const size_t m = random_size(&random, 1, 9), k = random_size(&random, 1, 70);
		const size_t stride = k + random_size(&random, 0, 3), padded = (k + 15) / 16 * 16;
		const struct fm_grid grid = random_grid(&random);
		float *a = guarded_floats(&random, (m - 1) * stride + k);

		for (int isa = FM_ISA_SCALAR; isa < FM_ISA_COUNT; isa++) {
			if (fm_kernels_for((enum fm_isa)isa) == NULL)
				continue;
			uint8_t *q = guarded_alloc(m * padded);
			struct fm_row_quant *quant = guarded_alloc(m * sizeof(*quant));

			fm_grid_kernels_for((enum fm_isa)isa)
			        ->quantize_f32(q, quant, a, stride, m, k, padded, &grid);
			for (size_t i = 0; i < m * padded; i++) {
				const size_t row = i / padded, t = i % padded;
				const float wanted = t < k ? steps(a[row * stride + t], &grid) - grid.low : 0;

				cr_assert_eq((float)q[i], wanted,
				        "%s: round %d, row %zu, term %zu: %u, not %g",
				        fm_isa_name((enum fm_isa)isa), round, row, t, q[i], (double)wanted);
				cr_assert_eq(quant[row].scale, grid.scale);
				cr_assert_eq((float)quant[row].zero, -grid.low);
			}
			guarded_free(quant, m * sizeof(*quant));
			guarded_free(q, m * padded);
		}
		guarded_free(a, ((m - 1) * stride + k) * sizeof(*a));
	}
}
