/* facematchctl import and backup against a real daemon. */
#include "lib/base/cleanup.h"
#include "lib/base/file.h"
#include "tests/support/ctl.h"
#include "tests/support/daemon_harness.h"
#include "tests/support/http_client.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/banned.h"

TEST_CTL_SUITE(import);

static const char *url_of(const struct test_daemon *daemon, char url[64])
{
	snprintf(url, 64, "http://127.0.0.1:%d", daemon->port);
	return url;
}

/* One photo of Ann, the same again under another name, a blank one, and one that shows several people. */
static void make_album(void)
{
	static const char *const folders[] = {"album", "album/Ann", "album/Bob", "album/Ann, \"A\""};
	size_t length;
	char path[TEST_CTL_PATH];
	fm_autofree char *one = test_demo_photo("sample4.jpg", &length);

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		cr_assert_eq(mkdir(test_ctl_path(folders[i], path), 0755), 0);
	test_ctl_write("album/Ann/a.jpg", one, length);
	test_ctl_write("album/Ann/b.jpg", one, length);
	test_ctl_write("album/Ann, \"A\"/a.jpg", one, length);
	test_ctl_write("album/Bob/blank.png", test_ctl_blank_png, TEST_CTL_BLANK_PNG_BYTES);
}

static json_int_t count_people(const struct test_daemon *daemon, const char *collection)
{
	char path[64];

	snprintf(path, sizeof(path), "/v1/collections/%s", collection);
	json_t *json = test_take_json(test_get(daemon, path), 200, "collection");
	json_int_t people = json_integer_value(json_object_get(json, "people"));
	json_decref(json);
	return people;
}

Test(import, folders_with_a_report_that_goes_on)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	char url[64], album[TEST_CTL_PATH], report[TEST_CTL_PATH];
	fm_autofree char *csv = NULL;
	fm_autofree char *again = NULL;
	size_t length;

	make_album();
	test_ctl_path("album", album);
	test_ctl_path("report.csv", report);
	struct test_ctl_result result = test_ctl_run("import", album, "--url", url_of(&daemon, url),
	        "--largest", "--report", report, "--jobs", "3", NULL);
	cr_expect_eq(result.status, 0, "%s", result.err);
	cr_expect(strstr(result.out, "2 enrolled, 1 there already, 1 refused, 0 failed"), "%s", result.out);
	cr_expect(strstr(result.err, "Bob/blank.png: refused: no_face"), "%s", result.err);
	test_ctl_result_done(&result);
	cr_expect_eq(count_people(&daemon, "default"), 2);

	cr_assert_eq(fm_file_read(report, 1 << 20, &csv, &length, NULL), FM_OK);
	cr_expect(strstr(csv, "\"Ann, \"\"A\"\"/a.jpg\",\"Ann, \"\"A\"\"\",enrolled,,,"), "%s", csv);
	cr_expect(strstr(csv, "Bob/blank.png,Bob,refused,no_face,"), "%s", csv);

	/* A line that power cut short is a photo to do again; the others are not asked about. */
	cr_assert_eq(truncate(report, (off_t)length - 3), 0);
	result = test_ctl_run("import", album, "--url", url, "--largest", "--report", report, NULL);
	cr_expect_eq(result.status, 0, "%s", result.err);
	cr_expect(strstr(result.out, "3 settled by an earlier run"), "%s", result.out);
	test_ctl_result_done(&result);
	cr_assert_eq(fm_file_read(report, 1 << 20, &again, &length, NULL), FM_OK);
	size_t lines = 0;
	for (const char *at = again; (at = strchr(at, '\n')); at++)
		lines++;
	cr_expect_eq(lines, 5, "%s", again);
	test_daemon_stop(&daemon);
}

Test(import, a_list)
{
	static const char list[] = "person,image\nZoe,Ann/a.jpg\nZoe,absent.jpg\n";
	struct test_daemon daemon = test_daemon_start(NULL);
	char url[64], csv[TEST_CTL_PATH];

	make_album();
	test_ctl_write("album/list.csv", list, sizeof(list) - 1);
	test_ctl_path("album/list.csv", csv);
	test_expect_status(
	        test_json(&daemon, "POST", "/v1/collections", "{\"name\":\"staff\"}"), 201, "staff");
	struct test_ctl_result result = test_ctl_run(
	        "import", csv, "--url", url_of(&daemon, url), "--collection", "staff", "--largest", NULL);
	cr_expect_eq(result.status, 1, "a photo could not be read");
	cr_expect(strstr(result.out, "1 enrolled, 0 there already, 0 refused, 1 failed"), "%s", result.out);
	cr_expect(strstr(result.err, "absent.jpg"), "%s", result.err);
	test_ctl_result_done(&result);
	cr_expect_eq(count_people(&daemon, "staff"), 1);
	test_daemon_stop(&daemon);
}

