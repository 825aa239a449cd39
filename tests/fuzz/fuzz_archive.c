/* Lines of archives from strangers: what is accepted is bounded, and can be written and read again. */
#include "daemon/archive.h"

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
	struct fm_archive_line line;
	struct fm_error err;

	if (fm_archive_read((const char *)data, size, &line, &err) != FM_OK)
		return 0;
	if (line.is_face) {
		float sum = 0;
		require(fm_uuid_valid(line.face.id) && fm_uuid_valid(line.person_id));
		require(line.face.dim >= 1 && line.face.dim <= FM_EMBEDDING_DIM_MAX);
		for (size_t i = 0; i < line.face.dim; i++)
			sum += line.face.embedding[i];
		for (size_t i = 0; i < line.face.crop_bytes; i++)
			sum += line.face.crop[i];
		volatile float sink = sum;
		(void)sink;
	} else {
		require(fm_uuid_valid(line.person.id) && *line.person.name);
		require(strlen(line.person.metadata) <= FM_METADATA_MAX_BYTES);
	}
	fm_archive_line_done(&line);
	return 0;
}
