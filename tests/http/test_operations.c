/* Health, info, the command line: what an operator and a supervisor see. */
#include "tests/support/daemon_harness.h"
#include "tests/support/http_client.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

Test(operations, health_info_and_head)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	json_t *json = test_take_json(test_get(&daemon, "/healthz"), 200, "healthz");

	cr_expect_str_eq(json_string_value(json_object_get(json, "status")), "ok");
	json_decref(json);
	json = test_take_json(test_get(&daemon, "/readyz"), 200, "readyz");
	cr_expect_str_eq(json_string_value(json_object_get(json, "status")), "ready");
	json_decref(json);

	json = test_take_json(test_get(&daemon, "/v1/info"), 200, "info");
	const char *version, *isa, *quantization, *name, *fingerprint;
	double fmr, fpir, cosine;
	cr_expect_eq(
	        json_unpack(json, "{s:s, s:s, s:s, s:{s:{s:s, s:s}}, s:{s:F, s:F, s:{s:F}}}", "version",
	                &version, "isa", &isa, "quantization", &quantization, "models", "embedding", "name",
	                &name, "fingerprint", &fingerprint, "thresholds", "false_match_rate", &fmr,
	                "false_positive_identification_rate", &fpir, "verification", "cosine", &cosine),
	        0);
	cr_expect_str_eq(version, FM_VERSION);
	cr_expect_str_eq(quantization, "int8");
	cr_expect_eq(strncmp(fingerprint, name, strlen(name)), 0, "%s", fingerprint);
	cr_expect_float_eq(fmr, 1e-4, 1e-12);
	cr_expect_float_eq(fpir, 1e-2, 1e-12);
	cr_expect(cosine > 0 && cosine < 1, "%f", cosine);
	json_decref(json);

	struct test_reply reply = test_http(&daemon, "HEAD", "/v1/info", NULL, NULL, 0);
	cr_expect_eq(reply.status, 200);
	cr_expect_eq(reply.length, 0);
	cr_expect_gt(atol(test_reply_header(&reply, "Content-Length")), 100);
	test_reply_done(&reply);
	test_daemon_stop(&daemon);
}

/* A manifest that does not come to its end: a FIFO that nobody writes to. */
Test(operations, starting)
{
	char directory[] = "/tmp/facematchd-test-XXXXXX", fifo[64], gallery[64];
	struct test_daemon daemon = {0};

	cr_assert_not_null(mkdtemp(directory));
	snprintf(fifo, sizeof(fifo), "%s/fr_detect.conf", directory);
	snprintf(gallery, sizeof(gallery), "%s/gallery.db", directory);
	cr_assert_eq(mkfifo(fifo, 0600), 0);
	const char *const arguments[] = {
	        "--listen", "127.0.0.1:0", "--models", directory, "--gallery", gallery, NULL};
	snprintf(daemon.directory, sizeof(daemon.directory), "%s", directory);
	test_daemon_spawn(&daemon, arguments);
	test_daemon_wait_for_log(&daemon, "listening on http://127.0.0.1:");
	char *text = test_daemon_log(&daemon);
	daemon.port = atoi(strstr(text, "127.0.0.1:") + strlen("127.0.0.1:"));
	free(text);

	test_expect_status(test_get(&daemon, "/healthz"), 200, "alive");
	struct test_reply reply = test_get(&daemon, "/readyz");
	cr_expect_str_eq(test_reply_header(&reply, "Retry-After"), "1");
	test_expect_problem(reply, 503, "starting", "not ready");
	test_expect_problem(test_get(&daemon, "/v1/info"), 503, "starting", "info");
	test_expect_problem(test_photo(&daemon, "/v1/identify", "x", 1), 503, "starting", "identify");
	test_expect_problem(test_get(&daemon, "/nowhere"), 404, "not_found", "no path is no path");
	/* There is nothing to reload yet, and nothing to end for it. */
	cr_assert_eq(kill(daemon.pid, SIGHUP), 0);
	test_expect_status(test_get(&daemon, "/healthz"), 200, "after SIGHUP");
	int status = test_daemon_end(&daemon, SIGTERM);
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "%d", status);
	test_daemon_remove(&daemon);
}

