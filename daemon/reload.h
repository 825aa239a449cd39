/*
 * Reading the settings again while requests run. Threads: one reload at a time; requests go on with the
 * snapshot that they hold.
 */
#ifndef FM_DAEMON_RELOAD_H
#define FM_DAEMON_RELOAD_H

#include "daemon/app.h"

/* Fills an empty configuration from where settings come from, and checks it. */
typedef enum fm_status (*fm_reload_read)(struct fm_config *config, const void *context, struct fm_error *err);

/*
 * Reads, checks and, when all of it is good, makes it current; otherwise says why not and leaves everything
 * as it was. Settings that only a restart can change keep their values, and the log says which those are.
 */
void fm_reload(struct fm_app *app, fm_reload_read read, const void *context);

/* What the log lets through, and its form, by [log]. */
void fm_reload_log(const struct fm_config *config);

#endif
