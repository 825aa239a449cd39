#include "daemon/log.h"

#include "daemon/text.h"
#include "lib/base/size.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/banned.h"

#define LINE_MAX_BYTES 2048
#define FIELDS_MAX     32

static const struct {
	const char *name;
	const char *priority; /* sd-daemon(3) */
} levels[] = {
        [FM_LOG_ERROR] = {"error", "<3>"},
        [FM_LOG_WARNING] = {"warning", "<4>"},
        [FM_LOG_INFO] = {"info", "<6>"},
        [FM_LOG_DEBUG] = {"debug", "<7>"},
};

static _Atomic int current_level = FM_LOG_INFO;
static _Atomic int current_form = FM_LOG_TEXT;

enum fm_status fm_log_form_parse(const char *name, enum fm_log_form *ret_form, struct fm_error *err)
{
	static const char *const names[] = {[FM_LOG_TEXT] = "text", [FM_LOG_JSON] = "json"};

	for (size_t i = 0; i < FM_ARRAY_SIZE(names); i++) {
		if (strcmp(name, names[i]) == 0) {
			*ret_form = (enum fm_log_form)i;
			return FM_OK;
		}
	}
	return fm_fail(err, FM_E_INVALID, "\"%s\" is no form of the log; there are text and json", name);
}

void fm_log_set_form(enum fm_log_form form)
{
	atomic_store(&current_form, (int)form);
}

enum fm_status fm_log_level_parse(const char *name, enum fm_log_level *ret_level, struct fm_error *err)
{
	for (size_t i = 0; i < FM_ARRAY_SIZE(levels); i++) {
		if (strcmp(name, levels[i].name) == 0) {
			*ret_level = (enum fm_log_level)i;
			return FM_OK;
		}
	}
	return fm_fail(
	        err, FM_E_INVALID, "\"%s\" is no log level; there are error, warning, info, debug", name);
}

void fm_log_set_level(enum fm_log_level level)
{
	atomic_store(&current_level, (int)level);
}

struct line {
	char *out;
	size_t size, used;
};

static void put(struct line *line, char c)
{
	if (line->used + 1 < line->size)
		line->out[line->used++] = c;
}

static void put_text(struct line *line, const char *text)
{
	while (*text)
		put(line, *text++);
}

/* Control characters (a forged line needs one) become \xNN; within quotes, quotes and backslashes too. */
static void put_escaped(struct line *line, const char *text, bool quoted)
{
	static const char digits[] = "0123456789abcdef";

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (c < 0x20 || c == 0x7f) {
			put_text(line, "\\x");
			put(line, digits[c >> 4]);
			put(line, digits[c & 15]);
		} else {
			if (quoted && (c == '"' || c == '\\'))
				put(line, '\\');
			put(line, (char)c);
		}
	}
}

static void put_value(struct line *line, const char *value)
{
	bool quoted = !*value || strpbrk(value, " \"\\=");

	if (quoted)
		put(line, '"');
	put_escaped(line, value, quoted);
	if (quoted)
		put(line, '"');
}

void fm_log_format(char *out, size_t size, const char *message, const char *const *fields)
{
	struct line line = {.out = out, .size = size};

	put_escaped(&line, message, false);
	for (; fields[0] && fields[1]; fields += 2) {
		put(&line, ' ');
		put_text(&line, fields[0]);
		put(&line, '=');
		put_value(&line, fields[1]);
	}
	line.out[line.used] = '\0';
}

/* One character of valid UTF-8, or its escape: all of it or, where it does not fit, nothing. */
static bool put_json_character(struct line *line, const char **text)
{
	unsigned char c = (unsigned char)**text;
	size_t length = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	char escape[8];
	size_t wanted = length;
	const char *bytes = *text;

	if (c < 0x20 || c == 0x7f)
		wanted = (size_t)snprintf(escape, sizeof(escape), "\\u%04x", c);
	else if (c == '"' || c == '\\')
		wanted = (size_t)snprintf(escape, sizeof(escape), "\\%c", c);
	if (wanted != length)
		bytes = escape;
	if (line->used + wanted >= line->size)
		return false;
	for (size_t i = 0; i < wanted; i++)
		line->out[line->used++] = bytes[i];
	*text += length;
	return true;
}

#define JSON_END "\"}"

/* `before` opens the string: a member's name and the like. Leaves room for JSON_END; false: the line is full.
 */
static bool put_json_string(struct line *line, const char *const before[], const char *value)
{
	size_t opening = 0;
	char valid[LINE_MAX_BYTES];
	const char *rest = valid;

	for (size_t i = 0; before[i]; i++)
		opening += strlen(before[i]);
	if (line->used + opening + 1 >= line->size)
		return false;
	for (size_t i = 0; before[i]; i++)
		put_text(line, before[i]);
	snprintf(valid, sizeof(valid), "%s", value);
	fm_utf8_repair(valid);
	while (*rest) {
		if (!put_json_character(line, &rest))
			return false;
	}
	return true;
}

void fm_log_format_json(char *out, size_t size, const char *time, enum fm_log_level level,
        const char *message, const char *const *fields)
{
	struct line line = {.out = out, .size = size - strlen(JSON_END)};
	const char *const opening[] = {
	        "{\"time\":\"", time, "\",\"level\":\"", levels[level].name, "\",\"message\":\"", NULL};
	bool fits = put_json_string(&line, opening, message);

	for (; fits && fields[0] && fields[1]; fields += 2) {
		const char *const member[] = {"\",\"", fields[0], "\":\"", NULL};
		fits = put_json_string(&line, member, fields[1]);
	}
	line.size = size;
	put_text(&line, JSON_END);
	out[line.used] = '\0';
}

static void format_time(char *out, size_t size)
{
	struct timespec now;
	struct tm utc;
	char date[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(out, size, "%s.%03ldZ", date, now.tv_nsec / 1000000);
}

static void format_line(
        char *out, size_t size, enum fm_log_level level, const char *message, const char *const *fields)
{
	bool journal = getenv("JOURNAL_STREAM") != NULL;
	char time[48];
	size_t used = 0;

	format_time(time, sizeof(time));
	if (journal)
		used = (size_t)snprintf(out, size, "%s", levels[level].priority);
	if (atomic_load(&current_form) == FM_LOG_JSON) {
		fm_log_format_json(out + used, size - used, time, level, message, fields);
		return;
	}
	if (!journal)
		used = (size_t)snprintf(out, size, "%s %s ", time, levels[level].name);
	fm_log_format(out + used, size - used, message, fields);
}

void fm_log(enum fm_log_level level, const char *message, ...)
{
	const char *fields[FIELDS_MAX + 1] = {NULL};
	char line[LINE_MAX_BYTES];
	va_list ap;

	if ((int)level > atomic_load(&current_level))
		return;
	va_start(ap, message);
	for (size_t i = 0; i < FIELDS_MAX; i++) {
		fields[i] = va_arg(ap, const char *);
		if (!fields[i])
			break;
	}
	va_end(ap);

	format_line(line, sizeof(line) - 1, level, message, fields);
	size_t used = strlen(line);
	line[used++] = '\n';
	/* A log that cannot be written has nowhere to complain. */
	if (write(STDERR_FILENO, line, used) < 0)
		return;
}
