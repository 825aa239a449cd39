#include "lib/face/decoder.h"

#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

static const struct fm_decoder *const decoders[] = {
        &fm_decoder_ultraface,
        &fm_decoder_yunet,
};

const struct fm_decoder *fm_decoder_find(const char *name)
{
	for (size_t i = 0; i < sizeof(decoders) / sizeof(decoders[0]); i++) {
		if (strcmp(name, decoders[i]->name) == 0)
			return decoders[i];
	}
	return NULL;
}

const struct fm_tensor_info *fm_decoder_output(const struct fm_model *model, const char *name)
{
	for (size_t i = 0; i < fm_net_output_count(model->net); i++) {
		const struct fm_tensor_info *output = fm_net_output(model->net, i);
		if (strcmp(output->name, name) == 0)
			return output;
	}
	return NULL;
}

bool fm_decoder_finite(const float *numbers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!isfinite(numbers[i]))
			return false;
	}
	return true;
}

double fm_decoder_exp(double x)
{
	double r = x / 1024, e = 1 + r * (1 + r / 2 * (1 + r / 3 * (1 + r / 4 * (1 + r / 5 * (1 + r / 6)))));

	for (int i = 0; i < 10; i++)
		e *= e;
	return e;
}
