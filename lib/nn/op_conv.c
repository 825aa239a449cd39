/*
 * Conv on images, NHWC. Three ways, chosen at load:
 *   pointwise  1x1, stride 1, one group: a matrix product over pixels, nothing is moved
 *   depthwise  one filter for each channel: its own float kernel
 *   patches    all else: implicit matrix product; a chunk of output pixels has its patches gathered
 * ([kernel_h] [kernel_w][channels of the group]) into scratch and multiplied while it is in cache. Groups are
 *              products of their own. In int8 each patch has its own scale and zero point (measured on the
 * crops of test_networks.c: fr_feature keeps a mean cosine of 0.9985, with one scale per tensor 0.9980).
 * Where rows are wide, patches are quantized from columns (columns.h), a vector of patches at a time, and
 * never gathered as floats. A network's first convolution has few channels and reads the caller's row-major
 * image as it is, patches being [channels][kernel_h][kernel_w] then: no step turns the image around. In int8
 * it has one scale for all of it, being a picture, and each pixel becomes codes once (pixels.h).
 */
#include "lib/nn/columns.h"
#include "lib/nn/conv_shape.h"
#include "lib/nn/linear.h"
#include "lib/nn/patches.h"
#include "lib/nn/pixels.h"
#include "lib/nn/quantize.h"

#include "lib/base/size.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

/* Up to this many channels, an image is read row-major. */
#define PLANAR_CHANNELS_MAX 4

/* Floats of one chunk of patches: within a 1 MiB second cache. */
#define PATCH_BYTES    ((size_t)128 * 1024)
#define PATCH_ROWS_MAX 192

/*
 * Patches come as columns where an output row fills a vector, a patch fills a store, and what lies under an
 * output row stays in a near cache.
 */
#define COLUMNS_TERMS_MIN 16
#define COLUMNS_WIDTH_MIN 16
#define COLUMNS_WIDTH_MAX 1024
#define COLUMNS_BYTES_MAX ((size_t)128 * 1024)

enum kind { POINTWISE, DEPTHWISE, PATCHES };

struct conv {
	enum kind kind;
	struct fm_conv_shape shape;
	struct fm_epilogue epilogue;
	/* pointwise, patches: one for each group */
	struct fm_linear *linears;
	size_t rows; /* patches in one chunk */
	bool planar; /* the input is row-major */
	bool pixels; /* and its pixels are quantized by one range, once */
	/* How their codes are multiplied where they lie; kernel_h 0: gathered. */
	struct fm_pixels_product product;
	size_t column_rows; /* output rows in one chunk whose patches come as columns; 0: as rows */
	/* depthwise */
	struct fm_dwconv_shape depthwise;
	const float *taps;
	struct fm_dwconv_shape pool; /* of two rows of outputs; no channels: none */
	struct fm_chain chain;
};

static enum fm_status check(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	return fm_conv_shape_read(graph, node, node->params, err);
}

static enum fm_status shape(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_conv_shape *s = node->params;
	const size_t dims[4] = {1, s->out_channels, s->out_h, s->out_w};

	return fm_value_set_shape(&graph->values[node->outputs[0]], FM_ONNX_FLOAT32, 4, dims, node, err);
}

static enum kind kind_of(const struct fm_conv_shape *s)
{
	if (s->groups == 1 && s->kernel[0] * s->kernel[1] == 1 && s->stride[0] * s->stride[1] == 1 &&
	        s->out_h == s->in_h && s->out_w == s->in_w && !s->pad[0] && !s->pad[1])
		return POINTWISE;
	/* One channel to one channel is depthwise too. */
	if (s->groups == s->in_channels && s->groups == s->out_channels)
		return DEPTHWISE;
	return PATCHES;
}

static bool reads_row_major(const struct fm_graph *graph, const struct fm_node *node)
{
	const struct fm_conv_shape *s = node->params;

	(void)graph;
	return kind_of(s) == PATCHES && s->groups == 1 && s->in_channels <= PLANAR_CHANNELS_MAX;
}

