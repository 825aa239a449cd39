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
	const uint8_t *group = block->codes;
	__m256i sum[FM_SCAN_TILE_VNNI256][2];

	FM_UNROLL
	for (size_t p = 0; p < probes_in_tile; p++)
		sum[p][0] = sum[p][1] = _mm256_setzero_si256();
	for (size_t d = 0; d < dim; d += FM_SCAN_PER_GROUP, group += FM_SCAN_GROUP) {
		__m256i lowest0 = fm_load_eight(group, 4, 0), lowest1 = fm_load_eight(group, 4, 1);
		FM_UNROLL
		for (size_t g = 0; g < 8; g++) {
			__m256i x0 = fm_join_eight(fm_load_eight(group, g / 2, 0), lowest0, g);
			__m256i x1 = fm_join_eight(fm_load_eight(group, g / 2, 1), lowest1, g);
			FM_UNROLL
			for (size_t p = 0; p < probes_in_tile; p++) {
				__m256i four = fm_broadcast_four(probes + p * dim + d + 4 * g);
				sum[p][0] = add_products(sum[p][0], x0, four);
				sum[p][1] = add_products(sum[p][1], x1, four);
			}
		}
	}
	FM_UNROLL
	for (size_t p = 0; p < probes_in_tile; p++)
		fm_finish_scan(sum[p][0], sum[p][1], sums + p * FM_SCAN_FACES, &masks[p], block, &terms[p]);
}

FM_INLINE void fm_scan_u5s8_vnni256(fm_scan_add_products *add_products, int32_t *sums, uint16_t *masks,
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
