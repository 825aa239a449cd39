#include "daemon/reload.h"

#include "daemon/log.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <stdio.h>

#include "lib/base/banned.h"

void fm_reload_log(const struct fm_config *config)
{
	enum fm_log_level level;
	enum fm_log_form form;

	if (!fm_log_level_parse(config->log_level, &level, NULL))
		fm_log_set_level(level);
	if (!fm_log_form_parse(config->log_form, &form, NULL))
		fm_log_set_form(form);
}

static void say_what_waits(const bool *changed)
{
	char name[128];

	for (size_t i = 0; i < fm_setting_count; i++) {
		if (!changed[i])
			continue;
		snprintf(name, sizeof(name), "[%s] %s", fm_settings[i].section, fm_settings[i].key);
		fm_log(FM_LOG_WARNING, "a changed setting waits for a restart", "setting", name, NULL);
	}
}

static enum fm_status reload(
        struct fm_app *app, fm_reload_read read, const void *context, struct fm_error *err)
{
	fm_cleanup(fm_config_done) struct fm_config config = {0};
	fm_autofree bool *changed = fm_calloc(fm_setting_count, sizeof(*changed));
	struct fm_snapshot *next;

	if (!changed)
		return fm_fail(err, FM_E_NOMEM, "no memory for the settings");
	enum fm_status status = read(&config, context, err);
	if (!status)
		status = fm_config_keep_fixed(&config, app->config, changed, err);
	if (!status)
		status = fm_config_check(&config, err);
	if (!status)
		status = fm_snapshot_create(&config, &next, err);
	if (status)
		return status;
	/* A file that went astray must not open the door. */
	struct fm_snapshot *running = fm_snapshot_get(&app->snapshots);
	bool unlocked = running->keys && !next->keys;
	bool other_tls = !running->certificate != !next->certificate;
	fm_snapshot_put(running);
	if (unlocked) {
		fm_snapshot_put(next);
		return fm_fail(err, FM_E_INVALID, "the file of keys is gone: to ask for no keys, restart");
	}
	if (other_tls) {
		fm_snapshot_put(next);
		return fm_fail(err, FM_E_INVALID, "TLS is turned on and off by a restart");
	}
	const struct fm_pool_limits limits = fm_app_pool_limits(&next->config);
	status = fm_pool_set_limits(app->pool, &limits, err);
	if (status) {
		fm_snapshot_put(next);
		return status;
	}
	say_what_waits(changed);
	fm_reload_log(&next->config);
	fm_snapshot_replace(&app->snapshots, next);
	return FM_OK;
}

void fm_reload(struct fm_app *app, fm_reload_read read, const void *context)
{
	struct fm_error err;

	if (reload(app, read, context, &err))
		fm_log(FM_LOG_ERROR, "the settings stay as they were", "because", err.message, NULL);
	else
		fm_log(FM_LOG_INFO, "settings reloaded", NULL);
}
