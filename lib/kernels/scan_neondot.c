#include "lib/kernels/scan_neon.h"

#include "lib/base/banned.h"

void fm_scan_u4s8_neondot(int32_t *sums, uint16_t *masks, const struct fm_scan_block *block,
        const int8_t *probes, const struct fm_scan_terms *terms, size_t count, size_t dim)
{
	for (size_t p = 0; p < count; p++, sums += FM_SCAN_FACES, probes += dim) {
		const uint8_t *nibbles = block->nibbles;
		int32x4_t sum[4];

		FM_UNROLL
		for (size_t v = 0; v < 4; v++)
			sum[v] = vdupq_n_s32(0);
		for (size_t d = 0; d < dim; d += FM_SCAN_PER_LINE, nibbles += FM_SCAN_LINE) {
			int8x16_t first = fm_broadcast_neon(probes + d),
			          second = fm_broadcast_neon(probes + d + 4);
			FM_UNROLL
			for (size_t v = 0; v < 4; v++) {
				uint8x16_t both = vld1q_u8(nibbles + 16 * v);
				sum[v] = vdotq_s32(sum[v], fm_low_nibbles(both), first);
				sum[v] = vdotq_s32(sum[v], fm_high_nibbles(both), second);
			}
		}
		FM_UNROLL
		for (size_t v = 0; v < 4; v++)
			vst1q_s32(sums + 4 * v, sum[v]);
		masks[p] = fm_select_neon(sum, block, &terms[p]);
	}
}

int32_t fm_dot_u4s8_neondot(const uint8_t *row, const int8_t *probe, size_t half)
{
	int32x4_t sum = vdupq_n_s32(0);

	for (size_t i = 0; i < half; i += 16) {
		uint8x16_t both = vld1q_u8(row + i);
		sum = vdotq_s32(sum, fm_low_nibbles(both), vld1q_s8(probe + i));
		sum = vdotq_s32(sum, fm_high_nibbles(both), vld1q_s8(probe + half + i));
	}
	return vaddvq_s32(sum);
}
