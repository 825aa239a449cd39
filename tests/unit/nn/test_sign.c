/* Which tensors are known to have no element below 0. */
#include "lib/nn/graph.h"
#include "tests/unit/nn/net_fixture.h"

struct known {
	const char *const *nodes; /* op, inputs, output; NULL ends; the last makes y */
	bool nonnegative;
};

static void add_node(struct test_onnx *m, const char *op, const char *inputs, const char *output)
{
	test_onnx_node(m, op, inputs, output);
	if (strcmp(op, "Concat") == 0) {
		test_onnx_attribute_int(m, "axis", 2);
	} else if (strcmp(op, "MaxPool") == 0) {
		test_onnx_attribute_ints(m, "kernel_shape", 2, (int64_t[]){2, 2});
	} else if (strcmp(op, "Transpose") == 0) {
		test_onnx_attribute_ints(m, "perm", 4, (int64_t[]){0, 1, 3, 2});
	}
}

/* x -> Conv c -> the nodes given. */
static struct test_onnx *build(const char *const *nodes)
{
	float *w = noise(4 * 4, 1);
	const float mixed[] = {1, 0, 2, 3, 1, -1, 2, 3, 1, 0, 2, 3, 1, 0, 2, 3, 1, 0, 2, 3};
	struct test_onnx *m = test_onnx_new(11);

	test_onnx_input(m, "x", 4, (int64_t[]){1, 4, 6, 5});
	test_onnx_floats(m, "w", 4, (int64_t[]){4, 4, 1, 1}, w);
	test_onnx_floats(m, "slope", 3, (int64_t[]){4, 1, 1}, (float[]){0.5f, 1, 0.25f, 0});
	test_onnx_floats(m, "below", 0, NULL, &(float){-1});
	test_onnx_floats(m, "zero", 0, NULL, &(float){0});
	test_onnx_floats(m, "six", 0, NULL, &(float){6});
	test_onnx_floats(m, "negative", 4, (int64_t[]){1, 4, 1, 5}, mixed);
	test_onnx_floats(m, "positive", 4, (int64_t[]){1, 1, 1, 1}, &(float){2});
	test_onnx_floats(m, "scales", 1, &(int64_t){4}, (float[]){1, 1, 2, 2});
	test_onnx_node(m, "Conv", "x,w", "c");
	for (; *nodes; nodes += 3)
		add_node(m, nodes[0], nodes[1], nodes[2]);
	test_onnx_output(m, "y");
	free(w);
	return m;
}

static bool output_is_nonnegative(const char *const *nodes, bool fuses)
{
	size_t length;
	uint8_t *bytes = test_onnx_take(build(nodes), &length);
	struct fm_onnx_model *model = NULL;
	struct fm_arena arena;
	struct fm_graph graph;
	struct fm_error err = {0};

	fm_arena_init(&arena, 1 << 20);
	cr_assert_eq(fm_onnx_parse(bytes, length, 1 << 20, &model, &err), FM_OK, "%s", err.message);
	cr_assert_eq(fm_graph_build(&graph, &arena, model, (struct fm_input_size){0},
	                     (struct fm_output_names){0}, &err),
	        FM_OK, "%s", err.message);
	cr_assert_eq(fm_graph_infer(&graph, &err), FM_OK, "%s", err.message);
	if (fuses)
		cr_assert_eq(fm_graph_fuse(&graph, &err), FM_OK, "%s", err.message);
	cr_assert_eq(fm_graph_layout(&graph, &err), FM_OK, "%s", err.message);
	fm_graph_find_signs(&graph);
	const bool nonnegative = graph.values[graph.outputs[0]].nonnegative;
	fm_arena_done(&arena);
	fm_onnx_free(model);
	free(bytes);
	return nonnegative;
}

Test(sign, rectifiers_and_what_comes_of_them_alone)
{
	static const char *const none[] = {"Identity", "c", "y", NULL};
	static const char *const relu[] = {"Relu", "c", "y", NULL};
	static const char *const prelu[] = {"PRelu", "c,slope", "y", NULL};
	static const char *const clip[] = {"Clip", "c,zero,six", "y", NULL};
	static const char *const low_clip[] = {"Clip", "c,below,six", "y", NULL};
	static const char *const high_clip[] = {"Clip", "c,,six", "y", NULL};
	static const char *const sigmoid[] = {"Sigmoid", "c", "y", NULL};
	static const char *const product[] = {"Relu", "c", "r", "Conv", "r,w", "y", NULL};
	static const char *const pool[] = {"Relu", "c", "r", "MaxPool", "r", "y", NULL};
	static const char *const low_pool[] = {"MaxPool", "c", "y", NULL};
	static const char *const resize[] = {"Relu", "c", "r", "Resize", "r,,scales", "y", NULL};
	static const char *const transpose[] = {"Relu", "c", "r", "Transpose", "r", "y", NULL};
	static const char *const concat[] = {
	        "Relu", "c", "r", "Sigmoid", "c", "s", "Concat", "r,s,r", "y", NULL};
	static const char *const low_concat[] = {"Relu", "c", "r", "Concat", "r,c", "y", NULL};
	static const char *const constant[] = {"Relu", "c", "r", "Concat", "r,negative", "y", NULL};
	static const char *const sum[] = {"Relu", "c", "r", "Sigmoid", "c", "s", "Add", "r,s", "y", NULL};
	static const char *const low_sum[] = {"Relu", "c", "r", "Add", "r,c", "y", NULL};
	static const char *const scaled[] = {
	        "Relu", "c", "r", "MaxPool", "r", "p", "Mul", "p,positive", "y", NULL};
	static const char *const difference[] = {
	        "Relu", "c", "r", "Sigmoid", "c", "s", "Sub", "r,s", "y", NULL};
	const struct known all[] = {{none, false}, {relu, true}, {prelu, false}, {clip, true},
	        {low_clip, false}, {high_clip, false}, {sigmoid, true}, {product, false}, {pool, true},
	        {low_pool, false}, {resize, true}, {transpose, true}, {concat, true}, {low_concat, false},
	        {constant, false}, {sum, true}, {low_sum, false}, {scaled, true}, {difference, false}};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (int fuses = 0; fuses <= 1; fuses++)
			cr_expect_eq(output_is_nonnegative(all[i].nodes, fuses), all[i].nonnegative,
			        "case %zu, fused %d", i, fuses);
}
