#include "lib/face/manifest.h"

#include "lib/face/decoder.h"

#include <ctype.h>
#include <ini.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

/* inih splits longer lines silently (its buffer is 200 bytes). */
#define LINE_MAX_BYTES 190
#define NAME_MAX_BYTES 64
#define SIDE_MAX_PX    4096
#define DIM_MAX        4096

struct parser {
	struct fm_model *model;
	struct fm_error *err;
	uint64_t seen; /* bit i: keys[i] was given */
	enum fm_status status;
};

/* A key's reader: checks `value` and stores it at `field`. Returns false with the reason in *ret_reason. */
typedef bool (*reader_fn)(const char *value, void *field, struct fm_model *model, const char **ret_reason);

static bool read_text(const char *value, void *field, struct fm_model *model, const char **ret_reason)
{
	char **text = field;

	(void)model;
	*text = strdup(value);
	*ret_reason = "no memory";
	return *text != NULL;
}

static bool read_name(const char *value, void *field, struct fm_model *model, const char **ret_reason)
{
	size_t length = strlen(value);

	for (size_t i = 0; i < length; i++) {
		if (!isalnum((unsigned char)value[i]) && value[i] != '-' && value[i] != '_')
			length = 0;
	}
	if (length < 1 || length > NAME_MAX_BYTES) {
		*ret_reason = "a name is 1 to 64 letters, digits, - and _";
		return false;
	}
	return read_text(value, field, model, ret_reason);
}

static bool read_file(const char *value, void *field, struct fm_model *model, const char **ret_reason)
{
	if (value[0] == '\0' || value[0] == '.' || strchr(value, '/')) {
		*ret_reason = "a file is a plain name in the models directory";
		return false;
	}
	return read_text(value, field, model, ret_reason);
}

static bool read_sha256(const char *value, void *field, struct fm_model *model, const char **ret_reason)
{
	char *digest = field;

	(void)model;
	*ret_reason = "a sha256 is 64 hexadecimal digits";
	if (strlen(value) != FM_SHA256_HEX - 1)
		return false;
	for (size_t i = 0; i < FM_SHA256_HEX - 1; i++) {
		if (!isxdigit((unsigned char)value[i]))
			return false;
		digest[i] = (char)tolower((unsigned char)value[i]);
	}
	digest[FM_SHA256_HEX - 1] = '\0';
	return true;
}

static bool read_role(const char *value, void *field, struct fm_model *model, const char **ret_reason)
{
	(void)model;
	for (int role = FM_ROLE_DETECTION; role <= FM_ROLE_EMBEDDING; role++) {
		if (strcmp(value, fm_model_role_name((enum fm_model_role)role)) == 0) {
			*(enum fm_model_role *)field = (enum fm_model_role)role;
			return true;
		}
	}
	*ret_reason = "a role is detection, landmarks or embedding";
	return false;
}

static bool read_color(const char *value, void *field, struct fm_model *model, const char **ret_reason)
{
	(void)model;
	for (int color = FM_COLOR_RGB; color <= FM_COLOR_GRAY; color++) {
		if (strcmp(value, fm_color_order_name((enum fm_color_order)color)) == 0) {
			*(enum fm_color_order *)field = (enum fm_color_order)color;
			return true;
		}
	}
	*ret_reason = "a color is rgb, bgr or gray";
	return false;
}

/* A finite number at *text; moves *text behind it and the blanks that follow. */
static bool scan_number(const char **text, double *ret_number)
{
	char *end;

	*ret_number = strtod(*text, &end);
	if (end == *text || !isfinite(*ret_number))
		return false;
	while (isspace((unsigned char)*end))
		end++;
	*text = end;
	return true;
}

static bool skip_comma(const char **text)
{
	if (**text != ',')
		return false;
	++*text;
	while (isspace((unsigned char)**text))
		++*text;
	return true;
}

static bool read_channels(const char *value, void *field, struct fm_model *model, const char **ret_reason)
{
	float *channels = field;
	double numbers[3];
	int count = 0;

	(void)model;
	*ret_reason = "one number or three, with commas between";
	do {
		if (count == 3 || !scan_number(&value, &numbers[count]))
			return false;
		count++;
	} while (skip_comma(&value));
	if (*value != '\0' || count == 2)
		return false;
	for (int c = 0; c < 3; c++)
		channels[c] = (float)numbers[count == 3 ? c : 0];
	return true;
}

