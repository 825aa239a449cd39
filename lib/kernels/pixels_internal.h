/* The kernels of pixels.h of each ISA. Internal to lib/kernels. */
#ifndef FM_KERNELS_PIXELS_INTERNAL_H
#define FM_KERNELS_PIXELS_INTERNAL_H

#include "lib/kernels/epilogue.h"
#include "lib/kernels/pixels.h"

FM_INLINE struct fm_row_quant fm_pixels_quant_between(float low, float high)
{
	const float range = high - low;
	const float scale = range < FM_QUANT_RANGE_MIN ? 1.0f : range / 255.0f;
	const long zero = lrintf(-low / scale);

	return (struct fm_row_quant){.scale = scale, .zero = zero < 0 ? 0 : zero > 255 ? 255 : (int32_t)zero};
}

#define FM_PIXELS_DECLARE(isa)                                                                               \
	struct fm_row_quant fm_pixels_quant_of_##isa(const float *x, size_t count);                          \
	void fm_pixels_quantize_##isa(uint8_t *q, const float *from, size_t plane, size_t channels,          \
	        size_t count, const struct fm_row_quant *quant)

FM_PIXELS_DECLARE(scalar);
FM_PIXELS_DECLARE(sse41);
FM_PIXELS_DECLARE(neon);
FM_PIXELS_DECLARE(avx2);
FM_PIXELS_DECLARE(avx512vnni);
void fm_pixels_multiply_avx512vnni(float *out, const uint8_t *const *rows, size_t count,
        const struct fm_pixels_product *product, const struct fm_row_quant *quant,
        const struct fm_epilogue *epilogue);

#endif
