/* Limits of number, size and time, each against a client that ignores it. */
#include "tests/support/daemon_harness.h"
#include "tests/support/http_client.h"
#include "tests/support/photo.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Whether the other side closes within the time; what it says before is skipped. */
static bool is_closed(int fd, double within_s)
{
	char bytes[1024];

	for (double until = now_s() + within_s; now_s() < until;) {
		struct pollfd waiting = {.fd = fd, .events = POLLIN};
		if (poll(&waiting, 1, 20) <= 0)
			continue;
		if (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) <= 0)
			return true;
	}
	return false;
}

static bool is_alive(int fd)
{
	static const char request[] = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

	test_send(fd, request, strlen(request));
	char *text = test_receive(fd, "\"ok\"");
	bool alive = strncmp(text, "HTTP/1.1 200 ", 13) == 0;

	free(text);
	return alive;
}

/* A connection that has been served. One that has to wait until the daemon has seen others go, or that was
 * too slow to speak in time, is tried again. */
static int connect_alive(const struct test_daemon *daemon)
{
	for (double until = now_s() + TEST_PATIENCE_S; now_s() < until; usleep(20000)) {
		int fd = test_connect(daemon);
		if (is_alive(fd))
			return fd;
		close(fd);
	}
	cr_assert_fail("no connection is served");
	return -1;
}

static void expect_refused(const struct test_daemon *daemon, const char *what)
{
	int fd = test_connect(daemon);
	char *text = test_receive(fd, NULL);

	cr_expect_eq(strncmp(text, "HTTP/1.1 503 ", 13), 0, "%s: \"%s\"", what, text);
	free(text);
	close(fd);
}

#define PATIENT "[server]\nidle_timeout_s = 3600\nheader_timeout_s = 3600\n"

Test(limits, connections_in_all)
{
	struct test_daemon daemon = test_daemon_start(PATIENT "connections_max = 3\n");
	int fds[3];

	for (int i = 0; i < 3; i++)
		fds[i] = connect_alive(&daemon);
	expect_refused(&daemon, "the fourth");
	close(fds[0]);
	fds[0] = connect_alive(&daemon); /* in the place of one that has gone */
	/* A reload counts for the next. */
	test_daemon_reload(&daemon, PATIENT "connections_max = 4\n", "settings reloaded");
	int fourth = connect_alive(&daemon);
	expect_refused(&daemon, "the fifth");
	close(fourth);
	for (int i = 0; i < 3; i++) {
		cr_expect(is_alive(fds[i]), "%d", i);
		close(fds[i]);
	}
	test_daemon_stop(&daemon);
}

Test(limits, connections_of_one_address)
{
	struct test_daemon daemon =
	        test_daemon_start(PATIENT "connections_per_address_max = 2\nconnections_max = 100\n");
	int fds[2];

	for (int i = 0; i < 2; i++)
		fds[i] = connect_alive(&daemon);
	expect_refused(&daemon, "the third");
	for (int i = 0; i < 2; i++) {
		cr_expect(is_alive(fds[i]), "%d", i);
		close(fds[i]);
	}
	close(connect_alive(&daemon));
	test_daemon_stop(&daemon);
}

/* Many come and go: none is forgotten in the count. */
Test(limits, connections_that_end_are_counted_out)
{
	struct test_daemon daemon = test_daemon_start("[server]\nconnections_max = 8\n");

	for (int i = 0; i < 400; i++) {
		int fd = test_connect(&daemon);
		if (i % 3 == 0)
			test_send(fd, "GET /heal", 9);
		if (i % 4 == 0) {
			struct linger reset = {.l_onoff = 1};
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		}
		close(fd);
		if (i % 8 == 7)
			usleep(20000);
	}
	/* Those that left in the middle of a request are seen to have gone within two seconds or so. */
	int fds[8];
	for (int i = 0; i < 8; i++)
		fds[i] = connect_alive(&daemon);
	for (int i = 0; i < 8; i++)
		close(fds[i]);
	test_daemon_stop(&daemon);
}

