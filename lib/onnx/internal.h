/* Between the files of lib/onnx only. */
#ifndef FM_ONNX_INTERNAL_H
#define FM_ONNX_INTERNAL_H

#include "lib/base/arena.h"
#include "lib/onnx/onnx.h"

#include "onnx.pb-c.h"

/*
 * Walks the wire format along the message descriptors without allocating, and refuses what protobuf-c would
 * follow by recursion without end: messages nested deeper than FM_ONNX_NESTING_MAX. Errors: FM_E_CORRUPT.
 */
#define FM_ONNX_NESTING_MAX 16
enum fm_status fm_onnx_scan(const void *bytes, size_t length, struct fm_error *err);

/* protobuf-c's unpack with a bound on the memory it takes. */
enum fm_status fm_onnx_unpack(const void *bytes, size_t length, size_t memory_max_bytes,
        Onnx__ModelProto **ret_message, struct fm_error *err);

/* Copies into the arena; "what" names the tensor in messages. */
enum fm_status fm_onnx_copy_tensor(struct fm_arena *arena, const Onnx__TensorProto *message, const char *what,
        struct fm_onnx_tensor *ret_tensor, struct fm_error *err);

/* A checked copy of a name: length, UTF-8, no control characters; NULL stands for "". */
enum fm_status fm_onnx_copy_name(struct fm_arena *arena, const char *name, const char *what,
        const char **ret_name, struct fm_error *err);

enum fm_status fm_onnx_copy_attribute(struct fm_arena *arena, const Onnx__AttributeProto *message,
        const char *what, struct fm_onnx_attribute *ret_attribute, struct fm_error *err);

enum fm_status fm_onnx_nomem(struct fm_error *err);

#endif
