#include "lib/kernels/pixels_internal.h"

#include "lib/base/banned.h"

struct fm_row_quant fm_pixels_quant_of_scalar(const float *x, size_t count)
{
	float low = 0.0f, high = 0.0f;

	for (size_t i = 0; i < count; i++) {
		low = x[i] < low ? x[i] : low;
		high = x[i] > high ? x[i] : high;
	}
	return fm_pixels_quant_between(low, high);
}

void fm_pixels_quantize_scalar(uint8_t *q, const float *from, size_t plane, size_t channels, size_t count,
        const struct fm_row_quant *quant)
{
	const float inverse = 1.0f / quant->scale;

	for (size_t i = 0; i < count; i++)
		for (size_t c = 0; c < channels; c++) {
			const long code = lrintf(from[c * plane + i] * inverse) + quant->zero;

			*q++ = (uint8_t)(code < 0 ? 0 : code > 255 ? 255 : code);
		}
}
