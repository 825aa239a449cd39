/* Elementary functions with the same bits on every machine: libm picks its code by CPU, these do not. */
#ifndef FM_NN_MATH_H
#define FM_NN_MATH_H

/* One element of exp_f32 (lib/kernels/transformer.h), to the bit. */
float fm_expf(float x);

/*
 * The error function, error below 2e-7. Source: Abramowitz and Stegun 7.1.26, in double.
 */
float fm_erff(float x);

/*
 * Error below 1 ulp for |x| <= 1000 and growing with x, since 2 pi is a double; not a number gives itself,
 * infinity gives no number. Source: the exact remainder by 2 pi, folded to |r| <= pi/4, Taylor's polynomials,
 * in double.
 */
float fm_sinf(float x);
float fm_cosf(float x);

#endif
