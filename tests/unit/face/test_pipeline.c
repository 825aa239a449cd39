/*
 * Photos to faces, end to end: the six group photos of npm's @vladmandic/face-api 1.7.15 (build/demo, 22
 * faces) through the default networks (build/models). Skipped without them, and without ../shared/data
 * (FM_SHARED_DATA overrides) what needs it. No photo or face is stored here.
 */
#include "lib/face/pipeline.h"

#include "lib/base/file.h"
#include "lib/cpu/cpu.h"
#include "lib/image/warp.h"
#include "tests/support/photo.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define PHOTO_BYTES_MAX ((size_t)32 << 20)

static struct fm_models *models;
static struct fm_pipeline *pipeline;

static struct fm_models *load_models(enum fm_precision precision)
{
	struct fm_models_options options = fm_models_defaults;
	struct fm_models *loaded = NULL;
	struct fm_error err = {0};

	options.models_dir = "build/models";
	options.manifests_dir = "config/models";
	options.precision = precision;
	enum fm_status status = fm_models_load(&options, &loaded, &err);
	if (status == FM_E_NOT_FOUND)
		cr_skip_test("%s: make models", err.message);
	cr_assert_eq(status, FM_OK, "%s", err.message);
	return loaded;
}

static void use(int min_face_px)
{
	struct fm_pipeline_options options = fm_pipeline_defaults;
	struct fm_error err = {0};

	options.min_face_px = min_face_px;
	fm_pipeline_free(pipeline);
	cr_assert_eq(fm_pipeline_create(models, &options, &pipeline, &err), FM_OK, "%s", err.message);
}

static void setup(void)
{
	fm_cpu_flush_denormals();
	models = load_models(FM_INT8);
	use(80);
}

static void teardown(void)
{
	fm_pipeline_free(pipeline);
	fm_models_free(models);
}

TestSuite(pipeline, .init = setup, .fini = teardown);

static struct test_bytes read_photo(const char *path)
{
	struct test_bytes photo;
	struct fm_error err = {0};
	char *bytes;
	enum fm_status status = fm_file_read(path, PHOTO_BYTES_MAX, &bytes, &photo.length, &err);

	if (status == FM_E_NOT_FOUND)
		cr_skip_test("%s is not there", path);
	cr_assert_eq(status, FM_OK, "%s", err.message);
	photo.data = (uint8_t *)bytes;
	return photo;
}

static struct test_bytes demo_photo(int number)
{
	char path[64];

	snprintf(path, sizeof(path), "build/demo/sample%d.jpg", number);
	return read_photo(path);
}

static struct fm_image demo_image(int number)
{
	struct test_bytes photo = demo_photo(number);
	struct fm_error err = {0};
	struct fm_image image;

	cr_assert_eq(fm_image_decode(
	                     photo.data, photo.length, &fm_pipeline_defaults.limits, 1, &image, NULL, &err),
	        FM_OK, "%s", err.message);
	test_bytes_done(&photo);
	return image;
}

static struct fm_faces run(const struct test_bytes *photo, enum fm_embed_which which)
{
	struct fm_embed_request request = {.which = which};
	struct fm_faces faces = {0};
	struct fm_error err = {0};

	cr_assert_eq(fm_pipeline_run(pipeline, photo->data, photo->length, &request, &faces, &err), FM_OK,
	        "%s", err.message);
	return faces;
}

/* Encodes the rectangle as a JPEG of that size and looks for faces. Consumes nothing. */
static struct fm_faces run_part(const struct fm_image *image, double x, double y, double width, double height,
        int to_width, int to_height, enum fm_embed_which which)
{
	const struct test_jpeg good = {.quality = 95};
	struct fm_image part;

	cr_assert_eq(fm_image_create(to_width, to_height, &part, NULL), FM_OK);
	fm_image_resize_rect(image, x, y, width, height, 0, &part);
	struct test_bytes photo = test_jpeg_encode(&part, &good);
	struct fm_faces faces = run(&photo, which);
	test_bytes_done(&photo);
	fm_image_done(&part);
	return faces;
}

