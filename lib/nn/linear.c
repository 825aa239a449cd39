#include "lib/nn/linear.h"

#include "lib/base/size.h"
#include "lib/nn/quantize.h"

#include <string.h>

#include "lib/base/banned.h"

/* Codes of one chunk: half of a 32 KiB first cache. Rows in multiples of every kernel's tile height. */
#define CHUNK_BYTES     16384
#define CHUNK_ROWS_STEP 24
#define CHUNK_ROWS_MAX  192

static size_t round64(size_t bytes)
{
	return (bytes + 63) & ~(size_t)63;
}

static enum fm_status prepare_int8(const struct fm_build *build, const struct fm_node *node,
        const float *weights, const float *weight_scale, struct fm_linear *linear, size_t *ret_bytes,
        struct fm_error *err)
{
	const struct fm_gemm_u8s8 *gemm = &build->kernels->gemm_u8s8;
	const size_t n = linear->n, k = linear->k;
	int8_t *codes = fm_arena_alloc(build->graph->arena, n, k);
	float *scale = fm_arena_alloc(build->arena, n, sizeof(*scale));
	void *packed = fm_arena_alloc(build->arena, round64(gemm->packed_bytes(n, k)) + 64, 1);

	if (!codes || !scale || !packed)
		return fm_node_nomem(node, err);
	/* Small allocations are only 16-byte aligned. */
	packed = (char *)packed + (-(uintptr_t)packed & 63);
	if (weight_scale) {
		fm_weights_quantize_by(codes, weight_scale, weights, n, k);
		memcpy(scale, weight_scale, n * sizeof(*scale));
	} else {
		fm_weights_quantize(codes, scale, weights, n, k);
	}
	gemm->pack(packed, codes, n, k);
	linear->packed = packed;
	linear->w_scale = scale;
	linear->k_padded = (k + gemm->k_multiple - 1) / gemm->k_multiple * gemm->k_multiple;
	size_t rows = CHUNK_BYTES / linear->k_padded / CHUNK_ROWS_STEP * CHUNK_ROWS_STEP;
	linear->chunk_rows = rows < CHUNK_ROWS_STEP  ? CHUNK_ROWS_STEP
	                     : rows > CHUNK_ROWS_MAX ? CHUNK_ROWS_MAX
	                                             : rows;
	*ret_bytes = gemm->packed_bytes(n, k) + n * sizeof(*scale);
	return FM_OK;
}

static enum fm_status prepare_f32(const struct fm_build *build, const struct fm_node *node,
        const float *weights, struct fm_linear *linear, size_t *ret_bytes, struct fm_error *err)
{
	const struct fm_gemm_f32 *gemm = &build->kernels->gemm_f32;
	void *packed =
	        fm_arena_alloc(build->arena, round64(gemm->packed_bytes(linear->n, linear->k)) + 64, 1);

	if (!packed)
		return fm_node_nomem(node, err);
	packed = (char *)packed + (-(uintptr_t)packed & 63);
	gemm->pack(packed, weights, linear->n, linear->k);
	linear->packed = packed;
	linear->chunk_rows = 2 * CHUNK_ROWS_STEP;
	*ret_bytes = gemm->packed_bytes(linear->n, linear->k);
	return FM_OK;
}

enum fm_status fm_linear_prepare(const struct fm_build *build, const struct fm_node *node,
        struct fm_step *step, float *weights, const float *weight_scale, size_t n, size_t k,
        struct fm_linear *ret_linear, struct fm_error *err)
{
	struct fm_linear linear = {.n = n, .k = k, .precision = build->precision, .gelu = node->fused.gelu};
	size_t bytes = 0;
	enum fm_status status;

	if (node->fused.grid && !node->fused.norm) {
		linear.precision = FM_INT8;
		linear.grid = fm_arena_memdup(build->arena, node->fused.grid, 1, sizeof(*linear.grid));
		if (!linear.grid)
			return fm_node_nomem(node, err);
	}
	/* Beyond this the s32 sum could overflow. */
	if (k > FM_GEMM_K_MAX)
		linear.precision = FM_FLOAT32;
	if (!fm_weights_clean(weights, n * k))
		return fm_node_fail(node, err, FM_E_UNSUPPORTED, "a weight is infinite or not a number");
	linear.normalizes = node->fused.norm != NULL;
	linear.nonnegative = !linear.normalizes && build->graph->values[node->inputs[0]].nonnegative;
	if (linear.normalizes && (status = fm_layer_norm_prepare(build, node->fused.norm, &linear.norm, err)))
		return status;
	status = linear.precision == FM_INT8
	                 ? prepare_int8(build, node, weights, weight_scale, &linear, &bytes, err)
	                 : prepare_f32(build, node, weights, &linear, &bytes, err);
	if (status)
		return status;
	step->info.precision = linear.precision;
	step->info.weight_bytes += bytes;
	step->info.weight_bytes_float32 += n * k * sizeof(float);
	*ret_linear = linear;
	return FM_OK;
}

