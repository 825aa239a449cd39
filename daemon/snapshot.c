#include "daemon/snapshot.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <stdlib.h>

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

enum fm_status fm_snapshot_create(
        struct fm_config *config, struct fm_snapshot **ret_snapshot, struct fm_error *err)
{
	struct fm_snapshot *snapshot = fm_calloc(1, sizeof(*snapshot));

	if (!snapshot)
		return fm_fail(err, FM_E_NOMEM, "no memory for the settings");
	snapshot->config = *config;
	*config = (struct fm_config){0};
	snapshot->pipeline = pipeline_options(&snapshot->config);
	atomic_init(&snapshot->holders, 1);
	*ret_snapshot = snapshot;
	return FM_OK;
}

void fm_snapshot_put(struct fm_snapshot *snapshot)
{
	if (!snapshot || atomic_fetch_sub(&snapshot->holders, 1) != 1)
		return;
	fm_config_done(&snapshot->config);
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
