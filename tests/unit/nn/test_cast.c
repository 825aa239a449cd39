/* Cast and BitShift on constants; what depends on the input is refused. */
#include "lib/base/size.h"
#include "tests/unit/nn/net_fixture.h"

enum { FLOAT = 1, UINT8 = 2, INT8 = 3, INT32 = 6, INT64 = 7, BOOL = 9 };

#define COUNT 6

/* y = x + Cast(Cast(constant, to), float), for x = 0. */
static void expect_cast(const float *constant, int to, const float *wanted)
{
	const float zeros[COUNT] = {0};
	struct test_onnx *m = test_onnx_new(13);

	test_onnx_input(m, "x", 1, (int64_t[]){COUNT});
	test_onnx_floats(m, "c", 1, (int64_t[]){COUNT}, constant);
	test_onnx_node(m, "Cast", "c", "there");
	test_onnx_attribute_int(m, "to", to);
	test_onnx_node(m, "Cast", "there", "back");
	test_onnx_attribute_int(m, "to", FLOAT);
	test_onnx_node(m, "Add", "x,back", "y");
	test_onnx_output(m, "y");
	float *got = load_and_run(m, NULL, zeros);
	for (size_t i = 0; i < COUNT; i++)
		cr_expect_float_eq(got[i], wanted[i], 0, "type %d, element %zu: %g, not %g", to, i,
		        (double)got[i], (double)wanted[i]);
	free(got);
}

Test(cast, cuts_towards_zero_and_stops_at_the_ends)
{
	const float c[COUNT] = {-1.9f, 1.9f, 300, -300, 0, NAN};

	expect_cast(c, INT8, (const float[]){-1, 1, 127, -128, 0, 0});
	expect_cast(c, UINT8, (const float[]){0, 1, 255, 0, 0, 0});
	expect_cast(c, INT32, (const float[]){-1, 1, 300, -300, 0, 0});
	expect_cast(c, INT64, (const float[]){-1, 1, 300, -300, 0, 0});
	expect_cast(c, BOOL, (const float[]){1, 1, 1, 1, 0, 1});
	expect_cast((const float[]){3e9f, -3e9f, 1e30f, -1e30f, INFINITY, 1}, INT32,
	        (const float[]){0x1p31f, -0x1p31f, 0x1p31f, -0x1p31f, 0x1p31f, 1});
	expect_cast((const float[]){3e9f, -3e9f, 1e30f, -1e30f, INFINITY, 1}, INT64,
	        (const float[]){3e9f, -3e9f, 0x1p63f, -0x1p63f, 0x1p63f, 1});
}

Test(cast, to_what_it_is_already_changes_nothing)
{
	const float x[4] = {-1, 0.5f, 3e9f, 0};
	struct test_onnx *m = test_onnx_new(13);

	test_onnx_input(m, "x", 1, (int64_t[]){4});
	test_onnx_node(m, "Cast", "x", "same");
	test_onnx_attribute_int(m, "to", FLOAT);
	test_onnx_node(m, "Relu", "same", "y");
	test_onnx_output(m, "y");
	float *got = load_and_run(m, NULL, x);
	cr_expect_arr_eq(got, ((const float[]){0, 0.5f, 3e9f, 0}), sizeof(x));
	free(got);

	/* Integers beyond what doubles hold, as Slice's ends: they must not turn. */
	m = test_onnx_new(13);
	test_onnx_input(m, "x", 1, (int64_t[]){4});
	test_onnx_ints(m, "starts", 1, (int64_t[]){1});
	test_onnx_ints(m, "far", 1, (int64_t[]){INT64_MAX});
	test_onnx_node(m, "Cast", "far", "ends");
	test_onnx_attribute_int(m, "to", INT64);
	test_onnx_node(m, "Slice", "x,starts,ends", "y");
	test_onnx_output(m, "y");
	got = load_and_run(m, NULL, x);
	cr_expect_arr_eq(got, x + 1, 3 * sizeof(*x));
	free(got);
}

static struct test_onnx *shifted(const char *direction, int type, uint8_t bits)
{
	const uint8_t codes[8] = {0x00, 0x01, 0x0f, 0x10, 0x5a, 0x80, 0xf0, 0xff};
	struct test_onnx *m = test_onnx_new(13);

	test_onnx_input(m, "x", 2, (int64_t[]){2, 4});
	test_onnx_raw(m, "c", type, 2, (int64_t[]){2, 4}, codes, sizeof(codes));
	test_onnx_raw(m, "bits", type, 0, NULL, &bits, 1);
	test_onnx_node(m, "BitShift", "c,bits", "shifted");
	if (direction)
		test_onnx_attribute_string(m, "direction", direction);
	test_onnx_node(m, "Cast", "shifted", "floats");
	test_onnx_attribute_int(m, "to", FLOAT);
	test_onnx_node(m, "Add", "x,floats", "y");
	test_onnx_output(m, "y");
	return m;
}

Test(cast, bits_shift_out_of_a_byte)
{
	static const struct {
		const char *direction;
		uint8_t bits;
		float wanted[8];
	} cases[] = {
	        {"LEFT", 4, {0x00, 0x10, 0xf0, 0x00, 0xa0, 0x00, 0x00, 0xf0}},
	        {"RIGHT", 4, {0x00, 0x00, 0x00, 0x01, 0x05, 0x08, 0x0f, 0x0f}},
	        {"LEFT", 0, {0x00, 0x01, 0x0f, 0x10, 0x5a, 0x80, 0xf0, 0xff}},
	        {"RIGHT", 8, {0}},
	        {"LEFT", 200, {0}},
	};
	const float zeros[8] = {0};

	for (size_t i = 0; i < FM_ARRAY_SIZE(cases); i++) {
		float *got = load_and_run(shifted(cases[i].direction, UINT8, cases[i].bits), NULL, zeros);
		cr_expect_arr_eq(got, cases[i].wanted, sizeof(cases[i].wanted), "case %zu", i);
		free(got);
	}
}

Test(cast, refused)
{
	struct test_onnx *m = test_onnx_new(13);

	test_onnx_input(m, "x", 1, (int64_t[]){4});
	test_onnx_node(m, "Cast", "x", "y");
	test_onnx_attribute_int(m, "to", INT8);
	test_onnx_output(m, "y");
	refused(m, FM_E_UNSUPPORTED, "Cast", "depends on the network's input");

	m = test_onnx_new(13);
	test_onnx_input(m, "x", 1, (int64_t[]){4});
	test_onnx_node(m, "Cast", "x", "y");
	test_onnx_attribute_int(m, "to", 8);
	test_onnx_output(m, "y");
	refused(m, FM_E_UNSUPPORTED, "Cast", "data type 8");

	refused(shifted("UP", UINT8, 1), FM_E_CORRUPT, "BitShift", "neither LEFT nor RIGHT");
	refused(shifted(NULL, UINT8, 1), FM_E_CORRUPT, "BitShift", "neither LEFT nor RIGHT");
	refused(shifted("LEFT", INT8, 1), FM_E_UNSUPPORTED, "BitShift", "uint8");
}