enum fm_status fm_fused_weight_scale(const struct fm_build *build, const struct fm_node *node, size_t n,
        float alpha, const float **ret_scale, struct fm_error *err)
{
	const struct fm_fused *fused = &node->fused;

	if (!fused->weight_scale || (!fused->scale && alpha == 1.0f)) {
		*ret_scale = fused->weight_scale;
		return FM_OK;
	}
	float *scale = fm_arena_alloc(build->graph->arena, n, sizeof(*scale));
	if (!scale)
		return fm_node_nomem(node, err);
	for (size_t i = 0; i < n; i++)
		scale[i] = alpha * fused->weight_scale[i] * (fused->scale ? fused->scale[i] : 1.0f);
	*ret_scale = scale;
	return FM_OK;
}

/* Scratch: a chunk's codes, their quantization, the normalized rows; each only where there is one. */
static size_t codes_bytes(const struct fm_linear *linear)
{
	return linear->precision == FM_INT8 ? round64(linear->chunk_rows * linear->k_padded) : 0;
}

static size_t quant_bytes(const struct fm_linear *linear)
{
	return linear->precision == FM_INT8 ? round64(linear->chunk_rows * sizeof(struct fm_row_quant)) : 0;
}

size_t fm_linear_scratch_bytes(const struct fm_linear *linear)
{
	const size_t norm = linear->normalizes ? round64(linear->chunk_rows * linear->k * sizeof(float)) : 0;

	return codes_bytes(linear) + quant_bytes(linear) + norm;
}

static void run_gelu(const struct fm_linear *linear, const struct fm_transformer_kernels *kernels, float *out,
        size_t out_stride, size_t m)
{
	if (linear->gelu && out_stride == linear->n)
		kernels->gelu_f32(out, out, m * linear->n);
	else if (linear->gelu)
		for (size_t i = 0; i < m; i++)
			kernels->gelu_f32(out + i * out_stride, out + i * out_stride, linear->n);
}

static void run_chunk(const struct fm_linear *linear, const struct fm_kernels *kernels, char *scratch,
        float *out, size_t out_stride, const float *a, size_t a_stride, size_t m,
        const struct fm_epilogue *epilogue)
{
	const struct fm_transformer_kernels *transformer = fm_transformer_kernels_for(kernels->isa);

	if (linear->normalizes) {
		float *rows = (float *)(scratch + codes_bytes(linear) + quant_bytes(linear));

		transformer->layer_norm_f32(rows, linear->k, a, a_stride, m, linear->k, linear->norm.scale,
		        linear->norm.shift, linear->norm.epsilon);
		a = rows;
		a_stride = linear->k;
	}
	if (linear->precision == FM_INT8) {
		uint8_t *codes = (uint8_t *)scratch;
		struct fm_row_quant *quant = (struct fm_row_quant *)(scratch + codes_bytes(linear));

		if (linear->grid)
			fm_grid_kernels_for(kernels->isa)
			        ->quantize_f32(codes, quant, a, a_stride, m, linear->k, linear->k_padded,
			                linear->grid);
		else
			kernels->quantize_rows(codes, quant, a, a_stride, m, linear->k, linear->k_padded,
			        linear->nonnegative);
		kernels->gemm_u8s8.run(out, out_stride, codes, quant, m, linear->packed, linear->w_scale,
		        linear->n, linear->k, epilogue);
	} else {
		kernels->gemm_f32.run(
		        out, out_stride, a, a_stride, m, linear->packed, linear->n, linear->k, epilogue);
	}
	run_gelu(linear, transformer, out, out_stride, m);
}

bool fm_linear_takes_codes(const struct fm_linear *linear)
{
	return linear->precision == FM_INT8 && !linear->grid && !linear->normalizes;
}

void fm_linear_run_codes(const struct fm_linear *linear, const struct fm_kernels *kernels, float *out,
        size_t out_stride, const uint8_t *codes, const struct fm_row_quant *quant, size_t m,
        const struct fm_epilogue *epilogue)
{
	struct fm_epilogue part = *epilogue;

	if (linear->chain.residual)
		part.residual = NULL;
	kernels->gemm_u8s8.run(out, out_stride, codes, quant, m, linear->packed, linear->w_scale, linear->n,
	        linear->k, &part);
	run_gelu(linear, fm_transformer_kernels_for(kernels->isa), out, out_stride, m);
	fm_chain_run(&linear->chain, kernels, out, out_stride, m, linear->n, epilogue->residual);
}

