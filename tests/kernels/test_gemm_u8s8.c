/* The u8 x s8 matrix product: scalar against the formula, every other ISA against scalar, bit for bit. */
#include "tests/kernels/support.h"

#include <math.h>

#include "lib/base/banned.h"

/* One product's inputs; a is [m][k], to be laid out as each ISA wants it. */
struct problem {
	size_t m, n, k, out_stride;
	uint8_t *a;
	struct fm_row_quant *a_quant;
	int8_t *w;
	float *w_scale;
	struct random_epilogue e;
};

#define EMULATED_PRODUCTS_MAX 20000

enum filling { FILL_RANDOM, FILL_HIGHEST, FILL_LOWEST };

static struct problem problem_init(struct random *random, size_t m, size_t n, size_t k, enum filling filling)
{
	struct problem p = {.m = m, .n = n, .k = k, .out_stride = n + random_size(random, 0, 3)};

	p.a = guarded_alloc(m * k);
	for (size_t i = 0; i < m * k; i++)
		p.a[i] = filling == FILL_RANDOM ? (uint8_t)random_u32(random) : 255;
	p.w = guarded_alloc(n * k);
	for (size_t i = 0; i < n * k; i++)
		p.w[i] = (int8_t)(filling == FILL_RANDOM    ? (int)random_size(random, 0, 254) - 127
		                  : filling == FILL_HIGHEST ? 127
		                                            : -127);
	p.a_quant = guarded_alloc(m * sizeof(*p.a_quant));
	for (size_t i = 0; i < m; i++) {
		p.a_quant[i].scale = fabsf(random_float(random)) / 64;
		p.a_quant[i].zero = (int32_t)random_size(random, 0, 255);
	}
	p.w_scale = guarded_floats(random, n);
	for (size_t j = 0; j < n; j++)
		p.w_scale[j] = fabsf(p.w_scale[j]) / 64;
	p.e = random_epilogue(random, m, n);
	return p;
}

static void problem_done(struct problem *p)
{
	guarded_free(p->a, p->m * p->k);
	guarded_free(p->a_quant, p->m * sizeof(*p->a_quant));
	guarded_free(p->w, p->n * p->k);
	guarded_free(p->w_scale, p->n * sizeof(float));
	random_epilogue_done(&p->e);
}

static size_t out_bytes(const struct problem *p)
{
	return ((p->m - 1) * p->out_stride + p->n) * sizeof(float);
}

/* The product by one row of the table, in a guarded buffer of out_bytes(). */
static float *product(const struct fm_kernels *kernels, const struct problem *p, bool in_place)
{
	const struct fm_gemm_u8s8 *gemm = &kernels->gemm_u8s8;
	size_t k_padded = (p->k + gemm->k_multiple - 1) / gemm->k_multiple * gemm->k_multiple;
	size_t packed_bytes = (gemm->packed_bytes(p->n, p->k) + 63) / 64 * 64;
	uint8_t *a = guarded_alloc(p->m * k_padded);
	char *packed = guarded_alloc(packed_bytes);
	float *out = guarded_alloc(out_bytes(p));
	struct fm_epilogue epilogue = p->e.epilogue;

	for (size_t i = 0; i < p->m; i++) {
		memset(a + i * k_padded, 0, k_padded);
		memcpy(a + i * k_padded, p->a + i * p->k, p->k);
	}
	if (in_place && epilogue.residual != NULL) {
		for (size_t i = 0; i < p->m; i++)
			memcpy(out + i * p->out_stride, epilogue.residual + i * epilogue.residual_stride,
			        p->n * sizeof(float));
		epilogue.residual = out;
		epilogue.residual_stride = p->out_stride;
	}
	memset(packed, 0, packed_bytes);
	gemm->pack(packed, p->w, p->n, p->k);
	gemm->run(out, p->out_stride, a, p->a_quant, p->m, packed, p->w_scale, p->n, p->k, &epilogue);
	guarded_free(packed, packed_bytes);
	guarded_free(a, p->m * k_padded);
	return out;
}

