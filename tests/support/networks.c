#include "tests/support/networks.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/banned.h"

static char directory[64];

const char *test_shared_path(const char *name)
{
	static char path[512];
	const char *data = getenv("FM_SHARED_DATA");

	snprintf(path, sizeof(path), "%s/%s", data ? data : "../shared/data", name);
	if (access(path, R_OK) != 0)
		cr_skip_test("%s is not there", path);
	return path;
}

static void each_network(const char *from, bool add)
{
	char *absolute = realpath(from, NULL), path[1024], link[512];
	DIR *dir = absolute ? opendir(absolute) : NULL;

	if (!dir)
		cr_skip_test("%s is not there", from);
	for (struct dirent *entry; (entry = readdir(dir));) {
		const char *dot = strrchr(entry->d_name, '.');
		if (!dot || strcmp(dot, ".onnx") != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", absolute, entry->d_name);
		snprintf(link, sizeof(link), "%s/%s", directory, entry->d_name);
		if (add)
			cr_assert_eq(symlink(path, link), 0);
		else
			unlink(link);
	}
	closedir(dir);
	free(absolute);
}

const char *test_networks_begin(void)
{
	const char *shared = test_shared_path("models");

	snprintf(directory, sizeof(directory), "/tmp/fm-networks-XXXXXX");
	cr_assert_not_null(mkdtemp(directory));
	each_network(shared, true);
	each_network("build/models", true);
	return directory;
}

void test_networks_end(void)
{
	if (!directory[0])
		return;
	each_network(test_shared_path("models"), false);
	each_network("build/models", false);
	rmdir(directory);
	directory[0] = '\0';
}

struct fm_models *test_networks_load(
        const char *detection, const char *landmarks, const char *embedding, enum fm_precision precision)
{
	const struct fm_models_options options = {.models_dir = directory,
	        .manifests_dir = "config/models",
	        .detection = detection,
	        .landmarks = landmarks,
	        .embedding = embedding,
	        .precision = precision};
	struct fm_models *models = NULL;
	struct fm_error err = {0};

	cr_assert_eq(fm_models_load(&options, &models, &err), FM_OK, "%s", err.message);
	return models;
}
