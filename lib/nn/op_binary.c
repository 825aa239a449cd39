/* Add, Sub, Mul, Div with numpy broadcasting (float32; int64 while folding shapes), and PRelu that stands
 * alone. */
#include "lib/nn/nd.h"
#include "lib/nn/op.h"

#include <string.h>

#include "lib/base/banned.h"

enum kind { ADD, SUB, MUL, DIV, PRELU };

struct binary {
	struct fm_nd nd;
	size_t element_bytes;
	fm_nd_plane plane;
};

static enum fm_status check_types(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *a = &graph->values[node->inputs[0]], *b = &graph->values[node->inputs[1]];

	if (a->type != b->type || (a->type != FM_ONNX_FLOAT32 && a->type != FM_ONNX_INT64))
		return fm_node_fail(node, err, FM_E_UNSUPPORTED, "it computes on %s and %s",
		        fm_onnx_type_name(a->type), fm_onnx_type_name(b->type));
	return FM_OK;
}

static enum fm_status shape(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *a = &graph->values[node->inputs[0]], *b = &graph->values[node->inputs[1]];
	size_t rank = a->rank > b->rank ? a->rank : b->rank, dims[FM_ONNX_RANK_MAX];

	for (size_t i = 0; i < rank; i++) {
		size_t da = fm_broadcast_dim(a, rank, i), db = fm_broadcast_dim(b, rank, i);

		if (da != db && da != 1 && db != 1)
			return fm_node_fail(node, err, FM_E_CORRUPT,
			        "its inputs do not broadcast: %zu against %zu in dimension %zu", da, db, i);
		dims[i] = da == 1 ? db : da;
	}
	return fm_value_set_shape(&graph->values[node->outputs[0]], a->type, rank, dims, node, err);
}

/* PRelu's slope broadcasts to x, never the other way. */
static enum fm_status shape_prelu(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	enum fm_status status = shape(graph, node, err);
	const struct fm_value *x = &graph->values[node->inputs[0]], *y = &graph->values[node->outputs[0]];

	if (!status && (x->rank != y->rank || memcmp(x->dims, y->dims, sizeof(x->dims)) != 0))
		return fm_node_fail(node, err, FM_E_CORRUPT, "its slope is larger than its input");
	return status;
}

static bool same_memory_order(const struct fm_value *a, const struct fm_value *b)
{
	return a->elements == b->elements && a->rank == b->rank &&
	       (a->layout == b->layout || fm_value_layout_free(a));
}

static inline __attribute__((always_inline)) float apply(enum kind kind, float a, float b)
{
	switch (kind) {
	case ADD: return a + b;
	case SUB: return a - b;
	case MUL: return a * b;
	case DIV: return a / b;
	case PRELU: break;
	}
	return a > 0.0f ? a : a * b;
}

/* Sixteen at a time, by way of a local because out may be a or b: compilers make vectors of that at -O2. */
static inline __attribute__((always_inline)) void even_row(
        enum kind kind, float *out, const float *a, const float *b, bool b_repeats, size_t count)
{
	float block[16];
	size_t j = 0;

	for (; j + 16 <= count; j += 16) {
		for (size_t i = 0; i < 16; i++)
			block[i] = apply(kind, a[j + i], b[b_repeats ? 0 : j + i]);
		memcpy(out + j, block, sizeof(block));
	}
	for (; j < count; j++)
		out[j] = apply(kind, a[j], b[b_repeats ? 0 : j]);
}

static inline __attribute__((always_inline)) void plane(
        enum kind kind, const struct fm_nd *nd, float *out, const float *a, const float *b)
{
	const size_t rows = nd->dims[nd->rank - 2], columns = nd->dims[nd->rank - 1];
	const ptrdiff_t *so = &nd->strides[0][nd->rank - 2], *sa = &nd->strides[1][nd->rank - 2],
	                *sb = &nd->strides[2][nd->rank - 2];

	for (size_t i = 0; i < rows; i++, out += so[0], a += sa[0], b += sb[0]) {
		if (so[1] == 1 && sa[1] == 1 && sb[1] == 1)
			even_row(kind, out, a, b, false, columns);
		else if (so[1] == 1 && sa[1] == 1 && sb[1] == 0)
			even_row(kind, out, a, b, true, columns);
		else
			for (ptrdiff_t j = 0; j < (ptrdiff_t)columns; j++)
				out[j * so[1]] = apply(kind, a[j * sa[1]], b[j * sb[1]]);
	}
}

static void plane_add(const struct fm_nd *nd, void *out, const void *a, const void *b)
{
	plane(ADD, nd, out, a, b);
}

static void plane_sub(const struct fm_nd *nd, void *out, const void *a, const void *b)
{
	plane(SUB, nd, out, a, b);
}

static void plane_mul(const struct fm_nd *nd, void *out, const void *a, const void *b)
{
	plane(MUL, nd, out, a, b);
}

static void plane_div(const struct fm_nd *nd, void *out, const void *a, const void *b)
{
	plane(DIV, nd, out, a, b);
}

static void plane_prelu(const struct fm_nd *nd, void *out, const void *a, const void *b)
{
	plane(PRELU, nd, out, a, b);
}

/* Sizes only, at load. Wraps, and a division without a result gives 0: the sizes are checked where they are
 * used. */
static int64_t apply_int(enum kind kind, int64_t a, int64_t b)
{
	switch (kind) {
	case ADD: return (int64_t)((uint64_t)a + (uint64_t)b);
	case SUB: return (int64_t)((uint64_t)a - (uint64_t)b);
	case MUL: return (int64_t)((uint64_t)a * (uint64_t)b);
	case DIV: return b == 0 || b == -1 ? (int64_t)(0 - (b ? (uint64_t)a : 0)) : a / b;
	case PRELU: break;
	}
	return a > 0 ? a : (int64_t)((uint64_t)a * (uint64_t)b);
}

