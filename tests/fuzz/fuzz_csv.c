/* Comma-separated lists from strangers. */
#include "cli/csv.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fm_csv csv;
	struct fm_csv_row row;
	struct fm_error err;
	bool found = true;
	size_t line = 0;
	char *bytes = malloc(size + 1);

	if (!bytes)
		abort();
	memcpy(bytes, data, size);
	fm_csv_init(&csv, bytes, size);
	while (found && fm_csv_next(&csv, &row, &found, &err) == FM_OK && found) {
		if (row.line <= line || !row.count || row.count > FM_CSV_FIELDS_MAX)
			abort();
		line = row.line;
		/* Fields lie inside the bytes, in order, and end there. */
		for (size_t i = 0; i < row.count; i++) {
			if (row.fields[i] < bytes || row.fields[i] + strlen(row.fields[i]) > bytes + size)
				abort();
		}
	}
	free(bytes);
	return 0;
}
