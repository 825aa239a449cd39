/* The op table: to add an operator is to add a row. */
#include "lib/base/size.h"
#include "lib/nn/op.h"

#include <string.h>

#include "lib/base/banned.h"

static const struct fm_op *const table[] = {
        &fm_op_add,
        &fm_op_batch_normalization,
        &fm_op_bit_shift,
        &fm_op_cast,
        &fm_op_clip,
        &fm_op_concat,
        &fm_op_constant,
        &fm_op_constant_of_shape,
        &fm_op_conv,
        &fm_op_cos,
        &fm_op_dequantize_linear,
        &fm_op_div,
        &fm_op_dropout,
        &fm_op_equal,
        &fm_op_erf,
        &fm_op_exp,
        &fm_op_expand,
        &fm_op_flatten,
        &fm_op_gather,
        &fm_op_gemm,
        &fm_op_identity,
        &fm_op_layer_normalization,
        &fm_op_matmul,
        &fm_op_max_pool,
        &fm_op_mul,
        &fm_op_pow,
        &fm_op_prelu,
        &fm_op_quantize_linear,
        &fm_op_reduce_l2,
        &fm_op_reduce_mean,
        &fm_op_relu,
        &fm_op_reshape,
        &fm_op_resize,
        &fm_op_shape,
        &fm_op_sigmoid,
        &fm_op_sin,
        &fm_op_slice,
        &fm_op_softmax,
        &fm_op_split,
        &fm_op_sqrt,
        &fm_op_squeeze,
        &fm_op_sub,
        &fm_op_transpose,
        &fm_op_unsqueeze,
        &fm_op_where,
};

const struct fm_op *fm_op_find(const char *name)
{
	for (size_t i = 0; i < FM_ARRAY_SIZE(table); i++)
		if (strcmp(table[i]->name, name) == 0)
			return table[i];
	return NULL;
}
