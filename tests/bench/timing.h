/* For benchmarks of kernels: repeated calls, their median, and memory that they work on. Ends on no memory.
 */
#ifndef FM_TESTS_BENCH_TIMING_H
#define FM_TESTS_BENCH_TIMING_H

#include "lib/base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define REPEATS   11
#define SAMPLE_S  0.002
#define CALLS_MAX 100000

static inline double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Seconds of one call, REPEATS times, in rising order. */
static inline void time_samples(double sample[REPEATS], void (*run)(void *), void *work)
{
	int calls = 0;
	double start = now_s();

	do {
		run(work);
		calls++;
	} while (now_s() - start < SAMPLE_S && calls < CALLS_MAX);
	for (int i = 0; i < REPEATS; i++) {
		start = now_s();
		for (int call = 0; call < calls; call++)
			run(work);
		sample[i] = (now_s() - start) / calls;
	}
	qsort(sample, REPEATS, sizeof(sample[0]), compare_doubles);
}

/* The median. */
static inline double time_s(void (*run)(void *), void *work)
{
	double sample[REPEATS];

	time_samples(sample, run, work);
	return sample[REPEATS / 2];
}

/* The best, for bounds: what else runs on the machine can only slow a loop on registers down. */
static inline double best_time_s(void (*run)(void *), void *work)
{
	double sample[REPEATS];

	time_samples(sample, run, work);
	return sample[0];
}

static inline void *alloc(size_t bytes)
{
	void *memory = fm_aligned_alloc(bytes);

	if (memory == NULL) {
		fprintf(stderr, "out of memory\n");
		exit(EXIT_FAILURE);
	}
	return memory;
}

static inline float *alloc_floats(size_t count)
{
	float *floats = alloc(count * sizeof(float));

	for (size_t i = 0; i < count; i++)
		floats[i] = (float)(int)((i * 2654435761u >> 7) % 2001) / 1000.0f - 1.0f;
	return floats;
}

#endif
