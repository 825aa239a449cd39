#include "lib/kernels/epilogue.h"
#include "lib/kernels/scan.h"

#include <immintrin.h>
#include <string.h>

#include "lib/base/banned.h"

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

/* Four dimensions of four faces: `upper` holds them in its low nibbles if even, else in its high ones. */
FM_INLINE __m128i join(__m128i upper, __m128i lowest, size_t g)
{
	__m128i shifted = g % 2 ? _mm_srli_epi16(upper, 3) : _mm_slli_epi16(upper, 1);

	return _mm_or_si128(_mm_and_si128(shifted, _mm_set1_epi8(30)),
	        _mm_and_si128(_mm_srli_epi16(lowest, (int)g), _mm_set1_epi8(1)));
}

void fm_scan_u5s8_sse41(int32_t *sums, uint16_t *masks, const struct fm_scan_block *block,
        const int8_t *probes, const struct fm_scan_terms *terms, size_t count, size_t dim)
{
	const __m128i ones = _mm_set1_epi16(1);

	for (size_t p = 0; p < count; p++, sums += FM_SCAN_FACES, probes += dim) {
		__m128i sum[4] = {
		        _mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
		const uint8_t *group = block->codes;

		for (size_t d = 0; d < dim; d += FM_SCAN_PER_GROUP, group += FM_SCAN_GROUP) {
			FM_UNROLL
			for (size_t v = 0; v < 4; v++) {
				const __m128i *line = (const __m128i *)group + v;
				__m128i lowest = _mm_loadu_si128(line + 16);
				/* Four times two products fit s16: 4 * 2 * 31 * 128 < 2^15. */
				FM_UNROLL
				for (size_t half = 0; half < 2; half++) {
					__m128i pairs = _mm_setzero_si128();
					FM_UNROLL
					for (size_t g = 4 * half; g < 4 * half + 4; g++) {
						__m128i upper = _mm_loadu_si128(line + g / 2 * 4);
						pairs = _mm_add_epi16(
						        pairs, _mm_maddubs_epi16(join(upper, lowest, g),
						                       broadcast(probes + d + 4 * g)));
					}
					sum[v] = _mm_add_epi32(sum[v], _mm_madd_epi16(pairs, ones));
				}
			}
		}
		FM_UNROLL
		for (size_t v = 0; v < 4; v++)
			_mm_storeu_si128((__m128i *)sums + v, sum[v]);
		masks[p] = select_lanes(sum, block, &terms[p]);
	}
}

int32_t fm_dot_u3s8_sse41(const uint8_t *row, const int8_t *probe, size_t dim)
{
	const size_t eighth = dim / 8;
	__m128i sum = _mm_setzero_si128();

	for (size_t i = 0; i < eighth; i += 16) {
		__m128i lowest = _mm_loadu_si128((const __m128i *)(row + 2 * eighth + i));
		__m128i pairs = _mm_setzero_si128();
		/* Eight times two products fit s16: 8 * 2 * 7 * 128 < 2^15. */
		FM_UNROLL
		for (size_t g = 0; g < 8; g++) {
			__m128i upper = _mm_loadu_si128((const __m128i *)(row + g % 2 * eighth + i));
			__m128i two = g < 2 ? _mm_slli_epi16(upper, 1)
			                    : _mm_srli_epi16(upper, (int)(g / 2 * 2 - 1));
			__m128i one = _mm_srli_epi16(lowest, (int)g);
			__m128i value = _mm_or_si128(
			        _mm_and_si128(two, _mm_set1_epi8(6)), _mm_and_si128(one, _mm_set1_epi8(1)));
			pairs = _mm_add_epi16(
			        pairs, _mm_maddubs_epi16(value,
			                       _mm_loadu_si128((const __m128i *)(probe + g * eighth + i))));
		}
		sum = _mm_add_epi32(sum, _mm_madd_epi16(pairs, _mm_set1_epi16(1)));
	}
	sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, _MM_SHUFFLE(1, 0, 3, 2)));
	sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, _MM_SHUFFLE(2, 3, 0, 1)));
	return _mm_cvtsi128_si32(sum);
}
