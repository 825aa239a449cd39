#include "lib/gallery/text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/banned.h"

/*
 * Length of the well-formed UTF-8 sequence at `s`, 0 when there is none. The NUL that ends the text is no
 * continuation byte, so nothing beyond it is read.
 */
static size_t sequence_length(const unsigned char *s, uint32_t *ret_code)
{
	static const struct {
		unsigned char mask, lead;
		uint32_t lowest; /* what a shorter form could not have said */
	} forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};

	for (size_t more = 0; more < sizeof(forms) / sizeof(forms[0]); more++) {
		if ((s[0] & forms[more].mask) != forms[more].lead)
			continue;
		uint32_t code = s[0] & (unsigned char)~forms[more].mask;

		for (size_t i = 1; i <= more; i++) {
			if ((s[i] & 0xc0) != 0x80)
				return 0;
			code = code << 6 | (s[i] & 0x3f);
		}
		if (code < forms[more].lowest || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
			return 0;
		*ret_code = code;
		return more + 1;
	}
	return 0;
}

static int is_control(uint32_t code, enum fm_text_kind kind)
{
	if (kind == FM_TEXT_JSON)
		return code < 0x20 && code != '\t' && code != '\n' && code != '\r';
	return code < 0x20 || (code >= 0x7f && code <= 0x9f);
}

enum fm_status fm_text_check(const char *text, enum fm_text_kind kind, size_t maximum_bytes, const char *what,
        struct fm_error *err)
{
	if (!text)
		return fm_fail(err, FM_E_INVALID, "%s: missing", what);
	if (!*text)
		return fm_fail(err, FM_E_INVALID, "%s: empty", what);
	size_t length = strnlen(text, maximum_bytes + 1);

	if (length > maximum_bytes)
		return fm_fail(err, FM_E_INVALID, "%s: longer than %zu bytes", what, maximum_bytes);
	for (const unsigned char *s = (const unsigned char *)text; *s;) {
		uint32_t code;
		size_t step = sequence_length(s, &code);

		if (step == 0)
			return fm_fail(err, FM_E_INVALID, "%s: not valid UTF-8 at byte %zu", what,
			        (size_t)(s - (const unsigned char *)text));
		if (is_control(code, kind))
			return fm_fail(
			        err, FM_E_INVALID, "%s: control character U+%04X", what, (unsigned)code);
		s += step;
	}
	return FM_OK;
}

int64_t fm_time_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void fm_time_text(int64_t time_ms, char ret_text[32])
{
	const int64_t latest_ms = INT64_C(253402300799999); /* 9999-12-31T23:59:59.999Z */
	int64_t clamped = time_ms < 0 ? 0 : time_ms > latest_ms ? latest_ms : time_ms;
	time_t seconds = (time_t)(clamped / 1000);
	struct tm utc;
	char text[24];

	gmtime_r(&seconds, &utc);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(ret_text, 32, "%s.%03dZ", text, (int)(clamped % 1000));
}

enum fm_status fm_time_parse_past(const char *text, int64_t *ret_time_ms, struct fm_error *err)
{
	struct tm utc = {0};
	unsigned milliseconds;
	char again[32];
	int used = 0;

	if (strlen(text) == 24 &&
	        sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3uZ%n", &utc.tm_year, &utc.tm_mon, &utc.tm_mday,
	                &utc.tm_hour, &utc.tm_min, &utc.tm_sec, &milliseconds, &used) == 7 &&
	        used == 24) {
		utc.tm_year -= 1900;
		utc.tm_mon -= 1;
		int64_t time_ms = (int64_t)timegm(&utc) * 1000 + (int64_t)milliseconds;
		int64_t now_ms = fm_time_now_ms();
		/* What the calendar does not have comes back as another day. */
		fm_time_text(time_ms, again);
		if (time_ms > 0 && strcmp(again, text) == 0) {
			*ret_time_ms = time_ms < now_ms ? time_ms : now_ms;
			return FM_OK;
		}
	}
	return fm_fail(err, FM_E_INVALID, "\"%.32s\" is no time like 2026-11-23T01:25:26.123Z", text);
}