/* [out][in per group][kernel] to [out][kernel][in per group]. */
static void kernel_first(float *to, const float *from, const struct fm_conv_shape *s)
{
	const size_t taps = s->kernel[0] * s->kernel[1], channels = s->in_channels / s->groups;

	for (size_t o = 0; o < s->out_channels; o++)
		for (size_t c = 0; c < channels; c++)
			for (size_t t = 0; t < taps; t++)
				to[(o * taps + t) * channels + c] = *from++;
}

/* [out][in][kernel] to [out][kernel_h][kernel_w][in], rows of the kernel row_terms long, the rest 0. */
static void kernel_rows_first(float *to, const float *from, const struct fm_conv_shape *s, size_t row_terms)
{
	const size_t kernel_h = s->kernel[0], kernel_w = s->kernel[1], channels = s->in_channels;

	memset(to, 0, s->out_channels * kernel_h * row_terms * sizeof(*to));
	for (size_t o = 0; o < s->out_channels; o++)
		for (size_t c = 0; c < channels; c++)
			for (size_t i = 0; i < kernel_h; i++)
				for (size_t j = 0; j < kernel_w; j++)
					to[(o * kernel_h + i) * row_terms + j * channels + c] = *from++;
}

static enum fm_status prepare_depthwise(const struct fm_build *build, struct fm_node *node,
        struct fm_step *step, struct conv *conv, float *weights, struct fm_error *err)
{
	const struct fm_conv_shape *s = &conv->shape;
	const size_t taps = s->kernel[0] * s->kernel[1], channels = s->out_channels;
	float *packed = fm_arena_alloc(build->arena, taps * channels, sizeof(*packed));

	if (!packed)
		return fm_node_nomem(node, err);
	if (!fm_weights_clean(weights, taps * channels))
		return fm_node_fail(node, err, FM_E_UNSUPPORTED, "a weight is infinite or not a number");
	for (size_t c = 0; c < channels; c++)
		for (size_t t = 0; t < taps; t++)
			packed[t * channels + c] = weights[c * taps + t];
	conv->taps = packed;
	conv->depthwise = (struct fm_dwconv_shape){.in_h = s->in_h,
	        .in_w = s->in_w,
	        .out_h = s->out_h,
	        .out_w = s->out_w,
	        .channels = channels,
	        .kernel_h = s->kernel[0],
	        .kernel_w = s->kernel[1],
	        .stride_h = s->stride[0],
	        .stride_w = s->stride[1],
	        .dilation_h = s->dilation[0],
	        .dilation_w = s->dilation[1],
	        .pad_top = s->pad[0],
	        .pad_left = s->pad[1]};
	step->info.op = "depthwise";
	if (node->fused.pool) {
		conv->pool = (struct fm_dwconv_shape){.in_h = 2,
		        .in_w = s->out_w,
		        .out_h = 1,
		        .out_w = s->out_w / 2,
		        .channels = channels,
		        .kernel_h = 2,
		        .kernel_w = 2,
		        .stride_h = 2,
		        .stride_w = 2,
		        .dilation_h = 1,
		        .dilation_w = 1};
		step->scratch_bytes = 2 * s->out_w * channels * sizeof(float);
		step->strip.out_h = s->out_h / 2;
		step->strip.out_row = conv->pool.out_w * channels;
		step->strip.kernel = (s->kernel[0] - 1) * s->dilation[0] + 1 + s->stride[0];
		step->strip.stride = 2 * s->stride[0];
		step->strip.dilation = 1;
		step->info.op = "depthwise+pool";
	}
	step->info.weight_bytes = step->info.weight_bytes_float32 = taps * channels * sizeof(float);
	return FM_OK;
}

static bool columns_suit(const struct conv *conv)
{
	const struct fm_conv_shape *s = &conv->shape;

	return !conv->planar && fm_linear_takes_codes(&conv->linears[0]) && s->groups == 1 &&
	       conv->linears[0].k >= COLUMNS_TERMS_MIN && s->out_w >= COLUMNS_WIDTH_MIN &&
	       s->out_w <= COLUMNS_WIDTH_MAX && fm_columns_scratch_bytes(s) <= COLUMNS_BYTES_MAX;
}

