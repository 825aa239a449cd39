#include "lib/nn/net.h"

#include "lib/base/cleanup.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/nn/net_internal.h"
#include "lib/nn/quantize.h"
#include "lib/nn/strips.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define MEMORY_MAX_BYTES ((size_t)2 * 1024 * 1024 * 1024)

FM_DEFINE_CLEANUP(struct fm_net *, fm_net_free);
FM_DEFINE_CLEANUP(struct fm_onnx_model *, fm_onnx_free);

const char *fm_precision_name(enum fm_precision precision)
{
	return precision == FM_INT8 ? "int8" : "float32";
}

enum fm_status fm_precision_parse(const char *name, enum fm_precision *ret_precision, struct fm_error *err)
{
	if (strcmp(name, "float32") == 0)
		*ret_precision = FM_FLOAT32;
	else if (strcmp(name, "int8") == 0)
		*ret_precision = FM_INT8;
	else
		return fm_fail(err, FM_E_INVALID, "'%.40s' is no precision; float32 and int8 are", name);
	return FM_OK;
}

static enum fm_status nomem(struct fm_error *err)
{
	return fm_fail(err, FM_E_NOMEM, "the network needs more memory than there is or is allowed");
}

static enum fm_status describe(struct fm_net *net, const struct fm_value *value, const char *name,
        struct fm_tensor_info *info, struct fm_error *err)
{
	info->name = fm_arena_strdup(&net->arena, name);
	if (!info->name)
		return nomem(err);
	info->rank = value->rank;
	memcpy(info->dims, value->dims, sizeof(info->dims));
	info->elements = value->elements;
	return FM_OK;
}

static enum fm_status describe_ends(struct fm_net *net, const struct fm_graph *graph,
        const struct fm_onnx_model *model, struct fm_output_names outputs, struct fm_error *err)
{
	enum fm_status status;

	net->input_count = graph->input_count;
	net->output_count = graph->output_count;
	net->inputs = fm_arena_alloc(&net->arena, net->input_count, sizeof(*net->inputs));
	net->outputs = fm_arena_alloc(&net->arena, net->output_count, sizeof(*net->outputs));
	net->output_values =
	        fm_arena_memdup(&net->arena, graph->outputs, net->output_count, sizeof(*net->output_values));
	if (!net->inputs || !net->outputs || !net->output_values)
		return nomem(err);
	for (size_t i = 0; i < net->input_count; i++)
		if ((status = describe(net, &graph->values[graph->inputs[i]], model->inputs[i].name,
		             &net->inputs[i], err)))
			return status;
	for (size_t i = 0; i < net->output_count; i++) {
		const struct fm_value *value = &graph->values[graph->outputs[i]];
		const char *name = outputs.count ? outputs.names[i] : model->outputs[i].name;
		char label[FM_ONNX_LABEL_BYTES];

		if (value->type != FM_ONNX_FLOAT32 || !value->elements)
			return fm_fail(err, FM_E_UNSUPPORTED,
			        "the output '%s' is not float32 or has no elements",
			        fm_onnx_label(name, label));
		if ((status = describe(net, value, name, &net->outputs[i], err)))
			return status;
	}
	return FM_OK;
}

static enum fm_status prepare_step(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	const struct fm_value *out = &build->graph->values[node->outputs[0]];

	*step = (struct fm_step){.run = node->op->run,
	        .run_strip = node->op->run_strip,
	        .inputs =
	                fm_arena_memdup(build->arena, node->inputs, node->input_count, sizeof(*node->inputs)),
	        .input_count = node->input_count,
	        .outputs = fm_arena_memdup(
	                build->arena, node->outputs, node->output_count, sizeof(*node->outputs)),
	        .output_count = node->output_count,
	        .in_place = FM_VALUE_NONE,
	        .info = {.name = fm_arena_strdup(build->arena, node->name),
	                .op = node->op->name,
	                .out_rank = out->rank}};
	if (!step->inputs || !step->outputs || !step->info.name)
		return fm_node_nomem(node, err);
	memcpy(step->info.out_dims, out->dims, sizeof(out->dims));
	return node->op->prepare(build, node, step, err);
}

