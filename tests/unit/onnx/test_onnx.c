/* ONNX bytes to a description: what is read, and every bound. */
#include "lib/onnx/onnx.h"

#include "lib/base/cleanup.h"
#include "tests/support/onnx_builder.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static enum fm_status parse(
        struct test_onnx *builder, size_t memory, struct fm_onnx_model **ret_model, struct fm_error *err)
{
	size_t length;
	uint8_t *bytes = test_onnx_take(builder, &length);
	enum fm_status status = fm_onnx_parse(bytes, length, memory, ret_model, err);

	free(bytes);
	return status;
}

static void refused(struct test_onnx *builder, enum fm_status status, const char *part)
{
	struct fm_onnx_model *model = NULL;
	struct fm_error err = {0};

	cr_expect_eq(parse(builder, 1 << 20, &model, &err), status, "%s: %s", fm_status_name(err.status),
	        err.message);
	cr_expect(strstr(err.message, part), "%s", err.message);
	cr_expect_null(model);
}

static struct test_onnx *start(void)
{
	struct test_onnx *b = test_onnx_new(11);

	test_onnx_input(b, "x", 2, (int64_t[]){-1, 4});
	return b;
}

Test(onnx, reads_what_a_file_says)
{
	const float w[6] = {1, 2, 3, 4, 5, 6};
	struct test_onnx *b = start();
	struct fm_onnx_model *model = NULL;
	struct fm_error err = {0};

	test_onnx_input(b, "w", 2, (int64_t[]){2, 3}); /* old exporters list initializers as inputs */
	test_onnx_floats(b, "w", 2, (int64_t[]){2, 3}, w);
	test_onnx_ints(b, "i", 2, (int64_t[]){-1, INT64_MAX});
	test_onnx_node(b, "Gemm", "x,,w", "out");
	test_onnx_attribute_int(b, "transB", 1);
	test_onnx_attribute_float(b, "alpha", 0.5f);
	test_onnx_attribute_ints(b, "list", 3, (int64_t[]){1, -2, 3});
	test_onnx_attribute_string(b, "text", "caf\xc3\xa9");
	test_onnx_attribute_tensor(b, "value", 1, (int64_t[]){6}, w);
	test_onnx_output(b, "out");
	cr_assert_eq(parse(b, 1 << 20, &model, &err), FM_OK, "%s", err.message);

	cr_expect_eq(model->opset, 11);
	cr_assert(model->input_count == 1 && model->output_count == 1 && model->node_count == 1);
	cr_expect_str_eq(model->inputs[0].name, "x");
	cr_expect(model->inputs[0].has_shape && model->inputs[0].rank == 2);
	cr_expect(model->inputs[0].dims[0] == 0 && model->inputs[0].dims[1] == 4);
	cr_expect_str_eq(model->inputs[0].symbolic[0], "N");
	cr_assert_eq(model->initializer_count, 2u);
	cr_expect_eq(model->initializers[0].elements, 6u);
	cr_expect_arr_eq(model->initializers[0].data, w, sizeof(w));
	cr_expect_eq(model->initializers[1].type, FM_ONNX_INT64);
	cr_expect_eq(((const int64_t *)model->initializers[1].data)[1], INT64_MAX);

	const struct fm_onnx_node *node = &model->nodes[0];
	cr_expect_str_eq(node->op, "Gemm");
	cr_assert(node->input_count == 3 && node->output_count == 1);
	cr_expect_str_eq(node->inputs[1], "");
	cr_expect_eq(fm_onnx_attribute(node, "transB")->i, 1);
	cr_expect_eq(fm_onnx_attribute(node, "alpha")->f, 0.5f);
	cr_expect_eq(fm_onnx_attribute(node, "list")->count, 3u);
	cr_expect_eq(fm_onnx_attribute(node, "list")->ints[1], -2);
	cr_expect_str_eq(fm_onnx_attribute(node, "text")->s, "caf\xc3\xa9");
	cr_expect_arr_eq(fm_onnx_attribute(node, "value")->t->data, w, sizeof(w));
	cr_expect_null(fm_onnx_attribute(node, "beta"));
	fm_onnx_free(model);
}