static void compare_rows(const struct problem *p)
{
	float *expected = product(fm_kernels_for(FM_ISA_SCALAR), p, false);

	for_each_vector_isa(kernels)
	{
		/* A signal for every 32 products: small shapes have every tile and tail as well. */
		if (fm_kernels_for(kernels->isa) == NULL && p->m * p->n * p->k > EMULATED_PRODUCTS_MAX)
			continue;
		for (int in_place = 0; in_place <= 1; in_place++) {
			float *out = product(kernels, p, in_place);
			cr_assert_eq(memcmp(out, expected, out_bytes(p)), 0,
			        "%s: m %zu n %zu k %zu activation %d bias %d residual %d in place %d",
			        fm_isa_name(kernels->isa), p->m, p->n, p->k, p->e.epilogue.activation,
			        p->e.bias != NULL, p->e.residual != NULL, in_place);
			guarded_free(out, out_bytes(p));
		}
	}
	guarded_free(expected, out_bytes(p));
}

/* Rows as they are, with one zero point that is not 0, wherever it is, and with none. */
static void compare_all(struct random *random, struct problem *p)
{
	const size_t last = random_size(random, 0, p->m - 1);

	compare_rows(p);
	for (size_t i = 0; i < p->m; i++)
		p->a_quant[i].zero = i == last;
	compare_rows(p);
	p->a_quant[last].zero = 0;
	compare_rows(p);
}

static void compare_shape(struct random *random, size_t m, size_t n, size_t k, enum filling filling)
{
	struct problem p = problem_init(random, m, n, k, filling);

	compare_all(random, &p);
	problem_done(&p);
}

Test(gemm_u8s8, scalar_follows_the_formula)
{
	struct random random = {1};

	for (int round = 0; round < 100; round++) {
		struct problem p = problem_init(&random, random_size(&random, 1, 9),
		        random_size(&random, 1, 40), random_size(&random, 1, 90), FILL_RANDOM);
		float *out = product(fm_kernels_for(FM_ISA_SCALAR), &p, false);

		for (size_t i = 0; i < p.m; i++) {
			for (size_t j = 0; j < p.n; j++) {
				int64_t sum = 0;
				for (size_t t = 0; t < p.k; t++)
					sum += (p.a[i * p.k + t] - p.a_quant[i].zero) * p.w[j * p.k + t];
				double v = (double)sum * p.a_quant[i].scale * p.w_scale[j];
				double expected = expected_epilogue(&p.e.epilogue, v, i, j);
				cr_assert_float_eq(out[i * p.out_stride + j], expected, 1e-6 * (fabs(v) + 2));
			}
		}
		guarded_free(out, out_bytes(&p));
		problem_done(&p);
	}
}

Test(gemm_u8s8, every_isa_gives_the_scalar_bits)
{
	struct random random = {2};

	for (int round = 0; round < 600; round++)
		compare_shape(&random, random_size(&random, 1, 40), random_size(&random, 1, 150),
		        random_size(&random, 1, 140), FILL_RANDOM);
}

Test(gemm_u8s8, every_tail)
{
	struct random random = {3};

	for (size_t m = 1; m <= 14; m++) {
		for (size_t n = 1; n <= 70; n++) {
			compare_shape(&random, m, n, random_size(&random, 1, 9), FILL_RANDOM);
			compare_shape(&random, m, n, random_size(&random, 13, 32), FILL_RANDOM);
		}
	}
}

/* vpmaddubsw would saturate here: two products of 255 and 127 do not fit s16. */
Test(gemm_u8s8, extremes_do_not_saturate)
{
	struct random random = {4};
	const size_t lengths[] = {1, 2, 3, 4, 5, 63, 64, 512, FM_GEMM_K_MAX - 1, FM_GEMM_K_MAX};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		compare_shape(&random, 7, 19, lengths[i], FILL_HIGHEST);
		compare_shape(&random, 7, 19, lengths[i], FILL_LOWEST);
	}
}

Test(gemm_u8s8, extremes_are_exact)
{
	struct random random = {5};

	for (int isa = FM_ISA_SCALAR; isa < FM_ISA_COUNT; isa++) {
		const struct fm_kernels *kernels = kernels_to_test((enum fm_isa)isa);
		if (kernels == NULL)
			continue;
		for (enum filling filling = FILL_HIGHEST; filling <= FILL_LOWEST; filling++) {
			struct problem p = problem_init(&random, 1, 1, 300, filling);
			p.a_quant[0] = (struct fm_row_quant){.scale = 1.0f, .zero = 0};
			p.w_scale[0] = 1.0f;
			random_epilogue_done(&p.e);
			p.e = (struct random_epilogue){.m = 1, .n = 1};
			float *out = product(kernels, &p, false);
			cr_assert_float_eq(
			        out[0], 300.0f * 255.0f * (filling == FILL_HIGHEST ? 127.0f : -127.0f), 0.0f);
			guarded_free(out, out_bytes(&p));
			problem_done(&p);
		}
	}
}
