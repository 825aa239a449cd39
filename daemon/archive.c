#include "daemon/archive.h"

#include "daemon/text.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/size.h"
#include "lib/image/decode.h"

#include <ctype.h>
#include <endian.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define MODEL_BYTES_MAX    95
#define FINGERPRINT_DIGITS 16
/* Crops are as large as a network's input. */
#define CROP_PIXELS_MAX 1048576
#define CROP_SIDE_MAX   4096

void fm_archive_line_done(struct fm_archive_line *line)
{
	json_decref(line->json);
	free(line->metadata);
	free(line->quality);
	if (line->embedding)
		fm_wipe(line->embedding, line->face.dim * sizeof(float));
	free(line->embedding);
	free(line->crop);
	*line = (struct fm_archive_line){0};
}

/* ---- reading ---- */

/* A string member; NULL where it is null or absent and need not be there. */
static enum fm_status get_text(
        json_t *object, const char *key, bool required, const char **ret_text, struct fm_error *err)
{
	json_t *member = json_object_get(object, key);

	*ret_text = json_string_value(member);
	if (*ret_text || (!required && (!member || json_is_null(member))))
		return FM_OK;
	return fm_fail(err, FM_E_INVALID, "\"%s\" is %s", key, member ? "not a string" : "missing");
}

/* An object member as text, owned by the caller; "{}" where it is absent. */
static enum fm_status get_object(json_t *object, const char *key, char **ret_text, struct fm_error *err)
{
	json_t *member = json_object_get(object, key);

	if (member && !json_is_object(member))
		return fm_fail(err, FM_E_INVALID, "\"%s\" is not an object", key);
	*ret_text = member ? json_dumps(member, JSON_COMPACT) : strdup("{}");
	return *ret_text ? FM_OK : fm_fail(err, FM_E_NOMEM, "no memory for \"%s\"", key);
}

/* Ids are stored, and looked for, in lower case. */
static enum fm_status get_id(json_t *object, const char *key, char ret_id[FM_UUID_TEXT], struct fm_error *err)
{
	const char *text;
	enum fm_status status = get_text(object, key, true, &text, err);

	if (status)
		return status;
	if (!fm_uuid_valid(text))
		return fm_fail(err, FM_E_INVALID, "\"%s\" is no UUID", key);
	for (size_t i = 0; i < FM_UUID_TEXT; i++)
		ret_id[i] = (char)tolower((unsigned char)text[i]);
	return FM_OK;
}

static enum fm_status read_person(json_t *object, struct fm_archive_line *line, struct fm_error *err)
{
	struct fm_person_fields *person = &line->person;
	enum fm_status status = get_id(object, "id", line->id, err);

	person->id = line->id;
	if (!status)
		status = get_text(object, "name", true, &person->name, err);
	if (!status)
		status = fm_name_check("\"name\"", person->name, err);
	if (!status)
		status = get_text(object, "external_id", false, &person->external_id, err);
	if (!status && person->external_id)
		status = fm_name_check("\"external_id\"", person->external_id, err);
	if (!status)
		status = get_text(object, "created_at", true, &person->created_at, err);
	if (!status)
		status = get_object(object, "metadata", &line->metadata, err);
	if (!status && strlen(line->metadata) > FM_METADATA_MAX_BYTES)
		status = fm_fail(
		        err, FM_E_INVALID, "\"metadata\" has more than %d bytes", FM_METADATA_MAX_BYTES);
	person->metadata = line->metadata;
	return status;
}

static enum fm_status read_embedding(json_t *object, struct fm_archive_line *line, struct fm_error *err)
{
	const char *text;
	size_t length;
	enum fm_status status = get_text(object, "embedding", true, &text, err);

	if (status)
		return status;
	status = fm_base64_decode(text, strlen(text), &line->embedding, &length, err);
	if (status)
		return fm_fail_prefix(err, status, "\"embedding\"");
	if (!length || length % sizeof(float) || length / sizeof(float) > FM_EMBEDDING_DIM_MAX) {
		free(line->embedding);
		line->embedding = NULL;
		return fm_fail(err, FM_E_INVALID, "\"embedding\" has %zu bytes: 1 to %d float32 are possible",
		        length, FM_EMBEDDING_DIM_MAX);
	}
	line->face.dim = length / sizeof(float);
	for (size_t i = 0; i < line->face.dim; i++) {
		uint32_t bits;
		memcpy(&bits, line->embedding + i * sizeof(bits), sizeof(bits));
		bits = le32toh(bits);
		memcpy(line->embedding + i * sizeof(bits), &bits, sizeof(bits));
	}
	line->face.embedding = (const float *)(const void *)line->embedding;
	return FM_OK;
}

