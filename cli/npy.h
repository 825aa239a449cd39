/*
 * Tensors in NumPy's .npy format, versions 1 and 2, little-endian, C order.
 * Source: NumPy Enhancement Proposal 1 and numpy.lib.format's documentation. Threads: pure.
 */
#ifndef FM_CLI_NPY_H
#define FM_CLI_NPY_H

#include "lib/base/status.h"

#include <stddef.h>

#define FM_NPY_RANK_MAX   8
#define FM_NPY_BYTES_MAX  ((size_t)1 << 30) /* of a file */
#define FM_NPY_HEADER_MAX 65536             /* of its header; real ones have about 120 */

struct fm_npy {
	size_t rank; /* 0: a single number */
	size_t dims[FM_NPY_RANK_MAX];
	size_t elements; /* product of dims; 0 when one is 0 */
	float *values;   /* owned; row-major */
};
void fm_npy_done(struct fm_npy *npy);

/*
 * Reads f4, f8, u1 and i8 and converts to float. Errors: FM_E_CORRUPT (magic, header, shape that overflows,
 * bytes left over), FM_E_TRUNCATED, FM_E_UNSUPPORTED (other version or type, big-endian, Fortran order, rank
 * above FM_NPY_RANK_MAX), FM_E_TOO_LARGE, FM_E_NOMEM.
 */
enum fm_status fm_npy_parse(const void *bytes, size_t length, struct fm_npy *ret_npy, struct fm_error *err);
/* The same from a file; the message names it. */
enum fm_status fm_npy_read(const char *path, struct fm_npy *ret_npy, struct fm_error *err);

/* The file's bytes, version 1, type <f4; the caller frees them. rank <= FM_NPY_RANK_MAX. */
enum fm_status fm_npy_format(const float *values, const size_t *dims, size_t rank, char **ret_bytes,
        size_t *ret_length, struct fm_error *err);
/* The same into a file, through fm_output_write. */
enum fm_status fm_npy_write(
        const char *path, const float *values, const size_t *dims, size_t rank, struct fm_error *err);

#endif
