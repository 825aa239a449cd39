/* The ISA table and the names that people write. FACEMATCH_ISA is read once: each Criterion test is a
 * process. */
#include "tests/kernels/support.h"

#include <stdlib.h>

#include "lib/base/banned.h"

Test(cpu, names_round_trip)
{
	for (int isa = 0; isa < FM_ISA_COUNT; isa++) {
		enum fm_isa parsed = FM_ISA_COUNT;
		enum fm_status status = fm_isa_parse(fm_isa_name((enum fm_isa)isa), &parsed, NULL);
		if (fm_isa_of_architecture((enum fm_isa)isa)) {
			cr_assert_eq(status, FM_OK);
			cr_assert_eq((int)parsed, isa);
		} else {
			cr_assert_eq(status, FM_E_INVALID);
			cr_assert_not(fm_isa_supported((enum fm_isa)isa));
		}
	}
}

Test(cpu, unknown_name_lists_what_exists)
{
	struct fm_error err = {0};
	enum fm_isa isa = FM_ISA_AVX2;

	cr_assert_eq(fm_isa_parse("avx9", &isa, &err), FM_E_INVALID);
	cr_assert_eq(isa, FM_ISA_AVX2, "changed on failure");
	for (int i = 0; i < FM_ISA_COUNT; i++)
		cr_assert_eq(strstr(err.message, fm_isa_name((enum fm_isa)i)) != NULL,
		        fm_isa_of_architecture((enum fm_isa)i));
}

Test(cpu, rows_exist_where_the_machine_runs_them)
{
	cr_assert(fm_isa_supported(FM_ISA_SCALAR));
	cr_assert_null(fm_kernels_for(FM_ISA_COUNT));
	for (int isa = 0; isa < FM_ISA_COUNT; isa++) {
		const struct fm_kernels *kernels = fm_kernels_for((enum fm_isa)isa);
		cr_assert_eq(kernels != NULL, fm_isa_supported((enum fm_isa)isa));
		if (kernels != NULL)
			cr_assert_eq((int)kernels->isa, isa);
	}
}

Test(cpu, a_cap_lowers)
{
	setenv("FACEMATCH_ISA", "scalar", 1);
	cr_assert_eq(fm_isa_best(), FM_ISA_SCALAR);
	cr_assert_eq(fm_kernels_best()->isa, FM_ISA_SCALAR);
	cr_assert_eq(fm_isa_check_environment(NULL), FM_OK);
	unsetenv("FACEMATCH_ISA");
	cr_assert_eq(fm_isa_best(), FM_ISA_SCALAR, "read twice");
}

/* Under every cap: what the machine lacks falls to what it has below, and nothing raises. */
static void check_cap(enum fm_isa cap)
{
	enum fm_isa best, expected = FM_ISA_SCALAR;

	setenv("FACEMATCH_ISA", fm_isa_name(cap), 1);
	best = fm_isa_best();
	for (int isa = 0; isa <= (int)cap; isa++) {
		if (fm_isa_supported((enum fm_isa)isa))
			expected = (enum fm_isa)isa;
	}
	cr_assert_eq(best, expected, "under %s: %s", fm_isa_name(cap), fm_isa_name(best));
	cr_assert_not_null(fm_kernels_for(best));
}

#define CAP_TEST(name, cap)                                                                                  \
	Test(cpu, name)                                                                                      \
	{                                                                                                    \
		if (fm_isa_of_architecture(cap))                                                             \
			check_cap(cap);                                                                      \
	}
CAP_TEST(cap_sse41, FM_ISA_SSE41)
CAP_TEST(cap_avx2, FM_ISA_AVX2)
CAP_TEST(cap_avxvnni, FM_ISA_AVXVNNI)
CAP_TEST(cap_avx512vlvnni, FM_ISA_AVX512VLVNNI)
CAP_TEST(cap_avx512vnni, FM_ISA_AVX512VNNI)
CAP_TEST(cap_neon, FM_ISA_NEON)
CAP_TEST(cap_neondot, FM_ISA_NEONDOT)

Test(cpu, an_unknown_cap_is_reported_and_ignored)
{
	struct fm_error err = {0};

	setenv("FACEMATCH_ISA", "quantum", 1);
	cr_assert(fm_isa_supported(fm_isa_best()));
	cr_assert_eq(fm_isa_check_environment(&err), FM_E_INVALID);
	cr_assert_not_null(strstr(err.message, "FACEMATCH_ISA"));
	cr_assert_not_null(strstr(err.message, "quantum"));
}

Test(cpu, denormals_are_flushed)
{
	volatile float smallest = 0x1p-126f, half = 0.5f;

	cr_assert_neq(smallest * half, 0.0f);
	fm_cpu_flush_denormals();
	cr_assert_eq(smallest * half, 0.0f);
}
