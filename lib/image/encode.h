/* Images to files. Threads: pure. */
#ifndef FM_IMAGE_ENCODE_H
#define FM_IMAGE_ENCODE_H

#include "lib/image/image.h"

/*
 * Baseline JPEG, YCbCr with full chroma, without metadata; quality 1..100. The same pixels give the same
 * bytes; tables and header come first and tell of the image its size alone. free() what is returned; it may
 * show a face, so fm_wipe() it before. Errors: FM_E_INVALID (an empty image, a side above 65500), FM_E_NOMEM.
 */
enum fm_status fm_image_encode_jpeg(const struct fm_image *image, int quality, uint8_t **ret_bytes,
        size_t *ret_length, struct fm_error *err);

#endif
