/*
 * Without VNNI there is vpmaddubsw (u8 x s8, pairs summed to s16), which saturates: 2 * 255 * 127 > 32767. So
 * terms are widened to s16, and vpmaddwd sums pairs to s32 exactly. A broadcast of four terms becomes its
 * even and its odd terms with one mask and one shift; the packer puts the weights in the same order.
 *
 * Panels of 8 columns, behind their head of 64 bytes s16 [k / 4][2][8][2]: of every four terms first 0 and 2,
 * then 1 and 3.
 */
#define GROUP      FM_GEMM_U8S8_K_MULTIPLE_AVX2
#define HEAD_BYTES 64
#define OFFSET     0
#define ROWS_4     2
#define ROWS_3     3
#define ROWS_2     4
#define ROWS_1     4
#define ROWS_MAX   4
#define weight     int16_t
#include "lib/kernels/gemm_u8s8_tiles.h"

#include "lib/base/banned.h"

static size_t place_of(size_t lane, size_t t)
{
	return (t / GROUP * 2 + t % 2) * LANES * 2 + lane * 2 + t % GROUP / 2;
}

/*
 * sum += two products a lane. Assembly, because gcc 12 adds the products of even and odd terms first, keeps
 * those of all rows alive, and spills.
 */
FM_INLINE __m256i add_products(__m256i sum, __m256i a, __m256i w)
{
	__m256i products;

	__asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "=&x"(products) : "x"(a), "x"(w));
	return sum;
}

FM_INLINE void add_group(integers acc[ROWS_MAX][VECTORS_MAX], const uint8_t *a, size_t a_stride,
        const weight *w, size_t panel_bytes, size_t rows, size_t vectors)
{
	const __m256i low_bytes = _mm256_set1_epi16(0x00ff);
	__m256i even[ROWS_MAX], odd[ROWS_MAX];

	FM_UNROLL
	for (size_t r = 0; r < rows; r++) {
		int32_t four;
		memcpy(&four, a + r * a_stride, sizeof(four));
		__m256i x = _mm256_set1_epi32(four);
		even[r] = _mm256_and_si256(x, low_bytes);
		odd[r] = _mm256_srli_epi16(x, 8);
	}
	FM_UNROLL
	for (size_t v = 0; v < vectors; v++) {
		const __m256i *terms = (const __m256i *)((const char *)w + v * panel_bytes);
		__m256i w_even = _mm256_load_si256(terms);
		FM_UNROLL
		for (size_t r = 0; r < rows; r++)
			acc[r][v] = add_products(acc[r][v], even[r], w_even);
		__m256i w_odd = _mm256_load_si256(terms + 1);
		FM_UNROLL
		for (size_t r = 0; r < rows; r++)
			acc[r][v] = add_products(acc[r][v], odd[r], w_odd);
	}
}

FM_GEMM_U8S8_DEFINE(avx2)
