/*
 * The epilogue in plain C, and what all kernels share to be unrolled: internal to lib/kernels.
 *
 * Vector kernels know two activations only, without changing a bit (docs/KERNELS.md 3):
 *   - none is PRELU with slope 1; relu is CLIP to [0, inf];
 *   - no bias is a bias of -0.0, the one value that leaves every float as it is.
 * Comparisons are written as vmaxps and vminps define them: max(v, low) = v > low ? v : low.
 */
#ifndef FM_KERNELS_EPILOGUE_H
#define FM_KERNELS_EPILOGUE_H

#include "lib/kernels/kernels.h"

#include <math.h>
#include <stdbool.h>

/*
 * FM_UNROLL before a loop with a constant trip count makes its index a constant, so that an array of
 * accumulators becomes registers. Neither compiler takes the other's word for it.
 */
#ifdef __clang__
#define FM_UNROLL _Pragma("clang loop unroll(full)")
#else
#define FM_UNROLL _Pragma("GCC unroll 16")
#endif
#define FM_INLINE static inline __attribute__((always_inline))

/* Whether the activation is a clip (relu included), and its bounds; otherwise it is a slope. */
FM_INLINE bool fm_epilogue_clips(const struct fm_epilogue *epilogue)
{
	return epilogue->activation == FM_ACT_RELU || epilogue->activation == FM_ACT_CLIP;
}

FM_INLINE float fm_epilogue_low(const struct fm_epilogue *epilogue)
{
	return epilogue->activation == FM_ACT_RELU ? 0.0f : epilogue->clip_low;
}

FM_INLINE float fm_epilogue_high(const struct fm_epilogue *epilogue)
{
	return epilogue->activation == FM_ACT_RELU ? INFINITY : epilogue->clip_high;
}

FM_INLINE float fm_epilogue_scalar(const struct fm_epilogue *epilogue, float v, size_t row, size_t channel)
{
	if (epilogue->bias != NULL)
		v += epilogue->bias[channel];
	if (epilogue->residual != NULL)
		v += epilogue->residual[row * epilogue->residual_stride + channel];
	switch (epilogue->activation) {
	case FM_ACT_NONE: break;
	case FM_ACT_RELU: v = v > 0.0f ? v : 0.0f; break;
	case FM_ACT_PRELU: v = v > 0.0f ? v : v * epilogue->slope[channel]; break;
	case FM_ACT_CLIP:
		v = v > epilogue->clip_low ? v : epilogue->clip_low;
		v = v < epilogue->clip_high ? v : epilogue->clip_high;
		break;
	}
	return v;
}

#endif
