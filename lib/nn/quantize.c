#include "lib/nn/quantize.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

bool fm_weights_clean(float *weights, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!isfinite(weights[i]))
			return false;
		if (fabsf(weights[i]) < FLT_MIN)
			weights[i] = 0.0f;
	}
	return true;
}

void fm_weights_quantize(int8_t *ret_q, float *ret_scale, const float *weights, size_t n, size_t k)
{
	for (size_t i = 0; i < n; i++, weights += k, ret_q += k) {
		float max = 0.0f;

		for (size_t j = 0; j < k; j++)
			max = fmaxf(max, fabsf(weights[j]));
		if (max < 127.0f * FLT_MIN) {
			memset(ret_q, 0, k);
			ret_scale[i] = 1.0f;
			continue;
		}
		ret_scale[i] = max / 127.0f;
		for (size_t j = 0; j < k; j++) {
			float q = nearbyintf(weights[j] / ret_scale[i]);

			ret_q[j] = (int8_t)fmaxf(-127.0f, fminf(127.0f, q));
		}
	}
}

void fm_weights_quantize_by(int8_t *ret_q, const float *scale, const float *weights, size_t n, size_t k)
{
	for (size_t i = 0; i < n; i++, weights += k, ret_q += k)
		for (size_t j = 0; j < k; j++) {
			const float q = fabsf(scale[i]) < FLT_MIN ? 0.0f : nearbyintf(weights[j] / scale[i]);

			ret_q[j] = (int8_t)fmaxf(-127.0f, fminf(127.0f, q));
		}
}
