/* Whole small files in and out. Threads: pure. */
#ifndef FM_BASE_FILE_H
#define FM_BASE_FILE_H

#include "lib/base/status.h"

#include <stddef.h>
#include <sys/types.h>

/*
 * Reads a file of at most maximum_bytes into memory that the caller frees; a NUL follows the bytes.
 * Errors: FM_E_NOT_FOUND, FM_E_IO, FM_E_TOO_LARGE, FM_E_NOMEM; a directory is FM_E_IO.
 */
enum fm_status fm_file_read(
        const char *path, size_t maximum_bytes, char **ret_bytes, size_t *ret_length, struct fm_error *err);

/*
 * Writes beside the target, syncs, and renames over it: readers see the old file or the new one, never half.
 * The file gets exactly `mode` (0644 for the world to read, 0600 for secrets), whatever the umask.
 */
enum fm_status fm_file_write(
        const char *path, const void *bytes, size_t length, mode_t mode, struct fm_error *err);

#endif
