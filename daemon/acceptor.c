#include "daemon/acceptor.h"

#include "daemon/log.h"
#include "daemon/thread.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/base/banned.h"

#define TICK_MS    250
#define ACCEPT_MAX 64 /* in a row of one socket, before the others get their turn */

struct fm_acceptor {
	struct fm_acceptor_options options;
	int fds[FM_LISTEN_MAX];
	int event_fd;
	pthread_t thread;
	bool running;
	pthread_mutex_t lock;
	pthread_cond_t closed;
	bool is_closed;
	atomic_bool closing, ending;
};

/* False: there is no room for another one now. */
static bool accept_some(struct fm_acceptor *acceptor, int listener)
{
	for (int i = 0; i < ACCEPT_MAX; i++) {
		struct sockaddr_storage address;
		socklen_t length = sizeof(address);
		int fd =
		        accept4(listener, (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			acceptor->options.accepted(
			        acceptor->options.context, fd, (struct sockaddr *)&address, length);
			continue;
		}
		/* Errors of the one connection (accept(2)) are no reason to stop. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			return false;
		if (errno == EAGAIN)
			return true;
	}
	return true;
}

static void close_listeners(struct fm_acceptor *acceptor)
{
	for (size_t i = 0; i < acceptor->options.count; i++)
		close(acceptor->fds[i]);
	acceptor->options.count = 0;
	pthread_mutex_lock(&acceptor->lock);
	acceptor->is_closed = true;
	pthread_cond_broadcast(&acceptor->closed);
	pthread_mutex_unlock(&acceptor->lock);
}

static void *acceptor_main(void *argument)
{
	struct fm_acceptor *acceptor = argument;
	struct pollfd waiting[FM_LISTEN_MAX + 1];
	bool full = false, was_full = false;
	uint64_t count;

	while (!atomic_load(&acceptor->ending)) {
		size_t listeners = full ? 0 : acceptor->options.count;
		waiting[0] = (struct pollfd){.fd = acceptor->event_fd, .events = POLLIN};
		for (size_t i = 0; i < listeners; i++)
			waiting[1 + i] = (struct pollfd){.fd = acceptor->fds[i], .events = POLLIN};
		int ready = poll(waiting, 1 + listeners, TICK_MS);
		if (ready > 0 && waiting[0].revents && read(acceptor->event_fd, &count, sizeof(count)) < 0)
			continue;
		if (atomic_load(&acceptor->closing) && acceptor->options.count) {
			close_listeners(acceptor);
			listeners = 0;
		}
		full = false;
		for (size_t i = 0; ready > 0 && i < listeners; i++) {
			if (waiting[1 + i].revents)
				full |= !accept_some(acceptor, acceptor->fds[i]);
		}
		if (full && !was_full)
			fm_log(FM_LOG_WARNING, "no descriptors or memory for further connections", NULL);
		was_full = full;
		acceptor->options.tick(acceptor->options.context);
	}
	return NULL;
}

static enum fm_status start(struct fm_acceptor *acceptor, struct fm_error *err)
{
	acceptor->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (acceptor->event_fd < 0)
		return fm_fail_errno(err, errno, "cannot create an eventfd");
	enum fm_status status = fm_thread_create(
	        "a thread that accepts connections", acceptor_main, acceptor, &acceptor->thread, err);

	acceptor->running = !status;
	return status;
}

enum fm_status fm_acceptor_create(
        const struct fm_acceptor_options *options, struct fm_acceptor **ret_acceptor, struct fm_error *err)
{
	struct fm_acceptor *acceptor = fm_calloc(1, sizeof(*acceptor));

	if (!acceptor) {
		for (size_t i = 0; i < options->count; i++)
			close(options->fds[i]);
		return fm_fail(err, FM_E_NOMEM, "no memory for the HTTP server");
	}
	acceptor->options = *options;
	memcpy(acceptor->fds, options->fds, options->count * sizeof(acceptor->fds[0]));
	acceptor->event_fd = -1;
	pthread_mutex_init(&acceptor->lock, NULL);
	pthread_cond_init(&acceptor->closed, NULL);
	enum fm_status status = start(acceptor, err);
	if (status) {
		fm_acceptor_free(acceptor);
		return status;
	}
	*ret_acceptor = acceptor;
	return FM_OK;
}

static void wake(struct fm_acceptor *acceptor)
{
	uint64_t one = 1;

	/* Full: then it is awake already. */
	if (write(acceptor->event_fd, &one, sizeof(one)) < 0)
		return;
}

void fm_acceptor_close(struct fm_acceptor *acceptor)
{
	atomic_store(&acceptor->closing, true);
	wake(acceptor);
	pthread_mutex_lock(&acceptor->lock);
	while (!acceptor->is_closed)
		pthread_cond_wait(&acceptor->closed, &acceptor->lock);
	pthread_mutex_unlock(&acceptor->lock);
}

void fm_acceptor_free(struct fm_acceptor *acceptor)
{
	if (!acceptor)
		return;
	if (acceptor->running) {
		atomic_store(&acceptor->ending, true);
		wake(acceptor);
		pthread_join(acceptor->thread, NULL);
	}
	for (size_t i = 0; i < acceptor->options.count; i++)
		close(acceptor->fds[i]);
	if (acceptor->event_fd >= 0)
		close(acceptor->event_fd);
	pthread_cond_destroy(&acceptor->closed);
	pthread_mutex_destroy(&acceptor->lock);
	free(acceptor);
}
