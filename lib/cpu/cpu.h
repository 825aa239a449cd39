/*
 * What this processor can run, and how much of it we may use.
 *
 * fm_isa_best() is the highest ISA that the CPU and the operating system support (CPUID and XCR0 on x86,
 * HWCAP on aarch64), lowered by the environment variable FACEMATCH_ISA, which is read once. A cap can only
 * lower. An ISA is a promise: every kernel of that row of the ISA table runs. Threads: safe.
 */
#ifndef FM_CPU_CPU_H
#define FM_CPU_CPU_H

#include "lib/base/status.h"

#include <stdbool.h>

/* In rising order within an architecture. Rows for SSE4.1, AVX-VNNI and NEON join as their kernels arrive. */
enum fm_isa {
	FM_ISA_SCALAR = 0, /* plain C: any machine; the reference for all others */
	FM_ISA_AVX2,       /* AVX2 and FMA */
	FM_ISA_AVX512VNNI, /* AVX-512 F, BW, VL, DQ and VNNI */
	FM_ISA_COUNT,
};

/* "scalar", "avx2", "avx512vnni". Never NULL. */
const char *fm_isa_name(enum fm_isa isa);

/* Reads a name; FM_E_INVALID lists the names that exist. */
enum fm_status fm_isa_parse(const char *name, enum fm_isa *ret_isa, struct fm_error *err);

/* Whether this machine runs it, before any cap. */
bool fm_isa_supported(enum fm_isa isa);

/*
 * The ISA to use. An unknown FACEMATCH_ISA is ignored here; programs report it at start through
 * fm_isa_check_environment(). A cap above the machine means "what the machine has".
 */
enum fm_isa fm_isa_best(void);
enum fm_status fm_isa_check_environment(struct fm_error *err);

/*
 * Flush denormals to zero in the calling thread (MXCSR FTZ and DAZ; FPCR FZ): results lose nothing that
 * anyone can measure and inference keeps its speed. Every thread that runs a session calls it once.
 */
void fm_cpu_flush_denormals(void);

#endif
