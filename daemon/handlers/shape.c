#include "daemon/handlers/shape.h"

#include <math.h>

#include "lib/base/banned.h"

json_t *fm_shape_number(double value, int decimals)
{
	double unit = pow(10, decimals);

	return json_real(round(value * unit) / unit);
}

json_t *fm_shape_reasons(uint32_t reasons)
{
	json_t *array = json_array();

	for (int bit = 0; array && bit < FM_REASON_COUNT; bit++) {
		if (reasons & 1u << bit)
			json_array_append_new(array, json_string(fm_reason_name(bit)));
	}
	return array;
}

json_t *fm_shape_quality(const struct fm_quality *quality)
{
	return json_pack("{s:o, s:I, s:o, s:o, s:o, s:o}", "score", fm_shape_number(quality->score, 3),
	        "size_px", (json_int_t)lroundf(quality->size_px), "sharpness",
	        fm_shape_number(quality->sharpness, 3), "brightness", fm_shape_number(quality->brightness, 3),
	        "yaw_deg", fm_shape_number(quality->yaw_deg, 1), "roll_deg",
	        fm_shape_number(quality->roll_deg, 1));
}

static json_t *shape_box(const struct fm_box *box)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "x", (json_int_t)lroundf(box->x_px), "y",
	        (json_int_t)lroundf(box->y_px), "width", (json_int_t)lroundf(box->width_px), "height",
	        (json_int_t)lroundf(box->height_px));
}

static json_t *shape_landmarks(const struct fm_face *face)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < 5; i++)
		json_array_append_new(array, json_pack("[o, o]", fm_shape_number(face->landmarks[i][0], 1),
		                                     fm_shape_number(face->landmarks[i][1], 1)));
	return array;
}

json_t *fm_shape_face(const struct fm_face *face)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "box", shape_box(&face->box), "score",
	        fm_shape_number(face->score, 4), "landmarks", shape_landmarks(face), "quality",
	        fm_shape_quality(&face->quality), "reasons", fm_shape_reasons(face->reasons));
}

json_t *fm_shape_faces(const struct fm_faces *faces)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < faces->count; i++)
		json_array_append_new(array, fm_shape_face(&faces->faces[i]));
	return array;
}

json_t *fm_shape_image(const struct fm_faces *faces)
{
	json_t *image =
	        json_pack("{s:i, s:i}", "width", faces->image_width_px, "height", faces->image_height_px);

	if (faces->truncated)
		json_object_set_new(image, "truncated", json_true());
	return image;
}

json_t *fm_shape_threshold(const struct fm_threshold *threshold)
{
	json_t *object = json_pack("{s:o, s:f, s:I}", "cosine", fm_shape_number(threshold->cosine, 6),
	        "false_match_rate", threshold->false_match_rate, "comparisons",
	        (json_int_t)threshold->comparisons);

	if (threshold->false_positive_identification_rate > 0)
		json_object_set_new(object, "false_positive_identification_rate",
		        json_real(threshold->false_positive_identification_rate));
	json_object_set_new(object, "extrapolated", json_boolean(threshold->extrapolated));
	return object;
}

json_t *fm_shape_person(const struct fm_person *person)
{
	return json_pack("{s:s, s:s, s:s?, s:o, s:I, s:s, s:s}", "id", person->id, "name", person->name,
	        "external_id", person->external_id, "metadata", json_loads(person->metadata, 0, NULL),
	        "faces", (json_int_t)person->faces, "created_at", person->created_at, "updated_at",
	        person->updated_at);
}

json_t *fm_shape_person_brief(const struct fm_person *person)
{
	return json_pack("{s:s, s:s}", "id", person->id, "name", person->name);
}

json_t *fm_shape_face_record(const struct fm_face_record *face)
{
	return json_pack("{s:s, s:o, s:s}", "id", face->id, "quality", json_loads(face->quality, 0, NULL),
	        "created_at", face->created_at);
}

json_t *fm_shape_collection(const struct fm_collection *collection)
{
	return json_pack("{s:s, s:I, s:I, s:o, s:s}", "name", collection->name, "people",
	        (json_int_t)collection->people, "faces", (json_int_t)collection->faces, "retention_days",
	        collection->retention_days ? json_integer(collection->retention_days) : json_null(),
	        "created_at", collection->created_at);
}
