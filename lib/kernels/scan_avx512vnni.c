#include "lib/kernels/epilogue.h"
#include "lib/kernels/scan.h"

#include <immintrin.h>
#include <string.h>

#include "lib/base/banned.h"

#define PROBES_MAX 16

/* Assembly, because gcc 12 copies the accumulator before and after the intrinsic, and so spills the tile. */
FM_INLINE __m512i add_products(__m512i sum, __m512i values, const int8_t *four)
{
	__asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(values), "m"(*(const int32_t *)four));
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

/* Four bits and the lowest one. */
FM_INLINE __m512i join(__m512i upper, __m512i lowest)
{
	return _mm512_or_si512(
	        _mm512_and_si512(upper, _mm512_set1_epi8(30)), _mm512_and_si512(lowest, _mm512_set1_epi8(1)));
}

FM_INLINE void tile(size_t probes_in_tile, int32_t *sums, uint16_t *masks, const struct fm_scan_block *block,
        const int8_t *probes, const struct fm_scan_terms *terms, size_t dim)
{
	const uint8_t *group = block->codes;
	/* One or two probes alone would wait for their own sums. */
	const size_t second = probes_in_tile <= 2 ? 1 : 0;
	__m512i partial[PROBES_MAX][2];

	FM_UNROLL
	for (size_t p = 0; p < probes_in_tile; p++)
		partial[p][0] = partial[p][1] = _mm512_setzero_si512();
	for (size_t d = 0; d < dim; d += FM_SCAN_PER_GROUP, group += FM_SCAN_GROUP) {
		__m512i lowest = _mm512_loadu_si512(group + 4 * FM_SCAN_LINE);
		FM_UNROLL
		for (size_t g = 0; g < 8; g += 2) {
			__m512i upper = _mm512_loadu_si512(group + g / 2 * FM_SCAN_LINE);
			__m512i x = join(_mm512_slli_epi16(upper, 1), _mm512_srli_epi16(lowest, (unsigned)g));
			__m512i y =
			        join(_mm512_srli_epi16(upper, 3), _mm512_srli_epi16(lowest, (unsigned)g + 1));
			const int8_t *probe = probes + d + 4 * g;
			FM_UNROLL
			for (size_t p = 0; p < probes_in_tile; p++)
				partial[p][0] = add_products(partial[p][0], x, probe + p * dim);
			FM_UNROLL
			for (size_t p = 0; p < probes_in_tile; p++)
				partial[p][second] = add_products(partial[p][second], y, probe + p * dim + 4);
		}
	}
	FM_UNROLL
	for (size_t p = 0; p < probes_in_tile; p++) {
		__m512i sum = _mm512_add_epi32(partial[p][0], partial[p][1]);
		_mm512_storeu_si512(sums + p * FM_SCAN_FACES, sum);
		masks[p] = select_lanes(sum, block, &terms[p]);
	}
}

void fm_scan_u5s8_avx512vnni(int32_t *sums, uint16_t *masks, const struct fm_scan_block *block,
        const int8_t *probes, const struct fm_scan_terms *terms, size_t count, size_t dim)
{
	size_t p = 0;

	for (; p + 16 <= count; p += 16)
		tile(16, sums + p * FM_SCAN_FACES, masks + p, block, probes + p * dim, terms + p, dim);
	for (; p + 4 <= count; p += 4)
		tile(4, sums + p * FM_SCAN_FACES, masks + p, block, probes + p * dim, terms + p, dim);
	for (; p + 2 <= count; p += 2)
		tile(2, sums + p * FM_SCAN_FACES, masks + p, block, probes + p * dim, terms + p, dim);
	if (p < count)
		tile(1, sums + p * FM_SCAN_FACES, masks + p, block, probes + p * dim, terms + p, dim);
}

int32_t fm_dot_u3s8_avx512vnni(const uint8_t *row, const int8_t *probe, size_t dim)
{
	const size_t eighth = dim / 8;
	__m512i sum = _mm512_setzero_si512();

	for (size_t i = 0; i < eighth; i += 64) {
		__mmask64 mask = eighth - i >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << (eighth - i)) - 1;
		__m512i lowest = _mm512_maskz_loadu_epi8(mask, row + 2 * eighth + i);
		FM_UNROLL
		for (size_t g = 0; g < 8; g++) {
			__m512i upper = _mm512_maskz_loadu_epi8(mask, row + g % 2 * eighth + i);
			__m512i two = g < 2 ? _mm512_slli_epi16(upper, 1)
			                    : _mm512_srli_epi16(upper, (unsigned)(g / 2 * 2 - 1));
			__m512i one = _mm512_srli_epi16(lowest, (unsigned)g);
			__m512i value = _mm512_or_si512(_mm512_and_si512(two, _mm512_set1_epi8(6)),
			        _mm512_and_si512(one, _mm512_set1_epi8(1)));
			sum = _mm512_dpbusd_epi32(
			        sum, value, _mm512_maskz_loadu_epi8(mask, probe + g * eighth + i));
		}
	}
	return _mm512_reduce_add_epi32(sum);
}
