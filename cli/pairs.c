#include "cli/pairs.h"

#include "cli/csv.h"
#include "lib/base/cleanup.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/banned.h"

enum {
	COLUMN_A,
	COLUMN_B,
	COLUMN_SAME,
	COLUMN_REQUIRED_COUNT,
	COLUMN_FOLD = COLUMN_REQUIRED_COUNT,
	COLUMN_COUNT
};
static const char *const column_names[COLUMN_COUNT] = {"a", "b", "same", "fold"};
#define NO_COLUMN SIZE_MAX

/* One mention of a photo: pair `mention / 2`, side `mention % 2`. */
struct mention {
	const char *path;
	size_t line, number;
};

struct mentions {
	struct mention *items;
	size_t count, capacity;
};

void fm_pairs_done(struct fm_pairs *pairs)
{
	free(pairs->pairs);
	free(pairs->photos);
	free(pairs->bytes);
	*pairs = (struct fm_pairs){0};
}

static enum fm_status read_columns(struct fm_csv *csv, size_t *ret_columns, struct fm_error *err)
{
	struct fm_csv_row header;
	bool found;

	enum fm_status status = fm_csv_next(csv, &header, &found, err);
	if (status)
		return status;
	for (size_t column = 0; column < COLUMN_COUNT; column++) {
		size_t i = 0;
		while (found && i < header.count && strcmp(header.fields[i], column_names[column]) != 0)
			i++;
		bool there = found && i < header.count;
		ret_columns[column] = there ? i : NO_COLUMN;
		if (!there && column < COLUMN_REQUIRED_COUNT)
			return fm_fail(err, FM_E_INVALID,
			        "the header has no column '%s'; it must name a, b and same",
			        column_names[column]);
	}
	return FM_OK;
}

static enum fm_status mention(struct mentions *mentions, const char *path, size_t line, struct fm_error *err)
{
	if (*path == '\0')
		return fm_fail(err, FM_E_INVALID, "line %zu: an empty path", line);
	if (mentions->count == mentions->capacity) {
		size_t capacity = mentions->capacity ? mentions->capacity * 2 : 1024;
		struct mention *grown = reallocarray(mentions->items, capacity, sizeof(*grown));
		if (!grown)
			return fm_fail(err, FM_E_NOMEM, "no memory for %zu pairs", capacity / 2);
		mentions->items = grown;
		mentions->capacity = capacity;
	}
	mentions->items[mentions->count] = (struct mention){path, line, mentions->count};
	mentions->count++;
	return FM_OK;
}

static bool parse_same(const char *text, bool *ret_same)
{
	*ret_same = strcmp(text, "1") == 0 || strcasecmp(text, "true") == 0;
	return *ret_same || strcmp(text, "0") == 0 || strcasecmp(text, "false") == 0;
}

/* Finds the fold of that name, or adds it. */
static enum fm_status find_fold(
        struct fm_pairs *pairs, const char *name, size_t line, size_t *ret_fold, struct fm_error *err)
{
	size_t fold = 0;

	while (fold < pairs->fold_count && strcmp(pairs->fold_names[fold], name) != 0)
		fold++;
	if (fold == FM_PAIRS_FOLDS_MAX)
		return fm_fail(err, FM_E_TOO_LARGE, "line %zu: more than %d folds", line, FM_PAIRS_FOLDS_MAX);
	if (fold == pairs->fold_count)
		pairs->fold_names[pairs->fold_count++] = name;
	*ret_fold = fold;
	return FM_OK;
}

/* pairs->pairs[i] grows with the mentions, two of which make a pair; a and b are set later. */
static enum fm_status read_rows(struct fm_csv *csv, const size_t *columns, struct mentions *mentions,
        struct fm_pairs *pairs, struct fm_error *err)
{
	size_t capacity = 0;

	for (;;) {
		struct fm_csv_row row;
		struct fm_pair pair = {0};
		bool found;

		enum fm_status status = fm_csv_next(csv, &row, &found, err);
		if (status || !found)
			return status;
		for (size_t i = 0; i < COLUMN_COUNT; i++)
			if (columns[i] != NO_COLUMN && columns[i] >= row.count)
				return fm_fail(err, FM_E_INVALID, "line %zu: column '%s' is missing",
				        row.line, column_names[i]);
		if (!parse_same(row.fields[columns[COLUMN_SAME]], &pair.same))
			return fm_fail(err, FM_E_INVALID, "line %zu: same is '%s', neither 0 nor 1", row.line,
			        row.fields[columns[COLUMN_SAME]]);
		status = mention(mentions, row.fields[columns[COLUMN_A]], row.line, err);
		if (!status)
			status = mention(mentions, row.fields[columns[COLUMN_B]], row.line, err);
		if (!status && columns[COLUMN_FOLD] != NO_COLUMN)
			status =
			        find_fold(pairs, row.fields[columns[COLUMN_FOLD]], row.line, &pair.fold, err);
		if (status)
			return status;
		if (mentions->capacity / 2 > capacity) {
			capacity = mentions->capacity / 2;
			struct fm_pair *grown = reallocarray(pairs->pairs, capacity, sizeof(*grown));
			if (!grown)
				return fm_fail(err, FM_E_NOMEM, "no memory for %zu pairs", capacity);
			pairs->pairs = grown;
		}
		pairs->pairs[pairs->count++] = pair;
	}
}

static int by_path(const void *left, const void *right)
{
	const struct mention *a = left, *b = right;
	int order = strcmp(a->path, b->path);

	return order ? order : (a->number > b->number) - (a->number < b->number);
}

enum fm_status fm_pairs_parse(char *bytes, size_t length, struct fm_pairs *ret_pairs, struct fm_error *err)
{
	fm_cleanup(fm_pairs_done) struct fm_pairs pairs = {.bytes = bytes};
	struct mentions mentions = {0};
	size_t columns[COLUMN_COUNT];
	struct fm_csv csv;

	fm_csv_init(&csv, bytes, length);
	enum fm_status status = read_columns(&csv, columns, err);
	if (!status)
		status = read_rows(&csv, columns, &mentions, &pairs, err);
	fm_autofree struct mention *items = mentions.items;
	if (status)
		return status;
	if (mentions.count == 0)
		return fm_fail(err, FM_E_INVALID, "there are no pairs");

	pairs.photos = fm_calloc(mentions.count, sizeof(*pairs.photos));
	if (!pairs.photos)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu pairs", pairs.count);
	qsort(items, mentions.count, sizeof(*items), by_path);
	for (size_t i = 0; i < mentions.count; i++) {
		if (i == 0 || strcmp(items[i].path, items[i - 1].path) != 0)
			pairs.photos[pairs.photo_count++] =
			        (struct fm_pair_photo){items[i].path, items[i].line};
		struct fm_pair *pair = &pairs.pairs[items[i].number / 2];
		*(items[i].number % 2 ? &pair->b : &pair->a) = pairs.photo_count - 1;
	}
	*ret_pairs = pairs;
	pairs = (struct fm_pairs){0};
	return FM_OK;
}

enum fm_status fm_pairs_read(const char *path, struct fm_pairs *ret_pairs, struct fm_error *err)
{
	size_t length;
	char *bytes;

	enum fm_status status = fm_file_read(path, FM_PAIRS_BYTES_MAX, &bytes, &length, err);
	if (status)
		return status;
	status = fm_pairs_parse(bytes, length, ret_pairs, err);
	return status ? fm_fail_prefix(err, status, "%s", path) : FM_OK;
}
