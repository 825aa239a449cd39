#include "lib/kernels/scan_neon.h"

#include "lib/base/banned.h"

void fm_scan_u4s8_neon(int32_t *sums, uint16_t *masks, const struct fm_scan_block *block,
        const int8_t *probes, const struct fm_scan_terms *terms, size_t count, size_t dim)
{
	for (size_t p = 0; p < count; p++, sums += FM_SCAN_FACES, probes += dim) {
		const uint8_t *nibbles = block->nibbles;
		int32x4_t low[4], high[4]; /* two lanes a face: faces 0 and 1 of four, 2 and 3 */

		FM_UNROLL
		for (size_t v = 0; v < 4; v++)
			low[v] = high[v] = vdupq_n_s32(0);
		for (size_t d = 0; d < dim; d += FM_SCAN_PER_LINE, nibbles += FM_SCAN_LINE) {
			int8x16_t first = fm_broadcast_neon(probes + d),
			          second = fm_broadcast_neon(probes + d + 4);
			FM_UNROLL
			for (size_t v = 0; v < 4; v++) {
				uint8x16_t both = vld1q_u8(nibbles + 16 * v);
				int8x16_t x = fm_low_nibbles(both), y = fm_high_nibbles(both);
				int16x8_t products = vmull_s8(vget_low_s8(x), vget_low_s8(first));
				products = vmlal_s8(products, vget_low_s8(y), vget_low_s8(second));
				low[v] = vpadalq_s16(low[v], products);
				products = vmull_high_s8(x, first);
				products = vmlal_high_s8(products, y, second);
				high[v] = vpadalq_s16(high[v], products);
			}
		}
		int32x4_t sum[4];
		FM_UNROLL
		for (size_t v = 0; v < 4; v++) {
			sum[v] = vpaddq_s32(low[v], high[v]);
			vst1q_s32(sums + 4 * v, sum[v]);
		}
		masks[p] = fm_select_neon(sum, block, &terms[p]);
	}
}

int32_t fm_dot_u4s8_neon(const uint8_t *row, const int8_t *probe, size_t half)
{
	int32x4_t sum = vdupq_n_s32(0);

	for (size_t i = 0; i < half; i += 16) {
		uint8x16_t both = vld1q_u8(row + i);
		int8x16_t x = fm_low_nibbles(both), y = fm_high_nibbles(both);
		int8x16_t first = vld1q_s8(probe + i), second = vld1q_s8(probe + half + i);
		int16x8_t products = vmull_s8(vget_low_s8(x), vget_low_s8(first));
		products = vmlal_s8(products, vget_low_s8(y), vget_low_s8(second));
		sum = vpadalq_s16(sum, products);
		products = vmull_high_s8(x, first);
		products = vmlal_high_s8(products, y, second);
		sum = vpadalq_s16(sum, products);
	}
	return vaddvq_s32(sum);
}
