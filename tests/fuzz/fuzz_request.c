/*
 * Requests from strangers: target, content type and body through everything that reads them. The input is
 * target LF content-type LF body.
 */
#include "daemon/request.h"
#include "daemon/router.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define BODY_MAX_BYTES (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Takes a line out of the input. */
static char *take_line(const char **at, size_t *left)
{
	const char *newline = memchr(*at, '\n', *left);
	size_t length = newline ? (size_t)(newline - *at) : *left;
	char *line = strndup(*at, length);

	*at += length + (newline != NULL);
	*left -= length + (newline != NULL);
	if (!line)
		abort();
	return line;
}

static void read_slice(struct fm_slice slice)
{
	unsigned sum = 0;

	for (size_t i = 0; i < slice.length; i++)
		sum += (unsigned char)slice.data[i];
	volatile unsigned sink = sum;
	(void)sink;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const images[] = {"image", "image1", "image2"};
	const char *at = (const char *)data;
	struct fm_request request;
	struct fm_error err;
	const struct fm_route *route;
	char allow[FM_ALLOW_BYTES];
	const char *name;
	json_t *object;
	char *target = take_line(&at, &size);

	fm_request_init(&request, NULL, BODY_MAX_BYTES);
	request.content_type = take_line(&at, &size);
	if (!fm_buf_append(&request.body, at, size, &err) && !fm_request_set_target(&request, target, &err)) {
		enum fm_problem problem = fm_router_find("GET", &request, &route, allow, &err);
		/* A path without a route has no parameters; one with malformed escapes is refused. */
		if (problem && request.parameter_count)
			abort();
		for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++) {
			struct fm_slice image;
			if (fm_request_image(&request, images[i], &image, &err) == FM_PROBLEM_NONE)
				read_slice(image);
		}
		if (fm_request_text(&request, "name", &name, &err) == FM_PROBLEM_NONE && name) {
			read_slice((struct fm_slice){name, strlen(name)});
			if (!fm_name_check("name", name, &err) && !fm_utf8_valid(name, strlen(name)))
				abort();
		}
		fm_request_json(&request, &object, &err);
	}
	fm_request_done(&request);
	free(target);
	return 0;
}
