#include "lib/kernels/scan_avx2.h"

#include "lib/base/banned.h"

/* Lines until s16 would overflow: 4 * 2 vectors of two products each, 4 * 2 * 2 * 15 * 128 < 2^15. */
#define LINES      4
#define PROBES_MAX 2

FM_INLINE void tile(size_t probes_in_tile, int32_t *sums, uint16_t *masks, const struct fm_scan_block *block,
        const int8_t *probes, const struct fm_scan_terms *terms, size_t dim)
{
	const __m256i low = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
	__m256i sum[PROBES_MAX][2];
	const uint8_t *nibbles = block->nibbles;

	FM_UNROLL
	for (size_t p = 0; p < probes_in_tile; p++)
		sum[p][0] = sum[p][1] = _mm256_setzero_si256();
	for (size_t d = 0; d < dim; d += LINES * FM_SCAN_PER_LINE) {
		__m256i pairs[PROBES_MAX][2];
		FM_UNROLL
		for (size_t p = 0; p < probes_in_tile; p++)
			pairs[p][0] = pairs[p][1] = _mm256_setzero_si256();
		FM_UNROLL
		for (size_t line = 0; line < LINES; line++, nibbles += FM_SCAN_LINE) {
			const int8_t *probe = probes + d + line * FM_SCAN_PER_LINE;
			__m256i x0 = _mm256_loadu_si256((const __m256i *)nibbles);
			__m256i x1 = _mm256_loadu_si256((const __m256i *)nibbles + 1);
			__m256i y0 = _mm256_and_si256(_mm256_srli_epi16(x0, 4), low);
			__m256i y1 = _mm256_and_si256(_mm256_srli_epi16(x1, 4), low);
			x0 = _mm256_and_si256(x0, low);
			x1 = _mm256_and_si256(x1, low);
			FM_UNROLL
			for (size_t p = 0; p < probes_in_tile; p++) {
				__m256i first = fm_broadcast_four(probe + p * dim);
				__m256i second = fm_broadcast_four(probe + p * dim + 4);
				__m256i zero = _mm256_add_epi16(
				        _mm256_maddubs_epi16(x0, first), _mm256_maddubs_epi16(y0, second));
				__m256i one = _mm256_add_epi16(
				        _mm256_maddubs_epi16(x1, first), _mm256_maddubs_epi16(y1, second));
				pairs[p][0] = _mm256_add_epi16(pairs[p][0], zero);
				pairs[p][1] = _mm256_add_epi16(pairs[p][1], one);
			}
		}
		FM_UNROLL
		for (size_t p = 0; p < probes_in_tile; p++) {
			sum[p][0] = _mm256_add_epi32(sum[p][0], _mm256_madd_epi16(pairs[p][0], ones));
			sum[p][1] = _mm256_add_epi32(sum[p][1], _mm256_madd_epi16(pairs[p][1], ones));
		}
	}
	FM_UNROLL
	for (size_t p = 0; p < probes_in_tile; p++)
		fm_finish_scan(sum[p][0], sum[p][1], sums + p * FM_SCAN_FACES, &masks[p], block, &terms[p]);
}

void fm_scan_u4s8_avx2(int32_t *sums, uint16_t *masks, const struct fm_scan_block *block,
        const int8_t *probes, const struct fm_scan_terms *terms, size_t count, size_t dim)
{
	size_t p = 0;

	for (; p + 2 <= count; p += 2)
		tile(2, sums + p * FM_SCAN_FACES, masks + p, block, probes + p * dim, terms + p, dim);
	if (p < count)
		tile(1, sums + p * FM_SCAN_FACES, masks + p, block, probes + p * dim, terms + p, dim);
}

int32_t fm_dot_u4s8_avx2(const uint8_t *row, const int8_t *probe, size_t half)
{
	const __m256i low = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
	__m256i sum = _mm256_setzero_si256();
	size_t i = 0;

	for (; i + 32 <= half; i += 32) {
		__m256i x = _mm256_loadu_si256((const __m256i *)(row + i));
		__m256i y = _mm256_and_si256(_mm256_srli_epi16(x, 4), low);
		x = _mm256_and_si256(x, low);
		x = _mm256_maddubs_epi16(x, _mm256_loadu_si256((const __m256i *)(probe + i)));
		y = _mm256_maddubs_epi16(y, _mm256_loadu_si256((const __m256i *)(probe + half + i)));
		sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_add_epi16(x, y), ones));
	}
	int32_t total = fm_sum_eight(sum);
	for (; i < half; i++)
		total += (row[i] & 15) * probe[i] + (row[i] >> 4) * probe[half + i];
	return total;
}
