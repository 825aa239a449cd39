/*
 * Changing an unpacked ONNX model: between the files of lib/onnx only. What is added lives in malloc's
 * memory, as protobuf-c's own parts do, and goes with the message.
 */
#ifndef FM_ONNX_EDIT_H
#define FM_ONNX_EDIT_H

#include "lib/onnx/internal.h"
#include "lib/onnx/quantize.h"

struct fm_onnx_edit {
	const struct fm_onnx_model *model; /* what the message said before it was changed */
	Onnx__ModelProto *message;
	size_t front;  /* nodes put before the first: model->nodes[i] is graph->node[front + i] */
	unsigned mark; /* makes the names below "facematchMARK.": no name of the model's begins so */
	size_t names;
};

/* Finds the mark. */
enum fm_status fm_onnx_edit_start(struct fm_onnx_edit *edit, const struct fm_onnx_model *model,
        Onnx__ModelProto *message, struct fm_error *err);

/* A name that nothing has yet. */
void fm_onnx_edit_name(struct fm_onnx_edit *edit, const char *what, char ret_name[FM_ONNX_LABEL_BYTES]);

/* What follows returns FM_E_NOMEM or FM_OK. */

/* A tensor of a supported type, row-major in data. */
enum fm_status fm_onnx_new_tensor(const char *name, enum fm_onnx_type type, size_t rank, const size_t *dims,
        const void *data, Onnx__TensorProto **ret_tensor, struct fm_error *err);
/* Takes the tensor over, also when it fails. */
enum fm_status fm_onnx_add_initializer(
        struct fm_onnx_edit *edit, Onnx__TensorProto *tensor, struct fm_error *err);

enum fm_status fm_onnx_new_node(
        const char *op, const char *output, Onnx__NodeProto **ret_node, struct fm_error *err);
/* Before graph->node[at]. Takes the node over, also when it fails. */
enum fm_status fm_onnx_insert_node(
        struct fm_onnx_edit *edit, size_t at, Onnx__NodeProto *node, struct fm_error *err);

/* Input `index` gets the name; inputs between become "", left out. */
enum fm_status fm_onnx_set_input(Onnx__NodeProto *node, size_t index, const char *name, struct fm_error *err);
enum fm_status fm_onnx_set_text(char **text, const char *value, struct fm_error *err);

/* Replaces the attribute, or adds it. */
enum fm_status fm_onnx_set_int(Onnx__NodeProto *node, const char *name, int64_t value, struct fm_error *err);
void fm_onnx_drop_attribute(Onnx__NodeProto *node, const char *name);

enum fm_status fm_onnx_set_string(
        Onnx__NodeProto *node, const char *name, const char *value, struct fm_error *err);

/* Replaces the graph's outputs by float32 tensors of these names, without shapes. */
enum fm_status fm_onnx_set_outputs(
        struct fm_onnx_edit *edit, const char *const *names, size_t count, struct fm_error *err);

/* Packs the message into memory that the caller frees. FM_E_TOO_LARGE, FM_E_NOMEM. */
enum fm_status fm_onnx_pack(
        const Onnx__ModelProto *message, void **ret_bytes, size_t *ret_length, struct fm_error *err);
void fm_onnx_message_freep(Onnx__ModelProto **message);

/* Codes of fewer than 8 bits, one a byte until they are packed. */
struct fm_onnx_part {
	char name[FM_ONNX_LABEL_BYTES];
	int64_t elements;
};

struct fm_onnx_packing {
	uint8_t *codes;
	size_t count, capacity;
	struct fm_onnx_part *parts;
	size_t part_count;
};
void fm_onnx_packing_done(struct fm_onnx_packing *packing);
/* *ret_name will be the uint8 tensor [count] of these codes. FM_E_TOO_LARGE beyond a node's operands. */
enum fm_status fm_onnx_packing_add(struct fm_onnx_packing *packing, struct fm_onnx_edit *edit,
        const uint8_t *codes, size_t count, char ret_name[FM_ONNX_LABEL_BYTES], struct fm_error *err);
/* Packs them into one initializer, 6 or 4 bits each, and puts what unpacks them before all other nodes. */
enum fm_status fm_onnx_packing_emit(const struct fm_onnx_packing *packing, struct fm_onnx_edit *edit,
        unsigned bits, struct fm_error *err);

/* QuantizeLinear and DequantizeLinear on the activations, after fm_onnx_raise. Counts them into quantized. */
enum fm_status fm_onnx_quantize_activations(struct fm_onnx_edit *edit,
        const struct fm_onnx_quantize_options *options, struct fm_onnx_quantized *quantized,
        struct fm_error *err);
/* An initializer that becomes the node's input. */
enum fm_status fm_onnx_add_constant(struct fm_onnx_edit *edit, Onnx__NodeProto *node, size_t input,
        const char *what, enum fm_onnx_type type, size_t rank, const size_t *dims, const void *data,
        struct fm_error *err);

/*
 * Brings a model below FM_ONNX_QUANTIZED_OPSET up to it. Errors: FM_E_UNSUPPORTED with the operator's name;
 * FM_E_CORRUPT; FM_E_NOMEM.
 */
enum fm_status fm_onnx_raise(struct fm_onnx_edit *edit, struct fm_error *err);

#endif