static double cosine(const struct fm_face *a, const struct fm_face *b)
{
	double sum = 0;

	for (size_t i = 0; i < models->embedding->dim; i++)
		sum += (double)a->embedding[i] * b->embedding[i];
	return sum;
}

/* The face of `faces` whose box shares most with `box` (more than half of it), or NULL. */
static const struct fm_face *find(const struct fm_faces *faces, const struct fm_box *box)
{
	const struct fm_face *best = NULL;
	float most = 0.5F * fm_box_area(box);

	for (size_t i = 0; i < faces->count; i++) {
		float shared = fm_box_overlap(&faces->faces[i].box, box);
		if (shared > most) {
			most = shared;
			best = &faces->faces[i];
		}
	}
	return best;
}

static struct fm_box scaled(const struct fm_box *box, float scale)
{
	return (struct fm_box){
	        box->x_px * scale, box->y_px * scale, box->width_px * scale, box->height_px * scale};
}

static void expect_sound(const struct fm_faces *faces, const struct fm_face *face)
{
	const struct fm_box *box = &face->box;
	double length = 0;

	cr_expect(face->score > 0 && face->score <= 1.0001F);
	cr_expect(face->quality.score >= 0 && face->quality.score <= 1);
	for (int p = 0; p < 5; p++) {
		cr_expect(face->landmarks[p][0] > box->x_px - 0.2F * box->width_px &&
		          face->landmarks[p][0] < box->x_px + 1.2F * box->width_px);
		cr_expect(face->landmarks[p][1] > box->y_px &&
		          face->landmarks[p][1] < box->y_px + box->height_px);
	}
	cr_expect_lt(face->landmarks[0][0], face->landmarks[1][0], "left eye, right eye");
	cr_expect_lt(face->landmarks[0][1], face->landmarks[3][1], "eyes above the mouth");
	if (face->embedding) {
		for (size_t i = 0; i < faces->dim; i++)
			length += (double)face->embedding[i] * face->embedding[i];
		cr_expect_float_eq(length, 1, 1e-5);
	}
}

Test(pipeline, finds_everybody_in_the_group_photos)
{
	static const size_t people[] = {3, 3, 3, 4, 5, 4};

	for (int number = 1; number <= 6; number++) {
		struct test_bytes photo = demo_photo(number);
		struct fm_faces faces = run(&photo, FM_EMBED_ALL);
		cr_expect_eq(faces.count, people[number - 1], "sample%d: %zu faces", number, faces.count);
		cr_expect_eq(faces.image_width_px, 1920);
		cr_expect_not(faces.truncated);
		for (size_t i = 0; i < faces.count; i++) {
			expect_sound(&faces, &faces.faces[i]);
			cr_expect_not_null(faces.faces[i].embedding);
			if (i > 0) {
				cr_expect_geq(fm_box_area(&faces.faces[i - 1].box),
				        fm_box_area(&faces.faces[i].box), "largest first");
				cr_expect_lt(cosine(&faces.faces[i - 1], &faces.faces[i]), 0.41,
				        "two people in sample%d", number);
			}
		}
		fm_faces_done(&faces);
		test_bytes_done(&photo);
	}
}

/* Shrunk so that the smallest face is 42 px, and grown to 12 megapixels: other levels, tiles and decoding. */
Test(pipeline, finds_the_same_faces_at_other_sizes)
{
	static const int numbers[] = {3, 5, 6};

	for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++) {
		struct fm_image image = demo_image(numbers[n]);
		float width = (float)image.width_px, height = (float)image.height_px, smallest = INFINITY;
		use(80);
		struct fm_faces first = run_part(&image, 0, 0, (double)width, (double)height, image.width_px,
		        image.height_px, FM_EMBED_ALL);
		for (size_t i = 0; i < first.count; i++)
			smallest = fminf(smallest, first.faces[i].quality.size_px);
		const struct {
			float scale;
			int min_face_px;
			double cosine_min;
		} sizes[] = {{42 / smallest, 40, 0.6}, {4000 / width, 80, 0.95}, {4000 / width, 300, 0.95}};
		for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
			float scale = sizes[s].scale;
			use(sizes[s].min_face_px);
			struct fm_faces again = run_part(&image, 0, 0, (double)width, (double)height,
			        (int)lroundf(width * scale), (int)lroundf(height * scale), FM_EMBED_ALL);
			cr_expect_eq(again.count, first.count, "sample%d times %g: %zu faces", numbers[n],
			        (double)scale, again.count);
			for (size_t i = 0; i < first.count; i++) {
				struct fm_box box = scaled(&first.faces[i].box, scale);
				const struct fm_face *same = find(&again, &box);
				cr_assert_not_null(
				        same, "sample%d times %g: face %zu", numbers[n], (double)scale, i);
				cr_expect_gt(cosine(&first.faces[i], same), sizes[s].cosine_min,
				        "sample%d times %g: face %zu: %g", numbers[n], (double)scale, i,
				        cosine(&first.faces[i], same));
			}
			fm_faces_done(&again);
		}
		fm_faces_done(&first);
		fm_image_done(&image);
	}
}

