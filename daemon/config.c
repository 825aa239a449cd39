#include "daemon/config.h"

#include "daemon/listen.h"
#include "daemon/log.h"
#include "lib/base/cleanup.h"
#include "lib/base/file.h"
#include "lib/base/size.h"
#include "lib/nn/net.h"

#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/banned.h"

#define FILE_MAX_BYTES    (256 * 1024)
#define TEXT_MAX          4096
#define STATE_DIRECTORY   "/var/lib/facematchd"
#define GALLERY_FILE_NAME "gallery.db"
#define KEY_FILE_NAME     "gallery-key"

/* A row whose value is taken when the daemon starts; LIVE_…: one that a reload may change. */
#define ROW(section, key, type, member, text, low, high, live)                                               \
	{                                                                                                    \
		section, key, type, offsetof(struct fm_config, member), text, low, high, live                \
	}
#define TEXT(section, key, member, text, shortest)                                                           \
	ROW(section, key, FM_SETTING_TEXT, member, text, shortest, TEXT_MAX, false)
#define LIVE_TEXT(section, key, member, text, shortest)                                                      \
	ROW(section, key, FM_SETTING_TEXT, member, text, shortest, TEXT_MAX, true)
#define INTEGER(section, key, member, text, low, high)                                                       \
	ROW(section, key, FM_SETTING_INTEGER, member, text, low, high, false)
#define LIVE_INTEGER(section, key, member, text, low, high)                                                  \
	ROW(section, key, FM_SETTING_INTEGER, member, text, low, high, true)
#define SWITCH(section, key, member, text)      ROW(section, key, FM_SETTING_SWITCH, member, text, 0, 1, false)
#define LIVE_SWITCH(section, key, member, text) ROW(section, key, FM_SETTING_SWITCH, member, text, 0, 1, true)
#define LIVE_REAL(section, key, member, text, low, high)                                                     \
	ROW(section, key, FM_SETTING_REAL, member, text, low, high, true)

