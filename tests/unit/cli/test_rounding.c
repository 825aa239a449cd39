/* Codes chosen by what they do to a layer's output: against rounding to nearest, and against all codes. */
#include "cli/rounding.h"

#include "tests/support/onnx_builder.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

enum { K_MAX = 24, ROWS = 200 };

struct rows {
	size_t k;
	float original[ROWS * K_MAX], quantized[ROWS * K_MAX];
	double square[(K_MAX + 1) * (K_MAX + 1)], cross[(K_MAX + 1) * (K_MAX + 1)];
};

/* Neighbouring inputs resemble each other, and their mean is `mean`. The quantized network's are `factor`
 * times. */
static void make_rows(struct rows *rows, size_t k, float mean, float factor, uint32_t seed)
{
	const size_t side = k + 1;
	float noise[ROWS * (K_MAX + 4)];

	memset(rows, 0, sizeof(*rows));
	rows->k = k;
	test_onnx_noise(noise, ROWS * (k + 4), seed);
	for (size_t r = 0; r < ROWS; r++)
		for (size_t i = 0; i < k; i++) {
			const float *at = noise + r * (k + 4) + i;

			rows->original[r * k + i] = at[0] + at[1] + at[2] + at[3] + mean;
			rows->quantized[r * k + i] = factor * rows->original[r * k + i];
		}
	for (size_t r = 0; r < ROWS; r++)
		for (size_t i = 0; i < side; i++)
			for (size_t j = 0; j < side; j++) {
				const float a = i < k ? rows->quantized[r * k + i] : 1;
				const float b = j < k ? rows->quantized[r * k + j] : 1;
				const float c = j < k ? rows->original[r * k + j] : 1;

				rows->square[i * side + j] += (double)(a * b) / ROWS;
				rows->cross[i * side + j] += (double)(a * c) / ROWS;
			}
}

/* Mean squared error of the output, and its mean. */
static double error_of(const struct rows *rows, const float *weights, float bias, const int8_t *codes,
        float scale, float new_bias, double *ret_mean)
{
	double sum = 0, mean = 0;

	for (size_t r = 0; r < ROWS; r++) {
		double error = (double)bias - (double)new_bias;

		for (size_t i = 0; i < rows->k; i++)
			error += (double)weights[i] * (double)rows->original[r * rows->k + i] -
			         (double)(scale * (float)codes[i]) * (double)rows->quantized[r * rows->k + i];
		sum += error * error / ROWS;
		mean += error / ROWS;
	}
	if (ret_mean)
		*ret_mean = mean;
	return sum;
}

static double nearest_error(const struct rows *rows, const float *weights, float bias, unsigned bits)
{
	const float most = (float)((1 << (bits - 1)) - 1);
	float largest = 0;
	int8_t codes[K_MAX];

	for (size_t i = 0; i < rows->k; i++)
		largest = fmaxf(largest, fabsf(weights[i]));
	for (size_t i = 0; i < rows->k; i++)
		codes[i] = (int8_t)nearbyintf(weights[i] / (largest / most));
	return error_of(rows, weights, bias, codes, largest / most, bias, NULL);
}

static double tuned_error(const struct rows *rows, const float *weights, float bias, unsigned bits,
        bool has_bias, double *ret_mean)
{
	const struct fm_rounding rounding = {.k = rows->k,
	        .bits = bits,
	        .square = rows->square,
	        .cross = rows->cross,
	        .has_bias = has_bias};
	const int most = (1 << (bits - 1)) - 1;
	float scale, new_bias = bias;
	int8_t codes[K_MAX];

	cr_assert_eq(fm_round_channel(&rounding, weights, &new_bias, codes, &scale, NULL), FM_OK);
	cr_expect(isnormal(scale));
	for (size_t i = 0; i < rows->k; i++)
		cr_expect(codes[i] >= -most && codes[i] <= most, "%d in %u bits", codes[i], bits);
	if (!has_bias)
		cr_expect_eq(new_bias, bias);
	return error_of(rows, weights, bias, codes, scale, new_bias, ret_mean);
}

Test(rounding, correlated_inputs_lose_far_less_than_by_rounding_to_nearest)
{
	static struct rows rows;
	float weights[K_MAX];

	for (unsigned bits = 4; bits <= 8; bits += 2) {
		double nearest = 0, tuned = 0;

		for (uint32_t seed = 1; seed <= 10; seed++) {
			make_rows(&rows, K_MAX, 0, 1, seed);
			test_onnx_noise(weights, K_MAX, seed + 100);
			const double one = tuned_error(&rows, weights, 0, bits, false, NULL);
			const double other = nearest_error(&rows, weights, 0, bits);

			cr_expect_leq(one, other * 1.01);
			tuned += one;
			nearest += other;
		}
		cr_expect_lt(tuned, nearest / 2, "%u bits: %g of %g", bits, tuned, nearest);
	}
}

/* Three weights of 4 bits: every code there is, at scales as fine as matters. */
Test(rounding, comes_near_the_best_there_is)
{
	static struct rows rows;

	for (uint32_t seed = 1; seed <= 5; seed++) {
		float weights[3], largest = 0;
		double best = INFINITY;

		make_rows(&rows, 3, 0, 1, seed);
		test_onnx_noise(weights, 3, seed + 50);
		for (size_t i = 0; i < 3; i++)
			largest = fmaxf(largest, fabsf(weights[i]));
		for (int step = 20; step <= 110; step++)
			for (int n = 0; n < 15 * 15 * 15; n++) {
				const int8_t codes[] = {(int8_t)(n % 15 - 7), (int8_t)(n / 15 % 15 - 7),
				        (int8_t)(n / 225 - 7)};
				best = fmin(best, error_of(&rows, weights, 0, codes,
				                          largest / 7 * (float)step / 100, 0, NULL));
			}
		const double tuned = tuned_error(&rows, weights, 0, 4, false, NULL);
		const double nearest = nearest_error(&rows, weights, 0, 4);
		cr_expect_leq(tuned, nearest, "%g, nearest %g", tuned, nearest);
		cr_expect_leq(tuned - best, 0.5 * (nearest - best), "%g, best %g, nearest %g", tuned, best,
		        nearest);
	}
}

Test(rounding, the_bias_makes_up_for_the_mean)
{
	static struct rows rows;
	float weights[K_MAX];
	double mean;

	make_rows(&rows, K_MAX, 3, 1, 7);
	test_onnx_noise(weights, K_MAX, 8);
	tuned_error(&rows, weights, 0.5f, 4, true, &mean);
	cr_expect_lt(fabs(mean), 1e-4);
}

Test(rounding, makes_up_for_what_became_of_the_inputs)
{
	static struct rows rows;
	float weights[K_MAX];

	make_rows(&rows, K_MAX, 0, 2, 9);
	test_onnx_noise(weights, K_MAX, 10);
	const double tuned = tuned_error(&rows, weights, 0, 8, false, NULL);
	cr_expect_lt(tuned, 0.01 * nearest_error(&rows, weights, 0, 8), "%g", tuned);
}

Test(rounding, weights_of_nothing)
{
	static struct rows rows;
	const float zeros[K_MAX] = {0};

	make_rows(&rows, K_MAX, 1, 1, 11);
	cr_expect_eq(tuned_error(&rows, zeros, 1, 4, true, NULL), 0);
	/* Inputs that are always 0 leave any code as good as another. */
	memset(&rows, 0, sizeof(rows));
	rows.k = K_MAX;
	float weights[K_MAX];
	test_onnx_noise(weights, K_MAX, 12);
	tuned_error(&rows, weights, 0, 4, true, NULL);
}
