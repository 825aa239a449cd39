/* Results as JSON or as lines of "key  value". Takes jansson's objects; threads: pure. */
#ifndef FM_CLI_JSON_H
#define FM_CLI_JSON_H

#include "lib/base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* A string; bytes that are not UTF-8 (file names may hold any) become U+FFFD. NULL without memory. */
json_t *fm_json_text(const char *text);

/* A number; null where it is not finite, which JSON cannot say. */
json_t *fm_json_number(double value);

/* One line on stdout. FM_E_NOMEM also when json is NULL; FM_E_IO. */
enum fm_status fm_json_print_line(const json_t *json, struct fm_error *err);

/* Indented, to a file through fm_output_write; "-" is stdout. */
enum fm_status fm_json_write(const char *path, const json_t *json, struct fm_error *err);

/* An object's plain values (no arrays, no objects), one "key  value" a line, on stdout. */
void fm_json_print_table(const json_t *object);
/* As a line or as a table, and lets go of it. Fails as fm_json_print_line does. */
enum fm_status fm_json_print(json_t *json, bool as_line, struct fm_error *err);
/* The table of several objects side by side, in columns; the first has the keys. */
void fm_json_print_columns(const json_t *const *objects, size_t count);

#endif
