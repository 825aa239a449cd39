#include "cli/held_out.h"

#include "cli/calibration.h"
#include "lib/base/mem.h"
#include "lib/face/calibrate.h"
#include "lib/kernels/kernels.h"

#include <math.h>

#include "lib/base/banned.h"

static const double fmrs[FM_HELD_OUT_FMRS] = {1e-2, 1e-3, 1e-4, 1e-5};
static const double fpirs[FM_HELD_OUT_FPIRS] = {1e-1, 1e-2};

static enum fm_status calibrate(const struct fm_album_faces *faces, const unsigned char *part_of,
        size_t threads, struct fm_histogram *histogram, struct fm_calibration *ret_calibration,
        struct fm_error *err)
{
	fm_cleanup(fm_album_faces_done) struct fm_album_faces part = {0};

	enum fm_status status = fm_album_faces_part(faces, part_of, FM_PART_CALIBRATED, &part, err);
	if (!status)
		status = fm_album_compare(&part, threads, histogram, err);
	if (!status)
		status = fm_calibration_fit(histogram, part.people, part.count, ret_calibration, err);
	return status;
}

/* The rate at which a threshold that follows from the calibration is stated. */
static struct fm_held_out_rate state(
        const struct fm_calibration *calibration, double stated, size_t comparisons)
{
	double rate_of_each = fm_calibrate_rate_of_each(stated, comparisons);

	return (struct fm_held_out_rate){
	        .stated = stated,
	        .threshold = fm_calibrate_cosine(calibration, rate_of_each),
	        .extrapolated = rate_of_each < fm_calibrate_measured_fmr(calibration),
	};
}

/* A bin that the threshold cuts counts whole: its width is far below what a calibration resolves. */
static void count_pairs(const struct fm_histogram *histogram, struct fm_held_out_pairs *pairs)
{
	for (size_t bin = 0; bin < FM_HISTOGRAM_BINS; bin++) {
		pairs->impostor_pairs += histogram->impostors[bin];
		pairs->genuine_pairs += histogram->genuine[bin];
		for (size_t i = 0; i < FM_HELD_OUT_FMRS; i++) {
			if (bin >= fm_histogram_bin((float)pairs->rates[i].threshold))
				pairs->rates[i].accepted += histogram->impostors[bin];
			else
				pairs->rates[i].missed += histogram->genuine[bin];
		}
	}
}

enum fm_status fm_held_out_verify(const struct fm_album_faces *faces, const unsigned char *part_of,
        size_t threads, struct fm_held_out_pairs *ret_pairs, struct fm_error *err)
{
	fm_cleanup(fm_album_faces_done) struct fm_album_faces measured = {0};
	fm_autofree struct fm_histogram *histogram = fm_calloc(1, sizeof(*histogram));
	struct fm_held_out_pairs pairs = {0};

	if (!histogram)
		return fm_fail(err, FM_E_NOMEM, "no memory for a histogram");
	enum fm_status status = calibrate(faces, part_of, threads, histogram, &pairs.calibration, err);
	if (!status)
		status = fm_album_faces_part(faces, part_of, FM_PART_MEASURED, &measured, err);
	if (!status)
		status = fm_album_compare(&measured, threads, histogram, err);
	if (status)
		return status;
	pairs.people = measured.people;
	pairs.photos = measured.count;
	for (size_t i = 0; i < FM_HELD_OUT_FMRS; i++)
		pairs.rates[i] = state(&pairs.calibration, fmrs[i], 1);
	count_pairs(histogram, &pairs);
	*ret_pairs = pairs;
	return FM_OK;
}

/* Whether a face of an enrolled person is kept back as a probe: the last of two or more. */
static bool is_mate(const struct fm_album_faces *faces, size_t i)
{
	bool first = i == 0 || faces->person[i - 1] != faces->person[i];
	bool last = i + 1 == faces->count || faces->person[i + 1] != faces->person[i];

	return last && !first;
}

struct nearest {
	double cosine;
	size_t person;
};

