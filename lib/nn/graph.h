/*
 * The graph while a network loads: values (tensors) and nodes in an order in which every value is made before
 * it is used. Passes rewrite it one after another: infer (shapes, constant folding), fuse, layout; then each
 * node is prepared into a step (lib/nn/op.h). Everything lives in the load's arena. Threads: one owner.
 */
#ifndef FM_NN_GRAPH_H
#define FM_NN_GRAPH_H

#include "lib/base/arena.h"
#include "lib/kernels/grid.h"
#include "lib/onnx/onnx.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FM_VALUE_NONE UINT32_MAX
#define FM_NODE_NONE  UINT32_MAX
/* Of a tensor that a run makes: 256 Mi elements. */
#define FM_VALUE_ELEMENTS_MAX ((size_t)1 << 28)

struct fm_op;

/*
 * How a tensor lies in memory. Dims are always ONNX's; FM_LAYOUT_NHWC says that a rank 4 tensor N, C, H, W is
 * stored channels innermost.
 */
enum fm_layout { FM_LAYOUT_ROW_MAJOR = 0, FM_LAYOUT_NHWC };

struct fm_value {
	const char *name;
	enum fm_onnx_type type;
	size_t rank;
	size_t dims[FM_ONNX_RANK_MAX];
	size_t elements;
	enum fm_layout layout;
	/* Its elements lie on this grid, by QuantizeLinear; encoded: only DequantizeLinear may read it. */
	const struct fm_grid *grid;
	bool encoded;
	bool nonnegative;     /* by fm_graph_find_signs: a run makes no element below 0 */
	const void *constant; /* row-major data, or NULL for what a run makes */
	uint32_t producer;    /* node, or FM_NODE_NONE: input, initializer */
	uint32_t consumer;    /* the last node that reads it; meaningful when uses == 1 */
	uint32_t uses;        /* node inputs that read it, plus one for each graph output */
};

/*
 * What a product (Conv, Gemm, MatMul) does to its sums before it stores them, n output channels:
 * v = (sum + bias) * scale + shift (folded into weights and bias), v += residual, v = activation(v). MatMul
 * may also normalize its rows before, and end in GELU. Where first or last say so, v snaps to a
 * grid after the shift and at the end.
 */
struct fm_fused {
	float *scale; /* [n] or NULL */
	float *shift; /* [n] or NULL */
	uint32_t residual;
	enum fm_activation activation;
	float *slope; /* [n], FM_ACT_PRELU only */
	float clip_low, clip_high;
	const struct fm_node *norm; /* the LayerNormalization of its rows, or NULL */
	bool gelu;                  /* after everything else */
	bool pool; /* Conv, depthwise: MaxPool of 2 x 2 windows side by side, after everything else */
	const struct fm_grid *first, *last;
	/* The input's, where the weights are integers too: then the product is int8 by these. */
	const struct fm_grid *grid;
	const float *weight_scale; /* [n], or NULL: from the weights */
};

struct fm_node {
	const char *name; /* of the first ONNX node that is in it */
	const struct fm_onnx_node *source;
	const struct fm_op *op;
	uint32_t *inputs; /* FM_VALUE_NONE where an optional input is left out */
	size_t input_count;
	uint32_t *outputs;
	size_t output_count;
	void *params; /* op->params_bytes, filled by op->check */
	struct fm_fused fused;
	bool removed;
};

struct fm_graph {
	struct fm_arena *arena;
	int64_t opset;
	struct fm_value *values;
	size_t value_count, value_capacity;
	struct fm_node *nodes;
	size_t node_count;
	uint32_t *inputs, *outputs;
	size_t input_count, output_count;
	void **pointers; /* [value_capacity]: constants, as a run sees values while folding */
};

/* Sizes for images whose height and width the file leaves open; 0: none given. `replace`: whatever it says.
 */
struct fm_input_size {
	size_t height_px, width_px;
	bool replace;
};

/* Tensors to be given out in place of the file's outputs; none: the file's. */
struct fm_output_names {
	const char *const *names;
	size_t count;
};

/*
 * From the description: resolves names, and refuses unknown ops, values used before they are made (which
 * covers cycles), values made twice, inputs whose shape is not known. A symbolic batch (the first dimension)
 * becomes 1, symbolic height and width those of `size`. The model must outlive the graph.
 */
enum fm_status fm_graph_build(struct fm_graph *graph, struct fm_arena *arena,
        const struct fm_onnx_model *model, struct fm_input_size size, struct fm_output_names outputs,
        struct fm_error *err);

/* Shapes of all values, node by node; nodes whose result is already known are computed and removed. */
enum fm_status fm_graph_infer(struct fm_graph *graph, struct fm_error *err);

/* Folds affine steps, residual additions and activations into the products before them. Shapes do not change.
 */
enum fm_status fm_graph_fuse(struct fm_graph *graph, struct fm_error *err);

/* Chooses each value's layout and inserts the conversions that remain. */
enum fm_status fm_graph_layout(struct fm_graph *graph, struct fm_error *err);

/* Sets each computed value's `nonnegative`, once nothing is rewritten any more. */
void fm_graph_find_signs(struct fm_graph *graph);

/* Recounts uses and consumers, and removes nodes whose outputs nobody reads. */
void fm_graph_count_uses(struct fm_graph *graph);

/* A new value of that shape, or FM_VALUE_NONE. */
uint32_t fm_graph_add_value(struct fm_graph *graph, const char *name);

/* Sets dims and elements; FM_E_TOO_LARGE beyond FM_VALUE_ELEMENTS_MAX. */
enum fm_status fm_value_set_shape(struct fm_value *value, enum fm_onnx_type type, size_t rank,
        const size_t *dims, const struct fm_node *node, struct fm_error *err);

/* Strides in elements, one for each ONNX dimension, as the value lies in memory. */
void fm_value_strides(const struct fm_value *value, ptrdiff_t ret_strides[FM_ONNX_RANK_MAX]);

/* Whether the two layouts of this shape are the same bytes: one channel, or one pixel. */
bool fm_value_layout_free(const struct fm_value *value);

/* fm_fail with "Conv node 'Conv_12': " before the message. */
enum fm_status fm_node_fail(const struct fm_node *node, struct fm_error *err, enum fm_status status,
        const char *format, ...) __attribute__((format(printf, 4, 5)));
enum fm_status fm_node_nomem(const struct fm_node *node, struct fm_error *err);

#endif