/* clang-format off */
const struct fm_setting fm_settings[] = {
	TEXT        ("server",  "listen",             listen,             "127.0.0.1:8660", 1),
	INTEGER     ("server",  "io_threads",         io_threads,         "2",         1, 64),
	TEXT        ("server",  "socket_mode",        socket_mode,        "0660",      1),
	TEXT        ("server",  "socket_group",       socket_group,       "",          0),
	LIVE_INTEGER("server",  "connections_max",    connections_max,    "1024",      1, 65536),
	LIVE_INTEGER("server",  "connections_per_address_max",
	             connections_per_address_max,                         "128",       1, 65536),
	LIVE_INTEGER("server",  "idle_timeout_s",     idle_timeout_s,     "30",        1, 3600),
	LIVE_INTEGER("server",  "header_timeout_s",   header_timeout_s,   "10",        1, 3600),
	LIVE_INTEGER("server",  "body_timeout_s",     body_timeout_s,     "60",        1, 3600),
	LIVE_INTEGER("server",  "shutdown_timeout_s", shutdown_timeout_s, "30",        1, 3600),
	SWITCH      ("server",  "allow_without_keys", allow_without_keys, "no"),
	LIVE_TEXT   ("server",  "host_names",         host_names,         "",          0),
	LIVE_TEXT   ("server",  "cors_origins",       cors_origins,       "",          0),
	LIVE_TEXT   ("tls",     "certificate",        tls_certificate,    "",          0),
	LIVE_TEXT   ("tls",     "key",                tls_key,            "",          0),
	LIVE_TEXT   ("auth",    "keys",               keys,               "",          0),
	LIVE_INTEGER("auth",    "failures_per_minute", failures_per_minute, "10",      1, 6000),
	LIVE_INTEGER("limits",  "requests_per_second", requests_per_second, "1000",    0, 1000000),
	INTEGER     ("limits",  "header_max_bytes",   header_max_bytes,   "8192",      1024, 1 << 20),
	LIVE_INTEGER("limits",  "body_max_bytes",     body_max_bytes,     "20971520",  1024, 1 << 30),
	LIVE_INTEGER("limits",  "bodies_max_bytes",   bodies_max_bytes,   "268435456", 1024, 1LL << 40),
	LIVE_INTEGER("limits",  "pixels_max",         pixels_max,         "50000000",  4096, 1 << 30),
	LIVE_INTEGER("limits",  "side_max_px",        side_max_px,        "16384",     64, 65500),
	INTEGER     ("workers", "count",              workers,            "0",         0, 1024),
	LIVE_INTEGER("workers", "queue_length",       queue_length,       "64",        1, 65536),
	LIVE_INTEGER("workers", "queue_timeout_ms",   queue_timeout_ms,   "10000",     1, 3600000),
	TEXT        ("models",  "dir",                models_dir,         "",          0),
	TEXT        ("models",  "manifests",          manifests_dir,      "",          0),
	TEXT        ("models",  "detection",          detection,          "fr_detect", 1),
	TEXT        ("models",  "landmarks",          landmarks,          "fr_landmark", 0),
	TEXT        ("models",  "embedding",          embedding,          "fr_feature", 1),
	TEXT        ("models",  "precision",          precision,          "int8",      1),
	TEXT        ("gallery", "path",               gallery,            "",          0),
	TEXT        ("gallery", "key_file",           key_file,           "",          0),
	LIVE_SWITCH ("gallery", "keep_crops",         keep_crops,         "no"),
	LIVE_INTEGER("gallery", "audit_days",         audit_days,         "365",       0, 36500),
	LIVE_INTEGER("detect",  "min_face_px",        min_face_px,        "80",        20, 1024),
	LIVE_INTEGER("detect",  "faces_max",          faces_max,          "64",        1, 1024),
	LIVE_INTEGER("enroll",  "min_face_px",        min_enroll_px,      "60",        20, 4096),
	LIVE_REAL   ("enroll",  "min_score",          min_score,          "0.8",       0, 1),
	LIVE_REAL   ("enroll",  "min_sharpness",      min_sharpness,      "0.15",      0, 1),
	LIVE_REAL   ("enroll",  "min_brightness",     min_brightness,     "0.18",      0, 1),
	LIVE_REAL   ("enroll",  "max_brightness",     max_brightness,     "0.85",      0, 1),
	LIVE_REAL   ("enroll",  "max_yaw_deg",        max_yaw_deg,        "45",        0, 180),
	LIVE_REAL   ("enroll",  "max_roll_deg",       max_roll_deg,       "45",        0, 180),
	LIVE_REAL   ("match",   "false_match_rate",   false_match_rate,   "1e-4",      1e-12, 0.5),
	LIVE_REAL   ("match",   "false_positive_identification_rate",
	             false_positive_identification_rate,                  "1e-2",      1e-9, 0.5),
	LIVE_INTEGER("reembed", "faces_per_second",   faces_per_second,   "50",        0, 100000),
	LIVE_TEXT   ("log",     "level",              log_level,          "info",      1),
	LIVE_TEXT   ("log",     "form",               log_form,           "text",      1),
};
/* clang-format on */
const size_t fm_setting_count = FM_ARRAY_SIZE(fm_settings);

static void *member_of(struct fm_config *config, const struct fm_setting *setting)
{
	return (char *)config + setting->offset;
}

static enum fm_status out_of_range(const struct fm_setting *setting, const char *value, struct fm_error *err)
{
	return fm_fail(err, FM_E_INVALID, "[%s] %s = %s is not a number from %.10g to %.10g",
	        setting->section, setting->key, value, setting->minimum, setting->maximum);
}

static enum fm_status assign(
        struct fm_config *config, const struct fm_setting *setting, const char *value, struct fm_error *err)
{
	char *end;

	errno = 0;
	switch (setting->type) {
	case FM_SETTING_TEXT: {
		size_t length = strlen(value);
		if ((double)length < setting->minimum || (double)length > setting->maximum)
			return fm_fail(err, FM_E_INVALID, "[%s] %s must have %.0f to %.0f characters",
			        setting->section, setting->key, setting->minimum, setting->maximum);
		char *copy = strdup(value);
		if (!copy)
			return fm_fail(err, FM_E_NOMEM, "no memory for the configuration");
		char **member = member_of(config, setting);
		free(*member);
		*member = copy;
		return FM_OK;
	}
	case FM_SETTING_INTEGER: {
		long long number = strtoll(value, &end, 10);
		if (errno || end == value || *end || (double)number < setting->minimum ||
		        (double)number > setting->maximum)
			return out_of_range(setting, value, err);
		*(int64_t *)member_of(config, setting) = number;
		return FM_OK;
	}
	case FM_SETTING_SWITCH: {
		bool on = strcmp(value, "yes") == 0;
		if (!on && strcmp(value, "no") != 0)
			return fm_fail(err, FM_E_INVALID, "[%s] %s = %s is neither yes nor no",
			        setting->section, setting->key, value);
		*(int64_t *)member_of(config, setting) = on;
		return FM_OK;
	}
	case FM_SETTING_REAL: {
		double number = strtod(value, &end);
		if (errno || end == value || *end || !isfinite(number) || number < setting->minimum ||
		        number > setting->maximum)
			return out_of_range(setting, value, err);
		*(double *)member_of(config, setting) = number;
		return FM_OK;
	}
	}
	return fm_fail(err, FM_E_INTERNAL, "[%s] %s has no type", setting->section, setting->key);
}

