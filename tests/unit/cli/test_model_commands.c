/* model run, model inspect, model check and bench net on the real networks. */
#include "cli/npy.h"
#include "lib/base/cleanup.h"
#include "lib/base/file.h"
#include "lib/base/size.h"
#include "lib/cpu/cpu.h"
#include "lib/nn/session.h"
#include "tests/support/ctl.h"
#include "tests/support/onnx_builder.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

TEST_CTL_SUITE(model_commands);

/* ---- model run ------------------------------------------------------------------------------- */

static float *make_input(size_t elements)
{
	float *values = malloc(elements * sizeof(*values));

	for (size_t i = 0; i < elements; i++)
		values[i] = (float)((i * 37 + i / 64 * 11) % 256) / 256;
	return values;
}

static void run_here(const char *path, enum fm_precision precision, const float *input, float *output)
{
	const struct fm_net_options options = {.precision = precision};
	struct fm_session *session;
	struct fm_net *net;

	cr_assert_eq(fm_net_load(path, &options, &net, NULL), FM_OK);
	cr_assert_eq(fm_session_create(net, &session, NULL), FM_OK);
	fm_cpu_flush_denormals();
	fm_session_run(session, &input, &output);
	fm_session_free(session);
	fm_net_free(net);
}

Test(model_commands, model_run_gives_the_networks_own_output)
{
	const size_t dims[] = {1, 1, 64, 64};
	fm_autofree float *input = make_input(4096);
	char model[TEST_CTL_PATH], x[TEST_CTL_PATH], y[TEST_CTL_PATH];

	test_ctl_model("fr_landmark", model);
	for (int precision = 0; precision < 2; precision++) {
		/* With the batch and without it. */
		for (size_t left_out = 0; left_out < 2; left_out++) {
			struct fm_npy npy = {0};
			float wanted[136];
			cr_assert_eq(fm_npy_write(test_ctl_path("x.npy", x), input, dims + left_out,
			                     4 - left_out, NULL),
			        FM_OK);
			struct test_ctl_result result = test_ctl_run("model", "run", model, "--input", x,
			        "--output", test_ctl_path("y.npy", y), "--precision",
			        fm_precision_name(precision), NULL);
			cr_assert_eq(result.status, 0, "%s", result.err);
			cr_assert_eq(fm_npy_read(y, &npy, NULL), FM_OK);
			cr_assert_eq(npy.elements, 136);
			run_here(model, precision, input, wanted);
			cr_expect_arr_eq(npy.values, wanted, sizeof(wanted));
			fm_npy_done(&npy);
			test_ctl_result_done(&result);
		}
	}
}

Test(model_commands, model_run_writes_each_output_into_a_new_directory)
{
	static const struct {
		const char *file;
		size_t columns;
	} outputs[] = {{"new/dir/y.scores.npy", 2}, {"new/dir/y.boxes.npy", 4}};
	const size_t dims[] = {1, 3, 240, 320};
	fm_autofree float *input = make_input(3 * 240 * 320);
	char model[TEST_CTL_PATH], x[TEST_CTL_PATH], y[TEST_CTL_PATH];

	test_ctl_model("fr_detect", model);
	cr_assert_eq(fm_npy_write(test_ctl_path("x.npy", x), input, dims, 4, NULL), FM_OK);
	struct test_ctl_result result = test_ctl_run("model", "run", "--output",
	        test_ctl_path("new/dir/y.npy", y), "--precision", "float32", "--input", x, model, NULL);
	cr_assert_eq(result.status, 0, "%s", result.err);
	test_ctl_result_done(&result);
	for (size_t i = 0; i < FM_ARRAY_SIZE(outputs); i++) {
		struct fm_npy npy = {0};
		cr_assert_eq(fm_npy_read(test_ctl_path(outputs[i].file, y), &npy, NULL), FM_OK);
		cr_assert_eq(npy.rank, 3);
		cr_expect(npy.dims[0] == 1 && npy.dims[1] == 4420 && npy.dims[2] == outputs[i].columns);
		fm_npy_done(&npy);
	}
	cr_expect_lt(access(test_ctl_path("new/dir/y.npy", y), F_OK), 0);
}

