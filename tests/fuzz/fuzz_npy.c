/* .npy files from strangers: what is read is as large as its shape says, and can be written and read again.
 */
#include "cli/npy.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fm_npy npy, again;
	struct fm_error err;
	size_t elements = 1, length;
	char *bytes;

	if (fm_npy_parse(data, size, &npy, &err) != FM_OK)
		return 0;
	require(npy.rank <= FM_NPY_RANK_MAX);
	for (size_t i = 0; i < npy.rank; i++)
		elements *= npy.dims[i];
	require(elements == npy.elements);
	require(fm_npy_format(npy.values, npy.dims, npy.rank, &bytes, &length, &err) == FM_OK);
	require(fm_npy_parse(bytes, length, &again, &err) == FM_OK);
	require(again.elements == elements);
	require(!elements || memcmp(again.values, npy.values, elements * sizeof(float)) == 0);
	free(bytes);
	fm_npy_done(&again);
	fm_npy_done(&npy);
	return 0;
}