/* A crop along the box, some of the face cut away on a side, must still show its face and know it. */
Test(pipeline, finds_faces_that_fill_or_leave_the_frame)
{
	static const double cuts[][4] = {{0, 0, 1, 1}, {0.12, 0, 0.88, 1}, {0, 0.12, 1, 0.88},
	        {0, 0, 0.88, 1}, {0, 0, 1, 0.9}, {-0.1, -0.1, 1.2, 1.2}};

	for (int number = 5; number <= 6; number++) {
		struct fm_image image = demo_image(number);
		struct test_bytes photo = demo_photo(number);
		struct fm_faces faces = run(&photo, FM_EMBED_ALL);
		for (size_t i = 0; i < faces.count; i++) {
			const struct fm_box *box = &faces.faces[i].box;
			for (size_t c = 0; c < sizeof(cuts) / sizeof(cuts[0]); c++) {
				double width = cuts[c][2] * (double)box->width_px;
				double height = cuts[c][3] * (double)box->height_px;
				struct fm_faces tight = run_part(&image,
				        (double)box->x_px + cuts[c][0] * (double)box->width_px,
				        (double)box->y_px + cuts[c][1] * (double)box->height_px, width,
				        height, (int)width, (int)height, FM_EMBED_CENTRAL);
				cr_assert_geq(tight.count, 1, "sample%d, face %zu, cut %zu", number, i, c);
				cr_expect_gt(cosine(&faces.faces[i], &tight.faces[0]), 0.41,
				        "sample%d, face %zu, cut %zu: %g", number, i, c,
				        cosine(&faces.faces[i], &tight.faces[0]));
				fm_faces_done(&tight);
			}
		}
		fm_faces_done(&faces);
		test_bytes_done(&photo);
		fm_image_done(&image);
	}
}

/* In a crop along the box, enlarged, eyes or a mouth by themselves must not pass for the face. */
Test(pipeline, parts_of_a_large_face_are_not_the_face)
{
	for (int number = 5; number <= 6; number++) {
		struct fm_image image = demo_image(number);
		struct test_bytes photo = demo_photo(number);
		struct fm_faces faces = run(&photo, FM_EMBED_ALL);
		for (size_t i = 0; i < faces.count; i++) {
			const struct fm_box *box = &faces.faces[i].box;
			double scale = 1300 / (double)box->height_px;
			int width = (int)(scale * (double)box->width_px);
			struct fm_faces large = run_part(&image, (double)box->x_px, (double)box->y_px,
			        (double)box->width_px, (double)box->height_px, width, 1300, FM_EMBED_LARGEST);
			cr_assert_eq(large.count, 1, "sample%d, face %zu: %zu", number, i, large.count);
			cr_expect_gt(large.faces[0].box.height_px, 900, "sample%d, face %zu", number, i);
			cr_expect_gt(cosine(&faces.faces[i], &large.faces[0]), 0.41, "sample%d, face %zu: %g",
			        number, i, cosine(&faces.faces[i], &large.faces[0]));
			fm_faces_done(&large);
		}
		fm_faces_done(&faces);
		test_bytes_done(&photo);
		fm_image_done(&image);
	}
}

