/* The built facematchctl, run as its users run it: outputs, exit statuses, words on stderr. */
#include "cli/npy.h"
#include "lib/base/cleanup.h"
#include "lib/base/file.h"
#include "lib/base/size.h"
#include "lib/cpu/cpu.h"
#include "lib/nn/session.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <jansson.h>
#include <libgen.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/base/banned.h"

#define ARGUMENTS_MAX 16
#define OUTPUT_MAX    ((size_t)16 << 20)
#define PATH_TEXT     (2 * PATH_MAX)

static char build[PATH_MAX]; /* build/<variant> */
static char root[PATH_MAX];  /* the repository */
static char work[64];        /* a directory of this test's own */

struct result {
	int status;
	char *out, *err;
};

static void result_done(struct result *result)
{
	free(result->out);
	free(result->err);
}

static char *in_work(const char *name, char ret_path[PATH_TEXT])
{
	snprintf(ret_path, PATH_TEXT, "%s/%s", work, name);
	return ret_path;
}

static void setup(void)
{
	const char *given = getenv("FM_BUILD");
	ssize_t length = readlink("/proc/self/exe", build, sizeof(build) - 1);

	cr_assert_gt(length, 0);
	build[length] = '\0';
	if (given)
		cr_assert_not_null(realpath(given, build), "FM_BUILD=%s", given);
	else
		for (int up = 0; up < 4; up++) /* tests/unit/cli/test_commands */
			dirname(build);
	snprintf(root, sizeof(root), "%s", build);
	dirname(dirname(root));
	snprintf(work, sizeof(work), "/tmp/facematchctl-test-XXXXXX");
	cr_assert_not_null(mkdtemp(work));
}

static void teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", work);
	cr_expect_eq(system(command), 0);
}

TestSuite(commands, .init = setup, .fini = teardown, .timeout = 120);

/* Runs facematchctl with the arguments, up to NULL, in the repository's root. */
static struct result run(const char *first, ...)
{
	char name[] = "facematchctl", *arguments[ARGUMENTS_MAX + 2] = {name}, out[PATH_TEXT], err[PATH_TEXT],
	     program[PATH_TEXT];
	struct result result = {.status = -1};
	size_t count = 1, length;
	int status;
	va_list list;

	va_start(list, first);
	for (const char *argument = first; argument && count <= ARGUMENTS_MAX;
	        argument = va_arg(list, char *))
		arguments[count++] = (char *)argument;
	va_end(list);
	snprintf(program, sizeof(program), "%s/facematchctl", build);
	in_work("stdout", out);
	in_work("stderr", err);
	pid_t child = fork();
	if (child == 0) {
		if (chdir(root) < 0 || !freopen(out, "w", stdout) || !freopen(err, "w", stderr))
			_exit(126);
		execv(program, arguments);
		_exit(127);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFEXITED(status), "facematchctl died of signal %d", WTERMSIG(status));
	result.status = WEXITSTATUS(status);
	cr_assert_neq(result.status, 127, "%s is not built: make all", program);
	cr_assert_eq(fm_file_read(out, OUTPUT_MAX, &result.out, &length, NULL), FM_OK);
	cr_assert_eq(fm_file_read(err, OUTPUT_MAX, &result.err, &length, NULL), FM_OK);
	return result;
}

static void expect_usage_error(struct result result, const char *part)
{
	cr_expect_eq(result.status, 2, "%s", result.err);
	cr_expect_eq(strncmp(result.err, "facematchctl: ", 14), 0, "%s", result.err);
	cr_expect_not_null(strstr(result.err, part), "%s", result.err);
	cr_expect_not_null(strstr(result.err, "--help"), "it says what to do: %s", result.err);
	cr_expect_str_empty(result.out);
	result_done(&result);
}

static void expect_failure(struct result result, const char *part)
{
	cr_expect_eq(result.status, 1, "%s", result.err);
	cr_expect_eq(strncmp(result.err, "facematchctl: ", 14), 0, "%s", result.err);
	cr_expect_not_null(strstr(result.err, part), "%s", result.err);
	result_done(&result);
}

/* Criterion runs no teardown after a skip. */
static void skip(const char *why)
{
	teardown();
	cr_skip("%s", why);
}