void fm_linear_run(const struct fm_linear *linear, const struct fm_kernels *kernels, void *scratch,
        float *out, size_t out_stride, const float *a, size_t a_stride, size_t m,
        const struct fm_epilogue *epilogue)
{
	const bool whole = linear->precision == FM_FLOAT32 && !linear->normalizes && !linear->gelu &&
	                   !linear->chain.steps.last && !linear->chain.steps.first;
	const size_t chunk = whole ? m : linear->chunk_rows;
	struct fm_epilogue part = *epilogue;

	for (size_t row = 0; row < m; row += chunk) {
		const size_t rows = m - row < chunk ? m - row : chunk;
		const float *residual =
		        epilogue->residual ? epilogue->residual + row * epilogue->residual_stride : NULL;

		part.residual = linear->chain.residual ? NULL : residual;
		run_chunk(linear, kernels, scratch, out + row * out_stride, out_stride, a + row * a_stride,
		        a_stride, rows, &part);
		fm_chain_run(&linear->chain, kernels, out + row * out_stride, out_stride, rows, linear->n,
		        residual);
	}
}

enum fm_status fm_epilogue_prepare(const struct fm_build *build, const struct fm_node *node, float *weights,
        size_t n, size_t k, const float *bias, float bias_factor, struct fm_epilogue *ret_epilogue,
        struct fm_error *err)
{
	const struct fm_fused *fused = &node->fused;
	struct fm_epilogue epilogue = {
	        .activation = fused->activation, .clip_low = fused->clip_low, .clip_high = fused->clip_high};

	if (bias || fused->shift) {
		float *sum = fm_arena_alloc(build->arena, n, sizeof(*sum));

		if (!sum)
			return fm_node_nomem(node, err);
		for (size_t i = 0; i < n; i++) {
			double v = bias ? (double)bias[i] * bias_factor : 0.0;

			sum[i] = (float)(fused->scale ? v * fused->scale[i] + fused->shift[i] : v);
		}
		if (!fm_weights_clean(sum, n))
			return fm_node_fail(
			        node, err, FM_E_UNSUPPORTED, "a bias is infinite or not a number");
		epilogue.bias = sum;
	}
	for (size_t i = 0; fused->scale && i < n; i++)
		for (size_t j = 0; j < k; j++)
			weights[i * k + j] *= fused->scale[i];
	if (fused->activation == FM_ACT_PRELU) {
		float *slope = fm_arena_memdup(build->arena, fused->slope, n, sizeof(*slope));

		if (!slope)
			return fm_node_nomem(node, err);
		if (!fm_weights_clean(slope, n))
			return fm_node_fail(
			        node, err, FM_E_UNSUPPORTED, "a slope is infinite or not a number");
		epilogue.slope = slope;
	}
	*ret_epilogue = epilogue;
	return FM_OK;
}

enum fm_status fm_product_operands(
        const struct fm_build *build, const struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	const bool residual = node->fused.residual != FM_VALUE_NONE;
	uint32_t *inputs = fm_arena_alloc(build->arena, 2, sizeof(*inputs));

	if (!inputs)
		return fm_node_nomem(node, err);
	inputs[0] = node->inputs[0];
	inputs[1] = node->fused.residual;
	step->inputs = inputs;
	step->input_count = residual ? 2 : 1;
	/* Behind a grid the residual is read after the sums were written. */
	step->in_place = node->fused.first ? FM_VALUE_NONE : node->fused.residual;
	return FM_OK;
}

static enum fm_status keep_grid(const struct fm_build *build, const struct fm_node *node,
        const struct fm_grid *grid, const struct fm_grid **ret_copy, struct fm_error *err)
{
	*ret_copy = grid ? fm_arena_memdup(build->arena, grid, 1, sizeof(*grid)) : NULL;
	return grid && !*ret_copy ? fm_node_nomem(node, err) : FM_OK;
}

enum fm_status fm_chain_prepare(const struct fm_build *build, const struct fm_node *node,
        struct fm_epilogue *epilogue, struct fm_chain *ret_chain, struct fm_error *err)
{
	struct fm_chain chain = {0};
	enum fm_status status;

	if ((status = keep_grid(build, node, node->fused.first, &chain.steps.first, err)) ||
	        (status = keep_grid(build, node, node->fused.last, &chain.steps.last, err)))
		return status;
	if (chain.steps.first) {
		chain.residual = node->fused.residual != FM_VALUE_NONE;
		chain.steps.activation = epilogue->activation;
		chain.steps.slope = epilogue->slope;
		chain.steps.clip_low = epilogue->clip_low;
		chain.steps.clip_high = epilogue->clip_high;
		epilogue->activation = FM_ACT_NONE;
		epilogue->slope = NULL;
	}
	*ret_chain = chain;
	return FM_OK;
}

void fm_chain_run(const struct fm_chain *chain, const struct fm_kernels *kernels, float *x, size_t stride,
        size_t m, size_t n, const float *residual)
{
	struct fm_grid_chain steps = chain->steps;

	if (!steps.first && !steps.last)
		return;
	steps.residual = chain->residual ? residual : NULL;
	fm_grid_kernels_for(kernels->isa)->chain_f32(x, stride, m, n, &steps);
}