Test(limits, headers_that_drip)
{
	struct test_daemon daemon =
	        test_daemon_start("[server]\nheader_timeout_s = 1\nidle_timeout_s = 3600\n");
	int later = connect_alive(&daemon);
	double begin = now_s();
	int silent = test_connect(&daemon), dripping = test_connect(&daemon);
	bool cut = false;

	test_send(dripping, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: ", 45);
	while (!cut && now_s() - begin < TEST_PATIENCE_S) {
		test_send(dripping, "a", 1);
		cut = is_closed(dripping, 0.1);
	}
	cr_expect(cut, "dripping headers");
	cr_expect_gt(now_s() - begin, 0.9, "not before its time");
	cr_expect(is_closed(silent, TEST_PATIENCE_S), "a connection that says nothing");
	cr_expect(is_alive(later), "one that has spoken may rest");
	close(silent);
	close(dripping);
	close(later);
	test_daemon_stop(&daemon);
}

/* After a request a connection may rest; that does not give the next request's headers longer. */
Test(limits, later_headers_that_drip)
{
	struct test_daemon daemon = test_daemon_start("[server]\nheader_timeout_s = 1\nidle_timeout_s = 1\n");
	int fd = connect_alive(&daemon);
	double begin = now_s();
	bool cut = false;

	while (!cut && now_s() - begin < TEST_PATIENCE_S) {
		test_send(fd, "G", 1);
		cut = is_closed(fd, 0.1);
	}
	cr_expect(cut);
	close(fd);
	test_daemon_stop(&daemon);
}

Test(limits, silence)
{
	struct test_daemon daemon =
	        test_daemon_start("[server]\nidle_timeout_s = 1\nheader_timeout_s = 3600\n");
	int fd = connect_alive(&daemon);

	cr_expect(is_closed(fd, TEST_PATIENCE_S));
	close(fd);
	test_daemon_stop(&daemon);
}

Test(limits, a_reply_that_nobody_takes)
{
	struct test_daemon daemon = test_daemon_start(
	        "[server]\nbody_timeout_s = 1\nidle_timeout_s = 3600\n[limits]\nrequests_per_second = 0\n");
	static const char request[] = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
	int small = 4096, fd = test_connect(&daemon);
	char bytes[64];
	bool cut = false;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	/* Enough of them that the kernel's buffers do not hold the replies. */
	for (int i = 0; i < 400; i++)
		send(fd, request, strlen(request), MSG_NOSIGNAL | MSG_DONTWAIT);
	for (double begin = now_s(); !cut && now_s() - begin < TEST_PATIENCE_S; usleep(100000)) {
		ssize_t length = recv(fd, bytes, 16, MSG_DONTWAIT);
		char *log = test_daemon_log(&daemon);
		cut = strstr(log, "took too long") || length == 0;
		free(log);
	}
	cr_expect(cut, "a reply taken 160 bytes a second");
	close(fd);
	test_daemon_stop(&daemon);
}

static struct test_reply with_header(const struct test_daemon *daemon, size_t length)
{
	char *header = malloc(length + 8);

	snprintf(header, 8, "X-Pad: ");
	memset(header + 7, 'x', length);
	header[7 + length] = '\0';
	struct test_reply reply =
	        test_with_headers(daemon, "GET", "/v1/info", (const char *const[]){header, NULL}, NULL);
	free(header);
	return reply;
}

Test(limits, header_bytes)
{
	struct test_daemon daemon = test_daemon_start(NULL);

	test_expect_status(with_header(&daemon, 7500), 200, "within");
	test_expect_problem(with_header(&daemon, 8300), 431, "headers_too_large", "a little beyond");
	struct test_reply reply = with_header(&daemon, 100000);
	cr_expect(reply.status == 431 || reply.status == 0, "far beyond: %ld", reply.status);
	test_reply_done(&reply);
	test_expect_status(test_get(&daemon, "/v1/info"), 200, "afterwards");
	test_daemon_stop(&daemon);
}

struct client {
	const struct test_daemon *daemon;
	const struct test_bytes *photo;
	struct test_reply reply;
	pthread_t thread;
};

static void *client_main(void *argument)
{
	struct client *client = argument;

	client->reply = test_photo(client->daemon, "/v1/detect", client->photo->data, client->photo->length);
	return NULL;
}

static void expect_late_or_good(struct test_reply *reply, size_t *good, size_t *late)
{
	if (reply->status == 200) {
		++*good;
		test_reply_done(reply);
		return;
	}
	++*late;
	cr_expect_str_eq(test_reply_header(reply, "Server-Timing"), "");
	cr_expect_str_eq(test_reply_header(reply, "Retry-After"), "1");
	test_expect_problem(*reply, 503, "overloaded", "late");
}

/* A request that waited too long is answered, not computed: there is no Server-Timing. */
Test(limits, time_in_the_queue)
{
	struct test_daemon daemon =
	        test_daemon_start("[workers]\ncount = 1\nqueue_length = 64\nqueue_timeout_ms = 1\n");
	struct fm_image scene = test_scene(3000, 2000);
	struct test_bytes photo = test_jpeg_encode(&scene, &(struct test_jpeg){.quality = 60});
	struct client clients[8];
	size_t good = 0, late = 0;

	/* Clients that a busy machine lets come one after the other do not wait; a worker that it does not
	 * let run is late for everybody. */
	for (int round = 0; round < 50 && !(good && late); round++) {
		for (size_t i = 0; i < 8; i++) {
			clients[i] = (struct client){.daemon = &daemon, .photo = &photo};
			cr_assert_eq(pthread_create(&clients[i].thread, NULL, client_main, &clients[i]), 0);
		}
		for (size_t i = 0; i < 8; i++) {
			pthread_join(clients[i].thread, NULL);
			expect_late_or_good(&clients[i].reply, &good, &late);
		}
	}
	cr_expect_geq(good, 1);
	cr_expect_geq(late, 1);
	test_bytes_done(&photo);
	fm_image_done(&scene);
	test_daemon_stop(&daemon);
}

Test(limits, faces_of_a_photo)
{
	size_t length;
	char *photo = test_demo_photo("sample4.jpg", &length);
	struct test_daemon daemon = test_daemon_start(NULL);
	json_t *json = test_take_json(test_photo(&daemon, "/v1/detect", photo, length), 200, "all");
	size_t all = json_array_size(json_object_get(json, "faces"));

	json_decref(json);
	cr_assert_gt(all, 1);
	test_daemon_reload(&daemon, "[detect]\nfaces_max = 1\n", "settings reloaded");
	json = test_take_json(test_photo(&daemon, "/v1/detect", photo, length), 200, "one");
	cr_expect_eq(json_array_size(json_object_get(json, "faces")), 1);
	json_decref(json);
	free(photo);
	test_daemon_stop(&daemon);
}

static long resident_kib(pid_t pid)
{
	char path[64], line[256];
	long kib = -1;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "VmRSS: %ld", &kib) == 1)
			break;
	}
	if (file)
		fclose(file);
	return kib;
}

