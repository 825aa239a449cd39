#include "lib/kernels/scan_avx2.h"

#include "lib/base/banned.h"

#define PROBES_MAX 2

FM_INLINE void tile(size_t probes_in_tile, int32_t *sums, uint16_t *masks, const struct fm_scan_block *block,
        const int8_t *probes, const struct fm_scan_terms *terms, size_t dim)
{
	const __m256i ones = _mm256_set1_epi16(1);
	const uint8_t *group = block->codes;
	__m256i sum[PROBES_MAX][2];

	FM_UNROLL
	for (size_t p = 0; p < probes_in_tile; p++)
		sum[p][0] = sum[p][1] = _mm256_setzero_si256();
	for (size_t d = 0; d < dim; d += FM_SCAN_PER_GROUP, group += FM_SCAN_GROUP) {
		__m256i lowest0 = fm_load_eight(group, 4, 0), lowest1 = fm_load_eight(group, 4, 1);
		/* Four times two products fit s16: 4 * 2 * 31 * 128 < 2^15. */
		FM_UNROLL
		for (size_t half = 0; half < 2; half++) {
			__m256i pairs[PROBES_MAX][2];
			FM_UNROLL
			for (size_t p = 0; p < probes_in_tile; p++)
				pairs[p][0] = pairs[p][1] = _mm256_setzero_si256();
			FM_UNROLL
			for (size_t g = 4 * half; g < 4 * half + 4; g++) {
				__m256i x0 = fm_join_eight(fm_load_eight(group, g / 2, 0), lowest0, g);
				__m256i x1 = fm_join_eight(fm_load_eight(group, g / 2, 1), lowest1, g);
				FM_UNROLL
				for (size_t p = 0; p < probes_in_tile; p++) {
					__m256i four = fm_broadcast_four(probes + p * dim + d + 4 * g);
					pairs[p][0] =
					        _mm256_add_epi16(pairs[p][0], _mm256_maddubs_epi16(x0, four));
					pairs[p][1] =
					        _mm256_add_epi16(pairs[p][1], _mm256_maddubs_epi16(x1, four));
				}
			}
			FM_UNROLL
			for (size_t p = 0; p < probes_in_tile; p++) {
				sum[p][0] = _mm256_add_epi32(sum[p][0], _mm256_madd_epi16(pairs[p][0], ones));
				sum[p][1] = _mm256_add_epi32(sum[p][1], _mm256_madd_epi16(pairs[p][1], ones));
			}
		}
	}
	FM_UNROLL
	for (size_t p = 0; p < probes_in_tile; p++)
		fm_finish_scan(sum[p][0], sum[p][1], sums + p * FM_SCAN_FACES, &masks[p], block, &terms[p]);
}

void fm_scan_u5s8_avx2(int32_t *sums, uint16_t *masks, const struct fm_scan_block *block,
        const int8_t *probes, const struct fm_scan_terms *terms, size_t count, size_t dim)
{
	size_t p = 0;

	for (; p + 2 <= count; p += 2)
		tile(2, sums + p * FM_SCAN_FACES, masks + p, block, probes + p * dim, terms + p, dim);
	if (p < count)
		tile(1, sums + p * FM_SCAN_FACES, masks + p, block, probes + p * dim, terms + p, dim);
}

/* An eighth of the dimensions may be no more than 16: those two by two. */
int32_t fm_dot_u3s8_avx2(const uint8_t *row, const int8_t *probe, size_t dim)
{
	const size_t eighth = dim / 8;
	__m256i sum = _mm256_setzero_si256();

	for (size_t i = 0; i < eighth; i += 16) {
		__m128i ones = _mm_loadu_si128((const __m128i *)(row + 2 * eighth + i));
		/* Even and odd groups in the halves. */
		__m256i upper = _mm256_set_m128i(_mm_loadu_si128((const __m128i *)(row + eighth + i)),
		        _mm_loadu_si128((const __m128i *)(row + i)));
		__m256i lowest = _mm256_set_m128i(_mm_srli_epi16(ones, 1), ones);
		__m256i pairs = _mm256_setzero_si256();
		FM_UNROLL
		for (size_t g = 0; g < 8; g += 2) {
			__m256i two =
			        g < 2 ? _mm256_slli_epi16(upper, 1) : _mm256_srli_epi16(upper, (int)(g - 1));
			__m256i one = _mm256_srli_epi16(lowest, (int)g);
			__m256i value = _mm256_or_si256(_mm256_and_si256(two, _mm256_set1_epi8(6)),
			        _mm256_and_si256(one, _mm256_set1_epi8(1)));
			__m256i products = _mm256_maddubs_epi16(value,
			        _mm256_set_m128i(
			                _mm_loadu_si128((const __m128i *)(probe + (g + 1) * eighth + i)),
			                _mm_loadu_si128((const __m128i *)(probe + g * eighth + i))));
			pairs = _mm256_add_epi16(pairs, products);
		}
		sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
	}
	return fm_sum_eight(sum);
}