static void model_path(const char *name, char ret_path[PATH_TEXT])
{
	snprintf(ret_path, PATH_TEXT, "%s/build/models/%s.onnx", root, name);
	if (access(ret_path, R_OK) < 0)
		skip("build/models is not there: make models");
}

static void photo_path(const char *name, char ret_path[PATH_TEXT])
{
	snprintf(ret_path, PATH_TEXT, "%s/build/demo/%s", root, name);
	if (access(ret_path, R_OK) < 0)
		skip("build/demo is not there: make demo-photos");
}

static void write_work(const char *name, const void *bytes, size_t length)
{
	char path[PATH_TEXT];

	cr_assert_eq(fm_file_write(in_work(name, path), bytes, length, 0644, NULL), FM_OK);
}

/* One white pixel: a photo that shows nobody. */
static const unsigned char blank_png[] = {0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, 0x49,
        0x48, 0x44, 0x52, 0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0, 0x3a, 0x7e, 0x9b, 0x55, 0, 0, 0, 0x0a, 0x49,
        0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0xf8, 0x0f, 0, 1, 1, 1, 0, 0x1c, 0xb0, 0x8c, 0x99, 0, 0, 0, 0,
        0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};

/* ---- words ------------------------------------------------------------------------------------------------
 */

static const char *const names[][2] = {
        {"embed"}, {"eval"}, {"bench", "net"}, {"model", "run"}, {"model", "inspect"}, {"model", "check"}};

Test(commands, version_and_help)
{
	struct result version = run("--version", NULL), help = run("--help", NULL);

	cr_expect_eq(version.status, 0);
	cr_expect_str_eq(version.out, "facematchctl " FM_VERSION "\n");
	cr_expect_eq(help.status, 0);
	for (size_t i = 0; i < FM_ARRAY_SIZE(names); i++)
		cr_expect_not_null(strstr(help.out, names[i][names[i][1] ? 1 : 0]), "%s", names[i][0]);
	result_done(&version);
	result_done(&help);
}

Test(commands, each_explains_itself_with_an_example)
{
	for (size_t i = 0; i < FM_ARRAY_SIZE(names); i++) {
		struct result help = names[i][1] ? run(names[i][0], names[i][1], "--help", NULL)
		                                 : run(names[i][0], "--help", NULL);
		char example[64];

		snprintf(example, sizeof(example), "\n  facematchctl %s%s%s ", names[i][0],
		        names[i][1] ? " " : "", names[i][1] ? names[i][1] : "");
		cr_expect_eq(help.status, 0);
		cr_expect_not_null(strstr(help.out, example), "%s", help.out);
		cr_expect_str_empty(help.err);
		result_done(&help);
	}
	struct result group = run("model", "--help", NULL);
	cr_expect_eq(group.status, 0);
	cr_expect_not_null(strstr(group.out, "model inspect"));
	cr_expect_null(strstr(group.out, "embed"), "only the group's own: %s", group.out);
	result_done(&group);
}

Test(commands, wrong_calls_exit_with_2)
{
	struct result none = run(NULL), group = run("model", NULL);

	cr_expect_eq(none.status, 2);
	cr_expect_not_null(strstr(none.err, "Usage"));
	cr_expect_eq(group.status, 2);
	result_done(&none);
	result_done(&group);
	expect_usage_error(run("emded", "x.jpg", NULL), "emded");
	expect_usage_error(run("model", "fly", NULL), "model fly");
	expect_usage_error(run("--wrong", NULL), "--wrong");
	expect_usage_error(run("embed", NULL), "FILE");
	expect_usage_error(run("embed", "--wrong", "x.jpg", NULL), "--wrong");
	expect_usage_error(run("embed", "x.jpg", "--models", NULL), "--models");
	expect_usage_error(run("embed", "x.jpg", "--models=", NULL), "must not be empty");
	expect_usage_error(run("embed", "x.jpg", "--precision", "int4", NULL), "int4");
	expect_usage_error(run("model", "run", "m.onnx", "--input", "x.npy", NULL), "--output");
	expect_usage_error(run("model", "inspect", "a.onnx", "b.onnx", NULL), "b.onnx");
	expect_usage_error(run("bench", "net", "m.onnx", "--threads", "0", NULL), "out of range");
	expect_usage_error(run("bench", "net", "m.onnx", "--threads", "2x", NULL), "2x");
	expect_usage_error(run("bench", "net", "m.onnx", "--seconds", "nan", NULL), "nan");
	expect_usage_error(run("eval", "--images", "x", NULL), "--pairs");
	expect_usage_error(run("eval", "--images", "x", "--pairs", "y", "z", NULL), "z");
}

