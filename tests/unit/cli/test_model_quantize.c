/* model quantize on the real networks: the size, the report, what is refused, and what the file computes. */
#include "lib/base/cleanup.h"
#include "lib/base/file.h"
#include "lib/base/size.h"
#include "lib/cpu/cpu.h"
#include "lib/nn/session.h"
#include "tests/support/ctl.h"
#include "tests/support/onnx_builder.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/banned.h"

TEST_CTL_SUITE(model_quantize);

#define FEATURE_INPUT ((size_t)3 * 112 * 112)
#define FEATURE_DIM   512

static void run_feature(const char *path, float *ret_embedding)
{
	const struct fm_net_options options = {.precision = FM_INT8};
	fm_autofree float *input = malloc(FEATURE_INPUT * sizeof(*input));
	struct fm_session *session;
	struct fm_net *net;

	test_onnx_noise(input, FEATURE_INPUT, 3);
	cr_assert_eq(fm_net_load(path, &options, &net, NULL), FM_OK);
	cr_assert_eq(fm_session_create(net, &session, NULL), FM_OK);
	fm_cpu_flush_denormals();
	fm_session_run(session, (const float *[]){input}, &ret_embedding);
	fm_session_free(session);
	fm_net_free(net);
}

Test(model_quantize, fr_feature_shrinks_and_the_report_adds_up)
{
	char model[TEST_CTL_PATH], out[TEST_CTL_PATH];

	test_ctl_model("fr_feature", model);
	test_ctl_path("new/dir/q8.onnx", out);
	struct test_ctl_result result = test_ctl_run("model", "quantize", "--json", model, out, NULL);
	cr_assert_eq(result.status, 0, "%s", result.err);
	json_t *json = test_ctl_json(result.out);
	double before = 0, after = 0, quantized = 0;
	const json_t *weight, *output = json_array_get(json_object_get(json, "outputs"), 0);
	size_t i;

	json_array_foreach(json_object_get(json, "weights"), i, weight)
	{
		before += test_ctl_number(weight, "float32_bytes");
		after += test_ctl_number(weight, "bytes");
		quantized += test_ctl_number(weight, "bits") == 8;
		if (test_ctl_number(weight, "bits") == 8)
			cr_expect_gt(test_ctl_number(weight, "snr_db"), 35);
	}
	cr_expect_eq(quantized, 34); /* all but sixteen depthwise 3x3 */
	cr_expect_eq(test_ctl_number(json, "weight_bytes_before"), before);
	cr_expect_eq(test_ctl_number(json, "weight_bytes"), after);
	cr_expect_eq(test_ctl_number(json, "opset"), 13);
	cr_expect_leq(test_ctl_number(json, "file_bytes"), 1400000);
	cr_expect_gt(test_ctl_number(output, "float32_cosine_min"), 0.99);
	cr_expect_gt(test_ctl_number(output, "int8_cosine_min"), 0.99);
	cr_expect_lt(test_ctl_number(output, "int8_cosine_min"), 1);

	fm_autofree char *bytes = NULL;
	size_t length;
	cr_assert_eq(fm_file_read(out, (size_t)8 << 20, &bytes, &length, NULL), FM_OK);
	cr_expect_eq((double)length, test_ctl_number(json, "file_bytes"));
	json_decref(json);
	test_ctl_result_done(&result);
}

Test(model_quantize, with_float_depthwise_fr_feature_embeds_as_before_bit_for_bit)
{
	char model[TEST_CTL_PATH], out[TEST_CTL_PATH];
	float wanted[FEATURE_DIM], got[FEATURE_DIM];

	test_ctl_model("fr_feature", model);
	test_ctl_path("q8.onnx", out);
	struct test_ctl_result result =
	        test_ctl_run("model", "quantize", "--float-depthwise", model, out, NULL);
	cr_assert_eq(result.status, 0, "%s", result.err);
	cr_expect(strstr(result.out, "cosine to float32 of"), "%s", result.out);
	cr_expect(strstr(result.out, "exact"), "%s", result.out);
	run_feature(model, wanted);
	run_feature(out, got);
	cr_expect_arr_eq(got, wanted, sizeof(wanted));
	test_ctl_result_done(&result);
}

