#include "lib/kernels/columns.h"

#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

static int32_t clamp_u8(long v)
{
	return v < 0 ? 0 : v > 255 ? 255 : (int32_t)v;
}

void fm_quantize_columns_scalar(uint8_t *q, struct fm_row_quant *quant, const float *const *columns, size_t m,
        size_t k, size_t k_padded, const float *const *spans, size_t span_count)
{
	for (size_t i = 0; i < m; i++) {
		uint8_t *codes = q + i * k_padded;
		float low = 0.0f, high = 0.0f;

		for (size_t s = 0; s < span_count; s++) {
			low = spans[s][i] < low ? spans[s][i] : low;
			high = spans[s][i] > high ? spans[s][i] : high;
		}
		const float range = high - low;
		const float scale = range < FM_QUANT_RANGE_MIN ? 1.0f : range / 255.0f;
		const float inverse = 1.0f / scale;
		const int32_t zero = clamp_u8(lrintf(-low / scale));

		quant[i] = (struct fm_row_quant){.scale = scale, .zero = zero};
		for (size_t t = 0; t < k; t++)
			codes[t] = (uint8_t)clamp_u8(lrintf(columns[t][i] * inverse) + zero);
		memset(codes + k, 0, k_padded - k);
	}
}

void fm_span_columns_scalar(
        float *low, float *high, const float *from, size_t from_stride, size_t m, size_t k)
{
	for (size_t i = 0; i < m; i++) {
		low[i] = high[i] = 0.0f;
		for (size_t t = 0; t < k; t++) {
			const float x = from[t * from_stride + i];

			low[i] = x < low[i] ? x : low[i];
			high[i] = x > high[i] ? x : high[i];
		}
	}
}
