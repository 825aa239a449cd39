/* Result files. Threads: pure. */
#ifndef FM_CLI_OUTPUT_H
#define FM_CLI_OUTPUT_H

#include "lib/base/status.h"

#include <stddef.h>

/*
 * Writes a file whole or not at all, mode 0644; missing parent directories are created. What exists and is
 * no regular file (/dev/stdout, a pipe) is written to as it stands, never replaced.
 */
enum fm_status fm_output_write(const char *path, const void *bytes, size_t length, struct fm_error *err);

#endif