Test(commands, an_unknown_isa_is_reported)
{
	setenv("FACEMATCH_ISA", "mmx", 1);
	struct result result = run("embed", "x.jpg", NULL);
	cr_expect_eq(result.status, 2);
	cr_expect_not_null(strstr(result.err, "mmx"), "%s", result.err);
	result_done(&result);
}

/* ---- model run
 * --------------------------------------------------------------------------------------------- */

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

Test(commands, model_run_gives_the_networks_own_output)
{
	const size_t dims[] = {1, 1, 64, 64};
	fm_autofree float *input = make_input(4096);
	char model[PATH_TEXT], x[PATH_TEXT], y[PATH_TEXT];

	model_path("fr_landmark", model);
	for (int precision = 0; precision < 2; precision++) {
		/* With the batch and without it. */
		for (size_t left_out = 0; left_out < 2; left_out++) {
			struct fm_npy npy = {0};
			float wanted[136];
			cr_assert_eq(
			        fm_npy_write(in_work("x.npy", x), input, dims + left_out, 4 - left_out, NULL),
			        FM_OK);
			struct result result = run("model", "run", model, "--input", x, "--output",
			        in_work("y.npy", y), "--precision", fm_precision_name(precision), NULL);
			cr_assert_eq(result.status, 0, "%s", result.err);
			cr_assert_eq(fm_npy_read(y, &npy, NULL), FM_OK);
			cr_assert_eq(npy.elements, 136);
			run_here(model, precision, input, wanted);
			cr_expect_arr_eq(npy.values, wanted, sizeof(wanted));
			fm_npy_done(&npy);
			result_done(&result);
		}
	}
}

Test(commands, model_run_writes_each_output_into_a_new_directory)
{
	static const struct {
		const char *file;
		size_t columns;
	} outputs[] = {{"new/dir/y.scores.npy", 2}, {"new/dir/y.boxes.npy", 4}};
	const size_t dims[] = {1, 3, 240, 320};
	fm_autofree float *input = make_input(3 * 240 * 320);
	char model[PATH_TEXT], x[PATH_TEXT], y[PATH_TEXT];

	model_path("fr_detect", model);
	cr_assert_eq(fm_npy_write(in_work("x.npy", x), input, dims, 4, NULL), FM_OK);
	struct result result = run("model", "run", "--output", in_work("new/dir/y.npy", y), "--precision",
	        "float32", "--input", x, model, NULL);
	cr_assert_eq(result.status, 0, "%s", result.err);
	result_done(&result);
	for (size_t i = 0; i < FM_ARRAY_SIZE(outputs); i++) {
		struct fm_npy npy = {0};
		cr_assert_eq(fm_npy_read(in_work(outputs[i].file, y), &npy, NULL), FM_OK);
		cr_assert_eq(npy.rank, 3);
		cr_expect(npy.dims[0] == 1 && npy.dims[1] == 4420 && npy.dims[2] == outputs[i].columns);
		fm_npy_done(&npy);
	}
	cr_expect_lt(access(in_work("new/dir/y.npy", y), F_OK), 0);
}