static bool read_whole(const char *value, double maximum, double *ret_number, const char **ret_reason)
{
	*ret_reason = "not a whole number in range";
	return scan_number(&value, ret_number) && *value == '\0' && *ret_number >= 1 &&
	       *ret_number <= maximum && *ret_number == floor(*ret_number);
}

static bool read_side(const char *value, void *field, struct fm_model *model, const char **ret_reason)
{
	double number;

	(void)model;
	if (!read_whole(value, SIDE_MAX_PX, &number, ret_reason))
		return false;
	*(int *)field = (int)number;
	return true;
}

static bool read_dim(const char *value, void *field, struct fm_model *model, const char **ret_reason)
{
	double number;

	(void)model;
	if (!read_whole(value, DIM_MAX, &number, ret_reason))
		return false;
	*(size_t *)field = (size_t)number;
	return true;
}

static bool read_count(const char *value, void *field, struct fm_model *model, const char **ret_reason)
{
	double number;

	(void)model;
	if (!read_whole(value, 1e15, &number, ret_reason))
		return false;
	*(size_t *)field = (size_t)number;
	return true;
}

static bool read_fraction(const char *value, void *field, struct fm_model *model, const char **ret_reason)
{
	double number;

	(void)model;
	*ret_reason = "a number between 0 and 1";
	if (!scan_number(&value, &number) || *value != '\0' || number <= 0 || number >= 1)
		return false;
	*(float *)field = (float)number;
	return true;
}

static bool read_number(const char *value, double low, double high, double *number, const char **ret_reason,
        const char *reason)
{
	*ret_reason = reason;
	return scan_number(&value, number) && *value == '\0' && *number >= low && *number <= high;
}

static bool read_tail_scale(const char *value, void *field, struct fm_model *model, const char **ret_reason)
{
	(void)model;
	return read_number(value, 1e-6, 1, field, ret_reason, "a tail's scale is 1e-6 to 1");
}

static bool read_tail_shape(const char *value, void *field, struct fm_model *model, const char **ret_reason)
{
	(void)model;
	return read_number(value, -1, 0.5, field, ret_reason, "a tail's shape is -1 to 0.5");
}

static bool read_decoder(const char *value, void *field, struct fm_model *model, const char **ret_reason)
{
	const struct fm_decoder *decoder = fm_decoder_find(value);

	(void)model;
	*ret_reason = "the decoders known are ultraface and yunet";
	*(const struct fm_decoder **)field = decoder;
	return decoder != NULL;
}

static bool read_flag(const char *value, void *field, struct fm_model *model, const char **ret_reason)
{
	(void)model;
	*ret_reason = "yes or no";
	*(bool *)field = strcmp(value, "yes") == 0;
	return *(bool *)field || strcmp(value, "no") == 0;
}

/* Layout and template: one of each is known; naming it keeps old manifests true when more come. */

static bool read_layout(const char *value, void *field, struct fm_model *model, const char **ret_reason)
{
	(void)field, (void)model;
	*ret_reason = "the layout known is ibug68";
	return strcmp(value, "ibug68") == 0;
}

static bool read_template(const char *value, void *field, struct fm_model *model, const char **ret_reason)
{
	(void)field, (void)model;
	*ret_reason = "the template known is arcface112";
	return strcmp(value, "arcface112") == 0;
}

/* Called once a line; the points of all lines follow each other. */
static bool read_points(const char *value, void *field, struct fm_model *model, const char **ret_reason)
{
	(void)model;
	struct fm_calibration *calibration = field;
	struct fm_calibration_point *points = calibration->points;

	while (*value != '\0') {
		struct fm_calibration_point point;
		size_t n = calibration->count;

		*ret_reason = "points are COSINE:RATE, with commas between";
		if (!scan_number(&value, &point.cosine) || *value++ != ':' ||
		        !scan_number(&value, &point.false_match_rate) ||
		        (*value != '\0' && !skip_comma(&value)))
			return false;
		*ret_reason = "a cosine is -1 to 1 and a rate above 0 and at most 1";
		if (point.cosine < -1 || point.cosine > 1 || point.false_match_rate <= 0 ||
		        point.false_match_rate > 1)
			return false;
		*ret_reason = "cosines must rise and rates fall from point to point";
		if (n > 0 && (point.cosine <= points[n - 1].cosine ||
		                     point.false_match_rate >= points[n - 1].false_match_rate))
			return false;
		*ret_reason = "more than 32 points";
		if (n == FM_CALIBRATION_POINTS_MAX)
			return false;
		points[n] = point;
		calibration->count = n + 1;
	}
	return true;
}

