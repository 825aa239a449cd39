#include "lib/face/paths.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/facematchd-paths-XXXXXX";
static char *models, *manifests;
static struct fm_error err;

/* An empty current directory, without the variable. */
static void begin(void)
{
	cr_assert_not_null(mkdtemp(root));
	cr_assert_eq(chdir(root), 0);
	unsetenv("FACEMATCH_MODELS");
}

static void end(void)
{
	char command[128];

	free(models);
	free(manifests);
	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	cr_expect_eq(system(command), 0);
}

TestSuite(paths, .init = begin, .fini = end);

static void touch(const char *path)
{
	FILE *file = fopen(path, "we");

	cr_assert_not_null(file);
	fclose(file);
}

static void source_tree(void)
{
	cr_assert_eq(mkdir("build", 0700) | mkdir("build/models", 0700), 0);
	cr_assert_eq(mkdir("config", 0700) | mkdir("config/models", 0700), 0);
	touch("config/models/a.conf");
}

static void expect(const char *given, const char *wanted_models, const char *wanted_manifests)
{
	free(models);
	free(manifests);
	models = manifests = NULL;
	cr_assert_eq(fm_models_find(given, &models, &manifests, &err), FM_OK, "%s", err.message);
	cr_expect_str_eq(models, wanted_models);
	cr_expect_str_eq(manifests, wanted_manifests);
}

Test(paths, a_source_tree)
{
	source_tree();
	expect(NULL, "build/models", "config/models");
}

Test(paths, given_wins_over_the_variable_and_the_tree)
{
	source_tree();
	cr_assert_eq(mkdir("a", 0700) | mkdir("b", 0700), 0);
	setenv("FACEMATCH_MODELS", "b", 1);
	expect("a", "a", "config/models");
	expect(NULL, "b", "config/models");
	setenv("FACEMATCH_MODELS", "", 1);
	expect(NULL, "build/models", "config/models");
}

Test(paths, manifests_beside_the_networks_win)
{
	source_tree();
	cr_assert_eq(mkdir("a", 0700), 0);
	touch("a/.conf");
	touch("a/x.config");
	expect("a", "a", "config/models");
	touch("a/x.conf");
	expect("a", "a", "a");
}

Test(paths, what_is_missing_is_named)
{
	cr_expect_eq(fm_models_find("nowhere", &models, &manifests, &err), FM_E_NOT_FOUND);
	cr_expect(strstr(err.message, "nowhere"), "%s", err.message);
	cr_expect_null(models);
	cr_expect_null(manifests);
	if (access(FM_DATADIR "/models", F_OK) == 0)
		cr_skip_test("facematchd is installed here");
	cr_expect_eq(fm_models_find(NULL, &models, &manifests, &err), FM_E_NOT_FOUND);
	cr_expect(strstr(err.message, FM_DATADIR "/models"), "%s", err.message);
	cr_assert_eq(mkdir("a", 0700), 0);
	cr_expect_eq(fm_models_find("a", &models, &manifests, &err), FM_E_NOT_FOUND, "no manifests anywhere");
}
