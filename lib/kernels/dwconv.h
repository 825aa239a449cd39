/* One dwconv_f32 per ISA, and the arithmetic of borders that they share. Internal to lib/kernels. */
#ifndef FM_KERNELS_DWCONV_H
#define FM_KERNELS_DWCONV_H

#include "lib/kernels/kernels.h"

#include <stdbool.h>

#define FM_DWCONV_NEAR_BYTES ((size_t)512 * 1024)

/* A half-open range: of taps that lie inside the input, or of outputs whose taps all do. */
struct fm_span {
	size_t begin, end;
};

/* The taps of output `o` that lie inside an input of length `in`; empty when none does. */
static inline struct fm_span fm_span_taps(
        size_t o, size_t in, size_t kernel, size_t stride, size_t dilation, size_t pad)
{
	size_t start = o * stride; /* in coordinates that count the padding */
	struct fm_span span = {0, 0};

	if (start < pad)
		span.begin = (pad - start + dilation - 1) / dilation;
	if (start < in + pad)
		span.end = (in + pad - start + dilation - 1) / dilation;
	if (span.end > kernel)
		span.end = kernel;
	if (span.begin > span.end)
		span.begin = span.end;
	return span;
}

/* The outputs, of `out`, whose taps all lie inside. */
static inline struct fm_span fm_span_interior(
        size_t out, size_t in, size_t kernel, size_t stride, size_t dilation, size_t pad)
{
	size_t reach = (kernel - 1) * dilation + 1;
	struct fm_span span = {0, 0};

	if (in + pad < reach)
		return span;
	span.begin = (pad + stride - 1) / stride;
	span.end = (in + pad - reach) / stride + 1;
	if (span.end > out)
		span.end = out;
	if (span.begin > span.end)
		span.begin = span.end;
	return span;
}

/*
 * Whether rows are asked for before their turn: with several cache lines to a pixel, of which one is taken at
 * a time, and an input that no near cache holds, hardware does not.
 */
static inline bool fm_dwconv_far(const struct fm_dwconv_shape *s)
{
	return s->channels > 16 && s->in_h * s->in_w * s->channels * sizeof(float) > FM_DWCONV_NEAR_BYTES;
}

void fm_dwconv_f32_scalar(float *out, const float *in, const float *weights,
        const struct fm_dwconv_shape *shape, const struct fm_epilogue *epilogue);
void fm_dwconv_f32_sse41(float *out, const float *in, const float *weights,
        const struct fm_dwconv_shape *shape, const struct fm_epilogue *epilogue);
void fm_dwconv_f32_avx2(float *out, const float *in, const float *weights,
        const struct fm_dwconv_shape *shape, const struct fm_epilogue *epilogue);
void fm_dwconv_f32_avx512vnni(float *out, const float *in, const float *weights,
        const struct fm_dwconv_shape *shape, const struct fm_epilogue *epilogue);
bool fm_dwconv_pool_f32_avx512vnni(float *out, const float *in, const float *weights,
        const struct fm_dwconv_shape *shape, const struct fm_epilogue *epilogue);
void fm_dwconv_f32_neon(float *out, const float *in, const float *weights,
        const struct fm_dwconv_shape *shape, const struct fm_epilogue *epilogue);

#endif
