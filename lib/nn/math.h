/* Elementary functions with the same bits on every machine: libm picks its code by CPU, these do not. */
#ifndef FM_NN_MATH_H
#define FM_NN_MATH_H

/*
 * e^x, error below 0.51 ulp. Overflow gives infinity; results below the smallest normal float give 0, with
 * denormals flushed or not. Source: argument reduction to |r| <= ln(2)/2 and Taylor's polynomial, in double.
 */
float fm_expf(float x);

#endif
