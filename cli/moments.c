#include "cli/moments.h"

#include "lib/base/mem.h"
#include "lib/base/size.h"
#include "lib/kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

/* Rows summed in float32 before they go to the double: their products' sum is exact to some 1e-6. */
#define CHUNK 128
/* More than any layer has; keeps the sums below from wrapping. */
#define PAD_MAX (1 << 20)

static size_t attribute_pair(const struct fm_onnx_node *node, const char *name, size_t ret_values[2])
{
	const struct fm_onnx_attribute *attribute = fm_onnx_attribute(node, name);

	for (size_t i = 0; attribute && i < 2 && i < attribute->count; i++)
		ret_values[i] = attribute->ints[i] > 0 ? (size_t)attribute->ints[i] : 0;
	return attribute ? attribute->count : 0;
}

static bool rows_of_conv(const struct fm_onnx_node *node, size_t weight_rank, const size_t *weight_dims,
        size_t input_rank, const size_t *input_dims, struct fm_rows *rows)
{
	const struct fm_onnx_attribute *auto_pad = fm_onnx_attribute(node, "auto_pad");
	const struct fm_onnx_attribute *pads = fm_onnx_attribute(node, "pads");
	size_t out[2];

	if (weight_rank != 4 || input_rank != 4 || input_dims[0] != 1 || !weight_dims[1] ||
	        input_dims[1] % weight_dims[1] || (pads && pads->count != 4) ||
	        (auto_pad && (!auto_pad->s || strcmp(auto_pad->s, "NOTSET") != 0)))
		return false;
	*rows = (struct fm_rows){.groups = input_dims[1] / weight_dims[1],
	        .is_conv = true,
	        .channels = weight_dims[1],
	        .in_h = input_dims[2],
	        .in_w = input_dims[3],
	        .kernel = {weight_dims[2], weight_dims[3]},
	        .stride = {1, 1},
	        .dilation = {1, 1}};
	attribute_pair(node, "strides", rows->stride);
	attribute_pair(node, "dilations", rows->dilation);
	for (size_t d = 0; d < 2; d++) {
		const int64_t before = pads ? pads->ints[d] : 0, after = pads ? pads->ints[d + 2] : 0;
		if (before < 0 || after < 0 || before > PAD_MAX || after > PAD_MAX)
			return false;
		const size_t padded = input_dims[2 + d] + (size_t)before + (size_t)after;
		const size_t reach = (rows->kernel[d] - 1) * rows->dilation[d] + 1;

		if (!rows->kernel[d] || !rows->stride[d] || reach > padded)
			return false;
		rows->pad[d] = (ptrdiff_t)before;
		out[d] = (padded - reach) / rows->stride[d] + 1;
	}
	rows->out_w = out[1];
	rows->count = out[0] * out[1];
	rows->k = rows->channels * rows->kernel[0] * rows->kernel[1];
	return true;
}

bool fm_rows_of(const struct fm_onnx_node *node, size_t weight_rank, const size_t *weight_dims,
        size_t input_rank, const size_t *input_dims, struct fm_rows *ret_rows)
{
	const struct fm_onnx_attribute *transposed = fm_onnx_attribute(node, "transA");
	size_t count = 1;

	if (strcmp(node->op, "Conv") == 0)
		return rows_of_conv(node, weight_rank, weight_dims, input_rank, input_dims, ret_rows);
	if (input_rank < 1 || weight_rank != 2 || (transposed && transposed->i))
		return false;
	for (size_t i = 0; i + 1 < input_rank; i++)
		count *= input_dims[i];
	*ret_rows = (struct fm_rows){.groups = 1, .k = input_dims[input_rank - 1], .count = count};
	return true;
}

void fm_rows_get(
        const struct fm_rows *rows, const float *input, size_t group, size_t i, float *ret_row, size_t stride)
{
	const size_t plane = rows->in_h * rows->in_w;

	if (!rows->is_conv) {
		for (size_t n = 0; n < rows->k; n++)
			ret_row[n * stride] = input[i * rows->k + n];
		return;
	}
	const ptrdiff_t top = (ptrdiff_t)(i / rows->out_w * rows->stride[0]) - rows->pad[0];
	const ptrdiff_t left = (ptrdiff_t)(i % rows->out_w * rows->stride[1]) - rows->pad[1];
	for (size_t c = 0; c < rows->channels; c++)
		for (size_t y = 0; y < rows->kernel[0]; y++)
			for (size_t x = 0; x < rows->kernel[1]; x++, ret_row += stride) {
				const ptrdiff_t at_y = top + (ptrdiff_t)(y * rows->dilation[0]);
				const ptrdiff_t at_x = left + (ptrdiff_t)(x * rows->dilation[1]);
				const bool inside = at_y >= 0 && at_y < (ptrdiff_t)rows->in_h && at_x >= 0 &&
				                    at_x < (ptrdiff_t)rows->in_w;

				*ret_row = inside ? input[(group * rows->channels + c) * plane +
				                            (size_t)at_y * rows->in_w + (size_t)at_x]
				                  : 0.0f;
			}
}