Test(operations, request_ids)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	static const char request[] = "GET /nowhere HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: "
	                              "mine-1\r\nConnection: close\r\n\r\n";
	int fd = test_connect(&daemon);

	test_send(fd, request, strlen(request));
	char *text = test_receive(fd, NULL);
	cr_expect(strstr(text, "X-Request-Id: mine-1\r\n"), "%s", text);
	cr_expect(strstr(text, "\"request_id\":\"mine-1\""), "%s", text);
	free(text);
	close(fd);
	test_daemon_stop(&daemon);
}

Test(operations, pages_of_other_sites_are_refused)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	static const char request[] =
	        "POST /v1/people HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\n"
	        "Content-Type: text/plain\r\nContent-Length: 12\r\nConnection: close\r\n\r\n"
	        "{\"name\":\"x\"}";
	int fd = test_connect(&daemon);

	test_send(fd, request, strlen(request));
	char *text = test_receive(fd, NULL);
	cr_expect(strstr(text, "HTTP/1.1 403 "), "%s", text);
	cr_expect(strstr(text, "urn:facematchd:forbidden"), "%s", text);
	free(text);
	close(fd);
	test_daemon_stop(&daemon);
}

Test(operations, log_tells_the_address_and_no_names)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	char wanted[64];

	snprintf(wanted, sizeof(wanted), "listening on http://127.0.0.1:%d", daemon.port);
	test_expect_status(test_get(&daemon, "/v1/people?name=Secret"), 200, "list");
	test_daemon_wait_for_log(&daemon, wanted);
	test_daemon_wait_for_log(&daemon, " ready ");
	test_daemon_wait_for_log(&daemon, "method=GET path=/v1/people status=200");
	char *text = test_daemon_log(&daemon);
	cr_expect_not(strstr(text, "Secret"), "%s", text);
	free(text);
	test_daemon_stop(&daemon);
}

Test(operations, one_gallery_one_daemon)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	char gallery[128], output[4096];
	const char *models = getenv("FACEMATCH_MODELS");

	snprintf(gallery, sizeof(gallery), "%s/gallery.db", daemon.directory);
	const char *const arguments[] = {"--listen", "127.0.0.1:0", "--gallery", gallery, "--models",
	        models ? models : "build/models", NULL};
	cr_expect_eq(test_daemon_run(arguments, output, sizeof(output)), 1);
	cr_expect(strstr(output, "another facematchd"), "%s", output);
	test_daemon_stop(&daemon);
}

static void expect_run(const char *const *arguments, int status, const char *wanted)
{
	char output[8192];

	int got = test_daemon_run(arguments, output, sizeof(output));
	cr_expect_eq(got, status, "%s: status %d, not %d: %s", arguments[0], got, status, output);
	cr_expect(strstr(output, wanted), "%s does not say \"%s\": %s", arguments[0], wanted, output);
}

Test(operations, a_foreign_file_is_left_alone)
{
	char directory[] = "/tmp/facematchd-test-XXXXXX", path[64], lock[80], output[1024], kept[16] = "";

	cr_assert_not_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/notes.txt", directory);
	snprintf(lock, sizeof(lock), "%s.lock", path);
	FILE *file = fopen(path, "w");
	cr_assert_not_null(file);
	cr_assert_geq(fputs("milk, eggs", file), 0);
	fclose(file);
	const char *const arguments[] = {"--listen", "127.0.0.1:0", "--gallery", path, NULL};
	cr_expect_neq(test_daemon_run(arguments, output, sizeof(output)), 0);
	cr_expect(strstr(output, "not a gallery"), "%s", output);
	cr_expect_neq(access(lock, F_OK), 0, "a lock file beside it");
	file = fopen(path, "r");
	cr_assert_not_null(file);
	cr_expect_not_null(fgets(kept, sizeof(kept), file));
	cr_expect_str_eq(kept, "milk, eggs");
	fclose(file);
	unlink(lock);
	unlink(path);
	rmdir(directory);
}

