#include "lib/kernels/dot.h"

#include "lib/base/banned.h"

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
