/*
 * A model of opset 7 to 12 becomes one of opset 13 that computes the same. One row per operator; what has no
 * row is refused. Source: the operators' version history in ONNX's Changelog.md.
 */
#include "lib/onnx/edit.h"

#include "lib/base/size.h"

#include <string.h>

#include "lib/base/banned.h"

#define IR_VERSION 7 /* the first that goes with opset 13 */
#define MOVES_MAX  3

struct rule {
	const char *op;
	int since; /* the opset that asks for what follows; 0: the operator means the same in 7 to 13 */
	struct {
		const char *attribute;
		size_t input;
	} moves[MOVES_MAX]; /* attributes that became inputs */
	/* What else is to be done to graph->node[at]; NULL: nothing. */
	enum fm_status (*raise)(
	        struct fm_onnx_edit *edit, const struct fm_onnx_node *node, size_t at, struct fm_error *err);
};

static enum fm_status refuse(const struct fm_onnx_edit *edit, const struct fm_onnx_node *node,
        const char *why, struct fm_error *err)
{
	char op[FM_ONNX_LABEL_BYTES], name[FM_ONNX_LABEL_BYTES];

	return fm_fail(err, FM_E_UNSUPPORTED, "%s node '%s' cannot be raised from opset %lld to %d: %s",
	        fm_onnx_label(node->op, op), fm_onnx_label(node->name, name), (long long)edit->model->opset,
	        FM_ONNX_QUANTIZED_OPSET, why);
}

/* BatchNormalization had `spatial` until 9; 1, the default, is what it does without. */
static enum fm_status raise_batch_normalization(
        struct fm_onnx_edit *edit, const struct fm_onnx_node *node, size_t at, struct fm_error *err)
{
	const struct fm_onnx_attribute *spatial = fm_onnx_attribute(node, "spatial");

	if (spatial && spatial->i != 1)
		return refuse(edit, node, "its statistics are not per channel", err);
	fm_onnx_drop_attribute(edit->message->graph->node[at], "spatial");
	return FM_OK;
}

/* Dropout's ratio is of no account where nothing is trained. */
static enum fm_status raise_dropout(
        struct fm_onnx_edit *edit, const struct fm_onnx_node *node, size_t at, struct fm_error *err)
{
	(void)node, (void)err;
	fm_onnx_drop_attribute(edit->message->graph->node[at], "ratio");
	return FM_OK;
}

static enum fm_status refuse_resize(
        struct fm_onnx_edit *edit, const struct fm_onnx_node *node, size_t at, struct fm_error *err)
{
	(void)at;
	return refuse(edit, node, "it was another operator before opset 11", err);
}

static enum fm_status add_node(struct fm_onnx_edit *edit, size_t at, const char *op, const char *first,
        const char *second, const char *output, Onnx__NodeProto **ret_node, struct fm_error *err)
{
	Onnx__NodeProto *node;
	enum fm_status status = fm_onnx_new_node(op, output, &node, err);

	if (status || (status = fm_onnx_insert_node(edit, at, node, err)) ||
	        (status = fm_onnx_set_input(node, 0, first, err)) ||
	        (second && (status = fm_onnx_set_input(node, 1, second, err))))
		return status;
	*ret_node = node;
	return FM_OK;
}

/*
 * Until 13 Softmax took everything from its axis (default 1) to the end as one row, since then it runs along
 * the axis alone. The two agree on the last axis; else it runs over the flattened tensor.
 */
static enum fm_status raise_softmax(
        struct fm_onnx_edit *edit, const struct fm_onnx_node *node, size_t at, struct fm_error *err)
{
	const struct fm_onnx_attribute *attribute = fm_onnx_attribute(node, "axis");
	const int64_t axis = attribute ? attribute->i : 1;
	Onnx__NodeProto *softmax = edit->message->graph->node[at], *added;
	char flat[FM_ONNX_LABEL_BYTES], rows[FM_ONNX_LABEL_BYTES], shape[FM_ONNX_LABEL_BYTES];
	const char *in = node->input_count ? node->inputs[0] : "";
	enum fm_status status = fm_onnx_set_int(softmax, "axis", -1, err);

	if (status || axis == -1)
		return status;
	if (node->output_count != 1)
		return refuse(edit, node, "it has not one output", err);
	fm_onnx_edit_name(edit, "flat", flat);
	fm_onnx_edit_name(edit, "rows", rows);
	fm_onnx_edit_name(edit, "shape", shape);
	if ((status = fm_onnx_set_input(softmax, 0, flat, err)) ||
	        (status = fm_onnx_set_text(&softmax->output[0], rows, err)) ||
	        (status = add_node(edit, at + 1, "Reshape", rows, shape, node->outputs[0], &added, err)) ||
	        (status = add_node(edit, at, "Shape", in, NULL, shape, &added, err)) ||
	        (status = add_node(edit, at, "Flatten", in, NULL, flat, &added, err)))
		return status;
	return fm_onnx_set_int(added, "axis", axis, err);
}

