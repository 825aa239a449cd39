/* GET /openapi.json: config/openapi.json, which the build puts into the program. */
#include "daemon/handlers/handlers.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

__asm__(".pushsection .rodata\n"
        "openapi_begin: .incbin \"config/openapi.json\"\n"
        "openapi_end:\n"
        ".popsection\n");
extern const char openapi_begin[], openapi_end[];

enum fm_problem fm_handle_openapi(struct fm_exchange *exchange, struct fm_error *err)
{
	size_t length = (size_t)(openapi_end - openapi_begin);
	char *text = malloc(length);

	if (!text) {
		fm_fail(err, FM_E_NOMEM, "no memory for the reply");
		return FM_PROBLEM_OVERLOADED;
	}
	memcpy(text, openapi_begin, length);
	fm_reply_text(&exchange->reply, 200, "application/json", text, length);
	return FM_PROBLEM_NONE;
}
