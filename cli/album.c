#include "cli/album.h"

#include "cli/compare_all.h"
#include "lib/base/mem.h"
#include "lib/base/size.h"

#include <string.h>

#include "lib/base/banned.h"

void fm_album_done(struct fm_album *album)
{
	fm_labelled_done(&album->labelled);
	free(album->person);
	*album = (struct fm_album){0};
}

enum fm_status fm_album_read(struct fm_eval *eval, struct fm_album *ret_album, struct fm_error *err)
{
	fm_cleanup(fm_album_done) struct fm_album album = {0};

	enum fm_status status = fm_labelled_scan(eval->images_dir, &album.labelled, err);
	if (status)
		return status;
	album.person = fm_calloc(album.labelled.count, sizeof(*album.person));
	if (!album.person)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu photos", album.labelled.count);
	status = fm_labelled_number(&album.labelled, album.person, &album.people, err);
	for (size_t i = 0; !status && i < album.labelled.count; i++)
		status = fm_eval_add_photo(eval, album.labelled.photos[i].path, NULL, 0, err);
	if (status)
		return status;
	*ret_album = album;
	album = (struct fm_album){0};
	return FM_OK;
}

enum fm_status fm_album_evaluate(struct fm_eval *eval,
        enum fm_status (*evaluate)(const struct fm_eval *eval, const struct fm_album *album,
                struct fm_eval_run *run, struct fm_error *err),
        struct fm_album *album, struct fm_error *err)
{
	enum fm_status status = fm_album_read(eval, album, err);

	if (!status)
		status = fm_eval_embed(eval, err);
	for (size_t i = 0; !status && i < eval->run_count; i++)
		status = evaluate(eval, album, &eval->runs[i], err);
	return status;
}

size_t fm_album_genuine_pairs(const struct fm_album *album)
{
	size_t pairs = 0, of_person = 0;

	for (size_t i = 0; i < album->labelled.count; i++) {
		of_person = i > 0 && album->person[i] == album->person[i - 1] ? of_person + 1 : 0;
		pairs += of_person;
	}
	return pairs;
}

void fm_album_faces_done(struct fm_album_faces *faces)
{
	free(faces->embeddings);
	free(faces->person);
	*faces = (struct fm_album_faces){0};
}

/* Room for `count` faces; ret_faces->count stays 0. */
static enum fm_status reserve(
        size_t count, size_t dim, struct fm_album_faces *ret_faces, struct fm_error *err)
{
	struct fm_album_faces faces = {.dim = dim};
	size_t bytes;

	if (fm_size_mul(count ? count : 1, dim * sizeof(*faces.embeddings), &bytes))
		faces.embeddings = fm_aligned_alloc(bytes);
	faces.person = fm_calloc(count ? count : 1, sizeof(*faces.person));
	if (!faces.embeddings || !faces.person) {
		fm_album_faces_done(&faces);
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu embeddings", count);
	}
	*ret_faces = faces;
	return FM_OK;
}

static void add(struct fm_album_faces *faces, const float *embedding, size_t person)
{
	memcpy(faces->embeddings + faces->count * faces->dim, embedding, faces->dim * sizeof(*embedding));
	faces->people += faces->count == 0 || faces->person[faces->count - 1] != person;
	faces->person[faces->count++] = person;
}

enum fm_status fm_album_faces(const struct fm_album *album, const struct fm_eval_run *run,
        struct fm_album_faces *ret_faces, struct fm_error *err)
{
	enum fm_status status = reserve(album->labelled.count, run->dim, ret_faces, err);

	for (size_t i = 0; !status && i < album->labelled.count; i++)
		if (fm_eval_embedding(run, i))
			add(ret_faces, fm_eval_embedding(run, i), album->person[i]);
	return status;
}

enum fm_status fm_album_faces_part(const struct fm_album_faces *faces, const unsigned char *part_of,
        unsigned char part, struct fm_album_faces *ret_faces, struct fm_error *err)
{
	size_t count = 0;

	for (size_t i = 0; i < faces->count; i++)
		count += part_of[faces->person[i]] == part;
	enum fm_status status = reserve(count, faces->dim, ret_faces, err);
	for (size_t i = 0; !status && i < faces->count; i++)
		if (part_of[faces->person[i]] == part)
			add(ret_faces, faces->embeddings + i * faces->dim, faces->person[i]);
	return status;
}

enum fm_status fm_album_compare(const struct fm_album_faces *faces, size_t threads,
        struct fm_histogram *histogram, struct fm_error *err)
{
	const struct fm_compare_all all = {faces->embeddings, faces->person, faces->count, faces->dim};

	memset(histogram, 0, sizeof(*histogram));
	return fm_compare_all_run(&all, threads, histogram, err);
}
