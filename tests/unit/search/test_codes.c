#include "lib/search/codes.h"

#include "lib/kernels/kernels.h"
#include "tests/unit/search/vectors.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define DIM_MAX 4096

/* The proven bound, against what the kernels say, for vectors of several shapes. */
static void check_bound(const float *a, const float *b, size_t dim)
{
	static int8_t a_codes[DIM_MAX], b_codes[DIM_MAX];
	const size_t stride = (dim + 63) / 64 * 64;
	const struct fm_kernels *kernels = fm_kernels_best();
	struct fm_codes_info a_info, b_info;

	fm_codes_make(a, dim, stride, a_codes, &a_info);
	fm_codes_make(b, dim, stride, b_codes, &b_info);
	for (size_t i = 0; i < dim; i++) {
		cr_assert(a_codes[i] >= -127);
		cr_assert_leq(fabs(a[i] - (double)a_info.scale * a_codes[i]), a_info.scale * 0.50001);
	}
	for (size_t i = dim; i < stride; i++)
		cr_assert_eq(a_codes[i], 0);
	int64_t dot = 0, high = 0;

	for (size_t i = 0; i < dim; i++) {
		dot += a_codes[i] * b_codes[i];
		high += a_codes[i] *
		        (2 * ((b_codes[i] + FM_CODE_ZERO) & -FM_CODE_LOW) - (int)(2 * FM_CODE_MIDDLE));
	}
	double by_codes = (double)dot * a_info.scale * b_info.scale;
	double by_high = (double)high / 2 * a_info.scale * b_info.scale;
	double norm = fm_codes_norm(a_codes, dim, &a_info);
	double fixed = a_info.residual * FM_NORM_MAX + fm_codes_slack(dim);
	double bound = fixed + norm * b_info.residual;
	float exact = kernels->dot_f32(a, b, dim);

	cr_assert_leq(fabs(exact - by_codes), bound, "dim %zu", dim);
	cr_assert_leq(fabs(exact - by_high), fixed + norm * b_info.high_residual, "dim %zu", dim);
	/* A bound that excludes nobody would be true as well. */
	cr_expect_lt(bound, 0.05, "dim %zu: %g", dim, bound);
}

Test(codes, the_bound_holds)
{
	static float a[DIM_MAX], b[DIM_MAX];
	const size_t dims[] = {1, 2, 15, 16, 17, 64, 127, 512, 1000, 4096};
	uint64_t state = 7;

	for (size_t d = 0; d < sizeof(dims) / sizeof(dims[0]); d++) {
		for (int i = 0; i < 200; i++) {
			random_unit(a, dims[d], &state);
			random_unit(b, dims[d], &state);
			check_bound(a, b, dims[d]);
			check_bound(a, a, dims[d]);
			/* Residuals that all point the same way: the worst case that Cauchy and Schwarz
			 * allow. */
			for (size_t k = 0; k < dims[d]; k++)
				b[k] = a[k] > 0 ? 1 : -1;
			normalize(b, dims[d]);
			check_bound(a, b, dims[d]);
			check_bound(b, a, dims[d]);
		}
	}
}

Test(codes, residual_and_norm_are_upper_bounds)
{
	static float a[512];
	static int8_t codes[512];
	struct fm_codes_info info;
	uint64_t state = 3;

	for (int i = 0; i < 500; i++) {
		long double residual = 0, high_residual = 0, norm = 0;

		random_unit(a, 512, &state);
		fm_codes_make(a, 512, 512, codes, &info);
		for (int k = 0; k < 512; k++) {
			long double back = (long double)info.scale * codes[k];

			residual += (a[k] - back) * (a[k] - back);
			back = info.scale * (((codes[k] + FM_CODE_ZERO) & -FM_CODE_LOW) - FM_CODE_MIDDLE);
			high_residual += (a[k] - back) * (a[k] - back);
			back = (long double)info.scale * codes[k];
			norm += back * back;
		}
		cr_assert(sqrtl(residual) <= info.residual);
		cr_assert(sqrtl(high_residual) <= info.high_residual);
		cr_assert(sqrtl(high_residual) > info.high_residual * 0.999L);
		cr_assert(sqrtl(residual) > info.residual * 0.999L);
		cr_assert(sqrtl(norm) <= fm_codes_norm(codes, 512, &info));
	}
}

Test(codes, only_unit_vectors)
{
	float a[64];
	uint64_t state = 1;

	random_unit(a, 64, &state);
	cr_expect_eq(fm_codes_check(a, 64, NULL), FM_OK);
	a[5] += 0.05f;
	cr_expect_eq(fm_codes_check(a, 64, NULL), FM_E_INVALID);
	a[5] = NAN;
	cr_expect_eq(fm_codes_check(a, 64, NULL), FM_E_INVALID);
	a[5] = INFINITY;
	cr_expect_eq(fm_codes_check(a, 64, NULL), FM_E_INVALID);
	memset(a, 0, sizeof(a));
	cr_expect_eq(fm_codes_check(a, 64, NULL), FM_E_INVALID);
}
