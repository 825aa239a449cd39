#include "lib/cpu/cpu.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <xmmintrin.h>
#endif

#include "lib/base/banned.h"

static const char *const isa_names[FM_ISA_COUNT] = {
        [FM_ISA_SCALAR] = "scalar",
        [FM_ISA_AVX2] = "avx2",
        [FM_ISA_AVX512VNNI] = "avx512vnni",
};

const char *fm_isa_name(enum fm_isa isa)
{
	return (unsigned)isa < FM_ISA_COUNT ? isa_names[isa] : "unknown";
}

enum fm_status fm_isa_parse(const char *name, enum fm_isa *ret_isa, struct fm_error *err)
{
	for (int isa = 0; isa < FM_ISA_COUNT; isa++) {
		if (strcmp(name, isa_names[isa]) == 0) {
			*ret_isa = (enum fm_isa)isa;
			return FM_OK;
		}
	}
	return fm_fail(err, FM_E_INVALID, "unknown ISA \"%.32s\"; it is one of %s, %s, %s", name,
	        isa_names[FM_ISA_SCALAR], isa_names[FM_ISA_AVX2], isa_names[FM_ISA_AVX512VNNI]);
}

#if defined(__x86_64__)

/* Bit numbers: Intel SDM volume 2A, CPUID; the order within a word is the manual's. */
enum {
	LEAF1_ECX_FMA = 12,
	LEAF1_ECX_OSXSAVE = 27,
	LEAF1_ECX_AVX = 28,
	LEAF7_EBX_AVX2 = 5,
	LEAF7_EBX_AVX512F = 16,
	LEAF7_EBX_AVX512DQ = 17,
	LEAF7_EBX_AVX512BW = 30,
	LEAF7_EBX_AVX512VL = 31,
	LEAF7_ECX_AVX512VNNI = 11,
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

static enum fm_isa detect(void)
{
	uint32_t eax, ebx, ecx, edx;

	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx))
		return FM_ISA_SCALAR;
	if (!has(ecx, LEAF1_ECX_OSXSAVE) || !has(ecx, LEAF1_ECX_AVX) || !has(ecx, LEAF1_ECX_FMA))
		return FM_ISA_SCALAR;
	uint64_t xcr0 = read_xcr0();
	if ((xcr0 & XCR0_AVX) != XCR0_AVX)
		return FM_ISA_SCALAR;
	if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !has(ebx, LEAF7_EBX_AVX2))
		return FM_ISA_SCALAR;
	if ((xcr0 & XCR0_AVX512) != XCR0_AVX512)
		return FM_ISA_AVX2;
	if (!has(ebx, LEAF7_EBX_AVX512F) || !has(ebx, LEAF7_EBX_AVX512DQ) || !has(ebx, LEAF7_EBX_AVX512BW) ||
	        !has(ebx, LEAF7_EBX_AVX512VL) || !has(ecx, LEAF7_ECX_AVX512VNNI))
		return FM_ISA_AVX2;
	return FM_ISA_AVX512VNNI;
}

#else

static enum fm_isa detect(void)
{
	return FM_ISA_SCALAR;
}

#endif

/* What the machine has, and that under the cap. Written once, before anyone reads. */
static struct {
	enum fm_isa machine, best;
	bool cap_unknown;
	char cap[33];
} found;
static pthread_once_t found_once = PTHREAD_ONCE_INIT;

static void find(void)
{
	const char *cap = getenv("FACEMATCH_ISA");
	enum fm_isa isa;

	found.machine = found.best = detect();
	if (cap == NULL || cap[0] == '\0')
		return;
	if (fm_isa_parse(cap, &isa, NULL) != FM_OK) {
		found.cap_unknown = true;
		size_t length = strnlen(cap, sizeof(found.cap) - 1);
		memcpy(found.cap, cap, length);
		return;
	}
	if (isa < found.best)
		found.best = isa;
}

bool fm_isa_supported(enum fm_isa isa)
{
	pthread_once(&found_once, find);
	return (unsigned)isa < FM_ISA_COUNT && isa <= found.machine;
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
