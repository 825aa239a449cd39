/* Dot products: scalar against wide arithmetic, every other ISA against scalar, bit for bit. */
#include "tests/kernels/support.h"

#include <math.h>

#include "lib/base/banned.h"

Test(dot, f32_gives_the_scalar_bits)
{
	struct random random = {2};
	const struct fm_kernels *scalar = fm_kernels_for(FM_ISA_SCALAR);

	for (size_t n = 0; n <= 600; n++) {
		float *a = guarded_floats(&random, n), *b = guarded_floats(&random, n);
		float expected = scalar->dot_f32(a, b, n);
		double wide = 0;

		for (size_t i = 0; i < n; i++)
			wide += (double)a[i] * b[i];
		cr_assert_float_eq(expected, wide, 1e-6 * (double)(n + 1));
		for_each_vector_isa(kernels)
		{
			float dot = kernels->dot_f32(a, b, n);
			cr_assert_eq(memcmp(&dot, &expected, sizeof(dot)), 0, "%s: n %zu: %a, not %a",
			        fm_isa_name(kernels->isa), n, (double)dot, (double)expected);
		}
		guarded_free(a, n * sizeof(float));
		guarded_free(b, n * sizeof(float));
	}
}

/* The order of the sum is the contract: 2^24 swallows a one unless both ones met first. */
Test(dot, f32_order)
{
	const float ones[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
	float a[16] = {0};

	a[0] = 0x1p24f;
	a[4] = a[12] = 1.0f; /* (l0 + l8) + (l4 + l12) */
	for (int isa = FM_ISA_SCALAR; isa < FM_ISA_COUNT; isa++) {
		const struct fm_kernels *kernels = fm_kernels_for((enum fm_isa)isa);
		if (kernels != NULL)
			cr_assert_eq(kernels->dot_f32(a, ones, 16), 0x1p24f + 2.0f);
	}
}
