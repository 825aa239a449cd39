/*
 * The built facematchctl, run as its users run it. TEST_CTL_SUITE(name) gives each of a suite's tests a
 * directory of its own. What is not as expected fails the running test.
 */
#ifndef FM_TESTS_SUPPORT_CTL_H
#define FM_TESTS_SUPPORT_CTL_H

#include <jansson.h>
#include <limits.h>
#include <stddef.h>

#define TEST_CTL_PATH       (2 * PATH_MAX)
#define TEST_CTL_OUTPUT_MAX ((size_t)16 << 20)

void test_ctl_setup(void);
void test_ctl_teardown(void);
/*
 * First in a test that runs facematchctl over hundreds of photos for figures: under a sanitizer it would take
 * minutes, and the same code runs over a few photos in other tests.
 */
#ifdef __SANITIZE_ADDRESS__
#define TEST_CTL_FIGURES() cr_skip_test("figures are the release build's")
#else
#define TEST_CTL_FIGURES() ((void)0)
#endif

#define TEST_CTL_SUITE(name) TestSuite(name, .init = test_ctl_setup, .fini = test_ctl_teardown)

/* The test's directory, a path in it, a file in it. */
const char *test_ctl_dir(void);
char *test_ctl_path(const char *name, char ret_path[TEST_CTL_PATH]);
void test_ctl_write(const char *name, const void *bytes, size_t length);

struct test_ctl_result {
	int status;
	char *out, *err;
};
void test_ctl_result_done(struct test_ctl_result *result);

/* Runs facematchctl with the arguments, up to NULL, in the repository's root. */
struct test_ctl_result test_ctl_run(const char *first, ...) __attribute__((sentinel));

/* Exit status 2 or 1, stderr as documented and with `part` in it. They take the result over. */
void test_ctl_expect_usage_error(struct test_ctl_result result, const char *part);
void test_ctl_expect_failure(struct test_ctl_result result, const char *part);

/* A fetched network ("fr_feature") or photo ("sample1.jpg"); without it the test is skipped. */
void test_ctl_model(const char *name, char ret_path[TEST_CTL_PATH]);
void test_ctl_photo(const char *name, char ret_path[TEST_CTL_PATH]);

/* One white pixel: a photo that shows nobody. */
#define TEST_CTL_BLANK_PNG_BYTES 67
extern const unsigned char test_ctl_blank_png[TEST_CTL_BLANK_PNG_BYTES];

/* Parsed, and a number in it. */
json_t *test_ctl_json(const char *text);
double test_ctl_number(const json_t *json, const char *key);

#endif
