/*
 * Brings the gallery's faces over to the embedding network that is configured, from their aligned crops, on a
 * thread of its own at the lowest priority, while searches go on under the network they were stored with.
 * When all have been gone through, the new network's index is filled and takes over at once. How far it is
 * stands in the gallery: a job that a crash or a restart interrupted goes on by itself. What the old network
 * computed stays in the gallery, so that a rollback can lead back.
 * Threads: safe.
 */
#ifndef FM_DAEMON_REEMBED_H
#define FM_DAEMON_REEMBED_H

#include "daemon/app.h"
#include "lib/gallery/jobs.h"

#include <stdbool.h>

/* Goes on with the job that was running. The app outlives it. */
enum fm_status fm_reembed_create(struct fm_app *app, struct fm_reembed **ret_reembed, struct fm_error *err);
/* Waits for the face that is being computed; the job goes on at the next start. Takes NULL. */
void fm_reembed_free(struct fm_reembed *reembed);

/*
 * Begins a job; one that has ended in the gallery is no hindrance. FM_E_CONFLICT: one runs, or there is
 * nothing to do; else those of loading the network, whose
 * files have changed since the start (FM_E_CONFLICT too).
 */
enum fm_status fm_reembed_start(struct fm_reembed *reembed, struct fm_job *ret_job, struct fm_error *err);
/* Ends a job as cancelled. FM_E_NOT_FOUND: there is none of that id; FM_E_CONFLICT: it has ended. */
enum fm_status fm_reembed_cancel(struct fm_reembed *reembed, const char *job_id, struct fm_error *err);
/* The job that the thread is at work on, or "": until the new network serves, which is a moment after the
 * gallery says that the job is done. */
void fm_reembed_job(struct fm_reembed *reembed, char ret_job_id[FM_UUID_TEXT]);
/*
 * Serves under the previous network again, at once, with the embeddings that are there. FM_E_CONFLICT: a job
 * runs, or there is no previous one, or its files or embeddings are gone.
 */
enum fm_status fm_reembed_rollback(struct fm_reembed *reembed, struct fm_error *err);

/* Keeps jobs and rollbacks away until the unclaim. FM_E_CONFLICT: one is at work. */
enum fm_status fm_reembed_claim(struct fm_reembed *reembed, struct fm_error *err);
void fm_reembed_unclaim(struct fm_reembed *reembed);

/* Of the job that runs, or the last one since the start. */
struct fm_reembed_progress {
	bool running;
	int64_t done, skipped, total;
};
struct fm_reembed_progress fm_reembed_progress(struct fm_reembed *reembed);

#endif
