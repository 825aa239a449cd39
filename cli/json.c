#include "cli/json.h"

#include "cli/cli.h"
#include "cli/output.h"
#include "lib/base/cleanup.h"

#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

/* Nine digits carry every float32 there and back. */
#define PRECISION JSON_REAL_PRECISION(9)

/* The length of the UTF-8 sequence at text by its first bytes, 0 when it is none that jansson takes. */
static size_t utf8_sequence(const char *text)
{
	for (size_t length = 1; length <= 4; length++) {
		if (length > 1 && (text[length - 1] & 0xc0) != 0x80)
			return 0;
		json_t *probe = json_stringn(text, length);
		if (probe) {
			json_decref(probe);
			return length;
		}
	}
	return 0;
}

json_t *fm_json_text(const char *text)
{
	json_t *json = json_string(text);
	if (json)
		return json;

	fm_autofree char *repaired = malloc(strlen(text) * 3 + 1);
	char *out = repaired;
	if (!repaired)
		return NULL;
	while (*text) {
		size_t length = utf8_sequence(text);
		memcpy(out, length ? text : "\xef\xbf\xbd", length ? length : 3);
		out += length ? length : 3;
		text += length ? length : 1;
	}
	*out = '\0';
	return json_string(repaired);
}

json_t *fm_json_number(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

enum fm_status fm_json_print_line(const json_t *json, struct fm_error *err)
{
	fm_autofree char *text = json ? json_dumps(json, JSON_COMPACT | PRECISION) : NULL;

	if (!text)
		return fm_fail(err, FM_E_NOMEM, "no memory for the result");
	/* Flushed line by line: whoever reads along sees each result when it is there. */
	if (puts(text) < 0 || fflush(stdout) != 0)
		return fm_fail(err, FM_E_IO, "cannot write standard output");
	return FM_OK;
}

enum fm_status fm_json_write(const char *path, const json_t *json, struct fm_error *err)
{
	fm_autofree char *text = json ? json_dumps(json, JSON_INDENT(1) | PRECISION) : NULL;

	if (!text)
		return fm_fail(err, FM_E_NOMEM, "no memory for the result");
	if (strcmp(path, "-") == 0)
		return puts(text) < 0 ? fm_fail(err, FM_E_IO, "cannot write standard output") : FM_OK;

	size_t length = strlen(text);
	text[length] = '\n'; /* a line end in the place of the NUL */
	return fm_output_write(path, text, length + 1, err);
}

/* width 0 leaves the value as long as it is. */
static void print_value(const json_t *value, int width)
{
	char number[32];

	if (json_is_string(value)) {
		fm_autofree char *text = strdup(json_string_value(value));
		printf("%-*s", width, text ? fm_printable(text) : "");
		return;
	}
	if (json_is_integer(value))
		snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_real(value))
		snprintf(number, sizeof(number), "%.6g", json_real_value(value));
	else
		snprintf(number, sizeof(number), "%s",
		        json_is_true(value)    ? "true"
		        : json_is_false(value) ? "false"
		                               : "n/a");
	printf("%-*s", width, number);
}

void fm_json_print_columns(const json_t *const *objects, size_t count)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)objects[0], key, value)
	{
		if (json_is_array(value) || json_is_object(value))
			continue;
		printf("%-22s ", key);
		for (size_t i = 0; i < count; i++)
			print_value(json_object_get(objects[i], key), i + 1 < count ? 28 : 0);
		putchar('\n');
	}
}

void fm_json_print_table(const json_t *object)
{
	fm_json_print_columns(&object, 1);
}

enum fm_status fm_json_print(json_t *json, bool as_line, struct fm_error *err)
{
	enum fm_status status = FM_OK;

	if (as_line || !json)
		status = fm_json_print_line(json, err);
	else
		fm_json_print_table(json);
	json_decref(json);
	return status;
}
