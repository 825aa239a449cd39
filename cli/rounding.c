#include "cli/rounding.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define SWEEPS_MAX 20
#define REFITS     4
/* Scales that are tried to begin with: the largest weight's, and so many below it by a part each. */
#define SCALES     24
#define SCALE_STEP 0.025

/* f(v) = v' M v - 2 t' v: the error less that of v = 0. All are [side]; row j of M begins at square[j *
 * side]. */
struct problem {
	const struct fm_rounding *rounding;
	size_t k, side;
	double damping;
	const float *weights;
	double *target;
};

struct solution {
	double *values; /* [side]: s q, and the bias */
	double *slopes; /* [side]: t - M v */
	double *codes;  /* [k] */
	double scale;
};

static double square_at(const struct problem *problem, size_t i, size_t j)
{
	return problem->rounding->square[i * problem->side + j] +
	       (i == j && i < problem->k ? problem->damping : 0.0);
}

static void set_slopes(const struct problem *problem, struct solution *at)
{
	for (size_t i = 0; i < problem->side; i++) {
		const double *row = problem->rounding->square + i * problem->side;
		double sum = problem->target[i] - (i < problem->k ? problem->damping * at->values[i] : 0.0);

		for (size_t j = 0; j < problem->side; j++)
			sum -= row[j] * at->values[j];
		at->slopes[i] = sum;
	}
}

/* f(v) = -v' (slopes + t) */
static double cost(const struct problem *problem, const struct solution *at)
{
	double sum = 0.0;

	for (size_t i = 0; i < problem->side; i++)
		sum -= at->values[i] * (at->slopes[i] + problem->target[i]);
	return sum;
}

static void move(const struct problem *problem, struct solution *at, size_t i, double by)
{
	const double *row = problem->rounding->square + i * problem->side;

	at->values[i] += by;
	for (size_t j = 0; j < problem->side; j++)
		at->slopes[j] -= by * row[j];
	at->slopes[i] -= i < problem->k ? by * problem->damping : 0.0;
}

static double most_of(const struct problem *problem)
{
	return (1 << (problem->rounding->bits - 1)) - 1;
}

static double nearest_code(const struct problem *problem, double value, double scale)
{
	const double most = most_of(problem);

	return fmax(-most, fmin(most, nearbyint(value / scale)));
}

static void move_bias(const struct problem *problem, struct solution *at)
{
	const double square = problem->rounding->has_bias ? square_at(problem, problem->k, problem->k) : 0.0;

	if (square > 0.0)
		move(problem, at, problem->k, at->slopes[problem->k] / square);
}

/* Each coordinate in turn takes its best code. Whether any changed. */
static bool sweep(const struct problem *problem, struct solution *at)
{
	bool changed = false;

	for (size_t i = 0; i < problem->k; i++) {
		const double square = square_at(problem, i, i);
		const double best = square > 0.0 ? at->values[i] + at->slopes[i] / square : at->values[i];
		const double code = nearest_code(problem, best, at->scale), value = code * at->scale;

		at->codes[i] = code;
		if (value != at->values[i]) {
			move(problem, at, i, value - at->values[i]);
			changed = true;
		}
	}
	move_bias(problem, at);
	return changed;
}

/* The best scale for the codes as they are: the least of f along them. */
static void refit(const struct problem *problem, struct solution *at)
{
	double slope = 0.0, curve = 0.0;

	for (size_t i = 0; i < problem->k; i++) {
		const double *row = problem->rounding->square + i * problem->side;
		double sum = problem->damping * at->codes[i];

		if (at->codes[i] == 0.0)
			continue;
		for (size_t j = 0; j < problem->k; j++)
			sum += row[j] * at->codes[j];
		slope += at->codes[i] * at->slopes[i];
		curve += at->codes[i] * sum;
	}
	const float scale = curve > 0.0 ? (float)(at->scale + slope / curve) : 0.0f;
	if (!(scale >= FLT_MIN && scale < FLT_MAX))
		return;
	at->scale = (double)scale;
	for (size_t i = 0; i < problem->k; i++)
		at->values[i] = at->codes[i] * at->scale;
	set_slopes(problem, at);
	move_bias(problem, at);
}