Test(pipeline, follows_the_exif_orientation)
{
	const struct test_jpeg good = {.quality = 95};
	struct fm_image image = demo_image(6);
	struct test_bytes plain = test_jpeg_encode(&image, &good);
	struct fm_faces first = run(&plain, FM_EMBED_ALL);

	for (int orientation = 2; orientation <= 8; orientation++) {
		struct fm_image stored = test_scene_stored(&image, orientation);
		struct test_bytes jpeg = test_jpeg_encode(&stored, &good);
		struct test_bytes exif = test_exif(orientation, orientation % 2);
		struct test_bytes photo = test_jpeg_with_exif(&jpeg, &exif);
		struct fm_faces again = run(&photo, FM_EMBED_ALL);
		cr_expect_eq(again.image_width_px, first.image_width_px);
		cr_expect_eq(again.count, first.count, "orientation %d", orientation);
		for (size_t i = 0; i < first.count; i++) {
			const struct fm_face *same = find(&again, &first.faces[i].box);
			cr_assert_not_null(same, "orientation %d", orientation);
			cr_expect_gt(cosine(&first.faces[i], same), 0.97, "orientation %d: %g", orientation,
			        cosine(&first.faces[i], same));
		}
		fm_faces_done(&again);
		test_bytes_done(&photo);
		test_bytes_done(&exif);
		test_bytes_done(&jpeg);
		fm_image_done(&stored);
	}
	fm_faces_done(&first);
	test_bytes_done(&plain);
	fm_image_done(&image);
}

static double centre_x(const struct fm_face *face)
{
	return (double)(face->box.x_px + face->box.width_px / 2);
}

static double centre_y(const struct fm_face *face)
{
	return (double)(face->box.y_px + face->box.height_px / 2);
}

Test(pipeline, embeds_the_face_that_is_asked_for)
{
	struct test_bytes photo = demo_photo(5);
	struct fm_faces all = run(&photo, FM_EMBED_ALL), none = run(&photo, FM_EMBED_NONE),
	                largest = run(&photo, FM_EMBED_LARGEST), central = run(&photo, FM_EMBED_CENTRAL);

	cr_assert_eq(all.count, 5);
	cr_expect_null(none.embeddings);
	cr_expect_null(none.faces[0].embedding);
	cr_assert_not_null(largest.faces[0].embedding);
	cr_expect_null(largest.faces[1].embedding);
	cr_expect_float_eq(cosine(&all.faces[0], &largest.faces[0]), 1, 1e-6);
	cr_assert_not_null(central.faces[0].embedding);
	for (size_t i = 1; i < central.count; i++) {
		double dx = central.image_width_px / 2.0, dy = central.image_height_px / 2.0;
		cr_expect_lt(hypot(centre_x(&central.faces[0]) - dx, centre_y(&central.faces[0]) - dy),
		        hypot(centre_x(&central.faces[i]) - dx, centre_y(&central.faces[i]) - dy));
		cr_expect_null(central.faces[i].embedding);
	}
	for (size_t i = 0; i < all.count; i++) {
		struct fm_embed_request request = {.which = FM_EMBED_AT,
		        .x_px = (float)centre_x(&all.faces[i]),
		        .y_px = (float)centre_y(&all.faces[i])};
		struct fm_faces at = {0};
		cr_assert_eq(fm_pipeline_run(pipeline, photo.data, photo.length, &request, &at, NULL), FM_OK);
		cr_expect_eq(at.count, all.count);
		cr_expect_float_eq(cosine(&all.faces[i], &at.faces[0]), 1, 1e-6);
		fm_faces_done(&at);
	}
	struct fm_embed_request nowhere = {.which = FM_EMBED_AT, .x_px = 2, .y_px = 2};
	struct fm_faces kept = {.count = 77};
	struct fm_error err = {0};
	cr_expect_eq(
	        fm_pipeline_run(pipeline, photo.data, photo.length, &nowhere, &kept, &err), FM_E_NO_FACE);
	cr_expect_eq(kept.count, 77, "outputs change only on success");
	fm_faces_done(&all);
	fm_faces_done(&none);
	fm_faces_done(&largest);
	fm_faces_done(&central);
	test_bytes_done(&photo);
}

