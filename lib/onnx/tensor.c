/* TensorProto and AttributeProto to our own, every count checked against the bytes that are there. */
#include "lib/onnx/internal.h"

#include "lib/base/size.h"

#include <endian.h>
#include <string.h>

#include "lib/base/banned.h"

size_t fm_onnx_type_bytes(enum fm_onnx_type type)
{
	switch (type) {
	case FM_ONNX_FLOAT32:
	case FM_ONNX_INT32: return 4;
	case FM_ONNX_INT64: return 8;
	case FM_ONNX_UINT8:
	case FM_ONNX_INT8:
	case FM_ONNX_BOOL: return 1;
	}
	return 0;
}

const char *fm_onnx_type_name(enum fm_onnx_type type)
{
	switch (type) {
	case FM_ONNX_FLOAT32: return "float32";
	case FM_ONNX_INT32: return "int32";
	case FM_ONNX_INT64: return "int64";
	case FM_ONNX_UINT8: return "uint8";
	case FM_ONNX_INT8: return "int8";
	case FM_ONNX_BOOL: return "bool";
	}
	return "unknown";
}

static enum fm_status copy_dims(const Onnx__TensorProto *message, const char *what,
        struct fm_onnx_tensor *tensor, struct fm_error *err)
{
	if (message->n_dims > FM_ONNX_RANK_MAX)
		return fm_fail(err, FM_E_UNSUPPORTED, "%s has %zu dimensions; the limit is %d", what,
		        message->n_dims, FM_ONNX_RANK_MAX);
	tensor->rank = message->n_dims;
	size_t product = 1; /* without zeros: what strides are made of */
	tensor->elements = 1;
	for (size_t i = 0; i < message->n_dims; i++) {
		int64_t dim = message->dims[i];

		if (dim < 0 || !fm_size_mul(product, dim ? (size_t)dim : 1, &product) ||
		        product > FM_ONNX_ELEMENTS_MAX)
			return fm_fail(err, FM_E_CORRUPT, "%s has an impossible dimension: %lld", what,
			        (long long)dim);
		tensor->dims[i] = (size_t)dim;
		tensor->elements *= (size_t)dim;
	}
	return FM_OK;
}

/* Little-endian bytes to the machine's order. */
static void to_host_order(void *data, size_t elements, size_t size)
{
	if (__BYTE_ORDER == __LITTLE_ENDIAN)
		return;
	for (size_t i = 0; i < elements; i++) {
		if (size == 4) {
			uint32_t v;
			memcpy(&v, (char *)data + 4 * i, 4);
			v = le32toh(v);
			memcpy((char *)data + 4 * i, &v, 4);
		} else if (size == 8) {
			uint64_t v;
			memcpy(&v, (char *)data + 8 * i, 8);
			v = le64toh(v);
			memcpy((char *)data + 8 * i, &v, 8);
		}
	}
}

/* The typed repeated fields; int32_data carries the narrow integer types, one element each. */
static size_t typed_count(const Onnx__TensorProto *message, enum fm_onnx_type type)
{
	switch (type) {
	case FM_ONNX_FLOAT32: return message->n_float_data;
	case FM_ONNX_INT64: return message->n_int64_data;
	default: return message->n_int32_data;
	}
}

static void copy_typed(const Onnx__TensorProto *message, enum fm_onnx_type type, size_t elements, void *data)
{
	switch (type) {
	case FM_ONNX_FLOAT32: memcpy(data, message->float_data, elements * sizeof(float)); break;
	case FM_ONNX_INT64: memcpy(data, message->int64_data, elements * sizeof(int64_t)); break;
	case FM_ONNX_INT32: memcpy(data, message->int32_data, elements * sizeof(int32_t)); break;
	default:
		for (size_t i = 0; i < elements; i++)
			((uint8_t *)data)[i] = (uint8_t)message->int32_data[i];
	}
}

enum fm_status fm_onnx_copy_tensor(struct fm_arena *arena, const Onnx__TensorProto *message, const char *what,
        struct fm_onnx_tensor *ret_tensor, struct fm_error *err)
{
	struct fm_onnx_tensor tensor = {.name = ""};

