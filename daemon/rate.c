#include "daemon/rate.h"

#include "lib/base/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/base/banned.h"

#define WAYS 8

struct bucket {
	uint8_t name[FM_RATE_NAME_BYTES];
	double tokens, at_s;
	double full_s; /* when it will be full again; 0 where there is no bucket */
};

struct fm_rate {
	pthread_mutex_t lock;
	uint64_t seed;
	size_t sets;            /* a power of two */
	struct bucket *buckets; /* [sets][WAYS] */
};

enum fm_status fm_rate_create(size_t names, struct fm_rate **ret_rate, struct fm_error *err)
{
	struct fm_rate *rate = fm_calloc(1, sizeof(*rate));
	size_t sets = 1;

	while (sets * WAYS < names)
		sets *= 2;
	if (rate) {
		rate->buckets = fm_calloc(sets * WAYS, sizeof(rate->buckets[0]));
		rate->sets = sets;
	}
	if (!rate || !rate->buckets) {
		free(rate);
		return fm_fail(err, FM_E_NOMEM, "no memory for rate limits");
	}
	/* Without a seed places could be foreseen; the limits hold all the same. */
	if (getrandom(&rate->seed, sizeof(rate->seed), GRND_NONBLOCK) < 0)
		rate->seed = (uint64_t)(uintptr_t)rate;
	pthread_mutex_init(&rate->lock, NULL);
	*ret_rate = rate;
	return FM_OK;
}

void fm_rate_free(struct fm_rate *rate)
{
	if (!rate)
		return;
	pthread_mutex_destroy(&rate->lock);
	free(rate->buckets);
	free(rate);
}

/* splitmix64's finaliser over the seed and both halves of the name. */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9U;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebU;
	return x ^ x >> 31;
}

static struct bucket *set_of(struct fm_rate *rate, const uint8_t name[FM_RATE_NAME_BYTES])
{
	uint64_t halves[2];

	memcpy(halves, name, sizeof(halves));
	uint64_t hash = mix(mix(rate->seed ^ halves[0]) + rate->seed + halves[1]);
	return &rate->buckets[(hash & (rate->sets - 1)) * WAYS];
}

/* The name's bucket, or a full one in the place of the one that can best be forgotten. */
static struct bucket *find(struct fm_rate *rate, const uint8_t name[FM_RATE_NAME_BYTES],
        struct fm_rate_limit limit, double now_s)
{
	struct bucket *set = set_of(rate, name), *oldest = set;

	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].full_s > 0 && memcmp(set[i].name, name, FM_RATE_NAME_BYTES) == 0)
			return &set[i];
		if (set[i].full_s < oldest->full_s)
			oldest = &set[i];
	}
	memcpy(oldest->name, name, FM_RATE_NAME_BYTES);
	oldest->tokens = limit.burst;
	oldest->at_s = now_s;
	return oldest;
}

static bool look(struct fm_rate *rate, const uint8_t name[FM_RATE_NAME_BYTES], struct fm_rate_limit limit,
        double now_s, double *ret_wait_s, double taken)
{
	pthread_mutex_lock(&rate->lock);
	struct bucket *bucket = find(rate, name, limit, now_s);
	double gained = (now_s - bucket->at_s) * limit.per_second;
	bucket->tokens += gained > 0 ? gained : 0;
	if (bucket->tokens > limit.burst)
		bucket->tokens = limit.burst;
	bucket->at_s = now_s;
	bool there = bucket->tokens >= 1;
	if (there)
		bucket->tokens -= taken;
	else if (ret_wait_s)
		*ret_wait_s = (1 - bucket->tokens) / limit.per_second;
	bucket->full_s = now_s + (limit.burst - bucket->tokens) / limit.per_second + 1e-9;
	pthread_mutex_unlock(&rate->lock);
	return there;
}

bool fm_rate_take(struct fm_rate *rate, const uint8_t name[FM_RATE_NAME_BYTES], struct fm_rate_limit limit,
        double now_s, double *ret_wait_s)
{
	return look(rate, name, limit, now_s, ret_wait_s, 1);
}

bool fm_rate_peek(struct fm_rate *rate, const uint8_t name[FM_RATE_NAME_BYTES], struct fm_rate_limit limit,
        double now_s, double *ret_wait_s)
{
	return look(rate, name, limit, now_s, ret_wait_s, 0);
}
