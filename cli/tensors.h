/* Names, shapes and buffers of a network's inputs and outputs. Threads: pure. */
#ifndef FM_CLI_TENSORS_H
#define FM_CLI_TENSORS_H

#include "lib/base/cleanup.h"
#include "lib/nn/session.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

FM_DEFINE_CLEANUP(struct fm_net *, fm_net_free);
FM_DEFINE_CLEANUP(struct fm_session *, fm_session_free);

/* "1x3x112x112"; "scalar" for rank 0. */
#define FM_SHAPE_TEXT 192
void fm_shape_format(const size_t *dims, size_t rank, char ret_text[FM_SHAPE_TEXT]);
json_t *fm_shape_json(const size_t *dims, size_t rank);

/* A buffer for every input and output. */
struct fm_tensors {
	size_t input_count, output_count;
	float **inputs, **outputs; /* zeroed, 64-byte aligned */
};
enum fm_status fm_tensors_create(
        const struct fm_net *net, struct fm_tensors *ret_tensors, struct fm_error *err);
void fm_tensors_done(struct fm_tensors *tensors);

/* fm_session_run on them. */
void fm_tensors_run(struct fm_tensors *tensors, struct fm_session *session);

/* Fills the inputs with numbers in -1..1, the same at every call. */
void fm_tensors_fill(struct fm_tensors *tensors, const struct fm_net *net);

/* The same from a state that each call leaves elsewhere, so that the next gives other numbers. */
#define FM_TENSORS_SEED 2463534242u
void fm_tensors_fill_next(struct fm_tensors *tensors, const struct fm_net *net, uint32_t *state);

#endif
