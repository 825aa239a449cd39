/* Images of one grid: scalar against quantize_rows, every other ISA against scalar and gemm_u8s8, bit for
 * bit. */
#include "tests/kernels/support.h"

#include "lib/kernels/pixels.h"

#include <math.h>

#include "lib/base/banned.h"

static void expect_same_quant(struct fm_row_quant a, struct fm_row_quant b, enum fm_isa isa, size_t count)
{
	cr_assert(a.scale == b.scale && a.zero == b.zero, "%s: %zu values", fm_isa_name(isa), count);
}

/* What the formula says is what quantize_rows does to one row; quantize_rows has tests of its own. */
Test(pixels, the_grid_is_that_of_one_row)
{
	struct random random = {1};

	for (int round = 0; round < 300; round++) {
		const size_t count = random_size(&random, 1, 300);
		const float factor = ldexpf(1.0f, (int)random_size(&random, 0, 240) - 120);
		const float shift = (float)random_size(&random, 0, 2) - 1.0f;
		float *x = guarded_floats(&random, count);
		uint8_t *wanted = guarded_alloc(count), *got = guarded_alloc(count + FM_PIXELS_SLACK);
		struct fm_row_quant quant;

		for (size_t i = 0; i < count; i++)
			x[i] = (x[i] + shift) * factor;
		fm_kernels_for(FM_ISA_SCALAR)
		        ->quantize_rows(wanted, &quant, x, count, 1, count, count, false);
		for (int isa = FM_ISA_SCALAR; isa < FM_ISA_COUNT; isa++) {
			if (!fm_isa_supported((enum fm_isa)isa))
				continue;
			const struct fm_pixels_kernels *kernels = fm_pixels_kernels_for((enum fm_isa)isa);

			expect_same_quant(kernels->quant_of(x, count), quant, (enum fm_isa)isa, count);
			kernels->quantize(got, x, count, 1, count, &quant);
			cr_assert_eq(memcmp(got, wanted, count), 0, "%s: %zu values",
			        fm_isa_name((enum fm_isa)isa), count);
		}
		guarded_free(x, count * sizeof(*x));
		guarded_free(wanted, count);
		guarded_free(got, count + FM_PIXELS_SLACK);
	}
}

/* Rows of planes become rows of pixels; the last plane ends at an unreadable page, and so does the slack. */
Test(pixels, channels_come_side_by_side)
{
	struct random random = {2};

	for (int round = 0; round < 600; round++) {
		const size_t channels = random_size(&random, 1, FM_PIXELS_CHANNELS_MAX);
		const size_t count = random_size(&random, 1, 70), plane = count + random_size(&random, 0, 9);
		const size_t floats = (channels - 1) * plane + count, bytes = count * channels;
		float *x = guarded_floats(&random, floats);
		uint8_t *wanted = guarded_alloc(count), *got = guarded_alloc(bytes + FM_PIXELS_SLACK);
		/* Codes beyond both ends are clamped. */
		const struct fm_row_quant quant = {
		        .scale = 1.0f / 150.0f, .zero = (int32_t)random_size(&random, 0, 255)};

		for (int isa = FM_ISA_SCALAR; isa < FM_ISA_COUNT; isa++) {
			if (!fm_isa_supported((enum fm_isa)isa))
				continue;
			memset(got, CANARY, bytes);
			fm_pixels_kernels_for((enum fm_isa)isa)
			        ->quantize(got, x, plane, channels, count, &quant);
			for (size_t c = 0; c < channels; c++) {
				fm_pixels_kernels_for(FM_ISA_SCALAR)
				        ->quantize(wanted, x + c * plane, plane, 1, count, &quant);
				for (size_t i = 0; i < count; i++)
					cr_assert_eq(got[i * channels + c], wanted[i],
					        "%s: pixel %zu of %zu, channel %zu of %zu",
					        fm_isa_name((enum fm_isa)isa), i, count, c, channels);
			}
		}
		guarded_free(x, floats * sizeof(*x));
		guarded_free(wanted, count);
		guarded_free(got, bytes + FM_PIXELS_SLACK);
	}
}

struct layer {
	struct fm_pixels_product product;
	size_t count; /* pixels */
	struct fm_row_quant quant;
	uint8_t *bytes[4]; /* rows of the image under the kernel's */
	size_t row_bytes;
	int8_t *weights;
	float *w_scale;
};

