/* Calibrations on some people, measured on others. */
#include "cli/held_out.h"
#include "lib/base/mem.h"
#include "lib/face/calibrate.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

#define PEOPLE 400
#define PHOTOS 2
#define DIM    32

/* A stream of numbers in -1..1. */
static float noise(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return (float)(int32_t)*state / 2147483648.0F;
}

/* People at random places of a sphere, their photos near by: cosines as different people's are. */
static struct fm_album_faces make_faces(void)
{
	struct fm_album_faces faces = {.count = PEOPLE * PHOTOS, .dim = DIM, .people = PEOPLE};
	uint32_t state = 7;

	faces.embeddings = fm_aligned_alloc(faces.count * DIM * sizeof(float));
	faces.person = fm_calloc(faces.count, sizeof(*faces.person));
	cr_assert(faces.embeddings && faces.person);
	for (size_t person = 0; person < PEOPLE; person++) {
		float place[DIM];
		for (size_t d = 0; d < DIM; d++)
			place[d] = noise(&state) + noise(&state) + noise(&state);
		for (size_t photo = 0; photo < PHOTOS; photo++) {
			float *embedding = faces.embeddings + (person * PHOTOS + photo) * DIM, norm = 0;
			for (size_t d = 0; d < DIM; d++) {
				embedding[d] = place[d] + 0.2F * noise(&state);
				norm += embedding[d] * embedding[d];
			}
			for (size_t d = 0; d < DIM; d++)
				embedding[d] /= sqrtf(norm);
			faces.person[person * PHOTOS + photo] = person;
		}
	}
	return faces;
}

Test(held_out, parts_are_disjoint_of_the_size_asked_for_and_the_same_again)
{
	unsigned char part_of[PEOPLE], again[PEOPLE], other[PEOPLE];
	size_t count[4] = {0};

	fm_held_out_part(PEOPLE, 101, 3, part_of);
	fm_held_out_part(PEOPLE, 101, 3, again);
	fm_held_out_part(PEOPLE, 101, 4, other);
	for (size_t i = 0; i < PEOPLE; i++)
		count[part_of[i]]++;
	cr_expect_eq(count[FM_PART_NONE], 0);
	cr_expect_eq(count[FM_PART_CALIBRATED], 149);
	cr_expect_eq(count[FM_PART_MEASURED], 150);
	cr_expect_eq(count[FM_PART_ENROLLED], 101);
	cr_expect_eq(memcmp(part_of, again, PEOPLE), 0);
	cr_expect_neq(memcmp(part_of, other, PEOPLE), 0);
}

Test(held_out, a_calibration_keeps_its_word_on_others)
{
	struct fm_album_faces faces = make_faces();
	unsigned char part_of[PEOPLE];
	struct fm_held_out_pairs pairs, threaded;
	struct fm_error err;

	fm_held_out_part(PEOPLE, 0, 1, part_of);
	cr_assert_eq(fm_held_out_verify(&faces, part_of, 1, &pairs, &err), FM_OK, "%s", err.message);
	cr_assert_eq(fm_held_out_verify(&faces, part_of, 3, &threaded, &err), FM_OK, "%s", err.message);
	cr_expect_eq(memcmp(&pairs.rates, &threaded.rates, sizeof(pairs.rates)), 0);
	cr_expect_eq(pairs.people, PEOPLE / 2);
	cr_expect_eq(pairs.photos, PEOPLE / 2 * PHOTOS);
	cr_expect_eq(pairs.genuine_pairs, PEOPLE / 2);
	cr_expect_eq(pairs.impostor_pairs, (PEOPLE / 2) * (PEOPLE / 2 - 1) / 2 * PHOTOS * PHOTOS);
	for (size_t i = 0; i < 3; i++) {
		double measured = (double)pairs.rates[i].accepted / (double)pairs.impostor_pairs;
		cr_expect(measured < pairs.rates[i].stated * 3 && measured > pairs.rates[i].stated / 3,
		        "%g for %g", measured, pairs.rates[i].stated);
	}
	cr_expect_not(pairs.rates[0].extrapolated);
	cr_expect(pairs.rates[3].extrapolated, "80,000 pairs do not measure 1e-5");
	cr_expect_eq(pairs.rates[0].missed, 0, "these photos of a person are very near");
	fm_album_faces_done(&faces);
}

Test(held_out, a_search_keeps_its_word_and_grows_stricter)
{
	struct fm_album_faces faces = make_faces();
	unsigned char part_of[PEOPLE];
	double threshold = -1;

	for (size_t enrolled = 50; enrolled <= 150; enrolled += 100) {
		struct fm_held_out_search search;
		fm_held_out_part(PEOPLE, enrolled, 1, part_of);
		cr_assert_eq(fm_held_out_identify(&faces, part_of, 2, &search, NULL), FM_OK);
		cr_expect_eq(search.enrolled_people, enrolled);
		cr_expect_eq(search.enrolled_faces, enrolled, "one of two is kept back as a probe");
		cr_expect_eq(search.mates, enrolled);
		cr_expect_eq(search.strangers, (PEOPLE - enrolled + 1) / 2 * PHOTOS);
		double measured = (double)search.rates[0].accepted / (double)search.strangers;
		cr_expect(measured > 0.1 / 3 && measured < 0.1 * 3, "%g", measured);
		cr_expect_lt(search.rates[1].accepted, search.rates[0].accepted);
		cr_expect_eq(search.rates[0].missed, 0);
		cr_expect_gt(search.rates[0].threshold, threshold);
		cr_expect_gt(search.rates[1].threshold, search.rates[0].threshold);
		threshold = search.rates[0].threshold;
	}
	fm_album_faces_done(&faces);
}

Test(held_out, interval_of_a_rate)
{
	double low, high;

	/* Wilson's, as tabulated: none of 10, 5 of 10. */
	fm_held_out_interval(0, 10, &low, &high);
	cr_expect_float_eq(low, 0, 1e-9);
	cr_expect_float_eq(high, 0.2775, 1e-4);
	fm_held_out_interval(5, 10, &low, &high);
	cr_expect_float_eq(low, 0.2366, 1e-4);
	cr_expect_float_eq(high, 0.7634, 1e-4);
}
