#include "daemon/thread.h"

#include <signal.h>

#include "lib/base/banned.h"

enum fm_status fm_thread_create(const char *what, void *(*run)(void *context), void *context,
        pthread_t *ret_thread, struct fm_error *err)
{
	pthread_t thread;
	sigset_t all, before;

	/* A new thread inherits the mask. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int errnum = pthread_create(&thread, NULL, run, context);

	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (errnum)
		return fm_fail_errno(err, errnum, "cannot start %s", what);
	*ret_thread = thread;
	return FM_OK;
}
