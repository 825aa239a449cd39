/*
 * Token buckets, one for each of many names, in a table that does not grow: how often an address or a key may
 * do something. A bucket holds `burst` tokens at most and gains `per_second`; rates come with each call, so
 * that a reload changes them. Where more names are active than the table holds, the one of a set that has
 * recovered the furthest is forgotten: attackers cannot make it grow, nor choose whom they push out, since
 * places follow from a random seed. Threads: safe.
 */
#ifndef FM_DAEMON_RATE_H
#define FM_DAEMON_RATE_H

#include "lib/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FM_RATE_NAME_BYTES 16

struct fm_rate;
struct fm_rate_limit {
	double per_second, burst;
};

/* `names` is rounded up to a power of two. FM_E_NOMEM. */
enum fm_status fm_rate_create(size_t names, struct fm_rate **ret_rate, struct fm_error *err);
void fm_rate_free(struct fm_rate *rate);

/*
 * Takes a token at the time `now_s` (any clock that does not go back). False: there is none; ret_wait_s, if
 * not NULL, says how long until there is.
 */
bool fm_rate_take(struct fm_rate *rate, const uint8_t name[FM_RATE_NAME_BYTES], struct fm_rate_limit limit,
        double now_s, double *ret_wait_s);

/* Whether there is a token, without taking it. */
bool fm_rate_peek(struct fm_rate *rate, const uint8_t name[FM_RATE_NAME_BYTES], struct fm_rate_limit limit,
        double now_s, double *ret_wait_s);

#endif