/* Whether the image is quantized as a whole. Where a grid is given, patches are quantized by that. */
static bool pixels_suit(const struct fm_build *build, const struct fm_node *node, const struct conv *conv)
{
	return conv->planar && build->precision == FM_INT8 && !node->fused.grid &&
	       fm_pixels_suit(&conv->shape);
}

/*
 * Codes are multiplied where they lie, if the ISA can and nothing follows a sum that this cannot do; else
 * gathered. Returns the terms of one row of the kernel.
 */
static size_t choose_product(const struct fm_build *build, const struct fm_node *node, struct conv *conv)
{
	const struct fm_conv_shape *s = &conv->shape;
	const struct fm_fused *fused = &node->fused;
	const size_t terms = s->kernel[1] * s->in_channels, filled_up = (terms + 3) & ~(size_t)3;

	if (!fm_pixels_kernels_for(build->kernels->isa)->multiply || fused->residual != FM_VALUE_NONE ||
	        fused->gelu || fused->first || fused->last)
		return terms;
	conv->product = (struct fm_pixels_product){.kernel_h = s->kernel[0],
	        .row_terms = filled_up,
	        .step = s->stride[1] * s->in_channels,
	        .n = s->out_channels};
	return filled_up;
}

/* Behind the ring. */
#define PIXELS_BYTES ((sizeof(struct fm_pixels) + 63) & ~(size_t)63)

static size_t pixel_codes_bytes(const struct fm_linear *linear)
{
	return (linear->chunk_rows * linear->k_padded + FM_PIXELS_SLACK + 63) & ~(size_t)63;
}

static size_t column_codes_bytes(const struct conv *conv)
{
	const size_t bytes = conv->column_rows * conv->shape.out_w * conv->linears[0].k_padded;

	return (bytes + 63) & ~(size_t)63;
}

static size_t column_quant_bytes(const struct conv *conv)
{
	return (conv->column_rows * conv->shape.out_w * sizeof(struct fm_row_quant) + 63) & ~(size_t)63;
}

static void prepare_pixels(struct fm_step *step, struct conv *conv)
{
	const struct fm_conv_shape *s = &conv->shape;
	const struct fm_linear *linear = &conv->linears[0];
	const size_t terms = s->kernel[0] * s->kernel[1] * s->in_channels;

	step->info.weight_bytes_float32 = s->out_channels * terms * sizeof(float);
	step->scratch_bytes = fm_pixels_scratch_bytes(s) + PIXELS_BYTES;
	if (conv->product.kernel_h) {
		conv->product.packed = linear->packed;
		conv->product.w_scale = linear->w_scale;
		return;
	}
	step->scratch_bytes += pixel_codes_bytes(linear) + linear->chunk_rows * sizeof(struct fm_row_quant);
}

static enum fm_status prepare_products(const struct fm_build *build, struct fm_node *node,
        struct fm_step *step, struct conv *conv, float *weights, size_t k, const float *weight_scale,
        struct fm_error *err)
{
	const struct fm_conv_shape *s = &conv->shape;
	const size_t n = s->out_channels / s->groups;
	char *name = fm_arena_alloc(build->arena, 64, 1);
	struct fm_linear *linears = fm_arena_alloc(build->arena, s->groups, sizeof(*linears));

