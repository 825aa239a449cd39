#include "daemon/listeners.h"

#include <string.h>
#include <unistd.h>

#include "lib/base/banned.h"

/* Takes the descriptor in, whatever comes back. */
static enum fm_status add(struct fm_listeners *listeners, int fd, bool ours,
        const struct fm_snapshot *snapshot, struct fm_error *err)
{
	struct fm_listen_address address;
	size_t i = listeners->count++;

	listeners->at[i].fd = fd;
	enum fm_status status = fm_listen_address_of(fd, &address, err);
	if (!status)
		status = fm_listen_describe(fd, listeners->at[i].text, &listeners->at[i].port, err);
	if (status)
		return status;
	listeners->at[i].is_unix = address.address.ss_family == AF_UNIX;
	listeners->at[i].ours = ours;
	/* Sockets of systemd's are not in the settings that were checked. */
	if (!snapshot->keys && !snapshot->config.allow_without_keys)
		status = fm_listen_check(&address, err);
	return status;
}

enum fm_status fm_listeners_open(
        struct fm_listeners *listeners, const struct fm_snapshot *snapshot, struct fm_error *err)
{
	const struct fm_config *config = &snapshot->config;
	struct fm_listen_address addresses[FM_LISTEN_MAX];
	int fds[FM_LISTEN_MAX];
	size_t count = 0;
	mode_t mode;
	enum fm_status status = fm_listen_inherit(fds, &count, err);

	for (size_t i = 0; !status && i < count; i++)
		status = add(listeners, fds[i], false, snapshot, err);
	if (status || count)
		return status;
	status = fm_listen_parse_list(config->listen, addresses, &count, err);
	if (!status)
		status = fm_listen_parse_mode(config->socket_mode, &mode, err);
	for (size_t i = 0; !status && i < count; i++) {
		status = fm_listen_open(&addresses[i], mode, config->socket_group, &fds[i], err);
		if (!status)
			status = add(listeners, fds[i], true, snapshot, err);
	}
	return status;
}

void fm_listeners_done(struct fm_listeners *listeners)
{
	for (size_t i = 0; i < listeners->count; i++) {
		if (listeners->at[i].fd >= 0)
			close(listeners->at[i].fd);
		if (listeners->at[i].ours && listeners->at[i].is_unix)
			unlink(listeners->at[i].text + strlen("unix:"));
	}
	listeners->count = 0;
}