Test(commands, model_run_refuses_wrong_input)
{
	const size_t dims[] = {1, 1, 64, 64}, wrong[] = {64, 1, 64}, batch[] = {2, 1, 64, 32};
	fm_autofree float *input = make_input(4096);
	char model[PATH_TEXT], x[PATH_TEXT], y[PATH_TEXT];

	model_path("fr_landmark", model);
	in_work("x.npy", x);
	in_work("y.npy", y);
	expect_failure(run("model", "run", model, "--input", x, "--output", y, NULL), "x.npy");
	cr_assert_eq(fm_npy_write(x, input, wrong, 3, NULL), FM_OK);
	expect_failure(run("model", "run", model, "--input", x, "--output", y, NULL), "64x1x64");
	cr_assert_eq(fm_npy_write(x, input, batch, 4, NULL), FM_OK);
	expect_failure(run("model", "run", model, "--input", x, "--output", y, NULL), "1x1x64x64");
	input[77] = NAN;
	cr_assert_eq(fm_npy_write(x, input, dims, 4, NULL), FM_OK);
	expect_failure(run("model", "run", model, "--input", x, "--output", y, NULL), "element 77");
	write_work("x.npy", "not an array", 12);
	expect_failure(run("model", "run", model, "--input", x, "--output", y, NULL), "not a .npy file");
	cr_expect_lt(access(y, F_OK), 0, "nothing is written");

	input[77] = 0;
	cr_assert_eq(fm_npy_write(x, input, dims, 4, NULL), FM_OK);
	expect_failure(run("model", "run", x, "--input", x, "--output", y, NULL), "x.npy");
	expect_failure(run("model", "run", "/nonexistent.onnx", "--input", x, "--output", y, NULL),
	        "/nonexistent.onnx");
	expect_failure(
	        run("model", "run", model, "--input", x, "--output", "/proc/y.npy", NULL), "/proc/y.npy");
}

/* ---- inspect, check, bench
 * --------------------------------------------------------------------------------- */

static json_t *parse_json(const char *text)
{
	json_error_t error;
	json_t *json = json_loads(text, 0, &error);

	cr_assert_not_null(json, "%s: %s", error.text, text);
	return json;
}

static double number(const json_t *json, const char *key)
{
	json_t *value = json_object_get(json, key);

	cr_assert(json_is_number(value), "no number '%s'", key);
	return json_number_value(value);
}

Test(commands, model_inspect_adds_up)
{
	char model[PATH_TEXT];
	double macs = 0;
	json_t *kind;
	size_t i;

	model_path("fr_feature", model);
	struct result result = run("model", "inspect", model, "--json", NULL);
	cr_assert_eq(result.status, 0, "%s", result.err);
	json_t *json = parse_json(result.out);
	json_array_foreach(json_object_get(json, "kinds"), i, kind) macs += number(kind, "macs");
	cr_expect_eq(macs, number(json, "macs"));
	/* 221 M, of which 92.9 % in 1x1 convolutions. */
	cr_expect_float_eq(macs, 221e6, 2e6);
	cr_expect_gt(json_array_size(json_object_get(json, "layers")), 40);
	cr_expect_lt(number(json, "int8_bytes"), number(json, "float32_bytes"));
	cr_expect_gt(number(json, "float32_bytes"), 4 * 1.1e6);
	cr_expect_gt(number(json, "int8_arena_bytes"), 0);
	cr_expect_eq(number(json, "denormal_weights"), 8938); /* counted with NumPy */
	cr_expect_gt(number(json_object_get(json, "ops"), "Conv"), 40);
	json_t *shape = json_object_get(json_array_get(json_object_get(json, "inputs"), 0), "shape");
	cr_expect_eq(json_integer_value(json_array_get(shape, 3)), 112);
	json_decref(json);
	result_done(&result);

	result = run("model", "inspect", model, NULL);
	cr_expect_eq(result.status, 0);
	cr_expect_not_null(strstr(result.out, "1x3x112x112"), "%s", result.out);
	cr_expect_not_null(strstr(result.out, "kind of layer"));
	result_done(&result);
}

Test(commands, model_check_names_the_model)
{
	char model[PATH_TEXT], wrong[PATH_TEXT];

	model_path("fr_feature", model);
	struct result result = run("model", "check", "fr_feature", "--json", NULL);
	cr_assert_eq(result.status, 0, "%s", result.err);
	json_t *json = parse_json(result.out);
	cr_expect_str_eq(json_string_value(json_object_get(json, "role")), "embedding");
	cr_expect_eq(number(json, "dim"), 512);
	json_decref(json);
	result_done(&result);
	write_work("wrong.conf", "[model]\nname = x\n", 17);
	expect_failure(run("model", "check", in_work("wrong.conf", wrong), NULL), "wrong.conf");
}

