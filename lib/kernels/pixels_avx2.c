#include "lib/kernels/pixels_vector.h"

#include "lib/base/banned.h"

struct fm_row_quant fm_pixels_quant_of_avx2(const float *x, size_t count)
{
	return quant_of(x, count);
}

void fm_pixels_quantize_avx2(uint8_t *q, const float *from, size_t plane, size_t channels, size_t count,
        const struct fm_row_quant *quant)
{
	quantize(q, from, plane, channels, count, quant);
}
