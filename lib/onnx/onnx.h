/*
 * ONNX bytes -> a graph description of our own, copied and checked; nothing outside this folder sees
 * protobuf.
 *
 * Everything is bounded before it is believed: nesting, memory while unpacking, counts, name lengths, ranks,
 * dims, element counts against the bytes present. Names are valid UTF-8 without control characters. Nodes are
 * given in the file's order, which ONNX wants topological; whether it is, lib/nn checks. Subgraphs, sparse
 * and external tensors and operator domains other than ONNX's own are refused. Source: ONNX IR and operators,
 * onnx.proto of Debian's libonnx-dev.
 */
#ifndef FM_ONNX_ONNX_H
#define FM_ONNX_ONNX_H

#include "lib/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FM_ONNX_FILE_BYTES_MAX ((size_t)512 * 1024 * 1024)
#define FM_ONNX_RANK_MAX       8
#define FM_ONNX_NODES_MAX      16384
#define FM_ONNX_TENSORS_MAX    65536
#define FM_ONNX_OPERANDS_MAX   1024 /* inputs, outputs or attributes of one node */
#define FM_ONNX_NAME_BYTES_MAX 255
#define FM_ONNX_ELEMENTS_MAX   ((size_t)1 << 31) /* of one tensor */
#define FM_ONNX_OPSET_MIN      7
#define FM_ONNX_OPSET_MAX      17

/* The numbers are TensorProto.DataType's. */
enum fm_onnx_type {
	FM_ONNX_FLOAT32 = 1,
	FM_ONNX_UINT8 = 2,
	FM_ONNX_INT8 = 3,
	FM_ONNX_INT32 = 6,
	FM_ONNX_INT64 = 7,
	FM_ONNX_BOOL = 9,
};

struct fm_onnx_tensor {
	const char *name; /* "" for an attribute's tensor */
	enum fm_onnx_type type;
	size_t rank;
	size_t dims[FM_ONNX_RANK_MAX];
	size_t elements;
	const void *data; /* row-major, elements * fm_onnx_type_bytes(type), 16-byte aligned at least */
};

enum fm_onnx_attribute_kind {
	FM_ONNX_ATTRIBUTE_FLOAT = 1,
	FM_ONNX_ATTRIBUTE_INT = 2,
	FM_ONNX_ATTRIBUTE_STRING = 3,
	FM_ONNX_ATTRIBUTE_TENSOR = 4,
	FM_ONNX_ATTRIBUTE_FLOATS = 6,
	FM_ONNX_ATTRIBUTE_INTS = 7,
};

struct fm_onnx_attribute {
	const char *name;
	enum fm_onnx_attribute_kind kind;
	float f;
	int64_t i;
	const char *s; /* NUL-terminated; a value that holds a NUL is refused */
	const struct fm_onnx_tensor *t;
	const float *floats;
	const int64_t *ints;
	size_t count; /* of floats or ints */
};

struct fm_onnx_node {
	const char *name; /* "" when the file gives none */
	const char *op;
	const char *const *inputs; /* "" is an optional input left out */
	size_t input_count;
	const char *const *outputs;
	size_t output_count;
	const struct fm_onnx_attribute *attributes;
	size_t attribute_count;
};

/* A graph input or output. dims[i] is 0 where the file has no number: symbolic then holds its name, or "". */
struct fm_onnx_value {
	const char *name;
	enum fm_onnx_type type;
	bool has_shape;
	size_t rank;
	size_t dims[FM_ONNX_RANK_MAX];
	const char *symbolic[FM_ONNX_RANK_MAX];
};

struct fm_onnx_model {
	int64_t opset;
	const struct fm_onnx_node *nodes;
	size_t node_count;
	const struct fm_onnx_tensor *initializers;
	size_t initializer_count;
	const struct fm_onnx_value *inputs; /* those that are initializers too are left out */
	size_t input_count;
	const struct fm_onnx_value *outputs;
	size_t output_count;
};

/*
 * memory_max_bytes, and 64 MiB plus four times the length, bound the unpacked message and the description,
 * each. The bytes are not needed afterwards. Errors: FM_E_CORRUPT, FM_E_UNSUPPORTED, FM_E_TOO_LARGE,
 * FM_E_NOMEM.
 */
enum fm_status fm_onnx_parse(const void *bytes, size_t length, size_t memory_max_bytes,
        struct fm_onnx_model **ret_model, struct fm_error *err);
void fm_onnx_free(struct fm_onnx_model *model);

/* NULL when the node does not have it. */
const struct fm_onnx_attribute *fm_onnx_attribute(const struct fm_onnx_node *node, const char *name);

size_t fm_onnx_type_bytes(enum fm_onnx_type type);
const char *fm_onnx_type_name(enum fm_onnx_type type);

/* A name for a message: at most 60 bytes of it, cut between characters. */
#define FM_ONNX_LABEL_BYTES 64
const char *fm_onnx_label(const char *name, char buffer[FM_ONNX_LABEL_BYTES]);

#endif