/* Constants that steps read at run time move from the load's arena to the network's. */
static enum fm_status keep_constants(struct fm_net *net, const struct fm_graph *graph, const uint32_t *values,
        size_t count, struct fm_error *err)
{
	for (size_t i = 0; i < count; i++) {
		const struct fm_value *value = &graph->values[values[i]];
		struct fm_slot *slot = &net->slots[values[i]];

		if (!value->constant || slot->kind == FM_SLOT_CONSTANT)
			continue;
		void *copy = fm_arena_memdup(
		        &net->arena, value->constant, value->elements, fm_onnx_type_bytes(value->type));
		if (!copy)
			return nomem(err);
		*slot = (struct fm_slot){.kind = FM_SLOT_CONSTANT, .constant = copy};
	}
	return FM_OK;
}

static enum fm_status list_layers(struct fm_net *net, struct fm_error *err)
{
	size_t layers = 0;

	for (size_t s = 0; s < net->step_count; s++)
		layers += net->steps[s].layers ? net->steps[s].layer_count : 1;
	net->layers = fm_arena_alloc(&net->arena, layers, sizeof(*net->layers));
	if (!net->layers)
		return nomem(err);
	for (size_t s = 0; s < net->step_count; s++) {
		const struct fm_step *step = &net->steps[s];

		if (!step->layers)
			net->layers[net->layer_count++] = &step->info;
		for (size_t l = 0; step->layers && l < step->layer_count; l++)
			net->layers[net->layer_count++] = &step->layers[l];
	}
	return FM_OK;
}

static enum fm_status make_steps(struct fm_net *net, struct fm_graph *graph, size_t strips_bytes_min,
        size_t memory_max_bytes, struct fm_error *err)
{
	const struct fm_build build = {
	        .graph = graph, .arena = &net->arena, .kernels = net->kernels, .precision = net->precision};
	struct fm_step *steps = fm_arena_alloc(&net->arena, graph->node_count, sizeof(*steps));
	enum fm_status status;
	size_t count = 0;

	net->value_count = graph->value_count;
	net->slots = fm_arena_alloc(&net->arena, net->value_count, sizeof(*net->slots));
	if (!steps || !net->slots)
		return nomem(err);
	for (size_t n = 0; n < graph->node_count; n++) {
		if (graph->nodes[n].removed)
			continue;
		if ((status = prepare_step(&build, &graph->nodes[n], &steps[count], err)) ||
		        (status = keep_constants(
		                 net, graph, steps[count].inputs, steps[count].input_count, err)))
			return status;
		count++;
	}
	if (strips_bytes_min && (status = fm_strips_make(&build, steps, &count, strips_bytes_min, err)))
		return status;
	for (size_t s = 0; s < count; s++)
		if (steps[s].scratch_bytes > net->scratch_bytes)
			net->scratch_bytes = steps[s].scratch_bytes;
	if ((status = keep_constants(net, graph, graph->outputs, graph->output_count, err)) ||
	        (status = fm_plan_make(
	                 graph, steps, count, memory_max_bytes, net->slots, &net->activation_bytes, err)))
		return status;

	net->scratch_bytes = (net->scratch_bytes + 63) & ~(size_t)63;
	if (net->scratch_bytes > memory_max_bytes)
		return fm_fail(err, FM_E_TOO_LARGE, "one run needs more than %zu bytes of scratch",
		        memory_max_bytes);
	for (size_t s = 0; s < count; s++)
		if (!steps[s].view)
			steps[net->step_count++] = steps[s];
	net->steps = steps;
	return list_layers(net, err);
}

