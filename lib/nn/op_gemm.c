/* Gemm and MatMul with constant weights: one matrix product over rows. Other MatMuls go to
 * op_matmul_batched.c. */
#include "lib/nn/linear.h"

#include <string.h>

#include "lib/base/banned.h"

struct gemm {
	size_t m, n, k;
	bool transpose_a, transpose_b;
	float alpha, beta;
	const float *bias; /* [n] in the load's arena, or NULL */
};

struct gemm_state {
	struct fm_linear linear;
	struct fm_epilogue epilogue;
	size_t m;
	bool transpose_a;
};

static bool is_row(const struct fm_value *c, size_t n)
{
	for (size_t i = 0; i + 1 < c->rank; i++)
		if (c->dims[i] != 1)
			return false;
	return c->elements == 1 || c->elements == n;
}

/* C: a constant row becomes the bias; a whole matrix, unscaled, the residual. */
static enum fm_status check_c(
        struct fm_graph *graph, struct fm_node *node, struct gemm *gemm, struct fm_error *err)
{
	const struct fm_value *c = fm_node_input(graph, node, 2);

	if (!c || gemm->beta == 0.0f)
		return FM_OK;
	if (c->type != FM_ONNX_FLOAT32)
		return fm_node_fail(node, err, FM_E_UNSUPPORTED, "its C is not float32");
	if (c->constant && is_row(c, gemm->n)) {
		float *bias = fm_arena_alloc(graph->arena, gemm->n, sizeof(*bias));

		if (!bias)
			return fm_node_nomem(node, err);
		for (size_t i = 0; i < gemm->n; i++)
			bias[i] = ((const float *)c->constant)[c->elements == 1 ? 0 : i];
		gemm->bias = bias;
		return FM_OK;
	}
	if (c->rank == 2 && c->dims[0] == gemm->m && c->dims[1] == gemm->n && gemm->beta == 1.0f &&
	        !c->constant) {
		node->fused.residual = node->inputs[2];
		return FM_OK;
	}
	return fm_node_fail(
	        node, err, FM_E_UNSUPPORTED, "its C is neither a constant row nor an unscaled matrix");
}

static enum fm_status check_weights(const struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *a = fm_node_input(graph, node, 0), *b = fm_node_input(graph, node, 1);

	if (a->type != FM_ONNX_FLOAT32 || b->type != FM_ONNX_FLOAT32)
		return fm_node_fail(node, err, FM_E_UNSUPPORTED, "it multiplies %s by %s",
		        fm_onnx_type_name(a->type), fm_onnx_type_name(b->type));
	if (a->constant || !b->constant)
		return fm_node_fail(node, err, FM_E_UNSUPPORTED,
		        "its second operand must be constant, and its first not");
	if (!b->elements)
		return fm_node_fail(node, err, FM_E_CORRUPT, "its weights have no elements");
	return FM_OK;
}

static enum fm_status check_gemm(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *a = fm_node_input(graph, node, 0), *b = fm_node_input(graph, node, 1);
	struct gemm *gemm = node->params;
	int64_t transpose_a, transpose_b;
	enum fm_status status;

	if ((status = check_weights(graph, node, err)) ||
	        (status = fm_attribute_int(node, "transA", 0, &transpose_a, err)) ||
	        (status = fm_attribute_int(node, "transB", 0, &transpose_b, err)) ||
	        (status = fm_attribute_float(node, "alpha", 1.0f, &gemm->alpha, err)) ||
	        (status = fm_attribute_float(node, "beta", 1.0f, &gemm->beta, err)))
		return status;
	if (a->rank != 2 || b->rank != 2)
		return fm_node_fail(node, err, FM_E_CORRUPT, "its operands have %zu and %zu dimensions",
		        a->rank, b->rank);
	gemm->transpose_a = transpose_a != 0;
	gemm->transpose_b = transpose_b != 0;
	gemm->m = a->dims[gemm->transpose_a ? 1 : 0];
	gemm->k = a->dims[gemm->transpose_a ? 0 : 1];
	gemm->n = b->dims[gemm->transpose_b ? 0 : 1];
	if (b->dims[gemm->transpose_b ? 1 : 0] != gemm->k)
		return fm_node_fail(node, err, FM_E_CORRUPT, "it multiplies rows of %zu by columns of %zu",
		        gemm->k, b->dims[gemm->transpose_b ? 1 : 0]);
	return check_c(graph, node, gemm, err);
}

static enum fm_status shape_gemm(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct gemm *gemm = node->params;

	return fm_value_set_shape(&graph->values[node->outputs[0]], FM_ONNX_FLOAT32, 2,
	        (size_t[]){gemm->m, gemm->n}, node, err);
}

