#include "lib/base/mem.h"

#include "lib/base/size.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

void *fm_aligned_alloc(size_t bytes)
{
	size_t rounded;

	if (!fm_size_align(bytes ? bytes : 1, FM_ALIGNMENT, &rounded))
		return NULL;
	void *memory = aligned_alloc(FM_ALIGNMENT, rounded);
	if (memory)
		memset(memory, 0, rounded);
	return memory;
}

void *fm_calloc(size_t count, size_t size)
{
	size_t bytes;

	/* calloc() checks as well, but the address sanitizer takes such a call for a defect. */
	if (!fm_size_mul(count, size, &bytes))
		return NULL;
	return calloc(1, bytes ? bytes : 1);
}

void fm_wipe(void *memory, size_t bytes)
{
	explicit_bzero(memory, bytes);
}