	if (!name || !linears)
		return fm_node_nomem(node, err);
	for (size_t g = 0; g < s->groups; g++) {
		const float *scale = weight_scale ? weight_scale + g * n : NULL;
		enum fm_status status = fm_linear_prepare(
		        build, node, step, weights + g * n * k, scale, n, k, &linears[g], err);
		if (status)
			return status;
		linears[g].chain = conv->chain;
		if (conv->chain.steps.slope)
			linears[g].chain.steps.slope += g * n;
	}
	conv->linears = linears;
	snprintf(name, 64, "%sconv%zux%zu", s->groups > 1 ? "grouped " : "", s->kernel[0], s->kernel[1]);
	step->info.op = name;
	step->scratch_bytes = fm_linear_scratch_bytes(&linears[0]);
	if (conv->pixels) {
		prepare_pixels(step, conv);
	} else if (conv->kind == PATCHES && columns_suit(conv)) {
		conv->column_rows = linears[0].chunk_rows < s->out_w ? 1 : linears[0].chunk_rows / s->out_w;
		step->scratch_bytes = fm_columns_scratch_bytes(s) + column_codes_bytes(conv) +
		                      column_quant_bytes(conv) + sizeof(struct fm_columns);
	} else if (conv->kind == PATCHES) {
		size_t rows = PATCH_BYTES / sizeof(float) / k / 24 * 24, pixels = s->out_h * s->out_w;

		conv->rows = rows < 24 ? 24 : rows > PATCH_ROWS_MAX ? PATCH_ROWS_MAX : rows;
		if (conv->rows > pixels)
			conv->rows = pixels;
		step->scratch_bytes += (conv->rows * k * sizeof(float) + 63) & ~(size_t)63;
	}
	return FM_OK;
}

static enum fm_status prepare(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	struct conv *conv = fm_arena_alloc(build->arena, 1, sizeof(*conv));
	const float *given, *bias = NULL;
	enum fm_status status;

	if (!conv)
		return fm_node_nomem(node, err);
	conv->shape = *(const struct fm_conv_shape *)node->params;
	const struct fm_conv_shape *s = &conv->shape;
	conv->kind = kind_of(s);
	if ((status = fm_node_floats(build->graph, node, 1, &given, err)) ||
	        (fm_node_input(build->graph, node, 2) &&
	                (status = fm_node_floats(build->graph, node, 2, &bias, err))))
		return status;
	conv->planar =
	        conv->kind == PATCHES && fm_node_input(build->graph, node, 0)->layout == FM_LAYOUT_ROW_MAJOR;
	conv->pixels = pixels_suit(build, node, conv);
	const size_t terms = s->kernel[0] * s->kernel[1] * (s->in_channels / s->groups);
	const size_t row_terms = conv->pixels ? choose_product(build, node, conv) : 0;
	const size_t k = conv->pixels ? s->kernel[0] * row_terms : terms;
	float *weights = fm_arena_alloc(build->graph->arena, s->out_channels * k, sizeof(*weights));
	if (!weights)
		return fm_node_nomem(node, err);
	if (conv->pixels)
		kernel_rows_first(weights, given, s, row_terms);
	else if (conv->planar)
		memcpy(weights, given, s->out_channels * k * sizeof(*weights));
	else
		kernel_first(weights, given, s);
	if ((status = fm_epilogue_prepare(
	             build, node, weights, s->out_channels, k, bias, 1.0f, &conv->epilogue, err)) ||
	        (status = fm_chain_prepare(build, node, &conv->epilogue, &conv->chain, err)) ||
	        (status = fm_product_operands(build, node, step, err)))
		return status;
	conv->epilogue.residual_stride = s->out_channels;
	step->state = conv;
	step->strip = fm_conv_strip_shape(s);
	step->strip.first_only = conv->kind == PATCHES;
	step->info.macs = (uint64_t)s->out_h * s->out_w * s->out_channels * terms;
	if (conv->kind == DEPTHWISE)
		return prepare_depthwise(build, node, step, conv, weights, err);
	const float *weight_scale;
	if ((status = fm_fused_weight_scale(build, node, s->out_channels, 1.0f, &weight_scale, err)))
		return status;
	return prepare_products(build, node, step, conv, weights, k, weight_scale, err);
}

static void run_patches(const struct conv *conv, const struct fm_run *run, const struct fm_strip *strip,
        const struct fm_epilogue *epilogue)
{
	const struct fm_conv_shape *s = &conv->shape;
	const size_t first = strip->begin * s->out_w, end = strip->end * s->out_w;
	const size_t n = s->out_channels / s->groups, k = conv->linears[0].k;
	const size_t channels = s->in_channels / s->groups;
	float *patches = run->scratch;
	void *scratch = (char *)patches + ((conv->rows * k * sizeof(float) + 63) & ~(size_t)63);

	for (size_t g = 0; g < s->groups; g++) {
		struct fm_epilogue part = *epilogue;

		part.bias = epilogue->bias ? epilogue->bias + g * n : NULL;
		part.slope = epilogue->slope ? epilogue->slope + g * n : NULL;
		for (size_t pixel = first; pixel < end; pixel += conv->rows) {
			const size_t rows = end - pixel < conv->rows ? end - pixel : conv->rows;
			const size_t at = (pixel - first) * s->out_channels + g * n;

			fm_patches_gather(patches, strip->in + g * channels, s, conv->planar, pixel, rows);
			if (epilogue->residual)
				part.residual = epilogue->residual + at;
			fm_linear_run(&conv->linears[g], run->kernels, scratch, strip->out + at,
			        s->out_channels, patches, k, rows, &part);
		}
	}
}

