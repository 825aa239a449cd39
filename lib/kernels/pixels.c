#include "lib/kernels/pixels_internal.h"

#include "lib/base/banned.h"

#define KERNELS(own)                                                                                         \
	{                                                                                                    \
		.quant_of = fm_pixels_quant_of_##own, .quantize = fm_pixels_quantize_##own                   \
	}

static const struct fm_pixels_kernels scalar = KERNELS(scalar);
#if defined(__x86_64__)
static const struct fm_pixels_kernels sse41 = KERNELS(sse41), avx2 = KERNELS(avx2);
static const struct fm_pixels_kernels avx512vnni = {.quant_of = fm_pixels_quant_of_avx512vnni,
        .quantize = fm_pixels_quantize_avx512vnni,
        .multiply = fm_pixels_multiply_avx512vnni};
#elif defined(__aarch64__)
static const struct fm_pixels_kernels neon = KERNELS(neon);
#endif

const struct fm_pixels_kernels *fm_pixels_kernels_for(enum fm_isa isa)
{
	switch (isa) {
#if defined(__x86_64__)
	case FM_ISA_SSE41: return &sse41;
	case FM_ISA_AVX2:
	case FM_ISA_AVXVNNI:
	case FM_ISA_AVX512VLVNNI: return &avx2;
	case FM_ISA_AVX512VNNI: return &avx512vnni;
#elif defined(__aarch64__)
	case FM_ISA_NEON:
	case FM_ISA_NEONDOT: return &neon;
#endif
	default: return &scalar;
	}
}