Test(model_commands, model_run_refuses_wrong_input)
{
	const size_t dims[] = {1, 1, 64, 64}, wrong[] = {64, 1, 64}, batch[] = {2, 1, 64, 32};
	fm_autofree float *input = make_input(4096);
	char model[TEST_CTL_PATH], x[TEST_CTL_PATH], y[TEST_CTL_PATH];

	test_ctl_model("fr_landmark", model);
	test_ctl_path("x.npy", x);
	test_ctl_path("y.npy", y);
	test_ctl_expect_failure(
	        test_ctl_run("model", "run", model, "--input", x, "--output", y, NULL), "x.npy");
	cr_assert_eq(fm_npy_write(x, input, wrong, 3, NULL), FM_OK);
	test_ctl_expect_failure(
	        test_ctl_run("model", "run", model, "--input", x, "--output", y, NULL), "64x1x64");
	cr_assert_eq(fm_npy_write(x, input, batch, 4, NULL), FM_OK);
	test_ctl_expect_failure(
	        test_ctl_run("model", "run", model, "--input", x, "--output", y, NULL), "1x1x64x64");
	input[77] = NAN;
	cr_assert_eq(fm_npy_write(x, input, dims, 4, NULL), FM_OK);
	test_ctl_expect_failure(
	        test_ctl_run("model", "run", model, "--input", x, "--output", y, NULL), "element 77");
	test_ctl_write("x.npy", "not an array", 12);
	test_ctl_expect_failure(
	        test_ctl_run("model", "run", model, "--input", x, "--output", y, NULL), "not a .npy file");
	cr_expect_lt(access(y, F_OK), 0, "nothing is written");

	input[77] = 0;
	cr_assert_eq(fm_npy_write(x, input, dims, 4, NULL), FM_OK);
	test_ctl_expect_failure(test_ctl_run("model", "run", x, "--input", x, "--output", y, NULL), "x.npy");
	test_ctl_expect_failure(
	        test_ctl_run("model", "run", "/nonexistent.onnx", "--input", x, "--output", y, NULL),
	        "/nonexistent.onnx");
	test_ctl_expect_failure(
	        test_ctl_run("model", "run", model, "--input", x, "--output", "/proc/y.npy", NULL),
	        "/proc/y.npy");
}

/* ---- inspect, check, bench ------------------------------------------------------------------- */

Test(model_commands, model_inspect_adds_up)
{
	char model[TEST_CTL_PATH];
	double macs = 0;
	json_t *kind;
	size_t i;

	test_ctl_model("fr_feature", model);
	struct test_ctl_result result = test_ctl_run("model", "inspect", model, "--json", NULL);
	cr_assert_eq(result.status, 0, "%s", result.err);
	json_t *json = test_ctl_json(result.out);
	json_array_foreach(json_object_get(json, "kinds"), i, kind) macs += test_ctl_number(kind, "macs");
	cr_expect_eq(macs, test_ctl_number(json, "macs"));
	/* 221 M, of which 92.9 % in 1x1 convolutions. */
	cr_expect_float_eq(macs, 221e6, 2e6);
	cr_expect_gt(json_array_size(json_object_get(json, "layers")), 40);
	cr_expect_lt(test_ctl_number(json, "int8_bytes"), test_ctl_number(json, "float32_bytes"));
	cr_expect_gt(test_ctl_number(json, "float32_bytes"), 4 * 1.1e6);
	cr_expect_gt(test_ctl_number(json, "int8_arena_bytes"), 0);
	cr_expect_eq(test_ctl_number(json, "denormal_weights"), 8938); /* counted with NumPy */
	cr_expect_gt(test_ctl_number(json_object_get(json, "ops"), "Conv"), 40);
	json_t *shape = json_object_get(json_array_get(json_object_get(json, "inputs"), 0), "shape");
	cr_expect_eq(json_integer_value(json_array_get(shape, 3)), 112);
	json_decref(json);
	test_ctl_result_done(&result);

	result = test_ctl_run("model", "inspect", model, NULL);
	cr_expect_eq(result.status, 0);
	cr_expect_not_null(strstr(result.out, "1x3x112x112"), "%s", result.out);
	cr_expect_not_null(strstr(result.out, "kind of layer"));
	test_ctl_result_done(&result);
}

