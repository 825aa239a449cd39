#include "lib/kernels/scan_neon.h"

#include "lib/base/banned.h"

void fm_scan_u5s8_neon(int32_t *sums, uint16_t *masks, const struct fm_scan_block *block,
        const int8_t *probes, const struct fm_scan_terms *terms, size_t count, size_t dim)
{
	for (size_t p = 0; p < count; p++, sums += FM_SCAN_FACES, probes += dim) {
		const uint8_t *group = block->codes;
		int32x4_t low[4], high[4], sum[4]; /* two lanes a face: faces 0 and 1 of four, 2 and 3 */

		FM_UNROLL
		for (size_t v = 0; v < 4; v++)
			low[v] = high[v] = vdupq_n_s32(0);
		for (size_t d = 0; d < dim; d += FM_SCAN_PER_GROUP, group += FM_SCAN_GROUP) {
			FM_UNROLL
			for (size_t v = 0; v < 4; v++) {
				uint8x16_t lowest = vld1q_u8(group + 4 * FM_SCAN_LINE + 16 * v);
				/* Eight products fit s16: 8 * 31 * 128 < 2^15. */
				int16x8_t first = vdupq_n_s16(0), second = vdupq_n_s16(0);
				FM_UNROLL
				for (size_t g = 0; g < 8; g++) {
					int8x16_t x = fm_join_neon(group + 16 * v, lowest, g);
					int8x16_t four = fm_broadcast_neon(probes + d + 4 * g);
					first = vmlal_s8(first, vget_low_s8(x), vget_low_s8(four));
					second = vmlal_high_s8(second, x, four);
				}
				low[v] = vpadalq_s16(low[v], first);
				high[v] = vpadalq_s16(high[v], second);
			}
		}
		FM_UNROLL
		for (size_t v = 0; v < 4; v++) {
			sum[v] = vpaddq_s32(low[v], high[v]);
			vst1q_s32(sums + 4 * v, sum[v]);
		}
		masks[p] = fm_select_neon(sum, block, &terms[p]);
	}
}

int32_t fm_dot_u3s8_neon(const uint8_t *row, const int8_t *probe, size_t dim)
{
	const size_t eighth = dim / 8;
	int32x4_t sum = vdupq_n_s32(0);

	for (size_t i = 0; i < eighth; i += 16) {
		int16x8_t first = vdupq_n_s16(0), second = vdupq_n_s16(0);
		FM_UNROLL
		for (size_t g = 0; g < 8; g++) {
			int8x16_t x = fm_three_bits_neon(row, eighth, i, g),
			          y = vld1q_s8(probe + g * eighth + i);
			first = vmlal_s8(first, vget_low_s8(x), vget_low_s8(y));
			second = vmlal_high_s8(second, x, y);
		}
		sum = vpadalq_s16(vpadalq_s16(sum, first), second);
	}
	return vaddvq_s32(sum);
}
