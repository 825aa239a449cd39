/*
 * The matrix product behind Conv, Gemm and MatMul: rows times packed weights, in the network's precision.
 * Rows are normalized, quantized and multiplied a chunk at a time, so that a chunk is still in a near cache
 * from one to the next, and through GELU.
 */
#ifndef FM_NN_LINEAR_H
#define FM_NN_LINEAR_H

#include "lib/nn/op.h"

/* What runs after the kernel's epilogue where values snap to grids. */
struct fm_chain {
	struct fm_grid_chain steps;
	bool residual; /* it adds the residual, and the kernel does not */
};

struct fm_linear {
	size_t n, k;
	enum fm_precision precision;
	const void *packed;
	const float *w_scale; /* [n], int8 only */
	size_t k_padded;      /* int8 only */
	size_t chunk_rows;
	bool normalizes, gelu; /* rows before, results after */
	bool nonnegative;      /* no value of the rows is below 0 */
	struct fm_norm norm;
	const struct fm_grid *grid; /* the rows', int8 only; NULL: each row's own, found when it comes */
	struct fm_chain chain;
};

/*
 * weights [n][k] are cleaned in place. weight_scale [n]: by which they were integers, or NULL. Adds to
 * step->info: weight bytes, precision. Errors name the node.
 */
enum fm_status fm_linear_prepare(const struct fm_build *build, const struct fm_node *node,
        struct fm_step *step, float *weights, const float *weight_scale, size_t n, size_t k,
        struct fm_linear *ret_linear, struct fm_error *err);

/*
 * The scales by which a product's n rows of weights are integers once alpha and what was fused behind are
 * multiplied into them, in the load's arena; NULL where the file has no integers.
 */
enum fm_status fm_fused_weight_scale(const struct fm_build *build, const struct fm_node *node, size_t n,
        float alpha, const float **ret_scale, struct fm_error *err);

/* Scratch of fm_linear_run, a multiple of 64. */
size_t fm_linear_scratch_bytes(const struct fm_linear *linear);

/* out [m][out_stride] = epilogue(a [m][a_stride] x weights). scratch is 64-byte aligned. */
void fm_linear_run(const struct fm_linear *linear, const struct fm_kernels *kernels, void *scratch,
        float *out, size_t out_stride, const float *a, size_t a_stride, size_t m,
        const struct fm_epilogue *epilogue);

/* Whether each row's codes have a scale of their own and may come from fm_linear_run's caller. */
bool fm_linear_takes_codes(const struct fm_linear *linear);

/* The same for m rows that are quantized: codes [m][k_padded], int8 only. */
void fm_linear_run_codes(const struct fm_linear *linear, const struct fm_kernels *kernels, float *out,
        size_t out_stride, const uint8_t *codes, const struct fm_row_quant *quant, size_t m,
        const struct fm_epilogue *epilogue);

/*
 * The epilogue of a product from its own bias ([n] or NULL, times bias_factor) and what was fused behind it;
 * copies to the network's arena. weights, rows of k for each of n channels, are scaled in place. The residual
 * is left NULL: a run sets it.
 */
enum fm_status fm_epilogue_prepare(const struct fm_build *build, const struct fm_node *node, float *weights,
        size_t n, size_t k, const float *bias, float bias_factor, struct fm_epilogue *ret_epilogue,
        struct fm_error *err);

/* Moves to the chain what comes after the first grid; copies to the network's arena. */
enum fm_status fm_chain_prepare(const struct fm_build *build, const struct fm_node *node,
        struct fm_epilogue *epilogue, struct fm_chain *ret_chain, struct fm_error *err);

/* On m rows of n, `stride` apart, with the residual in rows as far apart, or NULL. */
void fm_chain_run(const struct fm_chain *chain, const struct fm_kernels *kernels, float *x, size_t stride,
        size_t m, size_t n, const float *residual);

/* step->inputs = the first input, and the residual if there is one; it may be overwritten. */
enum fm_status fm_product_operands(
        const struct fm_build *build, const struct fm_node *node, struct fm_step *step, struct fm_error *err);

#endif
