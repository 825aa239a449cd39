/* `model quantize` from file to file: calibration, quantization, tuning, comparison. Threads: one owner. */
#ifndef FM_CLI_QUANTIZE_JOB_H
#define FM_CLI_QUANTIZE_JOB_H

#include "cli/crops.h"
#include "cli/quantize.h"
#include "cli/range_choice.h"
#include "cli/ranges.h"
#include "cli/tune.h"
#include "lib/onnx/quantize.h"

struct fm_quantize_job {
	const char *in, *out;
	const char *calibrate, *models_dir, *manifest; /* calibrate: a directory, or NULL */
	long photos;
	struct fm_size_px size; /* of made-up inputs, where the file leaves it open */
	bool is_static, tunes;  /* they need calibrate */
	struct fm_range_rule rule;
	struct fm_onnx_quantize_options options; /* its ranges and tuned weights are the job's to set */

	/* What fm_quantize_job_run leaves. */
	char *bytes; /* the original */
	size_t length;
	struct fm_crops crops;
	/* Of the crops, what ranges and tuning were found on, and what the networks are compared on. */
	struct fm_crops calibration, compared;
	bool is_held_out; /* the two have no crop in common */
	struct fm_onnx_quantized quantized;
	struct fm_net *net; /* the original in float32 */
	struct fm_fidelity *fidelity,
	        *fidelity_untuned; /* one for each output; untuned: NULL unless it tunes */
	size_t tuned, tune_skipped;
};

void fm_quantize_job_done(struct fm_quantize_job *job);

/* Nothing is written before the result has been loaded and run. Errors say what could not be done. */
enum fm_status fm_quantize_job_run(struct fm_quantize_job *job, struct fm_error *err);

#endif
