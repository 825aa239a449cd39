/*
 * Chains of layers that run by strips of image rows. A chain is a run of steps each of which reads what the
 * one before it made and nobody else reads. Layer by layer, each tensor between them passes through memory
 * twice; here a few rows of each lie in a window, from the topmost row that the next layer still needs to the
 * last one that the layer before it made, so that they come from a near cache. Only the order of computation
 * changes, so the bits are the same; and the arena is smaller, since windows replace tensors.
 */
#ifndef FM_NN_STRIPS_H
#define FM_NN_STRIPS_H

#include "lib/nn/op.h"

/* Tensors that a near cache holds anyway go whole: chains join steps where more bytes pass between them. */
#define FM_STRIPS_BYTES_MIN ((size_t)768 * 1024)

/*
 * Replaces chains among the steps, which are in running order, by one step each, whose layers are those of
 * its members. A tensor of at least bytes_min passes between them. Everything a run reads is in the network's
 * arena. Errors: FM_E_NOMEM.
 */
enum fm_status fm_strips_make(const struct fm_build *build, struct fm_step *steps, size_t *count,
        size_t bytes_min, struct fm_error *err);

/* CLOCK_MONOTONIC in nanoseconds, as layers are timed. */
uint64_t fm_clock_ns(void);

#endif
