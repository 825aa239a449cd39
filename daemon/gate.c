#include "daemon/gate.h"

#include "daemon/address.h"
#include "daemon/log.h"
#include "daemon/origin.h"
#include "daemon/rate.h"
#include "lib/base/mem.h"
#include "lib/gallery/gallery.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/banned.h"

#define NAMES_MAX 8192 /* addresses, and keys, that are remembered at once */

struct fm_gate {
	struct fm_rate *failures, *requests;
};

enum fm_status fm_gate_create(struct fm_gate **ret_gate, struct fm_error *err)
{
	struct fm_gate *gate = fm_calloc(1, sizeof(*gate));

	if (!gate)
		return fm_fail(err, FM_E_NOMEM, "no memory to start");
	enum fm_status status = fm_rate_create(NAMES_MAX, &gate->failures, err);
	if (!status)
		status = fm_rate_create(NAMES_MAX, &gate->requests, err);
	if (status) {
		fm_gate_free(gate);
		return status;
	}
	*ret_gate = gate;
	return FM_OK;
}

void fm_gate_free(struct fm_gate *gate)
{
	if (!gate)
		return;
	fm_rate_free(gate->failures);
	fm_rate_free(gate->requests);
	free(gate);
}

/* ---- keys ---- */

/* The key that the request shows, or NULL. */
static const char *shown_key(const struct fm_visitor *visitor)
{
	static const char scheme[] = "Bearer ";
	const char *text = visitor->authorization;

	if (text && strncasecmp(text, scheme, sizeof(scheme) - 1) == 0) {
		text += sizeof(scheme) - 1;
		return text + strspn(text, " ");
	}
	return visitor->api_key;
}

static unsigned whole_seconds(double wait_s)
{
	return wait_s > 3600 ? 3600 : wait_s < 1 ? 1 : (unsigned)ceil(wait_s);
}

static enum fm_problem refuse_key(struct fm_gate *gate, const struct fm_snapshot *snapshot,
        const struct fm_visitor *visitor, bool shown, double now_s, struct fm_pass *pass,
        struct fm_error *err)
{
	double per_minute = (double)snapshot->config.failures_per_minute, wait_s = 0;
	const struct fm_rate_limit limit = {.per_second = per_minute / 60, .burst = per_minute};
	uint8_t name[FM_RATE_NAME_BYTES];
	char address[FM_ADDRESS_TEXT];

	fm_address_name(visitor->address, name);
	/* Who shows none has not guessed: a browser that opens the console, a client that is told to log in.
	 */
	if (shown && !fm_rate_take(gate->failures, name, limit, now_s, &wait_s)) {
		pass->retry_after_s = whole_seconds(wait_s);
		fm_fail(err, FM_E_BUSY, "too many wrong keys from this address");
		return FM_PROBLEM_RATE_LIMITED;
	}
	if (shown) {
		fm_address_format(visitor->address, address);
		fm_log(FM_LOG_WARNING, "a wrong key", "address", address, NULL);
	}
	pass->challenge = true;
	fm_fail(err, FM_E_INVALID,
	        shown ? "the key is not known"
	              : "a key is wanted: Authorization: Bearer KEY, or X-Api-Key: KEY");
	return FM_PROBLEM_UNAUTHORIZED;
}

/* Whether this address is still to be listened to. */
static bool is_heard(struct fm_gate *gate, const struct fm_snapshot *snapshot,
        const struct fm_visitor *visitor, double now_s, struct fm_pass *pass)
{
	double per_minute = (double)snapshot->config.failures_per_minute, wait_s = 0;
	const struct fm_rate_limit limit = {.per_second = per_minute / 60, .burst = per_minute};
	uint8_t name[FM_RATE_NAME_BYTES];

	if (fm_address_is_local(visitor->address))
		return true;
	fm_address_name(visitor->address, name);
	bool heard = fm_rate_peek(gate->failures, name, limit, now_s, &wait_s);
	pass->retry_after_s = heard ? 0 : whole_seconds(wait_s);
	return heard;
}

