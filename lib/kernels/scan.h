/* The scan of galleries, one pair per ISA; the contract is in kernels.h. Internal to lib/kernels. */
#ifndef FM_KERNELS_SCAN_H
#define FM_KERNELS_SCAN_H

#include "lib/kernels/kernels.h"

#define FM_SCAN_DECLARE(isa)                                                                                 \
	void fm_scan_u5s8_##isa(int32_t *sums, uint16_t *masks, const struct fm_scan_block *block,           \
	        const int8_t *probes, const struct fm_scan_terms *terms, size_t count, size_t dim);          \
	int32_t fm_dot_u3s8_##isa(const uint8_t *row, const int8_t *probe, size_t dim)

FM_SCAN_DECLARE(scalar);
FM_SCAN_DECLARE(sse41);
FM_SCAN_DECLARE(avx2);
FM_SCAN_DECLARE(avxvnni); /* dot_u3s8 is avx2's */
FM_SCAN_DECLARE(avx512vlvnni);
FM_SCAN_DECLARE(avx512vnni);
FM_SCAN_DECLARE(neon);
FM_SCAN_DECLARE(neondot);

#define FM_SCAN_LINE                                                                                         \
	64 /* bytes: eight dimensions of sixteen faces, four bits of each; or 32, a bit of each */
#define FM_SCAN_GROUP     320 /* four such lines and one */
#define FM_SCAN_PER_GROUP 32  /* dimensions */

#endif
