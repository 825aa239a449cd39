#include "lib/cpu/cpu.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <xmmintrin.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

#include "lib/base/banned.h"

static const char *const isa_names[FM_ISA_COUNT] = {
        [FM_ISA_SCALAR] = "scalar",
        [FM_ISA_SSE41] = "sse41",
        [FM_ISA_AVX2] = "avx2",
        [FM_ISA_AVXVNNI] = "avxvnni",
        [FM_ISA_AVX512VLVNNI] = "avx512vlvnni",
        [FM_ISA_AVX512VNNI] = "avx512vnni",
        [FM_ISA_NEON] = "neon",
        [FM_ISA_NEONDOT] = "neondot",
};

const char *fm_isa_name(enum fm_isa isa)
{
	return (unsigned)isa < FM_ISA_COUNT ? isa_names[isa] : "unknown";
}

bool fm_isa_of_architecture(enum fm_isa isa)
{
#if defined(__x86_64__)
	return isa <= FM_ISA_AVX512VNNI;
#elif defined(__aarch64__)
	return isa == FM_ISA_SCALAR || isa == FM_ISA_NEON || isa == FM_ISA_NEONDOT;
#else
	return isa == FM_ISA_SCALAR;
#endif
}

enum fm_status fm_isa_parse(const char *name, enum fm_isa *ret_isa, struct fm_error *err)
{
	char known[128] = "";

	for (int isa = 0; isa < FM_ISA_COUNT; isa++) {
		if (!fm_isa_of_architecture((enum fm_isa)isa))
			continue;
		if (strcmp(name, isa_names[isa]) == 0) {
			*ret_isa = (enum fm_isa)isa;
			return FM_OK;
		}
		size_t length = strlen(known);
		snprintf(
		        known + length, sizeof(known) - length, "%s%s", isa == 0 ? "" : ", ", isa_names[isa]);
	}
	return fm_fail(err, FM_E_INVALID, "unknown ISA \"%.32s\"; it is one of %s", name, known);
}

/* One bit an ISA. */
static uint32_t bit_of(enum fm_isa isa)
{
	return UINT32_C(1) << isa;
}

#if defined(__x86_64__)

/* Bit numbers: Intel SDM volume 2A, CPUID; the order within a word is the manual's. */
enum {
	LEAF1_ECX_SSSE3 = 9,
	LEAF1_ECX_FMA = 12,
	LEAF1_ECX_SSE41 = 19,
	LEAF1_ECX_OSXSAVE = 27,
	LEAF1_ECX_AVX = 28,
	LEAF7_EBX_AVX2 = 5,
	LEAF7_EBX_AVX512F = 16,
	LEAF7_EBX_AVX512DQ = 17,
	LEAF7_EBX_AVX512BW = 30,
	LEAF7_EBX_AVX512VL = 31,
	LEAF7_ECX_AVX512VNNI = 11,
	LEAF7_1_EAX_AVXVNNI = 4, /* subleaf 1 */
};

/* State that the operating system saves on a task switch: SSE and AVX; AVX-512 adds opmask and both halves.
 */
#define XCR0_AVX    UINT64_C(0x06)
#define XCR0_AVX512 UINT64_C(0xe6)

static bool has(uint32_t word, int bit)
{
	return (word >> bit & 1) != 0;
}

