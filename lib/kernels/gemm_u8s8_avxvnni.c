/* VEX encoding: AVX-VNNI, on processors without AVX-512 (Alder Lake, its E cores, and later). */
#define ENCODING "%{vex%}"
#include "lib/kernels/gemm_u8s8_vnni256.h"

#include "lib/base/banned.h"

FM_GEMM_U8S8_DEFINE(avxvnni)
