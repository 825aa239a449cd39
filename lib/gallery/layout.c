#include "lib/gallery/layout.h"

#include "lib/base/banned.h"

size_t fm_layout_embedding_bytes(size_t bytes)
{
	size_t pages = bytes <= 4 ? 1 : (bytes - 4 + FM_OVERFLOW_BYTES - 1) / FM_OVERFLOW_BYTES;

	return pages * FM_OVERFLOW_BYTES + 4;
}

size_t fm_layout_jpeg_bytes(size_t bytes)
{
	size_t rest = bytes % FM_OVERFLOW_BYTES;

	if (bytes >= FM_OVERFLOW_BYTES && rest <= FM_JPEG_HEAD_BYTES)
		return bytes;
	return bytes - rest + FM_OVERFLOW_BYTES;
}
