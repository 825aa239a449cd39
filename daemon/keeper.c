#include "daemon/keeper.h"

#include "daemon/log.h"
#include "daemon/thread.h"
#include "lib/base/mem.h"
#include "lib/base/size.h"

#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/base/banned.h"

#define ROUND_S 60
#define BATCH   64 /* faces or records a transaction: who changes the gallery waits for one at most */
#define DAY_MS  INT64_C(86400000)

struct fm_keeper {
	struct fm_gallery *gallery;
	struct fm_snapshot_slot *settings;
	void (*after)(void *context);
	void *context;
	pthread_t thread;
	pthread_mutex_t lock; /* guards stop */
	pthread_cond_t changed;
	bool stop;
};

/* Returns true when it is time to end. */
static bool wait_for(struct fm_keeper *keeper, int seconds)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += seconds;
	pthread_mutex_lock(&keeper->lock);
	while (!keeper->stop && pthread_cond_timedwait(&keeper->changed, &keeper->lock, &until) == 0)
		;
	bool stop = keeper->stop;

	pthread_mutex_unlock(&keeper->lock);
	return stop;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static enum fm_status forget(struct fm_keeper *keeper, size_t *ret_count, struct fm_error *err)
{
	return fm_gallery_expire(keeper->gallery, now_ms(), BATCH, ret_count, err);
}

static enum fm_status prune(struct fm_keeper *keeper, size_t *ret_count, struct fm_error *err)
{
	struct fm_snapshot *settings = fm_snapshot_get(keeper->settings);
	int64_t days = settings->config.audit_days;

	fm_snapshot_put(settings);
	if (!days) {
		*ret_count = 0;
		return FM_OK;
	}
	return fm_gallery_audit_prune(keeper->gallery, now_ms() - days * DAY_MS, BATCH, ret_count, err);
}

static enum fm_status seal(struct fm_keeper *keeper, size_t *ret_count, struct fm_error *err)
{
	return fm_gallery_reseal(keeper->gallery, BATCH, ret_count, err);
}

/* What is done a batch at a time until a batch is empty. */
static const struct chore {
	enum fm_status (*step)(struct fm_keeper *keeper, size_t *ret_count, struct fm_error *err);
	const char *done, *what, *failed;
} chores[] = {
        {forget, "faces expired", "faces", "expired faces are not forgotten yet"},
        {prune, "old audit records deleted", "records", "old audit records are not deleted yet"},
        {seal, "faces sealed with the current key", "faces", "faces are not sealed with the current key yet"},
};

/* In small transactions with rests, so that others change the gallery meanwhile. */
static void run(struct fm_keeper *keeper, const struct chore *chore)
{
	const struct timespec rest = {.tv_nsec = 20000000};
	size_t total = 0, count = 1;
	enum fm_status status = FM_OK;
	struct fm_error err;
	char text[24];

	while (!status && count && !wait_for(keeper, 0)) {
		status = chore->step(keeper, &count, &err);
		if (!status && count)
			nanosleep(&rest, NULL);
		if (!status)
			total += count;
	}
	snprintf(text, sizeof(text), "%zu", total);
	if (total)
		fm_log(FM_LOG_INFO, chore->done, chore->what, text, NULL);
	if (status)
		fm_log(FM_LOG_WARNING, chore->failed, "reason", err.message, NULL);
}

static void *keep(void *context)
{
	struct fm_keeper *keeper = context;

	do {
		for (size_t i = 0; i < FM_ARRAY_SIZE(chores); i++)
			run(keeper, &chores[i]);
		fm_gallery_tidy(keeper->gallery);
		keeper->after(keeper->context);
		/* Else the heap keeps what the most photos at one time took: main.c. */
		fm_gallery_trim(keeper->gallery);
		malloc_trim(0);
	} while (!wait_for(keeper, ROUND_S));
	return NULL;
}

enum fm_status fm_keeper_create(struct fm_gallery *gallery, struct fm_snapshot_slot *settings,
        void (*after)(void *context), void *context, struct fm_keeper **ret_keeper, struct fm_error *err)
{
	struct fm_keeper *keeper = fm_calloc(1, sizeof(*keeper));
	pthread_condattr_t attributes;

	if (!keeper)
		return fm_fail(err, FM_E_NOMEM, "no memory to start");
	keeper->gallery = gallery;
	keeper->settings = settings;
	keeper->after = after;
	keeper->context = context;
	pthread_mutex_init(&keeper->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&keeper->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	enum fm_status status =
	        fm_thread_create("a thread that keeps the gallery", keep, keeper, &keeper->thread, err);

	if (status) {
		pthread_cond_destroy(&keeper->changed);
		pthread_mutex_destroy(&keeper->lock);
		free(keeper);
		return status;
	}
	*ret_keeper = keeper;
	return FM_OK;
}

void fm_keeper_free(struct fm_keeper *keeper)
{
	if (!keeper)
		return;
	pthread_mutex_lock(&keeper->lock);
	keeper->stop = true;
	pthread_cond_signal(&keeper->changed);
	pthread_mutex_unlock(&keeper->lock);
	pthread_join(keeper->thread, NULL);
	pthread_cond_destroy(&keeper->changed);
	pthread_mutex_destroy(&keeper->lock);
	free(keeper);
}
