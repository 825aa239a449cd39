/* Codes of 6 and 4 bits: stored packed, all together, and unpacked by operators of opset 13 (quantize.h). */
#include "lib/onnx/edit.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/size.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define CODES_FREE ((size_t)1 << 16)

void fm_onnx_packing_done(struct fm_onnx_packing *packing)
{
	free(packing->codes);
	free(packing->parts);
	*packing = (struct fm_onnx_packing){0};
}

enum fm_status fm_onnx_packing_add(struct fm_onnx_packing *packing, struct fm_onnx_edit *edit,
        const uint8_t *codes, size_t count, char ret_name[FM_ONNX_LABEL_BYTES], struct fm_error *err)
{
	size_t wanted = 0, bytes;

	/* One for the padding. */
	if (packing->part_count + 1 >= FM_ONNX_OPERANDS_MAX)
		return fm_fail(err, FM_E_TOO_LARGE, "more than %d weights are to be packed",
		        FM_ONNX_OPERANDS_MAX - 1);
	if (!packing->parts)
		packing->parts = fm_calloc(FM_ONNX_OPERANDS_MAX, sizeof(*packing->parts));
	if (!packing->parts || !fm_size_add(packing->count, count, &wanted))
		return fm_onnx_nomem(err);
	if (wanted > packing->capacity) {
		if (!fm_size_mul(wanted, 2, &bytes))
			return fm_onnx_nomem(err);
		bytes = bytes < CODES_FREE ? CODES_FREE : bytes;
		void *grown = realloc(packing->codes, bytes);
		if (!grown)
			return fm_onnx_nomem(err);
		packing->codes = grown;
		packing->capacity = bytes;
	}
	memcpy(packing->codes + packing->count, codes, count);
	packing->count = wanted;
	struct fm_onnx_part *part = &packing->parts[packing->part_count++];
	part->elements = (int64_t)count;
	fm_onnx_edit_name(edit, "part", part->name);
	memcpy(ret_name, part->name, FM_ONNX_LABEL_BYTES);
	return FM_OK;
}

/* ---- the bytes ------------------------------------------------------------------------------- */

/* Rows of `columns` codes, the last filled up with zeros; they go into fewer rows of bytes. */
struct layout {
	size_t code_rows, byte_rows, columns;
};

static struct layout layout_of(unsigned bits, size_t count)
{
	const size_t code_rows = bits == 4 ? 2 : 4;

	return (struct layout){code_rows, bits == 4 ? 1 : 3, (count + code_rows - 1) / code_rows};
}

/* 4 bits: the second row above the first. 6: two bits of the fourth row above each of the first three. */
static uint8_t packed_byte(
        const uint8_t *codes, unsigned bits, const struct layout *layout, size_t row, size_t column)
{
	const unsigned low = codes[row * layout->columns + column];
	const unsigned high = codes[(layout->code_rows - 1) * layout->columns + column];

	return (uint8_t)(bits == 4 ? low | high << 4 : low | (high >> (4 - 2 * row) & 3) << 6);
}

static uint8_t *pack(const struct fm_onnx_packing *packing, unsigned bits, const struct layout *layout)
{
	uint8_t *codes = fm_calloc(layout->code_rows, layout->columns);
	uint8_t *bytes = codes ? fm_calloc(layout->byte_rows, layout->columns) : NULL;

	if (bytes) {
		memcpy(codes, packing->codes, packing->count);
		for (size_t row = 0; row < layout->byte_rows; row++)
			for (size_t i = 0; i < layout->columns; i++)
				bytes[row * layout->columns + i] = packed_byte(codes, bits, layout, row, i);
	}
	free(codes);
	return bytes;
}

/* ---- the nodes ------------------------------------------------------------------------------- */

struct writer {
	struct fm_onnx_edit *edit;
	size_t at; /* nodes written so far, before all others */
	char bytes[FM_ONNX_LABEL_BYTES];
};

/* op(inputs) -> a value of a new name; its node in *ret_node. */
static enum fm_status emit(struct writer *writer, const char *op, const char *first, const char *second,
        char ret_name[FM_ONNX_LABEL_BYTES], Onnx__NodeProto **ret_node, struct fm_error *err)
{
	enum fm_status status;

	fm_onnx_edit_name(writer->edit, "unpack", ret_name);
	if ((status = fm_onnx_new_node(op, ret_name, ret_node, err)) ||
	        (status = fm_onnx_insert_node(writer->edit, writer->at, *ret_node, err)))
		return status;
	writer->at++;
	writer->edit->front++;
	if ((status = fm_onnx_set_input(*ret_node, 0, first, err)))
		return status;
	return second ? fm_onnx_set_input(*ret_node, 1, second, err) : FM_OK;
}

static enum fm_status emit_shift(struct writer *writer, const char *in, const char *direction, uint8_t bits,
        char ret_name[FM_ONNX_LABEL_BYTES], struct fm_error *err)
{
	Onnx__NodeProto *node;
	enum fm_status status = emit(writer, "BitShift", in, NULL, ret_name, &node, err);

	if (status || (status = fm_onnx_set_string(node, "direction", direction, err)))
		return status;
	return fm_onnx_add_constant(writer->edit, node, 1, "bits", FM_ONNX_UINT8, 0, NULL, &bits, err);
}

