/*
 * The lines of an archive (docs/API.md, Archive): each a JSON object, a person or one of their faces. Reading
 * is bounded before anything is allocated. Threads: pure.
 */
#ifndef FM_DAEMON_ARCHIVE_H
#define FM_DAEMON_ARCHIVE_H

#include "lib/base/buf.h"
#include "lib/gallery/gallery.h"

#include <jansson.h>

#define FM_ARCHIVE_LINE_MAX_BYTES (1 << 20)

/* One of them is set. Everything that the members point at is owned by the line. */
struct fm_archive_line {
	bool is_face;
	struct fm_person_fields person; /* with id and created_at */
	struct fm_face_insert face;     /* with id and created_at */
	const char *person_id;          /* whose face */
	/* owned */
	json_t *json;
	char *metadata, *quality, *embedding, *crop;
};
void fm_archive_line_done(struct fm_archive_line *line);

/* FM_E_INVALID, saying what is wrong; FM_E_TOO_LARGE; FM_E_NOMEM. *ret_line is done() only after FM_OK. */
enum fm_status fm_archive_read(
        const char *text, size_t length, struct fm_archive_line *ret_line, struct fm_error *err);

/* Append a line. FM_E_TOO_LARGE: the buffer is full. */
enum fm_status fm_archive_put_person(
        struct fm_buf *out, const struct fm_person *person, struct fm_error *err);
/* `crop` may be NULL. */
enum fm_status fm_archive_put_face(struct fm_buf *out, const char *person_id,
        const struct fm_face_export *face, const void *crop, size_t crop_bytes, struct fm_error *err);

#endif
