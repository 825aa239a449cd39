#include "lib/kernels/grid.h"

#include "lib/kernels/grid_vector.h"

#include "lib/base/banned.h"

static const struct fm_grid_kernels scalar = {
        .chain_f32 = fm_grid_chain_f32_scalar, .quantize_f32 = fm_grid_quantize_f32_scalar};

#if defined(__x86_64__)
static const struct fm_grid_kernels avx2 = {
        .chain_f32 = fm_grid_chain_f32_avx2, .quantize_f32 = fm_grid_quantize_f32_avx2};
static const struct fm_grid_kernels avx512vnni = {
        .chain_f32 = fm_grid_chain_f32_avx512vnni, .quantize_f32 = fm_grid_quantize_f32_avx512vnni};
#endif

const struct fm_grid_kernels *fm_grid_kernels_for(enum fm_isa isa)
{
	switch (isa) {
#if defined(__x86_64__)
	case FM_ISA_AVX2:
	case FM_ISA_AVXVNNI:
	case FM_ISA_AVX512VLVNNI: return &avx2;
	case FM_ISA_AVX512VNNI: return &avx512vnni;
#endif
	default: return &scalar;
	}
}
