/* EXIF blocks from strangers: whatever they hold, an orientation comes back. */
#include "lib/image/exif.h"

#include <stdlib.h>

#include "lib/base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int orientation = fm_exif_orientation(data, size);

	if (orientation < 1 || orientation > 8)
		abort();
	return 0;
}
