#include "daemon/listen.h"

#include "lib/base/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define BACKLOG 512

static bool parse_port(const char *text, in_port_t *ret_port)
{
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	unsigned long port = strtoul(text, &end, 10);
	if (*end || end - text > 5 || port > 65535)
		return false;
	*ret_port = htons((uint16_t)port);
	return true;
}

enum fm_status fm_listen_parse(const char *text, struct fm_listen_address *ret_address, struct fm_error *err)
{
	struct fm_listen_address result = {0};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&result.address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&result.address;
	const char *colon = strrchr(text, ':');
	char host[64];
	in_port_t port;

	if (!colon || (size_t)(colon - text) >= sizeof(host) || !parse_port(colon + 1, &port))
		return fm_fail(err, FM_E_INVALID, "\"%s\" is not ADDRESS:PORT", text);
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	size_t length = strlen(host);

	if (length > 2 && host[0] == '[' && host[length - 1] == ']') {
		host[length - 1] = '\0';
		v6->sin6_family = AF_INET6;
		v6->sin6_port = port;
		result.length = sizeof(*v6);
		if (inet_pton(AF_INET6, host + 1, &v6->sin6_addr) == 1) {
			*ret_address = result;
			return FM_OK;
		}
	} else {
		v4->sin_family = AF_INET;
		v4->sin_port = port;
		result.length = sizeof(*v4);
		if (inet_pton(AF_INET, strcmp(host, "localhost") ? host : "127.0.0.1", &v4->sin_addr) == 1) {
			*ret_address = result;
			return FM_OK;
		}
	}
	return fm_fail(err, FM_E_INVALID, "\"%s\": \"%.*s\" is no IP address (IPv6 goes in brackets)", text,
	        (int)(colon - text), text);
}

bool fm_listen_is_loopback(const struct fm_listen_address *address)
{
	if (address->address.ss_family == AF_INET) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->address;
		return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	}
	if (address->address.ss_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->address;
		return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) ||
		       (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) && v6->sin6_addr.s6_addr[12] == IN_LOOPBACKNET);
	}
	return false;
}

static void format_address(const struct fm_listen_address *address, char ret_text[FM_LISTEN_TEXT])
{
	char host[INET6_ADDRSTRLEN] = "?";

	if (address->address.ss_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->address;
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		snprintf(ret_text, FM_LISTEN_TEXT, "[%s]:%u", host, ntohs(v6->sin6_port));
	} else {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->address;
		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		snprintf(ret_text, FM_LISTEN_TEXT, "%s:%u", host, ntohs(v4->sin_port));
	}
}

enum fm_status fm_listen_check(const struct fm_listen_address *address, struct fm_error *err)
{
	char text[FM_LISTEN_TEXT];

	if (fm_listen_is_loopback(address))
		return FM_OK;
	format_address(address, text);
	return fm_fail(err, FM_E_INVALID,
	        "refusing to serve %s: without keys only loopback is served (127.0.0.1, ::1)", text);
}

enum fm_status fm_listen_open(const struct fm_listen_address *address, int *ret_fd, struct fm_error *err)
{
	char text[FM_LISTEN_TEXT];
	int on = 1;
	format_address(address, text);
	fm_autoclose int fd =
	        socket(address->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fm_fail_errno(err, errno, "cannot create a socket for %s", text);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&address->address, address->length) < 0 ||
	        listen(fd, BACKLOG) < 0)
		return fm_fail_errno(err, errno, "cannot listen on %s", text);
	*ret_fd = fd;
	fd = -1;
	return FM_OK;
}

enum fm_status fm_listen_describe(
        int fd, char ret_text[FM_LISTEN_TEXT], uint16_t *ret_port, struct fm_error *err)
{
	struct fm_listen_address address = {.length = sizeof(address.address)};

	if (getsockname(fd, (struct sockaddr *)&address.address, &address.length) < 0)
		return fm_fail_errno(err, errno, "cannot read the socket's address");
	format_address(&address, ret_text);
	*ret_port = ntohs(address.address.ss_family == AF_INET6
	                          ? ((struct sockaddr_in6 *)&address.address)->sin6_port
	                          : ((struct sockaddr_in *)&address.address)->sin_port);
	return FM_OK;
}
