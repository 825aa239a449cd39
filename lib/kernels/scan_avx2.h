/* What the scans on 256 bits share: internal to lib/kernels. */
#ifndef FM_KERNELS_SCAN_AVX2_H
#define FM_KERNELS_SCAN_AVX2_H

#include "lib/kernels/epilogue.h"
#include "lib/kernels/scan.h"

#include <immintrin.h>
#include <string.h>

FM_INLINE __m256i fm_broadcast_four(const int8_t *four)
{
	int32_t bits;

	memcpy(&bits, four, sizeof(bits));
	return _mm256_set1_epi32(bits);
}

FM_INLINE unsigned fm_select_eight(
        __m256i sums, const struct fm_scan_block *block, size_t face, const struct fm_scan_terms *terms)
{
	__m256 sum = _mm256_sub_ps(_mm256_cvtepi32_ps(sums), _mm256_set1_ps(terms->offset));
	__m256 centre = _mm256_mul_ps(
	        _mm256_mul_ps(sum, _mm256_loadu_ps(block->scales + face)), _mm256_set1_ps(terms->scale));
	__m256 reach = _mm256_add_ps(
	        _mm256_mul_ps(_mm256_loadu_ps(block->residuals + face), _mm256_set1_ps(terms->norm)),
	        _mm256_set1_ps(terms->fixed));
	__m256 stays = _mm256_cmp_ps(_mm256_add_ps(centre, reach), _mm256_set1_ps(terms->least), _CMP_GE_OQ);

	return (unsigned)_mm256_movemask_ps(stays) << face;
}

FM_INLINE void fm_finish_scan(__m256i first, __m256i second, int32_t *sums, uint16_t *mask,
        const struct fm_scan_block *block, const struct fm_scan_terms *terms)
{
	_mm256_storeu_si256((__m256i *)sums, first);
	_mm256_storeu_si256((__m256i *)sums + 1, second);
	*mask = (uint16_t)(fm_select_eight(first, block, 0, terms) |
	                   fm_select_eight(second, block, 8, terms));
}

FM_INLINE int32_t fm_sum_eight(__m256i sum)
{
	__m128i four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));

	four = _mm_add_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(1, 0, 3, 2)));
	four = _mm_add_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(2, 3, 0, 1)));
	return _mm_cvtsi128_si32(four);
}

/* Four dimensions of eight faces: `upper` holds them in its low nibbles if g is even, else in its high ones.
 */
FM_INLINE __m256i fm_join_eight(__m256i upper, __m256i lowest, size_t g)
{
	__m256i shifted = g % 2 ? _mm256_srli_epi16(upper, 3) : _mm256_slli_epi16(upper, 1);

	return _mm256_or_si256(_mm256_and_si256(shifted, _mm256_set1_epi8(30)),
	        _mm256_and_si256(_mm256_srli_epi16(lowest, (int)g), _mm256_set1_epi8(1)));
}

FM_INLINE __m256i fm_load_eight(const uint8_t *group, size_t line, size_t half)
{
	return _mm256_loadu_si256((const __m256i *)(group + line * FM_SCAN_LINE) + half);
}

#endif
