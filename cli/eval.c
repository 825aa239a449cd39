#include "cli/eval.h"

#include "cli/cli.h"
#include "cli/photo.h"
#include "cli/progress.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <string.h>

#include "lib/base/banned.h"

void fm_eval_done(struct fm_eval *eval)
{
	for (size_t i = 0; i < eval->run_count; i++) {
		fm_embedded_free(eval->runs[i].embedded, eval->photo_count);
		json_decref(eval->runs[i].report);
		fm_stats_free(eval->runs[i].stats);
	}
	for (size_t i = 0; i < eval->photo_count; i++) {
		free(eval->photos[i].name);
		free(eval->photos[i].path);
	}
	free(eval->photos);
	json_decref(eval->comparison);
}

enum fm_status fm_eval_add_photo(
        struct fm_eval *eval, const char *name, const char *list, size_t line, struct fm_error *err)
{
	/* Room doubles at each power of two. */
	if ((eval->photo_count & (eval->photo_count - 1)) == 0) {
		size_t room = eval->photo_count ? eval->photo_count * 2 : 1;
		struct fm_eval_photo *grown = reallocarray(eval->photos, room, sizeof(*grown));
		if (!grown)
			return fm_fail(err, FM_E_NOMEM, "no memory for %zu photos", room);
		eval->photos = grown;
	}
	struct fm_eval_photo *photo = &eval->photos[eval->photo_count];
	*photo = (struct fm_eval_photo){.name = strdup(name)};
	if (asprintf(&photo->path, "%s/%s", eval->images_dir, name) < 0)
		photo->path = NULL;
	eval->photo_count++; /* from here on fm_eval_done() frees it */
	if (!photo->name || !photo->path)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu photos", eval->photo_count);
	if (access(photo->path, R_OK) == 0)
		return FM_OK;
	if (!list)
		return fm_fail_errno(err, errno, "cannot read %s", photo->path);
	return fm_fail_errno(
	        err, errno, "%s: line %zu: cannot read %s (is --images right?)", list, line, photo->path);
}

static void complain_of_misses(const struct fm_eval *eval, const struct fm_eval_run *run)
{
	for (size_t i = 0; i < eval->photo_count; i++) {
		const struct fm_embedded *embedded = &run->embedded[i];
		if (embedded->state == FM_EMBEDDED_UNREADABLE)
			fm_complain(
			        "a miss: %s", embedded->message ? embedded->message : eval->photos[i].path);
		else if (embedded->state == FM_EMBEDDED_NO_FACE)
			fm_complain("a miss: %s: no face found", eval->photos[i].path);
	}
}

static enum fm_status embed(
        const struct fm_eval *eval, char *const *paths, struct fm_eval_run *run, struct fm_error *err)
{
	fm_cleanup(fm_models_freep) struct fm_models *models = NULL;

	enum fm_status status = fm_photo_models_load(&eval->networks, run->precision, &models, err);
	if (status)
		return status;
	run->dim = models->embedding->dim;
	run->calibration = models->embedding->calibration;
	run->calibration.description = NULL;
	memcpy(run->fingerprint, models->embedding->fingerprint, sizeof(run->fingerprint));
	double start_s = fm_clock_s();
	status = fm_embedder_run(models, paths, eval->photo_count, eval->threads, &run->embedded, err);
	run->seconds = fm_clock_s() - start_s;
	return status;
}

enum fm_status fm_eval_embed(struct fm_eval *eval, struct fm_error *err)
{
	fm_autofree char **paths = fm_calloc(eval->photo_count, sizeof(*paths));

	if (!paths)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu photos", eval->photo_count);
	for (size_t i = 0; i < eval->photo_count; i++)
		paths[i] = eval->photos[i].path;
	if (eval->threads > eval->photo_count)
		eval->threads = eval->photo_count;
	for (int precision = FM_FLOAT32; precision <= FM_INT8; precision++) {
		if (!(eval->precisions & 1u << precision))
			continue;
		struct fm_eval_run *run = &eval->runs[eval->run_count++];
		*run = (struct fm_eval_run){.precision = (enum fm_precision)precision};
		enum fm_status status = embed(eval, paths, run, err);
		if (status)
			return status;
	}
	/* Faces are found by the same networks in every run: what one misses the others miss. */
	complain_of_misses(eval, &eval->runs[0]);
	return FM_OK;
}

const float *fm_eval_embedding(const struct fm_eval_run *run, size_t photo)
{
	return run->embedded[photo].embedding;
}