Test(model_quantize, refuses_and_then_writes_nothing)
{
	char model[TEST_CTL_PATH], out[TEST_CTL_PATH];
	struct test_onnx *b = test_onnx_new(9);
	fm_autofree uint8_t *bytes = NULL;
	fm_autofree char *left = NULL;
	float weights[256] = {1};
	size_t length;

	test_onnx_input(b, "x", 2, (int64_t[]){1, 16});
	test_onnx_floats(b, "w", 2, (int64_t[]){16, 16}, weights);
	test_onnx_node(b, "MatMul", "x,w", "a");
	test_onnx_node(b, "Upsample", "a", "y");
	test_onnx_output(b, "y");
	bytes = test_onnx_take(b, &length);
	test_ctl_write("m.onnx", bytes, length);
	test_ctl_path("m.onnx", model);
	test_ctl_path("out.onnx", out);
	test_ctl_expect_failure(test_ctl_run("model", "quantize", model, out, NULL), "Upsample node 'y'");
	test_ctl_expect_failure(test_ctl_run("model", "quantize", model, model, NULL), "are the same file");
	test_ctl_write("text.onnx", "no model", 8);
	test_ctl_expect_failure(
	        test_ctl_run("model", "quantize", test_ctl_path("text.onnx", model), out, NULL),
	        "not an ONNX model");
	test_ctl_expect_failure(
	        test_ctl_run("model", "quantize", test_ctl_path("none.onnx", model), out, NULL), "none.onnx");
	cr_expect_eq(fm_file_read(out, 1 << 20, &left, &length, NULL), FM_E_NOT_FOUND);
}

Test(model_quantize, what_the_file_leaves_open_is_given)
{
	char model[TEST_CTL_PATH], out[TEST_CTL_PATH];
	struct test_onnx *b = test_onnx_new(13);
	float weights[16 * 3 * 9];
	size_t length;

	test_onnx_noise(weights, FM_ARRAY_SIZE(weights), 7);
	test_onnx_input(b, "x", 4, (int64_t[]){1, 3, -1, -1});
	test_onnx_floats(b, "w", 4, (int64_t[]){16, 3, 3, 3}, weights);
	test_onnx_node(b, "Conv", "x,w", "y");
	test_onnx_output(b, "y");
	fm_autofree uint8_t *bytes = test_onnx_take(b, &length);
	test_ctl_write("open.onnx", bytes, length);
	test_ctl_path("open.onnx", model);
	test_ctl_path("out.onnx", out);
	test_ctl_expect_failure(
	        test_ctl_run("model", "quantize", model, out, NULL), "give an input height and width");
	struct test_ctl_result result =
	        test_ctl_run("model", "quantize", "--size", "24x16", "--json", model, out, NULL);
	cr_assert_eq(result.status, 0, "%s", result.err);
	json_t *json = test_ctl_json(result.out);
	const json_t *output = json_array_get(json_object_get(json, "outputs"), 0);
	cr_expect_gt(test_ctl_number(output, "int8_cosine_min"), 0.999);
	json_decref(json);
	test_ctl_result_done(&result);
	/* The file written leaves it open, too. */
	test_ctl_expect_failure(test_ctl_run("model", "inspect", out, NULL), "leaves its height open");
}

/* faces/ALICE/sample3.jpg and a photo that shows nobody. */
static const char *make_faces(char path[TEST_CTL_PATH])
{
	char photo[TEST_CTL_PATH], person[TEST_CTL_PATH];
	fm_autofree char *bytes = NULL;
	size_t length;

	test_ctl_photo("sample3.jpg", photo);
	cr_assert_eq(fm_file_read(photo, (size_t)8 << 20, &bytes, &length, NULL), FM_OK);
	cr_assert_eq(mkdir(test_ctl_path("faces", path), 0700), 0);
	cr_assert_eq(mkdir(test_ctl_path("faces/ALICE", person), 0700), 0);
	test_ctl_write("faces/ALICE/a.jpg", bytes, length);
	test_ctl_write("faces/ALICE/blank.png", test_ctl_blank_png, TEST_CTL_BLANK_PNG_BYTES);
	return path;
}

