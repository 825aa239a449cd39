/*
 * The rows of a row-major image of few channels as codes of one grid, for int8: what lies under a
 * convolution's kernel is quantized once, not once for each patch that it is in. The padded rows under the
 * kernel lie in a ring, channels innermost, so that under each output pixel one row of the kernel is a run of
 * bytes. Threads: pure.
 */
#ifndef FM_NN_PIXELS_H
#define FM_NN_PIXELS_H

#include "lib/kernels/pixels.h"
#include "lib/nn/conv_shape.h"

struct fm_pixels {
	const struct fm_conv_shape *shape;
	const float *in;
	const struct fm_pixels_kernels *kernels;
	struct fm_row_quant quant; /* the image's */
	size_t filled;             /* padded input rows that have come so far */
	size_t slots;              /* input rows in the ring */
	uint8_t *ring;             /* [slots][padded row, slack] */
	const uint8_t **rows;
};

/* Whether the convolution has such rows, and a near cache holds them. */
bool fm_pixels_suit(const struct fm_conv_shape *shape);

/* A multiple of 64, for fm_pixels_begin. */
size_t fm_pixels_scratch_bytes(const struct fm_conv_shape *shape);

/*
 * Finds the image's range. scratch is 64-byte aligned; it, the shape and `in`, row-major, outlive the pixels.
 */
struct fm_pixels fm_pixels_begin(void *scratch, const struct fm_conv_shape *shape, const float *in,
        const struct fm_pixels_kernels *kernels);

/*
 * Where under output row y each row of the kernel begins, [kernel_h], for its first pixel; the next one's is
 * stride * channels bytes on. Valid until the next call; FM_PIXELS_SLACK bytes behind each may be read. Rows
 * come in ascending order.
 */
const uint8_t *const *fm_pixels_row(struct fm_pixels *pixels, size_t y);

/*
 * Rows of codes for gemm_u8s8, [count][k_padded], of output pixels from x on: [kernel_h][kernel_w][channels]
 * and zeros. FM_PIXELS_SLACK bytes behind the last one are overwritten.
 */
void fm_pixels_gather(uint8_t *codes, const uint8_t *const *rows, const struct fm_conv_shape *shape, size_t x,
        size_t count, size_t k_padded);

#endif