Test(pipeline, keeps_the_largest_so_many)
{
	struct fm_pipeline_options options = fm_pipeline_defaults;
	struct test_bytes photo = demo_photo(5);
	struct fm_faces all = run(&photo, FM_EMBED_NONE);

	options.faces_max = 2;
	fm_pipeline_free(pipeline);
	pipeline = NULL;
	cr_assert_eq(fm_pipeline_create(models, &options, &pipeline, NULL), FM_OK);
	struct fm_faces two = run(&photo, FM_EMBED_ALL);
	cr_assert_eq(two.count, 2);
	cr_expect_eq(two.faces[1].box.x_px, all.faces[1].box.x_px);
	fm_faces_done(&all);
	fm_faces_done(&two);
	test_bytes_done(&photo);
}

/* Spoilt photos of a good face are told apart from it. */
Test(pipeline, quality_sees_blur_and_dark)
{
	struct fm_image image = demo_image(6);
	struct fm_faces good = run_part(&image, 1300, 150, 600, 600, 600, 600, FM_EMBED_CENTRAL);
	struct fm_image dark, blurred;

	cr_assert_geq(good.count, 1);
	cr_expect_eq(good.faces[0].reasons, 0);
	cr_assert_eq(fm_image_create(600, 600, &dark, NULL), FM_OK);
	fm_image_resize_rect(&image, 1300, 150, 600, 600, 0, &dark);
	for (size_t i = 0; i < dark.stride_bytes * 600; i++)
		dark.pixels[i] = (uint8_t)(dark.pixels[i] / 7);
	cr_assert_eq(fm_image_create(50, 50, &blurred, NULL), FM_OK);
	fm_image_resize_rect(&image, 1300, 150, 600, 600, 0, &blurred);
	struct fm_faces in_dark = run_part(&dark, 0, 0, 600, 600, 600, 600, FM_EMBED_CENTRAL);
	struct fm_faces in_blur = run_part(&blurred, 0, 0, 50, 50, 600, 600, FM_EMBED_CENTRAL);
	cr_assert_geq(in_dark.count, 1);
	cr_assert_geq(in_blur.count, 1);
	cr_expect(in_dark.faces[0].reasons & FM_REASON_LOW_BRIGHTNESS);
	cr_expect(in_blur.faces[0].reasons & FM_REASON_LOW_SHARPNESS, "sharpness %g",
	        (double)in_blur.faces[0].quality.sharpness);
	cr_expect_lt(in_dark.faces[0].quality.score, good.faces[0].quality.score);
	cr_expect_lt(in_blur.faces[0].quality.score, good.faces[0].quality.score);
	fm_faces_done(&good);
	fm_faces_done(&in_dark);
	fm_faces_done(&in_blur);
	fm_image_done(&dark);
	fm_image_done(&blurred);
	fm_image_done(&image);
}

Test(pipeline, a_scene_without_people_is_no_error)
{
	struct fm_image scene = test_scene(700, 500);
	struct fm_faces faces = run_part(&scene, 0, 0, 700, 500, 700, 500, FM_EMBED_ALL);

	cr_expect_eq(faces.count, 0);
	cr_expect_eq(faces.image_width_px, 700);
	fm_faces_done(&faces);
	fm_image_done(&scene);
}

Test(pipeline, refuses_what_is_no_photo)
{
	struct fm_embed_request request = {.which = FM_EMBED_ALL};
	struct fm_pipeline_options options = fm_pipeline_defaults;
	struct fm_pipeline *other = NULL;
	struct fm_faces faces = {0};

	cr_expect_eq(fm_pipeline_run(pipeline, "hello", 5, &request, &faces, NULL), FM_E_UNSUPPORTED);
	cr_expect_eq(fm_pipeline_run(pipeline, "", 0, &request, &faces, NULL), FM_E_UNSUPPORTED);
	options.min_face_px = 5;
	cr_expect_eq(fm_pipeline_create(models, &options, &other, NULL), FM_E_INVALID);
	cr_expect_null(other);
}

/* ---- int8 beside float32 ---- */

struct agreement {
	double sum;
	size_t faces;
};

static void compare(
        struct fm_pipeline *reference, const struct test_bytes *photo, struct agreement *agreement)
{
	struct fm_embed_request request = {.which = FM_EMBED_ALL};
	struct fm_faces expected = {0}, faces = run(photo, FM_EMBED_ALL);
	struct fm_error err = {0};

