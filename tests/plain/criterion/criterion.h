/*
 * As much of Criterion as the kernel tests use, in one header, for machines that cannot run the real one:
 * emulators of one program, such as qemu-user. A test is a process here too. With -Itests/plain in front, a
 * test source becomes a program without any outside library; its exit status is 0 when all tests passed.
 */
#ifndef FM_TESTS_PLAIN_CRITERION_H
#define FM_TESTS_PLAIN_CRITERION_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct plain_test {
	const char *suite, *name;
	void (*run)(void);
	struct plain_test *next;
};

static struct plain_test *plain_tests;

/* Registers itself before main(), as Criterion's does. */
#define Test(suite_name, test_name)                                                                          \
	static void suite_name##_##test_name(void);                                                          \
	static __attribute__((constructor)) void suite_name##_##test_name##_register(void)                   \
	{                                                                                                    \
		static struct plain_test test = {#suite_name, #test_name, suite_name##_##test_name, NULL};   \
		test.next = plain_tests;                                                                     \
		plain_tests = &test;                                                                         \
	}                                                                                                    \
	static void suite_name##_##test_name(void)

/* The message that may follow a condition is a format and its values. */
#define plain_assert(condition, text, ...)                                                                   \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			printf("%s:%d: %s\n", __FILE__, __LINE__, text);                                     \
			printf("  " __VA_ARGS__);                                                            \
			printf("\n");                                                                        \
			fflush(stdout);                                                                      \
			_exit(1);                                                                            \
		}                                                                                            \
	} while (0)

#define cr_assert(condition, ...)     plain_assert(condition, #condition, ##__VA_ARGS__)
#define cr_assert_not(condition, ...) plain_assert(!(condition), "not " #condition, ##__VA_ARGS__)
#define cr_assert_eq(a, b, ...)       plain_assert((a) == (b), #a " == " #b, ##__VA_ARGS__)
#define cr_assert_neq(a, b, ...)      plain_assert((a) != (b), #a " != " #b, ##__VA_ARGS__)
#define cr_assert_lt(a, b, ...)       plain_assert((a) < (b), #a " < " #b, ##__VA_ARGS__)
#define cr_assert_leq(a, b, ...)      plain_assert((a) <= (b), #a " <= " #b, ##__VA_ARGS__)
#define cr_assert_null(a, ...)        plain_assert((a) == NULL, #a " is null", ##__VA_ARGS__)
#define cr_assert_not_null(a, ...)    plain_assert((a) != NULL, #a " is not null", ##__VA_ARGS__)
#define cr_assert_float_eq(a, b, epsilon, ...)                                                               \
	plain_assert((a) - (b) <= (epsilon) && (b) - (a) <= (epsilon), #a " is about " #b, ##__VA_ARGS__)

/* An expectation that fails ends its test here, as an assertion does. */
#define cr_expect_eq       cr_assert_eq
#define cr_expect_float_eq cr_assert_float_eq
#define cr_expect_arr_eq(a, b, bytes, ...)                                                                   \
	plain_assert(memcmp(a, b, bytes) == 0, "the bytes of " #a " and " #b, ##__VA_ARGS__)

int main(void)
{
	int failed = 0, passed = 0;

	for (const struct plain_test *test = plain_tests; test != NULL; test = test->next) {
		int status = 0;

		fflush(stdout);
		pid_t child = fork();
		if (child == 0) {
			test->run();
			_exit(0);
		}
		if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
		        WEXITSTATUS(status) != 0) {
			printf("not ok - %s::%s (wait status %#x)\n", test->suite, test->name, status);
			failed++;
		} else {
			passed++;
		}
	}
	printf("%d passed, %d failed\n", passed, failed);
	return failed > 0 || passed == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