static void plane_int(
        enum kind kind, const struct fm_nd *nd, int64_t *out, const int64_t *a, const int64_t *b)
{
	const ptrdiff_t *so = &nd->strides[0][nd->rank - 2], *sa = &nd->strides[1][nd->rank - 2],
	                *sb = &nd->strides[2][nd->rank - 2];

	for (ptrdiff_t i = 0; i < (ptrdiff_t)nd->dims[nd->rank - 2]; i++)
		for (ptrdiff_t j = 0; j < (ptrdiff_t)nd->dims[nd->rank - 1]; j++)
			out[i * so[0] + j * so[1]] =
			        apply_int(kind, a[i * sa[0] + j * sa[1]], b[i * sb[0] + j * sb[1]]);
}

static void plane_int_add(const struct fm_nd *nd, void *out, const void *a, const void *b)
{
	plane_int(ADD, nd, out, a, b);
}

static void plane_int_sub(const struct fm_nd *nd, void *out, const void *a, const void *b)
{
	plane_int(SUB, nd, out, a, b);
}

static void plane_int_mul(const struct fm_nd *nd, void *out, const void *a, const void *b)
{
	plane_int(MUL, nd, out, a, b);
}

static void plane_int_div(const struct fm_nd *nd, void *out, const void *a, const void *b)
{
	plane_int(DIV, nd, out, a, b);
}

static void plane_int_prelu(const struct fm_nd *nd, void *out, const void *a, const void *b)
{
	plane_int(PRELU, nd, out, a, b);
}

static enum fm_status prepare(const struct fm_build *build, struct fm_node *node, struct fm_step *step,
        fm_nd_plane plane_f32, fm_nd_plane plane_i64, struct fm_error *err)
{
	const struct fm_value *values = build->graph->values;
	const struct fm_value *out = &values[node->outputs[0]];
	struct binary *binary = fm_arena_alloc(build->arena, 1, sizeof(*binary));

	if (!binary)
		return fm_node_nomem(node, err);
	binary->element_bytes = fm_onnx_type_bytes(out->type);
	binary->plane = out->type == FM_ONNX_FLOAT32 ? plane_f32 : plane_i64;
	struct fm_nd *nd = &binary->nd;
	nd->rank = out->rank;
	memcpy(nd->dims, out->dims, sizeof(nd->dims));
	fm_value_strides(out, nd->strides[0]);
	for (size_t i = 0; i < 2; i++) {
		const struct fm_value *in = &values[node->inputs[i]];

		fm_broadcast_strides(in, out->rank, nd->strides[i + 1]);
		if (step->in_place == FM_VALUE_NONE && !in->constant && same_memory_order(in, out))
			step->in_place = node->inputs[i];
	}
	fm_nd_normalize(nd);
	step->state = binary;
	return FM_OK;
}

static enum fm_status prepare_add(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	step->info.op = "add";
	return prepare(build, node, step, plane_add, plane_int_add, err);
}

static enum fm_status prepare_sub(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	step->info.op = "sub";
	return prepare(build, node, step, plane_sub, plane_int_sub, err);
}

static enum fm_status prepare_mul(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	step->info.op = "mul";
	return prepare(build, node, step, plane_mul, plane_int_mul, err);
}

static enum fm_status prepare_div(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	step->info.op = "div";
	return prepare(build, node, step, plane_div, plane_int_div, err);
}

static enum fm_status prepare_prelu(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	step->info.op = "prelu";
	return prepare(build, node, step, plane_prelu, plane_int_prelu, err);
}

static void run_binary(const struct fm_step *step, const struct fm_run *run)
{
	const struct binary *binary = step->state;

	fm_nd_walk(&binary->nd, binary->element_bytes, run->values[step->outputs[0]],
	        run->values[step->inputs[0]], run->values[step->inputs[1]], binary->plane);
}

const struct fm_op fm_op_add = {
        .name = "Add",
        .inputs_min = 2,
        .inputs_max = 2,
        .outputs_max = 1,
        .layout = FM_OP_ANY,
        .check = check_types,
        .shape = shape,
        .prepare = prepare_add,
        .run = run_binary,
};

const struct fm_op fm_op_sub = {
        .name = "Sub",
        .inputs_min = 2,
        .inputs_max = 2,
        .outputs_max = 1,
        .layout = FM_OP_ANY,
        .check = check_types,
        .shape = shape,
        .prepare = prepare_sub,
        .run = run_binary,
};

const struct fm_op fm_op_mul = {
        .name = "Mul",
        .inputs_min = 2,
        .inputs_max = 2,
        .outputs_max = 1,
        .layout = FM_OP_ANY,
        .check = check_types,
        .shape = shape,
        .prepare = prepare_mul,
        .run = run_binary,
};

const struct fm_op fm_op_div = {
        .name = "Div",
        .inputs_min = 2,
        .inputs_max = 2,
        .outputs_max = 1,
        .layout = FM_OP_ANY,
        .check = check_types,
        .shape = shape,
        .prepare = prepare_div,
        .run = run_binary,
};

const struct fm_op fm_op_prelu = {
        .name = "PRelu",
        .inputs_min = 2,
        .inputs_max = 2,
        .outputs_max = 1,
        .layout = FM_OP_ANY,
        .check = check_types,
        .shape = shape_prelu,
        .prepare = prepare_prelu,
        .run = run_binary,
};
