/*
 * What is no face: photos of animals, food and places in ../shared/data (FM_SHARED_DATA overrides). Skipped
 * without them.
 */
#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/cpu/cpu.h"
#include "lib/face/embed.h"
#include "tests/support/networks.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/banned.h"

static struct fm_models *models;

static void setup(void)
{
	fm_cpu_flush_denormals();
	test_networks_begin();
	models = test_networks_load("fr_detect", "fr_landmark", "fr_feature", FM_INT8);
}

static void teardown(void)
{
	fm_models_free(models);
	test_networks_end();
}

TestSuite(no_face, .init = setup, .fini = teardown);

static size_t count_faces(struct fm_pipeline *pipeline, const char *path)
{
	const struct fm_embed_request request = {.which = FM_EMBED_NONE};
	struct fm_faces faces = {0};
	struct fm_error err = {0};
	char *bytes;
	size_t length;

	cr_assert_eq(fm_file_read(path, (size_t)64 << 20, &bytes, &length, &err), FM_OK, "%s", err.message);
	cr_assert_eq(
	        fm_pipeline_run(pipeline, bytes, length, &request, &faces, &err), FM_OK, "%s", err.message);
	size_t count = faces.count;
	fm_faces_done(&faces);
	free(bytes);
	return count;
}

Test(no_face, none_is_found_in_48_of_50)
{
	struct fm_pipeline *pipeline = NULL;
	size_t photos = 0, without = 0;
	char path[800];

	DIR *dir = opendir(test_shared_path("no-face"));
	cr_assert_not_null(dir);
	cr_assert_eq(fm_pipeline_create(models, &fm_pipeline_defaults, &pipeline, NULL), FM_OK);
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", test_shared_path("no-face"), entry->d_name);
		photos++;
		without += count_faces(pipeline, path) == 0;
	}
	closedir(dir);
	cr_expect_eq(photos, 50);
	cr_expect_geq(without, 48, "%zu", without);
	fm_pipeline_free(pipeline);
}

/* A crop and its mirror image change places; what is the same in both is 1. */
Test(no_face, symmetry_is_that_of_the_mirror_image)
{
	struct fm_embed *embed = NULL;
	struct fm_image crop = {0}, mirrored = {0}, even = {0};

	cr_assert_eq(fm_embed_create(models->embedding, &embed, NULL), FM_OK);
	cr_assert_eq(fm_image_create(112, 112, &crop, NULL), FM_OK);
	cr_assert_eq(fm_image_create(112, 112, &mirrored, NULL), FM_OK);
	cr_assert_eq(fm_image_create(112, 112, &even, NULL), FM_OK);
	for (size_t y = 0; y < 112; y++)
		for (size_t x = 0; x < 112; x++)
			for (size_t c = 0; c < 3; c++) {
				uint8_t value = (uint8_t)(x * x / 60 + y * (c + 1) / 3);
				crop.pixels[y * crop.stride_bytes + x * 3 + c] = value;
				mirrored.pixels[y * mirrored.stride_bytes + (111 - x) * 3 + c] = value;
				even.pixels[y * even.stride_bytes + x * 3 + c] = (uint8_t)(2 * y);
			}
	double symmetry = fm_embed_symmetry(embed, &crop);
	cr_expect_eq(fm_embed_symmetry(embed, &mirrored), symmetry);
	cr_expect_lt(symmetry, 0.999);
	cr_expect_float_eq(fm_embed_symmetry(embed, &even), 1, 1e-5);

	/* The embedding is left as it is. */
	float before[512], after[512];
	fm_embed_run(embed, &crop, before);
	fm_embed_symmetry(embed, &mirrored);
	fm_embed_run(embed, &crop, after);
	for (size_t i = 0; i < 512; i++)
		cr_assert_eq(before[i], after[i]);
	fm_image_done(&crop);
	fm_image_done(&mirrored);
	fm_image_done(&even);
	fm_embed_free(embed);
}