Test(model_quantize, compares_on_the_faces_in_photos)
{
	char model[TEST_CTL_PATH], out[TEST_CTL_PATH], faces[TEST_CTL_PATH];

	test_ctl_model("fr_feature", model);
	struct test_ctl_result result = test_ctl_run("model", "quantize", "--json", "--calibrate",
	        make_faces(faces), model, test_ctl_path("q8.onnx", out), NULL);
	cr_assert_eq(result.status, 0, "%s", result.err);
	json_t *json = test_ctl_json(result.out);
	const json_t *output = json_array_get(json_object_get(json, "outputs"), 0);
	cr_expect_eq(test_ctl_number(json, "inputs_compared"), 1);
	cr_expect_eq(test_ctl_number(json, "misses"), 1);
	cr_expect_gt(test_ctl_number(output, "int8_cosine_mean"), 0.995);
	cr_expect_eq(test_ctl_number(output, "int8_cosine_mean"), test_ctl_number(output, "int8_cosine_min"));
	json_decref(json);
	test_ctl_result_done(&result);

	test_ctl_model("fr_landmark", model);
	test_ctl_expect_failure(
	        test_ctl_run("model", "quantize", "--calibrate", faces, model, out, NULL), "--manifest");
	cr_assert_eq(unlink(test_ctl_path("faces/ALICE/a.jpg", model)), 0);
	test_ctl_model("fr_feature", model);
	test_ctl_expect_failure(test_ctl_run("model", "quantize", "--calibrate", faces, model, out, NULL),
	        "none of 1 photos");
}

Test(model_quantize, static_activations_come_from_the_faces)
{
	char model[TEST_CTL_PATH], out[TEST_CTL_PATH], faces[TEST_CTL_PATH];

	test_ctl_model("fr_feature", model);
	struct test_ctl_result result = test_ctl_run("model", "quantize", "--json", "--activations", "static",
	        "--calibrate", make_faces(faces), model, test_ctl_path("q8.onnx", out), NULL);
	cr_assert_eq(result.status, 0, "%s", result.err);
	json_t *json = test_ctl_json(result.out);
	const json_t *output = json_array_get(json_object_get(json, "outputs"), 0);
	cr_expect_eq(test_ctl_number(json, "quantized_activations"), 34);
	cr_expect_leq(test_ctl_number(json, "file_bytes"), 1400000);
	cr_expect_gt(test_ctl_number(output, "int8_cosine_min"), 0.98);
	cr_expect_lt(test_ctl_number(output, "float32_cosine_min"), 0.999);
	json_decref(json);
	test_ctl_result_done(&result);
}

Test(model_quantize, each_way_to_static_ranges_is_taken)
{
	static const char *const methods[] = {"percentile", "entropy", "mse"};
	char model[TEST_CTL_PATH], out[TEST_CTL_PATH], faces[TEST_CTL_PATH];

	test_ctl_model("fr_feature", model);
	make_faces(faces);
	for (size_t i = 0; i < FM_ARRAY_SIZE(methods); i++) {
		struct test_ctl_result result =
		        test_ctl_run("model", "quantize", "--json", "--activations", "static", "--method",
		                methods[i], "--calibrate", faces, model, test_ctl_path("q8.onnx", out), NULL);
		cr_assert_eq(result.status, 0, "%s", result.err);
		json_t *json = test_ctl_json(result.out);
		const json_t *output = json_array_get(json_object_get(json, "outputs"), 0);
		cr_expect_str_eq(json_string_value(json_object_get(json, "method")), methods[i]);
		cr_expect_eq(test_ctl_number(json, "quantized_activations"), 34);
		cr_expect_gt(test_ctl_number(output, "int8_cosine_min"), 0.9, "%s", methods[i]);
		json_decref(json);
		test_ctl_result_done(&result);
	}
}

