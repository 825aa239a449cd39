/* facematchctl check: a whole gallery, and each kind of damage told. */
#include "lib/gallery/gallery.h"
#include "tests/support/ctl.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/banned.h"

#define DIM   128
#define MODEL "net@0123456789abcdef"
#define FACES 6
#define KEY   "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"

TEST_CTL_SUITE(check_command);

static char path[TEST_CTL_PATH], keys[TEST_CTL_PATH];

/* People with a face each, and a picture for a crop. */
static void make_gallery(const char *key_file)
{
	struct fm_gallery *gallery;
	struct fm_error err;
	float embedding[DIM] = {0};

	test_ctl_path("gallery.db", path);
	cr_assert_eq(fm_gallery_open_sealed(path, key_file, &gallery, &err), FM_OK, "%s", err.message);
	for (int i = 0; i < FACES; i++) {
		struct fm_face_insert insert = {.embedding = embedding,
		        .dim = DIM,
		        .model = MODEL,
		        .quality = "{}",
		        .box = {1, 2, 3, 4},
		        .crop = test_ctl_blank_png,
		        .crop_bytes = TEST_CTL_BLANK_PNG_BYTES};
		struct fm_person person;
		struct fm_face_record face;
		char name[16];
		bool existed;

		memset(embedding, 0, sizeof(embedding));
		embedding[i] = 1;
		insert.image_sha256[0] = (uint8_t)i;
		snprintf(name, sizeof(name), "p%d", i);
		cr_assert_eq(
		        fm_gallery_enroll_by_name(gallery, 1, name, &insert, &person, &face, &existed, &err),
		        FM_OK, "%s", err.message);
		fm_person_done(&person);
		fm_face_record_done(&face);
	}
	fm_gallery_close(gallery);
}

static void change(const char *sql)
{
	sqlite3 *db;

	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
	sqlite3_close(db);
}

static int files(void)
{
	DIR *dir = opendir(test_ctl_dir());
	int count = 0;

	cr_assert_not_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));)
		count += strncmp(entry->d_name, "gallery.db", 10) == 0;
	closedir(dir);
	return count;
}

static void expect_whole(const char *option, const char *value)
{
	struct test_ctl_result result = test_ctl_run("check", "--gallery", path, option, value, NULL);

	cr_expect_eq(result.status, 0, "%s%s", result.out, result.err);
	cr_expect_not_null(strstr(result.out, "1 collections, 6 people, 6 faces, 6 embeddings, 6 crops\n"),
	        "%s", result.out);
	cr_expect_not_null(strstr(result.out, "nothing is wrong\n"), "%s", result.out);
	test_ctl_result_done(&result);
}

Test(check_command, whole_galleries_are_left_alone)
{
	make_gallery(NULL);
	int before = files();

	expect_whole(NULL, NULL);
	cr_expect_eq(files(), before, "nothing is made beside it");
	test_ctl_expect_failure(
	        test_ctl_run("check", "--gallery", "/nowhere/gallery.db", NULL), "there is no such file");
	test_ctl_expect_usage_error(test_ctl_run("check", NULL), "--gallery");
}

Test(check_command, sealed_galleries)
{
	test_ctl_write("keys", KEY, sizeof(KEY) - 1);
	test_ctl_path("keys", keys);
	cr_assert_eq(chmod(keys, 0600), 0);
	make_gallery(keys);
	expect_whole("--seal-keys", keys);
	test_ctl_expect_failure(test_ctl_run("check", "--gallery", path, NULL), "sealed");
	change("UPDATE faces SET embedding = zeroblob(length(embedding)) WHERE key = 2");
	struct test_ctl_result result = test_ctl_run("check", "--gallery", path, "--seal-keys", keys, NULL);
	cr_expect_eq(result.status, 1);
	cr_expect_not_null(strstr(result.out, "\n1 findings\n"), "%s", result.out);
	test_ctl_result_done(&result);
}

Test(check_command, damage_is_told)
{
	static const struct {
		const char *sql, *says;
	} damages[] = {
	        {"UPDATE collections SET faces = 7", "counts 6 people and 7 faces, and has 6 and 6"},
	        {"UPDATE people SET faces = 3 WHERE key = 2", "counts 3 faces, and has 1"},
	        {"UPDATE models SET faces = 1", "counts 1 embeddings, and has 6"},
	        {"UPDATE faces SET embedding = zeroblob(512) WHERE key = 1", "not of unit length"},
	        {"UPDATE faces SET embedding = x'00' WHERE key = 1", "an embedding of 1 bytes"},
	        {"UPDATE crops SET jpeg = zeroblob(length(jpeg)) WHERE face = 4", "crop of face "},
	        {"INSERT INTO embeddings (face, model, embedding) SELECT key, model, embedding FROM faces"
	         " WHERE key = 5",
	                "two embeddings under one model"},
	        {"PRAGMA foreign_keys = OFF; INSERT INTO crops (face, bytes, jpeg) VALUES (99, 1, x'00')",
	                "row 99 of crops refers to nothing in faces"},
	};

	make_gallery(NULL);
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		if (i) {
			cr_assert_eq(unlink(path), 0);
			make_gallery(NULL);
		}
		change(damages[i].sql);
		struct test_ctl_result result = test_ctl_run("check", "--gallery", path, NULL);
		cr_expect_eq(result.status, 1, "%s", damages[i].sql);
		cr_expect_not_null(strstr(result.out, damages[i].says), "%s: %s%s", damages[i].sql,
		        result.out, result.err);
		test_ctl_result_done(&result);
	}
}

/* Bytes that no statement wrote. */
Test(check_command, damaged_pages_are_told)
{
	make_gallery(NULL);
	FILE *file = fopen(path, "r+e");

	cr_assert_not_null(file);
	fseek(file, 0, SEEK_END);
	long size = ftell(file);
	for (long at = 2048 * 8; at < size; at += 2048) {
		fseek(file, at, SEEK_SET);
		for (int i = 0; i < 64; i++)
			fputc(0x5a, file);
	}
	fclose(file);
	struct test_ctl_result result = test_ctl_run("check", "--gallery", path, NULL);
	cr_expect_eq(result.status, 1, "%s%s", result.out, result.err);
	test_ctl_result_done(&result);
}
