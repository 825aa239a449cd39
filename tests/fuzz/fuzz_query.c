/* Request targets from strangers: paths and query strings through the router and every reader of values. */
#include "daemon/request.h"
#include "daemon/router.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void read_values(struct fm_request *request)
{
	static const char *const keys[] = {"limit", "after", "name", "face", "min_similarity", "collection"};
	struct fm_error err;
	long integer;
	double real;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const char *value = fm_request_query(request, keys[i]);
		require(!value || fm_utf8_valid(value, strlen(value)));
		if (fm_request_integer(request, keys[i], 1, 100, 5, &integer, &err) == FM_OK)
			require(integer >= 1 && integer <= 100);
		if (fm_request_real(request, keys[i], 0, 1, -1, &real, &err) == FM_OK)
			require(real == -1 || (real >= 0 && real <= 1));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const methods[] = {"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "?"};
	struct fm_error err;
	char *target = strndup((const char *)data, size);

	require(target != NULL);
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		struct fm_request request;
		const struct fm_route *route = NULL;
		char allow[FM_ALLOW_BYTES];

		fm_request_init(&request, target, 1024);
		require(strlen(request.id) >= 1 && strlen(request.id) <= 64);
		if (!fm_request_set_target(&request, target, &err)) {
			enum fm_problem problem = fm_router_find(methods[i], &request, &route, allow, &err);
			require((problem == FM_PROBLEM_NONE) == (route != NULL));
			require(problem != FM_PROBLEM_METHOD_NOT_ALLOWED || allow[0]);
			read_values(&request);
		}
		fm_request_done(&request);
	}
	free(target);
	return 0;
}
