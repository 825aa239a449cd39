/* What was answered is on disk: the daemon killed at random moments, and a disk without room. */
#include "tests/support/daemon_harness.h"
#include "tests/support/http_client.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KILLS = 12, CLIENTS = 3, PEOPLE_MAX = 512 };

static struct test_daemon server;
static char *photo;
static size_t photo_bytes;
static atomic_size_t answers;

/* What one client asked for, and what it was told. */
struct client {
	int number, round;
	pthread_t thread;
	struct {
		char id[40];
		enum { DOUBTFUL, ENROLLED, DELETING, DELETED } state;
	} people[PEOPLE_MAX];
	size_t count;
};

/* Enrols people until nobody answers any more, and deletes every third again. */
static void *ask_until_silence(void *argument)
{
	struct client *client = argument;

	while (client->count < PEOPLE_MAX) {
		size_t i = client->count++;
		char path[128];

		snprintf(path, sizeof(path), "/v1/enroll?face=largest&name=r%dc%dp%zu", client->round,
		        client->number, i);
		struct test_reply reply = test_photo(&server, path, photo, photo_bytes);
		const char *id = NULL;

		if (reply.status == 201)
			json_unpack(reply.json, "{s:{s:s}}", "person", "id", &id);
		if (id) {
			snprintf(client->people[i].id, sizeof(client->people[i].id), "%s", id);
			client->people[i].state = ENROLLED;
		}
		long status = reply.status;

		test_reply_done(&reply);
		if (status != 201)
			return NULL;
		atomic_fetch_add(&answers, 1);
		if (i % 3 != 2)
			continue;
		client->people[i - 1].state = DELETING;
		snprintf(path, sizeof(path), "/v1/people/%s", client->people[i - 1].id);
		reply = test_delete(&server, path);
		status = reply.status;
		test_reply_done(&reply);
		if (status != 204)
			return NULL;
		client->people[i - 1].state = DELETED;
	}
	return NULL;
}

static void expect_what_was_answered(const struct client *client)
{
	char path[64];

	for (size_t i = 0; i < client->count; i++) {
		int state = client->people[i].state;

		if (state != ENROLLED && state != DELETED)
			continue;
		snprintf(path, sizeof(path), "/v1/people/%s", client->people[i].id);
		struct test_reply reply = test_get(&server, path);

		cr_expect_eq(reply.status, state == ENROLLED ? 200 : 404, "round %d: %s answers %ld",
		        client->round, state == ENROLLED ? "an enrolled person" : "a deleted person",
		        reply.status);
		if (state == ENROLLED)
			cr_expect_eq(json_integer_value(json_object_get(reply.json, "faces")), 1);
		test_reply_done(&reply);
	}
}

Test(durability, what_was_answered_survives_kill_9)
{
	static const char settings[] = "[workers]\ncount = 2\nqueue_timeout_ms = 600000\n";
	static struct client clients[CLIENTS];

	photo = test_demo_photo("sample1.jpg", &photo_bytes);
	server = test_daemon_start(settings);
	for (int round = 0; round < KILLS; round++) {
		memset(clients, 0, sizeof(clients));
		atomic_store(&answers, 0);
		for (int i = 0; i < CLIENTS; i++) {
			clients[i].number = i;
			clients[i].round = round;
			cr_assert_eq(
			        pthread_create(&clients[i].thread, NULL, ask_until_silence, &clients[i]), 0);
		}
		/* It dies somewhere between the answers to these and to those that come next. */
		for (int waited_ms = 0; atomic_load(&answers) < 4 + (size_t)round % 5; waited_ms++) {
			cr_assert_lt(waited_ms, TEST_PATIENCE_S * 1000);
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		}
		nanosleep(&(struct timespec){.tv_nsec = round * 53 % 100 * 1000000L}, NULL);
		int status = test_daemon_end(&server, SIGKILL);

		cr_assert(WIFSIGNALED(status));
		for (int i = 0; i < CLIENTS; i++)
			pthread_join(clients[i].thread, NULL);
		test_daemon_restart(&server, settings);
		for (int i = 0; i < CLIENTS; i++)
			expect_what_was_answered(&clients[i]);
	}
	test_daemon_stop(&server);
	free(photo);
}

/* A small /tmp of this test's own, where this process may have one. */
static bool have_small_disk(void)
{
	if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return false;
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("test", "/tmp", "tmpfs", 0, "size=16m") == 0;
}

Test(durability, a_full_disk_refuses_enrolment_and_forgets_all_the_same)
{
	char filler[96], block[4096] = {1}, path[96], id[40];

	photo = test_demo_photo("sample1.jpg", &photo_bytes);
	if (!have_small_disk())
		cr_skip_test("no mount namespace here");
	server = test_daemon_start(NULL);
	json_t *json = test_take_json(
	        test_photo(&server, "/v1/enroll?face=largest&name=Ann", photo, photo_bytes), 201, "enrol");

	snprintf(id, sizeof(id), "%s",
	        json_string_value(json_object_get(json_object_get(json, "person"), "id")));
	json_decref(json);
	snprintf(filler, sizeof(filler), "%s/filler", server.directory);
	int fd = open(filler, O_WRONLY | O_CREAT, 0600);

	while (write(fd, block, sizeof(block)) > 0)
		;
	/* What room the log still had is used up first. */
	struct test_reply reply = {.status = 201};

	for (int i = 0; i < 200 && reply.status == 201; i++) {
		snprintf(path, sizeof(path), "/v1/enroll?face=largest&name=P%d", i);
		test_reply_done(&reply);
		reply = test_photo(&server, path, photo, photo_bytes);
	}
	test_expect_problem(reply, 507, "storage_full", "no room");
	test_expect_status(test_get(&server, "/v1/people"), 200, "reading goes on");
	test_expect_status(test_photo(&server, "/v1/identify", photo, photo_bytes), 200, "searching goes on");
	snprintf(path, sizeof(path), "/v1/people/%s", id);
	test_expect_status(test_delete(&server, path), 204, "a deletion has room");
	test_expect_status(test_get(&server, path), 404, "deleted");
	close(fd);
	unlink(filler);
	test_expect_status(test_photo(&server, "/v1/enroll?face=largest&name=Zoe", photo, photo_bytes), 201,
	        "room again, without a restart");
	test_daemon_stop(&server);
	free(photo);
}
