/*
 * The op interface: one row of the table in ops.c for each ONNX operator.
 *
 * Loading calls check (attributes, operand types), shape (outputs' types and dims; may also make them
 * constant), then prepare, which turns the node into a step: packed weights and parameters in the network's
 * arena, the inputs that a run reads, and how much scratch it wants. Running calls run, which cannot fail and
 * allocates nothing. Constant folding uses the same prepare and run.
 */
#ifndef FM_NN_OP_H
#define FM_NN_OP_H

#include "lib/kernels/transformer.h"
#include "lib/nn/graph.h"
#include "lib/nn/net.h"

/* Which layouts an op reads and writes, for rank 4 values. */
enum fm_op_layout {
	FM_OP_ROW_MAJOR, /* reads and writes row-major */
	FM_OP_NHWC,      /* reads (first input, residual) and writes NHWC */
	FM_OP_ANY,       /* reads any by strides; writes what its first rank 4 input has */
	FM_OP_TRANSPOSE, /* reads any; writes the layout that makes it free, if there is one */
};

/* What a run hands to a step: values[v] is the memory of value v. */
struct fm_run {
	const struct fm_kernels *kernels;
	void *const *values;
	void *scratch;
	uint64_t *layer_ns; /* NULL, or where a step that is several layers adds up the time of each */
};

/* The image rows under an output row, and the floats of a row, of a step that can go by strips (strips.h). */
struct fm_strip_shape {
	size_t in_h, out_h, in_row, out_row;
	size_t kernel, stride, dilation, pad; /* vertical */
	bool first_only; /* its input must be whole, and its scratch its own from one strip to the next */
};

/* Output rows begin to end of a step. Strips come in ascending order, from row 0 on, without gaps. */
struct fm_strip {
	size_t begin, end;
	const float *in; /* from row in_first on; those under the strip are there */
	size_t in_first;
	float *out;            /* from row `begin` on */
	const float *residual; /* the same, or NULL; may be `out` */
};

struct fm_step {
	void (*run)(const struct fm_step *step, const struct fm_run *run);
	/* Or a part of it, from inputs[0] to output 0, inputs[1] being the residual; NULL: only whole. */
	void (*run_strip)(const struct fm_step *step, const struct fm_run *run, const struct fm_strip *strip);
	struct fm_strip_shape strip;
	const uint32_t *inputs; /* those that a run reads */
	size_t input_count;
	const uint32_t *outputs;
	size_t output_count;
	const void *state;    /* the op's own */
	size_t scratch_bytes; /* 0 when none */
	bool view;            /* output 0 is input 0's memory: nothing runs */
	uint32_t in_place; /* an input whose memory output 0 may take over when it dies here, or FM_VALUE_NONE
	                    */
	const struct fm_layer_info *layers; /* several that run by strips; NULL: info is the only one */
	size_t layer_count;
	struct fm_layer_info info;
};

struct fm_build {
	const struct fm_graph *graph;
	struct fm_arena *arena; /* the network's: what must outlive the load */
	const struct fm_kernels *kernels;
	enum fm_precision precision;
};

struct fm_op {
	const char *name;
	uint16_t inputs_min, inputs_max; /* operands present; optional ones may be left out in between */
	uint16_t outputs_max;
	enum fm_op_layout layout;
	bool product; /* has an epilogue that fuse.c may fill */
	/* NULL, or whether this FM_OP_NHWC node reads a row-major first input as well as an NHWC one. */
	bool (*reads_row_major)(const struct fm_graph *graph, const struct fm_node *node);
	size_t params_bytes;
	/* NULL: no attributes. */
	enum fm_status (*check)(struct fm_graph *graph, struct fm_node *node, struct fm_error *err);
	enum fm_status (*shape)(struct fm_graph *graph, struct fm_node *node, struct fm_error *err);
	enum fm_status (*prepare)(const struct fm_build *build, struct fm_node *node, struct fm_step *step,
	        struct fm_error *err);
	void (*run)(const struct fm_step *step, const struct fm_run *run);
	/* NULL, or how it goes by strips of rows; prepare fills step->strip then. */
	void (*run_strip)(const struct fm_step *step, const struct fm_run *run, const struct fm_strip *strip);
};

const struct fm_op *fm_op_find(const char *name);
/* Not ONNX's: row-major to NHWC and back, inserted by the layout pass. */
extern const struct fm_op fm_op_layout_change;
/* Not ONNX's either, or not before opset 20: made by fuse_gelu.c, fuse_attention.c and
 * fuse_boxes.c. */
extern const struct fm_op fm_op_gelu, fm_op_attention, fm_op_boxes;

