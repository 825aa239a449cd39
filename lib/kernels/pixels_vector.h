/* quant_of and quantize of pixels.h for SSE4.1, NEON, AVX2 and AVX-512BW. Internal to lib/kernels. */
#ifndef FM_KERNELS_PIXELS_VECTOR_H
#define FM_KERNELS_PIXELS_VECTOR_H

#include "lib/kernels/codes_vector.h"
#include "lib/kernels/pixels_internal.h"

/* Vectors whose ranges are found side by side. */
#define SPANS 4

/*
 * The largest of the bits as signed numbers is the largest float where one is positive, the largest as
 * unsigned ones the lowest float where one is negative; what else they are counts as 0.
 */
FM_INLINE struct fm_row_quant quant_of(const float *x, size_t count)
{
	bytes low[SPANS] = {0}, high[SPANS] = {0};
	float lows[LANES], highs[LANES], lowest = 0.0f, highest = 0.0f;
	size_t i = 0;

	for (; i + SPANS * LANES <= count; i += SPANS * LANES) {
		FM_UNROLL
		for (size_t v = 0; v < SPANS; v++) {
			const bytes bits = (bytes)fm_vector_load(x + i + v * LANES);

			low[v] = MAX_U32(low[v], bits);
			high[v] = MAX_S32(high[v], bits);
		}
	}
	fm_vector_store(lows, (fm_vector)MAX_U32(MAX_U32(low[0], low[1]), MAX_U32(low[2], low[3])));
	fm_vector_store(highs, (fm_vector)MAX_S32(MAX_S32(high[0], high[1]), MAX_S32(high[2], high[3])));
	for (size_t l = 0; l < LANES; l++) {
		lowest = lows[l] < lowest ? lows[l] : lowest;
		highest = highs[l] > highest ? highs[l] : highest;
	}
	for (; i < count; i++) {
		lowest = x[i] < lowest ? x[i] : lowest;
		highest = x[i] > highest ? x[i] : highest;
	}
	return fm_pixels_quant_between(lowest, highest);
}

#define NONE 0x80

/* Four pixels of each of up to four channels to four pixels, channels innermost, by the number of channels.
 */
static const uint8_t interleaved[FM_PIXELS_CHANNELS_MAX][16] = {
        {0, 1, 2, 3, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE},
        {0, 4, 1, 5, 2, 6, 3, 7, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE},
        {0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11, NONE, NONE, NONE, NONE},
        {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15}};

#if LANES > 4
/* What comes of each 128 bits then, moved together. */
static const int32_t together[FM_PIXELS_CHANNELS_MAX][16] = {{0, 4, 8, 12}, {0, 1, 4, 5, 8, 9, 12, 13},
        {0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
#endif

/* LANES * channels bytes side by side from those that SHUFFLE left in each 128 bits. */
FM_INLINE bytes close_up(bytes from, size_t channels)
{
#if defined(__AVX512BW__)
	return _mm512_permutexvar_epi32(_mm512_loadu_si512(together[channels - 1]), from);
#elif defined(__AVX2__)
	return _mm256_permutevar8x32_epi32(from, _mm256_loadu_si256((const __m256i *)together[channels - 1]));
#else
	(void)channels;
	return from;
#endif
}

FM_INLINE void quantize_channels(uint8_t *q, const float *from, size_t plane, size_t channels, size_t count,
        const struct fm_row_quant *quant)
{
	const fm_vector inverse = fm_vector_all(1.0f / quant->scale);
	const fm_vector_int zero = quant->zero - (fm_vector_int){0};

	for (size_t i = 0; i < count; i += LANES) {
		/* The last vector overlaps its neighbour: the same codes once more. */
		const size_t at = i + LANES <= count ? i : count - LANES;
		fm_vector_int s[FM_PIXELS_CHANNELS_MAX] = {0};

		FM_UNROLL
		for (size_t c = 0; c < channels; c++)
			s[c] = ROUND(fm_vector_load(from + c * plane + at) * inverse) + zero;
		const bytes codes = close_up(PACK_MOVE(s, MOVES(interleaved[channels - 1])), channels);
		memcpy(q + at * channels, &codes, sizeof(codes));
	}
}

FM_INLINE void quantize(uint8_t *q, const float *from, size_t plane, size_t channels, size_t count,
        const struct fm_row_quant *quant)
{
	if (count < LANES) {
		fm_pixels_quantize_scalar(q, from, plane, channels, count, quant);
		return;
	}
	switch (channels) {
	case 1: quantize_channels(q, from, plane, 1, count, quant); break;
	case 2: quantize_channels(q, from, plane, 2, count, quant); break;
	case 3: quantize_channels(q, from, plane, 3, count, quant); break;
	default: quantize_channels(q, from, plane, 4, count, quant); break;
	}
}

#endif