static void run_columns(const struct conv *conv, const struct fm_run *run, const struct fm_strip *strip,
        const struct fm_epilogue *epilogue)
{
	const struct fm_conv_shape *s = &conv->shape;
	const struct fm_linear *linear = &conv->linears[0];
	uint8_t *codes = (uint8_t *)run->scratch + fm_columns_scratch_bytes(s);
	struct fm_row_quant *quant = (struct fm_row_quant *)(codes + column_codes_bytes(conv));
	struct fm_columns *columns = (struct fm_columns *)((char *)quant + column_quant_bytes(conv));
	struct fm_epilogue part = *epilogue;

	if (strip->begin == 0)
		*columns = fm_columns_begin(run->scratch, s, strip->in, run->kernels);
	for (size_t y = strip->begin; y < strip->end; y += conv->column_rows) {
		const size_t rows = strip->end - y < conv->column_rows ? strip->end - y : conv->column_rows;
		const size_t at = (y - strip->begin) * s->out_w * s->out_channels;

		for (size_t r = 0; r < rows; r++)
			run->kernels->quantize_columns(codes + r * s->out_w * linear->k_padded,
			        quant + r * s->out_w, fm_columns_row(columns, y + r), s->out_w, linear->k,
			        linear->k_padded, columns->spans, columns->span_count);
		if (epilogue->residual)
			part.residual = epilogue->residual + at;
		fm_linear_run_codes(linear, run->kernels, strip->out + at, s->out_channels, codes, quant,
		        rows * s->out_w, &part);
	}
}

/* Pixels of one output row whose codes are gathered first. */
static void run_gathered(const struct conv *conv, const struct fm_run *run, const struct fm_pixels *pixels,
        const uint8_t *const *rows, float *out, const struct fm_epilogue *epilogue)
{
	const struct fm_conv_shape *s = &conv->shape;
	const struct fm_linear *linear = &conv->linears[0];
	uint8_t *codes = (uint8_t *)run->scratch + fm_pixels_scratch_bytes(s) + PIXELS_BYTES;
	struct fm_row_quant *quant = (struct fm_row_quant *)(codes + pixel_codes_bytes(linear));
	struct fm_epilogue part = *epilogue;

	for (size_t x = 0; x < s->out_w; x += linear->chunk_rows) {
		const size_t count = s->out_w - x < linear->chunk_rows ? s->out_w - x : linear->chunk_rows;

		fm_pixels_gather(codes, rows, s, x, count, linear->k_padded);
		for (size_t i = 0; i < count; i++)
			quant[i] = pixels->quant;
		if (epilogue->residual)
			part.residual = epilogue->residual + x * s->out_channels;
		fm_linear_run_codes(linear, run->kernels, out + x * s->out_channels, s->out_channels, codes,
		        quant, count, &part);
	}
}

static void run_pixels(const struct conv *conv, const struct fm_run *run, const struct fm_strip *strip,
        const struct fm_epilogue *epilogue)
{
	const struct fm_conv_shape *s = &conv->shape;
	struct fm_pixels *pixels = (struct fm_pixels *)((char *)run->scratch + fm_pixels_scratch_bytes(s));
	struct fm_epilogue part = *epilogue;
	float *out = strip->out;

	if (strip->begin == 0)
		*pixels =
		        fm_pixels_begin(run->scratch, s, strip->in, fm_pixels_kernels_for(run->kernels->isa));
	for (size_t y = strip->begin; y < strip->end; y++, out += s->out_w * s->out_channels) {
		const uint8_t *const *rows = fm_pixels_row(pixels, y);

		if (conv->product.kernel_h) {
			pixels->kernels->multiply(
			        out, rows, s->out_w, &conv->product, &pixels->quant, epilogue);
			continue;
		}
		if (epilogue->residual)
			part.residual = epilogue->residual + (out - strip->out);
		run_gathered(conv, run, pixels, rows, out, &part);
	}
}

