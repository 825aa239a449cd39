#include "lib/kernels/epilogue.h"
#include "lib/kernels/scan.h"

#include <immintrin.h>
#include <string.h>

#include "lib/base/banned.h"

/* Two products fit s16 as often as nothing else is added: 8 * 2 * 15 * 128 < 2^15. */
#define LINES 4

FM_INLINE __m128i broadcast(const int8_t *four)
{
	int32_t bits;

	memcpy(&bits, four, sizeof(bits));
	return _mm_set1_epi32(bits);
}

FM_INLINE uint16_t select_lanes(
        const __m128i *sums, const struct fm_scan_block *block, const struct fm_scan_terms *terms)
{
	unsigned mask = 0;

	FM_UNROLL
	for (size_t v = 0; v < 4; v++) {
		__m128 sum = _mm_sub_ps(_mm_cvtepi32_ps(sums[v]), _mm_set1_ps(terms->offset));
		__m128 centre = _mm_mul_ps(
		        _mm_mul_ps(sum, _mm_loadu_ps(block->scales + 4 * v)), _mm_set1_ps(terms->scale));
		__m128 reach = _mm_add_ps(
		        _mm_mul_ps(_mm_loadu_ps(block->residuals + 4 * v), _mm_set1_ps(terms->norm)),
		        _mm_set1_ps(terms->fixed));
		__m128 stays = _mm_cmpge_ps(_mm_add_ps(centre, reach), _mm_set1_ps(terms->least));
		mask |= (unsigned)_mm_movemask_ps(stays) << (4 * v);
	}
	return (uint16_t)mask;
}

void fm_scan_u4s8_sse41(int32_t *sums, uint16_t *masks, const struct fm_scan_block *block,
        const int8_t *probes, const struct fm_scan_terms *terms, size_t count, size_t dim)
{
	const __m128i low = _mm_set1_epi8(15), ones = _mm_set1_epi16(1);

	for (size_t p = 0; p < count; p++, sums += FM_SCAN_FACES, probes += dim) {
		__m128i sum[4] = {
		        _mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
		const uint8_t *nibbles = block->nibbles;

		for (size_t d = 0; d < dim; d += LINES * FM_SCAN_PER_LINE) {
			__m128i pairs[4] = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128(),
			        _mm_setzero_si128()};
			for (size_t line = 0; line < LINES; line++, nibbles += FM_SCAN_LINE) {
				const int8_t *probe = probes + d + line * FM_SCAN_PER_LINE;
				__m128i first = broadcast(probe), second = broadcast(probe + 4);
				FM_UNROLL
				for (size_t v = 0; v < 4; v++) {
					__m128i x = _mm_loadu_si128((const __m128i *)nibbles + v);
					__m128i y = _mm_and_si128(_mm_srli_epi16(x, 4), low);
					x = _mm_and_si128(x, low);
					pairs[v] = _mm_add_epi16(pairs[v], _mm_maddubs_epi16(x, first));
					pairs[v] = _mm_add_epi16(pairs[v], _mm_maddubs_epi16(y, second));
				}
			}
			FM_UNROLL
			for (size_t v = 0; v < 4; v++)
				sum[v] = _mm_add_epi32(sum[v], _mm_madd_epi16(pairs[v], ones));
		}
		FM_UNROLL
		for (size_t v = 0; v < 4; v++)
			_mm_storeu_si128((__m128i *)sums + v, sum[v]);
		masks[p] = select_lanes(sum, block, &terms[p]);
	}
}

int32_t fm_dot_u4s8_sse41(const uint8_t *row, const int8_t *probe, size_t half)
{
	const __m128i low = _mm_set1_epi8(15), ones = _mm_set1_epi16(1);
	__m128i sum = _mm_setzero_si128();

	for (size_t i = 0; i < half; i += 16) {
		__m128i x = _mm_loadu_si128((const __m128i *)(row + i));
		__m128i y = _mm_and_si128(_mm_srli_epi16(x, 4), low);
		x = _mm_and_si128(x, low);
		x = _mm_maddubs_epi16(x, _mm_loadu_si128((const __m128i *)(probe + i)));
		y = _mm_maddubs_epi16(y, _mm_loadu_si128((const __m128i *)(probe + half + i)));
		sum = _mm_add_epi32(sum, _mm_madd_epi16(_mm_add_epi16(x, y), ones));
	}
	sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, _MM_SHUFFLE(1, 0, 3, 2)));
	sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, _MM_SHUFFLE(2, 3, 0, 1)));
	return _mm_cvtsi128_si32(sum);
}
