#include "daemon/listen.h"

#include "lib/base/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include "lib/base/banned.h"

#define BACKLOG    512
#define SEPARATORS ", \t"

static const char unix_prefix[] = "unix:";

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

static enum fm_status parse_unix(
        const char *path, struct fm_listen_address *ret_address, struct fm_error *err)
{
	struct fm_listen_address result = {.length = sizeof(struct sockaddr_un)};
	struct sockaddr_un *address = (struct sockaddr_un *)&result.address;

	if (path[0] != '/' || strlen(path) >= sizeof(address->sun_path))
		return fm_fail(err, FM_E_INVALID, "\"unix:%s\": a path from / of at most %zu bytes is wanted",
		        path, sizeof(address->sun_path) - 1);
	address->sun_family = AF_UNIX;
	memcpy(address->sun_path, path, strlen(path) + 1);
	*ret_address = result;
	return FM_OK;
}

enum fm_status fm_listen_parse(const char *text, struct fm_listen_address *ret_address, struct fm_error *err)
{
	struct fm_listen_address result = {0};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&result.address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&result.address;
	const char *colon = strrchr(text, ':');
	char host[64];
	in_port_t port;

	if (strncmp(text, unix_prefix, sizeof(unix_prefix) - 1) == 0)
		return parse_unix(text + sizeof(unix_prefix) - 1, ret_address, err);
	if (!colon || (size_t)(colon - text) >= sizeof(host) || !parse_port(colon + 1, &port))
		return fm_fail(err, FM_E_INVALID, "\"%s\" is neither ADDRESS:PORT nor unix:/PATH", text);
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

enum fm_status fm_listen_parse_list(const char *text, struct fm_listen_address ret_addresses[FM_LISTEN_MAX],
        size_t *ret_count, struct fm_error *err)
{
	size_t count = 0;

	for (text += strspn(text, SEPARATORS); *text; text += strspn(text, SEPARATORS)) {
		size_t length = strcspn(text, SEPARATORS);
		fm_autofree char *one = strndup(text, length);
		if (!one)
			return fm_fail(err, FM_E_NOMEM, "no memory for the addresses");
		if (count == FM_LISTEN_MAX)
			return fm_fail(err, FM_E_INVALID, "more than %d addresses to serve", FM_LISTEN_MAX);
		enum fm_status status = fm_listen_parse(one, &ret_addresses[count], err);
		if (status)
			return status;
		count++;
		text += length;
	}
	if (!count)
		return fm_fail(err, FM_E_INVALID, "no address to serve");
	*ret_count = count;
	return FM_OK;
}

bool fm_listen_is_local(const struct fm_listen_address *address)
{
	if (address->address.ss_family == AF_UNIX)
		return true;
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

	if (address->address.ss_family == AF_UNIX) {
		const struct sockaddr_un *local = (const struct sockaddr_un *)&address->address;
		snprintf(ret_text, FM_LISTEN_TEXT, "%s%s", unix_prefix, local->sun_path);
	} else if (address->address.ss_family == AF_INET6) {
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

	if (fm_listen_is_local(address))
		return FM_OK;
	format_address(address, text);
	return fm_fail(err, FM_E_INVALID,
	        "refusing to serve %s: without keys only loopback is served (127.0.0.1, ::1); see "
	        "facematchctl "
	        "key create, or [server] allow_without_keys",
	        text);
}

enum fm_status fm_listen_parse_mode(const char *text, mode_t *ret_mode, struct fm_error *err)
{
	char *end;
	unsigned long mode = strtoul(text, &end, 8);

	if (end == text || *end || mode > 0777)
		return fm_fail(
		        err, FM_E_INVALID, "[server] socket_mode = %.16s is no file mode such as 0660", text);
	*ret_mode = (mode_t)mode;
	return FM_OK;
}

/* ---- opening ---- */

/* A socket file that nobody answers at is one that a process left when it died. */
static enum fm_status remove_stale(
        const struct fm_listen_address *address, const char *text, struct fm_error *err)
{
	const char *path = ((const struct sockaddr_un *)&address->address)->sun_path;
	struct stat info;

	if (lstat(path, &info) < 0)
		return FM_OK;
	if (!S_ISSOCK(info.st_mode))
		return fm_fail(err, FM_E_IO, "cannot listen on %s: there is a file of that name", text);
	fm_autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fm_fail_errno(err, errno, "cannot create a socket for %s", text);
	if (connect(fd, (const struct sockaddr *)&address->address, address->length) == 0 ||
	        errno != ECONNREFUSED)
		return fm_fail_errno(err, EADDRINUSE, "cannot listen on %s", text);
	if (unlink(path) < 0)
		return fm_fail_errno(err, errno, "cannot replace %s", text);
	return FM_OK;
}

/* Bound and not yet listening: nobody gets in before this is done. */
static enum fm_status set_access(
        const struct fm_listen_address *address, mode_t mode, const char *group, struct fm_error *err)
{
	const char *path = ((const struct sockaddr_un *)&address->address)->sun_path;

	if (chmod(path, mode) < 0)
		return fm_fail_errno(err, errno, "cannot set the mode of %s", path);
	if (!group[0])
		return FM_OK;
	errno = 0;
	const struct group *entry = getgrnam(group);
	if (!entry)
		return fm_fail(
		        err, FM_E_INVALID, "[server] socket_group = %s: there is no such group", group);
	if (chown(path, (uid_t)-1, entry->gr_gid) < 0)
		return fm_fail_errno(err, errno, "cannot give %s to the group %s", path, group);
	return FM_OK;
}

enum fm_status fm_listen_open(const struct fm_listen_address *address, mode_t mode, const char *group,
        int *ret_fd, struct fm_error *err)
{
	bool is_unix = address->address.ss_family == AF_UNIX;
	char text[FM_LISTEN_TEXT];
	int on = 1;

	format_address(address, text);
	enum fm_status status = is_unix ? remove_stale(address, text, err) : FM_OK;
	if (status)
		return status;
	fm_autoclose int fd =
	        socket(address->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fm_fail_errno(err, errno, "cannot create a socket for %s", text);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&address->address, address->length) < 0)
		return fm_fail_errno(err, errno, "cannot listen on %s", text);
	status = is_unix ? set_access(address, mode, group, err) : FM_OK;
	if (!status && listen(fd, BACKLOG) < 0)
		status = fm_fail_errno(err, errno, "cannot listen on %s", text);
	if (status)
		return status;
	*ret_fd = fd;
	fd = -1;
	return FM_OK;
}

enum fm_status fm_listen_inherit(int ret_fds[FM_LISTEN_MAX], size_t *ret_count, struct fm_error *err)
{
	int count = sd_listen_fds(1);

