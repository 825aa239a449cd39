/* GET /openapi.json, and the web console at GET /: files that the build puts into the program. */
#include "daemon/handlers/handlers.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define FILE_IN_PROGRAM(name, path)                                                                          \
	__asm__(".pushsection .rodata\n" #name "_begin: .incbin \"" path "\"\n" #name "_end:\n"              \
	        ".popsection\n");                                                                            \
	extern const char name##_begin[], name##_end[]

FILE_IN_PROGRAM(openapi, "config/openapi.json");
FILE_IN_PROGRAM(console_html, "daemon/console/console.html");
FILE_IN_PROGRAM(console_js, "daemon/console/console.js");
FILE_IN_PROGRAM(console_css, "daemon/console/console.css");

static enum fm_problem send(struct fm_exchange *exchange, const char *type, const char *begin,
        const char *end, struct fm_error *err)
{
	size_t length = (size_t)(end - begin);
	char *text = malloc(length);

	if (!text) {
		fm_fail(err, FM_E_NOMEM, "no memory for the reply");
		return FM_PROBLEM_OVERLOADED;
	}
	memcpy(text, begin, length);
	fm_reply_text(&exchange->reply, 200, type, text, length);
	fm_reply_header(&exchange->reply, "X-Content-Type-Options", "nosniff");
	return FM_PROBLEM_NONE;
}

enum fm_problem fm_handle_openapi(struct fm_exchange *exchange, struct fm_error *err)
{
	return send(exchange, "application/json", openapi_begin, openapi_end, err);
}

/* The page loads nothing from elsewhere, runs no script but ours, and lies in nobody's frame. */
enum fm_problem fm_handle_console(struct fm_exchange *exchange, struct fm_error *err)
{
	enum fm_problem problem =
	        send(exchange, "text/html; charset=utf-8", console_html_begin, console_html_end, err);

	fm_reply_header(&exchange->reply, "Content-Security-Policy",
	        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src blob:; "
	        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'");
	fm_reply_header(&exchange->reply, "Referrer-Policy", "no-referrer");
	return problem;
}

enum fm_problem fm_handle_console_js(struct fm_exchange *exchange, struct fm_error *err)
{
	return send(exchange, "text/javascript; charset=utf-8", console_js_begin, console_js_end, err);
}

enum fm_problem fm_handle_console_css(struct fm_exchange *exchange, struct fm_error *err)
{
	return send(exchange, "text/css; charset=utf-8", console_css_begin, console_css_end, err);
}
