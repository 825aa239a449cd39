/* Limits of number, size and time, each against a client that ignores it. */
#include "tests/support/daemon_harness.h"
#include "tests/support/http_client.h"
#include "tests/support/photo.h"

#include <criterion/criterion.h>
#include <math.h>
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

/* Whether the other side has closed; what it says before is skipped. */
static bool is_closed(int fd, int within_ms)
{
	char bytes[1024];

	for (double until = now_s() + within_ms * 1e-3; now_s() < until;) {
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
	char bytes[2048];

	test_send(fd, request, strlen(request));
	struct pollfd waiting = {.fd = fd, .events = POLLIN};
	if (poll(&waiting, 1, 5000) <= 0)
		return false;
	ssize_t length = recv(fd, bytes, sizeof(bytes) - 1, 0);
	return length > 12 && memcmp(bytes, "HTTP/1.1 200", 12) == 0;
}

static void expect_refused(const struct test_daemon *daemon, const char *what)
{
	int fd = test_connect(daemon);
	char *text = test_receive(fd, 5);

	cr_expect_eq(strncmp(text, "HTTP/1.1 503 ", 13), 0, "%s: \"%s\"", what, text);
	free(text);
	close(fd);
}

Test(limits, connections_in_all)
{
	struct test_daemon daemon = test_daemon_start("[server]\nconnections_max = 3\n");
	int fds[3];

	for (int i = 0; i < 3; i++) {
		fds[i] = test_connect(&daemon);
		cr_expect(is_alive(fds[i]), "%d", i);
	}
	expect_refused(&daemon, "the fourth");
	close(fds[0]);
	usleep(200000);
	fds[0] = test_connect(&daemon);
	cr_expect(is_alive(fds[0]), "in the place of one that has gone");
	/* A reload counts for the next. */
	test_daemon_reload(&daemon, "[server]\nconnections_max = 4\n", "settings reloaded");
	int fourth = test_connect(&daemon);
	cr_expect(is_alive(fourth));
	expect_refused(&daemon, "the fifth");
	close(fourth);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	test_daemon_stop(&daemon);
}

Test(limits, connections_of_one_address)
{
	struct test_daemon daemon =
	        test_daemon_start("[server]\nconnections_per_address_max = 2\nconnections_max = 100\n");
	int fds[2];

	for (int i = 0; i < 2; i++) {
		fds[i] = test_connect(&daemon);
		cr_expect(is_alive(fds[i]), "%d", i);
	}
	expect_refused(&daemon, "the third");
	for (int i = 0; i < 2; i++) {
		cr_expect(is_alive(fds[i]), "%d", i);
		close(fds[i]);
	}
	usleep(200000);
	test_expect_status(test_get(&daemon, "/v1/info"), 200, "afterwards");
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
	usleep(3000000);
	int fds[8];
	for (int i = 0; i < 8; i++) {
		fds[i] = test_connect(&daemon);
		cr_expect(is_alive(fds[i]), "%d", i);
	}
	for (int i = 0; i < 8; i++)
		close(fds[i]);
	test_daemon_stop(&daemon);
}

Test(limits, headers_that_drip)
{
	struct test_daemon daemon =
	        test_daemon_start("[server]\nheader_timeout_s = 1\nidle_timeout_s = 30\n");
	int silent = test_connect(&daemon), dripping = test_connect(&daemon), later = test_connect(&daemon);
	double begin = now_s();
	bool cut = false;

	cr_expect(is_alive(later));
	test_send(dripping, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: ", 45);
	while (!cut && now_s() - begin < 8) {
		test_send(dripping, "a", 1);
		cut = is_closed(dripping, 100);
	}
	cr_expect(cut, "8 s of dripping headers");
	cr_expect_gt(now_s() - begin, 0.9);
	cr_expect(is_closed(silent, 3000), "a connection that says nothing");
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
	int fd = test_connect(&daemon);
	double begin = now_s();
	bool cut = false;

	cr_expect(is_alive(fd));
	while (!cut && now_s() - begin < 10) {
		test_send(fd, "G", 1);
		cut = is_closed(fd, 100);
	}
	cr_expect(cut);
	close(fd);
	test_daemon_stop(&daemon);
}

Test(limits, silence)
{
	struct test_daemon daemon =
	        test_daemon_start("[server]\nidle_timeout_s = 1\nheader_timeout_s = 60\n");
	int fd = test_connect(&daemon);

	cr_expect(is_alive(fd));
	cr_expect(is_closed(fd, 5000));
	close(fd);
	test_daemon_stop(&daemon);
}

Test(limits, a_reply_that_nobody_takes)
{
	struct test_daemon daemon = test_daemon_start(
	        "[server]\nbody_timeout_s = 1\nidle_timeout_s = 60\n[limits]\nrequests_per_second = 0\n");
	static const char request[] = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
	int small = 4096, fd = socket(AF_INET, SOCK_STREAM, 0);
	char bytes[64];
	bool cut = false;

	close(fd);
	fd = test_connect(&daemon);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	/* Enough of them that the kernel's buffers do not hold the replies. */
	for (int i = 0; i < 400; i++)
		send(fd, request, strlen(request), MSG_NOSIGNAL | MSG_DONTWAIT);
	for (double begin = now_s(); !cut && now_s() - begin < 20; usleep(100000)) {
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

/* A request that waited too long is answered, not computed: there is no Server-Timing. */
Test(limits, time_in_the_queue)
{
	struct test_daemon daemon =
	        test_daemon_start("[workers]\ncount = 1\nqueue_length = 64\nqueue_timeout_ms = 1\n");
	struct fm_image scene = test_scene(3000, 2000);
	struct test_bytes photo = test_jpeg_encode(&scene, &(struct test_jpeg){.quality = 60});
	struct client clients[8];
	size_t good = 0, late = 0;

	for (size_t i = 0; i < 8; i++) {
		clients[i] = (struct client){.daemon = &daemon, .photo = &photo};
		cr_assert_eq(pthread_create(&clients[i].thread, NULL, client_main, &clients[i]), 0);
	}
	for (size_t i = 0; i < 8; i++) {
		pthread_join(clients[i].thread, NULL);
		if (clients[i].reply.status == 200) {
			good++;
			test_reply_done(&clients[i].reply);
		} else {
			late++;
			cr_expect_str_eq(test_reply_header(&clients[i].reply, "Server-Timing"), "");
			cr_expect_str_eq(test_reply_header(&clients[i].reply, "Retry-After"), "1");
			test_expect_problem(clients[i].reply, 503, "overloaded", "late");
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

static int ascending(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The median time of a request over a connection of its own, and over one that stays, in ms. */
static void take_times(const struct test_daemon *daemon, double *ret_own_ms, double *ret_kept_ms)
{
	enum { TIMES = 201 };
	double own[TIMES], kept[TIMES];
	int fd = test_connect(daemon);

	for (size_t i = 0; i < TIMES; i++) {
		double begin = now_s();
		test_expect_status(test_get(daemon, "/healthz"), 200, "own");
		double middle = now_s();
		cr_assert(is_alive(fd));
		own[i] = (middle - begin) * 1e3;
		kept[i] = (now_s() - middle) * 1e3;
	}
	close(fd);
	qsort(own, TIMES, sizeof(*own), ascending);
	qsort(kept, TIMES, sizeof(*kept), ascending);
	*ret_own_ms = own[TIMES / 2];
	*ret_kept_ms = kept[TIMES / 2];
}

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
	        test_daemon_start("[server]\nconnections_max = 2100\nconnections_per_address_max = "
	                          "2100\nidle_timeout_s = 300\n");

	/* Twice, since a machine that others load answers sometimes slower. */
	double own_ms[4], kept_ms[4];
	for (int i = 0; i < 2; i++)
		take_times(&daemon, &own_ms[i], &kept_ms[i]);
	long before_kib = resident_kib(daemon.pid);
	for (int i = 0; i < IDLE_MAX; i++) {
		fds[i] = test_connect(&daemon);
		cr_assert(is_alive(fds[i]), "%d", i);
	}
	long kib = resident_kib(daemon.pid) - before_kib;
	for (int i = 2; i < 4; i++)
		take_times(&daemon, &own_ms[i], &kept_ms[i]);
#ifndef __SANITIZE_ADDRESS__
	cr_expect_lt(kib, 32 << 10, "%ld KiB", kib);
#endif
	for (int i = 0; i < IDLE_MAX; i++)
		close(fds[i]);
	cr_log_info("%d idle connections: %ld KiB; a request on a connection that stays takes %.3f, %.3f ms "
	            "alone and %.3f, %.3f beside them, on a new one %.3f, %.3f and %.3f, %.3f",
	        IDLE_MAX, kib, kept_ms[0], kept_ms[1], kept_ms[2], kept_ms[3], own_ms[0], own_ms[1],
	        own_ms[2], own_ms[3]);
	cr_expect_lt(fmin(kept_ms[2], kept_ms[3]), 2 * fmax(kept_ms[0], kept_ms[1]) + 0.5);
	cr_expect_lt(fmin(own_ms[2], own_ms[3]), 2 * fmax(own_ms[0], own_ms[1]) + 0.5);
	test_daemon_stop(&daemon);
}
