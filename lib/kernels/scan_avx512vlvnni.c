#include "lib/kernels/scan_vnni256.h"

#include "lib/base/banned.h"

FM_INLINE __m256i add_products(__m256i sum, __m256i a, __m256i w)
{
	__asm__("%{evex%} vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(w));
	return sum;
}

void fm_scan_u5s8_avx512vlvnni(int32_t *sums, uint16_t *masks, const struct fm_scan_block *block,
        const int8_t *probes, const struct fm_scan_terms *terms, size_t count, size_t dim)
{
	fm_scan_u5s8_vnni256(add_products, sums, masks, block, probes, terms, count, dim);
}
