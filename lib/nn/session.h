/*
 * One thread's scratch for running a network. Many sessions share one net; the net must outlive them.
 * Threads: a session serves one thread at a time. A run allocates nothing.
 */
#ifndef FM_NN_SESSION_H
#define FM_NN_SESSION_H

#include "lib/nn/net.h"

struct fm_session;

enum fm_status fm_session_create(
        const struct fm_net *net, struct fm_session **ret_session, struct fm_error *err);
void fm_session_free(struct fm_session *session);

/*
 * Runs the network once. inputs[i] and ret_outputs[i] point at fm_net_input(net, i)->elements and
 * fm_net_output(net, i)->elements floats in the file's own order (images N, C, H, W; row-major).
 * A NULL ret_outputs[i] leaves that output out. Cannot fail: all checks happened at load.
 * The caller's thread has denormals flushed (fm_cpu_flush_denormals) or is only slower for it.
 */
void fm_session_run(struct fm_session *session, const float *const *inputs, float *const *ret_outputs);

/*
 * The same, and ret_layer_ns[fm_net_layer_count(net)] gets each step's time in nanoseconds (CLOCK_MONOTONIC).
 */
void fm_session_run_timed(struct fm_session *session, const float *const *inputs, float *const *ret_outputs,
        uint64_t *ret_layer_ns);

#endif