static const struct fm_setting *find_setting(const char *section, const char *key)
{
	for (size_t i = 0; i < fm_setting_count; i++) {
		if (strcmp(fm_settings[i].section, section) == 0 && strcmp(fm_settings[i].key, key) == 0)
			return &fm_settings[i];
	}
	return NULL;
}

enum fm_status fm_config_init(struct fm_config *config, struct fm_error *err)
{
	*config = (struct fm_config){0};
	for (size_t i = 0; i < fm_setting_count; i++) {
		enum fm_status status = assign(config, &fm_settings[i], fm_settings[i].default_text, err);
		if (status)
			return status;
	}
	return FM_OK;
}

void fm_config_done(struct fm_config *config)
{
	for (size_t i = 0; i < fm_setting_count; i++) {
		if (fm_settings[i].type == FM_SETTING_TEXT) {
			char **member = member_of(config, &fm_settings[i]);
			free(*member);
			*member = NULL;
		}
	}
}

enum fm_status fm_config_set(struct fm_config *config, const char *section, const char *key,
        const char *value, struct fm_error *err)
{
	const struct fm_setting *setting = find_setting(section, key);

	if (!setting)
		return fm_fail(err, FM_E_NOT_FOUND, "unknown setting [%s] %s", section, key);
	return assign(config, setting, value, err);
}

/* inih tells the handler no line numbers: the reader counts them. */
struct reading {
	struct fm_config *config;
	const char *rest; /* unread text */
	const char *origin;
	int line;
	int set_at[FM_ARRAY_SIZE(fm_settings)]; /* line that set it, or 0 */
	enum fm_status status;
	struct fm_error error;
};

static void fail_at_line(struct reading *reading, const char *what)
{
	if (!reading->status)
		reading->status = fm_fail(
		        &reading->error, FM_E_INVALID, "%s:%d: %s", reading->origin, reading->line, what);
}

/* fgets() over the text. A line that does not fit would be read as two: it is an error. */
static char *read_line(char *line, int size, void *stream)
{
	struct reading *reading = stream;
	const char *newline = strchr(reading->rest, '\n');
	size_t length = newline ? (size_t)(newline - reading->rest) + 1 : strlen(reading->rest);

	if (!length || reading->status)
		return NULL;
	reading->line++;
	if (length >= (size_t)size) {
		fail_at_line(reading, "the line is too long");
		return NULL;
	}
	memcpy(line, reading->rest, length);
	line[length] = '\0';
	reading->rest += length;
	return line;
}

static int take_setting(void *user, const char *section, const char *key, const char *value)
{
	struct reading *reading = user;
	const struct fm_setting *setting = find_setting(section, key);
	struct fm_error why;
	char text[FM_ERROR_MESSAGE_MAX];

	if (reading->status)
		return 0;
	if (!setting) {
		snprintf(text, sizeof(text), "unknown setting [%s] %s", section, key);
		fail_at_line(reading, text);
		return 0;
	}
	int *set_at = &reading->set_at[setting - fm_settings];
	if (*set_at) {
		snprintf(text, sizeof(text), "[%s] %s is set on line %d already", section, key, *set_at);
		fail_at_line(reading, text);
		return 0;
	}
	*set_at = reading->line;
	if (assign(reading->config, setting, value, &why)) {
		fail_at_line(reading, why.message);
		return 0;
	}
	return 1;
}

enum fm_status fm_config_read_text(
        struct fm_config *config, const char *text, const char *origin, struct fm_error *err)
{
	struct reading reading = {.config = config, .rest = text, .origin = origin};
	int line = ini_parse_stream(read_line, &reading, take_setting, &reading);

	if (!reading.status && line > 0)
		reading.status = fm_fail(&reading.error, FM_E_INVALID,
		        "%s:%d: neither [section] nor key = value", origin, line);
	if (!reading.status && line < 0)
		reading.status = fm_fail(&reading.error, FM_E_NOMEM, "no memory to read %s", origin);
	if (reading.status && err)
		*err = reading.error;
	return reading.status;
}