static uint64_t read_xcr0(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

static uint32_t detect(void)
{
	uint32_t isas = bit_of(FM_ISA_SCALAR), eax, ebx, ecx, edx, subleaves;

	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !has(ecx, LEAF1_ECX_SSSE3) ||
	        !has(ecx, LEAF1_ECX_SSE41))
		return isas;
	isas |= bit_of(FM_ISA_SSE41);
	if (!has(ecx, LEAF1_ECX_OSXSAVE) || !has(ecx, LEAF1_ECX_AVX) || !has(ecx, LEAF1_ECX_FMA))
		return isas;
	uint64_t xcr0 = read_xcr0();
	if ((xcr0 & XCR0_AVX) != XCR0_AVX)
		return isas;
	if (!__get_cpuid_count(7, 0, &subleaves, &ebx, &ecx, &edx) || !has(ebx, LEAF7_EBX_AVX2))
		return isas;
	isas |= bit_of(FM_ISA_AVX2);
	if ((xcr0 & XCR0_AVX512) == XCR0_AVX512 && has(ebx, LEAF7_EBX_AVX512F) &&
	        has(ebx, LEAF7_EBX_AVX512VL) && has(ecx, LEAF7_ECX_AVX512VNNI)) {
		isas |= bit_of(FM_ISA_AVX512VLVNNI);
		if (has(ebx, LEAF7_EBX_AVX512DQ) && has(ebx, LEAF7_EBX_AVX512BW))
			isas |= bit_of(FM_ISA_AVX512VNNI);
	}
	if (subleaves >= 1 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) &&
	        has(eax, LEAF7_1_EAX_AVXVNNI))
		isas |= bit_of(FM_ISA_AVXVNNI);
	return isas;
}

#elif defined(__aarch64__)

static uint32_t detect(void)
{
	uint32_t isas = bit_of(FM_ISA_SCALAR);
	unsigned long hwcap = getauxval(AT_HWCAP);

	if ((hwcap & HWCAP_ASIMD) != 0) {
		isas |= bit_of(FM_ISA_NEON);
		if ((hwcap & HWCAP_ASIMDDP) != 0)
			isas |= bit_of(FM_ISA_NEONDOT);
	}
	return isas;
}

#else

static uint32_t detect(void)
{
	return bit_of(FM_ISA_SCALAR);
}

#endif

/* What the machine has, and the best of that under the cap. Written once, before anyone reads. */
static struct {
	uint32_t machine;
	enum fm_isa best;
	bool cap_unknown;
	char cap[33];
} found;
static pthread_once_t found_once = PTHREAD_ONCE_INIT;

static enum fm_isa highest(uint32_t isas, enum fm_isa cap)
{
	int isa = (int)cap;

	while (isa > FM_ISA_SCALAR && (isas & bit_of((enum fm_isa)isa)) == 0)
		isa--;
	return (enum fm_isa)isa;
}

static void find(void)
{
	const char *name = getenv("FACEMATCH_ISA");
	enum fm_isa cap = FM_ISA_COUNT - 1;

	found.machine = detect();
	if (name != NULL && name[0] != '\0' && fm_isa_parse(name, &cap, NULL) != FM_OK) {
		found.cap_unknown = true;
		memcpy(found.cap, name, strnlen(name, sizeof(found.cap) - 1));
	}
	found.best = highest(found.machine, cap);
}

bool fm_isa_supported(enum fm_isa isa)
{
	pthread_once(&found_once, find);
	return (unsigned)isa < FM_ISA_COUNT && (found.machine & bit_of(isa)) != 0;
}

enum fm_isa fm_isa_best(void)
{
	pthread_once(&found_once, find);
	return found.best;
}

enum fm_status fm_isa_check_environment(struct fm_error *err)
{
	enum fm_isa isa;

	pthread_once(&found_once, find);
	if (!found.cap_unknown)
		return FM_OK;
	return fm_fail_prefix(err, fm_isa_parse(found.cap, &isa, err), "environment variable FACEMATCH_ISA");
}

void fm_cpu_flush_denormals(void)
{
#if defined(__x86_64__)
	const unsigned flush_to_zero = 1u << 15, denormals_are_zero = 1u << 6;

	_mm_setcsr(_mm_getcsr() | flush_to_zero | denormals_are_zero);
#elif defined(__aarch64__)
	const uint64_t flush_to_zero = UINT64_C(1) << 24;
	uint64_t fpcr;

	__asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
	__asm__ volatile("msr fpcr, %0" : : "r"(fpcr | flush_to_zero));
#endif
}
