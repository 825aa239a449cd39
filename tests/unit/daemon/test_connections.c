#include "daemon/connections.h"

#include "daemon/address.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <math.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/banned.h"

static struct fm_connections *connections;
static struct fm_error err;

static void begin(void)
{
	cr_assert_eq(fm_connections_create(&connections, &err), FM_OK);
}

static void end(void)
{
	fm_connections_free(connections);
}

TestSuite(connections, .init = begin, .fini = end);

static struct sockaddr_storage address_of(const char *text)
{
	struct sockaddr_storage address = {0};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;

	if (strcmp(text, "unix") == 0) {
		address.ss_family = AF_UNIX;
	} else if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		address.ss_family = AF_INET;
	} else {
		cr_assert_eq(inet_pton(AF_INET6, text, &v6->sin6_addr), 1, "%s", text);
		address.ss_family = AF_INET6;
	}
	return address;
}

static enum fm_status admit(int fd, const char *text, size_t maximum, size_t address_maximum)
{
	struct sockaddr_storage address = address_of(text);

	return fm_connections_admit(
	        connections, fd, (struct sockaddr *)&address, maximum, address_maximum, INFINITY, &err);
}

Test(connections, counted_in_all_and_by_address)
{
	cr_expect_eq(admit(500, "10.0.0.1", 5, 2), FM_OK);
	cr_expect_eq(admit(7, "10.0.0.1", 5, 2), FM_OK);
	cr_expect_eq(admit(8, "10.0.0.1", 5, 2), FM_E_BUSY);
	cr_expect_eq(admit(8, "::ffff:10.0.0.1", 5, 2), FM_E_BUSY, "the same address, written as IPv6");
	cr_expect_eq(admit(8, "10.0.0.2", 5, 2), FM_OK);
	cr_expect_eq(admit(9, "unix", 5, 0), FM_OK, "a Unix socket has no address");
	cr_expect_eq(admit(10, "2001:db8::1", 5, 1), FM_OK);
	cr_expect_eq(fm_connections_count(connections), 5);
	cr_expect_eq(admit(11, "10.0.0.3", 5, 2), FM_E_BUSY);
	fm_connections_release(connections, 500);
	fm_connections_release(connections, 500);
	cr_expect_eq(fm_connections_count(connections), 4);
	cr_expect_eq(admit(11, "2001:db8::2", 5, 1), FM_E_BUSY, "the same /64");
	cr_expect_eq(admit(11, "10.0.0.1", 5, 2), FM_OK);
}

/* A number comes again only after its descriptor was closed. */
Test(connections, a_number_that_comes_again_replaces)
{
	for (int i = 0; i < 100; i++)
		cr_expect_eq(admit(3, i % 2 ? "10.0.0.1" : "10.0.0.2", 1, 1), FM_OK, "%d", i);
	cr_expect_eq(fm_connections_count(connections), 1);
}

Test(connections, overdue_ones_are_ended)
{
	char byte;
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	cr_assert_eq(admit(fds[0], "10.0.0.1", 5, 5), FM_OK);
	fm_connections_started(connections, fds[0]);
	fm_connections_deadline(connections, fds[0], 100);
	cr_expect_eq(fm_connections_reap(connections, 99), 0);
	cr_expect_eq(recv(fds[1], &byte, 1, MSG_DONTWAIT), -1, "open");
	cr_expect_eq(fm_connections_reap(connections, 100), 1);
	cr_expect_eq(recv(fds[1], &byte, 1, MSG_DONTWAIT), 0, "ended");
	cr_expect_eq(fm_connections_reap(connections, 101), 0, "once");
	cr_expect_eq(fm_connections_count(connections), 1, "until its owner has closed it");
	close(fds[0]);
	close(fds[1]);
}

/* Whoever has left is ended at the second look; what can still be read is read first. */
Test(connections, those_that_left_are_ended)
{
	char byte;
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	cr_assert_eq(admit(fds[0], "unix", 5, 5), FM_OK);
	fm_connections_started(connections, fds[0]);
	fm_connections_deadline(connections, fds[0], 1e9);
	cr_assert_eq(send(fds[1], "x", 1, 0), 1);
	shutdown(fds[1], SHUT_WR);
	for (int i = 1; i < 5; i++)
		fm_connections_reap(connections, i * 10);
	cr_expect_eq(recv(fds[1], &byte, 1, MSG_DONTWAIT), -1, "something is left to read");
	cr_assert_eq(recv(fds[0], &byte, 1, 0), 1);
	fm_connections_reap(connections, 100);
	cr_expect_eq(recv(fds[1], &byte, 1, MSG_DONTWAIT), -1, "the first look");
	fm_connections_reap(connections, 110);
	cr_expect_eq(recv(fds[1], &byte, 1, MSG_DONTWAIT), 0, "the second");
	close(fds[0]);
	close(fds[1]);
}

Test(connections, one_without_deadline_is_let_be)
{
	char byte;
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	cr_assert_eq(admit(fds[0], "unix", 5, 5), FM_OK);
	fm_connections_started(connections, fds[0]);
	shutdown(fds[1], SHUT_WR);
	for (int i = 1; i < 5; i++)
		fm_connections_reap(connections, i * 10);
	cr_expect_eq(recv(fds[1], &byte, 1, MSG_DONTWAIT), -1, "its request is with a worker");
	close(fds[0]);
	close(fds[1]);
}

Test(connections, addresses)
{
	static const struct {
		const char *text;
		bool local;
	} cases[] = {{"127.0.0.1", true}, {"127.9.9.9", true}, {"::1", true}, {"unix", true},
	        {"10.0.0.1", false}, {"2001:db8::1", false}};
	char text[FM_ADDRESS_TEXT];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sockaddr_storage address = address_of(cases[i].text);
		cr_expect_eq(fm_address_is_local((struct sockaddr *)&address), cases[i].local, "%s",
		        cases[i].text);
		fm_address_format((struct sockaddr *)&address, text);
		cr_expect_str_eq(text, cases[i].text);
	}
	fm_address_format(NULL, text);
	cr_expect_str_eq(text, "unix");
}