static enum fm_status build_net(struct fm_net *net, struct fm_arena *arena, const struct fm_onnx_model *model,
        const struct fm_net_options *options, size_t memory_max_bytes, struct fm_error *err)
{
	const struct fm_input_size size = {
	        options->input_height_px, options->input_width_px, options->resize};
	const struct fm_output_names outputs = {options->outputs, options->output_count};
	const size_t strips_bytes_min = options->no_fusion || options->no_strips ? 0
	                                : options->strips_bytes_min              ? options->strips_bytes_min
	                                                                         : FM_STRIPS_BYTES_MIN;
	struct fm_graph graph;
	enum fm_status status;

	if ((status = fm_graph_build(&graph, arena, model, size, outputs, err)) ||
	        (status = fm_graph_infer(&graph, err)) ||
	        (!options->no_fusion && (status = fm_graph_fuse(&graph, err))) ||
	        (status = fm_graph_layout(&graph, err)))
		return status;
	fm_graph_find_signs(&graph);
	if ((status = describe_ends(net, &graph, model, outputs, err)) ||
	        (status = make_steps(net, &graph, strips_bytes_min, memory_max_bytes, err)))
		return status;
	return FM_OK;
}

enum fm_status fm_net_load_memory(const void *bytes, size_t length, const struct fm_net_options *options,
        struct fm_net **ret_net, struct fm_error *err)
{
	static const struct fm_net_options defaults;
	fm_cleanup(fm_net_freep) struct fm_net *net = NULL;
	fm_cleanup(fm_onnx_freep) struct fm_onnx_model *model = NULL;
	fm_cleanup(fm_arena_done) struct fm_arena arena = {0};
	enum fm_status status;

	if (!options)
		options = &defaults;
	const size_t memory_max_bytes =
	        options->memory_max_bytes ? options->memory_max_bytes : MEMORY_MAX_BYTES;
	const struct fm_kernels *kernels =
	        options->isa_set ? fm_kernels_for(options->isa) : fm_kernels_best();
	if (!kernels)
		return fm_fail(
		        err, FM_E_UNSUPPORTED, "this machine does not run %s", fm_isa_name(options->isa));
	if ((status = fm_onnx_parse(bytes, length, memory_max_bytes, &model, err)))
		return status;

	net = fm_calloc(1, sizeof(*net));
	if (!net)
		return nomem(err);
	fm_arena_init(&net->arena, memory_max_bytes);
	fm_arena_init(&arena, memory_max_bytes);
	net->kernels = kernels;
	net->precision = options->precision;
	if ((status = build_net(net, &arena, model, options, memory_max_bytes, err)))
		return status;
	*ret_net = fm_steal(net);
	return FM_OK;
}

enum fm_status fm_net_load(
        const char *path, const struct fm_net_options *options, struct fm_net **ret_net, struct fm_error *err)
{
	fm_autofree char *bytes = NULL;
	size_t length;
	enum fm_status status = fm_file_read(path, FM_ONNX_FILE_BYTES_MAX, &bytes, &length, err);

	if (status)
		return status;
	status = fm_net_load_memory(bytes, length, options, ret_net, err);
	return status ? fm_fail_prefix(err, status, "%.200s", path) : FM_OK;
}

void fm_net_free(struct fm_net *net)
{
	if (!net)
		return;
	fm_arena_done(&net->arena);
	free(net);
}

size_t fm_net_input_count(const struct fm_net *net)
{
	return net->input_count;
}

size_t fm_net_output_count(const struct fm_net *net)
{
	return net->output_count;
}

const struct fm_tensor_info *fm_net_input(const struct fm_net *net, size_t index)
{
	return &net->inputs[index];
}

const struct fm_tensor_info *fm_net_output(const struct fm_net *net, size_t index)
{
	return &net->outputs[index];
}

size_t fm_net_layer_count(const struct fm_net *net)
{
	return net->layer_count;
}

const struct fm_layer_info *fm_net_layer(const struct fm_net *net, size_t index)
{
	return net->layers[index];
}

enum fm_precision fm_net_precision(const struct fm_net *net)
{
	return net->precision;
}

enum fm_isa fm_net_isa(const struct fm_net *net)
{
	return net->kernels->isa;
}

size_t fm_net_arena_bytes(const struct fm_net *net)
{
	return net->activation_bytes + net->scratch_bytes;
}

size_t fm_net_weight_bytes(const struct fm_net *net)
{
	return net->arena.used_bytes;
}
