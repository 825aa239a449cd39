/* The ISA table and the names that people write. FACEMATCH_ISA is read once: each Criterion test is a
 * process. */
#include "tests/kernels/support.h"

#include <stdlib.h>

#include "lib/base/banned.h"

Test(cpu, names_round_trip)
{
	for (int isa = 0; isa < FM_ISA_COUNT; isa++) {
		enum fm_isa parsed;
		cr_assert_eq(fm_isa_parse(fm_isa_name((enum fm_isa)isa), &parsed, NULL), FM_OK);
		cr_assert_eq((int)parsed, isa);
	}
}

Test(cpu, unknown_name_lists_what_exists)
{
	struct fm_error err = {0};
	enum fm_isa isa = FM_ISA_AVX2;

	cr_assert_eq(fm_isa_parse("avx9", &isa, &err), FM_E_INVALID);
	cr_assert_eq(isa, FM_ISA_AVX2, "changed on failure");
	for (int i = 0; i < FM_ISA_COUNT; i++)
		cr_assert_not_null(strstr(err.message, fm_isa_name((enum fm_isa)i)));
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
	setenv("FACEMATCH_ISA", "avx2", 1);
	cr_assert_eq(fm_isa_best(), FM_ISA_SCALAR, "read twice");
}

Test(cpu, a_cap_does_not_raise)
{
	setenv("FACEMATCH_ISA", "avx512vnni", 1);
	cr_assert(fm_isa_supported(fm_isa_best()));
}

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