Test(model_quantize, fewer_bits_are_smaller_and_tuning_wins_some_back)
{
	char model[TEST_CTL_PATH], out[TEST_CTL_PATH], faces[TEST_CTL_PATH];

	test_ctl_model("fr_feature", model);
	struct test_ctl_result result = test_ctl_run("model", "quantize", "--json", "--bits", "4", "--tune",
	        "--calibrate", make_faces(faces), model, test_ctl_path("q4.onnx", out), NULL);
	cr_assert_eq(result.status, 0, "%s", result.err);
	json_t *json = test_ctl_json(result.out);
	const json_t *tuned = json_array_get(json_object_get(json, "outputs"), 0);
	const json_t *untuned = json_array_get(json_object_get(json, "outputs_untuned"), 0);
	cr_expect_eq(test_ctl_number(json, "bits"), 4);
	cr_expect_eq(test_ctl_number(json, "tuned"), 34);
	cr_expect_eq(test_ctl_number(json, "not_tuned"), 0);
	cr_expect_leq(test_ctl_number(json, "file_bytes"), 850000);
	cr_expect(json_is_false(json_object_get(json, "held_out")));
	cr_expect_gt(test_ctl_number(tuned, "float32_cosine_mean"),
	        test_ctl_number(untuned, "float32_cosine_mean") + 0.1);
	cr_expect_gt(test_ctl_number(tuned, "int8_cosine_mean"), 0.9);
	json_decref(json);
	test_ctl_result_done(&result);
}

Test(model_quantize, called_wrongly)
{
	static const struct {
		const char *option, *value, *message;
	} cases[] = {
	        {"--bits", "5", "none of 8, 6 and 4"},
	        {"--bits", "3", "out of range"},
	        {"--method", "mse", "--method is for --activations static"},
	        {"--percentile", "99", "--percentile is for --method percentile"},
	        {"--tune", "--json", "--tune needs --calibrate"},
	        {"--size", "24", "--size"},
	};

	for (size_t i = 0; i < FM_ARRAY_SIZE(cases); i++)
		test_ctl_expect_usage_error(test_ctl_run("model", "quantize", cases[i].option, cases[i].value,
		                                    "a.onnx", "b.onnx", NULL),
		        cases[i].message);
	test_ctl_expect_usage_error(
	        test_ctl_run("model", "quantize", "--activations", "static", "--calibrate", ".", "--method",
	                "magic", "a.onnx", "b.onnx", NULL),
	        "none of minmax, percentile");
	test_ctl_expect_usage_error(test_ctl_run("model", "quantize", "--size", "24x16", "--calibrate", ".",
	                                    "a.onnx", "b.onnx", NULL),
	        "the manifest gives the size");
	test_ctl_expect_usage_error(test_ctl_run("model", "quantize", "--tune", "--calibrate", ".", "--per",
	                                    "tensor", "a.onnx", "b.onnx", NULL),
	        "goes with neither");
	test_ctl_expect_usage_error(
	        test_ctl_run("model", "quantize", "--activations", "static", "a.onnx", "b.onnx", NULL),
	        "needs --calibrate");
	test_ctl_expect_usage_error(
	        test_ctl_run("model", "quantize", "--activations", "none", "a.onnx", "b.onnx", NULL),
	        "neither dynamic nor static");
	test_ctl_expect_usage_error(test_ctl_run("model", "quantize", "a.onnx", NULL), "is missing");
	test_ctl_expect_usage_error(test_ctl_run("model", "quantize", "a.onnx", "b.onnx", "c.onnx", NULL),
	        "one argument too many");
	test_ctl_expect_usage_error(
	        test_ctl_run("model", "quantize", "--per", "row", "a.onnx", "b.onnx", NULL),
	        "neither channel nor tensor");
	test_ctl_expect_usage_error(
	        test_ctl_run("model", "quantize", "--photos", "0", "a.onnx", "b.onnx", NULL), "out of range");
}
