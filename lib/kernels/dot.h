/* Dot products, one per ISA; the contract is in kernels.h. Internal to lib/kernels. */
#ifndef FM_KERNELS_DOT_H
#define FM_KERNELS_DOT_H

#include "lib/kernels/kernels.h"

float fm_dot_f32_scalar(const float *a, const float *b, size_t n);
float fm_dot_f32_sse41(const float *a, const float *b, size_t n);
float fm_dot_f32_avx2(const float *a, const float *b, size_t n);
float fm_dot_f32_avx512vnni(const float *a, const float *b, size_t n);
float fm_dot_f32_neon(const float *a, const float *b, size_t n);

#endif
