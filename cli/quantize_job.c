#include "cli/quantize_job.h"

#include "cli/output.h"
#include "cli/tensors.h"
#include "lib/base/file.h"

#include <sys/stat.h>

#include "lib/base/banned.h"

#define PARSED_BYTES_MAX ((size_t)2 << 30)

void fm_quantize_job_done(struct fm_quantize_job *job)
{
	free(job->bytes);
	fm_crops_done(&job->crops);
	fm_onnx_quantized_done(&job->quantized);
	fm_net_free(job->net);
	free(job->fidelity);
	free(job->fidelity_untuned);
}

static bool is_same_file(const char *a, const char *b)
{
	struct stat first, second;

	return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
	       first.st_ino == second.st_ino;
}

/*
 * Where something is learned from the crops, the last quarter is kept for the comparison: photos come by
 * person, so that these are other people, but for one. Too few to divide serve for both.
 */
static void divide(struct fm_quantize_job *job)
{
	const size_t held = job->is_static || job->tunes ? job->crops.count / 4 : 0;

	job->calibration = job->compared = job->crops;
	job->is_held_out = held > 0;
	if (!held)
		return;
	job->calibration.count -= held;
	job->compared.count = held;
	job->compared.inputs += job->calibration.count * job->crops.elements;
}

static enum fm_status compare(struct fm_quantize_job *job, const struct fm_onnx_quantized *quantized,
        struct fm_fidelity **ret_fidelity, struct fm_error *err)
{
	fm_net_free(job->net);
	job->net = NULL;
	return fm_fidelity_measure(job->bytes, job->length, quantized->bytes, quantized->length,
	        job->calibrate ? &job->compared : NULL, job->size, &job->net, ret_fidelity, err);
}

/* Ranges and tuned weights have the names of the first result, which lives until they are done. */
static enum fm_status learn(
        struct fm_quantize_job *job, struct fm_ranges *ranges, struct fm_tuning *tuning, struct fm_error *err)
{
	struct fm_onnx_quantize_options options = job->options;
	fm_cleanup(fm_onnx_quantized_done) struct fm_onnx_quantized untuned = {0};
	enum fm_status status = FM_OK;

	if (job->is_static)
		status = fm_ranges_measure(
		        job->bytes, job->length, &job->quantized, &job->calibration, &job->rule, ranges, err);
	options.ranges = ranges->ranges;
	options.range_count = ranges->count;
	if (status || !job->tunes)
		return status;
	if ((status = fm_onnx_quantize(job->bytes, job->length, &options, PARSED_BYTES_MAX, &untuned, err)) ||
	        (status = compare(job, &untuned, &job->fidelity_untuned, err)) ||
	        (status = fm_tune(
	                 job->bytes, job->length, &options, &job->quantized, &job->calibration, tuning, err)))
		return status;
	job->tuned = tuning->count;
	job->tune_skipped = tuning->skipped;
	return FM_OK;
}

static enum fm_status quantize_again(struct fm_quantize_job *job, struct fm_error *err)
{
	fm_cleanup(fm_ranges_done) struct fm_ranges ranges = {0};
	fm_cleanup(fm_tuning_done) struct fm_tuning tuning = {0};
	struct fm_onnx_quantize_options options = job->options;
	struct fm_onnx_quantized quantized;
	enum fm_status status = learn(job, &ranges, &tuning, err);

	if (status)
		return status;
	options.ranges = ranges.ranges;
	options.range_count = ranges.count;
	options.tuned = tuning.weights;
	options.tuned_count = tuning.count;
	status = fm_onnx_quantize(job->bytes, job->length, &options, PARSED_BYTES_MAX, &quantized, err);
	if (status)
		return status;
	fm_onnx_quantized_done(&job->quantized);
	job->quantized = quantized;
	return FM_OK;
}

enum fm_status fm_quantize_job_run(struct fm_quantize_job *job, struct fm_error *err)
{
	if (is_same_file(job->in, job->out))
		return fm_fail(err, FM_E_INVALID, "%s and %s are the same file: the original would be lost",
		        job->in, job->out);
	enum fm_status status = fm_file_read(job->in, FM_ONNX_FILE_BYTES_MAX, &job->bytes, &job->length, err);
	if (status)
		return status;
	if (job->calibrate)
		status = fm_crops_load(job->calibrate, (size_t)job->photos, job->models_dir, job->manifest,
		        job->bytes, job->length, &job->crops, err);
	divide(job);
	if (!status)
		status = fm_onnx_quantize(
		        job->bytes, job->length, &job->options, PARSED_BYTES_MAX, &job->quantized, err);
	if (!status && (job->is_static || job->tunes))
		status = quantize_again(job, err);
	if (!status)
		status = compare(job, &job->quantized, &job->fidelity, err);
	if (status)
		return fm_fail_prefix(err, status, "cannot quantize %s", job->in);
	return fm_output_write(job->out, job->quantized.bytes, job->quantized.length, err);
}