static enum fm_status emit_cast(struct writer *writer, const char *in, enum fm_onnx_type to,
        char ret_name[FM_ONNX_LABEL_BYTES], struct fm_error *err)
{
	Onnx__NodeProto *node;
	enum fm_status status = emit(writer, "Cast", in, NULL, ret_name, &node, err);

	return status ? status : fm_onnx_set_int(node, "to", to, err);
}

/* A byte's low bits: up until the others fall out, and down again. */
static enum fm_status emit_low(
        struct writer *writer, uint8_t others, char ret_name[FM_ONNX_LABEL_BYTES], struct fm_error *err)
{
	char up[FM_ONNX_LABEL_BYTES];
	enum fm_status status = emit_shift(writer, writer->bytes, "LEFT", others, up, err);

	return status ? status : emit_shift(writer, up, "RIGHT", others, ret_name, err);
}

/* The last row of codes: 4 bits, the high halves; 6 bits, 16 a + 4 b + c of three rows of two bits. */
static enum fm_status emit_last(
        struct writer *writer, unsigned bits, char ret_name[FM_ONNX_LABEL_BYTES], struct fm_error *err)
{
	static const float weights[3] = {16.0f, 4.0f, 1.0f};
	char high[FM_ONNX_LABEL_BYTES], floats[FM_ONNX_LABEL_BYTES], sums[FM_ONNX_LABEL_BYTES];
	char row[FM_ONNX_LABEL_BYTES];
	Onnx__TensorProto *tensor;
	Onnx__NodeProto *node;
	enum fm_status status;

	if (bits == 4)
		return emit_shift(writer, writer->bytes, "RIGHT", 4, ret_name, err);
	fm_onnx_edit_name(writer->edit, "row", row);
	if ((status = emit_shift(writer, writer->bytes, "RIGHT", 6, high, err)) ||
	        (status = emit_cast(writer, high, FM_ONNX_FLOAT32, floats, err)) ||
	        (status = fm_onnx_new_tensor(
	                 row, FM_ONNX_FLOAT32, 2, (size_t[]){1, 3}, weights, &tensor, err)) ||
	        (status = fm_onnx_add_initializer(writer->edit, tensor, err)) ||
	        (status = emit(writer, "MatMul", row, floats, sums, &node, err)))
		return status;
	return emit_cast(writer, sums, FM_ONNX_UINT8, ret_name, err);
}

static enum fm_status emit_split(struct writer *writer, const struct fm_onnx_packing *packing,
        const char *flat, size_t padding, struct fm_error *err)
{
	const size_t count = packing->part_count + (padding ? 1 : 0);
	fm_autofree int64_t *sizes = fm_calloc(count, sizeof(*sizes));
	char name[FM_ONNX_LABEL_BYTES];
	Onnx__NodeProto *node;
	enum fm_status status;

	if (!sizes)
		return fm_onnx_nomem(err);
	if ((status = emit(writer, "Split", flat, NULL, name, &node, err)))
		return status;
	char **outputs = reallocarray(node->output, count, sizeof(*outputs));
	if (!outputs)
		return fm_onnx_nomem(err);
	node->output = outputs;
	for (size_t i = 0; i < count; i++) {
		const bool is_part = i < packing->part_count;

		sizes[i] = is_part ? packing->parts[i].elements : (int64_t)padding;
		if (i > 0 && !(outputs[i] = strdup("")))
			return fm_onnx_nomem(err);
		node->n_output = i + 1;
		/* The padding keeps the name that was made for the node. */
		status = fm_onnx_set_text(&outputs[i], is_part ? packing->parts[i].name : name, err);
		if (status)
			return status;
	}
	return fm_onnx_add_constant(writer->edit, node, 1, "sizes", FM_ONNX_INT64, 1, &count, sizes, err);
}

enum fm_status fm_onnx_packing_emit(
        const struct fm_onnx_packing *packing, struct fm_onnx_edit *edit, unsigned bits, struct fm_error *err)
{
	const struct layout layout = layout_of(bits, packing->count);
	fm_autofree uint8_t *bytes = pack(packing, bits, &layout);
	struct writer writer = {.edit = edit};
	char low[FM_ONNX_LABEL_BYTES], last[FM_ONNX_LABEL_BYTES], rows[FM_ONNX_LABEL_BYTES];
	char flat[FM_ONNX_LABEL_BYTES];
	const int64_t all = -1;
	Onnx__TensorProto *tensor;
	Onnx__NodeProto *node;
	enum fm_status status;

	if (!bytes)
		return fm_onnx_nomem(err);
	fm_onnx_edit_name(edit, "packed", writer.bytes);
	if ((status = fm_onnx_new_tensor(writer.bytes, FM_ONNX_UINT8, 2,
	             (size_t[]){layout.byte_rows, layout.columns}, bytes, &tensor, err)) ||
	        (status = fm_onnx_add_initializer(edit, tensor, err)) ||
	        (status = emit_low(&writer, bits == 4 ? 4 : 2, low, err)) ||
	        (status = emit_last(&writer, bits, last, err)) ||
	        (status = emit(&writer, "Concat", low, last, rows, &node, err)) ||
	        (status = fm_onnx_set_int(node, "axis", 0, err)) ||
	        (status = emit(&writer, "Reshape", rows, NULL, flat, &node, err)) ||
	        (status = fm_onnx_add_constant(
	                 edit, node, 1, "flat", FM_ONNX_INT64, 1, (size_t[]){1}, &all, err)))
		return status;
	return emit_split(&writer, packing, flat, layout.code_rows * layout.columns - packing->count, err);
}
