#include "lib/kernels/transformer.h"

#include "lib/kernels/attention.h"
#include "lib/kernels/exp.h"
#include "lib/kernels/gelu.h"
#include "lib/kernels/layer_norm.h"

#include "lib/base/banned.h"

static const struct fm_transformer_kernels scalar = {
        .exp_f32 = fm_exp_f32_scalar,
        .gelu_f32 = fm_gelu_f32_scalar,
        .layer_norm_f32 = fm_layer_norm_f32_scalar,
        .attention_f32 = fm_attention_f32_scalar,
};

#if defined(__x86_64__)
static const struct fm_transformer_kernels avx2 = {
        .exp_f32 = fm_exp_f32_avx2,
        .gelu_f32 = fm_gelu_f32_avx2,
        .layer_norm_f32 = fm_layer_norm_f32_avx2,
        .attention_f32 = fm_attention_f32_avx2,
};

static const struct fm_transformer_kernels avx512vnni = {
        .exp_f32 = fm_exp_f32_avx512vnni,
        .gelu_f32 = fm_gelu_f32_avx512vnni,
        .layer_norm_f32 = fm_layer_norm_f32_avx512vnni,
        .attention_f32 = fm_attention_f32_avx512vnni,
};
#endif

const struct fm_transformer_kernels *fm_transformer_kernels_for(enum fm_isa isa)
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

size_t fm_attention_scratch_floats(const struct fm_attention *attention)
{
	const size_t padded = fm_attention_padded(attention->size);

	return 2 * padded + 2 * padded * padded;
}
