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

void fm_scan_u5s8_scalar(int32_t *sums, uint16_t *masks, const struct fm_scan_block *block,
        const int8_t *probes, const struct fm_scan_terms *terms, size_t count, size_t dim)
{
	for (size_t p = 0; p < count; p++, sums += FM_SCAN_FACES, probes += dim) {
		for (size_t face = 0; face < FM_SCAN_FACES; face++) {
			int32_t sum = 0;

			for (size_t d = 0; d < dim; d++) {
				const uint8_t *group =
				        block->codes + d / FM_SCAN_PER_GROUP * FM_SCAN_GROUP + 4 * face;
				const size_t g = d % FM_SCAN_PER_GROUP / 4, t = d % 4;
				const int upper = group[g / 2 * FM_SCAN_LINE + t] >> g % 2 * 4 & 15;

				sum += (2 * upper + (group[4 * FM_SCAN_LINE + t] >> g & 1)) * probes[d];
			}
			sums[face] = sum;
		}
		masks[p] = select_lanes(sums, block, &terms[p]);
	}
}

int32_t fm_dot_u3s8_scalar(const uint8_t *row, const int8_t *probe, size_t dim)
{
	const size_t eighth = dim / 8;
	int32_t sum = 0;

	for (size_t d = 0; d < dim; d++) {
		const size_t g = d / eighth, i = d % eighth;

		sum += ((row[g % 2 * eighth + i] >> g / 2 * 2 & 3) * 2 + (row[2 * eighth + i] >> g & 1)) *
		       probe[d];
	}
	return sum;
}
