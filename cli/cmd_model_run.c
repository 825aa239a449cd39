#include "cli/cli.h"
#include "cli/npy.h"
#include "cli/tensors.h"
#include "lib/base/size.h"
#include "lib/cpu/cpu.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

#define NAME_CHARACTERS_MAX 100

/* The array's shape is the input's, or the input's without a leading 1. */
static bool shape_matches(const struct fm_npy *npy, const struct fm_tensor_info *input)
{
	size_t left_out = input->rank == npy->rank + 1 && input->dims[0] == 1;

	return input->rank == npy->rank + left_out &&
	       memcmp(npy->dims, input->dims + left_out, npy->rank * sizeof(*npy->dims)) == 0;
}

static enum fm_status read_input(
        const char *path, const struct fm_net *net, float *ret_values, struct fm_error *err)
{
	const struct fm_tensor_info *input = fm_net_input(net, 0);
	fm_cleanup(fm_npy_done) struct fm_npy npy = {0};

	enum fm_status status = fm_npy_read(path, &npy, err);
	if (status)
		return status;
	if (!shape_matches(&npy, input)) {
		char given[FM_SHAPE_TEXT], wanted[FM_SHAPE_TEXT];
		fm_shape_format(npy.dims, npy.rank, given);
		fm_shape_format(input->dims, input->rank, wanted);
		return fm_fail(err, FM_E_INVALID, "%s has the shape %s: the network's input %s takes %s",
		        path, given, input->name, wanted);
	}
	for (size_t i = 0; i < npy.elements; i++)
		if (!isfinite(npy.values[i]))
			return fm_fail(err, FM_E_INVALID, "%s holds NaN or infinity at element %zu", path, i);
	memcpy(ret_values, npy.values, npy.elements * sizeof(*ret_values));
	return FM_OK;
}

/* Y.npy for a network's only output, Y.NAME.npy for one of several. The caller frees it; NULL without memory.
 */
static char *output_path(const char *path, const struct fm_net *net, size_t index)
{
	size_t length = strlen(path), used = 0;
	const char *name = fm_net_output(net, index)->name;
	char safe[NAME_CHARACTERS_MAX + 24], *made;

	if (fm_net_output_count(net) == 1)
		return strdup(path);
	/* The name comes out of the file: it must not choose a directory. */
	for (; *name && used < NAME_CHARACTERS_MAX; name++)
		safe[used++] = isalnum((unsigned char)*name) || strchr("._-", *name) ? *name : '_';
	safe[used] = '\0';
	if (used == 0)
		snprintf(safe, sizeof(safe), "output%zu", index);
	if (length > 4 && strcmp(path + length - 4, ".npy") == 0)
		length -= 4;
	return asprintf(&made, "%.*s.%s.npy", (int)length, path, safe) < 0 ? NULL : made;
}

/* Two names may become one file; then neither is written. */
static enum fm_status make_paths(
        const char *path, const struct fm_net *net, char **ret_paths, struct fm_error *err)
{
	for (size_t i = 0; i < fm_net_output_count(net); i++) {
		ret_paths[i] = output_path(path, net, i);
		if (!ret_paths[i])
			return fm_fail(err, FM_E_NOMEM, "no memory for the output's name");
		for (size_t j = 0; j < i; j++)
			if (strcmp(ret_paths[i], ret_paths[j]) == 0)
				return fm_fail(err, FM_E_UNSUPPORTED,
				        "two outputs of the network would both be written to %s",
				        ret_paths[i]);
	}
	return FM_OK;
}

static enum fm_status write_outputs(
        const char *path, const struct fm_net *net, float *const *outputs, struct fm_error *err)
{
	size_t count = fm_net_output_count(net);
	char **paths = calloc(count, sizeof(*paths));

	enum fm_status status = paths ? make_paths(path, net, paths, err)
	                              : fm_fail(err, FM_E_NOMEM, "no memory for the output's name");
	for (size_t i = 0; !status && i < count; i++) {
		const struct fm_tensor_info *output = fm_net_output(net, i);
		status = fm_npy_write(paths[i], outputs[i], output->dims, output->rank, err);
	}
	for (size_t i = 0; paths && i < count; i++)
		free(paths[i]);
	free(paths);
	return status;
}

static enum fm_status run_model(const char *model_path, const char *input_path, const char *output,
        const struct fm_net_options *net_options, struct fm_error *err)
{
	fm_cleanup(fm_net_freep) struct fm_net *net = NULL;
	fm_cleanup(fm_session_freep) struct fm_session *session = NULL;
	fm_cleanup(fm_tensors_done) struct fm_tensors tensors = {0};

	enum fm_status status = fm_net_load(model_path, net_options, &net, err);
	if (status)
		return status;
	if (fm_net_input_count(net) != 1)
		return fm_fail(err, FM_E_UNSUPPORTED,
		        "%s has %zu inputs: only networks with one can be run here", model_path,
		        fm_net_input_count(net));
	status = fm_tensors_create(net, &tensors, err);
	if (!status)
		status = read_input(input_path, net, tensors.inputs[0], err);
	if (!status)
		status = fm_session_create(net, &session, err);
	if (status)
		return status;
	fm_cpu_flush_denormals();
	fm_tensors_run(&tensors, session);
	return write_outputs(output, net, tensors.outputs, err);
}

static int model_run_run(struct fm_call *call)
{
	const char *input = NULL, *output = NULL;
	enum fm_precision precision = FM_INT8;
	struct fm_size_px size = {0};
	const struct fm_option options[] = {
	        {"input", FM_OPTION_TEXT, &input, "X.npy", "the input tensor", .required = true},
	        {"output", FM_OPTION_TEXT, &output, "Y.npy", "where the output tensor goes",
	                .required = true},
	        FM_OPTION_PRECISION_ROW(&precision),
	        FM_OPTION_SIZE_ROW(&size),
	};
	struct fm_error err;
	int result;

	if (!fm_options_parse(call, options, FM_ARRAY_SIZE(options), 1, 1, &result))
		return result;
	const struct fm_net_options net_options = {
	        .precision = precision, .input_height_px = size.height, .input_width_px = size.width};
	if (run_model(call->operands[0], input, output, &net_options, &err) < 0) {
		fm_complain("%s", err.message);
		return FM_EXIT_FAILURE;
	}
	return FM_EXIT_OK;
}

const struct fm_command fm_cmd_model_run = {
        .name = "model run",
        .operands = "MODEL.onnx",
        .summary = "run a network once on a NumPy array",
        .description =
                "Feeds a NumPy array (.npy, C order; float32, or float64, uint8 and int64, which are "
                "converted) to\n"
                "the network's input and writes the output as float32. The array's shape is the input's; a\n"
                "leading batch of 1 may be left out. A network with several outputs writes Y.NAME.npy for "
                "each.\n"
                "Missing directories of the output are created.",
        .example = "  facematchctl model run fr_detect.onnx --input photo.npy --output out/y.npy --precision "
                   "float32\n"
                   "  ls out    # y.boxes.npy y.scores.npy",
        .run = model_run_run,
};
