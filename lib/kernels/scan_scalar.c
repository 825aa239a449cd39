#include "lib/kernels/scan.h"

#include "lib/base/banned.h"

static uint16_t select_lanes(
        const int32_t *sums, const struct fm_scan_block *block, const struct fm_scan_terms *terms)
{
	uint16_t mask = 0;

	for (size_t face = 0; face < FM_SCAN_FACES; face++) {
		float centre = ((float)sums[face] - terms->offset) * block->scales[face] * terms->scale;
		float reach = block->residuals[face] * terms->norm + terms->fixed;

		if (centre + reach >= terms->least)
			mask |= (uint16_t)(1u << face);
	}
	return mask;
}

void fm_scan_u4s8_scalar(int32_t *sums, uint16_t *masks, const struct fm_scan_block *block,
        const int8_t *probes, const struct fm_scan_terms *terms, size_t count, size_t dim)
{
	for (size_t p = 0; p < count; p++, sums += FM_SCAN_FACES, probes += dim) {
		for (size_t face = 0; face < FM_SCAN_FACES; face++) {
			const uint8_t *nibbles = block->nibbles + 4 * face;
			int32_t sum = 0;

			for (size_t d = 0; d < dim; d += FM_SCAN_PER_LINE, nibbles += FM_SCAN_LINE)
				for (size_t t = 0; t < 4; t++)
					sum += (nibbles[t] & 15) * probes[d + t] +
					       (nibbles[t] >> 4) * probes[d + 4 + t];
			sums[face] = sum;
		}
		masks[p] = select_lanes(sums, block, &terms[p]);
	}
}

int32_t fm_dot_u4s8_scalar(const uint8_t *row, const int8_t *probe, size_t half)
{
	int32_t sum = 0;

	for (size_t i = 0; i < half; i++)
		sum += (row[i] & 15) * probe[i] + (row[i] >> 4) * probe[half + i];
	return sum;
}
