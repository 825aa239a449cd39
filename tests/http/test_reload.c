/* SIGHUP: what changes, what waits, and that a mistake changes nothing. */
#include "tests/support/daemon_harness.h"
#include "tests/support/http_client.h"
#include "tests/support/photo.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define DONE    "settings reloaded"
#define REFUSED "the settings stay as they were"

static double stated_rate(const struct test_daemon *daemon)
{
	json_t *json = test_take_json(test_get(daemon, "/v1/info"), 200, "info");
	double rate =
	        json_number_value(json_object_get(json_object_get(json, "thresholds"), "false_match_rate"));

	json_decref(json);
	return rate;
}

Test(reload, thresholds_and_limits_change)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	struct fm_image scene = test_scene(96, 64);
	struct test_bytes photo = test_png_rgb(&scene);

	cr_expect_float_eq(stated_rate(&daemon), 1e-4, 1e-12);
	test_expect_status(test_photo(&daemon, "/v1/detect", photo.data, photo.length), 200, "before");
	test_daemon_reload(&daemon, "[match]\nfalse_match_rate = 1e-5\n[limits]\npixels_max = 4096\n", DONE);
	cr_expect_float_eq(stated_rate(&daemon), 1e-5, 1e-12);
	test_expect_problem(
	        test_photo(&daemon, "/v1/detect", photo.data, photo.length), 413, "image_too_large", "after");
	test_daemon_reload(&daemon, NULL, DONE);
	cr_expect_float_eq(stated_rate(&daemon), 1e-4, 1e-12);
	test_expect_status(test_photo(&daemon, "/v1/detect", photo.data, photo.length), 200, "and back");
	test_bytes_done(&photo);
	fm_image_done(&scene);
	test_daemon_stop(&daemon);
}

Test(reload, a_mistake_changes_nothing)
{
	static const char *const mistakes[] = {
	        "[match]\nfalse_match_rate = 2\n",
	        "[match]\nfalse_match_rate = 1e-5\nno_such = 1\n",
	        "[match]\nfalse_match_rate = 1e-5\n[log]\nlevel = info\n[enroll]\nmin_brightness = 0.95\n",
	};
	struct test_daemon daemon = test_daemon_start("[match]\nfalse_match_rate = 1e-3\n");

	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		test_daemon_reload(&daemon, mistakes[i], REFUSED);
		cr_expect_float_eq(stated_rate(&daemon), 1e-3, 1e-12, "%s", mistakes[i]);
	}
	char *log = test_daemon_log(&daemon);
	cr_expect(strstr(log, "facematchd.conf:5: [match] false_match_rate = 2 is not a number"), "%s", log);
	free(log);
	test_daemon_stop(&daemon);
}

Test(reload, what_waits_for_a_restart_is_said)
{
	struct test_daemon daemon = test_daemon_start(NULL);

	test_daemon_reload(&daemon,
	        "[workers]\ncount = 2\n[models]\nprecision = float32\n[match]\nfalse_match_rate = 1e-6\n",
	        DONE);
	test_daemon_wait_for_log(&daemon, "waits for a restart setting=\"[workers] count\"");
	test_daemon_wait_for_log(&daemon, "waits for a restart setting=\"[models] precision\"");
	json_t *json = test_take_json(test_get(&daemon, "/v1/info"), 200, "info");
	cr_expect_eq(json_integer_value(json_object_get(json, "workers")), 1);
	cr_expect_str_eq(json_string_value(json_object_get(json, "quantization")), "int8");
	json_decref(json);
	cr_expect_float_eq(stated_rate(&daemon), 1e-6, 1e-12);
	test_daemon_stop(&daemon);
}

Test(reload, a_request_keeps_the_settings_it_began_with)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	struct fm_image scene = test_scene(640, 480);
	struct test_bytes photo = test_png_rgb(&scene);
	int fd = test_connect(&daemon);

	cr_assert_gt(photo.length, 2048);
	test_begin_photo(fd, "/v1/detect", "image/png", photo.length);
	test_send(fd, photo.data, 1500);
	test_daemon_reload(&daemon, "[limits]\nbody_max_bytes = 1024\n", DONE);
	test_expect_problem(test_photo(&daemon, "/v1/detect", photo.data, photo.length), 413,
	        "body_too_large", "a new one");
	test_send(fd, photo.data + 1500, photo.length - 1500);
	test_expect_until(fd, "HTTP/1.1 200 ", "the old limit");
	close(fd);
	test_bytes_done(&photo);
	fm_image_done(&scene);
	test_daemon_stop(&daemon);
}

/* Only the main thread may see them: any other would end the daemon. */
Test(reload, signals_in_quick_succession)
{
	struct test_daemon daemon = test_daemon_start(NULL);

	for (int i = 0; i < 100; i++) {
		cr_assert_eq(kill(daemon.pid, SIGHUP), 0);
		usleep(500);
	}
	test_daemon_reload(&daemon, "[match]\nfalse_match_rate = 1e-5\n", DONE);
	/* That line may be of a signal before: the last one is answered a moment later. */
	for (int i = 0; i < TEST_PATIENCE_S * 100 && stated_rate(&daemon) > 2e-5; i++)
		usleep(10000);
	cr_expect_float_eq(stated_rate(&daemon), 1e-5, 1e-12);
	test_daemon_stop(&daemon);
}

/* The next datagram, as a string. */
static void take_notification(int fd, char *ret_text, size_t size)
{
	struct pollfd waiting = {.fd = fd, .events = POLLIN};

	cr_assert_eq(poll(&waiting, 1, TEST_PATIENCE_S * 1000), 1, "no notification");
	ssize_t length = recv(fd, ret_text, size - 1, 0);
	cr_assert_gt(length, 0);
	ret_text[length] = '\0';
}

Test(reload, systemd_is_told)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char text[512], directory[] = "/tmp/facematchd-notify-XXXXXX";
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	cr_assert_not_null(mkdtemp(directory));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", directory);
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	setenv("NOTIFY_SOCKET", address.sun_path, 1);
	struct test_daemon daemon = test_daemon_start(NULL);
	unsetenv("NOTIFY_SOCKET");
	take_notification(fd, text, sizeof(text));
	cr_expect_eq(strncmp(text, "READY=1", 7), 0, "%s", text);
	test_daemon_reload(&daemon, "[match]\nfalse_match_rate = 9\n", REFUSED);
	take_notification(fd, text, sizeof(text));
	cr_expect_eq(strncmp(text, "RELOADING=1\nMONOTONIC_USEC=", 27), 0, "%s", text);
	take_notification(fd, text, sizeof(text));
	cr_expect_str_eq(text, "READY=1");
	test_daemon_stop(&daemon);
	take_notification(fd, text, sizeof(text));
	cr_expect_eq(strncmp(text, "STOPPING=1", 10), 0, "%s", text);
	close(fd);
	unlink(address.sun_path);
	rmdir(directory);
}
