/* The scan by vpdpbusd on 256 bits, whose two encodings two files give: internal to lib/kernels. */
#ifndef FM_KERNELS_SCAN_VNNI256_H
#define FM_KERNELS_SCAN_VNNI256_H

#include "lib/kernels/scan_avx2.h"

typedef __m256i fm_scan_add_products(__m256i sum, __m256i a, __m256i w);

#define FM_SCAN_TILE_VNNI256 4

FM_INLINE void fm_scan_tile_vnni256(fm_scan_add_products *add_products, size_t probes_in_tile, int32_t *sums,
        uint16_t *masks, const struct fm_scan_block *block, const int8_t *probes,
        const struct fm_scan_terms *terms, size_t dim)
{
	const __m256i low = _mm256_set1_epi8(15);
	__m256i sum[FM_SCAN_TILE_VNNI256][2];
	const uint8_t *nibbles = block->nibbles;

	FM_UNROLL
	for (size_t p = 0; p < probes_in_tile; p++)
		sum[p][0] = sum[p][1] = _mm256_setzero_si256();
	for (size_t d = 0; d < dim; d += FM_SCAN_PER_LINE, nibbles += FM_SCAN_LINE) {
		__m256i x0 = _mm256_loadu_si256((const __m256i *)nibbles);
		__m256i x1 = _mm256_loadu_si256((const __m256i *)nibbles + 1);
		__m256i y0 = _mm256_and_si256(_mm256_srli_epi16(x0, 4), low);
		__m256i y1 = _mm256_and_si256(_mm256_srli_epi16(x1, 4), low);
		x0 = _mm256_and_si256(x0, low);
		x1 = _mm256_and_si256(x1, low);
		FM_UNROLL
		for (size_t p = 0; p < probes_in_tile; p++) {
			__m256i first = fm_broadcast_four(probes + p * dim + d);
			__m256i second = fm_broadcast_four(probes + p * dim + d + 4);
			sum[p][0] = add_products(sum[p][0], x0, first);
			sum[p][1] = add_products(sum[p][1], x1, first);
			sum[p][0] = add_products(sum[p][0], y0, second);
			sum[p][1] = add_products(sum[p][1], y1, second);
		}
	}
	FM_UNROLL
	for (size_t p = 0; p < probes_in_tile; p++)
		fm_finish_scan(sum[p][0], sum[p][1], sums + p * FM_SCAN_FACES, &masks[p], block, &terms[p]);
}

FM_INLINE void fm_scan_u4s8_vnni256(fm_scan_add_products *add_products, int32_t *sums, uint16_t *masks,
        const struct fm_scan_block *block, const int8_t *probes, const struct fm_scan_terms *terms,
        size_t count, size_t dim)
{
	size_t p = 0;

	for (; p + 4 <= count; p += 4)
		fm_scan_tile_vnni256(add_products, 4, sums + p * FM_SCAN_FACES, masks + p, block,
		        probes + p * dim, terms + p, dim);
	for (; p < count; p++)
		fm_scan_tile_vnni256(add_products, 1, sums + p * FM_SCAN_FACES, masks + p, block,
		        probes + p * dim, terms + p, dim);
}

#endif
