/* Photo pixels into a network's input. Threads: pure. */
#ifndef FM_FACE_INPUT_H
#define FM_FACE_INPUT_H

#include "lib/face/model.h"
#include "lib/image/image.h"

/*
 * ret_input[channel][y][x] = (value - mean) * scale in the model's colour order; gray is ITU-R BT.601 luma,
 * rounded to 0..255. `image` has the model's width and height.
 */
void fm_input_fill(const struct fm_model *model, const struct fm_image *image, float *ret_input);

/* ITU-R BT.601 luma, rounded. */
static inline uint8_t fm_input_luma(const uint8_t rgb[3])
{
	return (uint8_t)((19595U * rgb[0] + 38470U * rgb[1] + 7471U * rgb[2] + 32768U) >> 16);
}

#endif
