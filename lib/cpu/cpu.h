/*
 * What this processor can run, and how much of it we may use.
 *
 * fm_isa_best() is the highest ISA that the CPU and the operating system support (CPUID and XCR0 on x86,
 * HWCAP on aarch64) and that is not above the environment variable FACEMATCH_ISA, which is read once. A cap
 * can only lower. An ISA is a promise: every kernel of that row of the ISA table runs. Threads: safe.
 */
#ifndef FM_CPU_CPU_H
#define FM_CPU_CPU_H

#include "lib/base/status.h"

#include <stdbool.h>

/*
 * In rising order of preference within an architecture. The order is no inclusion: a machine may have
 * AVX512VNNI and not AVXVNNI, or the reverse.
 */
enum fm_isa {
	FM_ISA_SCALAR = 0,   /* plain C: any machine; the reference for all others */
	FM_ISA_SSE41,        /* x86: SSE4.1, without FMA */
	FM_ISA_AVX2,         /* AVX2 and FMA */
	FM_ISA_AVXVNNI,      /* AVX2, FMA and VNNI in VEX encoding */
	FM_ISA_AVX512VLVNNI, /* AVX2, FMA, AVX-512 F and VL and VNNI in EVEX encoding, on 256 bits */
	FM_ISA_AVX512VNNI,   /* AVX-512 F, BW, VL, DQ and VNNI */
	FM_ISA_NEON,         /* aarch64: Advanced SIMD, which all of them have */
	FM_ISA_NEONDOT,      /* Advanced SIMD and the dot product of Armv8.2 */
	FM_ISA_COUNT,
};

/* "scalar", "sse41", "avx2", "avxvnni", "avx512vlvnni", "avx512vnni", "neon", "neondot". Never NULL. */
const char *fm_isa_name(enum fm_isa isa);

/* Whether programs built for this architecture know it: scalar always, neon on aarch64 only. */
bool fm_isa_of_architecture(enum fm_isa isa);

/* Reads the name of an ISA of this architecture; FM_E_INVALID lists those. */
enum fm_status fm_isa_parse(const char *name, enum fm_isa *ret_isa, struct fm_error *err);

/* Whether this machine runs it, before any cap. */
bool fm_isa_supported(enum fm_isa isa);

/*
 * The ISA to use. An unknown FACEMATCH_ISA is ignored here; programs report it at start through
 * fm_isa_check_environment(). A cap that the machine lacks means the highest below it that it has.
 */
enum fm_isa fm_isa_best(void);
enum fm_status fm_isa_check_environment(struct fm_error *err);

/*
 * Flush denormals to zero in the calling thread (MXCSR FTZ and DAZ; FPCR FZ): results lose nothing that
 * anyone can measure and inference keeps its speed. Every thread that runs a session calls it once.
 */
void fm_cpu_flush_denormals(void);

#endif
