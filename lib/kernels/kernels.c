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

static const struct fm_kernels table[] = {
        [FM_ISA_SCALAR] =
                {
                        .isa = FM_ISA_SCALAR,
                        .gemm_u8s8 =
                                {
                                        .k_multiple = FM_GEMM_U8S8_K_MULTIPLE_SCALAR,
                                        .packed_bytes = fm_gemm_u8s8_packed_bytes_scalar,
                                        .pack = fm_gemm_u8s8_pack_scalar,
                                        .run = fm_gemm_u8s8_run_scalar,
                                },
                        .gemm_f32 =
                                {
                                        .packed_bytes = fm_gemm_f32_packed_bytes_scalar,
                                        .pack = fm_gemm_f32_pack_scalar,
                                        .run = fm_gemm_f32_run_scalar,
                                },
                        .quantize_rows = fm_quantize_rows_scalar,
                        .quantize_columns = fm_quantize_columns_scalar,
                        .dwconv_f32 = fm_dwconv_f32_scalar,
                        .max_pool_f32 = fm_max_pool_f32_scalar,
                        .scan_u4s8 = fm_scan_u4s8_scalar,
                        .dot_u4s8 = fm_dot_u4s8_scalar,
                        .dot_f32 = fm_dot_f32_scalar,
                },
#if defined(__x86_64__)
        [FM_ISA_SSE41] =
                {
                        .isa = FM_ISA_SSE41,
                        .gemm_u8s8 =
                                {
                                        .k_multiple = FM_GEMM_U8S8_K_MULTIPLE_SSE41,
                                        .packed_bytes = fm_gemm_u8s8_packed_bytes_sse41,
                                        .pack = fm_gemm_u8s8_pack_sse41,
                                        .run = fm_gemm_u8s8_run_sse41,
                                },
                        .gemm_f32 =
                                {
                                        .packed_bytes = fm_gemm_f32_packed_bytes_sse41,
                                        .pack = fm_gemm_f32_pack_sse41,
                                        .run = fm_gemm_f32_run_sse41,
                                },
                        .quantize_rows = fm_quantize_rows_sse41,
                        .quantize_columns = fm_quantize_columns_sse41,
                        .dwconv_f32 = fm_dwconv_f32_sse41,
                        .max_pool_f32 = fm_max_pool_f32_scalar,
                        .scan_u4s8 = fm_scan_u4s8_sse41,
                        .dot_u4s8 = fm_dot_u4s8_sse41,
                        .dot_f32 = fm_dot_f32_sse41,
                },
        [FM_ISA_AVX2] =
                {
                        .isa = FM_ISA_AVX2,
                        .gemm_u8s8 =
                                {
                                        .k_multiple = FM_GEMM_U8S8_K_MULTIPLE_AVX2,
                                        .packed_bytes = fm_gemm_u8s8_packed_bytes_avx2,
                                        .pack = fm_gemm_u8s8_pack_avx2,
                                        .run = fm_gemm_u8s8_run_avx2,
                                },
                        .gemm_f32 =
                                {
                                        .packed_bytes = fm_gemm_f32_packed_bytes_avx2,
                                        .pack = fm_gemm_f32_pack_avx2,
                                        .run = fm_gemm_f32_run_avx2,
                                },
                        .quantize_rows = fm_quantize_rows_avx2,
                        .quantize_columns = fm_quantize_columns_avx2,
                        .dwconv_f32 = fm_dwconv_f32_avx2,
                        .max_pool_f32 = fm_max_pool_f32_avx2,
                        .scan_u4s8 = fm_scan_u4s8_avx2,
                        .dot_u4s8 = fm_dot_u4s8_avx2,
                        .dot_f32 = fm_dot_f32_avx2,
                },
        [FM_ISA_AVXVNNI] =
                {
                        .isa = FM_ISA_AVXVNNI,
                        .gemm_u8s8 =
                                {
                                        .k_multiple = FM_GEMM_U8S8_K_MULTIPLE_VNNI256,
                                        .packed_bytes = fm_gemm_u8s8_packed_bytes_avxvnni,
                                        .pack = fm_gemm_u8s8_pack_avxvnni,
                                        .run = fm_gemm_u8s8_run_avxvnni,
                                },
                        .gemm_f32 =
                                {
                                        .packed_bytes = fm_gemm_f32_packed_bytes_avx2,
                                        .pack = fm_gemm_f32_pack_avx2,
                                        .run = fm_gemm_f32_run_avx2,
                                },
                        .quantize_rows = fm_quantize_rows_avx2,
                        .quantize_columns = fm_quantize_columns_avx2,
                        .dwconv_f32 = fm_dwconv_f32_avx2,
                        .max_pool_f32 = fm_max_pool_f32_avx2,
                        .scan_u4s8 = fm_scan_u4s8_avxvnni,
                        .dot_u4s8 = fm_dot_u4s8_avx2,
                        .dot_f32 = fm_dot_f32_avx2,
                },
        [FM_ISA_AVX512VLVNNI] =
                {
                        .isa = FM_ISA_AVX512VLVNNI,
                        .gemm_u8s8 =
                                {
                                        .k_multiple = FM_GEMM_U8S8_K_MULTIPLE_VNNI256,
                                        .packed_bytes = fm_gemm_u8s8_packed_bytes_avx512vlvnni,
                                        .pack = fm_gemm_u8s8_pack_avx512vlvnni,
                                        .run = fm_gemm_u8s8_run_avx512vlvnni,
                                },
                        .gemm_f32 =
                                {
                                        .packed_bytes = fm_gemm_f32_packed_bytes_avx2,
                                        .pack = fm_gemm_f32_pack_avx2,
                                        .run = fm_gemm_f32_run_avx2,
                                },
                        .quantize_rows = fm_quantize_rows_avx2,
                        .quantize_columns = fm_quantize_columns_avx2,
                        .dwconv_f32 = fm_dwconv_f32_avx2,
                        .max_pool_f32 = fm_max_pool_f32_avx2,
                        .scan_u4s8 = fm_scan_u4s8_avx512vlvnni,
                        .dot_u4s8 = fm_dot_u4s8_avx2,
                        .dot_f32 = fm_dot_f32_avx2,
                },
        [FM_ISA_AVX512VNNI] =
                {
                        .isa = FM_ISA_AVX512VNNI,
                        .gemm_u8s8 =
                                {
                                        .k_multiple = FM_GEMM_U8S8_K_MULTIPLE_AVX512VNNI,
                                        .packed_bytes = fm_gemm_u8s8_packed_bytes_avx512vnni,
                                        .pack = fm_gemm_u8s8_pack_avx512vnni,
                                        .run = fm_gemm_u8s8_run_avx512vnni,
                                },
                        .gemm_f32 =
                                {
                                        .packed_bytes = fm_gemm_f32_packed_bytes_avx512vnni,
                                        .pack = fm_gemm_f32_pack_avx512vnni,
                                        .run = fm_gemm_f32_run_avx512vnni,
                                },
                        .quantize_rows = fm_quantize_rows_avx512vnni,
                        .quantize_columns = fm_quantize_columns_avx512vnni,
                        .dwconv_f32 = fm_dwconv_f32_avx512vnni,
                        .max_pool_f32 = fm_max_pool_f32_avx512vnni,
                        .scan_u4s8 = fm_scan_u4s8_avx512vnni,
                        .dot_u4s8 = fm_dot_u4s8_avx512vnni,
                        .dot_f32 = fm_dot_f32_avx512vnni,
                },
#elif defined(__aarch64__)
        [FM_ISA_NEON] =
                {
                        .isa = FM_ISA_NEON,
                        .gemm_u8s8 =
                                {
                                        .k_multiple = FM_GEMM_U8S8_K_MULTIPLE_NEON,
                                        .packed_bytes = fm_gemm_u8s8_packed_bytes_neon,
                                        .pack = fm_gemm_u8s8_pack_neon,
                                        .run = fm_gemm_u8s8_run_neon,
                                },
                        .gemm_f32 =
                                {
                                        .packed_bytes = fm_gemm_f32_packed_bytes_neon,
                                        .pack = fm_gemm_f32_pack_neon,
                                        .run = fm_gemm_f32_run_neon,
                                },
                        .quantize_rows = fm_quantize_rows_neon,
                        .quantize_columns = fm_quantize_columns_neon,
                        .dwconv_f32 = fm_dwconv_f32_neon,
                        .max_pool_f32 = fm_max_pool_f32_scalar,
                        .scan_u4s8 = fm_scan_u4s8_neon,
                        .dot_u4s8 = fm_dot_u4s8_neon,
                        .dot_f32 = fm_dot_f32_neon,
                },
        [FM_ISA_NEONDOT] =
                {
                        .isa = FM_ISA_NEONDOT,
                        .gemm_u8s8 =
                                {
                                        .k_multiple = FM_GEMM_U8S8_K_MULTIPLE_NEONDOT,
                                        .packed_bytes = fm_gemm_u8s8_packed_bytes_neondot,
                                        .pack = fm_gemm_u8s8_pack_neondot,
                                        .run = fm_gemm_u8s8_run_neondot,
                                },
                        .gemm_f32 =
                                {
                                        .packed_bytes = fm_gemm_f32_packed_bytes_neon,
                                        .pack = fm_gemm_f32_pack_neon,
                                        .run = fm_gemm_f32_run_neon,
                                },
                        .quantize_rows = fm_quantize_rows_neon,
                        .quantize_columns = fm_quantize_columns_neon,
                        .dwconv_f32 = fm_dwconv_f32_neon,
                        .max_pool_f32 = fm_max_pool_f32_scalar,
                        .scan_u4s8 = fm_scan_u4s8_neondot,
                        .dot_u4s8 = fm_dot_u4s8_neondot,
                        .dot_f32 = fm_dot_f32_neon,
                },
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