static void descend(const struct problem *problem, struct solution *at)
{
	set_slopes(problem, at);
	for (int round = 0; round <= REFITS; round++) {
		if (round > 0)
			refit(problem, at);
		for (int i = 0; i < SWEEPS_MAX && sweep(problem, at); i++)
			;
	}
}

static void round_to_nearest(const struct problem *problem, double bias, struct solution *at)
{
	for (size_t i = 0; i < problem->k; i++) {
		at->codes[i] = nearest_code(problem, (double)problem->weights[i], at->scale);
		at->values[i] = at->codes[i] * at->scale;
	}
	at->values[problem->k] = bias;
}

/* Weighs each weight's error by its input's square alone. */
static double search_scale(const struct problem *problem, double largest)
{
	double best = largest / most_of(problem), least = INFINITY;

	for (int n = 0; n < SCALES; n++) {
		const double scale = (double)(float)(largest / most_of(problem) * (1.0 - n * SCALE_STEP));
		double sum = 0.0;

		for (size_t i = 0; i < problem->k; i++) {
			const double w = (double)problem->weights[i];
			const double error = w - scale * nearest_code(problem, w, scale);

			sum += error * error * square_at(problem, i, i);
		}
		if (sum < least) {
			least = sum;
			best = scale;
		}
	}
	return best;
}

/* t = cross (w, b) + damping w */
static void set_target(struct problem *problem, double bias)
{
	for (size_t i = 0; i < problem->side; i++) {
		const double *row = problem->rounding->cross + i * problem->side;
		double sum = row[problem->k] * bias;

		for (size_t j = 0; j < problem->k; j++)
			sum += row[j] * (double)problem->weights[j];
		if (i < problem->k)
			sum += problem->damping * (double)problem->weights[i];
		problem->target[i] = sum;
	}
}

static void leave_unrounded(const struct problem *problem, double bias, struct solution *at)
{
	for (size_t i = 0; i < problem->k; i++)
		at->values[i] = (double)problem->weights[i];
	at->values[problem->k] = bias;
}

enum fm_status fm_round_channel(const struct fm_rounding *rounding, const float *weights, float *bias,
        int8_t *ret_codes, float *ret_scale, struct fm_error *err)
{
	const size_t k = rounding->k, side = k + 1;
	fm_autofree double *memory = fm_calloc(7 * side, sizeof(*memory));
	struct problem problem = {.rounding = rounding, .k = k, .side = side, .weights = weights};
	struct solution at, other;
	const double old_bias = rounding->has_bias ? (double)*bias : 0.0;
	double largest = 0.0;

	if (!memory)
		return fm_fail(err, FM_E_NOMEM, "no memory to round %zu weights", k);
	problem.target = memory;
	at = (struct solution){
	        .values = memory + side, .slopes = memory + 2 * side, .codes = memory + 3 * side};
	other = (struct solution){
	        .values = memory + 4 * side, .slopes = memory + 5 * side, .codes = memory + 6 * side};
	for (size_t i = 0; i < k; i++) {
		problem.damping += FM_ROUNDING_DAMPING * rounding->square[i * side + i] / (double)k;
		largest = fmax(largest, fabs((double)weights[i]));
	}
	memset(ret_codes, 0, k);
	*ret_scale = 1.0f;
	if (largest / most_of(&problem) < (double)FLT_MIN)
		return FM_OK;
	set_target(&problem, old_bias);

	at.scale = (double)((float)largest / (float)most_of(&problem));
	round_to_nearest(&problem, old_bias, &at);
	set_slopes(&problem, &at);
	const double nearest = cost(&problem, &at);

	at.scale = other.scale = search_scale(&problem, largest);
	round_to_nearest(&problem, old_bias, &at);
	descend(&problem, &at);
	leave_unrounded(&problem, old_bias, &other);
	descend(&problem, &other);
	if (cost(&problem, &other) < cost(&problem, &at))
		at = other;
	if (cost(&problem, &at) > nearest) {
		at.scale = (double)((float)largest / (float)most_of(&problem));
		round_to_nearest(&problem, old_bias, &at);
		set_slopes(&problem, &at);
	}
	for (size_t i = 0; i < k; i++)
		ret_codes[i] = (int8_t)at.codes[i];
	*ret_scale = (float)at.scale;
	if (rounding->has_bias)
		*bias = (float)at.values[k];
	return FM_OK;
}
