/*
 * Embeddings as the database holds them: little-endian IEEE 754 float32 [dim], behind as many zeros as
 * layout.h asks for (earlier versions wrote none). Threads: pure.
 */
#ifndef FM_GALLERY_EMBEDDING_H
#define FM_GALLERY_EMBEDDING_H

#include "lib/base/status.h"
#include "lib/gallery/gallery.h"

#include <stddef.h>
#include <stdint.h>

/* 1 to FM_EMBEDDING_DIM_MAX finite values of unit length within 1e-3; FM_E_INVALID otherwise. */
enum fm_status fm_embedding_check(const float *embedding, size_t dim, struct fm_error *err);

/* ret_blob has room for fm_layout_embedding_bytes(dim * 4), which is what is returned. */
size_t fm_embedding_encode(const float *embedding, size_t dim, uint8_t *ret_blob);
#define FM_EMBEDDING_BLOB_MAX (FM_EMBEDDING_DIM_MAX * 4 + 2048)

/* FM_E_CORRUPT where the blob's size is not what dim floats take or a value is not finite. */
enum fm_status fm_embedding_decode(
        const void *blob, size_t blob_bytes, size_t dim, float *ret_embedding, struct fm_error *err);

/*
 * The same through the connection's sealer, where it has one. ret_blob has room for FM_EMBEDDING_BLOB_MAX;
 * *ret_seal is the key's row, 0 without one. Unpack leaves embeddings of both kinds as they were packed.
 */
struct fm_connection;
void fm_embedding_pack(struct fm_connection *connection, const char *face_id, const char *model,
        const float *embedding, size_t dim, uint8_t *ret_blob, size_t *ret_bytes, int64_t *ret_seal);
enum fm_status fm_embedding_unpack(struct fm_connection *connection, const char *face_id, const char *model,
        const void *blob, size_t blob_bytes, int64_t seal, size_t dim, float *ret_embedding,
        struct fm_error *err);

#endif
