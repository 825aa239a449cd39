#include "daemon/reply.h"

#include <criterion/criterion.h>

#include <stdbool.h>
#include <string.h>

#include "lib/base/banned.h"

Test(reply, every_problem_has_code_and_status)
{
	for (int a = 1; a < FM_PROBLEM_COUNT; a++) {
		int http_status = fm_problem_http_status((enum fm_problem)a);
		cr_assert_not_null(fm_problem_code((enum fm_problem)a));
		cr_expect(http_status >= 400 && http_status < 600, "%s", fm_problem_code((enum fm_problem)a));
		for (int b = 1; b < a; b++)
			cr_expect_str_neq(
			        fm_problem_code((enum fm_problem)a), fm_problem_code((enum fm_problem)b));
	}
}

Test(reply, statuses_mean_problems)
{
	cr_expect_eq(fm_problem_of(FM_OK), FM_PROBLEM_NONE);
	cr_expect_eq(fm_problem_of(FM_E_INVALID), FM_PROBLEM_BAD_REQUEST);
	cr_expect_eq(fm_problem_of(FM_E_NOT_FOUND), FM_PROBLEM_NOT_FOUND);
	cr_expect_eq(fm_problem_of(FM_E_STORAGE_FULL), FM_PROBLEM_STORAGE_FULL);
	cr_expect_eq(fm_problem_of(FM_E_IO), FM_PROBLEM_STORAGE_FAILED);
	cr_expect_eq(fm_problem_http_status(FM_PROBLEM_STORAGE_FAILED), 503);
	cr_expect_eq(
	        fm_problem_of(FM_E_CORRUPT), FM_PROBLEM_INTERNAL, "a damaged gallery is not the client's");
	cr_expect_eq(fm_problem_of_photo(FM_E_CORRUPT), FM_PROBLEM_BAD_IMAGE);
	cr_expect_eq(fm_problem_of_photo(FM_E_TRUNCATED), FM_PROBLEM_TRUNCATED_IMAGE);
	cr_expect_eq(fm_problem_of_photo(FM_E_TOO_LARGE), FM_PROBLEM_IMAGE_TOO_LARGE);
	cr_expect_eq(fm_problem_of((enum fm_status) - 99), FM_PROBLEM_INTERNAL);
	for (int status = FM_E_INVALID; status >= FM_E_INTERNAL; status--) {
		cr_expect_neq(fm_problem_of((enum fm_status)status), FM_PROBLEM_NONE, "%d", status);
		cr_expect_neq(fm_problem_of_photo((enum fm_status)status), FM_PROBLEM_NONE, "%d", status);
	}
}

static const char *header(const struct fm_reply *reply, const char *name)
{
	for (size_t i = 0; i < reply->header_count; i++) {
		if (strcmp(reply->headers[i].name, name) == 0)
			return reply->headers[i].value;
	}
	return NULL;
}

Test(reply, problem_body_is_rfc_9457)
{
	struct fm_reply reply = {0};

	fm_reply_problem(&reply, FM_PROBLEM_LOW_QUALITY, "too dark", "id-1",
	        json_pack("{s:[s], s:s}", "reasons", "low_brightness", "code", "forged"));
	cr_expect_eq(reply.http_status, 422);
	cr_expect_str_eq(reply.content_type, "application/problem+json");
	cr_expect_str_eq(reply.body,
	        "{\"type\":\"urn:facematchd:low_quality\",\"title\":\"Face not good enough "
	        "to enrol\",\"status\":422,\"detail\":\"too dark\",\"code\":\"low_quality\","
	        "\"request_id\":\"id-1\",\"reasons\":[\"low_brightness\"]}");
	cr_expect_eq(reply.length, strlen(reply.body));
	cr_expect_null(header(&reply, "Retry-After"));
	fm_reply_problem(&reply, FM_PROBLEM_OVERLOADED, "near '\xff'", "id-1", NULL);
	cr_expect_eq(reply.http_status, 503);
	cr_expect_str_eq(header(&reply, "Retry-After"), "1");
	cr_expect(strstr(reply.body, "near '?'"), "not UTF-8 is made so: %s", reply.body);
	fm_reply_done(&reply);
}

Test(reply, json_and_no_content)
{
	struct fm_reply reply = {0};
	float value = 0.1f;

	cr_assert_eq(fm_reply_json(&reply, 201, json_pack("{s:f}", "v", value), NULL), FM_OK);
	cr_expect_eq(reply.http_status, 201);
	json_t *back = json_loads(reply.body, 0, NULL);
	cr_expect_eq((float)json_real_value(json_object_get(back, "v")), value, "same bits: %s", reply.body);
	json_decref(back);
	cr_expect_eq(fm_reply_json(&reply, 200, NULL, NULL), FM_E_NOMEM);
	cr_expect_eq(reply.http_status, 201, "unchanged on failure");
	fm_reply_no_content(&reply);
	cr_expect_eq(reply.http_status, 204);
	cr_expect_null(reply.content_type);
	cr_expect_eq(reply.length, 0);
	fm_reply_done(&reply);
}

Test(reply, headers_are_bounded)
{
	struct fm_reply reply = {0};

	for (int i = 0; i < 2 * FM_REPLY_HEADERS_MAX; i++)
		fm_reply_header(&reply, "X", "%d", i);
	cr_expect_eq(reply.header_count, FM_REPLY_HEADERS_MAX);
	fm_reply_done(&reply);
}
