/*
 * multipart/form-data (RFC 7578, RFC 2046 section 5.1) over a body that is complete in memory: parts are
 * slices of it, nothing is copied. File names and part types are ignored, as everywhere here the bytes of a
 * photo say what it is. Lines end with CRLF; a bare LF in part headers is accepted. Threads: pure.
 */
#ifndef FM_DAEMON_MULTIPART_H
#define FM_DAEMON_MULTIPART_H

#include "daemon/text.h"

#define FM_MULTIPART_PARTS_MAX         16
#define FM_MULTIPART_HEADERS_MAX_BYTES 4096 /* of one part */

struct fm_part {
	struct fm_slice name; /* of its Content-Disposition, without quotes; escapes are kept as sent */
	struct fm_slice value;
};

/*
 * `content_type` is the request's header: its boundary parameter is read here.
 * Errors: FM_E_INVALID (no boundary, none found in the body, a part without a name, too many parts, headers
 * too long), FM_E_TRUNCATED (the closing boundary is missing: the body ends early).
 */
enum fm_status fm_multipart_parse(const char *content_type, struct fm_slice body,
        struct fm_part ret_parts[FM_MULTIPART_PARTS_MAX], size_t *ret_count, struct fm_error *err);

#endif