static const struct rule rules[] = {
        {"Add"},
        {"BatchNormalization", 9, .raise = raise_batch_normalization},
        {"BitShift"},
        {"Cast"},
        {"Clip", 11, {{"min", 1}, {"max", 2}}},
        {"Concat"},
        {"Constant"},
        {"ConstantOfShape"},
        {"Conv"},
        {"Cos"},
        {"DequantizeLinear"},
        {"Div"},
        {"Dropout", 12, .raise = raise_dropout},
        {"Equal"},
        {"Erf"},
        {"Exp"},
        {"Expand"},
        {"Flatten"},
        {"Gather"},
        {"Gemm"},
        {"Identity"},
        {"MatMul"},
        {"MaxPool"},
        {"Mul"},
        {"PRelu"},
        {"Pow"},
        {"QuantizeLinear"},
        {"ReduceL2"},
        {"ReduceMean"},
        {"Relu"},
        {"Reshape"},
        {"Resize", 11, .raise = refuse_resize},
        {"Shape"},
        {"Sigmoid"},
        {"Sin"},
        {"Slice", 10, {{"starts", 1}, {"ends", 2}, {"axes", 3}}},
        {"Softmax", 13, .raise = raise_softmax},
        {"Split", 13, {{"split", 1}}},
        {"Sqrt"},
        {"Squeeze", 13, {{"axes", 1}}},
        {"Sub"},
        {"Transpose"},
        {"Unsqueeze", 13, {{"axes", 1}}},
        {"Where"},
};

static const struct rule *find_rule(const char *op)
{
	for (size_t i = 0; i < FM_ARRAY_SIZE(rules); i++)
		if (strcmp(rules[i].op, op) == 0)
			return &rules[i];
	return NULL;
}

static enum fm_status move_attribute(struct fm_onnx_edit *edit, const struct fm_onnx_node *node, size_t at,
        const char *attribute, size_t input, struct fm_error *err)
{
	const struct fm_onnx_attribute *value = fm_onnx_attribute(node, attribute);
	char name[FM_ONNX_LABEL_BYTES];
	Onnx__TensorProto *tensor;
	enum fm_status status;

	if (!value)
		return FM_OK;
	fm_onnx_edit_name(edit, attribute, name);
	if (value->kind == FM_ONNX_ATTRIBUTE_INTS)
		status = fm_onnx_new_tensor(name, FM_ONNX_INT64, 1, &value->count, value->ints, &tensor, err);
	else if (value->kind == FM_ONNX_ATTRIBUTE_FLOAT)
		status = fm_onnx_new_tensor(name, FM_ONNX_FLOAT32, 0, NULL, &value->f, &tensor, err);
	else
		return refuse(edit, node, "an attribute of it is of the wrong type", err);
	if (status || (status = fm_onnx_add_initializer(edit, tensor, err)))
		return status;
	fm_onnx_drop_attribute(edit->message->graph->node[at], attribute);
	return fm_onnx_set_input(edit->message->graph->node[at], input, name, err);
}

static enum fm_status raise_node(
        struct fm_onnx_edit *edit, const struct fm_onnx_node *node, size_t at, struct fm_error *err)
{
	const struct rule *rule = find_rule(node->op);
	enum fm_status status = FM_OK;

	if (!rule)
		return refuse(edit, node, "whether it keeps its meaning is not known", err);
	if (edit->model->opset >= rule->since)
		return FM_OK;
	for (size_t i = 0; !status && i < MOVES_MAX && rule->moves[i].attribute; i++)
		status = move_attribute(edit, node, at, rule->moves[i].attribute, rule->moves[i].input, err);
	return status || !rule->raise ? status : rule->raise(edit, node, at, err);
}

enum fm_status fm_onnx_raise(struct fm_onnx_edit *edit, struct fm_error *err)
{
	Onnx__ModelProto *message = edit->message;

	if (edit->model->opset >= FM_ONNX_QUANTIZED_OPSET)
		return FM_OK;
	/* From the last on: nodes put in leave the places of those before them alone. */
	for (size_t i = edit->model->node_count; i-- > 0;) {
		enum fm_status status = raise_node(edit, &edit->model->nodes[i], edit->front + i, err);

		if (status)
			return status;
	}
	for (size_t i = 0; i < message->n_opset_import; i++) {
		const char *domain = message->opset_import[i]->domain;

		if (!domain || !domain[0] || strcmp(domain, "ai.onnx") == 0)
			message->opset_import[i]->version = FM_ONNX_QUANTIZED_OPSET;
	}
	if (message->ir_version < IR_VERSION)
		message->ir_version = IR_VERSION;
	message->has_ir_version = true;
	return FM_OK;
}
