/* Unit vectors for the search tests, from a seed alone. */
#ifndef TESTS_UNIT_SEARCH_VECTORS_H
#define TESTS_UNIT_SEARCH_VECTORS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

/* Uniform in -1..1. */
static inline float next_float(uint64_t *state)
{
	return (float)(int32_t)(next_random(state) >> 32) / 2147483648.0f;
}

static inline void normalize(float *vector, size_t dim)
{
	double square = 0;

	for (size_t i = 0; i < dim; i++)
		square += (double)vector[i] * vector[i];
	for (size_t i = 0; i < dim; i++)
		vector[i] = (float)(vector[i] / sqrt(square));
}

static inline void random_unit(float *vector, size_t dim, uint64_t *state)
{
	for (size_t i = 0; i < dim; i++)
		vector[i] = next_float(state);
	normalize(vector, dim);
}

/* At a distance of about `spread` from `from`. */
static inline void near_unit(float *vector, const float *from, size_t dim, float spread, uint64_t *state)
{
	float scale = spread * sqrtf(3.0f / (float)dim);

	for (size_t i = 0; i < dim; i++)
		vector[i] = from[i] + scale * next_float(state);
	normalize(vector, dim);
}

#endif
