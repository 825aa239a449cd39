/* Many at once, and the end of the process in the middle of it. */
#include "tests/support/daemon_harness.h"
#include "tests/support/http_client.h"
#include "tests/support/photo.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A photo that takes a worker a while: 12 megapixels to decode and to look through. */
static struct test_bytes slow_photo(void)
{
	struct fm_image scene = test_scene(4000, 3000);
	struct test_bytes jpeg = test_jpeg_encode(&scene, &(struct test_jpeg){.quality = 60});

	fm_image_done(&scene);
	return jpeg;
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

static void start_clients(struct client *clients, size_t count, const struct test_daemon *daemon,
        const struct test_bytes *photo)
{
	for (size_t i = 0; i < count; i++) {
		clients[i] = (struct client){.daemon = daemon, .photo = photo};
		cr_assert_eq(pthread_create(&clients[i].thread, NULL, client_main, &clients[i]), 0);
	}
}

Test(load, full_queue_answers_503_at_once)
{
	struct test_daemon daemon =
	        test_daemon_start("[workers]\ncount = 1\nqueue_length = 1\nqueue_timeout_ms = 600000\n");
	struct test_bytes photo = slow_photo();
	struct client clients[12];
	size_t good = 0, busy = 0;

	/* Again, where a busy machine let them come one after the other. */
	for (int round = 0; round < 20 && !busy; round++) {
		start_clients(clients, 12, &daemon, &photo);
		/* Health does not stand in the queue. */
		test_expect_status(test_get(&daemon, "/healthz"), 200, "under load");
		for (size_t i = 0; i < 12; i++) {
			pthread_join(clients[i].thread, NULL);
			if (clients[i].reply.status == 200) {
				good++;
				test_reply_done(&clients[i].reply);
			} else {
				busy++;
				cr_expect_str_eq(test_reply_header(&clients[i].reply, "Retry-After"), "1");
				test_expect_problem(clients[i].reply, 503, "overloaded", "full");
			}
		}
	}
	/* One at least: all the others may come before the worker takes the first out of the queue. */
	cr_expect_geq(good, 1);
	cr_expect_geq(busy, 1, "%zu refused", busy);
	test_expect_status(test_photo(&daemon, "/v1/detect", photo.data, photo.length), 200, "afterwards");
	test_bytes_done(&photo);
	test_daemon_stop(&daemon);
}

Test(load, workers_share_the_work)
{
	struct test_daemon daemon =
	        test_daemon_start("[workers]\ncount = 3\nqueue_length = 64\nqueue_timeout_ms = 600000\n");
	struct test_bytes photo = slow_photo();
	struct client clients[12];

	start_clients(clients, 12, &daemon, &photo);
	for (size_t i = 0; i < 12; i++) {
		pthread_join(clients[i].thread, NULL);
		cr_expect_eq(clients[i].reply.status, 200, "%s", clients[i].reply.body);
		cr_expect_str_eq(clients[i].reply.body, clients[0].reply.body);
	}
	for (size_t i = 0; i < 12; i++)
		test_reply_done(&clients[i].reply);
	test_bytes_done(&photo);
	test_daemon_stop(&daemon);
}

/* Nobody can connect any more. */
static void wait_until_it_listens_no_more(const struct test_daemon *daemon)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	        .sin_port = htons((uint16_t)daemon->port),
	        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	bool refused = false;

	for (int waited_ms = 0; !refused; waited_ms += 10) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		cr_assert_geq(fd, 0);
		refused = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0;
		close(fd);
		cr_assert_lt(waited_ms, TEST_PATIENCE_S * 1000, "it listens on after SIGTERM");
		usleep(10000);
	}
}

Test(load, term_finishes_running_and_waiting_requests)
{
	struct test_daemon daemon =
	        test_daemon_start("[server]\nshutdown_timeout_s = 3600\n[workers]\ncount = 1\n"
	                          "queue_length = 8\nqueue_timeout_ms = 600000\n");
	struct test_bytes photo = slow_photo();
	int fds[3];

	/* All have sent their photos when the signal comes, but for the last byte of the last. */
	for (int i = 0; i < 3; i++) {
		fds[i] = test_connect(&daemon);
		test_begin_photo(fds[i], "/v1/detect", "image/jpeg", photo.length);
		test_send(fds[i], photo.data, photo.length - (i == 2));
	}
	kill(daemon.pid, SIGTERM);
	wait_until_it_listens_no_more(&daemon);
	test_send(fds[2], photo.data + photo.length - 1, 1);
	for (int i = 0; i < 3; i++) {
		char *text = test_receive(fds[i], NULL);
		cr_expect_eq(strncmp(text, "HTTP/1.1 200 ", 13), 0, "%d: %s", i, text);
		cr_expect(strstr(text, "Connection: close") || i < 2, "%d: %s", i, text);
		cr_expect(strstr(text, "\"faces\":"), "%d: %s", i, text);
		free(text);
		close(fds[i]);
	}
	int status = test_daemon_end(&daemon, 0);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%d", status);
	test_daemon_restart(&daemon, NULL);
	test_daemon_stop(&daemon);
	test_bytes_done(&photo);
}