/* The ops, by family. */
extern const struct fm_op fm_op_conv;
extern const struct fm_op fm_op_gemm, fm_op_matmul, fm_op_matmul_batched;
extern const struct fm_op fm_op_layer_normalization;
extern const struct fm_op fm_op_quantize_linear, fm_op_dequantize_linear;
extern const struct fm_op fm_op_max_pool, fm_op_resize;
extern const struct fm_op fm_op_bit_shift, fm_op_cast;
extern const struct fm_op fm_op_reduce_mean, fm_op_reduce_l2;
extern const struct fm_op fm_op_sqrt, fm_op_erf, fm_op_sin, fm_op_cos, fm_op_pow;
extern const struct fm_op fm_op_batch_normalization;
extern const struct fm_op fm_op_add, fm_op_sub, fm_op_mul, fm_op_div, fm_op_prelu;
extern const struct fm_op fm_op_relu, fm_op_exp, fm_op_sigmoid, fm_op_clip;
extern const struct fm_op fm_op_softmax;
extern const struct fm_op fm_op_constant, fm_op_shape, fm_op_constant_of_shape, fm_op_equal, fm_op_where;
extern const struct fm_op fm_op_identity, fm_op_dropout, fm_op_reshape, fm_op_flatten, fm_op_squeeze,
        fm_op_unsqueeze;
extern const struct fm_op fm_op_transpose, fm_op_slice, fm_op_concat, fm_op_gather, fm_op_split, fm_op_expand;

/* Transpose's params, which the layout pass reads: output dimension i is input dimension from[i]. */
struct fm_permutation {
	size_t from[FM_ONNX_RANK_MAX];
};

/* What fuse.c reads of other ops: y = x * scale[c] + shift[c], and the bounds. */
enum fm_status fm_batch_normalization_affine(const struct fm_graph *graph, const struct fm_node *node,
        struct fm_arena *arena, const float **ret_scale, const float **ret_shift, struct fm_error *err);
void fm_clip_bounds(const struct fm_node *node, float *ret_low, float *ret_high);
bool fm_pow_is_square(const struct fm_node *node);
/* Whether it works along the last axis alone, and keeps it. */
bool fm_reduces_last(const struct fm_graph *graph, const struct fm_node *node);
/* Whether it takes the first or the second two of four along the last axis, and all of the others. */
bool fm_slice_is_half(const struct fm_graph *graph, const struct fm_node *node, bool second);
bool fm_softmax_is_last(const struct fm_graph *graph, const struct fm_node *node);

/*
 * Whether DequantizeLinear made constant v of integers (codes less zero points) within -127..127, by one
 * scale or by one for each place along the axis: *ret_scales[dims[axis]] then, in the graph's arena, else
 * NULL.
 */
enum fm_status fm_dequantize_scales(struct fm_graph *graph, const struct fm_node *node, uint32_t v,
        size_t axis, const float **ret_scales, struct fm_error *err);

/* A LayerNormalization's parameters, in the network's arena. */
struct fm_norm {
	const float *scale, *shift; /* [k] */
	float epsilon;
};
enum fm_status fm_layer_norm_prepare(const struct fm_build *build, const struct fm_node *node,
        struct fm_norm *ret_norm, struct fm_error *err);

/* ---- for the ops ----------------------------------------------------------------------------- */

/* Attributes with their default. A wrong kind is FM_E_CORRUPT. */
enum fm_status fm_attribute_int(const struct fm_node *node, const char *name, int64_t fallback,
        int64_t *ret_value, struct fm_error *err);
enum fm_status fm_attribute_float(
        const struct fm_node *node, const char *name, float fallback, float *ret_value, struct fm_error *err);
/* *ret_values is NULL and *ret_count 0 when absent. */
enum fm_status fm_attribute_ints(const struct fm_node *node, const char *name, const int64_t **ret_values,
        size_t *ret_count, struct fm_error *err);

/* An axis in [-rank, rank) as [0, rank). */
enum fm_status fm_axis(
        const struct fm_node *node, int64_t axis, size_t rank, size_t *ret_axis, struct fm_error *err);

/* The value of an input, or NULL when it is left out. */
struct fm_value *fm_node_input(const struct fm_graph *graph, const struct fm_node *node, size_t index);

/* A constant int64 or int32 input of rank 0 or 1, widened; NULL values when left out. FM_E_UNSUPPORTED if
 * computed. */
enum fm_status fm_node_ints(struct fm_graph *graph, const struct fm_node *node, size_t index,
        const int64_t **ret_values, size_t *ret_count, struct fm_error *err);

/* A constant float32 input, or FM_E_UNSUPPORTED. */
enum fm_status fm_node_floats(const struct fm_graph *graph, const struct fm_node *node, size_t index,
        const float **ret_values, struct fm_error *err);

/* shape for ops whose output 0 looks like input 0. */
enum fm_status fm_shape_same(struct fm_graph *graph, struct fm_node *node, struct fm_error *err);

/* Refuses a first input that is not float32. */
enum fm_status fm_check_float(struct fm_graph *graph, struct fm_node *node, struct fm_error *err);

#endif