static int hex(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum fm_status read_sha256(json_t *object, uint8_t ret_digest[32], struct fm_error *err)
{
	const char *text;
	enum fm_status status = get_text(object, "image_sha256", true, &text, err);

	if (!status && strlen(text) != 64)
		status = fm_fail(err, FM_E_INVALID, "\"image_sha256\" is not 64 hex digits");
	for (size_t i = 0; !status && i < 32; i++) {
		int high = hex(text[2 * i]), low = hex(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return fm_fail(err, FM_E_INVALID, "\"image_sha256\" is not 64 hex digits");
		ret_digest[i] = (uint8_t)(high * 16 + low);
	}
	return status;
}

static enum fm_status read_box(json_t *object, float ret_box[4], struct fm_error *err)
{
	json_t *box = json_object_get(object, "box");

	if (json_array_size(box) != 4)
		return fm_fail(err, FM_E_INVALID, "\"box\" is not four numbers");
	for (size_t i = 0; i < 4; i++) {
		json_t *number = json_array_get(box, i);
		if (!json_is_number(number) || !(fabs(json_number_value(number)) < 1e9))
			return fm_fail(err, FM_E_INVALID, "\"box\" is not four numbers");
		ret_box[i] = (float)json_number_value(number);
	}
	return FM_OK;
}

/* What is served as a picture is one; and another network must be able to look at it. */
static enum fm_status check_crop(const struct fm_face_insert *face, struct fm_error *err)
{
	const struct fm_image_limits limits = {.pixels_max = CROP_PIXELS_MAX, .side_max_px = CROP_SIDE_MAX};
	fm_cleanup(fm_image_done) struct fm_image image = {0};
	struct fm_image_info info;
	struct fm_error why = {0};
	bool truncated = false;

	if (face->crop_bytes > FM_CROP_MAX_BYTES)
		return fm_fail(err, FM_E_INVALID, "\"crop\" has more than %d bytes", FM_CROP_MAX_BYTES);
	if (fm_image_probe(face->crop, face->crop_bytes, &limits, &info, &why) ||
	        fm_image_decode(face->crop, face->crop_bytes, &limits, 1, &image, &truncated, &why))
		return fm_fail(err, FM_E_INVALID, "\"crop\" cannot be decoded: %s", why.message);
	if (info.format != FM_IMAGE_JPEG || info.width_px != info.height_px || truncated)
		return fm_fail(err, FM_E_INVALID, "\"crop\" is not a whole, square JPEG");
	return FM_OK;
}

static enum fm_status read_crop(json_t *object, struct fm_archive_line *line, struct fm_error *err)
{
	const char *text;
	enum fm_status status = get_text(object, "crop", false, &text, err);

	if (status || !text)
		return status;
	status = fm_base64_decode(text, strlen(text), &line->crop, &line->face.crop_bytes, err);
	line->face.crop = (const uint8_t *)line->crop;
	if (status)
		return fm_fail_prefix(err, status, "\"crop\"");
	return check_crop(&line->face, err);
}

/* "name@fingerprint", as fm_model.fingerprint has it. */
static enum fm_status check_model(const char *model, struct fm_error *err)
{
	const char *at = strchr(model, '@');

	if (!at || at == model || strlen(model) > MODEL_BYTES_MAX || strlen(at + 1) != FINGERPRINT_DIGITS ||
	        strspn(at + 1, "0123456789abcdef") != FINGERPRINT_DIGITS)
		return fm_fail(err, FM_E_INVALID, "\"model\" is not of the form name@fingerprint");
	return FM_OK;
}

/* Replies show it as it is stored, and promise these. */
static enum fm_status check_quality(json_t *object, struct fm_error *err)
{
	static const char *const figures[] = {
	        "score", "size_px", "sharpness", "brightness", "yaw_deg", "roll_deg"};
	json_t *quality = json_object_get(object, "quality");

	for (size_t i = 0; i < FM_ARRAY_SIZE(figures); i++) {
		if (!json_is_number(json_object_get(quality, figures[i])))
			return fm_fail(err, FM_E_INVALID, "\"quality\" has no number \"%s\"", figures[i]);
	}
	return FM_OK;
}

static enum fm_status read_face(json_t *object, struct fm_archive_line *line, struct fm_error *err)
{
	struct fm_face_insert *face = &line->face;
	enum fm_status status = get_id(object, "id", line->id, err);

	line->is_face = true;
	face->id = line->id;
	if (!status)
		status = get_id(object, "person_id", line->person_id, err);
	if (!status)
		status = get_text(object, "model", true, &face->model, err);
	if (!status)
		status = check_model(face->model, err);
	if (!status)
		status = get_text(object, "created_at", true, &face->created_at, err);
	if (!status)
		status = get_object(object, "quality", &line->quality, err);
	if (!status)
		status = check_quality(object, err);
	face->quality = line->quality;
	if (!status)
		status = read_box(object, face->box, err);
	if (!status)
		status = read_sha256(object, face->image_sha256, err);
	if (!status)
		status = read_embedding(object, line, err);
	return status ? status : read_crop(object, line, err);
}

enum fm_status fm_archive_read(
        const char *text, size_t length, struct fm_archive_line *ret_line, struct fm_error *err)
{
	json_error_t wrong;

	if (length > FM_ARCHIVE_LINE_MAX_BYTES)
		return fm_fail(
		        err, FM_E_TOO_LARGE, "a line of more than %d bytes", FM_ARCHIVE_LINE_MAX_BYTES);
	/* Metadata that a request may hold must fit here as well, one level deeper among more members. */
	enum fm_status status =
	        fm_json_bounded(text, length, FM_JSON_DEPTH_MAX + 1, FM_JSON_VALUES_MAX + 16, err);
	if (status)
		return status;
	*ret_line =
	        (struct fm_archive_line){.json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &wrong)};
	if (!ret_line->json)
		return fm_fail(err, FM_E_INVALID, "no JSON: %s", wrong.text);
	json_t *person = json_object_get(ret_line->json, "person");
	json_t *face = json_object_get(ret_line->json, "face");
	if (json_is_object(person) && !face)
		status = read_person(person, ret_line, err);
	else if (json_is_object(face) && !person)
		status = read_face(face, ret_line, err);
	else
		status = fm_fail(err, FM_E_INVALID, "neither {\"person\": {...}} nor {\"face\": {...}}");
	if (status)
		fm_archive_line_done(ret_line);
	return status;
}

/* ---- writing ---- */

static json_t *base64(const void *bytes, size_t length)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *from = bytes;
	size_t used = 0;
	char *text = malloc((length + 2) / 3 * 4 + 1);

	if (!text)
		return NULL;
	for (size_t i = 0; i < length; i += 3) {
		uint32_t group = (uint32_t)from[i] << 16;
		group |= i + 1 < length ? (uint32_t)from[i + 1] << 8 : 0;
		group |= i + 2 < length ? from[i + 2] : 0;
		text[used++] = digits[group >> 18];
		text[used++] = digits[group >> 12 & 63];
		text[used++] = i + 1 < length ? digits[group >> 6 & 63] : '=';
		text[used++] = i + 2 < length ? digits[group & 63] : '=';
	}
	json_t *json = json_stringn(text, used);
	fm_wipe(text, used);
	free(text);
	return json;
}

