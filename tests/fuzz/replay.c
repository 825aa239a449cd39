/*
 * Runs a fuzz harness over files, without a fuzzer: `replay_x FILE|DIRECTORY…`, directories one level deep.
 * Exit status 1 when a file cannot be read or there was none at all.
 */
#include "lib/base/cleanup.h"
#include "lib/base/file.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/banned.h"

enum { FILE_BYTES_MAX = 64 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool replay_file(const char *path, size_t *count)
{
	fm_autofree char *bytes = NULL;
	size_t length = 0;
	struct fm_error err;

	if (fm_file_read(path, FILE_BYTES_MAX, &bytes, &length, &err) != FM_OK) {
		fprintf(stderr, "%s\n", err.message);
		return false;
	}
	/* An exact copy: fm_file_read puts a NUL after the bytes, over which a read past the end would pass.
	 */
	fm_autofree uint8_t *exact = malloc(length ? length : 1);
	if (!exact)
		return false;
	memcpy(exact, bytes, length);
	LLVMFuzzerTestOneInput(exact, length);
	(*count)++;
	return true;
}

static bool replay_directory(const char *path, size_t *count)
{
	struct dirent **entries = NULL;
	bool ok = true;

	int found = scandir(path, &entries, NULL, alphasort);
	if (found < 0) {
		perror(path);
		return false;
	}
	for (int i = 0; i < found; i++) {
		fm_autofree char *file = NULL;
		struct stat status;
		if (asprintf(&file, "%s/%s", path, entries[i]->d_name) < 0)
			file = NULL;
		if (file && stat(file, &status) == 0 && S_ISREG(status.st_mode))
			ok = replay_file(file, count) && ok;
		free(entries[i]);
	}
	free(entries);
	return ok;
}

int main(int argc, char **argv)
{
	size_t count = 0;
	bool ok = true;

	for (int i = 1; i < argc; i++) {
		struct stat status;
		bool is_directory = stat(argv[i], &status) == 0 && S_ISDIR(status.st_mode);
		ok = (is_directory ? replay_directory(argv[i], &count) : replay_file(argv[i], &count)) && ok;
	}
	printf("%zu inputs replayed\n", count);
	return ok && count > 0 ? 0 : 1;
}
