#include "lib/face/input.h"

#include "lib/base/banned.h"

/* Source channel of each plane; luma is made on the way. */
static const int planes_of[][3] = {
        [FM_COLOR_RGB] = {0, 1, 2},
        [FM_COLOR_BGR] = {2, 1, 0},
};

static void fill_table(float mean, float scale, float table[256])
{
	for (int value = 0; value < 256; value++)
		table[value] = ((float)value - mean) * scale;
}

void fm_input_fill(const struct fm_model *model, const struct fm_image *image, float *ret_input)
{
	bool gray = model->color == FM_COLOR_GRAY;
	float table[256];

	for (int plane = 0; plane < (gray ? 1 : 3); plane++) {
		fill_table(model->mean[plane], model->scale[plane], table);
		for (int y = 0; y < image->height_px; y++) {
			const uint8_t *row = image->pixels + (size_t)y * image->stride_bytes;
			if (gray) {
				for (int x = 0; x < image->width_px; x++)
					*ret_input++ = table[fm_input_luma(row + (size_t)x * 3)];
			} else {
				row += planes_of[model->color][plane];
				for (int x = 0; x < image->width_px; x++)
					*ret_input++ = table[row[(size_t)x * 3]];
			}
		}
	}
}