/* Takes the reference. */
static enum fm_status put_line(struct fm_buf *out, json_t *json, struct fm_error *err)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	if (!text)
		return fm_fail(err, FM_E_NOMEM, "no memory for the archive");
	size_t length = strlen(text);
	text[length] = '\n'; /* in place of the end */
	enum fm_status status = fm_buf_append(out, text, length + 1, err);
	fm_wipe(text, length);
	free(text);
	return status;
}

enum fm_status fm_archive_put_person(struct fm_buf *out, const struct fm_person *person, struct fm_error *err)
{
	return put_line(out,
	        json_pack("{s:{s:s, s:s, s:s?, s:o, s:s, s:s}}", "person", "id", person->id, "name",
	                person->name, "external_id", person->external_id, "metadata",
	                json_loads(person->metadata, 0, NULL), "created_at", person->created_at, "updated_at",
	                person->updated_at),
	        err);
}

enum fm_status fm_archive_put_face(
        struct fm_buf *out, const char *person_id, const struct fm_face_export *face, struct fm_error *err)
{
	static const char digits[] = "0123456789abcdef";
	fm_autofree uint32_t *embedding = fm_calloc(face->dim, sizeof(*embedding));
	char sha256[65] = {0};

	if (!embedding)
		return fm_fail(err, FM_E_NOMEM, "no memory for the archive");
	for (size_t i = 0; i < face->dim; i++) {
		memcpy(&embedding[i], &face->embedding[i], sizeof(embedding[i]));
		embedding[i] = htole32(embedding[i]);
	}
	for (size_t i = 0; i < 32; i++) {
		sha256[2 * i] = digits[face->image_sha256[i] >> 4];
		sha256[2 * i + 1] = digits[face->image_sha256[i] & 15];
	}
	json_t *line = json_pack("{s:{s:s, s:s, s:s, s:o, s:[f, f, f, f], s:s, s:s, s:o, s:o}}", "face", "id",
	        face->id, "person_id", person_id, "model", face->model, "quality",
	        json_loads(face->quality, 0, NULL), "box", face->box[0], face->box[1], face->box[2],
	        face->box[3], "image_sha256", sha256, "created_at", face->created_at, "embedding",
	        base64(embedding, face->dim * sizeof(*embedding)), "crop",
	        face->crop ? base64(face->crop, face->crop_bytes) : json_null());
	fm_wipe(embedding, face->dim * sizeof(*embedding));
	return put_line(out, line, err);
}
