/* The f32 matrix product: scalar against double, every other ISA against scalar, bit for bit. */
#include "tests/kernels/support.h"

#include <math.h>

#include "lib/base/banned.h"

struct problem {
	size_t m, n, k, a_stride, out_stride;
	float *a, *w;
	struct random_epilogue e;
};

static size_t a_floats(const struct problem *p)
{
	return (p->m - 1) * p->a_stride + p->k;
}

static struct problem problem_init(struct random *random, size_t m, size_t n, size_t k)
{
	struct problem p = {
	        .m = m,
	        .n = n,
	        .k = k,
	        .a_stride = k + random_size(random, 0, 3),
	        .out_stride = n + random_size(random, 0, 3),
	};

	p.a = guarded_floats(random, a_floats(&p));
	p.w = guarded_floats(random, n * k);
	p.e = random_epilogue(random, m, n);
	return p;
}

static void problem_done(struct problem *p)
{
	guarded_free(p->a, a_floats(p) * sizeof(float));
	guarded_free(p->w, p->n * p->k * sizeof(float));
	random_epilogue_done(&p->e);
}

static size_t out_bytes(const struct problem *p)
{
	return ((p->m - 1) * p->out_stride + p->n) * sizeof(float);
}

static float *product(const struct fm_kernels *kernels, const struct problem *p)
{
	const struct fm_gemm_f32 *gemm = &kernels->gemm_f32;
	size_t packed_bytes = (gemm->packed_bytes(p->n, p->k) + 63) / 64 * 64;
	char *packed = guarded_alloc(packed_bytes);
	float *out = guarded_alloc(out_bytes(p));

	memset(packed, 0, packed_bytes);
	gemm->pack(packed, p->w, p->n, p->k);
	gemm->run(out, p->out_stride, p->a, p->a_stride, p->m, packed, p->n, p->k, &p->e.epilogue);
	guarded_free(packed, packed_bytes);
	return out;
}

static void compare_shape(struct random *random, size_t m, size_t n, size_t k)
{
	struct problem p = problem_init(random, m, n, k);
	float *expected = product(fm_kernels_for(FM_ISA_SCALAR), &p);

	for_each_vector_isa(kernels)
	{
		float *out = product(kernels, &p);
		cr_assert_eq(memcmp(out, expected, out_bytes(&p)), 0,
		        "%s: m %zu n %zu k %zu activation %d bias %d residual %d", fm_isa_name(kernels->isa),
		        m, n, k, p.e.epilogue.activation, p.e.bias != NULL, p.e.residual != NULL);
		guarded_free(out, out_bytes(&p));
	}
	guarded_free(expected, out_bytes(&p));
	problem_done(&p);
}

Test(gemm_f32, scalar_follows_double)
{
	struct random random = {1};

	for (int round = 0; round < 100; round++) {
		struct problem p = problem_init(&random, random_size(&random, 1, 9),
		        random_size(&random, 1, 40), random_size(&random, 1, 90));
		float *out = product(fm_kernels_for(FM_ISA_SCALAR), &p);

		for (size_t i = 0; i < p.m; i++) {
			for (size_t j = 0; j < p.n; j++) {
				double sum = 0;
				for (size_t t = 0; t < p.k; t++)
					sum += (double)p.a[i * p.a_stride + t] * p.w[j * p.k + t];
				double expected = expected_epilogue(&p.e.epilogue, sum, i, j);
				cr_assert_float_eq(
				        out[i * p.out_stride + j], expected, 1e-6 * (double)(p.k + 2));
			}
		}
		guarded_free(out, out_bytes(&p));
		problem_done(&p);
	}
}

/* (1 + e)(1 - e) - 1 = -e^2 survives only where the product is not rounded before it is added. */
Test(gemm_f32, every_isa_fuses)
{
	const float e = 0x1p-13f;
	float a[2] = {-1.0f, 1.0f + e}, w[2] = {1.0f, 1.0f - e};
	_Alignas(64) char packed[4096];
	struct fm_epilogue none = {0};

	for (int isa = FM_ISA_SCALAR; isa < FM_ISA_COUNT; isa++) {
		const struct fm_kernels *kernels = fm_kernels_for((enum fm_isa)isa);
		float out = 0;
		if (kernels == NULL)
			continue;
		cr_assert_leq(kernels->gemm_f32.packed_bytes(1, 2), sizeof(packed));
		memset(packed, 0, sizeof(packed));
		kernels->gemm_f32.pack(packed, w, 1, 2);
		kernels->gemm_f32.run(&out, 1, a, 2, 1, packed, 1, 2, &none);
		cr_assert_eq(out, -e * e, "%s gives %a", fm_isa_name(kernels->isa), (double)out);
	}
}

/* A product just off half a unit of the sum: rounded to double first it is a tie, and goes to the wrong side.
 */
Test(gemm_f32, every_isa_rounds_once)
{
	const float e = 0x1p-23f, sum = 0x1p24f + 2.0f;
	_Alignas(64) char packed[4096];
	struct fm_epilogue none = {0};

	for (int isa = FM_ISA_SCALAR; isa < FM_ISA_COUNT; isa++) {
		const struct fm_kernels *kernels = fm_kernels_for((enum fm_isa)isa);
		if (kernels == NULL)
			continue;
		for (float sign = -1.0f; sign <= 1.0f; sign += 2.0f) {
			float a[2] = {sum, sign * (1.0f + e)}, w[2] = {1.0f, 1.0f - e}, out = 0;
			cr_assert_leq(kernels->gemm_f32.packed_bytes(1, 2), sizeof(packed));
			memset(packed, 0, sizeof(packed));
			kernels->gemm_f32.pack(packed, w, 1, 2);
			kernels->gemm_f32.run(&out, 1, a, 2, 1, packed, 1, 2, &none);
			cr_assert_eq(out, sum, "%s gives %a", fm_isa_name(kernels->isa), (double)out);
		}
	}
}

Test(gemm_f32, every_isa_gives_the_scalar_bits)
{
	struct random random = {2};

	for (int round = 0; round < 400; round++)
		compare_shape(&random, random_size(&random, 1, 40), random_size(&random, 1, 150),
		        random_size(&random, 1, 100));
}

Test(gemm_f32, every_tail)
{
	struct random random = {3};

	for (size_t m = 1; m <= 14; m++) {
		for (size_t n = 1; n <= 70; n++)
			compare_shape(&random, m, n, random_size(&random, 1, 5));
	}
}