/* A network that leaves height and width open, as the test's file open.onnx. */
static void write_open_model(char ret_path[TEST_CTL_PATH])
{
	struct test_onnx *m = test_onnx_new(11);
	float weights[4 * 3];
	size_t length;

	test_onnx_noise(weights, FM_ARRAY_SIZE(weights), 1);
	test_onnx_input(m, "x", 4, (int64_t[]){1, 3, -1, -1});
	test_onnx_floats(m, "w", 4, (int64_t[]){4, 3, 1, 1}, weights);
	test_onnx_node(m, "Conv", "x,w", "y");
	test_onnx_output(m, "y");
	fm_autofree uint8_t *bytes = test_onnx_take(m, &length);
	test_ctl_write("open.onnx", bytes, length);
	test_ctl_path("open.onnx", ret_path);
}

Test(model_commands, size_is_the_inputs_where_the_file_leaves_it_open)
{
	char model[TEST_CTL_PATH], x[TEST_CTL_PATH], y[TEST_CTL_PATH], landmark[TEST_CTL_PATH];
	const size_t dims[] = {3, 24, 40};
	float *input = make_input(3 * 24 * 40);
	fm_cleanup(fm_npy_done) struct fm_npy npy = {0};

	write_open_model(model);
	cr_assert_eq(fm_npy_write(test_ctl_path("x.npy", x), input, dims, 3, NULL), FM_OK);
	test_ctl_path("y.npy", y);
	free(input);
	struct test_ctl_result result = test_ctl_run("model", "inspect", "--size", "40x24", model, NULL);
	cr_expect_eq(result.status, 0, "%s", result.err);
	cr_expect_not_null(strstr(result.out, "1x4x24x40"), "%s", result.out);
	test_ctl_result_done(&result);
	result = test_ctl_run("model", "run", model, "--size", "40x24", "--input", x, "--output", y, NULL);
	cr_expect_eq(result.status, 0, "%s", result.err);
	test_ctl_result_done(&result);
	cr_assert_eq(fm_npy_read(y, &npy, NULL), FM_OK);
	cr_expect_eq(npy.elements, 4u * 24 * 40);
	result = test_ctl_run("bench", "net", model, "--size", "64x32", "--seconds", "0.01", "--json", NULL);
	cr_expect_eq(result.status, 0, "%s", result.err);
	json_t *json = test_ctl_json(result.out);
	cr_expect_eq(test_ctl_number(json, "macs"), 64 * 32 * 12);
	json_decref(json);
	test_ctl_result_done(&result);

	test_ctl_expect_failure(test_ctl_run("model", "inspect", model, NULL), "height");
	static const char *const wrong[] = {
	        "40", "40x", "x24", "40x24x3", "0x24", "40x-24", "40 x24", "65536x24"};
	for (size_t i = 0; i < FM_ARRAY_SIZE(wrong); i++)
		test_ctl_expect_usage_error(
		        test_ctl_run("model", "inspect", "--size", wrong[i], model, NULL), "320x240");
	test_ctl_model("fr_landmark", landmark);
	test_ctl_expect_failure(
	        test_ctl_run("model", "inspect", "--size", "40x24", landmark, NULL), "fixed at");
}

Test(model_commands, model_check_names_the_model)
{
	char model[TEST_CTL_PATH], wrong[TEST_CTL_PATH];

	test_ctl_model("fr_feature", model);
	struct test_ctl_result result = test_ctl_run("model", "check", "fr_feature", "--json", NULL);
	cr_assert_eq(result.status, 0, "%s", result.err);
	json_t *json = test_ctl_json(result.out);
	cr_expect_str_eq(json_string_value(json_object_get(json, "role")), "embedding");
	cr_expect_eq(test_ctl_number(json, "dim"), 512);
	cr_expect_not_null(strstr(json_string_value(json_object_get(json, "self_test")), "same each time"));
	cr_expect_null(json_object_get(json, "warning"));
	json_decref(json);
	test_ctl_result_done(&result);
	test_ctl_write("wrong.conf", "[model]\nname = x\n", 17);
	test_ctl_expect_failure(
	        test_ctl_run("model", "check", test_ctl_path("wrong.conf", wrong), NULL), "wrong.conf");
}

/* A default manifest with `line` replaced, or with NULL the end from there on left out. */
static struct test_ctl_result check_changed(const char *name, const char *line, const char *instead)
{
	char source[TEST_CTL_PATH], path[TEST_CTL_PATH], *text, *changed;
	struct fm_error err = {0};
	size_t length;