static enum fm_problem check_scope(const struct fm_key *key, const struct fm_route *route,
        const struct fm_request *request, struct fm_error *err)
{
	const char *collection = fm_request_query(request, "collection");

	if (key->role > route->role) {
		fm_fail(err, FM_E_INVALID, "a key of the role %s is wanted here, this one has %s",
		        fm_role_name(route->role), fm_role_name(key->role));
		return FM_PROBLEM_FORBIDDEN;
	}
	if (!key->collection_count)
		return FM_PROBLEM_NONE;
	if (route->flags & FM_ROUTE_NAMES_COLLECTION)
		collection = request->parameters[0];
	else if (route->role == FM_ROLE_ADMIN)
		collection = NULL; /* what says nothing else reaches all of them: a backup, the audit */
	else if (route->flags & FM_ROUTE_NO_COLLECTION)
		return FM_PROBLEM_NONE;
	else if (!collection)
		collection = FM_GALLERY_DEFAULT_COLLECTION;
	if (collection && fm_key_covers(key, collection))
		return FM_PROBLEM_NONE;
	fm_fail(err, FM_E_INVALID,
	        collection ? "this key is not good for the collection \"%s\""
	                   : "this key is bound to collections, and this concerns all of them",
	        collection);
	return FM_PROBLEM_FORBIDDEN;
}

static enum fm_problem check_key(struct fm_gate *gate, const struct fm_snapshot *snapshot,
        const struct fm_route *route, const struct fm_request *request, const struct fm_visitor *visitor,
        double now_s, const struct fm_key **ret_key, struct fm_pass *pass, struct fm_error *err)
{
	const char *shown = shown_key(visitor);

	if (shown && !is_heard(gate, snapshot, visitor, now_s, pass)) {
		fm_fail(err, FM_E_BUSY, "too many wrong keys from this address");
		return FM_PROBLEM_RATE_LIMITED;
	}
	const struct fm_key *key = shown ? fm_keyring_find(snapshot->keys, shown) : NULL;
	if (!key)
		return refuse_key(gate, snapshot, visitor, shown, now_s, pass, err);
	snprintf(pass->key_id, sizeof(pass->key_id), "%s", key->id);
	*ret_key = key;
	return check_scope(key, route, request, err);
}

/* ---- all of it ---- */

static enum fm_problem check_rate(struct fm_gate *gate, const struct fm_snapshot *snapshot,
        const struct fm_key *key, const struct fm_visitor *visitor, double now_s, struct fm_pass *pass,
        struct fm_error *err)
{
	double per_second = (double)snapshot->config.requests_per_second, wait_s;
	const struct fm_rate_limit limit = {.per_second = per_second, .burst = per_second};
	uint8_t name[FM_RATE_NAME_BYTES];

	if (!snapshot->config.requests_per_second)
		return FM_PROBLEM_NONE;
	if (key)
		memcpy(name, key->digest, sizeof(name));
	else
		fm_address_name(visitor->address, name);
	if (fm_rate_take(gate->requests, name, limit, now_s, &wait_s))
		return FM_PROBLEM_NONE;
	pass->retry_after_s = whole_seconds(wait_s);
	fm_fail(err, FM_E_BUSY, "more than %.0f requests a second", per_second);
	return FM_PROBLEM_RATE_LIMITED;
}

enum fm_problem fm_gate_check(struct fm_gate *gate, const struct fm_snapshot *snapshot,
        const struct fm_route *route, const struct fm_request *request, const struct fm_visitor *visitor,
        double now_s, struct fm_pass *ret_pass, struct fm_error *err)
{
	const struct fm_key *key = NULL;
	enum fm_problem problem = FM_PROBLEM_NONE;

	*ret_pass = (struct fm_pass){0};
	/* A page that came by rebinding has no key: with keys the name does not matter. */
	if (!snapshot->keys && fm_address_is_ip(visitor->address) &&
	        !fm_origin_host_known(&snapshot->config, visitor->host)) {
		fm_fail(err, FM_E_INVALID,
		        "\"%.64s\" is not a name of this machine; [server] host_names may list it",
		        visitor->host);
		return FM_PROBLEM_MISDIRECTED;
	}
	ret_pass->origin =
	        fm_origin_of(&snapshot->config, visitor->origin, visitor->host, visitor->fetch_site);
	if (ret_pass->origin == FM_ORIGIN_FOREIGN) {
		fm_fail(err, FM_E_INVALID,
		        "requests from other sites' pages are refused; [server] cors_origins may list them");
		return FM_PROBLEM_FORBIDDEN;
	}
	if (!route || route->role == FM_ROLE_ANYONE)
		return FM_PROBLEM_NONE;
	if (snapshot->keys)
		problem = check_key(gate, snapshot, route, request, visitor, now_s, &key, ret_pass, err);
	return problem ? problem : check_rate(gate, snapshot, key, visitor, now_s, ret_pass, err);
}
