#include "daemon/origin.h"

#include <criterion/criterion.h>
#include <stddef.h>

#include "lib/base/banned.h"

static struct fm_config config = {.host_names = (char *)"door.example, Gate.local",
        .cors_origins = (char *)"https://app.example http://b:1"};

Test(origin, hosts)
{
	static const struct {
		const char *host;
		bool known;
	} cases[] = {
	        {NULL, true},
	        {"localhost", true},
	        {"LOCALHOST:8660", true},
	        {"face.localhost:1", true},
	        {"127.0.0.1:8660", true},
	        {"192.168.1.7", true},
	        {"[::1]:8660", true},
	        {"[fe80::1]", true},
	        {"door.example:8660", true},
	        {"gate.local", true},
	        {"evil.example", false},
	        {"evil.door.example", false},
	        {"notlocalhost", false},
	        {"localhost.evil.example", false},
	        {"127.0.0.1.evil.example", false},
	        {"door", false},
	        {"", false},
	        {"[", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_eq(fm_origin_host_known(&config, cases[i].host), cases[i].known, "%s",
		        cases[i].host ? cases[i].host : "none");
}

Test(origin, pages)
{
	static const struct {
		const char *origin, *host, *site;
		enum fm_origin expected;
	} cases[] = {
	        {NULL, "localhost:1", NULL, FM_ORIGIN_OWN},
	        {NULL, "localhost:1", "same-origin", FM_ORIGIN_OWN},
	        {NULL, "localhost:1", "none", FM_ORIGIN_OWN},
	        {NULL, "localhost:1", "cross-site", FM_ORIGIN_FOREIGN},
	        {NULL, "localhost:1", "same-site", FM_ORIGIN_FOREIGN},
	        {"http://localhost:1", "localhost:1", NULL, FM_ORIGIN_OWN},
	        {"http://localhost:1", "localhost:1", "same-origin", FM_ORIGIN_OWN},
	        {"http://localhost:2", "localhost:1", NULL, FM_ORIGIN_FOREIGN},
	        {"http://evil.example", "localhost:1", NULL, FM_ORIGIN_FOREIGN},
	        {"http://evil.example", NULL, NULL, FM_ORIGIN_FOREIGN},
	        {"null", "localhost:1", NULL, FM_ORIGIN_FOREIGN},
	        {"https://app.example", "localhost:1", "cross-site", FM_ORIGIN_ALLOWED},
	        {"http://b:1", "localhost:1", NULL, FM_ORIGIN_ALLOWED},
	        {"http://app.example", "localhost:1", NULL, FM_ORIGIN_FOREIGN},
	        {"https://app.example.evil", "localhost:1", "cross-site", FM_ORIGIN_FOREIGN},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_eq(fm_origin_of(&config, cases[i].origin, cases[i].host, cases[i].site),
		        cases[i].expected, "%zu", i);
}
