/* EVEX encoding: AVX-512 VL and VNNI. For processors that pay for 512 bits with their clock, and the way to
 * test what AVX-VNNI runs on a machine without it. */
#define ENCODING "%{evex%}"
#include "lib/kernels/gemm_u8s8_vnni256.h"

#include "lib/base/banned.h"

FM_GEMM_U8S8_DEFINE(avx512vlvnni)