/* Only [server] shutdown_timeout_s ends it before the test loses its patience. */
Test(load, a_stalled_upload_does_not_hold_the_end_up)
{
	struct test_daemon daemon =
	        test_daemon_start("[server]\nshutdown_timeout_s = 1\nbody_timeout_s = 3600\n"
	                          "idle_timeout_s = 3600\n");
	int fd = test_connect(&daemon);

	test_begin_photo(fd, "/v1/detect", "image/jpeg", 100);
	test_send(fd, "half", 4);
	int status = test_daemon_end(&daemon, SIGTERM);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%d", status);
	close(fd);
	char *log = test_daemon_log(&daemon);
	cr_expect(strstr(log, "closing requests that did not end in time"), "%s", log);
	free(log);
	test_daemon_restart(&daemon, NULL);
	test_daemon_stop(&daemon);
}

Test(load, clients_that_leave_while_their_photo_is_worked_on)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	struct test_bytes photo = slow_photo();
	char head[160];

	snprintf(head, sizeof(head),
	        "POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: "
	        "%zu\r\n\r\n",
	        photo.length);
	for (int i = 0; i < 4; i++) {
		int fd = test_connect(&daemon);
		test_send(fd, head, strlen(head));
		test_send(fd, photo.data, photo.length);
		if (i % 2) {
			struct linger reset = {.l_onoff = 1};
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		}
		close(fd);
	}
	test_expect_status(test_photo(&daemon, "/v1/detect", photo.data, photo.length), 200, "afterwards");
	test_bytes_done(&photo);
	test_daemon_stop(&daemon);
}

Test(load, an_upload_that_dribbles_is_cut)
{
	struct test_daemon daemon = test_daemon_start("[server]\nbody_timeout_s = 1\n");
	static const char head[] =
	        "POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n";
	int fd = test_connect(&daemon);
	char byte = 'x';
	int sent = 0;

	test_send(fd, head, strlen(head));
	for (; sent < TEST_PATIENCE_S * 20 && recv(fd, &byte, 1, MSG_DONTWAIT) < 0; sent++) {
		test_send(fd, "x", 1);
		usleep(50000);
	}
	cr_expect_lt(sent, TEST_PATIENCE_S * 20, "a dribble without end");
	close(fd);
	test_daemon_stop(&daemon);
}

Test(load, many_requests_on_one_connection)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	static const char request[] = "GET /v1/people HTTP/1.1\r\nHost: localhost\r\n\r\n";
	static const char missing[] =
	        "POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody";
	static const char last[] = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
	int fd = test_connect(&daemon), count = 0;

	/* Pipelined: each must be read to its end before the next. */
	for (int i = 0; i < 20; i++) {
		test_send(fd, request, strlen(request));
		test_send(fd, missing, strlen(missing));
	}
	test_send(fd, last, strlen(last));
	char *text = test_receive(fd, NULL);
	for (const char *at = text; (at = strstr(at, "HTTP/1.1 ")); at++)
		count++;
	cr_expect_eq(count, 41, "%d replies", count);
	free(text);
	close(fd);
	test_daemon_stop(&daemon);
}

static long resident_kib(pid_t pid)
{
	char path[64], line[256];
	long kib = -1;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "VmRSS: %ld", &kib) == 1)
			break;
	}
	if (file)
		fclose(file);
	return kib;
}

/* Several sizes, because glibc learns from each that is freed. */
Test(load, large_photos_do_not_stay_in_memory)
{
#ifdef __SANITIZE_ADDRESS__
	cr_skip_test("the sanitizer keeps what is freed");
#endif
	static const int widths_px[] = {2400, 2800, 3200, 3400};
	struct test_daemon daemon = test_daemon_start(NULL);
	struct fm_image first = test_scene(3400, 3000);
	struct test_bytes photo = test_png_rgb(&first);

	/* The scratch of the detector's large input is the worker's to keep, docs/OPERATIONS.md. */
	test_expect_status(test_photo(&daemon, "/v1/detect", photo.data, photo.length), 200, "a large photo");
	test_bytes_done(&photo);
	fm_image_done(&first);
	long before_kib = resident_kib(daemon.pid);
	for (size_t i = 0; i < 2 * sizeof(widths_px) / sizeof(widths_px[0]); i++) {
		struct fm_image scene = test_scene(widths_px[i / 2], 3000);
		struct test_bytes png = test_png_rgb(&scene);
		test_expect_status(
		        test_photo(&daemon, "/v1/detect", png.data, png.length), 200, "a large photo");
		test_bytes_done(&png);
		fm_image_done(&scene);
	}
	long kept_kib = resident_kib(daemon.pid) - before_kib;
	cr_expect_lt(kept_kib, 16 << 10, "%ld KiB more than before", kept_kib);
	test_daemon_stop(&daemon);
}
