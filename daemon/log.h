/*
 * Log lines on standard error: one line an event, fields in logfmt, so that people and machines read the
 * same:
 *
 *	2026-11-23T01:25:26.123Z info listening on http://127.0.0.1:8660 workers=4
 *
 * Under systemd (JOURNAL_STREAM is set) the time is left to the journal and the level becomes its priority
 * prefix ("<6>"). Values are quoted and escaped where they need it: text from clients cannot forge a line.
 * Names of people and photo contents are never logged. Threads: safe; a line is one write.
 */
#ifndef FM_DAEMON_LOG_H
#define FM_DAEMON_LOG_H

#include "lib/base/status.h"

#include <stddef.h>

/*
 * FM_LOG_JSON makes each line an object instead, whatever is cut off it:
 *
 *	{"time":"2026-11-23T01:25:26.123Z","level":"info","message":"ready","workers":"4"}
 */
enum fm_log_form { FM_LOG_TEXT = 0, FM_LOG_JSON };

/* "text", "json". */
enum fm_status fm_log_form_parse(const char *name, enum fm_log_form *ret_form, struct fm_error *err);
/* Text until set. */
void fm_log_set_form(enum fm_log_form form);

enum fm_log_level { FM_LOG_ERROR = 0, FM_LOG_WARNING, FM_LOG_INFO, FM_LOG_DEBUG };

/* "error", "warning", "info", "debug". */
enum fm_status fm_log_level_parse(const char *name, enum fm_log_level *ret_level, struct fm_error *err);

/* Lines above the level are dropped; info until set. Set before threads start. */
void fm_log_set_level(enum fm_log_level level);

/* `message`, then key, value, key, value, … (strings) and NULL. */
void fm_log(enum fm_log_level level, const char *message, ...) __attribute__((sentinel));

/* A line of text into `out`, without time and priority: what fm_log() writes after them. */
void fm_log_format(char *out, size_t size, const char *message, const char *const *fields);
/* A line of JSON. `time` is RFC 3339. size >= 128. */
void fm_log_format_json(char *out, size_t size, const char *time, enum fm_log_level level,
        const char *message, const char *const *fields);

#endif
