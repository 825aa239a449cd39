#include "lib/kernels/kernels.h"

#include "lib/base/size.h"
#include "lib/kernels/columns.h"
#include "lib/kernels/dot.h"
#include "lib/kernels/dwconv.h"
#include "lib/kernels/gemm_f32.h"
#include "lib/kernels/gemm_u8s8.h"
#include "lib/kernels/max_pool.h"
#include "lib/kernels/quantize.h"
#include "lib/kernels/scan.h"

#include "lib/base/banned.h"

/*
 * A row. `own`: the ISA whose int8 product and scan it has; `multiple`: that product's; `floats`: whose float
 * kernels and quantization; `pool` and `dot`: whose those are; `dwconv_pool`: the kernel, or NULL.
 */
#define ROW(id, own, multiple, floats, pool, dot, dwconv_pool)                                               \
	[FM_ISA_##id] = {                                                                                    \
	        .isa = FM_ISA_##id,                                                                          \
	        .gemm_u8s8 = {.k_multiple = FM_GEMM_U8S8_K_MULTIPLE_##multiple,                              \
	                .packed_bytes = fm_gemm_u8s8_packed_bytes_##own,                                     \
	                .pack = fm_gemm_u8s8_pack_##own,                                                     \
	                .run = fm_gemm_u8s8_run_##own},                                                      \
	        .gemm_f32 = {.packed_bytes = fm_gemm_f32_packed_bytes_##floats,                              \
	                .pack = fm_gemm_f32_pack_##floats,                                                   \
	                .run = fm_gemm_f32_run_##floats},                                                    \
	        .quantize_rows = fm_quantize_rows_##floats,                                                  \
	        .quantize_columns = fm_quantize_columns_##floats,                                            \
	        .span_columns = fm_span_columns_##floats,                                                    \
	        .dwconv_f32 = fm_dwconv_f32_##floats,                                                        \
	        .dwconv_pool_f32 = dwconv_pool,                                                              \
	        .max_pool_f32 = fm_max_pool_f32_##pool,                                                      \
	        .scan_u5s8 = fm_scan_u5s8_##own,                                                             \
	        .dot_u3s8 = fm_dot_u3s8_##dot,                                                               \
	        .dot_f32 = fm_dot_f32_##floats,                                                              \
	}

static const struct fm_kernels table[] = {
        ROW(SCALAR, scalar, SCALAR, scalar, scalar, scalar, NULL),
#if defined(__x86_64__)
        ROW(SSE41, sse41, SSE41, sse41, scalar, sse41, NULL),
        ROW(AVX2, avx2, AVX2, avx2, avx2, avx2, NULL),
        ROW(AVXVNNI, avxvnni, VNNI256, avx2, avx2, avx2, NULL),
        ROW(AVX512VLVNNI, avx512vlvnni, VNNI256, avx2, avx2, avx2, NULL),
        ROW(AVX512VNNI, avx512vnni, AVX512VNNI, avx512vnni, avx512vnni, avx512vnni,
                fm_dwconv_pool_f32_avx512vnni),
#elif defined(__aarch64__)
        ROW(NEON, neon, NEON, neon, scalar, neon, NULL),
        ROW(NEONDOT, neondot, NEONDOT, neon, scalar, neondot, NULL),
#endif
};

const struct fm_kernels *fm_kernels_for(enum fm_isa isa)
{
	if ((size_t)isa >= FM_ARRAY_SIZE(table) || !fm_isa_supported(isa))
		return NULL;
	return &table[isa];
}

const struct fm_kernels *fm_kernels_best(void)
{
	return &table[fm_isa_best()];
}
