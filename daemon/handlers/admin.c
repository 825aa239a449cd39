/* POST /v1/admin/backup: a consistent copy of the gallery while it serves. */
#include "daemon/handlers/handlers.h"

#include "daemon/app.h"
#include "lib/base/cleanup.h"

#include <stdio.h>
#include <unistd.h>

#include "lib/base/banned.h"

/* The copy lies beside the gallery until it is written, and has no name while it is sent. */
static enum fm_status make_copy(struct fm_app *app, int *ret_fd, struct fm_error *err)
{
	fm_autofree char *gallery = NULL;
	fm_autofree char *copy = NULL;
	enum fm_status status = fm_config_gallery_path(app->config, &gallery, err);

	if (status)
		return status;
	if (asprintf(&copy, "%s-backup", gallery) < 0) {
		copy = NULL;
		return fm_fail(err, FM_E_NOMEM, "no memory for a backup");
	}
	unlink(copy); /* of a daemon that was killed */
	status = fm_gallery_backup(app->gallery, copy, ret_fd, err);
	if (!status)
		unlink(copy);
	return status;
}

enum fm_problem fm_handle_backup(struct fm_exchange *exchange, struct fm_error *err)
{
	struct fm_app *app = exchange->app;
	int fd;

	if (atomic_flag_test_and_set(&app->backing_up)) {
		fm_fail(err, FM_E_CONFLICT, "another backup is being made");
		return FM_PROBLEM_CONFLICT;
	}
	enum fm_status status = make_copy(app, &fd, err);
	atomic_flag_clear(&app->backing_up);
	if (!status)
		status = fm_reply_file(&exchange->reply, 200, "application/vnd.sqlite3", fd, err);
	if (!status)
		fm_reply_header(
		        &exchange->reply, "Content-Disposition", "attachment; filename=\"gallery.db\"");
	return fm_problem_of(status);
}
