#include "cli/labelled.h"

#include "cli/csv.h"
#include "lib/base/cleanup.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/base/size.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "lib/base/banned.h"

void fm_labelled_done(struct fm_labelled *labelled)
{
	for (size_t i = 0; i < labelled->count; i++) {
		free(labelled->photos[i].path);
		free(labelled->photos[i].person);
	}
	free(labelled->photos);
	*labelled = (struct fm_labelled){0};
}

/* Takes path over. */
static enum fm_status add(
        struct fm_labelled *labelled, char *path, const char *person, size_t line, struct fm_error *err)
{
	struct fm_labelled_photo photo = {path, strdup(person), line};

	/* Room doubles at each power of two. */
	if ((labelled->count & (labelled->count - 1)) == 0) {
		struct fm_labelled_photo *grown = reallocarray(
		        labelled->photos, labelled->count ? labelled->count * 2 : 1, sizeof(photo));
		if (grown)
			labelled->photos = grown;
		else
			photo.path = NULL;
	}
	if (!photo.path || !photo.person) {
		free(path);
		free(photo.person);
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu photos", labelled->count + 1);
	}
	labelled->photos[labelled->count++] = photo;
	return FM_OK;
}

static enum fm_status read_columns(
        struct fm_csv *csv, size_t *ret_image, size_t *ret_person, struct fm_error *err)
{
	static const char *const names[] = {"image", "person"};
	size_t *columns[] = {ret_image, ret_person};
	struct fm_csv_row header;
	bool found;

	enum fm_status status = fm_csv_next(csv, &header, &found, err);
	if (status)
		return status;
	for (size_t column = 0; column < FM_ARRAY_SIZE(names); column++) {
		size_t i = 0;
		while (found && i < header.count && strcmp(header.fields[i], names[column]) != 0)
			i++;
		if (!found || i == header.count)
			return fm_fail(err, FM_E_INVALID,
			        "the header has no column '%s'; it must name image and person",
			        names[column]);
		*columns[column] = i;
	}
	return FM_OK;
}

enum fm_status fm_labelled_parse(
        char *bytes, size_t length, struct fm_labelled *ret_labelled, struct fm_error *err)
{
	fm_cleanup(fm_labelled_done) struct fm_labelled labelled = {0};
	size_t image, person;
	struct fm_csv csv;

	fm_csv_init(&csv, bytes, length);
	enum fm_status status = read_columns(&csv, &image, &person, err);
	while (!status) {
		struct fm_csv_row row;
		bool found;
		status = fm_csv_next(&csv, &row, &found, err);
		if (status || !found)
			break;
		if (image >= row.count || person >= row.count || !*row.fields[image] || !*row.fields[person])
			return fm_fail(err, FM_E_INVALID, "line %zu: column '%s' is empty", row.line,
			        image >= row.count || !*row.fields[image] ? "image" : "person");
		status = add(&labelled, strdup(row.fields[image]), row.fields[person], row.line, err);
	}
	if (status)
		return status;
	if (labelled.count == 0)
		return fm_fail(err, FM_E_INVALID, "there are no photos");
	*ret_labelled = labelled;
	labelled = (struct fm_labelled){0};
	return FM_OK;
}

enum fm_status fm_labelled_read(const char *path, struct fm_labelled *ret_labelled, struct fm_error *err)
{
	fm_autofree char *bytes = NULL;
	size_t length;

	enum fm_status status = fm_file_read(path, FM_LABELLED_BYTES_MAX, &bytes, &length, err);
	if (status)
		return status;
	status = fm_labelled_parse(bytes, length, ret_labelled, err);
	return status ? fm_fail_prefix(err, status, "%s", path) : FM_OK;
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int is_photo(const struct dirent *entry)
{
	static const char *const endings[] = {".jpg", ".jpeg", ".png", ".webp"};
	const char *dot = strrchr(entry->d_name, '.');

	for (size_t i = 0; dot && i < FM_ARRAY_SIZE(endings); i++)
		if (is_visible(entry) && strcasecmp(dot, endings[i]) == 0)
			return 1;
	return 0;
}

/* Byte order: the same whatever the locale. */
static int by_name(const struct dirent **left, const struct dirent **right)
{
	return strcmp((*left)->d_name, (*right)->d_name);
}

struct listing {
	struct dirent **entries;
	int count;
};

static void listing_done(struct listing *listing)
{
	for (int i = 0; i < listing->count; i++)
		free(listing->entries[i]);
	free(listing->entries);
}

static enum fm_status list(const char *dir, int (*filter)(const struct dirent *), struct listing *ret_listing,
        struct fm_error *err)
{
	struct listing listing = {0};

