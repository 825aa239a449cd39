#include "cli/gallery_maker.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

void fm_gallery_maker_done(struct fm_gallery_maker *maker)
{
	free(maker->real);
	*maker = (struct fm_gallery_maker){0};
}

static void normalize(float *embedding, size_t dim)
{
	double square = 0;

	for (size_t i = 0; i < dim; i++)
		square += (double)embedding[i] * embedding[i];
	for (size_t i = 0; i < dim; i++)
		embedding[i] = (float)(embedding[i] / sqrt(square));
}

static void close_file(FILE **file)
{
	if (*file)
		fclose(*file);
}

static void unref(json_t **json)
{
	json_decref(*json);
}

/* Appends a line's embedding, if it has one. */
static enum fm_status take_line(struct fm_gallery_maker *maker, const char *path, size_t line,
        const json_t *json, struct fm_error *err)
{
	const json_t *values = json_object_get(json, "embedding");

	if (!json_is_array(values))
		return FM_OK;
	if (json_array_size(values) != maker->dim)
		return fm_fail(err, FM_E_INVALID, "%s:%zu: %zu dimensions where --dim says %zu", path, line,
		        json_array_size(values), maker->dim);
	float *grown = reallocarray(maker->real, (maker->real_count + 1) * maker->dim, sizeof(*grown));

	if (!grown)
		return fm_fail(err, FM_E_NOMEM, "no memory for the embeddings of %s", path);
	maker->real = grown;
	float *embedding = maker->real + maker->real_count++ * maker->dim;

	for (size_t i = 0; i < maker->dim; i++)
		embedding[i] = (float)json_number_value(json_array_get(values, i));
	normalize(embedding, maker->dim);
	return FM_OK;
}

enum fm_status fm_gallery_maker_read(
        const char *path, size_t dim, struct fm_gallery_maker *ret_maker, struct fm_error *err)
{
	fm_cleanup(fm_gallery_maker_done) struct fm_gallery_maker maker = {.dim = dim};
	fm_cleanup(close_file) FILE *file = fopen(path, "re");
	fm_autofree char *text = NULL;
	size_t room = 0, line = 0;
	enum fm_status status = FM_OK;

	if (!file)
		return fm_fail_errno(err, errno, "cannot open %s", path);
	while (status == FM_OK && getline(&text, &room, file) >= 0) {
		fm_cleanup(unref) json_t *json = json_loads(text, 0, NULL);

		line++;
		if (!json)
			return fm_fail(err, FM_E_INVALID, "%s:%zu: not a line of JSON", path, line);
		status = take_line(&maker, path, line, json, err);
	}
	if (status == FM_OK && ferror(file))
		return fm_fail_errno(err, errno, "cannot read %s", path);
	if (status == FM_OK && !maker.real_count)
		return fm_fail(err, FM_E_INVALID, "%s: no line with an embedding", path);
	if (status == FM_OK) {
		*ret_maker = maker;
		maker = (struct fm_gallery_maker){0};
	}
	return status;
}

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Two independent normal numbers (Box and Muller 1958). */
static void make_normal(uint64_t *state, float ret_pair[2])
{
	uint64_t bits = next_random(state);
	float radius = sqrtf(-2 * logf(((float)(bits >> 40) + 1) * 0x1p-24f));
	float angle = (float)(bits & 0xffffff) * (float)(2 * M_PI * 0x1p-24);

	ret_pair[0] = radius * cosf(angle);
	ret_pair[1] = radius * sinf(angle);
}

void fm_gallery_maker_make(const struct fm_gallery_maker *maker, uint64_t number, float *ret_embedding)
{
	const size_t dim = maker->dim;
	uint64_t state = number * UINT64_C(0xd1342543de82ef95);
	float pair[2];

	for (size_t i = 0; i < dim; i++) {
		if (i % 2 == 0)
			make_normal(&state, pair);
		ret_embedding[i] = pair[i % 2];
	}
	normalize(ret_embedding, dim);
	if (!maker->real)
		return;
	const float *real = maker->real + next_random(&state) % maker->real_count * dim;

	for (size_t i = 0; i < dim; i++)
		ret_embedding[i] = real[i] + FM_GALLERY_NOISE * ret_embedding[i];
	normalize(ret_embedding, dim);
}
