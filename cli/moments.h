/*
 * What a layer multiplies its weights by, as second moments over calibration faces: all that rounding the
 * weights needs to know of its inputs. Threads: one owner.
 */
#ifndef FM_CLI_MOMENTS_H
#define FM_CLI_MOMENTS_H

#include "lib/base/status.h"
#include "lib/onnx/onnx.h"

#include <stdbool.h>
#include <stddef.h>

/* Of one layer: at most so many numbers of each kind, 128 MiB. */
#define FM_MOMENTS_MAX ((size_t)1 << 24)

/*
 * Where a layer's rows lie in its input. A row is the k numbers that one output number of each channel of a
 * group is made of: an image's patch (Conv, in the order of the weights' elements), or the innermost
 * dimension (Gemm, MatMul).
 */
struct fm_rows {
	size_t groups, k, count; /* count: rows of one input, of each group */
	bool is_conv;
	size_t channels, in_h, in_w, out_w; /* Conv; channels of one group */
	size_t kernel[2], stride[2], dilation[2];
	ptrdiff_t pad[2]; /* top, left */
};

/*
 * Of a Conv of images, a Gemm without transA, or a MatMul by a matrix: weight and input as they are. False
 * for other layers: convolutions of other ranks or with auto_pad.
 */
bool fm_rows_of(const struct fm_onnx_node *node, size_t weight_rank, const size_t *weight_dims,
        size_t input_rank, const size_t *input_dims, struct fm_rows *ret_rows);

/* Row i < rows->count of a group: ret_row[n * stride] for n < k. */
void fm_rows_get(const struct fm_rows *rows, const float *input, size_t group, size_t i, float *ret_row,
        size_t stride);

/* Which row is n-th of `count`, evenly taken from `offset` on; count <= rows->count. */
size_t fm_rows_pick(const struct fm_rows *rows, size_t n, size_t count, size_t offset);

/*
 * Means over rows x of the original network and x' of the quantized one, each with a last element of 1:
 * square[a][b] = x'_a x'_b, cross[a][b] = x'_a x_b. [groups][k + 1][k + 1] each.
 */
struct fm_moments {
	size_t groups, k, rows;
	double *square, *cross;
	float *scratch;
	void *packed[2];
};

/* FM_E_TOO_LARGE beyond FM_MOMENTS_MAX; FM_E_NOMEM. */
enum fm_status fm_moments_create(
        size_t groups, size_t k, struct fm_moments *ret_moments, struct fm_error *err);
void fm_moments_done(struct fm_moments *moments);

/* Adds `wanted` rows (at most all), evenly taken from `offset` on, of the two networks' inputs to the layer.
 */
void fm_moments_add(struct fm_moments *moments, const struct fm_rows *rows, const float *input,
        const float *quantized_input, size_t wanted, size_t offset);

/* Sums become means. */
void fm_moments_finish(struct fm_moments *moments);

#endif
