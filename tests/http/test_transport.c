/* HTTP as clients speak it: 100-continue, keep-alive, chunks, HEAD, and halves of connections. */
#include "tests/support/daemon_harness.h"
#include "tests/support/http_client.h"
#include "tests/support/photo.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct test_bytes small_photo(void)
{
	struct fm_image scene = test_scene(96, 64);
	struct test_bytes png = test_png_rgb(&scene);

	fm_image_done(&scene);
	return png;
}

Test(transport, a_client_that_asks_first_is_told_to_go_on)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	struct test_bytes photo = small_photo();
	int fd = test_connect(&daemon);

	for (int i = 0; i < 2; i++) {
		test_begin_photo(fd, "/v1/detect", "image/png", photo.length);
		test_send(fd, photo.data, photo.length);
		test_expect_until(fd, "\"faces\":", "after it");
	}
	close(fd);
	test_bytes_done(&photo);
	test_daemon_stop(&daemon);
}

Test(transport, chunks_heads_and_photos_take_turns_on_one_connection)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	struct test_bytes photo = small_photo();
	char head[256], size[32];
	int fd = test_connect(&daemon);

	for (int i = 0; i < 5; i++) {
		static const char chunked[] =
		        "POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
		        "Transfer-Encoding: chunked\r\n\r\n";
		test_send(fd, chunked, strlen(chunked));
		for (size_t at = 0; at < photo.length;) {
			size_t piece = photo.length - at < 700 ? photo.length - at : 700;
			snprintf(size, sizeof(size), "%zx;name=value\r\n", piece);
			test_send(fd, size, strlen(size));
			test_send(fd, (const char *)photo.data + at, piece);
			test_send(fd, "\r\n", 2);
			at += piece;
		}
		test_send(fd, "0\r\nX-Trailer: 1\r\n\r\n", 19);
		test_expect_until(fd, "\"faces\":[]}", "chunked");

		snprintf(head, sizeof(head), "HEAD /v1/info HTTP/1.1\r\nHost: localhost\r\n\r\n");
		test_send(fd, head, strlen(head));
		test_expect_until(fd, "\r\n\r\n", "HEAD");
		snprintf(head, sizeof(head),
		        "POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
		        "Content-Length: %zu\r\n\r\n",
		        photo.length);
		test_send(fd, head, strlen(head));
		test_send(fd, photo.data, photo.length);
		test_expect_until(fd, "\"faces\":[]}", "with a length");
	}
	close(fd);
	test_bytes_done(&photo);
	test_daemon_stop(&daemon);
}

/* "I have no more to send" is not "I do not listen". */
Test(transport, a_half_closed_connection_gets_its_reply)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	struct fm_image scene = test_scene(4000, 3000);
	struct test_bytes photo = test_jpeg_encode(&scene, &(struct test_jpeg){.quality = 60});
	char head[256];
	int fd = test_connect(&daemon);

	snprintf(head, sizeof(head),
	        "POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
	        "Content-Length: %zu\r\n\r\n",
	        photo.length);
	test_send(fd, head, strlen(head));
	test_send(fd, photo.data, photo.length);
	shutdown(fd, SHUT_WR);
	char *text = test_receive(fd, NULL);
	cr_expect_eq(strncmp(text, "HTTP/1.1 200 ", 13), 0, "%s", text);
	free(text);
	close(fd);
	fm_image_done(&scene);
	test_bytes_done(&photo);
	test_daemon_stop(&daemon);
}

Test(transport, http_1_0)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	static const char request[] = "GET /v1/info HTTP/1.0\r\n\r\n";
	int fd = test_connect(&daemon);

	test_send(fd, request, strlen(request));
	char *text = test_receive(fd, NULL);
	cr_expect(strstr(text, " 200 OK\r\n") && strstr(text, "\"version\""), "%s", text);
	free(text);
	close(fd);
	test_daemon_stop(&daemon);
}
