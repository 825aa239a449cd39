/*
 * An embedding as codes of eight bits with one scale, that can be read five bits first, and how far the
 * dot products of codes can be from the float one.
 *
 * A code c in -127..127 is kept as c + 128 = 8 high + low. By all eight bits an embedding b is close to
 * b' = scale * c, by the high five alone to b" = scale * (8 high - 124.5), the middle of what low can be.
 * Let a be a probe, a' = its scale times its codes, r_a = |a - a'|, r_b = |b - b'| and R_b = |b - b"|. Then
 *	<a,b> - <a',b'> = <a - a', b> + <a', b - b'>,
 * so by Cauchy and Schwarz
 *	|<a,b> - <a',b'>| <= r_a |b| + |a'| r_b, and likewise with b" and R_b.
 * <a',b'> and <a',b"> are exact integers times two scales, so their own error is a few units of double
 * precision. The float kernel adds its rounding: with sixteen lanes a product passes
 * 1 + (ceil(n/16) - 1) + 4 roundings, hence |dot_f32(a,b) - <a,b>| <= gamma_m sum |a_i b_i| <= gamma_m |a|
 *|b|, gamma_m = m u / (1 - m u), u = 2^-24, m = ceil(n/16) + 4 (Higham, Accuracy and Stability of Numerical
 * Algorithms, 3.1). Norms are at most FM_NORM_MAX. Together, for a stored embedding b and a probe a:
 *	|dot_f32(a,b) - <a',b'>| <= r_a FM_NORM_MAX + |a'| r_b + slack(n).
 * Threads: pure.
 */
#ifndef FM_SEARCH_CODES_H
#define FM_SEARCH_CODES_H

#include "lib/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define FM_NORM_MAX    1.0011 /* of an embedding of unit length within 1e-3, rounded up */
#define FM_CODE_ZERO   128    /* code 0 as it is kept: 8 high + low */
#define FM_CODE_LOW    8      /* low is below this */
#define FM_CODE_MIDDLE 124.5  /* 8 high minus this: what the high bits alone stand for */

struct fm_codes_info {
	float scale;         /* embedding ~= scale * codes */
	float residual;      /* |embedding - scale * codes|, rounded up */
	float high_residual; /* |embedding - scale * (8 high - 124.5)|, rounded up */
};

/* FM_E_INVALID unless the values are finite and of unit length within 1e-3. */
enum fm_status fm_codes_check(const float *embedding, size_t dim, struct fm_error *err);

/* codes [stride], zeroed beyond dim. The embedding passed the check. */
void fm_codes_make(
        const float *embedding, size_t dim, size_t stride, int8_t *ret_codes, struct fm_codes_info *ret_info);

/* |scale * codes|, rounded up. */
double fm_codes_norm(const int8_t *codes, size_t dim, const struct fm_codes_info *info);

/* What the float kernel's rounding, and that of the bounds' own arithmetic, can add. */
double fm_codes_slack(size_t dim);

#endif
