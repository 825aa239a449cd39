#include "daemon/listen.h"

#include <criterion/criterion.h>

#include <string.h>
#include <unistd.h>

#include "lib/base/banned.h"

Test(listen, addresses)
{
	static const struct {
		const char *text;
		bool loopback;
	} good[] = {
	        {"127.0.0.1:8660", true},
	        {"127.3.2.1:0", true},
	        {"localhost:80", true},
	        {"[::1]:8660", true},
	        {"[::ffff:127.0.0.1]:1", true},
	        {"0.0.0.0:8660", false},
	        {"[::]:8660", false},
	        {"192.168.1.2:65535", false},
	        {"[::ffff:10.0.0.1]:1", false},
	        {"126.0.0.1:1", false},
	};
	static const char *const wrong[] = {"", "8660", ":8660", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
	        "127.0.0.1:-1", "127.0.0.1:80x", "127.0.0.1: 80", "::1:80", "[::1]", "[::1:80", "[]:80",
	        "example.org:80", "1.2.3:80", "127.0.0.1:000080"};
	struct fm_listen_address address;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		cr_assert_eq(fm_listen_parse(good[i].text, &address, NULL), FM_OK, "%s", good[i].text);
		cr_expect_eq(fm_listen_is_local(&address), good[i].loopback, "%s", good[i].text);
		cr_expect_eq(fm_listen_check(&address, NULL), good[i].loopback ? FM_OK : FM_E_INVALID, "%s",
		        good[i].text);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_expect_eq(fm_listen_parse(wrong[i], &address, NULL), FM_E_INVALID, "%s", wrong[i]);
}

Test(listen, opens_a_free_port)
{
	struct fm_listen_address address;
	char text[FM_LISTEN_TEXT];
	uint16_t port = 0;
	int fd = -1;

	cr_assert_eq(fm_listen_parse("127.0.0.1:0", &address, NULL), FM_OK);
	cr_assert_eq(fm_listen_open(&address, 0600, "", &fd, NULL), FM_OK);
	cr_assert_eq(fm_listen_describe(fd, text, &port, NULL), FM_OK);
	cr_expect_neq(port, 0);
	cr_expect_eq(strncmp(text, "127.0.0.1:", 10), 0, "%s", text);
	/* The port is taken now. */
	int second = -1;
	struct fm_error err;
	cr_assert_eq(fm_listen_parse(text, &address, NULL), FM_OK);
	cr_expect_eq(fm_listen_open(&address, 0600, "", &second, &err), FM_E_IO);
	cr_expect(strstr(err.message, text), "%s", err.message);
	close(fd);
}

Test(listen, lists)
{
	struct fm_listen_address addresses[FM_LISTEN_MAX];
	size_t count = 0;
	struct fm_error err;

	cr_assert_eq(
	        fm_listen_parse_list(" 127.0.0.1:1,unix:/run/x  [::1]:2,", addresses, &count, &err), FM_OK);
	cr_expect_eq(count, 3);
	cr_expect_eq(addresses[1].address.ss_family, AF_UNIX);
	cr_expect(fm_listen_is_local(&addresses[1]));
	cr_expect_eq(fm_listen_parse_list("", addresses, &count, &err), FM_E_INVALID);
	cr_expect_eq(fm_listen_parse_list("unix:relative", addresses, &count, &err), FM_E_INVALID);
	cr_expect_eq(
	        fm_listen_parse_list("1.1.1.1:1 1.1.1.1:2 1.1.1.1:3 1.1.1.1:4 1.1.1.1:5 1.1.1.1:6 1.1.1.1:7 "
	                             "1.1.1.1:8 1.1.1.1:9",
	                addresses, &count, &err),
	        FM_E_INVALID);
	mode_t mode;
	cr_expect_eq(fm_listen_parse_mode("0660", &mode, &err), FM_OK);
	cr_expect_eq(mode, 0660);
	cr_expect_eq(fm_listen_parse_mode("0680", &mode, &err), FM_E_INVALID);
	cr_expect_eq(fm_listen_parse_mode("7777", &mode, &err), FM_E_INVALID);
}
