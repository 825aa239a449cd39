/*
 * The lines of an archive (docs/API.md, Archive): each a JSON object, a person or one of their faces. Reading
 * is bounded before anything is allocated, and takes what the daemon itself could have stored: a crop is
 * decoded, the quality has all of its figures, ids come out in lower case. Threads: pure.
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
	char id[FM_UUID_TEXT];          /* the person's, or the face's */
	char person_id[FM_UUID_TEXT];   /* whose face */
	/* owned */
	json_t *json;
	char *metadata, *quality, *embedding, *crop;
};
void fm_archive_line_done(struct fm_archive_line *line);

/* FM_E_INVALID, saying what is wrong; FM_E_TOO_LARGE; FM_E_NOMEM. Members of *ret_line point into it: it is
 * not to be copied. */
enum fm_status fm_archive_read(
        const char *text, size_t length, struct fm_archive_line *ret_line, struct fm_error *err);

/* Append a line. FM_E_TOO_LARGE: the buffer is full. */
enum fm_status fm_archive_put_person(
        struct fm_buf *out, const struct fm_person *person, struct fm_error *err);
enum fm_status fm_archive_put_face(
        struct fm_buf *out, const char *person_id, const struct fm_face_export *face, struct fm_error *err);

#endif
