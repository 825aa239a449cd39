/* What a loaded network is made of; for net.c, session.c and their tests. */
#ifndef FM_NN_NET_INTERNAL_H
#define FM_NN_NET_INTERNAL_H

#include "lib/nn/plan.h"

struct fm_net {
	struct fm_arena arena; /* everything below */
	const struct fm_kernels *kernels;
	enum fm_precision precision;
	struct fm_tensor_info *inputs, *outputs;
	size_t input_count, output_count;
	uint32_t *output_values;
	struct fm_step *steps; /* those that run: views are gone */
	size_t step_count;
	const struct fm_layer_info **layers; /* a step is one layer, or several that run by strips */
	size_t layer_count;
	struct fm_slot *slots; /* [value_count] */
	size_t value_count;
	size_t activation_bytes, scratch_bytes; /* multiples of 64 */
};

#endif