size_t fm_rows_pick(const struct fm_rows *rows, size_t n, size_t count, size_t offset)
{
	return (n * rows->count / count + offset) % rows->count;
}

void fm_moments_done(struct fm_moments *moments)
{
	free(moments->square);
	free(moments->cross);
	free(moments->scratch);
	free(moments->packed[0]);
	free(moments->packed[1]);
	*moments = (struct fm_moments){0};
}

enum fm_status fm_moments_create(
        size_t groups, size_t k, struct fm_moments *ret_moments, struct fm_error *err)
{
	struct fm_moments moments = {.groups = groups, .k = k};
	const size_t side = k + 1;
	size_t elements;

	if (!fm_size_mul(side, side, &elements) || !fm_size_mul(elements, groups, &elements) ||
	        elements > FM_MOMENTS_MAX)
		return fm_fail(err, FM_E_TOO_LARGE,
		        "a layer of %zu groups of %zu inputs is too large to tune", groups, k);
	moments.square = fm_calloc(elements, sizeof(double));
	moments.cross = fm_calloc(elements, sizeof(double));
	/* Two blocks of columns, and their product. */
	moments.scratch = fm_aligned_alloc((2 * side * CHUNK + side * side) * sizeof(float));
	for (size_t i = 0; i < 2; i++)
		moments.packed[i] = fm_aligned_alloc(fm_kernels_best()->gemm_f32.packed_bytes(side, CHUNK));
	if (!moments.square || !moments.cross || !moments.scratch || !moments.packed[0] ||
	        !moments.packed[1]) {
		fm_moments_done(&moments);
		return fm_fail(err, FM_E_NOMEM, "no memory for the moments of %zu inputs", k);
	}
	*ret_moments = moments;
	return FM_OK;
}

static void accumulate(double *sums, const float *products, size_t count)
{
	for (size_t i = 0; i < count; i++)
		sums[i] += (double)products[i];
}

/* The columns' last is 1 where there is a row, and 0 in what fills up the block. */
static void add_chunk(struct fm_moments *moments, size_t group)
{
	const struct fm_gemm_f32 *gemm = &fm_kernels_best()->gemm_f32;
	const struct fm_epilogue plain = {0};
	const size_t side = moments->k + 1;
	const float *columns[2] = {moments->scratch, moments->scratch + side * CHUNK};
	float *products = moments->scratch + 2 * side * CHUNK;

	for (size_t i = 0; i < 2; i++) {
		gemm->pack(moments->packed[i], columns[i], side, CHUNK);
		gemm->run(products, side, columns[0], CHUNK, side, moments->packed[i], side, CHUNK, &plain);
		accumulate(
		        (i ? moments->cross : moments->square) + group * side * side, products, side * side);
	}
}

void fm_moments_add(struct fm_moments *moments, const struct fm_rows *rows, const float *input,
        const float *quantized_input, size_t wanted, size_t offset)
{
	const size_t side = moments->k + 1, count = wanted < rows->count ? wanted : rows->count;
	float *columns[2] = {moments->scratch, moments->scratch + side * CHUNK};

	for (size_t g = 0; g < moments->groups; g++)
		for (size_t done = 0; done < count; done += CHUNK) {
			memset(moments->scratch, 0, 2 * side * CHUNK * sizeof(float));
			for (size_t n = 0; n < CHUNK && done + n < count; n++) {
				const size_t i = fm_rows_pick(rows, done + n, count, offset);

				fm_rows_get(rows, quantized_input, g, i, columns[0] + n, CHUNK);
				fm_rows_get(rows, input, g, i, columns[1] + n, CHUNK);
				columns[0][moments->k * CHUNK + n] = 1.0f;
				columns[1][moments->k * CHUNK + n] = 1.0f;
			}
			add_chunk(moments, g);
		}
	moments->rows += count;
}

void fm_moments_finish(struct fm_moments *moments)
{
	const size_t elements = moments->groups * (moments->k + 1) * (moments->k + 1);

	for (size_t i = 0; moments->rows && i < elements; i++) {
		moments->square[i] /= (double)moments->rows;
		moments->cross[i] /= (double)moments->rows;
	}
}
