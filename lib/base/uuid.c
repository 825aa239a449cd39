#include "lib/base/uuid.h"

#include <uuid/uuid.h>

#include "lib/base/banned.h"

void fm_uuid_new(char ret_text[FM_UUID_TEXT])
{
	uuid_t id;

	uuid_generate_random(id);
	uuid_unparse_lower(id, ret_text);
}

bool fm_uuid_valid(const char *text)
{
	uuid_t id;

	return uuid_parse(text, id) == 0;
}
