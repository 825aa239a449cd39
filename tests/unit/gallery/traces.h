/* Embeddings as real ones are, and what the files still show of them. */
#ifndef TESTS_UNIT_GALLERY_TRACES_H
#define TESTS_UNIT_GALLERY_TRACES_H

#include "lib/base/file.h"
#include "lib/base/size.h"
#include "tests/unit/gallery/fixture.h"

#define DIM_REAL 512 /* as many as the default network gives: pages fill as they do in life */

static inline char *slurp(const char *suffix, size_t *ret_length)
{
	char file[160], *bytes = NULL;

	snprintf(file, sizeof(file), "%s%s", path, suffix);
	*ret_length = 0;
	if (access(file, F_OK) == 0)
		ok(fm_file_read(file, 1 << 28, &bytes, ret_length, &error));
	return bytes;
}

static inline void add_real(int64_t person_key, uint64_t seed, char *ret_id)
{
	static float embedding[DIM_REAL];
	struct fm_face_insert insert = make_insert(embedding, seed);
	struct fm_face_record face;
	bool existed;

	fill_embedding(embedding, DIM_REAL, seed);
	insert.dim = DIM_REAL;
	ok(fm_gallery_face_add(gallery, person_key, &insert, &face, &existed, &error));
	memcpy(ret_id, face.id, FM_UUID_TEXT);
	fm_face_record_done(&face);
}

/* How many of these embeddings the database or its log still show, by any of eight stretches of 64 bytes,
 * none of which a page ends in. */
static inline size_t traces(const uint64_t *seeds, size_t count)
{
	static const char *const suffixes[] = {"", "-wal"};
	static float embedding[DIM_REAL];
	size_t found = 0;

	for (size_t s = 0; s < FM_ARRAY_SIZE(suffixes); s++) {
		size_t length;
		char *bytes = slurp(suffixes[s], &length);

		for (size_t i = 0; bytes && i < count; i++) {
			fill_embedding(embedding, DIM_REAL, seeds[i]);
			for (size_t part = 0; part < 8; part++)
				found += memmem(bytes, length, (char *)embedding + part * 256 + 128, 64) !=
				         NULL;
		}
		free(bytes);
	}
	return found;
}

#endif