	listing.count = scandir(dir, &listing.entries, filter, by_name);
	if (listing.count < 0)
		return fm_fail_errno(err, errno, "cannot list %s", dir);
	*ret_listing = listing;
	return FM_OK;
}

static enum fm_status scan_person(
        const char *dir, const char *person, struct fm_labelled *labelled, struct fm_error *err)
{
	fm_cleanup(listing_done) struct listing photos = {0};
	fm_autofree char *folder = NULL;
	struct stat info;

	if (asprintf(&folder, "%s/%s", dir, person) < 0) {
		folder = NULL;
		return fm_fail(err, FM_E_NOMEM, "no memory to list %s", dir);
	}
	if (stat(folder, &info) < 0)
		return fm_fail_errno(err, errno, "cannot look at %s", folder);
	if (!S_ISDIR(info.st_mode))
		return FM_OK;
	enum fm_status status = list(folder, is_photo, &photos, err);
	for (int i = 0; !status && i < photos.count; i++) {
		char *path;
		if (asprintf(&path, "%s/%s", person, photos.entries[i]->d_name) < 0)
			path = NULL;
		status = add(labelled, path, person, 0, err);
	}
	return status;
}

enum fm_status fm_labelled_scan(const char *dir, struct fm_labelled *ret_labelled, struct fm_error *err)
{
	fm_cleanup(fm_labelled_done) struct fm_labelled labelled = {0};
	fm_cleanup(listing_done) struct listing people = {0};

	enum fm_status status = list(dir, is_visible, &people, err);
	for (int i = 0; !status && i < people.count; i++)
		status = scan_person(dir, people.entries[i]->d_name, &labelled, err);
	if (status)
		return status;
	if (labelled.count == 0)
		return fm_fail(
		        err, FM_E_INVALID, "%s: there are no photos in folders, one for each person", dir);
	*ret_labelled = labelled;
	labelled = (struct fm_labelled){0};
	return FM_OK;
}

struct named {
	const char *name;
	size_t index; /* of the photo, or the person's number */
};

static int by_person(const void *left, const void *right)
{
	const struct named *a = left, *b = right;

	return strcmp(a->name, b->name);
}

enum fm_status fm_labelled_number(
        const struct fm_labelled *labelled, size_t *ret_person, size_t *ret_people, struct fm_error *err)
{
	fm_autofree struct named *names = fm_calloc(labelled->count, sizeof(*names));
	size_t people = 0;

	if (!names)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu names", labelled->count);
	for (size_t i = 0; i < labelled->count; i++)
		names[i] = (struct named){labelled->photos[i].person, i};
	qsort(names, labelled->count, sizeof(*names), by_person);
	for (size_t i = 0; i < labelled->count; i++) {
		people += i == 0 || strcmp(names[i].name, names[i - 1].name) != 0;
		ret_person[names[i].index] = people - 1;
	}
	*ret_people = people;
	return FM_OK;
}

enum fm_status fm_labelled_match(const struct fm_labelled *labelled, const size_t *person,
        const struct fm_labelled *other, size_t *ret_person, struct fm_error *err)
{
	fm_autofree struct named *names = fm_calloc(labelled->count, sizeof(*names));

	if (!names)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu names", labelled->count);
	for (size_t i = 0; i < labelled->count; i++)
		names[i] = (struct named){labelled->photos[i].person, person[i]};
	qsort(names, labelled->count, sizeof(*names), by_person);
	for (size_t i = 0; i < other->count; i++) {
		const struct named wanted = {other->photos[i].person, 0};
		const struct named *found =
		        bsearch(&wanted, names, labelled->count, sizeof(*names), by_person);
		ret_person[i] = found ? found->index : FM_LABELLED_NOBODY;
	}
	return FM_OK;
}
