#include "lib/kernels/scan_neon.h"

#include "lib/base/banned.h"

void fm_scan_u5s8_neondot(int32_t *sums, uint16_t *masks, const struct fm_scan_block *block,
        const int8_t *probes, const struct fm_scan_terms *terms, size_t count, size_t dim)
{
	for (size_t p = 0; p < count; p++, sums += FM_SCAN_FACES, probes += dim) {
		const uint8_t *group = block->codes;
		int32x4_t sum[4];

		FM_UNROLL
		for (size_t v = 0; v < 4; v++)
			sum[v] = vdupq_n_s32(0);
		for (size_t d = 0; d < dim; d += FM_SCAN_PER_GROUP, group += FM_SCAN_GROUP) {
			FM_UNROLL
			for (size_t v = 0; v < 4; v++) {
				uint8x16_t lowest = vld1q_u8(group + 4 * FM_SCAN_LINE + 16 * v);
				FM_UNROLL
				for (size_t g = 0; g < 8; g++)
					sum[v] = vdotq_s32(sum[v], fm_join_neon(group + 16 * v, lowest, g),
					        fm_broadcast_neon(probes + d + 4 * g));
			}
		}
		FM_UNROLL
		for (size_t v = 0; v < 4; v++)
			vst1q_s32(sums + 4 * v, sum[v]);
		masks[p] = fm_select_neon(sum, block, &terms[p]);
	}
}

int32_t fm_dot_u3s8_neondot(const uint8_t *row, const int8_t *probe, size_t dim)
{
	const size_t eighth = dim / 8;
	int32x4_t sum = vdupq_n_s32(0);

	for (size_t i = 0; i < eighth; i += 16) {
		FM_UNROLL
		for (size_t g = 0; g < 8; g++)
			sum = vdotq_s32(
			        sum, fm_three_bits_neon(row, eighth, i, g), vld1q_s8(probe + g * eighth + i));
	}
	return vaddvq_s32(sum);
}