/* Where there is no kernel for both, two rows of outputs pass through scratch. */
static void run_pooled(const struct conv *conv, const struct fm_run *run, const struct fm_strip *strip,
        const struct fm_epilogue *epilogue)
{
	struct fm_strip rows = {.begin = 2 * strip->begin,
	        .end = 2 * strip->end,
	        .in = strip->in,
	        .in_first = strip->in_first};
	struct fm_dwconv_shape shape = conv->depthwise;
	const float *in = fm_dwconv_strip(&shape, &rows);
	float *out = strip->out;

	if (run->kernels->dwconv_pool_f32 &&
	        run->kernels->dwconv_pool_f32(out, in, conv->taps, &shape, epilogue))
		return;
	for (size_t y = strip->begin; y < strip->end; y++, out += conv->pool.out_w * conv->pool.channels) {
		rows.begin = 2 * y;
		rows.end = rows.begin + 2;
		shape = conv->depthwise;
		in = fm_dwconv_strip(&shape, &rows);
		run->kernels->dwconv_f32(run->scratch, in, conv->taps, &shape, epilogue);
		run->kernels->max_pool_f32(out, run->scratch, &conv->pool);
	}
}

static void run_depthwise(const struct conv *conv, const struct fm_run *run, const struct fm_strip *strip,
        const struct fm_epilogue *epilogue)
{
	const struct fm_conv_shape *s = &conv->shape;
	struct fm_dwconv_shape shape = conv->depthwise;
	const float *in = fm_dwconv_strip(&shape, strip);
	struct fm_epilogue own = *epilogue;

	if (conv->chain.residual)
		own.residual = NULL;
	run->kernels->dwconv_f32(strip->out, in, conv->taps, &shape, &own);
	fm_chain_run(&conv->chain, run->kernels, strip->out, s->out_channels, shape.out_h * s->out_w,
	        s->out_channels, epilogue->residual);
}

static void run_strip(const struct fm_step *step, const struct fm_run *run, const struct fm_strip *strip)
{
	const struct conv *conv = step->state;
	const struct fm_conv_shape *s = &conv->shape;
	struct fm_epilogue epilogue = conv->epilogue;

	epilogue.residual = strip->residual;
	switch (conv->kind) {
	case POINTWISE:
		fm_linear_run(&conv->linears[0], run->kernels, run->scratch, strip->out, s->out_channels,
		        strip->in + (strip->begin - strip->in_first) * s->in_w * s->in_channels,
		        s->in_channels, (strip->end - strip->begin) * s->out_w, &epilogue);
		break;
	case DEPTHWISE:
		if (conv->pool.channels)
			run_pooled(conv, run, strip, &epilogue);
		else
			run_depthwise(conv, run, strip, &epilogue);
		break;
	case PATCHES:
		if (conv->pixels)
			run_pixels(conv, run, strip, &epilogue);
		else if (conv->column_rows)
			run_columns(conv, run, strip, &epilogue);
		else
			run_patches(conv, run, strip, &epilogue);
		break;
	}
}

static void run_conv(const struct fm_step *step, const struct fm_run *run)
{
	fm_step_run_whole(step, run, run_strip);
}

const struct fm_op fm_op_conv = {
        .name = "Conv",
        .inputs_min = 2,
        .inputs_max = 3,
        .outputs_max = 1,
        .layout = FM_OP_NHWC,
        .product = true,
        .reads_row_major = reads_row_major,
        .params_bytes = sizeof(struct fm_conv_shape),
        .check = check,
        .shape = shape,
        .prepare = prepare,
        .run = run_conv,
        .run_strip = run_strip,
};
