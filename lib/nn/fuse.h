/*
 * The patterns that exporters spell out, recognized before fuse.c's walk. Each function looks at one node
 * and, where a pattern ends or begins there, rewrites the graph; nodes left without readers go with the next
 * count of uses. Shapes and results stay as they were, but for rounding. Source of the helpers' names: a
 * value has one producer and any number of readers.
 */
#ifndef FM_NN_FUSE_H
#define FM_NN_FUSE_H

#include "lib/nn/op.h"

/* Div of a normalization over the last axis: mean, variance, scale and shift become LayerNormalization. */
enum fm_status fm_fuse_layer_norm(struct fm_graph *graph, struct fm_node *node, struct fm_error *err);

/* Erf of x (1 + erf(x / sqrt 2)) / 2 in any order of its factors. */
enum fm_status fm_fuse_gelu(struct fm_graph *graph, struct fm_node *node, struct fm_error *err);

/* Softmax of cross-covariance attention (lib/kernels/transformer.h), from the reshape of q, k, v on. */
enum fm_status fm_fuse_attention(struct fm_graph *graph, struct fm_node *node, struct fm_error *err);

/*
 * Transpose: [N][C][H][W] flattened to [N][C][HW] and transposed becomes transposed and flattened, which
 * costs nothing where channels are innermost already. Add of an image to a product of rows that was
 * transposed: the residual goes to the product, and the transpose behind it.
 */
enum fm_status fm_fuse_transpose(struct fm_graph *graph, struct fm_node *node, struct fm_error *err);

/* Concat of a detector's boxes by their corners, from offsets and constant priors: one step for all of it. */
enum fm_status fm_fuse_boxes(struct fm_graph *graph, struct fm_node *node, struct fm_error *err);

/*
 * 1x1 convolutions of one image, each with few outputs: the first of them takes all, and a Split follows.
 * Where all go to depthwise convolutions, these likewise.
 */
enum fm_status fm_fuse_siblings(struct fm_graph *graph, struct fm_node *node, struct fm_error *err);

/*
 * A product whose weights are integers in the file (DequantizeLinear) multiplies by those in int8; where its
 * activations lie on a grid (QuantizeLinear), too, it computes in int8 by both.
 */
enum fm_status fm_fuse_static(struct fm_graph *graph, struct fm_node *node, struct fm_error *err);

/* The grid of a QuantizeLinear behind a product, after its sums or after its activation. False: no place. */
bool fm_fuse_grid(struct fm_fused *fused, const struct fm_node *quantize);

/*
 * A product whose one reader quantizes by the same grid need not snap to it: steps(scale * steps(x)) is
 * steps(x), because steps are below 256 and floats have 24 bits. After the other passes.
 */
void fm_fuse_drop_grid(struct fm_graph *graph, struct fm_node *node);

/* ---- to find patterns with ------------------------------------------------------------------- */

/* The node of that op that makes value v, or NULL. */
struct fm_node *fm_producer(struct fm_graph *graph, uint32_t v, const struct fm_op *op);
/* The only reader of value v, where it is of that op and v is no output; or NULL. */
struct fm_node *fm_only_reader(struct fm_graph *graph, uint32_t v, const struct fm_op *op);
/* A node's one input that is not v, for nodes of two inputs; FM_VALUE_NONE if v is not among them. */
uint32_t fm_other_input(const struct fm_node *node, uint32_t v);
/* Whether v is one constant float, within 1e-6 of `wanted`, relatively. */
bool fm_is_constant(const struct fm_graph *graph, uint32_t v, float wanted);
/* Whether the node permutes as given: output dimension i is input dimension from[i]. */
bool fm_transposes(const struct fm_graph *graph, const struct fm_node *node, size_t rank, const size_t *from);

/* The node becomes another op with these inputs; its params are zeroed and returned. NULL: no memory. */
void *fm_node_become(struct fm_graph *graph, struct fm_node *node, const struct fm_op *op, size_t input_count,
        const uint32_t *inputs);

#endif