enum {
	FOR_DETECTION = 1 << FM_ROLE_DETECTION,
	FOR_LANDMARKS = 1 << FM_ROLE_LANDMARKS,
	FOR_EMBEDDING = 1 << FM_ROLE_EMBEDDING,
	FOR_ALL = FOR_DETECTION | FOR_LANDMARKS | FOR_EMBEDDING,
};

static const struct key {
	const char *section, *name;
	reader_fn read;
	size_t offset;
	int roles;     /* allowed for */
	bool required; /* for these roles */
	bool many_lines;
} keys[] = {
#define FIELD(field) offsetof(struct fm_model, field)
        {"model", "name", read_name, FIELD(name), FOR_ALL, true, false},
        {"model", "role", read_role, FIELD(role), FOR_ALL, true, false},
        {"model", "file", read_file, FIELD(file), FOR_ALL, true, false},
        {"model", "sha256", read_sha256, FIELD(sha256), FOR_ALL, true, false},
        {"model", "license", read_text, FIELD(license), FOR_ALL, true, false},
        {"model", "source", read_text, FIELD(source), FOR_ALL, true, false},
        {"input", "width_px", read_side, FIELD(width_px), FOR_ALL, true, false},
        {"input", "height_px", read_side, FIELD(height_px), FOR_ALL, true, false},
        {"input", "color", read_color, FIELD(color), FOR_ALL, true, false},
        {"input", "mean", read_channels, FIELD(mean), FOR_ALL, true, false},
        {"input", "scale", read_channels, FIELD(scale), FOR_ALL, true, false},
        {"detection", "decoder", read_decoder, FIELD(decoder), FOR_DETECTION, true, false},
        {"detection", "score_min", read_fraction, FIELD(score_min), FOR_DETECTION, false, false},
        {"detection", "sure_min", read_fraction, FIELD(sure_min), FOR_DETECTION, false, false},
        {"detection", "confirmed_min", read_fraction, FIELD(confirmed_min), FOR_DETECTION, false, false},
        {"detection", "iou_max", read_fraction, FIELD(iou_max), FOR_DETECTION, false, false},
        {"detection", "raw_scores", read_text, FIELD(raw_scores), FOR_DETECTION, false, false},
        {"detection", "raw_boxes", read_text, FIELD(raw_boxes), FOR_DETECTION, false, false},
        {"landmarks", "layout", read_layout, 0, FOR_LANDMARKS, true, false},
        {"embedding", "template", read_template, 0, FOR_EMBEDDING, true, false},
        {"embedding", "dim", read_dim, FIELD(dim), FOR_EMBEDDING, true, false},
        {"embedding", "flip", read_flag, FIELD(flip), FOR_EMBEDDING, false, false},
        {"embedding", "mirror_min", read_fraction, FIELD(mirror_min), FOR_EMBEDDING, false, false},
        {"calibration", "points", read_points, FIELD(calibration), FOR_EMBEDDING, false, true},
        {"calibration", "tail_scale", read_tail_scale, FIELD(calibration.tail_scale), FOR_EMBEDDING, false,
                false},
        {"calibration", "tail_shape", read_tail_shape, FIELD(calibration.tail_shape), FOR_EMBEDDING, false,
                false},
        {"calibration", "description", read_text, FIELD(calibration.description), FOR_EMBEDDING, false,
                false},
        {"calibration", "people", read_count, FIELD(calibration.people), FOR_EMBEDDING, false, false},
        {"calibration", "photos", read_count, FIELD(calibration.photos), FOR_EMBEDDING, false, false},
        {"calibration", "impostor_pairs", read_count, FIELD(calibration.impostor_pairs), FOR_EMBEDDING, false,
                false},
#undef FIELD
};
#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

