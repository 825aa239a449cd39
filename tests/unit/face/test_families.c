/*
 * Embedding networks of other families through their manifests alone, on photos and networks of
 * ../shared/data (FM_SHARED_DATA overrides): their calibrations hold. Skipped without them.
 */
#include "lib/base/file.h"
#include "lib/cpu/cpu.h"
#include "lib/face/calibrate.h"
#include "lib/face/embed.h"
#include "tests/support/networks.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define PAIRS   15 /* of each kind */
#define DIM_MAX 512

static struct fm_models *models;
static struct fm_pipeline *pipeline;

static void setup(void)
{
	fm_cpu_flush_denormals();
	test_networks_begin();
}

static void teardown(void)
{
	fm_pipeline_free(pipeline);
	fm_models_free(models);
	test_networks_end();
}

TestSuite(families, .init = setup, .fini = teardown);

static void use(const char *embedding, enum fm_precision precision)
{
	struct fm_error err = {0};

	fm_pipeline_free(pipeline);
	fm_models_free(models);
	models = test_networks_load("fr_detect", "fr_landmark", embedding, precision);
	cr_assert_eq(
	        fm_pipeline_create(models, &fm_pipeline_defaults, &pipeline, &err), FM_OK, "%s", err.message);
}

static void embed(const char *name, float ret_embedding[DIM_MAX])
{
	const struct fm_embed_request request = {.which = FM_EMBED_CENTRAL};
	struct fm_faces faces = {0};
	struct fm_error err = {0};
	char path[800], *bytes;
	size_t length;

	snprintf(path, sizeof(path), "%s/%s", test_shared_path("lfw-view1/images"), name);
	cr_assert_eq(fm_file_read(path, (size_t)64 << 20, &bytes, &length, &err), FM_OK, "%s", err.message);
	cr_assert_eq(
	        fm_pipeline_run(pipeline, bytes, length, &request, &faces, &err), FM_OK, "%s", err.message);
	cr_assert_geq(faces.count, 1, "%s", name);
	cr_assert_leq(faces.dim, DIM_MAX);
	memcpy(ret_embedding, faces.faces[0].embedding, faces.dim * sizeof(float));
	fm_faces_done(&faces);
	free(bytes);
}

static double cosine(const float *a, const float *b, size_t dim)
{
	double sum = 0;

	for (size_t i = 0; i < dim; i++)
		sum += (double)a[i] * (double)b[i];
	return sum;
}

/* At a false match rate of 1e-3 the pairs of one person pass (one may fail), at 1e-2 no other does. */
static void expect_calibrated(const char *embedding, size_t dim)
{
	int seen[2] = {0}, passed[2] = {0};
	char line[400];

	use(embedding, FM_INT8);
	cr_expect_eq(models->embedding->dim, dim);
	cr_assert_geq(models->embedding->calibration.count, 2);
	FILE *file = fopen(test_shared_path("lfw-view1/pairs.csv"), "re");
	cr_assert_not_null(file);
	while (fgets(line, sizeof(line), file)) {
		char *rest = line, *names[3];
		for (int i = 0; i < 3; i++)
			names[i] = strsep(&rest, ",\n");
		if (!names[2] || strlen(names[2]) != 1)
			continue; /* the header */
		bool same = names[2][0] == '1';
		if (seen[same] == PAIRS)
			continue;
		float a[DIM_MAX], b[DIM_MAX];
		embed(names[0], a);
		embed(names[1], b);
		seen[same]++;
		passed[same] += cosine(a, b, dim) >=
		                fm_calibrate_cosine(&models->embedding->calibration, same ? 1e-3 : 1e-2);
	}
	fclose(file);
	cr_assert_eq(seen[0] + seen[1], 2 * PAIRS);
	cr_expect_geq(passed[1], PAIRS - 1, "%s: %d of %d pass", embedding, passed[1], PAIRS);
	cr_expect_leq(passed[0], 0, "%s: %d of %d pass", embedding, passed[0], PAIRS);
}

Test(families, edgeface_xs)
{
	expect_calibrated("edgeface_xs", 512);
}

Test(families, edgeface_xxs)
{
	expect_calibrated("edgeface_xxs", 512);
}

Test(families, mobilefacenet_of_128_numbers)
{
	expect_calibrated("mobilefacenet_foamliu", 128);
}

/* Per-channel preprocessing and int8 do not lead away from the float network. */
Test(families, int8_stays_near_float32)
{
	static const char *const names[] = {"edgeface_xs", "edgeface_xxs", "mobilefacenet_foamliu"};
	static const char photo[] = "Abdullah_Gul/Abdullah_Gul_0013.jpg";

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		float quick[DIM_MAX], reference[DIM_MAX];
		char fingerprint[96];
		use(names[i], FM_INT8);
		embed(photo, quick);
		memcpy(fingerprint, models->embedding->fingerprint, sizeof(fingerprint));
		use(names[i], FM_FLOAT32);
		embed(photo, reference);
		cr_expect_gt(cosine(quick, reference, models->embedding->dim), 0.98, "%s", names[i]);
		cr_expect_str_neq(fingerprint, models->embedding->fingerprint);
	}
}

/* A model that flips gives a face and its mirror image the same embedding, and nothing else changes. */
Test(families, flip_makes_the_embedding_of_a_face_and_its_mirror_image_one)
{
	struct fm_embed *plain = NULL, *flipping = NULL;
	float embeddings[2][2][DIM_MAX];
	struct fm_image crops[2];

	use("edgeface_xxs", FM_FLOAT32);
	struct fm_model model = *models->embedding;
	for (int m = 0; m < 2; m++) {
		cr_assert_eq(fm_image_create(112, 112, &crops[m], NULL), FM_OK);
		for (int y = 0; y < 112; y++) {
			for (int x = 0; x < 112; x++) {
				int at = m ? 111 - x : x;
				uint8_t *pixel =
				        crops[m].pixels + (size_t)y * crops[m].stride_bytes + (size_t)x * 3;
				pixel[0] = (uint8_t)(at * 2 + y / 4);
				pixel[1] = (uint8_t)(at * at / 60 + y);
				pixel[2] = (uint8_t)(200 - at + y / 2);
			}
		}
	}
	cr_assert_eq(fm_embed_create(&model, &plain, NULL), FM_OK);
	model.flip = true;
	cr_assert_eq(fm_embed_create(&model, &flipping, NULL), FM_OK);
	for (int m = 0; m < 2; m++) {
		fm_embed_run(plain, &crops[m], embeddings[0][m]);
		fm_embed_run(flipping, &crops[m], embeddings[1][m]);
		fm_image_done(&crops[m]);
	}
	cr_expect_lt(cosine(embeddings[0][0], embeddings[0][1], model.dim), 0.999);
	cr_expect_float_eq(cosine(embeddings[1][0], embeddings[1][1], model.dim), 1, 1e-6);
	/* unit vectors a and b: the sum's direction lies as near to both as they allow */
	double between = cosine(embeddings[0][0], embeddings[0][1], model.dim);
	cr_expect_float_eq(
	        cosine(embeddings[1][0], embeddings[0][0], model.dim), sqrt((1 + between) / 2), 0.02);
	fm_embed_free(plain);
	fm_embed_free(flipping);
}