Test(import, says_why_nothing_happens)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	char url[64], album[TEST_CTL_PATH], report[TEST_CTL_PATH];

	make_album();
	test_ctl_path("album", album);
	test_ctl_expect_failure(
	        test_ctl_run("import", album, "--url", url_of(&daemon, url), "--collection", "none", NULL),
	        "no collection \"none\"");
	test_ctl_expect_failure(
	        test_ctl_run("import", album, "--url", "ftp://127.0.0.1", NULL), "ftp://127.0.0.1");
	test_ctl_write("report.csv", "a,b\n1,2\n", 8);
	test_ctl_path("report.csv", report);
	test_ctl_expect_failure(test_ctl_run("import", album, "--url", url, "--report", report, NULL),
	        "no report of an import");
	test_daemon_stop(&daemon);
	test_ctl_expect_failure(
	        test_ctl_run("import", album, "--url", url, NULL), "is facematchd running there");
}

struct writer {
	const struct test_daemon *daemon;
	atomic_bool end;
	int made;
};

static void *write_people(void *context)
{
	struct writer *writer = context;

	for (; !atomic_load(&writer->end); writer->made++)
		test_expect_status(
		        test_json(writer->daemon, "POST", "/v1/people", "{\"name\":\"P\"}"), 201, "person");
	return NULL;
}

/* Taken while people are added: whole, and a gallery that a daemon serves. */
Test(import, backup_while_serving)
{
	struct test_daemon daemon = test_daemon_start("[workers]\ncount = 2\n");
	char url[64], copy[TEST_CTL_PATH], gallery[TEST_CTL_PATH];
	struct writer writer = {.daemon = &daemon};
	pthread_t thread;
	size_t length;
	struct stat status;
	fm_autofree char *photo = test_demo_photo("sample4.jpg", &length);

	test_expect_status(
	        test_photo(&daemon, "/v1/enroll?name=Ann&face=largest", photo, length), 201, "Ann");
	cr_assert_eq(pthread_create(&thread, NULL, write_people, &writer), 0);
	test_ctl_path("copy.db", copy);
	struct test_ctl_result result = test_ctl_run("backup", copy, "--url", url_of(&daemon, url), NULL);
	atomic_store(&writer.end, true);
	pthread_join(thread, NULL);
	cr_expect_eq(result.status, 0, "%s", result.err);
	test_ctl_result_done(&result);
	cr_expect_gt(writer.made, 0);
	cr_assert_eq(stat(copy, &status), 0);
	cr_expect_eq(status.st_mode & 0777, 0600);
	test_ctl_expect_failure(test_ctl_run("backup", copy, "--url", url, NULL), "File exists");
	snprintf(gallery, sizeof(gallery), "%s/gallery.db-backup", daemon.directory);
	cr_expect_eq(access(gallery, F_OK), -1, "nothing is left beside the gallery");

	test_daemon_end(&daemon, SIGTERM);
	snprintf(gallery, sizeof(gallery), "%s/gallery.db", daemon.directory);
	fm_autofree char *bytes = NULL;
	cr_assert_eq(fm_file_read(copy, 64 << 20, &bytes, &length, NULL), FM_OK);
	cr_assert_eq(fm_file_write(gallery, bytes, length, 0600, NULL), FM_OK);
	test_daemon_restart(&daemon, NULL);
	json_t *json = test_take_json(test_get(&daemon, "/v1/people?name=Ann"), 200, "Ann");
	cr_expect_eq(json_array_size(json_object_get(json, "people")), 1);
	json_decref(json);
	json_int_t people = count_people(&daemon, "default");
	cr_expect(people >= 1 && people <= writer.made + 1, "%lld", (long long)people);
	test_daemon_stop(&daemon);
}
