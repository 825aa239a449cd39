/*
 * Real photos as strangers send them, from the shared data beside the repository (FM_SHARED_DATA overrides):
 * every kind in hard-jpeg/manifest.csv decodes, or is refused with a reason. Skipped without the data.
 */
#include "tests/unit/image/decoding.h"

#include "lib/base/file.h"

#include <stdio.h>

#include "lib/base/banned.h"

enum { FILE_BYTES_MAX = 32 << 20, NAME_MAX_BYTES = 256 };

/* What the decoder owes to each kind; `near` is the largest mean difference to the baseline's pixels. */
enum verdict { DECODES, REFUSED, EITHER, LIKE_BASELINE };
static const struct {
	const char *kind;
	enum verdict verdict;
	double near;
} kinds[] = {
        {"baseline", LIKE_BASELINE, 0},
        {"progressive", LIKE_BASELINE, 1},
        {"arithmetic", LIKE_BASELINE, 1},
        {"restart", LIKE_BASELINE, 1},
        {"noeoi", LIKE_BASELINE, 0},
        {"trailing", LIKE_BASELINE, 0},
        {"s444", LIKE_BASELINE, 3},
        {"s440", LIKE_BASELINE, 3},
        {"s411", LIKE_BASELINE, 4},
        {"rgbjpeg", LIKE_BASELINE, 3},
        {"cmyk", LIKE_BASELINE, 3},
        {"png_as_jpg", LIKE_BASELINE, 3},
        {"webp_as_jpg", LIKE_BASELINE, 5},
        {"exif", LIKE_BASELINE, 3},
        {"prefix", REFUSED, 0},
        {"empty", REFUSED, 0},
        {"text", REFUSED, 0},
        {"soi_only", REFUSED, 0},
        {"claims65535", REFUSED, 0},
        {"trunc10", REFUSED, 0},
        {"trunc25", REFUSED, 0},
        {"trunc50", EITHER, 0},
        {"trunc75", EITHER, 0},
        {"trunc95", DECODES, 0},
        {"bitrot", EITHER, 0},
};

static const char *data_directory(void)
{
	const char *named = getenv("FM_SHARED_DATA");

	return named && named[0] ? named : "../shared/data";
}

static bool read_photo(const char *name, struct test_bytes *ret_photo)
{
	char path[4096], *bytes = NULL;
	size_t length = 0;

	snprintf(path, sizeof(path), "%s/hard-jpeg/%s", data_directory(), name);
	if (fm_file_read(path, FILE_BYTES_MAX, &bytes, &length, NULL) != FM_OK)
		return false;
	*ret_photo = (struct test_bytes){(uint8_t *)bytes, length};
	return true;
}

/* The rest are sizes, rotations without EXIF and colours: they decode. */
static size_t find_kind(const char *kind)
{
	size_t i = 0;

	while (i < FM_ARRAY_SIZE(kinds) && strncmp(kind, kinds[i].kind, strlen(kinds[i].kind)) != 0)
		i++;
	return i;
}

static void check_like_baseline(const char *name, const struct fm_image *image, double near)
{
	char baseline[NAME_MAX_BYTES];
	const char *end = strstr(name, "__");
	fm_cleanup(test_bytes_done) struct test_bytes photo = {0};

	cr_assert_not_null(end);
	snprintf(baseline, sizeof(baseline), "%.*s__baseline.jpg", (int)(end - name), name);
	cr_assert(read_photo(baseline, &photo), "%s", baseline);
	fm_cleanup(fm_image_done) struct fm_image wanted = decode_at(&photo, 1);
	double mean = difference(&wanted, image);
	cr_expect_leq(mean, near, "%s: %g from the baseline", name, mean);
}

static void check_photo(const char *name, const char *kind)
{
	fm_cleanup(test_bytes_done) struct test_bytes photo = {0};
	fm_cleanup(fm_image_done) struct fm_image image = {0};
	struct fm_error err = {0};
	size_t row = find_kind(kind);
	enum verdict verdict = row < FM_ARRAY_SIZE(kinds) ? kinds[row].verdict : DECODES;

	cr_assert(read_photo(name, &photo), "%s", name);
	enum fm_status status = fm_image_decode(photo.data, photo.length, &limits, 1, &image, NULL, &err);
	if (verdict == REFUSED)
		cr_expect_neq(status, FM_OK, "%s", name);
	else if (verdict != EITHER)
		cr_expect_eq(status, FM_OK, "%s: %s", name, err.message);
	if (status != FM_OK) {
		cr_expect(status == FM_E_UNSUPPORTED || status == FM_E_TOO_LARGE ||
		                  status == FM_E_TRUNCATED || status == FM_E_CORRUPT,
		        "%s: %s", name, fm_status_name(status));
		cr_expect_neq(err.message[0], 0, "%s", name);
	} else if (verdict == LIKE_BASELINE) {
		check_like_baseline(name, &image, kinds[row].near);
	}
}

Test(hard_jpeg, every_kind_decodes_or_is_refused_with_a_reason)
{
	fm_cleanup(test_bytes_done) struct test_bytes manifest = {0};
	char *line, *rest = NULL;
	int photos = 0;

	if (!read_photo("manifest.csv", &manifest))
		cr_skip("no shared data");
	for (line = strtok_r((char *)manifest.data, "\r\n", &rest); line;
	        line = strtok_r(NULL, "\r\n", &rest)) {
		char *field = NULL, *name = strtok_r(line, ",", &field), *kind = strtok_r(NULL, ",", &field);
		if (!name || !kind || strcmp(name, "file") == 0)
			continue;
		check_photo(name, kind);
		photos++;
	}
	cr_expect_gt(photos, 100);
}
