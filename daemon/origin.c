#include "daemon/origin.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/banned.h"

#define SEPARATORS ", \t"

/* Whether one of the words of `list` is the text, regardless of case. */
static bool lists(const char *list, const char *text, size_t length)
{
	for (const char *at = list + strspn(list, SEPARATORS); *at; at += strspn(at, SEPARATORS)) {
		size_t word = strcspn(at, SEPARATORS);
		if (word == length && strncasecmp(at, text, length) == 0)
			return true;
		at += word;
	}
	return false;
}

static bool is_address(const char *text)
{
	struct in6_addr address;

	return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

bool fm_origin_host_known(const struct fm_config *config, const char *host)
{
	static const char localhost[] = "localhost";
	char name[256];

	if (!host)
		return true;
	/* "[::1]:8660", "127.0.0.1:8660", "localhost" */
	bool bracket = host[0] == '[';
	size_t length = strcspn(host + bracket, bracket ? "]" : ":");
	if (length >= sizeof(name))
		return false;
	snprintf(name, sizeof(name), "%.*s", (int)length, host + bracket);
	if (is_address(name))
		return true;
	size_t own = sizeof(localhost) - 1;
	if (length >= own && strcasecmp(name + length - own, localhost) == 0 &&
	        (length == own || name[length - own - 1] == '.'))
		return true;
	return lists(config->host_names, name, length);
}

enum fm_origin fm_origin_of(
        const struct fm_config *config, const char *origin, const char *host, const char *fetch_site)
{
	if (origin && lists(config->cors_origins, origin, strlen(origin)))
		return FM_ORIGIN_ALLOWED;
	if (fetch_site && strcmp(fetch_site, "same-origin") != 0 && strcmp(fetch_site, "none") != 0)
		return FM_ORIGIN_FOREIGN;
	/* Browsers send Sec-Fetch-Site over TLS and to localhost alone; Origin they send everywhere. */
	if (origin && !fetch_site) {
		const char *authority = strstr(origin, "://");
		if (!authority || !host || strcasecmp(authority + 3, host) != 0)
			return FM_ORIGIN_FOREIGN;
	}
	return FM_ORIGIN_OWN;
}