Test(operations, command_line)
{
	expect_run((const char *[]){"--help", NULL}, 0, "usage: facematchd");
	expect_run((const char *[]){"--version", NULL}, 0, "facematchd " FM_VERSION);
	expect_run((const char *[]){"--nonsense", NULL}, 78, "--help");
	expect_run((const char *[]){"argument", NULL}, 78, "unexpected argument \"argument\"");
	expect_run((const char *[]){"--config", "/nonexistent.conf", NULL}, 78, "/nonexistent.conf");
	expect_run((const char *[]){"--config", "config/facematchd.conf", "--check-config", NULL}, 0, "good");
	expect_run((const char *[]){"--check-config", "--log-level", "loud", NULL}, 78, "loud");
	expect_run((const char *[]){"--check-config", "--listen", "0.0.0.0:8660", NULL}, 78,
	        "without keys only loopback");
	expect_run((const char *[]){"--listen", "0.0.0.0:0", NULL}, 78, "without keys only loopback");
	expect_run((const char *[]){"--listen", "[::]:0", NULL}, 78, "without keys only loopback");
	expect_run((const char *[]){"--listen", "127.0.0.1:0", "--models", "/nonexistent", "--gallery",
	                   "/nonexistent/g.db", NULL},
	        1, "/nonexistent");
}

Test(operations, check_config_names_the_line)
{
	char path[] = "/tmp/facematchd-test-conf-XXXXXX";
	int fd = mkstemp(path);
	static const char text[] = "[server]\n# here\nlissten = 127.0.0.1:1\n";

	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	expect_run((const char *[]){"--check-config", "--config", path, NULL}, 78,
	        ":3: unknown setting [server] lissten");
	unlink(path);
}

Test(operations, interrupt_ends_it_too)
{
	struct test_daemon daemon = test_daemon_start(NULL);

	int status = test_daemon_end(&daemon, SIGINT);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%d", status);
	test_daemon_restart(&daemon, NULL);
	test_daemon_stop(&daemon);
}

/* Sealed from one start on, and not to be opened without the key. */
Test(operations, a_sealed_gallery)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	char key[96], settings[192];
	size_t length;
	char *photo = test_demo_photo("sample1.jpg", &length);

	test_expect_status(
	        test_photo(&daemon, "/v1/enroll?face=largest&name=Ann", photo, length), 201, "enrol, plain");
	test_daemon_end(&daemon, SIGTERM);
	snprintf(key, sizeof(key), "%s/gallery-key", daemon.directory);
	snprintf(settings, sizeof(settings), "[gallery]\nkey_file = %s\n", key);
	FILE *file = fopen(key, "we");

	cr_assert_not_null(file);
	for (int i = 0; i < 32; i++)
		fprintf(file, "%02x", i * 7);
	fclose(file);
	chmod(key, 0600);
	test_daemon_restart(&daemon, settings);
	test_daemon_wait_for_log(&daemon, "faces sealed with the current key");
	json_t *json = test_take_json(test_photo(&daemon, "/v1/identify", photo, length), 200, "identify");
	const char *decision = NULL;

	json_unpack(json, "{s:[{s:s}]}", "faces", "decision", &decision);
	cr_expect_str_eq(decision, "match", "embeddings are opened for searches");
	json_decref(json);
	test_daemon_end(&daemon, SIGTERM);

	char gallery[96], output[1024];

	snprintf(gallery, sizeof(gallery), "%s/gallery.db", daemon.directory);
	cr_expect_neq(test_daemon_run((const char *[]){"--listen", "127.0.0.1:0", "--models", "build/models",
	                                      "--gallery", gallery, NULL},
	                      output, sizeof(output)),
	        0);
	cr_expect_not_null(strstr(output, "key_file"), "%s", output);
	test_daemon_remove(&daemon);
	free(photo);
}
