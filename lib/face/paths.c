#include "lib/face/paths.h"

#include "lib/base/cleanup.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/banned.h"

#define TREE_MODELS        "build/models"
#define TREE_MANIFESTS     "config/models"
#define INSTALLED_MODELS   FM_DATADIR "/models"
#define MODELS_ENVIRONMENT "FACEMATCH_MODELS"

static bool is_directory(const char *path)
{
	struct stat info;

	return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static bool holds_manifests(const char *path)
{
	DIR *dir = opendir(path);
	bool found = false;

	if (!dir)
		return false;
	for (struct dirent *entry; !found && (entry = readdir(dir));) {
		size_t length = strlen(entry->d_name);
		found = length > 5 && entry->d_name[0] != '.' &&
		        strcmp(entry->d_name + length - 5, ".conf") == 0;
	}
	closedir(dir);
	return found;
}

static enum fm_status give(const char *models, const char *manifests, char **ret_models_dir,
        char **ret_manifests_dir, struct fm_error *err)
{
	fm_autofree char *models_copy = strdup(models);
	fm_autofree char *manifests_copy = strdup(manifests);

	if (!models_copy || !manifests_copy)
		return fm_fail(err, FM_E_NOMEM, "no memory for the models' directory");
	*ret_models_dir = fm_steal(models_copy);
	*ret_manifests_dir = fm_steal(manifests_copy);
	return FM_OK;
}

enum fm_status fm_models_find(
        const char *given, char **ret_models_dir, char **ret_manifests_dir, struct fm_error *err)
{
	const char *chosen = given;

	if (!chosen) {
		chosen = getenv(MODELS_ENVIRONMENT);
		if (chosen && !chosen[0])
			chosen = NULL;
	}
	if (!chosen && is_directory(TREE_MODELS) && is_directory(TREE_MANIFESTS))
		return give(TREE_MODELS, TREE_MANIFESTS, ret_models_dir, ret_manifests_dir, err);
	if (!chosen)
		chosen = INSTALLED_MODELS;
	if (!is_directory(chosen))
		return fm_fail(err, FM_E_NOT_FOUND,
		        "no models directory %s: fetch the models (`make models`), or name their directory "
		        "with "
		        "--models or " MODELS_ENVIRONMENT,
		        chosen);

	const char *manifests = NULL;
	if (holds_manifests(chosen))
		manifests = chosen;
	else if (holds_manifests(TREE_MANIFESTS))
		manifests = TREE_MANIFESTS;
	else if (holds_manifests(INSTALLED_MODELS))
		manifests = INSTALLED_MODELS;
	else
		return fm_fail(err, FM_E_NOT_FOUND,
		        "no manifests (*.conf) in %s, in " TREE_MANIFESTS " or in " INSTALLED_MODELS, chosen);
	return give(chosen, manifests, ret_models_dir, ret_manifests_dir, err);
}
