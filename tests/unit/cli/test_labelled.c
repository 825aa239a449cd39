#include "cli/labelled.h"
#include "tests/support/ctl.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/banned.h"

TEST_CTL_SUITE(labelled);

static enum fm_status parse(const char *text, struct fm_labelled *labelled, struct fm_error *err)
{
	char bytes[256];

	cr_assert_lt(strlen(text), sizeof(bytes));
	memcpy(bytes, text, strlen(text) + 1);
	return fm_labelled_parse(bytes, strlen(text), labelled, err);
}

Test(labelled, people_are_numbered_and_matched_by_name)
{
	struct fm_labelled gallery = {0}, probes = {0};
	size_t person[4], probe_person[3], people;

	cr_assert_eq(parse("person,x,image\nZoe,,z1.jpg\nAnn,,a1.jpg\nZoe,,z2.jpg\n\"B, C\",,b.jpg\n",
	                     &gallery, NULL),
	        FM_OK);
	cr_assert_eq(parse("image,person\nq,Zoe\nr,Nobody\ns,Ann\n", &probes, NULL), FM_OK);
	cr_assert_eq(gallery.count, 4);
	cr_expect_str_eq(gallery.photos[2].path, "z2.jpg");
	cr_expect_str_eq(gallery.photos[3].person, "B, C");
	cr_expect_eq(gallery.photos[3].line, 5);
	cr_assert_eq(fm_labelled_number(&gallery, person, &people, NULL), FM_OK);
	cr_expect_eq(people, 3);
	cr_expect(person[0] == 2 && person[1] == 0 && person[2] == 2 && person[3] == 1);
	cr_assert_eq(fm_labelled_match(&gallery, person, &probes, probe_person, NULL), FM_OK);
	cr_expect(probe_person[0] == 2 && probe_person[1] == FM_LABELLED_NOBODY && probe_person[2] == 0);
	fm_labelled_done(&gallery);
	fm_labelled_done(&probes);
}

static void expect_error(const char *text, const char *message)
{
	struct fm_labelled labelled = {0};
	struct fm_error err;

	cr_expect_eq(parse(text, &labelled, &err), FM_E_INVALID);
	cr_expect_str_eq(err.message, message, "got: %s", err.message);
	cr_expect_null(labelled.photos);
}

Test(labelled, errors_name_the_line)
{
	expect_error("image\nx\n", "the header has no column 'person'; it must name image and person");
	expect_error("", "the header has no column 'image'; it must name image and person");
	expect_error("image,person\n", "there are no photos");
	expect_error("image,person\nx,y\nx\n", "line 3: column 'person' is empty");
	expect_error("image,person\n,y\n", "line 2: column 'image' is empty");
}

Test(labelled, a_directory_gives_a_person_each_folder)
{
	struct fm_labelled labelled = {0};
	struct fm_error err;
	char path[TEST_CTL_PATH];

	cr_expect_eq(fm_labelled_scan(test_ctl_dir(), &labelled, &err), FM_E_INVALID);
	cr_expect_eq(mkdir(test_ctl_path("b", path), 0700), 0);
	cr_expect_eq(mkdir(test_ctl_path("a", path), 0700), 0);
	cr_expect_eq(mkdir(test_ctl_path(".hidden", path), 0700), 0);
	test_ctl_write("b/2.JPEG", "", 0);
	test_ctl_write("b/1.webp", "", 0);
	test_ctl_write("b/notes.txt", "", 0);
	test_ctl_write("b/.3.jpg", "", 0);
	test_ctl_write("a/x.png", "", 0);
	test_ctl_write(".hidden/x.png", "", 0);
	test_ctl_write("stray.jpg", "", 0);
	cr_assert_eq(fm_labelled_scan(test_ctl_dir(), &labelled, &err), FM_OK, "%s", err.message);
	cr_assert_eq(labelled.count, 3);
	cr_expect_str_eq(labelled.photos[0].path, "a/x.png");
	cr_expect_str_eq(labelled.photos[1].path, "b/1.webp");
	cr_expect_str_eq(labelled.photos[2].path, "b/2.JPEG");
	cr_expect_str_eq(labelled.photos[2].person, "b");
	fm_labelled_done(&labelled);
	cr_expect_eq(fm_labelled_scan("/nonexistent", &labelled, &err), FM_E_NOT_FOUND);
}
