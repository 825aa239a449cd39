/* Threads of the daemon: signals belong to the main thread alone. */
#ifndef FM_DAEMON_THREAD_H
#define FM_DAEMON_THREAD_H

#include "lib/base/status.h"

#include <pthread.h>

/*
 * Runs run(context) in a thread with every signal blocked. Otherwise the kernel may hand a SIGHUP or SIGTERM
 * that arrives while the main thread is busy to this thread, and its default action ends the process. `what`
 * completes "cannot start ...". Join it as usual.
 */
enum fm_status fm_thread_create(const char *what, void *(*run)(void *context), void *context,
        pthread_t *ret_thread, struct fm_error *err);

#endif
