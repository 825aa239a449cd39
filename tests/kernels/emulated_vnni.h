/*
 * The AVX-VNNI row of the table on a processor that has AVX2 but not AVX-VNNI: its one instruction that is
 * missing, vpdpbusd in VEX encoding, raises SIGILL, and a handler does what it would have done (Intel SDM
 * volume 2, VPDPBUSD) on the registers that the kernel saved in the signal's frame. So the code that ships
 * runs, instruction by instruction.
 */
#ifndef FM_TESTS_KERNELS_EMULATED_VNNI_H
#define FM_TESTS_KERNELS_EMULATED_VNNI_H

#include "lib/kernels/kernels.h"

#if defined(__x86_64__)

#include "lib/kernels/gemm_u8s8.h"
#include "lib/kernels/scan.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <ucontext.h>

/* Where a frame keeps registers: the XSAVE area in its standard form (SDM volume 1, 13.4). */
enum { XMM_AT = 160, XSTATE_BV_AT = 512, YMM_HIGH_AT = 576, XMM_BYTES = 16, YMM_BIT = 4 };

static inline void read_ymm(uint8_t to[32], const uint8_t *frame, unsigned number)
{
	memcpy(to, frame + XMM_AT + number * XMM_BYTES, XMM_BYTES);
	if (frame[XSTATE_BV_AT] & YMM_BIT)
		memcpy(to + XMM_BYTES, frame + YMM_HIGH_AT + number * XMM_BYTES, XMM_BYTES);
	else
		memset(to + XMM_BYTES, 0, XMM_BYTES); /* all high halves are in their initial state */
}

static inline void write_ymm(uint8_t *frame, unsigned number, const uint8_t from[32])
{
	if (!(frame[XSTATE_BV_AT] & YMM_BIT))
		memset(frame + YMM_HIGH_AT, 0, (size_t)16 * XMM_BYTES);
	frame[XSTATE_BV_AT] |= YMM_BIT | 2;
	memcpy(frame + XMM_AT + number * XMM_BYTES, from, XMM_BYTES);
	memcpy(frame + YMM_HIGH_AT + number * XMM_BYTES, from + XMM_BYTES, XMM_BYTES);
}

/*
 * VEX.256.66.0F38.W0 50 /r between registers: C4, ~R ~X ~B and map 2, W 0 ~vvvv L 1 and pp 1, 50, ModRM.
 * Anything else ends the process as it would have.
 */
static void emulate_vpdpbusd(int signal_number, siginfo_t *info, void *context)
{
	ucontext_t *user = context;
	uint8_t *frame = (uint8_t *)user->uc_mcontext.fpregs;
	const uint8_t *code = (const uint8_t *)user->uc_mcontext.gregs[REG_RIP];
	uint8_t a[32], w[32];
	int32_t sum[8];

	(void)info;
	if (code[0] != 0xc4 || (code[1] & 0x1f) != 2 || (code[2] & 0x87) != 5 || code[3] != 0x50 ||
	        code[4] < 0xc0) {
		signal(signal_number, SIG_DFL);
		return;
	}
	const unsigned to = (~code[1] >> 7 & 1) << 3 | (code[4] >> 3 & 7);
	const unsigned second = ~code[2] >> 3 & 15, third = (~code[1] >> 5 & 1) << 3 | (code[4] & 7);

	read_ymm((uint8_t *)sum, frame, to);
	read_ymm(a, frame, second);
	read_ymm(w, frame, third);
	for (size_t i = 0; i < 32; i++)
		sum[i / 4] += a[i] * (int8_t)w[i];
	write_ymm(frame, to, (const uint8_t *)sum);
	user->uc_mcontext.gregs[REG_RIP] += 5;
}

/* NULL where the processor has the instruction, or no AVX2. */
static inline const struct fm_kernels *emulated_avxvnni(void)
{
	static struct fm_kernels row;
	const struct fm_kernels *avx2 = fm_kernels_for(FM_ISA_AVX2);
	struct sigaction action = {.sa_sigaction = emulate_vpdpbusd, .sa_flags = SA_SIGINFO};

	if (avx2 == NULL || fm_kernels_for(FM_ISA_AVXVNNI) != NULL)
		return NULL;
	row = *avx2;
	row.isa = FM_ISA_AVXVNNI;
	row.gemm_u8s8 = (struct fm_gemm_u8s8){.k_multiple = FM_GEMM_U8S8_K_MULTIPLE_VNNI256,
	        .packed_bytes = fm_gemm_u8s8_packed_bytes_avxvnni,
	        .pack = fm_gemm_u8s8_pack_avxvnni,
	        .run = fm_gemm_u8s8_run_avxvnni};
	row.scan_u5s8 = fm_scan_u5s8_avxvnni;
	cr_assert_eq(sigaction(SIGILL, &action, NULL), 0);
	return &row;
}

#else

static inline const struct fm_kernels *emulated_avxvnni(void)
{
	return NULL;
}

#endif

#endif