Test(commands, bench_net_measures)
{
	char model[PATH_TEXT];

	model_path("fr_landmark", model);
	struct result result = run("bench", "net", model, "--precision", "int8", "--threads", "2",
	        "--seconds", "0.05", "--json", "--layers", NULL);
	cr_assert_eq(result.status, 0, "%s", result.err);
	json_t *json = parse_json(result.out), *layer;
	double macs = 0;
	size_t i;
	cr_expect_gt(number(json, "min_ms"), 0);
	cr_expect_geq(number(json, "median_ms"), number(json, "min_ms"));
	cr_expect_geq(number(json, "runs"), 10);
	cr_expect_eq(number(json, "threads"), 2);
	cr_expect_gt(number(json, "arena_bytes"), 0);
	cr_expect_gt(number(json, "weight_bytes"), 0);
	cr_expect_float_eq(number(json, "gmac_per_s"),
	        2 * number(json, "macs") / number(json, "median_ms") / 1e6,
	        1e-6 * number(json, "gmac_per_s"));
	cr_expect_str_eq(json_string_value(json_object_get(json, "isa")), fm_isa_name(fm_isa_best()));
	cr_expect_str_eq(json_string_value(json_object_get(json, "precision")), "int8");
	json_array_foreach(json_object_get(json, "layers"), i, layer)
	{
		cr_expect_geq(number(layer, "median_ms"), 0);
		macs += number(layer, "macs");
	}
	cr_expect_eq(macs, number(json, "macs"));
	json_decref(json);
	result_done(&result);
}

/* ---- photos
 * ------------------------------------------------------------------------------------------------ */

/* Returns the box's area. */
static double expect_face_line(const char *line, const char *file)
{
	json_t *json = parse_json(line), *box = json_object_get(json, "box"), *value;
	double square = 0, area = number(box, "width") * number(box, "height");
	size_t i;

	cr_expect_str_eq(json_string_value(json_object_get(json, "file")), file);
	cr_expect_gt(number(box, "width"), 100);
	cr_expect_gt(number(box, "height"), 100);
	cr_expect(number(box, "x") > 0 && number(box, "y") > 0);
	cr_expect(number(json, "score") > 0.5 && number(json, "score") <= 1);
	cr_expect_eq(json_array_size(json_object_get(json, "landmarks")), 5);
	cr_expect_eq(json_array_size(json_array_get(json_object_get(json, "landmarks"), 4)), 2);
	cr_assert_eq(json_array_size(json_object_get(json, "embedding")), 512);
	json_array_foreach(json_object_get(json, "embedding"), i, value) square +=
	        json_number_value(value) * json_number_value(value);
	cr_expect_float_eq(square, 1, 1e-4);
	json_decref(json);
	return area;
}

Test(commands, embed_prints_a_line_a_face_and_goes_on_after_a_failure)
{
	char model[PATH_TEXT], photo[PATH_TEXT], bad[PATH_TEXT], blank[PATH_TEXT];
	double before = INFINITY;
	size_t faces = 0;

	model_path("fr_feature", model);
	photo_path("sample1.jpg", photo);
	write_work("bad.jpg", "no photo at all", 15);
	write_work("blank.png", blank_png, sizeof(blank_png));
	in_work("bad.jpg", bad);
	in_work("blank.png", blank);
	struct result result = run("embed", bad, blank, photo, NULL);
	cr_expect_eq(result.status, 1);
	cr_expect_not_null(strstr(result.err, "bad.jpg"), "%s", result.err);
	cr_expect_not_null(strstr(result.err, "blank.png: no face found"), "%s", result.err);
	for (char *line = result.out, *end; (end = strchr(line, '\n')); line = end + 1, faces++) {
		*end = '\0';
		double area = expect_face_line(line, photo);
		cr_expect_leq(area, before, "largest first");
		before = area;
	}
	cr_expect_eq(faces, 3, "three people are in the photo");
	result_done(&result);

	result = run("embed", blank, NULL);
	cr_expect_eq(result.status, 0);
	cr_expect_str_empty(result.out);
	result_done(&result);
	expect_failure(run("embed", "/nonexistent.jpg", NULL), "/nonexistent.jpg");
	expect_failure(run("embed", blank, "--models", "/nonexistent", NULL), "/nonexistent");
	expect_failure(run("--models", "/nonexistent", "embed", blank, NULL), "/nonexistent");
}

