#include "tests/support/daemon_harness.h"

#include "lib/base/file.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATH_BYTES 512

/* ---- the process ---- */

/* build/VARIANT/tests/http/test_x runs build/VARIANT/facematchd. */
static void program_path(char path[PATH_BYTES])
{
	const char *given = getenv("FACEMATCHD");
	ssize_t length;

	if (given) {
		snprintf(path, PATH_BYTES, "%s", given);
		return;
	}
	length = readlink("/proc/self/exe", path, PATH_BYTES - 32);
	cr_assert_gt(length, 0);
	path[length] = '\0';
	for (int i = 0; i < 3; i++)
		*strrchr(path, '/') = '\0';
	snprintf(path + strlen(path), 32, "/facematchd");
}

static const char *models_directory(void)
{
	const char *given = getenv("FACEMATCH_MODELS");

	return given ? given : "build/models";
}

static void file_in(const struct test_daemon *daemon, const char *name, char path[PATH_BYTES])
{
	snprintf(path, PATH_BYTES, "%s/%s", daemon->directory, name);
}

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void write_settings(const struct test_daemon *daemon, const char *settings)
{
	char path[PATH_BYTES];

	file_in(daemon, "facematchd.conf", path);
	FILE *file = fopen(path, "we");
	cr_assert_not_null(file);
	/* One worker, unless the test asks for more: tests run beside each other, and so have patience. */
	fprintf(file, "%s\n",
	        settings && strstr(settings, "[workers]")
	                ? ""
	                : "[workers]\ncount = 1\nqueue_timeout_ms = 600000");
	fprintf(file, "%s\n", settings ? settings : "");
	fclose(file);
}

#define ARGUMENTS_MAX 16

/* argv[0] and the arguments; the caller keeps what they point at. */
static void fill_argv(const char *argv[ARGUMENTS_MAX], const char *program, const char *const *arguments)
{
	size_t count = 0;

	argv[count++] = program;
	for (; *arguments; arguments++) {
		cr_assert_lt(count + 1, ARGUMENTS_MAX);
		argv[count++] = *arguments;
	}
	argv[count] = NULL;
}

void test_daemon_spawn(struct test_daemon *daemon, const char *const *arguments)
{
	char program[PATH_BYTES], log[PATH_BYTES];
	const char *argv[ARGUMENTS_MAX];

	program_path(program);
	fill_argv(argv, program, arguments);
	file_in(daemon, "log", log);
	daemon->pid = fork();
	cr_assert_geq(daemon->pid, 0);
	if (daemon->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves no daemon behind */
		int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
		if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
			_exit(127);
		execv(program, (char *const *)argv);
		_exit(127);
	}
}

static void launch(struct test_daemon *daemon)
{
	char config[PATH_BYTES], gallery[PATH_BYTES], port[PATH_BYTES];

	file_in(daemon, "facematchd.conf", config);
	file_in(daemon, "gallery.db", gallery);
	file_in(daemon, "port", port);
	unlink(port);
	test_daemon_spawn(daemon,
	        (const char *[]){"--listen", "127.0.0.1:0", "--config", config, "--gallery", gallery,
	                "--models", models_directory(), "--port-file", port, "--log-level", "debug", NULL});
	for (int waited_ms = 0;; waited_ms += 10) {
		FILE *file = fopen(port, "re");
		int status;
		if (file) {
			bool read = fscanf(file, "%d", &daemon->port) == 1;
			fclose(file);
			if (read)
				return;
		}
		if (waitpid(daemon->pid, &status, WNOHANG) != 0 || waited_ms > TEST_PATIENCE_S * 1000) {
			char *text = test_daemon_log(daemon);
			cr_assert_fail("facematchd did not start: %s", text);
		}
		sleep_ms(10);
	}
}

struct test_daemon test_daemon_start(const char *settings)
{
	struct test_daemon daemon = {0};
	char probe[PATH_BYTES];

	snprintf(probe, sizeof(probe), "%s/fr_feature.onnx", models_directory());
	if (access(probe, R_OK) != 0)
		cr_skip_test("no networks in %s: make models", models_directory());
	snprintf(daemon.directory, sizeof(daemon.directory), "/tmp/facematchd-test-XXXXXX");
	cr_assert_not_null(mkdtemp(daemon.directory));
	write_settings(&daemon, settings);
	launch(&daemon);
	return daemon;
}