static struct nearest search(
        const struct fm_album_faces *faces, const size_t *gallery, size_t count, const float *probe)
{
	const struct fm_kernels *kernels = fm_kernels_best();
	struct nearest nearest = {-INFINITY, 0};

	for (size_t i = 0; i < count; i++) {
		double cosine = (double)kernels->dot_f32(
		        probe, faces->embeddings + gallery[i] * faces->dim, faces->dim);
		if (cosine > nearest.cosine)
			nearest = (struct nearest){cosine, faces->person[gallery[i]]};
	}
	return nearest;
}

/* Searches with every stranger and every mate, and judges at each rate. */
static void search_all(const struct fm_album_faces *faces, const unsigned char *part_of,
        const size_t *gallery, struct fm_held_out_search *result)
{
	for (size_t i = 0; i < faces->count; i++) {
		bool stranger = part_of[faces->person[i]] == FM_PART_MEASURED;
		bool mate = part_of[faces->person[i]] == FM_PART_ENROLLED && is_mate(faces, i);
		if (!stranger && !mate)
			continue;
		struct nearest nearest =
		        search(faces, gallery, result->enrolled_faces, faces->embeddings + i * faces->dim);
		result->strangers += stranger;
		result->mates += mate;
		for (size_t j = 0; j < FM_HELD_OUT_FPIRS; j++) {
			bool named = nearest.cosine >= result->rates[j].threshold;
			result->rates[j].accepted += stranger && named;
			result->rates[j].missed += mate && !(named && nearest.person == faces->person[i]);
		}
	}
}

enum fm_status fm_held_out_identify(const struct fm_album_faces *faces, const unsigned char *part_of,
        size_t threads, struct fm_held_out_search *ret_search, struct fm_error *err)
{
	fm_autofree struct fm_histogram *histogram = fm_calloc(1, sizeof(*histogram));
	fm_autofree size_t *gallery = fm_calloc(faces->count ? faces->count : 1, sizeof(*gallery));
	struct fm_held_out_search result = {0};

	if (!histogram || !gallery)
		return fm_fail(err, FM_E_NOMEM, "no memory for a gallery of %zu faces", faces->count);
	enum fm_status status = calibrate(faces, part_of, threads, histogram, &result.calibration, err);
	if (status)
		return status;
	for (size_t i = 0; i < faces->count; i++) {
		if (part_of[faces->person[i]] != FM_PART_ENROLLED)
			continue;
		result.enrolled_people += i == 0 || faces->person[i] != faces->person[i - 1];
		if (!is_mate(faces, i))
			gallery[result.enrolled_faces++] = i;
	}
	for (size_t i = 0; i < FM_HELD_OUT_FPIRS; i++)
		result.rates[i] = state(&result.calibration, fpirs[i], result.enrolled_faces);
	search_all(faces, part_of, gallery, &result);
	*ret_search = result;
	return FM_OK;
}

/* SplitMix64 (Steele et al. 2014). */
static uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* Walks the people once, each part being drawn in proportion to what it still wants: selection sampling. */
void fm_held_out_part(size_t people, size_t enrolled, uint64_t seed, unsigned char *ret_part_of)
{
	size_t wanted[] = {[FM_PART_NONE] = 0,
	        [FM_PART_CALIBRATED] = (people - enrolled) / 2,
	        [FM_PART_MEASURED] = people - enrolled - (people - enrolled) / 2,
	        [FM_PART_ENROLLED] = enrolled};

	for (size_t i = 0; i < people; i++) {
		size_t draw = (size_t)(random_next(&seed) % (people - i));
		unsigned char part = FM_PART_CALIBRATED;
		while (draw >= wanted[part])
			draw -= wanted[part++];
		wanted[part]--;
		ret_part_of[i] = part;
	}
}

void fm_held_out_interval(double k, double n, double *ret_low, double *ret_high)
{
	const double z = 1.959963985, p = k / n;
	double centre = (p + z * z / (2 * n)) / (1 + z * z / n);
	double half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n));

	*ret_low = fmax(0, centre - half);
	*ret_high = fmin(1, centre + half);
}