#define IDLE_MAX 2000

/* How long a request takes beside them is measured by `make bench-http`. */
Test(limits, two_thousand_idle_connections_cost_little)
{
	static int fds[IDLE_MAX];
	struct rlimit limit = {IDLE_MAX + 200, IDLE_MAX + 200};
	struct rlimit had;

	getrlimit(RLIMIT_NOFILE, &had);
	if (had.rlim_max < limit.rlim_cur)
		cr_skip_test("only %ld descriptors are allowed", (long)had.rlim_max);
	limit.rlim_max = had.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	struct test_daemon daemon =
	        test_daemon_start(PATIENT "connections_max = 2100\nconnections_per_address_max = 2100\n");

	close(connect_alive(&daemon));
	long before_kib = resident_kib(daemon.pid);
	for (int i = 0; i < IDLE_MAX; i++) {
		fds[i] = test_connect(&daemon);
		cr_assert(is_alive(fds[i]), "%d", i);
	}
	long kib = resident_kib(daemon.pid) - before_kib;
#ifndef __SANITIZE_ADDRESS__
	cr_expect_lt(kib, 32 << 10, "%ld KiB", kib);
#endif
	cr_log_info("%d idle connections: %ld KiB", IDLE_MAX, kib);
	for (int i = 0; i < IDLE_MAX; i++) {
		cr_assert(is_alive(fds[i]), "%d is still there", i);
		close(fds[i]);
	}
	test_daemon_stop(&daemon);
}
