/*
 * The orientation in a photo's EXIF block.
 * Source: Exif 2.32 (CIPA DC-008) 4.6.4 A, tag 0112H; TIFF 6.0 section 2 for the file layout. Threads: pure.
 */
#ifndef FM_IMAGE_EXIF_H
#define FM_IMAGE_EXIF_H

#include <stddef.h>
#include <stdint.h>

/*
 * `bytes` is a TIFF block, with or without the "Exif\0\0" that JPEG puts before it. Returns 1 to 8; 1 for
 * whatever is absent, malformed or out of range, as hostile bytes must not cost a photo. Only the first
 * directory is read and no offset is followed twice.
 */
int fm_exif_orientation(const uint8_t *bytes, size_t length);

#endif
