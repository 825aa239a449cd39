#include "daemon/router.h"

#include "daemon/app.h"
#include "lib/base/cleanup.h"
#include "lib/base/size.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define SEGMENTS_MAX 8

struct path {
	size_t count;
	char *segments[SEGMENTS_MAX]; /* decoded */
};

static void path_done(struct path *path)
{
	for (size_t i = 0; i < path->count; i++)
		free(path->segments[i]);
}

/* FM_E_NOT_FOUND: no route has such a path. */
static enum fm_status split(const char *text, struct path *path, struct fm_error *err)
{
	if (*text != '/')
		return fm_fail(err, FM_E_NOT_FOUND, "no such path");
	while (*text) {
		text++; /* the slash before */
		size_t length = strcspn(text, "/");
		if (path->count == SEGMENTS_MAX)
			return fm_fail(err, FM_E_NOT_FOUND, "no such path");
		enum fm_status status =
		        fm_percent_decode(text, length, false, &path->segments[path->count], err);
		if (status)
			return fm_fail_prefix(err, status, "the path holds");
		path->count++;
		text += length;
	}
	return FM_OK;
}

/* Whether the path fits the pattern; which segments are parameters goes to ret_parameters. */
static bool fits(const struct path *path, const char *pattern,
        size_t ret_parameters[FM_REQUEST_PARAMETERS_MAX], size_t *ret_count)
{
	*ret_count = 0;
	for (size_t i = 0; i < path->count; i++) {
		if (*pattern != '/')
			return false;
		pattern++;
		size_t length = strcspn(pattern, "/");
		if (length == 2 && pattern[0] == '{' && pattern[1] == '}') {
			if (!path->segments[i][0] || *ret_count == FM_REQUEST_PARAMETERS_MAX)
				return false;
			ret_parameters[(*ret_count)++] = i;
		} else if (strlen(path->segments[i]) != length ||
		           memcmp(path->segments[i], pattern, length) != 0) {
			return false;
		}
		pattern += length;
	}
	return !*pattern;
}

static void allow(char text[FM_ALLOW_BYTES], const char *method)
{
	size_t used = strlen(text);

	snprintf(text + used, FM_ALLOW_BYTES - used, "%s%s%s", used ? ", " : "", method,
	        strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

enum fm_problem fm_router_find(const char *method, struct fm_request *request,
        const struct fm_route **ret_route, char ret_allow[FM_ALLOW_BYTES], struct fm_error *err)
{
	fm_cleanup(path_done) struct path path = {0};
	enum fm_status status = split(request->path, &path, err);
	const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
	bool path_known = false;

	if (status)
		return fm_problem_of(status);
	ret_allow[0] = '\0';
	for (size_t i = 0; i < fm_route_count; i++) {
		size_t parameters[FM_REQUEST_PARAMETERS_MAX], count;
		if (!fits(&path, fm_routes[i].pattern, parameters, &count))
			continue;
		if (strcmp(fm_routes[i].method, wanted) != 0) {
			path_known = true;
			allow(ret_allow, fm_routes[i].method);
			continue;
		}
		for (size_t p = 0; p < count; p++)
			request->parameters[p] = fm_steal(path.segments[parameters[p]]);
		request->parameter_count = count;
		*ret_route = &fm_routes[i];
		return FM_PROBLEM_NONE;
	}
	if (path_known) {
		fm_fail(err, FM_E_INVALID, "%.16s is not answered here; %s is", method, ret_allow);
		return FM_PROBLEM_METHOD_NOT_ALLOWED;
	}
	fm_fail(err, FM_E_NOT_FOUND, "no such path");
	return FM_PROBLEM_NOT_FOUND;
}

void fm_exchange_done(struct fm_exchange *exchange)
{
	fm_reply_done(&exchange->reply);
	json_decref(exchange->problem_more);
	exchange->problem_more = NULL;
}

/* A stage that a request did not come to is no observation of it. */
static void observe_stages(const struct fm_exchange *exchange)
{
	const struct {
		enum fm_histogram histogram;
		double ms;
	} stages[] = {
	        {FM_HISTOGRAM_STAGE_DECODE, exchange->decode_ms},
	        {FM_HISTOGRAM_STAGE_DETECT, exchange->detect_ms},
	        {FM_HISTOGRAM_STAGE_EMBED, exchange->embed_ms},
	        {FM_HISTOGRAM_STAGE_SEARCH, exchange->search_ms},
	};

	for (size_t i = 0; i < FM_ARRAY_SIZE(stages); i++) {
		if (stages[i].ms > 0)
			fm_metrics_observe(exchange->app->metrics, stages[i].histogram, stages[i].ms * 1e-3);
	}
}

void fm_router_run(const struct fm_route *route, struct fm_exchange *exchange)
{
	struct fm_error err = {0};
	enum fm_problem problem = route->handler(exchange, &err);

	if (problem)
		fm_reply_problem(&exchange->reply, problem, err.message, exchange->request->id,
		        fm_steal(exchange->problem_more));
	if (!exchange->photo_work)
		return;
	observe_stages(exchange);
	fm_reply_header(&exchange->reply, "Server-Timing",
	        "decode;dur=%.1f, detect;dur=%.1f, embed;dur=%.1f, search;dur=%.3f", exchange->decode_ms,
	        exchange->detect_ms, exchange->embed_ms, exchange->search_ms);
}