	if (count > FM_LISTEN_MAX)
		return fm_fail(err, FM_E_INVALID, "systemd hands over more than %d sockets", FM_LISTEN_MAX);
	for (int i = 0; i < count; i++) {
		int fd = SD_LISTEN_FDS_START + i;
		if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0)
			return fm_fail(err, FM_E_INVALID,
			        "what systemd hands over is no listening stream socket (ListenStream=, "
			        "Accept=no)");
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		ret_fds[i] = fd;
	}
	*ret_count = count > 0 ? (size_t)count : 0;
	return FM_OK;
}

enum fm_status fm_listen_address_of(int fd, struct fm_listen_address *ret_address, struct fm_error *err)
{
	struct fm_listen_address address = {.length = sizeof(address.address)};

	if (getsockname(fd, (struct sockaddr *)&address.address, &address.length) < 0)
		return fm_fail_errno(err, errno, "cannot read the socket's address");
	*ret_address = address;
	return FM_OK;
}

enum fm_status fm_listen_describe(
        int fd, char ret_text[FM_LISTEN_TEXT], uint16_t *ret_port, struct fm_error *err)
{
	struct fm_listen_address address;
	enum fm_status status = fm_listen_address_of(fd, &address, err);

	if (status)
		return status;
	format_address(&address, ret_text);
	*ret_port = address.address.ss_family == AF_INET6
	                    ? ntohs(((struct sockaddr_in6 *)&address.address)->sin6_port)
	            : address.address.ss_family == AF_INET
	                    ? ntohs(((struct sockaddr_in *)&address.address)->sin_port)
	                    : 0;
	return FM_OK;
}