Test(onnx, tensors_must_have_the_bytes_they_claim)
{
	static const struct {
		int type;
		size_t rank;
		int64_t dims[9];
		size_t length;
		enum fm_status status;
		const char *part;
	} cases[] = {
	        {1, 1, {4}, 15, FM_E_CORRUPT, "15 bytes"},
	        {1, 1, {4}, 17, FM_E_CORRUPT, "17 bytes"},
	        {1, 2, {-1, 4}, 16, FM_E_CORRUPT, "impossible"},
	        {1, 2, {INT64_MAX, INT64_MAX}, 16, FM_E_CORRUPT, "impossible"},
	        {1, 3, {1 << 30, 1 << 30, 1 << 30}, 16, FM_E_CORRUPT, "impossible"},
	        {1, 3, {0, INT64_C(1) << 40, INT64_C(1) << 40}, 0, FM_E_CORRUPT, "impossible"},
	        {1, 9, {1, 1, 1, 1, 1, 1, 1, 1, 4}, 16, FM_E_UNSUPPORTED, "9 dimensions"},
	        {8, 1, {4}, 16, FM_E_UNSUPPORTED, "data type 8"},
	        {10, 1, {8}, 16, FM_E_UNSUPPORTED, "data type 10"},
	        {0, 1, {4}, 16, FM_E_UNSUPPORTED, "data type 0"},
	        {-1, 1, {4}, 16, FM_E_UNSUPPORTED, "data type"},
	        {7, 1, {4}, 16, FM_E_CORRUPT, "want 32"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct test_onnx *b = start();

		test_onnx_raw(b, "the_tensor", cases[i].type, cases[i].rank, cases[i].dims,
		        "0123456789abcdefgh", cases[i].length);
		test_onnx_node(b, "Relu", "x", "y");
		test_onnx_output(b, "y");
		size_t length;
		uint8_t *bytes = test_onnx_take(b, &length);
		struct fm_onnx_model *model = NULL;
		struct fm_error err = {0};
		cr_expect_eq(fm_onnx_parse(bytes, length, 1 << 20, &model, &err), cases[i].status,
		        "case %zu: %s", i, err.message);
		cr_expect(strstr(err.message, "the_tensor") && strstr(err.message, cases[i].part), "%s",
		        err.message);
		free(bytes);
	}
}

Test(onnx, empty_tensors_are_fine)
{
	struct test_onnx *b = start();
	struct fm_onnx_model *model = NULL;

	test_onnx_floats(b, "empty", 2, (int64_t[]){0, 5}, NULL);
	test_onnx_node(b, "Relu", "x", "y");
	test_onnx_output(b, "y");
	cr_assert_eq(parse(b, 1 << 20, &model, NULL), FM_OK);
	cr_expect_eq(model->initializers[0].elements, 0u);
	fm_onnx_free(model);
}

Test(onnx, names_are_short_printable_utf8)
{
	char longest[257];
	static const char *const bad[] = {
	        "a\nb", "\x7f", "\xff", "\xc0\x80", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xe2\x82"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct test_onnx *b = start();

		test_onnx_node(b, "Relu", bad[i], "y");
		test_onnx_output(b, "y");
		refused(b, FM_E_CORRUPT, "UTF-8");
	}
	memset(longest, 'n', 256);
	longest[256] = 0;
	struct test_onnx *b = start();
	test_onnx_node(b, longest, "x", "y");
	refused(b, FM_E_TOO_LARGE, "255 bytes");
	b = start();
	test_onnx_node(b, "Relu", longest + 1, "y");
	struct fm_onnx_model *model = NULL;
	cr_expect_eq(parse(b, 1 << 20, &model, NULL), FM_OK);
	fm_onnx_free(model);
}

Test(onnx, labels_are_cut_between_characters)
{
	char label[FM_ONNX_LABEL_BYTES], name[256];

	for (size_t shift = 0; shift < 3; shift++) {
		memset(name, 'a', shift);
		for (size_t i = 0; i < 60; i++)
			memcpy(name + shift + 3 * i, "\xe2\x82\xac", 3);
		name[shift + 180] = 0;
		fm_onnx_label(name, label);
		size_t length = strlen(label);
		cr_expect_lt(length, sizeof(label));
		cr_expect_str_eq(label + length - 3, "...");
		cr_expect_eq((length - 3 - shift) % 3, 0u);
	}
	cr_expect_str_eq(fm_onnx_label("short", label), "short");
}

Test(onnx, nesting_is_bounded)
{
	/* type_proto within sequence within type_proto …: a few kilobytes that would use up the stack. */
	for (size_t levels = 1; levels <= 4096; levels *= 8) {
		size_t length = 0;
		uint8_t *bytes = calloc(1, 6 * levels + 64), *at = bytes + 6 * levels + 64;
		/* Inside out: each level is a tag and a two-byte length. */
		for (size_t i = 0; i < levels; i++) {
			*--at = (uint8_t)(length >> 7);
			*--at = (uint8_t)(0x80 | (length & 0x7f));
			*--at = i % 2 ? 4 << 3 | 2 : 1 << 3 | 2; /* sequence_type, elem_type */
			length += 3;
			if (length >= 1 << 14)
				break;
		}
		static const unsigned fields[] = {2, 11, 7}; /* ValueInfo.type, Graph.input, Model.graph */
		for (size_t i = 0; i < 3; i++) {
			*--at = (uint8_t)(length >> 14);
			*--at = (uint8_t)(0x80 | (length >> 7 & 0x7f));
			*--at = (uint8_t)(0x80 | (length & 0x7f));
			*--at = (uint8_t)(fields[i] << 3 | 2);
			length += 4;
		}
		struct fm_onnx_model *model = NULL;
		struct fm_error err = {0};
		cr_expect_neq(fm_onnx_parse(at, length, 1 << 20, &model, &err), FM_OK);
		if (levels > 16)
			cr_expect(strstr(err.message, "nest deeper"), "%s", err.message);
		free(bytes);
	}
}

Test(onnx, memory_is_bounded)
{
	struct test_onnx *b = start();
	struct fm_onnx_model *model = NULL;
	struct fm_error err = {0};

	/* Two bytes on the wire, a hundred in memory. */
	for (int i = 0; i < 1000; i++)
		test_onnx_node(b, "A", "x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x", "y");
	cr_expect_eq(parse(b, 100000, &model, &err), FM_E_TOO_LARGE, "%s", err.message);
	cr_expect_null(model);
}

/* Two bytes on the wire, more than a hundred in memory, whatever the caller allows. */
Test(onnx, memory_is_bounded_by_the_file_too)
{
	const size_t nodes = 1500000, graph = 2 * nodes, length = 5 + graph;
	fm_autofree uint8_t *bytes = calloc(1, length);
	struct fm_onnx_model *model = NULL;
	struct fm_error err = {0};

	bytes[0] = 7 << 3 | 2; /* Model.graph, and a length of four bytes */
	for (int i = 0; i < 4; i++)
		bytes[1 + i] = (uint8_t)((graph >> 7 * i & 0x7f) | (i < 3 ? 0x80 : 0));
	for (size_t i = 0; i < nodes; i++)
		bytes[5 + 2 * i] = 1 << 3 | 2; /* Graph.node, empty */
	cr_expect_eq(fm_onnx_parse(bytes, length, SIZE_MAX, &model, &err), FM_E_TOO_LARGE, "%s", err.message);
	cr_expect(strstr(err.message, "to unpack"), "%s", err.message);
}

Test(onnx, counts_are_bounded)
{
	struct test_onnx *b = start();

	for (int i = 0; i <= FM_ONNX_NODES_MAX; i++)
		test_onnx_node(b, "A", "", "y");
	size_t length;
	fm_autofree uint8_t *bytes = test_onnx_take(b, &length);
	struct fm_onnx_model *model = NULL;
	struct fm_error err = {0};
	cr_expect_eq(fm_onnx_parse(bytes, length, 1 << 28, &model, &err), FM_E_TOO_LARGE);
	cr_expect(strstr(err.message, "16385 nodes"), "%s", err.message);
}

Test(onnx, what_is_no_model)
{
	struct fm_onnx_model *model = NULL;
	struct fm_error err = {0};
	uint8_t junk[256];

	cr_expect_eq(fm_onnx_parse("", 0, 1 << 20, &model, &err), FM_E_CORRUPT);
	cr_expect_eq(fm_onnx_parse("\x89PNG\r\n\x1a\n", 8, 1 << 20, &model, &err), FM_E_CORRUPT);
	cr_expect_eq(fm_onnx_parse("\x08\x07", 2, 1 << 20, &model, &err), FM_E_CORRUPT);
	cr_expect(strstr(err.message, "no graph"), "%s", err.message);
	cr_expect_eq(fm_onnx_parse(junk, FM_ONNX_FILE_BYTES_MAX + 1, 1 << 20, &model, &err), FM_E_TOO_LARGE);
	memset(junk, 0xff, sizeof(junk)); /* a varint without end */
	cr_expect_eq(fm_onnx_parse(junk, sizeof(junk), 1 << 20, &model, &err), FM_E_CORRUPT);
	cr_expect_null(model);
}