	tensor.type = (enum fm_onnx_type)message->data_type;
	size_t size = fm_onnx_type_bytes(tensor.type);
	if (!size)
		return fm_fail(err, FM_E_UNSUPPORTED,
		        "%s has data type %d; float32, int8, uint8, int32, int64 and bool are read", what,
		        message->data_type);
	if (message->n_external_data ||
	        (message->has_data_location &&
	                message->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL))
		return fm_fail(err, FM_E_UNSUPPORTED,
		        "%s keeps its data in another file; save the model with its weights inside", what);
	if (message->segment)
		return fm_fail(err, FM_E_UNSUPPORTED, "%s is stored in segments", what);

	enum fm_status status = copy_dims(message, what, &tensor, err);
	if (status)
		return status;

	size_t present = message->has_raw_data ? message->raw_data.len : typed_count(message, tensor.type);
	size_t wanted = message->has_raw_data ? tensor.elements * size : tensor.elements;
	if (present != wanted)
		return fm_fail(err, FM_E_CORRUPT, "%s has %zu %s where its dimensions want %zu", what,
		        present, message->has_raw_data ? "bytes" : "elements", wanted);

	void *data = fm_arena_alloc(arena, tensor.elements, size);
	if (!data)
		return fm_onnx_nomem(err);
	if (message->has_raw_data && wanted) {
		memcpy(data, message->raw_data.data, wanted);
		to_host_order(data, tensor.elements, size);
	} else if (wanted) {
		copy_typed(message, tensor.type, tensor.elements, data);
	}
	tensor.data = data;
	*ret_tensor = tensor;
	return FM_OK;
}

static enum fm_status copy_string(
        struct fm_arena *arena, const ProtobufCBinaryData *bytes, const char **ret_text, struct fm_error *err)
{
	if (bytes->len > FM_ONNX_NAME_BYTES_MAX || (bytes->len && memchr(bytes->data, 0, bytes->len)))
		return fm_fail(err, FM_E_UNSUPPORTED,
		        "a string attribute is longer than %d bytes or holds a NUL", FM_ONNX_NAME_BYTES_MAX);
	char *text = fm_arena_alloc(arena, bytes->len + 1, 1);
	if (!text)
		return fm_onnx_nomem(err);
	if (bytes->len)
		memcpy(text, bytes->data, bytes->len);
	*ret_text = text;
	return FM_OK;
}

static enum fm_status copy_tensor_attribute(struct fm_arena *arena, const Onnx__AttributeProto *message,
        const char *what, struct fm_onnx_attribute *attribute, struct fm_error *err)
{
	if (!message->t)
		return fm_fail(err, FM_E_CORRUPT, "%s has a tensor attribute without a tensor", what);
	struct fm_onnx_tensor *tensor = fm_arena_alloc(arena, 1, sizeof(*tensor));
	if (!tensor)
		return fm_onnx_nomem(err);
	attribute->t = tensor;
	return fm_onnx_copy_tensor(arena, message->t, what, tensor, err);
}

enum fm_status fm_onnx_copy_attribute(struct fm_arena *arena, const Onnx__AttributeProto *message,
        const char *what, struct fm_onnx_attribute *ret_attribute, struct fm_error *err)
{
	struct fm_onnx_attribute attribute = {.kind = (enum fm_onnx_attribute_kind)message->type};
	enum fm_status status = fm_onnx_copy_name(arena, message->name, what, &attribute.name, err);

	if (status)
		return status;
	switch (message->type) {
	case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT: attribute.f = message->f; break;
	case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT: attribute.i = message->i; break;
	case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING:
		status = copy_string(arena, &message->s, &attribute.s, err);
		break;
	case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR:
		status = copy_tensor_attribute(arena, message, what, &attribute, err);
		break;
	case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS:
		attribute.count = message->n_floats;
		attribute.floats = fm_arena_memdup(arena, message->floats, message->n_floats, sizeof(float));
		if (!attribute.floats)
			status = fm_onnx_nomem(err);
		break;
	case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS:
		attribute.count = message->n_ints;
		attribute.ints = fm_arena_memdup(arena, message->ints, message->n_ints, sizeof(int64_t));
		if (!attribute.ints)
			status = fm_onnx_nomem(err);
		break;
	default:
		status = fm_fail(err, FM_E_UNSUPPORTED,
		        "%s has an attribute of type %d; subgraphs, sparse tensors and lists of strings are "
		        "not read",
		        what, (int)message->type);
	}
	if (!status)
		*ret_attribute = attribute;
	return status;
}
