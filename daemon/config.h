/*
 * Settings: one table row each (config.c), read from an INI file, overridden by the command line.
 * Unknown sections and keys, keys set twice, and values out of range are errors that name file and line.
 * Threads: a configuration in use is not changed; a reload reads another one (snapshot.h).
 */
#ifndef FM_DAEMON_CONFIG_H
#define FM_DAEMON_CONFIG_H

#include "lib/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FM_CONFIG_DEFAULT_FILE FM_SYSCONFDIR "/facematchd.conf"

struct fm_config {
	/* [server] */
	char *listen;                     /* a list of ADDRESS:PORT and unix:/PATH */
	char *socket_mode, *socket_group; /* of Unix sockets */
	int64_t io_threads, connections_max, connections_per_address_max;
	int64_t idle_timeout_s, header_timeout_s, body_timeout_s, shutdown_timeout_s;
	int64_t allow_without_keys;
	char *host_names, *cors_origins; /* lists, separated by commas or blanks */
	/* [tls] */
	char *tls_certificate, *tls_key; /* both "": no TLS */
	/* [auth] */
	char *keys; /* "": keys in $CREDENTIALS_DIRECTORY, else in $STATE_DIRECTORY, where there is such a
	               file */
	int64_t failures_per_minute;
	/* [limits] */
	int64_t requests_per_second; /* 0: no limit */
	int64_t header_max_bytes, body_max_bytes, bodies_max_bytes, pixels_max, side_max_px;
	/* [workers] */
	int64_t workers; /* 0: one for each CPU */
	int64_t queue_length, queue_timeout_ms;
	/* [models] */
	char *models_dir, *manifests_dir; /* "": looked up, lib/face/paths.h */
	char *detection, *landmarks, *embedding, *precision;
	/* [gallery] */
	char *gallery;  /* "": $STATE_DIRECTORY/gallery.db, else /var/lib/facematchd/gallery.db */
	char *key_file; /* "": gallery-key in $CREDENTIALS_DIRECTORY, where there is one */
	int64_t keep_crops;
	int64_t audit_days; /* 0: for ever */
	/* [detect] */
	int64_t min_face_px, faces_max;
	/* [enroll] */
	int64_t min_enroll_px;
	double min_score, min_sharpness, min_brightness, max_brightness, max_yaw_deg, max_roll_deg;
	/* [match] */
	double false_match_rate, false_positive_identification_rate;
	/* [reembed] */
	int64_t faces_per_second; /* 0: no limit */
	/* [log] */
	char *log_level, *log_form;
};

/* A switch is yes or no, and an int64_t of 1 or 0. */
enum fm_setting_type { FM_SETTING_TEXT, FM_SETTING_INTEGER, FM_SETTING_REAL, FM_SETTING_SWITCH };

/* One setting. `minimum` and `maximum` bound numbers; a text's length lies between them. */
struct fm_setting {
	const char *section, *key;
	enum fm_setting_type type;
	size_t offset; /* in struct fm_config */
	const char *default_text;
	double minimum, maximum;
	bool live; /* a reload may change it; otherwise it is taken when the daemon starts */
};
extern const struct fm_setting fm_settings[];
extern const size_t fm_setting_count;

/* All defaults. Call fm_config_done() whatever came back. */
enum fm_status fm_config_init(struct fm_config *config, struct fm_error *err);
void fm_config_done(struct fm_config *config);

/* Reads a file over what is set. The configuration is unspecified after a failure. */
enum fm_status fm_config_read_file(struct fm_config *config, const char *path, struct fm_error *err);
/* The same from text; `origin` stands for the file in messages. */
enum fm_status fm_config_read_text(
        struct fm_config *config, const char *text, const char *origin, struct fm_error *err);

/* Sets one value, as the command line does. FM_E_NOT_FOUND: no such setting; FM_E_INVALID: bad value. */
enum fm_status fm_config_set(struct fm_config *config, const char *section, const char *key,
        const char *value, struct fm_error *err);

/* What no row can say alone: rules between settings, and texts that name something. */
enum fm_status fm_config_check(const struct fm_config *config, struct fm_error *err);

/*
 * Gives `config` what `running` has in every setting that only a restart may change. ret_changed
 * [fm_setting_count] tells which of them differed. FM_E_NOMEM leaves `config` unspecified.
 */
enum fm_status fm_config_keep_fixed(
        struct fm_config *config, const struct fm_config *running, bool *ret_changed, struct fm_error *err);

/* The gallery's file, defaults resolved; the caller frees it. */
enum fm_status fm_config_gallery_path(const struct fm_config *config, char **ret_path, struct fm_error *err);

/* The file of keys that seal the gallery, or NULL where it is not sealed; the caller frees it. */
enum fm_status fm_config_key_file(const struct fm_config *config, char **ret_path, struct fm_error *err);

#endif
