/* protobuf-c on a leash: nesting scanned first, memory counted while it unpacks. */
#include "lib/onnx/internal.h"

#include "lib/base/size.h"

#include <stdlib.h>

#include "lib/base/banned.h"

#define WIRE_VARINT  0
#define WIRE_FIXED64 1
#define WIRE_BYTES   2
#define WIRE_FIXED32 5

static bool read_varint(const uint8_t **at, const uint8_t *end, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64 && *at < end; shift += 7) {
		uint8_t byte = *(*at)++;

		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret_value = value;
			return true;
		}
	}
	return false;
}

static bool scan_message(
        const ProtobufCMessageDescriptor *descriptor, const uint8_t *at, const uint8_t *end, int depth)
{
	if (depth > FM_ONNX_NESTING_MAX)
		return false;
	while (at < end) {
		uint64_t tag, value;

		if (!read_varint(&at, end, &tag))
			return false;
		switch (tag & 7) {
		case WIRE_VARINT:
			if (!read_varint(&at, end, &value))
				return false;
			continue;
		case WIRE_FIXED64: value = 8; break;
		case WIRE_FIXED32: value = 4; break;
		case WIRE_BYTES:
			if (!read_varint(&at, end, &value))
				return false;
			break;
		default: return false;
		}
		if (value > (uint64_t)(end - at))
			return false;
		if ((tag & 7) == WIRE_BYTES && tag >> 3 <= UINT32_MAX) {
			const ProtobufCFieldDescriptor *field =
			        protobuf_c_message_descriptor_get_field(descriptor, (unsigned)(tag >> 3));
			if (field && field->type == PROTOBUF_C_TYPE_MESSAGE &&
			        !scan_message(field->descriptor, at, at + value, depth + 1))
				return false;
		}
		at += value;
	}
	return true;
}

enum fm_status fm_onnx_scan(const void *bytes, size_t length, struct fm_error *err)
{
	const uint8_t *at = bytes;

	if (!length || !scan_message(&onnx__model_proto__descriptor, at, at + length, 1))
		return fm_fail(err, FM_E_CORRUPT,
		        "not an ONNX model: the bytes are no protobuf message, end too early, or nest deeper "
		        "than %d",
		        FM_ONNX_NESTING_MAX);
	return FM_OK;
}

struct counted {
	size_t used_bytes;
	size_t limit_bytes;
	bool exhausted;
};

static void *counted_alloc(void *data, size_t size)
{
	struct counted *counted = data;
	size_t total;

	if (!fm_size_add(counted->used_bytes, size, &total) || total > counted->limit_bytes) {
		counted->exhausted = true;
		return NULL;
	}
	void *memory = malloc(size ? size : 1);
	if (memory)
		counted->used_bytes = total;
	else
		counted->exhausted = true;
	return memory;
}

static void counted_free(void *data, void *memory)
{
	(void)data; /* what was freed on the way stays counted: the bound is on the work, too */
	free(memory);
}

enum fm_status fm_onnx_unpack(const void *bytes, size_t length, size_t memory_max_bytes,
        Onnx__ModelProto **ret_message, struct fm_error *err)
{
	struct counted counted = {.limit_bytes = memory_max_bytes};
	ProtobufCAllocator allocator = {counted_alloc, counted_free, &counted};

	Onnx__ModelProto *message = onnx__model_proto__unpack(&allocator, length, bytes);
	if (message) {
		*ret_message = message;
		return FM_OK;
	}
	if (counted.exhausted)
		return fm_fail(err, FM_E_TOO_LARGE, "the ONNX model needs more than %zu bytes to unpack",
		        memory_max_bytes);
	return fm_fail(err, FM_E_CORRUPT, "not an ONNX model: a field has the wrong type");
}