static enum fm_status check_matmul(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *a = fm_node_input(graph, node, 0), *b = fm_node_input(graph, node, 1);
	struct gemm *gemm = node->params;
	enum fm_status status;

	if (a->constant || !b->constant || b->rank > 2) {
		node->op = &fm_op_matmul_batched;
		return node->op->check(graph, node, err);
	}
	if ((status = check_weights(graph, node, err)))
		return status;
	if (!a->rank || b->rank != 2)
		return fm_node_fail(node, err, FM_E_UNSUPPORTED, "its operands have %zu and %zu dimensions",
		        a->rank, b->rank);
	*gemm = (struct gemm){.alpha = 1.0f, .k = a->dims[a->rank - 1], .n = b->dims[1]};
	if (b->dims[0] != gemm->k)
		return fm_node_fail(node, err, FM_E_CORRUPT, "it multiplies rows of %zu by columns of %zu",
		        gemm->k, b->dims[0]);
	gemm->m = a->elements / gemm->k;
	return FM_OK;
}

static enum fm_status shape_matmul(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *a = fm_node_input(graph, node, 0);
	const struct gemm *gemm = node->params;
	size_t dims[FM_ONNX_RANK_MAX];

	memcpy(dims, a->dims, sizeof(dims));
	dims[a->rank - 1] = gemm->n;
	return fm_value_set_shape(
	        &graph->values[node->outputs[0]], FM_ONNX_FLOAT32, a->rank, dims, node, err);
}

static enum fm_status prepare(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	const struct gemm *gemm = node->params;
	struct gemm_state *state = fm_arena_alloc(build->arena, 1, sizeof(*state));
	float *weights = fm_arena_alloc(build->graph->arena, gemm->n * gemm->k, sizeof(*weights));
	const float *given, *scale;
	enum fm_status status;

	if (!state || !weights)
		return fm_node_nomem(node, err);
	if ((status = fm_node_floats(build->graph, node, 1, &given, err)) ||
	        (status = fm_fused_weight_scale(build, node, gemm->n, gemm->alpha, &scale, err)))
		return status;
	for (size_t i = 0; i < gemm->n; i++)
		for (size_t j = 0; j < gemm->k; j++)
			weights[i * gemm->k + j] =
			        gemm->alpha * given[gemm->transpose_b ? i * gemm->k + j : j * gemm->n + i];
	if ((status = fm_epilogue_prepare(build, node, weights, gemm->n, gemm->k, gemm->bias, gemm->beta,
	             &state->epilogue, err)) ||
	        (status = fm_linear_prepare(
	                 build, node, step, weights, scale, gemm->n, gemm->k, &state->linear, err)) ||
	        (status = fm_chain_prepare(build, node, &state->epilogue, &state->linear.chain, err)) ||
	        (status = fm_product_operands(build, node, step, err)))
		return status;
	state->epilogue.residual_stride = gemm->n;
	state->m = gemm->m;
	/* One column is one row already. */
	state->transpose_a = gemm->transpose_a && gemm->m > 1;
	step->state = state;
	step->scratch_bytes = fm_linear_scratch_bytes(&state->linear);
	if (state->transpose_a)
		step->scratch_bytes += gemm->m * gemm->k * sizeof(float);
	step->info.op = node->op == &fm_op_gemm ? "gemm" : "matmul";
	step->info.macs = (uint64_t)gemm->m * gemm->n * gemm->k;
	return FM_OK;
}

static void run_gemm(const struct fm_step *step, const struct fm_run *run)
{
	const struct gemm_state *state = step->state;
	const size_t m = state->m, k = state->linear.k;
	const float *a = run->values[step->inputs[0]];
	float *out = run->values[step->outputs[0]];
	struct fm_epilogue epilogue = state->epilogue;

	epilogue.residual = step->input_count > 1 ? run->values[step->inputs[1]] : NULL;
	if (state->transpose_a) {
		float *rows = (float *)((char *)run->scratch + fm_linear_scratch_bytes(&state->linear));

		for (size_t i = 0; i < m; i++)
			for (size_t j = 0; j < k; j++)
				rows[i * k + j] = a[j * m + i];
		a = rows;
	}
	fm_linear_run(&state->linear, run->kernels, run->scratch, out, state->linear.n, a, k, m, &epilogue);
}

const struct fm_op fm_op_gemm = {
        .name = "Gemm",
        .inputs_min = 2,
        .inputs_max = 3,
        .outputs_max = 1,
        .layout = FM_OP_ROW_MAJOR,
        .product = true,
        .params_bytes = sizeof(struct gemm),
        .check = check_gemm,
        .shape = shape_gemm,
        .prepare = prepare,
        .run = run_gemm,
};

const struct fm_op fm_op_matmul = {
        .name = "MatMul",
        .inputs_min = 2,
        .inputs_max = 2,
        .outputs_max = 1,
        .layout = FM_OP_ROW_MAJOR,
        .product = true,
        .params_bytes = sizeof(struct gemm),
        .check = check_matmul,
        .shape = shape_matmul,
        .prepare = prepare,
        .run = run_gemm,
};