static struct layer random_layer(struct random *random)
{
	struct layer layer = {.count = random_size(random, 1, 40),
	        .quant = {.scale = 0.01f, .zero = (int32_t)random_size(random, 0, 255)},
	        .product = {.kernel_h = random_size(random, 1, 4),
	                .row_terms = 4 * random_size(random, 1, 5),
	                .step = random_size(random, 1, 12),
	                .n = random_size(random, 1, 150)}};
	/* Half of them of the kernels that networks begin with. */
	if (random_size(random, 0, 1)) {
		layer.product.kernel_h = 3;
		layer.product.row_terms = random_size(random, 0, 1) ? 12 : 4;
		layer.product.n = random_size(random, 1, 33);
	}
	const struct fm_pixels_product *p = &layer.product;
	const size_t k = p->kernel_h * p->row_terms;

	layer.row_bytes = (layer.count - 1) * p->step + p->row_terms;
	for (size_t r = 0; r < p->kernel_h; r++) {
		layer.bytes[r] = guarded_alloc(layer.row_bytes);
		for (size_t i = 0; i < layer.row_bytes; i++)
			layer.bytes[r][i] = (uint8_t)random_u32(random);
	}
	layer.weights = guarded_alloc(p->n * k);
	for (size_t i = 0; i < p->n * k; i++)
		layer.weights[i] = (int8_t)((int)random_size(random, 0, 254) - 127);
	layer.w_scale = guarded_floats(random, p->n);
	layer.product.w_scale = layer.w_scale;
	return layer;
}

static void layer_done(struct layer *layer)
{
	const struct fm_pixels_product *p = &layer->product;

	for (size_t r = 0; r < p->kernel_h; r++)
		guarded_free(layer->bytes[r], layer->row_bytes);
	guarded_free(layer->weights, p->n * p->kernel_h * p->row_terms);
	guarded_free(layer->w_scale, p->n * sizeof(float));
}

static void *pack(const struct fm_gemm_u8s8 *gemm, const int8_t *weights, size_t n, size_t k)
{
	const size_t bytes = (gemm->packed_bytes(n, k) + 63) & ~(size_t)63;
	void *packed = aligned_alloc(64, bytes);

	cr_assert_not_null(packed);
	memset(packed, 0, bytes);
	gemm->pack(packed, weights, n, k);
	return packed;
}

/* The scalar product of the gathered rows. */
static void expected(const struct layer *layer, const struct fm_epilogue *epilogue, float *out)
{
	const struct fm_gemm_u8s8 *gemm = &fm_kernels_for(FM_ISA_SCALAR)->gemm_u8s8;
	const struct fm_pixels_product *p = &layer->product;
	const size_t k = p->kernel_h * p->row_terms;
	void *packed = pack(gemm, layer->weights, p->n, k);
	uint8_t *codes = guarded_alloc(k);

	for (size_t i = 0; i < layer->count; i++) {
		for (size_t r = 0; r < p->kernel_h; r++)
			memcpy(codes + r * p->row_terms, layer->bytes[r] + i * p->step, p->row_terms);
		gemm->run(
		        out + i * p->n, p->n, codes, &layer->quant, 1, packed, p->w_scale, p->n, k, epilogue);
	}
	guarded_free(codes, k);
	free(packed);
}

Test(pixels, products_where_they_lie_are_those_of_gathered_rows)
{
	struct random random = {3};

	for (int round = 0; round < 400; round++) {
		struct layer layer = random_layer(&random);
		struct random_epilogue e = random_epilogue(&random, layer.count, layer.product.n);
		const size_t n = layer.product.n, k = layer.product.kernel_h * layer.product.row_terms;
		const size_t bytes = layer.count * n * sizeof(float);
		float *wanted = guarded_alloc(bytes), *got = guarded_alloc(bytes);
		struct fm_epilogue epilogue = e.epilogue;

		epilogue.residual = NULL;
		expected(&layer, &epilogue, wanted);
		for (int isa = FM_ISA_SCALAR; isa < FM_ISA_COUNT; isa++) {
			const struct fm_kernels *kernels = fm_kernels_for((enum fm_isa)isa);

			if (!kernels || !fm_pixels_kernels_for(kernels->isa)->multiply)
				continue;
			void *packed = pack(&kernels->gemm_u8s8, layer.weights, n, k);
			layer.product.packed = packed;
			fm_pixels_kernels_for(kernels->isa)
			        ->multiply(got, (const uint8_t *const *)layer.bytes, layer.count,
			                &layer.product, &layer.quant, &epilogue);
			cr_assert_eq(memcmp(got, wanted, bytes), 0, "%s: %zu pixels, n %zu k %zu",
			        fm_isa_name(kernels->isa), layer.count, n, k);
			free(packed);
		}
		guarded_free(wanted, bytes);
		guarded_free(got, bytes);
		random_epilogue_done(&e);
		layer_done(&layer);
	}
}
