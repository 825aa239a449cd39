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

void fm_json_print_table(const json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		if (json_is_array(value) || json_is_object(value))
			continue;
		printf("%-22s ", key);
		if (json_is_string(value)) {
			fm_autofree char *text = strdup(json_string_value(value));
			puts(text ? fm_printable(text) : "");
		} else if (json_is_integer(value)) {
			printf("%" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
		} else if (json_is_real(value)) {
			printf("%.6g\n", json_real_value(value));
		} else {
			puts(json_is_true(value) ? "true" : json_is_false(value) ? "false" : "n/a");
		}
	}
}
