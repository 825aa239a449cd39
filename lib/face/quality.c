#include "lib/face/quality.h"

#include "lib/face/input.h"

#include <math.h>

#include "lib/base/banned.h"

/* v at which sharpness is one half. */
#define SHARPNESS_HALF 0.03
/* Variance of second differences that rounding to whole numbers makes: (1 + 4 + 1) / 12. */
#define ROUNDING_NOISE 0.5
/* Nose tip before the plane of eyes and mouth, in distances between the eyes. */
#define NOSE_DEPTH 0.55
/* Share of the box that may lie outside of the photo. */
#define OUTSIDE_MAX 0.1F
#define DEGREES     (180 / 3.14159265358979323846)

struct square {
	int first, end; /* rows and columns alike */
};

static struct square middle_of(const struct fm_image *aligned)
{
	int side = aligned->width_px < aligned->height_px ? aligned->width_px : aligned->height_px;
	int first = side * 3 / 16;

	return (struct square){.first = first, .end = side - first};
}

static int luma_at(const struct fm_image *image, int x, int y)
{
	return fm_input_luma(image->pixels + (size_t)y * image->stride_bytes + (size_t)x * 3);
}

float fm_quality_brightness(const struct fm_image *aligned)
{
	struct square square = middle_of(aligned);
	double sum = 0, count = 0;

	for (int y = square.first; y < square.end; y++) {
		for (int x = square.first; x < square.end; x++, count++)
			sum += luma_at(aligned, x, y);
	}
	return count > 0 ? (float)(sum / count / 255) : 0;
}

static double variance(double sum, double sum_of_squares, double count)
{
	double mean = sum / count;

	return sum_of_squares / count - mean * mean;
}

/* Second differences along one axis of the crop. */
struct differences {
	double sum, squares;
};

static void add_difference(struct differences *differences, int before, int here, int after)
{
	int difference = before + after - 2 * here;

	differences->sum += difference;
	differences->squares += difference * difference;
}

float fm_quality_sharpness(const struct fm_image *aligned)
{
	struct square square = middle_of(aligned);
	struct differences across = {0}, down = {0};
	double sum = 0, squares = 0, count = 0;

	for (int y = square.first + 1; y < square.end - 1; y++) {
		for (int x = square.first + 1; x < square.end - 1; x++, count++) {
			int luma = luma_at(aligned, x, y);
			sum += luma;
			squares += luma * luma;
			add_difference(&across, luma_at(aligned, x - 1, y), luma, luma_at(aligned, x + 1, y));
			add_difference(&down, luma_at(aligned, x, y - 1), luma, luma_at(aligned, x, y + 1));
		}
	}
	if (count < 1)
		return 0;
	double detail =
	        fmin(variance(across.sum, across.squares, count), variance(down.sum, down.squares, count));
	/* + 1: a flat crop has no detail either */
	double v = fmax(0, detail - ROUNDING_NOISE) / (variance(sum, squares, count) + 1);

	return (float)(v / (v + SHARPNESS_HALF));
}

float fm_quality_roll_deg(const float points[FM_POINTS][2])
{
	return (float)(atan2(points[1][1] - points[0][1], points[1][0] - points[0][0]) * DEGREES);
}

float fm_quality_yaw_deg(const float points[FM_POINTS][2])
{
	double eye_x = points[1][0] - points[0][0], eye_y = points[1][1] - points[0][1];
	double eyes = sqrt(eye_x * eye_x + eye_y * eye_y);
	double middle_x = 0, middle_y = 0;

	if (!(eyes > 0))
		return 90;
	for (int i = 0; i < FM_POINTS; i++) {
		middle_x += i == 2 ? 0 : points[i][0] / 4;
		middle_y += i == 2 ? 0 : points[i][1] / 4;
	}
	/* along the line of the eyes; the eyes' distance shrinks with cos(yaw), the nose moves with sin(yaw)
	 */
	double aside = ((points[2][0] - middle_x) * eye_x + (points[2][1] - middle_y) * eye_y) / eyes;

	return (float)(atan(aside / eyes / NOSE_DEPTH) * DEGREES);
}

static float share_outside(const struct fm_box *box, int photo_width_px, int photo_height_px)
{
	struct fm_box photo = {.width_px = (float)photo_width_px, .height_px = (float)photo_height_px};
	float area = fm_box_area(box);

	return area > 0 ? 1 - fm_box_overlap(box, &photo) / area : 1;
}

static float clamp01(float value)
{
	return value < 0 ? 0 : value > 1 ? 1 : value;
}

/* A product: one bad property makes a bad picture. Each factor is 1 from where it no longer matters. */
static float overall(const struct fm_quality *quality, float detector_score)
{
	float size = clamp01(quality->size_px / 112);
	float light = clamp01(4 * quality->brightness) * clamp01(4 * (1 - quality->brightness));
	float pose =
	        clamp01(1.2F - fabsf(quality->yaw_deg) / 75) * clamp01(1.2F - fabsf(quality->roll_deg) / 75);

	return detector_score * sqrtf(size) * sqrtf(clamp01(2 * quality->sharpness)) * light * pose;
}

void fm_quality_measure(const struct fm_image *aligned, const struct fm_face *face, int photo_width_px,
        int photo_height_px, const struct fm_pipeline_options *options, struct fm_quality *ret_quality,
        uint32_t *ret_reasons)
{
	const struct fm_box *box = &face->box;
	struct fm_quality quality = {
	        .size_px = box->width_px < box->height_px ? box->width_px : box->height_px,
	        .sharpness = fm_quality_sharpness(aligned),
	        .brightness = fm_quality_brightness(aligned),
	        .yaw_deg = fm_quality_yaw_deg(face->landmarks),
	        .roll_deg = fm_quality_roll_deg(face->landmarks),
	};
	const struct {
		bool refused;
		uint32_t reason;
	} gates[] = {
	        {quality.size_px < (float)options->min_enroll_px, FM_REASON_SMALL_FACE},
	        {quality.sharpness < options->min_sharpness, FM_REASON_LOW_SHARPNESS},
	        {quality.brightness < options->min_brightness, FM_REASON_LOW_BRIGHTNESS},
	        {quality.brightness > options->max_brightness, FM_REASON_HIGH_BRIGHTNESS},
	        {fabsf(quality.yaw_deg) > options->max_yaw_deg, FM_REASON_EXTREME_POSE},
	        {fabsf(quality.roll_deg) > options->max_roll_deg, FM_REASON_EXTREME_POSE},
	        {face->score < options->min_score, FM_REASON_LOW_CONFIDENCE},
	        {share_outside(box, photo_width_px, photo_height_px) > OUTSIDE_MAX, FM_REASON_CUT_BY_BORDER},
	};
	uint32_t reasons = 0;

	quality.score = overall(&quality, face->score);
	for (size_t i = 0; i < sizeof(gates) / sizeof(gates[0]); i++)
		reasons |= gates[i].refused ? gates[i].reason : 0;
	*ret_quality = quality;
	*ret_reasons = reasons;
}