	cr_assert_eq(fm_pipeline_run(reference, photo->data, photo->length, &request, &expected, &err), FM_OK,
	        "%s", err.message);
	cr_assert_eq(expected.count, faces.count);
	for (size_t i = 0; i < faces.count; i++, agreement->faces++)
		agreement->sum += cosine(&expected.faces[i], &faces.faces[i]);
	fm_faces_done(&expected);
	fm_faces_done(&faces);
}

static void expect_int8_like_float(const char *const *paths, size_t count)
{
	struct fm_models *reference_models = load_models(FM_FLOAT32);
	struct fm_pipeline *reference = NULL;
	struct agreement agreement = {0};

	cr_assert_str_neq(reference_models->embedding->fingerprint, models->embedding->fingerprint);
	cr_assert_eq(fm_pipeline_create(reference_models, &fm_pipeline_defaults, &reference, NULL), FM_OK);
	for (size_t i = 0; i < count; i++) {
		struct test_bytes photo = read_photo(paths[i]);
		compare(reference, &photo, &agreement);
		test_bytes_done(&photo);
	}
	cr_assert_geq(agreement.faces, count);
	double mean = agreement.sum / (double)agreement.faces;
	cr_expect_geq(mean, 0.995, "mean cosine %g over %zu faces", mean, agreement.faces);
	fm_pipeline_free(reference);
	fm_models_free(reference_models);
}

Test(pipeline, int8_is_like_float32_on_the_group_photos)
{
	static const char *const paths[] = {"build/demo/sample1.jpg", "build/demo/sample2.jpg",
	        "build/demo/sample3.jpg", "build/demo/sample4.jpg", "build/demo/sample5.jpg",
	        "build/demo/sample6.jpg"};

	expect_int8_like_float(paths, sizeof(paths) / sizeof(paths[0]));
}

static const char *shared_data(void)
{
	const char *named = getenv("FM_SHARED_DATA");

	return named && named[0] ? named : "../shared/data";
}

/* Animals, food and places: hardly anything there may pass for a face (measured: 3 detections in 50 photos).
 */
Test(pipeline, sees_hardly_any_face_where_there_is_none)
{
	char folder[4096], path[8192];
	size_t photos = 0, faces = 0;

	snprintf(folder, sizeof(folder), "%s/no-face", shared_data());
	DIR *dir = opendir(folder);
	if (!dir)
		cr_skip_test("%s is not there", folder);
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		struct test_bytes photo = read_photo(path);
		struct fm_faces found = run(&photo, FM_EMBED_NONE);
		photos++;
		faces += found.count;
		fm_faces_done(&found);
		test_bytes_done(&photo);
	}
	closedir(dir);
	cr_expect_geq(photos, 50);
	cr_expect_leq(faces, 4, "%zu faces in %zu photos", faces, photos);
}

/* The first 100 photos of the pairs, and with them: nobody is missed, the same person matches. */
Test(pipeline, int8_is_like_float32_on_lfw)
{
	enum { PHOTOS = 100 };
	char list[4096], paths[PHOTOS][512], line[512], a[200], b[200];
	const char *pointers[PHOTOS];
	size_t count = 0;

	snprintf(list, sizeof(list), "%s/lfw-view1/pairs.csv", shared_data());
	FILE *file = fopen(list, "r");
	if (!file)
		cr_skip_test("%s is not there", list);
	cr_assert_not_null(fgets(line, sizeof(line), file), "a header");
	while (count + 2 <= PHOTOS && fgets(line, sizeof(line), file)) {
		cr_assert_eq(sscanf(line, "%199[^,],%199[^,],", a, b), 2);
		snprintf(paths[count], sizeof(paths[0]), "%s/lfw-view1/images/%s", shared_data(), a);
		snprintf(paths[count + 1], sizeof(paths[0]), "%s/lfw-view1/images/%s", shared_data(), b);
		count += 2;
	}
	fclose(file);
	for (size_t i = 0; i < count; i++)
		pointers[i] = paths[i];
	expect_int8_like_float(pointers, count);
}
