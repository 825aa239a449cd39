#include "daemon/router.h"

#include "lib/base/file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include <string.h>

#include "lib/base/banned.h"

static struct fm_request request;
static const struct fm_route *route;
static char allow[FM_ALLOW_BYTES];

static enum fm_problem find(const char *method, const char *target)
{
	fm_request_done(&request);
	route = NULL;
	cr_assert_eq(fm_request_set_target(&request, target, NULL), FM_OK);
	return fm_router_find(method, &request, &route, allow, NULL);
}

Test(router, every_route_is_found_by_its_own_path)
{
	for (size_t i = 0; i < fm_route_count; i++) {
		char path[128] = "";
		/* "{}" becomes "id". */
		for (size_t c = 0; fm_routes[i].pattern[c]; c++) {
			char at = fm_routes[i].pattern[c];
			path[c] = at == '{' ? 'i' : at == '}' ? 'd' : at;
		}
		cr_expect_eq(
		        find(fm_routes[i].method, path), FM_PROBLEM_NONE, "%s %s", fm_routes[i].method, path);
		cr_expect_eq(route, &fm_routes[i], "%s %s", fm_routes[i].method, path);
		cr_expect_not_null(fm_routes[i].handler);
	}
	fm_request_done(&request);
}

Test(router, parameters_are_decoded)
{
	cr_assert_eq(find("GET", "/v1/collections/a%2Fb%20c+d?x=y"), FM_PROBLEM_NONE);
	cr_expect_eq(request.parameter_count, 1);
	cr_expect_str_eq(request.parameters[0], "a/b c+d");
	cr_assert_eq(find("HEAD", "/v1/people/7"), FM_PROBLEM_NONE);
	cr_expect_str_eq(route->method, "GET");
	cr_expect_str_eq(request.parameters[0], "7");
	fm_request_done(&request);
}

Test(router, unknown_paths)
{
	static const char *const paths[] = {"", "*", "//", "/v1", "/v1/", "/v1/people/", "/v1//people",
	        "/healthz/", "/v1/people/1/faces/2", "/v2/people", "/V1/people",
	        "/v1/people/1/2/3/4/5/6/7/8/9", "http://x/healthz"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		cr_expect_eq(find("GET", paths[i]), FM_PROBLEM_NOT_FOUND, "%s", paths[i]);
	fm_request_done(&request);
}

Test(router, wrong_methods_get_the_right_ones)
{
	cr_expect_eq(find("PUT", "/v1/people"), FM_PROBLEM_METHOD_NOT_ALLOWED);
	cr_expect_str_eq(allow, "POST, GET, HEAD");
	cr_expect_eq(find("GET", "/v1/identify"), FM_PROBLEM_METHOD_NOT_ALLOWED);
	cr_expect_str_eq(allow, "POST");
	cr_expect_eq(find("HEAD", "/v1/identify"), FM_PROBLEM_METHOD_NOT_ALLOWED);
	cr_expect_eq(find("post", "/v1/identify"), FM_PROBLEM_METHOD_NOT_ALLOWED, "methods have case");
	cr_expect_eq(find("OPTIONS", "/v1/people/1"), FM_PROBLEM_METHOD_NOT_ALLOWED);
	cr_expect_str_eq(allow, "GET, HEAD, PATCH, DELETE");
	fm_request_done(&request);
}

Test(router, malformed_escapes)
{
	cr_expect_eq(find("GET", "/v1/people/%zz"), FM_PROBLEM_BAD_REQUEST);
	cr_expect_eq(find("GET", "/v1/people/%00"), FM_PROBLEM_BAD_REQUEST);
	cr_expect_eq(find("GET", "/v1/people/%ff"), FM_PROBLEM_BAD_REQUEST);
	fm_request_done(&request);
}

/* "GET /v1/people/{}" is "`GET /v1/people/{id}" or "`GET /v1/people/{name}" there. */
static bool documented(const char *text, const struct fm_route *row, const char *parameter)
{
	char wanted[160];
	const char *hole = strstr(row->pattern, "{}");
	int before = hole ? (int)(hole - row->pattern) : (int)strlen(row->pattern);

	snprintf(wanted, sizeof(wanted), "`%s %.*s%s%s", row->method, before, row->pattern,
	        hole ? parameter : "", hole ? hole + 2 : "");
	for (const char *found = text; (found = strstr(found, wanted)); found++) {
		if (strchr("`?", found[strlen(wanted)]))
			return true;
	}
	return false;
}

Test(router, every_route_is_documented)
{
	char *text;
	size_t length;

	cr_assert_eq(fm_file_read("docs/API.md", 1 << 20, &text, &length, NULL), FM_OK);
	for (size_t i = 0; i < fm_route_count; i++)
		cr_expect(
		        documented(text, &fm_routes[i], "{id}") || documented(text, &fm_routes[i], "{name}"),
		        "%s %s", fm_routes[i].method, fm_routes[i].pattern);
	free(text);
}