void test_daemon_restart(struct test_daemon *daemon, const char *settings)
{
	write_settings(daemon, settings);
	launch(daemon);
}

int test_daemon_end(struct test_daemon *daemon, int signal)
{
	int status = 0;

	if (signal)
		kill(daemon->pid, signal);
	for (int waited_ms = 0; waitpid(daemon->pid, &status, WNOHANG) == 0; waited_ms += 5) {
		if (waited_ms > TEST_PATIENCE_S * 1000) {
			kill(daemon->pid, SIGKILL);
			cr_assert_fail("facematchd did not end");
		}
		sleep_ms(5);
	}
	return status;
}

void test_daemon_remove(const struct test_daemon *daemon)
{
	DIR *dir = opendir(daemon->directory);
	char path[PATH_BYTES];

	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		file_in(daemon, entry->d_name, path);
		unlink(path);
	}
	if (dir)
		closedir(dir);
	rmdir(daemon->directory);
}

void test_daemon_stop(struct test_daemon *daemon)
{
	int status = test_daemon_end(daemon, SIGTERM);
	char *text = test_daemon_log(daemon);

	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "wait status %d, log:\n%s", status, text);
	free(text);
	test_daemon_remove(daemon);
}

char *test_daemon_log(const struct test_daemon *daemon)
{
	char path[PATH_BYTES], *text = NULL;
	size_t length;

	file_in(daemon, "log", path);
	return fm_file_read(path, 16 << 20, &text, &length, NULL) ? strdup("") : text;
}

void test_daemon_wait_for_log(const struct test_daemon *daemon, const char *wanted)
{
	for (int waited_ms = 0; waited_ms < TEST_PATIENCE_S * 1000; waited_ms += 10) {
		char *text = test_daemon_log(daemon);
		bool found = strstr(text, wanted) != NULL;
		free(text);
		if (found)
			return;
		sleep_ms(10);
	}
	char *text = test_daemon_log(daemon);
	cr_assert_fail("the log does not say \"%s\": %s", wanted, text);
}

static size_t count_in_log(const struct test_daemon *daemon, const char *wanted)
{
	char *text = test_daemon_log(daemon);
	size_t count = 0;

	for (const char *at = text; (at = strstr(at, wanted)); at++)
		count++;
	free(text);
	return count;
}

void test_daemon_reload(struct test_daemon *daemon, const char *settings, const char *wanted)
{
	size_t before = count_in_log(daemon, wanted);

	write_settings(daemon, settings);
	kill(daemon->pid, SIGHUP);
	for (int waited_ms = 0; count_in_log(daemon, wanted) == before; waited_ms += 10) {
		char *text = waited_ms > TEST_PATIENCE_S * 1000 ? test_daemon_log(daemon) : NULL;
		cr_assert_null(text, "after SIGHUP the log does not say \"%s\": %s", wanted, text);
		sleep_ms(10);
	}
}

int test_daemon_run(const char *const *arguments, char *ret_output, size_t size)
{
	char program[PATH_BYTES];
	const char *argv[ARGUMENTS_MAX];
	int pipe_fds[2], status;
	size_t used = 0;

	program_path(program);
	fill_argv(argv, program, arguments);
	cr_assert_eq(pipe(pipe_fds), 0);
	pid_t pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		dup2(pipe_fds[1], STDOUT_FILENO);
		dup2(pipe_fds[1], STDERR_FILENO);
		execv(program, (char *const *)argv);
		_exit(127);
	}
	close(pipe_fds[1]);
	for (ssize_t n; used + 1 < size && (n = read(pipe_fds[0], ret_output + used, size - used - 1)) > 0;)
		used += (size_t)n;
	ret_output[used] = '\0';
	close(pipe_fds[0]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

char *test_demo_photo(const char *name, size_t *ret_length)
{
	char path[PATH_BYTES], *bytes = NULL;

	snprintf(path, sizeof(path), "build/demo/%s", name);
	if (fm_file_read(path, 64 << 20, &bytes, ret_length, NULL))
		cr_skip_test("no %s: make demo-photos", path);
	return bytes;
}
