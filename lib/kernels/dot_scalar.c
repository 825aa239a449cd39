#include "lib/kernels/dot.h"

#include "lib/base/banned.h"

int32_t fm_dot_s8_scalar(const int8_t *a, const int8_t *b, size_t n)
{
	int32_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += a[i] * b[i];
	return sum;
}

float fm_dot_f32_scalar(const float *a, const float *b, size_t n)
{
	float lane[16] = {0};

	for (size_t i = 0; i < n; i++)
		lane[i % 16] += a[i] * b[i];
	for (size_t width = 8; width >= 1; width /= 2) {
		for (size_t i = 0; i < width; i++)
			lane[i] += lane[i + width];
	}
	return lane[0];
}