	snprintf(source, sizeof(source), "config/models/%s.conf", name);
	cr_assert_eq(fm_file_read(source, 1 << 16, &text, &length, &err), FM_OK, "%s", err.message);
	char *at = strstr(text, line);
	cr_assert_not_null(at, "%s in %s", line, source);
	int written = asprintf(&changed, "%.*s%s%s", (int)(at - text), text, instead ? instead : "",
	        instead ? at + strlen(line) : "");
	cr_assert_geq(written, 0);
	test_ctl_write("changed.conf", changed, (size_t)written);
	free(changed);
	free(text);
	return test_ctl_run("model", "check", test_ctl_path("changed.conf", path), "--json", NULL);
}

Test(model_commands, model_check_says_what_does_not_fit)
{
	char model[TEST_CTL_PATH];

	test_ctl_model("fr_feature", model);
	test_ctl_expect_failure(
	        check_changed("fr_feature", "sha256 = 87", "sha256 = 88"), "sha256 is 87aacdfe");
	test_ctl_expect_failure(
	        check_changed("fr_feature", "dim = 512", "dim = 128"), "one output of 128 numbers");
	test_ctl_expect_failure(
	        check_changed("fr_feature", "width_px = 112", "width_px = 96"), "fixed at a width of 112");
	test_ctl_expect_failure(
	        check_changed("fr_feature", "\nscale = 0.0078125", "\nscale = 0"), "same embedding");
	test_ctl_expect_failure(check_changed("fr_detect", "decoder = ultraface", "decoder = yunet"),
	        "for decoder ultraface");
	test_ctl_expect_failure(check_changed("fr_detect",
	                                "decoder = ultraface\nscore_min = 0.65\nconfirmed_min = 0.75\n"
	                                "iou_max = 0.4\nraw_scores = 461\nraw_boxes = 462",
	                                "decoder = yunet"),
	        "multiples of 32");
	test_ctl_expect_failure(
	        check_changed("fr_detect", "raw_boxes = 462", "raw_boxes = 461"), "not 1 x 46903 x 4");
	test_ctl_expect_failure(
	        check_changed("fr_detect", "raw_boxes = 462", "raw_boxes = 4620"), "not made by any node");
	struct test_ctl_result result = check_changed("fr_feature", "[calibration]", NULL);
	cr_assert_eq(result.status, 0, "%s", result.err);
	json_t *json = test_ctl_json(result.out);
	cr_expect_not_null(strstr(json_string_value(json_object_get(json, "warning")), "no calibration"));
	json_decref(json);
	test_ctl_result_done(&result);
}

Test(model_commands, bench_net_measures)
{
	char model[TEST_CTL_PATH];

	test_ctl_model("fr_landmark", model);
	struct test_ctl_result result = test_ctl_run("bench", "net", model, "--precision", "int8",
	        "--threads", "2", "--seconds", "0.05", "--json", "--layers", NULL);
	cr_assert_eq(result.status, 0, "%s", result.err);
	json_t *json = test_ctl_json(result.out), *layer;
	double macs = 0;
	size_t i;
	cr_expect_gt(test_ctl_number(json, "min_ms"), 0);
	cr_expect_geq(test_ctl_number(json, "median_ms"), test_ctl_number(json, "min_ms"));
	cr_expect_geq(test_ctl_number(json, "runs"), 10);
	cr_expect_eq(test_ctl_number(json, "threads"), 2);
	cr_expect_gt(test_ctl_number(json, "arena_bytes"), 0);
	cr_expect_gt(test_ctl_number(json, "weight_bytes"), 0);
	cr_expect_float_eq(test_ctl_number(json, "gmac_per_s"),
	        2 * test_ctl_number(json, "macs") / test_ctl_number(json, "median_ms") / 1e6,
	        1e-6 * test_ctl_number(json, "gmac_per_s"));
	cr_expect_str_eq(json_string_value(json_object_get(json, "isa")), fm_isa_name(fm_isa_best()));
	cr_expect_str_eq(json_string_value(json_object_get(json, "precision")), "int8");
	json_array_foreach(json_object_get(json, "layers"), i, layer)
	{
		cr_expect_geq(test_ctl_number(layer, "median_ms"), 0);
		macs += test_ctl_number(layer, "macs");
	}
	cr_expect_eq(macs, test_ctl_number(json, "macs"));
	json_decref(json);
	test_ctl_result_done(&result);
}