enum fm_status fm_config_read_file(struct fm_config *config, const char *path, struct fm_error *err)
{
	fm_autofree char *text = NULL;
	size_t length;
	enum fm_status status = fm_file_read(path, FILE_MAX_BYTES, &text, &length, err);

	if (status)
		return status;
	if (strlen(text) != length)
		return fm_fail(err, FM_E_INVALID, "%s holds a NUL character", path);
	return fm_config_read_text(config, text, path, err);
}

enum fm_status fm_config_check(const struct fm_config *config, struct fm_error *err)
{
	struct fm_listen_address addresses[FM_LISTEN_MAX];
	size_t count;
	mode_t mode;
	enum fm_log_level level;
	enum fm_log_form form;
	enum fm_precision precision;
	enum fm_status status = fm_listen_parse_list(config->listen, addresses, &count, err);

	if (!status)
		status = fm_listen_parse_mode(config->socket_mode, &mode, err);
	if (!status && !config->tls_certificate[0] != !config->tls_key[0])
		status = fm_fail(err, FM_E_INVALID,
		        "[tls] certificate and [tls] key are given together or not at all");

	if (!status)
		status = fm_log_level_parse(config->log_level, &level, err);
	if (!status)
		status = fm_log_form_parse(config->log_form, &form, err);
	if (!status)
		status = fm_precision_parse(config->precision, &precision, err);
	if (!status && config->bodies_max_bytes < config->body_max_bytes)
		status = fm_fail(err, FM_E_INVALID,
		        "[limits] bodies_max_bytes must be at least [limits] body_max_bytes");
	if (!status && config->min_brightness >= config->max_brightness)
		status = fm_fail(err, FM_E_INVALID,
		        "[enroll] min_brightness must be less than [enroll] max_brightness");
	return status;
}

static bool same_value(const void *a, const void *b, enum fm_setting_type type)
{
	switch (type) {
	case FM_SETTING_TEXT: return strcmp(*(char *const *)a, *(char *const *)b) == 0;
	case FM_SETTING_INTEGER:
	case FM_SETTING_SWITCH: return *(const int64_t *)a == *(const int64_t *)b;
	case FM_SETTING_REAL: return *(const double *)a == *(const double *)b;
	}
	return false;
}

enum fm_status fm_config_keep_fixed(
        struct fm_config *config, const struct fm_config *running, bool *ret_changed, struct fm_error *err)
{
	for (size_t i = 0; i < fm_setting_count; i++) {
		const struct fm_setting *setting = &fm_settings[i];
		char *ours = (char *)config + setting->offset;
		const char *theirs = (const char *)running + setting->offset;
		ret_changed[i] = !setting->live && !same_value(ours, theirs, setting->type);
		if (!ret_changed[i])
			continue;
		if (setting->type == FM_SETTING_TEXT) {
			enum fm_status status = assign(config, setting, *(char *const *)theirs, err);
			if (status)
				return status;
		} else {
			/* Whole numbers and reals are both eight bytes. */
			memcpy(ours, theirs, sizeof(int64_t));
		}
	}
	return FM_OK;
}

enum fm_status fm_config_key_file(const struct fm_config *config, char **ret_path, struct fm_error *err)
{
	const char *credentials = getenv("CREDENTIALS_DIRECTORY"); /* systemd.exec(5), LoadCredential= */
	char *path = NULL;

	*ret_path = NULL;
	if (config->key_file[0]) {
		path = strdup(config->key_file);
	} else if (credentials && credentials[0]) {
		if (asprintf(&path, "%s/%s", credentials, KEY_FILE_NAME) < 0)
			path = NULL;
	} else {
		return FM_OK;
	}
	if (!path)
		return fm_fail(err, FM_E_NOMEM, "no memory for the key file's path");
	if (!config->key_file[0] && access(path, F_OK) < 0) {
		free(path);
		return FM_OK;
	}
	*ret_path = path;
	return FM_OK;
}

enum fm_status fm_config_gallery_path(const struct fm_config *config, char **ret_path, struct fm_error *err)
{
	const char *state = getenv("STATE_DIRECTORY"); /* systemd.exec(5): a list with colons */
	char *path;

	if (config->gallery[0]) {
		path = strdup(config->gallery);
	} else {
		if (!state || !state[0])
			state = STATE_DIRECTORY;
		int length = (int)strcspn(state, ":");
		if (asprintf(&path, "%.*s/%s", length, state, GALLERY_FILE_NAME) < 0)
			path = NULL;
	}
	if (!path)
		return fm_fail(err, FM_E_NOMEM, "no memory for the gallery's path");
	*ret_path = path;
	return FM_OK;
}
