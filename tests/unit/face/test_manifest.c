/* The text of manifests: what is read, and that every mistake is named with its line or key. */
#include "lib/face/manifest.h"

#include "lib/base/mem.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define SHA  "87aacdfe57510db2af90c0251df680e8eec88f122ee94712121d09bcaaaf3581"
#define HEAD "[model]\nname = some_net-2\n"
#define REST                                                                                                 \
	"file = net.onnx\nsha256 = " SHA "\nlicense = MIT\nsource = here\n"                                  \
	"[input]\nwidth_px = 112\nheight_px = 112\ncolor = bgr\nmean = 127\nscale = 0.5\n"
#define EMBEDDING HEAD "role = embedding\n" REST "[embedding]\ntemplate = arcface112\ndim = 512\n"
#define DETECTION HEAD "role = detection\n" REST "[detection]\ndecoder = ultraface\n"

static enum fm_status parse(const char *text, struct fm_model **ret_model, struct fm_error *err)
{
	struct fm_model *model = fm_calloc(1, sizeof(*model));
	enum fm_status status = fm_manifest_parse(text, model, err);

	if (status != FM_OK || !ret_model) {
		fm_model_free(model);
		return status;
	}
	*ret_model = model;
	return FM_OK;
}

Test(manifest, reads_every_key)
{
	struct fm_error err = {0};
	struct fm_model *model = NULL;
	const char *text = HEAD "role = embedding ; a comment\n# another\n" REST
	                        "[embedding]\ntemplate = arcface112\ndim = 512\n"
	                        "[calibration]\npoints = -0.1:1, 0.25:1e-2,\n  0.5:1e-4\n"
	                        "tail_scale = 0.05\ntail_shape = -0.1\ndescription = on nobody\n"
	                        "people = 12\nphotos = 34\nimpostor_pairs = 12345\n";

	cr_assert_eq(parse(text, &model, &err), FM_OK, "%s", err.message);
	cr_expect_str_eq(model->name, "some_net-2");
	cr_expect_str_eq(model->file, "net.onnx");
	cr_expect_str_eq(model->sha256, SHA);
	cr_expect_str_eq(model->license, "MIT");
	cr_expect_str_eq(model->source, "here");
	cr_expect_eq(model->role, FM_ROLE_EMBEDDING);
	cr_expect_eq(model->width_px, 112);
	cr_expect_eq(model->height_px, 112);
	cr_expect_eq(model->color, FM_COLOR_BGR);
	cr_expect_eq(model->mean[2], 127.0F);
	cr_expect_eq(model->scale[0], 0.5F);
	cr_expect_eq(model->dim, 512);
	cr_assert_eq(model->calibration.count, 3);
	cr_expect_eq(model->calibration.points[0].cosine, -0.1);
	cr_expect_eq(model->calibration.points[2].cosine, 0.5);
	cr_expect_eq(model->calibration.points[2].false_match_rate, 1e-4);
	cr_expect_str_eq(model->calibration.description, "on nobody");
	cr_expect_eq(model->calibration.tail_scale, 0.05);
	cr_expect_eq(model->calibration.tail_shape, -0.1);
	cr_expect_eq(model->calibration.people, 12);
	cr_expect_eq(model->calibration.photos, 34);
	cr_expect_eq(model->calibration.impostor_pairs, 12345);
	fm_model_free(model);
}

Test(manifest, channels_may_differ_and_detection_has_defaults)
{
	struct fm_error err = {0};
	struct fm_model *model = NULL;
	const char *text = HEAD "role = detection\nfile = a.onnx\nsha256 = " SHA "\nlicense = x\nsource = y\n"
	                        "[input]\nwidth_px = 320\nheight_px = 240\ncolor = rgb\nmean = 104, 117,123\n"
	                        "scale = 1\n[detection]\ndecoder = ultraface\niou_max = 0.3\n";

	cr_assert_eq(parse(text, &model, &err), FM_OK, "%s", err.message);
	cr_expect_eq(model->mean[0], 104.0F);
	cr_expect_eq(model->mean[1], 117.0F);
	cr_expect_eq(model->mean[2], 123.0F);
	cr_expect_eq(model->iou_max, 0.3F);
	cr_expect_eq(model->score_min, 0.65F);
	cr_expect_gt(model->confirmed_min, model->score_min);
	fm_model_free(model);
}

