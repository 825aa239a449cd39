/*
 * What the kernel tests share: reproducible random numbers, and buffers that end at an unreadable page, so
 * that a vector that reads or writes one element too far dies at once. Before the buffer lie canaries.
 */
#ifndef FM_TESTS_KERNELS_SUPPORT_H
#define FM_TESTS_KERNELS_SUPPORT_H

#include "lib/kernels/kernels.h"
#include "tests/kernels/emulated_vnni.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CANARY 0xa5

/* xorshift64*: Vigna 2016, "An experimental exploration of Marsaglia's xorshift generators, scrambled". */
struct random {
	uint64_t state;
};

static inline uint32_t random_u32(struct random *random)
{
	random->state ^= random->state >> 12;
	random->state ^= random->state << 25;
	random->state ^= random->state >> 27;
	return (uint32_t)(random->state * UINT64_C(2685821657736338717) >> 32);
}

/* In low..high, both included. */
static inline size_t random_size(struct random *random, size_t low, size_t high)
{
	return low + random_u32(random) % (high - low + 1);
}

/* In -1..1, and now and then a zero of either sign. */
static inline float random_float(struct random *random)
{
	uint32_t bits = random_u32(random);

	if (bits % 16 == 0)
		return bits % 32 == 0 ? 0.0f : -0.0f;
	return (float)(int32_t)bits * 0x1p-31f;
}

static inline size_t guarded_pages(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (bytes + page) / page * page;
}

/* `bytes` of memory, filled with CANARY, that end where a page ends; the next page cannot be touched. */
static inline void *guarded_alloc(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), room = guarded_pages(bytes);
	uint8_t *base = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(base, MAP_FAILED);
	cr_assert_eq(mprotect(base + room, page, PROT_NONE), 0);
	memset(base, CANARY, room);
	return base + room - bytes;
}

/* Checks the canaries before the buffer and frees it. */
static inline void guarded_free(void *buffer, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), room = guarded_pages(bytes);
	uint8_t *base = (uint8_t *)buffer + bytes - room;
	size_t intact = 0;

	while (intact < room - bytes && base[intact] == CANARY)
		intact++;
	cr_assert_eq(intact, room - bytes, "written before the buffer");
	munmap(base, room + page);
}

static inline float *guarded_floats(struct random *random, size_t count)
{
	float *floats = guarded_alloc(count * sizeof(float));

	for (size_t i = 0; i < count; i++)
		floats[i] = random_float(random);
	return floats;
}

/* An epilogue with every kind of part at random; its arrays are guarded. */
struct random_epilogue {
	struct fm_epilogue epilogue;
	float *bias, *residual, *slope;
	size_t m, n;
};

static inline size_t residual_floats(const struct random_epilogue *e)
{
	return (e->m - 1) * e->epilogue.residual_stride + e->n;
}

static inline struct random_epilogue random_epilogue(struct random *random, size_t m, size_t n)
{
	struct random_epilogue e = {.m = m, .n = n};

	e.epilogue.activation = (enum fm_activation)random_size(random, FM_ACT_NONE, FM_ACT_CLIP);
	/* A bound of zero has a sign, which decides that of the result. */
	e.epilogue.clip_low = (const float[]){0.0f, -0.0f, -0.25f}[random_size(random, 0, 2)];
	e.epilogue.clip_high = (const float[]){0.0f, -0.0f, 0.5f}[random_size(random, 0, 2)];
	e.epilogue.residual_stride = n + random_size(random, 0, 5);
	if (random_size(random, 0, 1))
		e.epilogue.bias = e.bias = guarded_floats(random, n);
	if (random_size(random, 0, 1))
		e.epilogue.residual = e.residual = guarded_floats(random, residual_floats(&e));
	if (e.epilogue.activation == FM_ACT_PRELU)
		e.epilogue.slope = e.slope = guarded_floats(random, n);
	return e;
}

static inline void random_epilogue_done(struct random_epilogue *e)
{
	if (e->bias != NULL)
		guarded_free(e->bias, e->n * sizeof(float));
	if (e->residual != NULL)
		guarded_free(e->residual, residual_floats(e) * sizeof(float));
	if (e->slope != NULL)
		guarded_free(e->slope, e->n * sizeof(float));
}

/* The epilogue once more, in double and from the words of kernels.h. */
static inline double expected_epilogue(const struct fm_epilogue *e, double v, size_t row, size_t channel)
{
	if (e->bias != NULL)
		v += e->bias[channel];
	if (e->residual != NULL)
		v += e->residual[row * e->residual_stride + channel];
	if (e->activation == FM_ACT_RELU && v < 0)
		v = 0;
	if (e->activation == FM_ACT_PRELU && v < 0)
		v *= e->slope[channel];
	if (e->activation == FM_ACT_CLIP)
		v = v < e->clip_low ? e->clip_low : v > e->clip_high ? e->clip_high : v;
	return v;
}

/* The row of an ISA that this machine runs, if need be with one instruction emulated; NULL where it cannot.
 */
static inline const struct fm_kernels *kernels_to_test(enum fm_isa isa)
{
	const struct fm_kernels *kernels = fm_kernels_for(isa);

	return kernels == NULL && isa == FM_ISA_AVXVNNI ? emulated_avxvnni() : kernels;
}

/* The vector rows of the table that this machine runs. */
#define for_each_vector_isa(kernels)                                                                         \
	for (int isa_ = FM_ISA_SCALAR + 1; isa_ < FM_ISA_COUNT; isa_++)                                      \
		for (const struct fm_kernels *kernels = kernels_to_test((enum fm_isa)isa_); kernels != NULL; \
		        kernels = NULL)

#endif
