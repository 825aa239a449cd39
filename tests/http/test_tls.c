/* TLS with curl and openssl, and Unix sockets, as the operators' tools see them. */
#include "lib/auth/keyring.h"
#include "tests/support/daemon_harness.h"
#include "tests/support/http_client.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[64], settings[512];

/* Runs a command line; what it writes on both outputs is in ret_output. Returns its exit status. */
static int shell(char *ret_output, size_t size, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
static int shell(char *ret_output, size_t size, const char *format, ...)
{
	char command[2048];
	size_t used = 0;
	va_list ap;

	va_start(ap, format);
	int length = vsnprintf(command, sizeof(command) - 8, format, ap);
	va_end(ap);
	cr_assert_lt((size_t)length, sizeof(command) - 8);
	snprintf(command + length, 8, " 2>&1");
	FILE *pipe = popen(command, "re");
	cr_assert_not_null(pipe);
	used = fread(ret_output, 1, size - 1, pipe);
	ret_output[used] = '\0';
	while (fgetc(pipe) != EOF)
		;
	int status = pclose(pipe);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void make_certificate(const char *name, const char *subject)
{
	char output[4096];

	cr_assert_eq(
	        shell(output, sizeof(output),
	                "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
	                "-subj /CN=%s -addext subjectAltName=DNS:localhost,IP:127.0.0.1 "
	                "-keyout %s/%s.key -out %s/%s.pem",
	                subject, directory, name, directory, name),
	        0, "%s", output);
}

/* The pair that the settings name: links, so that a test can turn them elsewhere. */
static void use_certificate(const char *name)
{
	char output[1024];

	cr_assert_eq(shell(output, sizeof(output), "cd %s && cp %s.pem now.pem && cp %s.key now.key",
	                     directory, name, name),
	        0, "%s", output);
}

static void begin(void)
{
	char output[256];

	snprintf(directory, sizeof(directory), "/tmp/facematchd-tls-XXXXXX");
	cr_assert_not_null(mkdtemp(directory));
	if (shell(output, sizeof(output), "openssl version") != 0)
		cr_skip_test("no openssl: scripts/install-deps.sh test");
	make_certificate("first", "first");
	use_certificate("first");
	snprintf(settings, sizeof(settings), "[tls]\ncertificate = %s/now.pem\nkey = %s/now.key\n", directory,
	        directory);
}

static void end(void)
{
	char output[256];

	shell(output, sizeof(output), "rm -rf %s", directory);
}

TestSuite(tls, .init = begin, .fini = end);

Test(tls, curl_verifies_and_gets_its_answer)
{
	struct test_daemon daemon = test_daemon_start(settings);
	char output[8192];

	cr_expect_eq(
	        shell(output, sizeof(output), "curl -sS --cacert %s/first.pem https://localhost:%d/v1/info",
	                directory, daemon.port),
	        0, "%s", output);
	cr_expect(strstr(output, "\"version\""), "%s", output);
	cr_expect_neq(shell(output, sizeof(output), "curl -sS https://localhost:%d/v1/info", daemon.port), 0,
	        "%s", output);
	/* A body that takes several records. */
	cr_expect_eq(shell(output, sizeof(output),
	                     "head -c 300000 /dev/zero | curl -sS --cacert %s/first.pem --data-binary @- -o "
	                     "/dev/null "
	                     "-w '%%{http_code}' https://localhost:%d/v1/detect",
	                     directory, daemon.port),
	        0, "%s", output);
	cr_expect_str_eq(output, "415");
	/* Plain HTTP on the same port gets nothing. */
	cr_expect_neq(
	        shell(output, sizeof(output), "curl -sS -m 240 http://localhost:%d/v1/info", daemon.port), 0);
	char *log = test_daemon_log(&daemon);
	cr_expect(strstr(log, "listening on https://127.0.0.1:"), "%s", log);
	free(log);
	test_daemon_stop(&daemon);
}

Test(tls, only_tls_1_2_and_later)
{
	static const struct {
		const char *option, *wanted;
	} cases[] = {
	        {"-tls1_3", "TLSv1.3, Cipher is"},
	        {"-tls1_2", "TLSv1.2, Cipher is"},
	};
	struct test_daemon daemon = test_daemon_start(settings);
	char output[16384];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		shell(output, sizeof(output),
		        "(printf 'GET /healthz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: "
		        "close\\r\\n\\r\\n'; sleep 1) "
		        "| openssl s_client -connect 127.0.0.1:%d -CAfile %s/first.pem %s -ign_eof",
		        daemon.port, directory, cases[i].option);
		cr_expect(strstr(output, "HTTP/1.1 200 OK"), "%s: %s", cases[i].option, output);
		cr_expect(strstr(output, "Verify return code: 0"), "%s: %s", cases[i].option, output);
		cr_expect(strstr(output, cases[i].wanted), "%s: %s", cases[i].option, output);
	}
	/* openssl itself would not offer 1.1 at its usual level of security. */
	shell(output, sizeof(output),
	        "openssl s_client -connect 127.0.0.1:%d -tls1_1 -cipher DEFAULT@SECLEVEL=0 </dev/null",
	        daemon.port);
	cr_expect(
	        strstr(output, "alert protocol version") || strstr(output, "Cipher is (NONE)"), "%s", output);
	/* No forward secrecy, no authentication of what is sent: not offered either. */
	shell(output, sizeof(output),
	        "openssl s_client -connect 127.0.0.1:%d -tls1_2 -cipher AES128-SHA:AES128-GCM-SHA256:"
	        "ECDHE-ECDSA-AES128-SHA@SECLEVEL=0 </dev/null",
	        daemon.port);
	cr_expect(strstr(output, "Cipher is (NONE)"), "%s", output);
	test_daemon_stop(&daemon);
}

static bool serves(const struct test_daemon *daemon, const char *name)
{
	char output[8192];

	return shell(output, sizeof(output),
	               "curl -sS -m 240 --cacert %s/%s.pem https://localhost:%d/healthz", directory, name,
	               daemon->port) == 0;
}

Test(tls, a_reload_takes_the_renewed_certificate)
{
	struct test_daemon daemon = test_daemon_start(settings);

	make_certificate("second", "second");
	cr_expect(serves(&daemon, "first"));
	cr_expect_not(serves(&daemon, "second"));
	use_certificate("second");
	cr_expect(serves(&daemon, "first"), "not before the reload");
	test_daemon_reload(&daemon, settings, "settings reloaded");
	cr_expect(serves(&daemon, "second"));
	cr_expect_not(serves(&daemon, "first"));

	/* The key of another certificate: all stays. */
	char output[512];
	shell(output, sizeof(output), "cp %s/first.pem %s/now.pem", directory, directory);
	test_daemon_reload(&daemon, settings, "the settings stay as they were");
	cr_expect(serves(&daemon, "second"));
	test_daemon_reload(&daemon, NULL, "the settings stay as they were");
	cr_expect(serves(&daemon, "second"), "TLS is not turned off by a reload");
	char *log = test_daemon_log(&daemon);
	cr_expect(strstr(log, "is not that of the certificate"), "%s", log);
	free(log);
	test_daemon_stop(&daemon);
}

static void expect_check(const char *wanted)
{
	char output[2048], config[128];

	snprintf(config, sizeof(config), "%s/facematchd.conf", directory);
	FILE *file = fopen(config, "we");
	cr_assert_not_null(file);
	fputs(settings, file);
	fclose(file);
	const char *const check[] = {"--config", config, "--check-config", NULL};
	cr_expect_eq(test_daemon_run(check, output, sizeof(output)), 78, "%s", output);
	cr_expect(strstr(output, wanted), "\"%s\" is not in: %s", wanted, output);
}

Test(tls, files_that_will_not_do)
{
	char output[512], path[128];

	snprintf(path, sizeof(path), "%s/now.key", directory);
	cr_assert_eq(chmod(path, 0644), 0);
	expect_check("chmod 640");
	cr_assert_eq(chmod(path, 0640), 0);
	make_certificate("other", "other");
	shell(output, sizeof(output), "cp %s/other.key %s/now.key", directory, directory);
	expect_check("is not that of the certificate");
	shell(output, sizeof(output), "echo nonsense >%s/now.pem", directory);
	expect_check("holds no certificate");
	unlink(path);
	use_certificate("first");
	shell(output, sizeof(output), "echo nonsense >%s/now.key", directory);
	expect_check("holds no private key");
	unlink(path);
	expect_check("now.key");
	snprintf(settings, sizeof(settings), "[tls]\ncertificate = %s/now.pem\n", directory);
	expect_check("given together");
}

/* ---- Unix sockets ---- */

Test(tls, a_unix_socket_has_its_mode_and_stays_plain)
{
	char more[1024], output[8192], path[96];
	struct test_daemon daemon = {0};
	struct stat info;

	/* The command line's --listen would win over the file's: the harness gives 127.0.0.1:0. */
	snprintf(path, sizeof(path), "%s/http", directory);
	snprintf(daemon.directory, sizeof(daemon.directory), "%s", directory);
	snprintf(more, sizeof(more), "%s/unix.conf", directory);
	FILE *file = fopen(more, "we");
	cr_assert_not_null(file);
	fprintf(file,
	        "%s[server]\nlisten = 127.0.0.1:0, unix:%s\nsocket_mode = 0600\n[gallery]\npath = %s/g.db\n",
	        settings, path, directory);
	fclose(file);
	const char *models = getenv("FACEMATCH_MODELS");
	const char *const arguments[] = {
	        "--config", more, "--models", models ? models : "build/models", NULL};
	test_daemon_spawn(&daemon, arguments);
	test_daemon_wait_for_log(&daemon, " ready ");
	cr_assert_eq(stat(path, &info), 0);
	cr_expect(S_ISSOCK(info.st_mode));
	cr_expect_eq(info.st_mode & 0777, 0600);
	cr_expect_eq(shell(output, sizeof(output),
	                     "curl -sS --unix-socket %s http://whatever.example/v1/info", path),
	        0, "%s", output);
	cr_expect(strstr(output, "\"version\""), "%s", output);
	char *log = test_daemon_log(&daemon);
	cr_expect(strstr(log, "listening on https://127.0.0.1:"), "%s", log);
	cr_expect(strstr(log, path), "%s", log);
	free(log);

	/* A second one is told; one that was killed leaves a file that the next replaces. */
	const char *const second[] = {"--config", more, "--gallery", "/nonexistent", NULL};
	cr_expect_eq(test_daemon_run(second, output, sizeof(output)), 1);
	cr_expect(strstr(output, "Address already in use"), "%s", output);
	test_daemon_end(&daemon, SIGKILL);
	cr_expect_eq(access(path, F_OK), 0);
	test_daemon_spawn(&daemon, arguments);
	for (int i = 0; i < TEST_PATIENCE_S * 50 &&
	                shell(output, sizeof(output), "curl -sSf --unix-socket %s http://localhost/readyz",
	                        path) != 0;
	        i++)
		usleep(20000);
	cr_expect(strstr(output, "ready"), "%s", output);
	int status = test_daemon_end(&daemon, SIGTERM);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%d", status);
	cr_expect_neq(access(path, F_OK), 0, "the socket's file is left behind");
}

/* As systemd does it: descriptor 3 listens, LISTEN_PID is the process. sh makes itself that process. */
Test(tls, sockets_of_systemd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char command[1024], output[8192];
	const char *models = getenv("FACEMATCH_MODELS"), *program = getenv("FACEMATCHD");
	char self[512];

	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 32);
	cr_assert_gt(length, 0);
	self[length] = '\0';
	for (int i = 0; i < 3; i++)
		*strrchr(self, '/') = '\0';
	snprintf(self + strlen(self), 32, "/facematchd");
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/activated", directory);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(fd, 16), 0);
	snprintf(command, sizeof(command),
	        "exec env LISTEN_FDS=1 LISTEN_PID=$$ %s --gallery %s/g.db --models %s --listen 127.0.0.1:1 "
	        "2>%s/log",
	        program ? program : self, directory, models ? models : "build/models", directory);
	pid_t pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		dup2(fd, 3);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	/* It waits in the queue until the daemon is there. */
	int status = shell(output, sizeof(output),
	        "curl -sS --retry 200 --retry-delay 1 -m 240 --unix-socket %s http://localhost/v1/info",
	        address.sun_path);
	cr_expect_eq(status, 0, "%s", output);
	cr_expect(strstr(output, "\"version\""), "%s", output);
	kill(pid, SIGTERM);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%d", status);
	cr_expect_eq(access(address.sun_path, F_OK), 0, "the socket is systemd's, not ours to remove");
	close(fd);
}
