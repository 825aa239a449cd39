/* What both NEON scans share: internal to lib/kernels. */
#ifndef FM_KERNELS_SCAN_NEON_H
#define FM_KERNELS_SCAN_NEON_H

#if defined(__aarch64__)

#include "lib/kernels/epilogue.h"
#include "lib/kernels/scan.h"

#include <arm_neon.h>
#include <string.h>

FM_INLINE uint16_t fm_select_neon(
        const int32x4_t *sums, const struct fm_scan_block *block, const struct fm_scan_terms *terms)
{
	static const uint32_t bits[4] = {1, 2, 4, 8};
	unsigned mask = 0;

	FM_UNROLL
	for (size_t v = 0; v < 4; v++) {
		float32x4_t sum = vsubq_f32(vcvtq_f32_s32(sums[v]), vdupq_n_f32(terms->offset));
		float32x4_t centre =
		        vmulq_n_f32(vmulq_f32(sum, vld1q_f32(block->scales + 4 * v)), terms->scale);
		float32x4_t reach = vaddq_f32(vmulq_n_f32(vld1q_f32(block->residuals + 4 * v), terms->norm),
		        vdupq_n_f32(terms->fixed));
		uint32x4_t stays = vcgeq_f32(vaddq_f32(centre, reach), vdupq_n_f32(terms->least));
		mask |= vaddvq_u32(vandq_u32(stays, vld1q_u32(bits))) << (4 * v);
	}
	return (uint16_t)mask;
}

FM_INLINE int8x16_t fm_broadcast_neon(const int8_t *four)
{
	int32_t bits;

	memcpy(&bits, four, sizeof(bits));
	return vreinterpretq_s8_s32(vdupq_n_s32(bits));
}

/* Group g of four dimensions of four faces: four bits and the lowest one. */
FM_INLINE int8x16_t fm_join_neon(const uint8_t *line, uint8x16_t lowest, size_t g)
{
	uint8x16_t upper = vld1q_u8(line + g / 2 * FM_SCAN_LINE);

	upper = g % 2 ? vshrq_n_u8(upper, 3) : vshlq_n_u8(upper, 1);
	lowest = vshlq_u8(lowest, vdupq_n_s8((int8_t) - (int)g));
	return vreinterpretq_s8_u8(
	        vorrq_u8(vandq_u8(upper, vdupq_n_u8(30)), vandq_u8(lowest, vdupq_n_u8(1))));
}

/* Sixteen values of three bits, of group g. */
FM_INLINE int8x16_t fm_three_bits_neon(const uint8_t *row, size_t eighth, size_t i, size_t g)
{
	uint8x16_t upper = vld1q_u8(row + g % 2 * eighth + i);
	uint8x16_t lowest = vld1q_u8(row + 2 * eighth + i);

	upper = vshlq_u8(upper, vdupq_n_s8((int8_t)(1 - (int)(g / 2 * 2))));
	lowest = vshlq_u8(lowest, vdupq_n_s8((int8_t) - (int)g));
	return vreinterpretq_s8_u8(vorrq_u8(vandq_u8(upper, vdupq_n_u8(6)), vandq_u8(lowest, vdupq_n_u8(1))));
}

#endif

#endif
