/*
 * The real facematchd for a test: its own process, a free port, a temporary gallery. A failing start aborts
 * the test, as does whatever does not come within TEST_PATIENCE_S; without networks in build/models (or
 * $FACEMATCH_MODELS) the test is skipped.
 */
#ifndef FM_TESTS_SUPPORT_DAEMON_HARNESS_H
#define FM_TESTS_SUPPORT_DAEMON_HARNESS_H

#include <stddef.h>
#include <sys/types.h>

/* How long a test waits for what must come: long, since no machine is too slow to be right. */
#define TEST_PATIENCE_S 240

struct test_daemon {
	pid_t pid;
	int port;
	char directory[64]; /* temporary: gallery.db, facematchd.conf, log */
};

/* `settings` is INI text on top of what the harness sets (one worker), or NULL. */
struct test_daemon test_daemon_start(const char *settings);
/* Starts it again on the same gallery. */
void test_daemon_restart(struct test_daemon *daemon, const char *settings);
/*
 * Writes other settings, sends SIGHUP and waits until the log says `wanted` once more: "settings reloaded",
 * or "the settings stay as they were".
 */
void test_daemon_reload(struct test_daemon *daemon, const char *settings, const char *wanted);
/* Sends the signal (0: none), waits for the end and gives waitpid()'s status. */
int test_daemon_end(struct test_daemon *daemon, int signal);
/* SIGTERM, which must end it with status 0; then removes the directory. */
void test_daemon_stop(struct test_daemon *daemon);
/* All of its standard error so far; free() it. */
char *test_daemon_log(const struct test_daemon *daemon);
/* Waits until the log says so; a request is logged after its client has the reply. */
void test_daemon_wait_for_log(const struct test_daemon *daemon, const char *wanted);

/* Starts it with these arguments (NULL-terminated), its log in the directory; does not wait for anything. */
void test_daemon_spawn(struct test_daemon *daemon, const char *const *arguments);
/* Removes the directory of a daemon that has ended. */
void test_daemon_remove(const struct test_daemon *daemon);

/* Runs the program to its end with arguments (NULL-terminated); gives the exit status and its output. */
int test_daemon_run(const char *const *arguments, char *ret_output, size_t size);

/* A file of `make demo-photos` (build/demo/NAME); skips the test where it is absent. free() it. */
char *test_demo_photo(const char *name, size_t *ret_length);

#endif
