#include "daemon/snapshot.h"

#include "daemon/listen.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/banned.h"

static struct fm_pipeline_options pipeline_options(const struct fm_config *config)
{
	return (struct fm_pipeline_options){
	        .limits = {.pixels_max = (uint64_t)config->pixels_max,
	                .side_max_px = (int)config->side_max_px},
	        .min_face_px = (int)config->min_face_px,
	        .faces_max = (size_t)config->faces_max,
	        .min_sharpness = (float)config->min_sharpness,
	        .min_brightness = (float)config->min_brightness,
	        .max_brightness = (float)config->max_brightness,
	        .max_yaw_deg = (float)config->max_yaw_deg,
	        .max_roll_deg = (float)config->max_roll_deg,
	        .min_score = (float)config->min_score,
	        .min_enroll_px = (int)config->min_enroll_px,
	};
}

FM_DEFINE_CLEANUP(struct fm_snapshot *, fm_snapshot_put);

/* Where the keys are; NULL: nowhere. */
static enum fm_status find_keys(const struct fm_config *config, char **ret_path, struct fm_error *err)
{
	const char *credentials = getenv("CREDENTIALS_DIRECTORY"); /* systemd.exec(5), LoadCredential= */
	fm_autofree char *path = NULL;

	if (config->keys[0]) {
		path = strdup(config->keys);
	} else if (credentials && credentials[0]) {
		if (asprintf(&path, "%s/keys", credentials) < 0)
			path = NULL;
	}
	if (!config->keys[0] && (!path || access(path, F_OK) < 0)) {
		free(path);
		path = fm_keyring_default_path();
	}
	if (!path)
		return fm_fail(err, FM_E_NOMEM, "no memory for the settings");
	*ret_path = config->keys[0] || access(path, F_OK) == 0 ? fm_steal(path) : NULL;
	return FM_OK;
}

static enum fm_status read_keys(struct fm_snapshot *snapshot, struct fm_error *err)
{
	fm_autofree char *path = NULL;
	enum fm_status status = find_keys(&snapshot->config, &path, err);

	if (!status && path)
		status = fm_keyring_read(path, &snapshot->keys, err);
	return status;
}

static enum fm_status check_exposure(const struct fm_snapshot *snapshot, struct fm_error *err)
{
	struct fm_listen_address addresses[FM_LISTEN_MAX];
	size_t count = 0;
	enum fm_status status = fm_listen_parse_list(snapshot->config.listen, addresses, &count, err);

	if (snapshot->keys || snapshot->config.allow_without_keys)
		return status;
	for (size_t i = 0; !status && i < count; i++)
		status = fm_listen_check(&addresses[i], err);
	return status;
}

enum fm_status fm_snapshot_create(
        struct fm_config *config, struct fm_snapshot **ret_snapshot, struct fm_error *err)
{
	fm_cleanup(fm_snapshot_putp) struct fm_snapshot *snapshot = fm_calloc(1, sizeof(*snapshot));

	if (!snapshot)
		return fm_fail(err, FM_E_NOMEM, "no memory for the settings");
	snapshot->config = *config;
	*config = (struct fm_config){0};
	snapshot->pipeline = pipeline_options(&snapshot->config);
	atomic_init(&snapshot->holders, 1);
	enum fm_status status = read_keys(snapshot, err);
	if (!status && snapshot->config.tls_certificate[0])
		status = fm_certificate_load(snapshot->config.tls_certificate, snapshot->config.tls_key,
		        &snapshot->certificate, err);
	if (!status)
		status = check_exposure(snapshot, err);
	if (!status)
		*ret_snapshot = fm_steal(snapshot);
	return status;
}

void fm_snapshot_put(struct fm_snapshot *snapshot)
{
	if (!snapshot || atomic_fetch_sub(&snapshot->holders, 1) != 1)
		return;
	fm_config_done(&snapshot->config);
	fm_keyring_free(snapshot->keys);
	fm_certificate_free(snapshot->certificate);
	free(snapshot);
}

void fm_snapshot_slot_init(struct fm_snapshot_slot *slot, struct fm_snapshot *first)
{
	pthread_mutex_init(&slot->lock, NULL);
	slot->current = first;
}

void fm_snapshot_slot_done(struct fm_snapshot_slot *slot)
{
	fm_snapshot_put(slot->current);
	pthread_mutex_destroy(&slot->lock);
}

struct fm_snapshot *fm_snapshot_get(struct fm_snapshot_slot *slot)
{
	pthread_mutex_lock(&slot->lock);
	struct fm_snapshot *snapshot = slot->current;
	atomic_fetch_add(&snapshot->holders, 1);
	pthread_mutex_unlock(&slot->lock);
	return snapshot;
}

void fm_snapshot_replace(struct fm_snapshot_slot *slot, struct fm_snapshot *next)
{
	pthread_mutex_lock(&slot->lock);
	struct fm_snapshot *old = slot->current;
	slot->current = next;
	pthread_mutex_unlock(&slot->lock);
	fm_snapshot_put(old);
}