static const struct {
	const char *text, *says;
} mistakes[] = {
        {EMBEDDING "dimension = 3\n", "line 17: unknown key \"dimension\" in [embedding]"},
        {EMBEDDING "[embeding]\n", NULL}, /* an empty section says nothing and harms nothing */
        {EMBEDDING "[embeding]\ndim = 3\n", "line 18: unknown key \"dim\" in [embeding]"},
        {EMBEDDING "dim = 128\n", "line 17: \"dim\" of [embedding] is given twice"},
        {EMBEDDING "nonsense\n", "line 17"},
        {EMBEDDING "[detection]\nscore_min = 0.5\n", "[detection] score_min is not for role embedding"},
        {HEAD "role = embedding\n" REST "[embedding]\ndim = 512\n", "[embedding] template is missing"},
        {HEAD REST "[embedding]\ntemplate = arcface112\ndim = 512\n", "[model] role is missing"},
        {HEAD "role = detector\n" REST, "line 3: [model] role = detector: a role is"},
        {"[model]\nname = a/b\n", "line 2: [model] name = a/b: a name is"},
        {"[model]\nfile = ../a.onnx\n", "line 2: [model] file = ../a.onnx: a file is a plain name"},
        {"[model]\nsha256 = 12\n", "line 2: [model] sha256 = 12: a sha256 is 64"},
        {"[input]\nwidth_px = 0\n", "not a whole number in range"},
        {"[input]\nwidth_px = 11.5\n", "not a whole number in range"},
        {"[input]\nwidth_px = 99999\n", "not a whole number in range"},
        {"[input]\ncolor = cmyk\n", "a color is rgb, bgr or gray"},
        {"[input]\nmean = 1, 2\n", "one number or three"},
        {"[input]\nmean = 1, 2, 3, 4\n", "one number or three"},
        {"[input]\nscale = nan\n", "one number or three"},
        {"[detection]\ndecoder = yolo\n", "the decoders known are ultraface and yunet"},
        {"[detection]\nscore_min = 1.5\n", "a number between 0 and 1"},
        {"[calibration]\npoints = 0.1 1e-3\n", "points are COSINE:RATE"},
        {"[calibration]\npoints = 2:1e-3\n", "a cosine is -1 to 1"},
        {"[calibration]\npoints = 0.1:0\n", "a rate above 0"},
        {"[calibration]\npoints = 0.1:1e-3, 0.1:1e-4\n", "cosines must rise"},
        {"[calibration]\npoints = 0.1:1e-3, 0.2:1e-3\n", "cosines must rise and rates fall"},
        {EMBEDDING "[calibration]\npoints = 0.1:1e-3\n", "at least two are needed"},
        {"[calibration]\ntail_scale = 0\n", "a tail's scale is"},
        {"[calibration]\ntail_shape = 0.6\n", "a tail's shape is"},
        {"[calibration]\ntail_shape = nan\n", "a tail's shape is"},
        {EMBEDDING "[calibration]\npoints = 0.1:1e-1, 0.2:1e-2\ntail_scale = 0.1\n", "go together"},
        {EMBEDDING "[calibration]\ntail_shape = 0\ntail_scale = 0.1\nimpostor_pairs = 9\n",
                "a tail needs points"},
        {EMBEDDING "[calibration]\npoints = 0.1:1e-1, 0.2:1e-2\ntail_shape = 0\ntail_scale = 0.1\n",
                "a tail needs points, where it begins, and impostor_pairs"},
        {DETECTION "raw_scores = 461\n", "raw_scores and raw_boxes go together"},
        {HEAD "role = detection\n" REST "[detection]\ndecoder = yunet\nraw_scores = 1\nraw_boxes = 2\n",
                "raw_scores and raw_boxes are for decoder ultraface"},
        {DETECTION "[calibration]\npoints = 0.1:1e-3, 0.2:1e-4\n", "is not for role detection"},
};

Test(manifest, names_every_mistake)
{
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		struct fm_error err = {0};
		enum fm_status status = parse(mistakes[i].text, NULL, &err);
		if (!mistakes[i].says) {
			cr_expect_eq(status, FM_OK, "%s", err.message);
			continue;
		}
		cr_expect_eq(status, FM_E_INVALID, "accepted: %s", mistakes[i].text);
		cr_expect_not_null(strstr(err.message, mistakes[i].says), "\"%s\" is not in \"%s\"",
		        mistakes[i].says, err.message);
	}
}

Test(manifest, bounds_points_and_lines)
{
	struct fm_error err = {0};
	char text[4096], line[256];
	size_t used = (size_t)snprintf(text, sizeof(text), EMBEDDING "[calibration]\npoints =\n");

	for (int i = 0; i <= FM_CALIBRATION_POINTS_MAX; i++)
		used += (size_t)snprintf(
		        text + used, sizeof(text) - used, "  %g:%g,\n", i / 100.0, 1.0 / (i + 1));
	cr_expect_eq(parse(text, NULL, &err), FM_E_INVALID);
	cr_expect_not_null(strstr(err.message, "more than 32 points"), "%s", err.message);

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	snprintf(text, sizeof(text), "[model]\nsource = %s\n", line);
	cr_expect_eq(parse(text, NULL, &err), FM_E_INVALID);
	cr_expect_not_null(strstr(err.message, "line 2: longer than"), "%s", err.message);
}