static int accept_line(void *user, const char *section, const char *name, const char *value)
{
	struct parser *parser = user;
	const char *reason = NULL;
	size_t i = 0;

	if (parser->status != FM_OK)
		return 0; /* the first error is the one to tell */
	while (i < KEY_COUNT && (strcmp(keys[i].section, section) != 0 || strcmp(keys[i].name, name) != 0))
		i++;
	if (i == KEY_COUNT) {
		parser->status =
		        fm_fail(parser->err, FM_E_INVALID, "unknown key \"%s\" in [%s]", name, section);
		return 0;
	}
	if ((parser->seen >> i & 1) && !keys[i].many_lines) {
		parser->status =
		        fm_fail(parser->err, FM_E_INVALID, "\"%s\" of [%s] is given twice", name, section);
		return 0;
	}
	parser->seen |= (uint64_t)1 << i;
	if (!keys[i].read(value, (char *)parser->model + keys[i].offset, parser->model, &reason)) {
		parser->status =
		        fm_fail(parser->err, FM_E_INVALID, "[%s] %s = %s: %s", section, name, value, reason);
		return 0;
	}
	return 1;
}

static enum fm_status check_line_lengths(const char *text, struct fm_error *err)
{
	for (int line = 1; *text; line++) {
		size_t length = strcspn(text, "\n");

		if (length > LINE_MAX_BYTES)
			return fm_fail(err, FM_E_INVALID, "line %d: longer than %d characters", line,
			        LINE_MAX_BYTES);
		text += length + (text[length] == '\n');
	}
	return FM_OK;
}

static bool was_given(const struct parser *parser, const char *section, const char *name)
{
	for (size_t i = 0; i < KEY_COUNT; i++)
		if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0)
			return parser->seen >> i & 1;
	return false;
}

static enum fm_status check_calibration(const struct parser *parser)
{
	bool scale = was_given(parser, "calibration", "tail_scale");
	bool shape = was_given(parser, "calibration", "tail_shape");

	if (parser->model->calibration.count == 1)
		return fm_fail(parser->err, FM_E_INVALID, "[calibration] points: at least two are needed");
	if (scale != shape)
		return fm_fail(
		        parser->err, FM_E_INVALID, "[calibration] tail_scale and tail_shape go together");
	if (scale && (!parser->model->calibration.count || !parser->model->calibration.impostor_pairs))
		return fm_fail(parser->err, FM_E_INVALID,
		        "[calibration] a tail needs points, where it begins, and impostor_pairs, which say "
		        "how "
		        "far it was measured");
	return FM_OK;
}

static enum fm_status check_keys(const struct parser *parser)
{
	const struct fm_model *model = parser->model;
	const char *role = fm_model_role_name(model->role);

	for (size_t i = 0; i < KEY_COUNT; i++) {
		bool given = parser->seen >> i & 1, wanted = keys[i].roles >> model->role & 1;

		if (given && !wanted)
			return fm_fail(parser->err, FM_E_INVALID, "[%s] %s is not for role %s",
			        keys[i].section, keys[i].name, role);
		if (!given && wanted && keys[i].required)
			return fm_fail(parser->err, FM_E_INVALID, "[%s] %s is missing", keys[i].section,
			        keys[i].name);
	}
	if (!model->raw_scores != !model->raw_boxes)
		return fm_fail(parser->err, FM_E_INVALID, "[detection] raw_scores and raw_boxes go together");
	if (model->raw_scores && model->decoder != &fm_decoder_ultraface)
		return fm_fail(parser->err, FM_E_INVALID,
		        "[detection] raw_scores and raw_boxes are for decoder ultraface");
	return check_calibration(parser);
}

enum fm_status fm_manifest_parse(const char *text, struct fm_model *model, struct fm_error *err)
{
	struct parser parser = {.model = model, .err = err};

	model->score_min = 0.65F;
	model->sure_min = 0.995F;
	model->confirmed_min = 0.75F;
	model->iou_max = 0.4F;
	enum fm_status status = check_line_lengths(text, err);
	if (status != FM_OK)
		return status;
	int line = ini_parse_string(text, accept_line, &parser);
	if (parser.status != FM_OK)
		return fm_fail_prefix(err, parser.status, "line %d", line);
	if (line > 0)
		return fm_fail(
		        err, FM_E_INVALID, "line %d: neither [section], key = value nor comment", line);
	if (line < 0)
		return fm_fail(err, FM_E_NOMEM, "no memory to read a manifest");
	return check_keys(&parser);
}
