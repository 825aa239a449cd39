/* Random (version 4) UUIDs in lower-case text, RFC 9562, through libuuid. Threads: safe. */
#ifndef FM_BASE_UUID_H
#define FM_BASE_UUID_H

#include <stdbool.h>

#define FM_UUID_TEXT 37 /* 36 characters and a NUL */

void fm_uuid_new(char ret_text[FM_UUID_TEXT]);
bool fm_uuid_valid(const char *text);

#endif
