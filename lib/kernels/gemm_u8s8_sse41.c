/*
 * As AVX2 does it, on half the width: pmaddubsw (u8 x s8, pairs summed to s16) saturates at 2 * 255 * 127, so
 * terms are widened to s16, and pmaddwd sums pairs to s32 exactly. A broadcast of four terms becomes its even
 * and its odd terms with one mask and one shift; the packer puts the weights in the same order.
 *
 * Panels of 4 columns, behind their head of 32 bytes s16 [k / 4][2][4][2]: of every four terms first 0 and 2,
 * then 1 and 3.
 */
#define GROUP      FM_GEMM_U8S8_K_MULTIPLE_SSE41
#define HEAD_BYTES 32
#define OFFSET     0
#define ROWS_4     2
#define ROWS_3     2
#define ROWS_2     2
#define ROWS_1     2
#define ROWS_MAX   2
#define weight     int16_t
#include "lib/kernels/gemm_u8s8_tiles.h"

#include "lib/base/banned.h"

static size_t place_of(size_t lane, size_t t)
{
	return (t / GROUP * 2 + t % 2) * LANES * 2 + lane * 2 + t % GROUP / 2;
}

/*
 * sum + two products a lane. Assembly, because gcc 12 otherwise adds the products of even and odd terms
 * first, and so needs more registers for a tile than there are.
 */
FM_INLINE __m128i add_products(__m128i sum, __m128i a, const __m128i *w)
{
	__m128i products;

	__asm__("movdqa %2, %1\n\tpmaddwd %3, %1\n\tpaddd %1, %0"
	        : "+x"(sum), "=&x"(products)
	        : "m"(*w), "x"(a));
	return sum;
}

FM_INLINE void add_group(integers acc[ROWS_MAX][VECTORS_MAX], const uint8_t *a, size_t a_stride,
        const weight *w, size_t panel_bytes, size_t rows, size_t vectors)
{
	const __m128i low_bytes = _mm_set1_epi16(0x00ff);
	__m128i even[ROWS_MAX], odd[ROWS_MAX];

	FM_UNROLL
	for (size_t r = 0; r < rows; r++) {
		int32_t four;
		memcpy(&four, a + r * a_stride, sizeof(four));
		__m128i x = _mm_set1_epi32(four);
		even[r] = _mm_and_si128(x, low_bytes);
		odd[r] = _mm_srli_epi16(x, 8);
	}
	FM_UNROLL
	for (size_t v = 0; v < vectors; v++) {
		const __m128i *terms = (const __m128i *)((const char *)w + v * panel_bytes);
		FM_UNROLL
		for (size_t r = 0; r < rows; r++) {
			acc[r][v] = add_products(acc[r][v], even[r], terms);
			acc[r][v] = add_products(acc[r][v], odd[r], terms + 1);
		}
	}
}

FM_GEMM_U8S8_DEFINE(sse41)