/* A photo with itself and with its copy, and three pairs with a blank photo or a broken one. */
static const char pairs[] = "fold,a,b,same\r\n"
                            "1,one.jpg,one.jpg,1\r\n"
                            "1,one.jpg,\"copy, of \"\"one\"\".jpg\",1\r\n"
                            "1,one.jpg,blank.png,0\r\n"
                            "2,blank.png,two.jpg,1\r\n"
                            "2,two.jpg,bad.jpg,0\r\n";

static void link_photo(const char *name, const char *link)
{
	char photo[PATH_TEXT], path[PATH_TEXT];

	photo_path(name, photo);
	cr_assert_eq(symlink(photo, in_work(link, path)), 0);
}

/* Runs eval and returns what it wrote, checked but for the times, which are taken out. */
static json_t *evaluate(const char *threads)
{
	char csv[PATH_TEXT], out[PATH_TEXT];
	fm_autofree char *text = NULL;
	size_t length;

	struct result result = run("eval", "--images", work, "--pairs", in_work("pairs.csv", csv), "--json",
	        in_work("out.json", out), "--threads", threads, NULL);
	cr_assert_eq(result.status, 0, "%s", result.err);
	cr_expect_not_null(strstr(result.out, "tar_at_far_1e-3"), "%s", result.out);
	cr_expect_not_null(strstr(result.err, "bad.jpg"), "%s", result.err);
	cr_expect_not_null(strstr(result.err, "blank.png: no face found"), "%s", result.err);
	result_done(&result);
	cr_assert_eq(fm_file_read(out, OUTPUT_MAX, &text, &length, NULL), FM_OK);
	json_t *json = parse_json(text);
	cr_expect_gt(number(json, "images_per_s"), 0);
	json_object_del(json, "images_per_s");
	json_object_del(json, "seconds");
	json_object_del(json, "threads");
	return json;
}

Test(commands, eval_counts_misses_and_does_not_depend_on_threads)
{
	char model[PATH_TEXT];

	model_path("fr_feature", model);
	link_photo("sample1.jpg", "one.jpg");
	link_photo("sample1.jpg", "copy, of \"one\".jpg");
	link_photo("sample2.jpg", "two.jpg");
	write_work("bad.jpg", "no photo at all", 15);
	write_work("blank.png", blank_png, sizeof(blank_png));
	write_work("pairs.csv", pairs, sizeof(pairs) - 1);
	json_t *json = evaluate("1"), *again = evaluate("3");
	cr_expect(json_equal(json, again));
	cr_expect_eq(number(json, "pairs"), 5);
	cr_expect_eq(number(json, "images"), 5);
	cr_expect_eq(number(json, "misses"), 2);
	cr_expect_eq(number(json, "unreadable"), 1);
	cr_expect_eq(json_array_size(json_object_get(json, "missed")), 2);
	/* The genuine pair with the blank photo ties with both strangers at -1: one of five is lost. */
	cr_expect_float_eq(number(json, "accuracy"), 0.8, 1e-9);
	cr_expect_float_eq(number(json, "threshold"), 0, 1e-4);
	cr_expect_float_eq(number(json, "auc"), 5.0 / 6.0, 1e-6);
	cr_expect_float_eq(number(json, "tar_at_far_1e-2"), 2.0 / 3.0, 1e-6);
	cr_expect_float_eq(number(json, "tar_at_far_1e-3"), 2.0 / 3.0, 1e-6);
	json_decref(json);
	json_decref(again);
}

Test(commands, eval_names_what_is_wrong_with_the_pairs)
{
	static const char missing[] = "a,b,same\nblank.png,blank.png,1\nblank.png,gone.jpg,0\n";
	char csv[PATH_TEXT];

	in_work("pairs.csv", csv);
	expect_failure(run("eval", "--images", work, "--pairs", csv, NULL), "pairs.csv");
	write_work("blank.png", blank_png, sizeof(blank_png));
	write_work("pairs.csv", missing, sizeof(missing) - 1);
	expect_failure(run("eval", "--images", work, "--pairs", csv, NULL), "line 3: cannot read");
	write_work("pairs.csv", "a,b\n", 4);
	expect_failure(run("eval", "--images", work, "--pairs", csv, NULL), "no column 'same'");
}
