#include "lib/kernels/quantize.h"

#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

static int32_t clamp_u8(long v)
{
	return v < 0 ? 0 : v > 255 ? 255 : (int32_t)v;
}

void fm_quantize_rows_scalar(uint8_t *q, struct fm_row_quant *quant, const float *a, size_t a_stride,
        size_t m, size_t k, size_t k_padded, bool nonnegative)
{
	(void)nonnegative;
	for (size_t i = 0; i < m; i++) {
		const float *row = a + i * a_stride;
		uint8_t *codes = q + i * k_padded;
		float low = 0.0f, high = 0.0f;

		for (size_t t = 0; t < k; t++) {
			low = row[t] < low ? row[t] : low;
			high = row[t] > high ? row[t] : high;
		}
		float range = high - low;
		float scale = range < FM_QUANT_RANGE_MIN ? 1.0f : range / 255.0f;
		float inverse = 1.0f / scale;
		int32_t zero = clamp_u8(lrintf(-low / scale));

		quant[i] = (struct fm_row_quant){.scale = scale, .zero = zero};
		for (size_t t = 0; t < k; t++)
			codes[t] = (uint8_t)clamp_u8(lrintf(row[t] * inverse) + zero);
		memset(codes + k, 0, k_padded - k);
	}
}
