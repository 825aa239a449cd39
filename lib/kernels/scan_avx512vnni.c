#include "lib/kernels/epilogue.h"
#include "lib/kernels/scan.h"

#include <immintrin.h>
#include <string.h>

#include "lib/base/banned.h"

#define PROBES_MAX 8

/* Assembly, because gcc 12 copies the accumulator before and after the intrinsic, and so spills the tile. */
FM_INLINE __m512i add_products(__m512i sum, __m512i nibbles, const int8_t *four)
{
	__asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(nibbles), "m"(*(const int32_t *)four));
	return sum;
}

FM_INLINE uint16_t select_lanes(
        __m512i sums, const struct fm_scan_block *block, const struct fm_scan_terms *terms)
{
	__m512 sum = _mm512_sub_ps(_mm512_cvtepi32_ps(sums), _mm512_set1_ps(terms->offset));
	__m512 centre = _mm512_mul_ps(
	        _mm512_mul_ps(sum, _mm512_loadu_ps(block->scales)), _mm512_set1_ps(terms->scale));
	__m512 reach =
	        _mm512_add_ps(_mm512_mul_ps(_mm512_loadu_ps(block->residuals), _mm512_set1_ps(terms->norm)),
	                _mm512_set1_ps(terms->fixed));

	return _mm512_cmp_ps_mask(_mm512_add_ps(centre, reach), _mm512_set1_ps(terms->least), _CMP_GE_OQ);
}

FM_INLINE void tile(size_t probes_in_tile, int32_t *sums, uint16_t *masks, const struct fm_scan_block *block,
        const int8_t *probes, const struct fm_scan_terms *terms, size_t dim)
{
	const __m512i low = _mm512_set1_epi8(15);
	__m512i even[PROBES_MAX], odd[PROBES_MAX];

	FM_UNROLL
	for (size_t p = 0; p < probes_in_tile; p++)
		even[p] = odd[p] = _mm512_setzero_si512();
	for (size_t d = 0; d < dim; d += FM_SCAN_PER_LINE) {
		__m512i x = _mm512_loadu_si512(block->nibbles + d * 8);
		__m512i y = _mm512_and_si512(_mm512_srli_epi16(x, 4), low);
		x = _mm512_and_si512(x, low);
		FM_UNROLL
		for (size_t p = 0; p < probes_in_tile; p++) {
			even[p] = add_products(even[p], x, probes + p * dim + d);
			odd[p] = add_products(odd[p], y, probes + p * dim + d + 4);
		}
	}
	FM_UNROLL
	for (size_t p = 0; p < probes_in_tile; p++) {
		__m512i sum = _mm512_add_epi32(even[p], odd[p]);
		_mm512_storeu_si512(sums + p * FM_SCAN_FACES, sum);
		masks[p] = select_lanes(sum, block, &terms[p]);
	}
}

void fm_scan_u4s8_avx512vnni(int32_t *sums, uint16_t *masks, const struct fm_scan_block *block,
        const int8_t *probes, const struct fm_scan_terms *terms, size_t count, size_t dim)
{
	size_t p = 0;

	for (; p + 8 <= count; p += 8)
		tile(8, sums + p * FM_SCAN_FACES, masks + p, block, probes + p * dim, terms + p, dim);
	for (; p + 2 <= count; p += 2)
		tile(2, sums + p * FM_SCAN_FACES, masks + p, block, probes + p * dim, terms + p, dim);
	if (p < count)
		tile(1, sums + p * FM_SCAN_FACES, masks + p, block, probes + p * dim, terms + p, dim);
}

int32_t fm_dot_u4s8_avx512vnni(const uint8_t *row, const int8_t *probe, size_t half)
{
	const __m512i low = _mm512_set1_epi8(15);
	__m512i sum = _mm512_setzero_si512();

	for (size_t i = 0; i < half; i += 64) {
		__mmask64 mask = half - i >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << (half - i)) - 1;
		__m512i x = _mm512_maskz_loadu_epi8(mask, row + i);
		__m512i y = _mm512_and_si512(_mm512_srli_epi16(x, 4), low);
		x = _mm512_and_si512(x, low);
		sum = _mm512_dpbusd_epi32(sum, x, _mm512_maskz_loadu_epi8(mask, probe + i));
		sum = _mm512_dpbusd_epi32(sum, y, _mm512_maskz_loadu_epi8(mask, probe + half + i));
	}
	return _mm512_reduce_add_epi32(sum);
}
