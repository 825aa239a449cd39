#include "daemon/log.h"

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

void fm_log_format(char *out, unsigned long size, const char *message, const char *const *fields)
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

static size_t put_head(char *out, size_t size, enum fm_log_level level)
{
	if (getenv("JOURNAL_STREAM"))
		return (size_t)snprintf(out, size, "%s", levels[level].priority);

	struct timespec now;
	struct tm utc;
	char date[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
	return (size_t)snprintf(out, size, "%s.%03ldZ %s ", date, now.tv_nsec / 1000000, levels[level].name);
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

	size_t used = put_head(line, sizeof(line), level);
	fm_log_format(line + used, sizeof(line) - used - 1, message, fields);
	used = strlen(line);
	line[used++] = '\n';
	/* A log that cannot be written has nowhere to complain. */
	if (write(STDERR_FILENO, line, used) < 0)
		return;
}
