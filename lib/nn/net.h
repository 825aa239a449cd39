/*
 * A loaded network: immutable, shared by any number of sessions and threads until it is freed.
 *
 * Loading parses ONNX, checks every shape, folds constants and batch normalization, fuses convolution + bias
 * + residual + activation, quantizes (int8) or keeps (float32) the weights, packs them for the best ISA,
 * flushes denormal weights, and plans the memory of one run. What cannot be run is refused here, with node
 * name and op.
 */
#ifndef FM_NN_NET_H
#define FM_NN_NET_H

#include "lib/base/status.h"
#include "lib/cpu/cpu.h"

#include <stddef.h>
#include <stdint.h>

#define FM_TENSOR_RANK_MAX 8

/*
 * FM_FLOAT32: the reference. FM_INT8: dynamic: weights s8 per output channel, activations u8 at run time for
 * every layer that is a matrix product, docs/KERNELS.md.
 */
enum fm_precision { FM_FLOAT32 = 0, FM_INT8 = 1 };

const char *fm_precision_name(enum fm_precision precision); /* "float32", "int8" */
enum fm_status fm_precision_parse(const char *name, enum fm_precision *ret_precision, struct fm_error *err);

/* Zero is the default everywhere. */
struct fm_net_options {
	enum fm_precision precision;
	bool isa_set;    /* use `isa` and not the best there is; FM_E_UNSUPPORTED where it does not run */
	enum fm_isa isa; /* results do not depend on it, only speed does */
	bool no_fusion;  /* run node by node: to find a defect, to test fusion */
	bool no_strips;  /* run layer by layer: to test strips (docs/KERNELS.md 10) */
	size_t strips_bytes_min; /* pass tensors by strips from here on (lib/nn/strips.h); 0: its default */
	/*
	 * Of images, where the file leaves height and width open; FM_E_UNSUPPORTED when they are not given
	 * then, FM_E_INVALID where the file fixes others.
	 */
	size_t input_height_px, input_width_px;
	bool resize; /* the two also replace what the file fixes: for networks that take images of any size */
	/*
	 * Tensors inside the network to give out in place of the file's outputs, and what they do not need is
	 * left out; FM_E_INVALID where one is not there. 0: the file's.
	 */
	const char *const *outputs;
	size_t output_count;
	size_t memory_max_bytes; /* of the file unpacked, the network and a session, each; 0: 2 GiB */
};

/* An input or output as the ONNX file declares it: name, dims outermost first (images are N, C, H, W). */
struct fm_tensor_info {
	const char *name; /* lives as long as the net */
	size_t rank;
	size_t dims[FM_TENSOR_RANK_MAX];
	size_t elements; /* product of dims */
};

/* For `model inspect` and `bench net --layers`; one per step that a run executes. */
struct fm_layer_info {
	const char *name; /* ONNX node name (of the first node fused), may be "" */
	const char *op;   /* what runs: "conv1x1", "conv3x3", "depthwise", "gemm", "add", "softmax", … */
	size_t out_rank;
	size_t out_dims[FM_TENSOR_RANK_MAX]; /* ONNX order */
	uint64_t macs;
	size_t weight_bytes_float32; /* as if kept in float32 */
	size_t weight_bytes;         /* as held, packed, scales included */
	enum fm_precision precision; /* what this step computes in */
};

struct fm_net;

/* Files beyond 512 MiB are refused. Errors: file errors; FM_E_CORRUPT; FM_E_UNSUPPORTED; FM_E_TOO_LARGE;
 * FM_E_NOMEM. */
enum fm_status fm_net_load(const char *path, const struct fm_net_options *options, struct fm_net **ret_net,
        struct fm_error *err);
/* The bytes are not needed after the call. */
enum fm_status fm_net_load_memory(const void *bytes, size_t length, const struct fm_net_options *options,
        struct fm_net **ret_net, struct fm_error *err);
void fm_net_free(struct fm_net *net);

size_t fm_net_input_count(const struct fm_net *net);
size_t fm_net_output_count(const struct fm_net *net);
const struct fm_tensor_info *fm_net_input(const struct fm_net *net, size_t index);
const struct fm_tensor_info *fm_net_output(const struct fm_net *net, size_t index);

size_t fm_net_layer_count(const struct fm_net *net);
const struct fm_layer_info *fm_net_layer(const struct fm_net *net, size_t index);
enum fm_precision fm_net_precision(const struct fm_net *net);
enum fm_isa fm_net_isa(const struct fm_net *net);
/* Of one session: activations after lifetime planning, and scratch. */
size_t fm_net_arena_bytes(const struct fm_net *net);
/* Of the network itself: packed weights, scales, constants. */
size_t fm_net_weight_bytes(const struct fm_net *net);

#endif
