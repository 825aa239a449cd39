#include "cli/npy.h"

#include "cli/output.h"
#include "lib/base/cleanup.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/base/size.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "values are copied as they lie in the file");

static const unsigned char magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
#define PREAMBLE_V1 10 /* magic, version, u16 header length */
#define PREAMBLE_V2 12 /* the same with u32 */
#define HEADER_UNIT 64 /* the writer pads preamble and header to a multiple */

enum element_type { ELEMENT_F32, ELEMENT_F64, ELEMENT_U8, ELEMENT_I64 };

static const struct {
	const char *descr;
	enum element_type type;
	size_t bytes;
} element_types[] = {
        {"<f4", ELEMENT_F32, 4},
        {"<f8", ELEMENT_F64, 8},
        {"|u1", ELEMENT_U8, 1},
        {"<u1", ELEMENT_U8, 1},
        {"<i8", ELEMENT_I64, 8},
};

/* The header is a Python dict literal; the cursor never passes end. */
struct header {
	const char *next, *end;
	int type;    /* index into element_types, -1 until seen */
	int fortran; /* 0, 1, -1 until seen */
	bool shape_seen;
	struct fm_npy shape;
};

void fm_npy_done(struct fm_npy *npy)
{
	free(npy->values);
	*npy = (struct fm_npy){0};
}

static void skip_blanks(struct header *header)
{
	while (header->next < header->end &&
	        (*header->next == ' ' || *header->next == '\t' || *header->next == '\n'))
		header->next++;
}

static bool accept(struct header *header, char wanted)
{
	skip_blanks(header);
	if (header->next == header->end || *header->next != wanted)
		return false;
	header->next++;
	return true;
}

static bool accept_word(struct header *header, const char *word)
{
	size_t length = strlen(word);

	skip_blanks(header);
	if ((size_t)(header->end - header->next) < length || memcmp(header->next, word, length) != 0)
		return false;
	header->next += length;
	return true;
}

/* A string in single or double quotes, without escapes. */
static bool read_string(struct header *header, char *text, size_t size)
{
	char quote = accept(header, '\'') ? '\'' : accept(header, '"') ? '"' : '\0';
	const char *close = quote ? memchr(header->next, quote, (size_t)(header->end - header->next)) : NULL;

	if (!close || (size_t)(close - header->next) >= size)
		return false;
	memcpy(text, header->next, (size_t)(close - header->next));
	text[close - header->next] = '\0';
	header->next = close + 1;
	return true;
}

static bool read_size(struct header *header, size_t *ret_value)
{
	size_t value = 0;
	const char *start;

	skip_blanks(header);
	start = header->next;
	for (; header->next < header->end && *header->next >= '0' && *header->next <= '9'; header->next++)
		if (!fm_size_mul(value, 10, &value) ||
		        !fm_size_add(value, (size_t)(*header->next - '0'), &value))
			return false;
	*ret_value = value;
	return header->next > start;
}

static enum fm_status read_descr(struct header *header, struct fm_error *err)
{
	char descr[32];

	if (accept(header, '['))
		return fm_fail(err, FM_E_UNSUPPORTED, "a structured array");
	if (!read_string(header, descr, sizeof(descr)))
		return fm_fail(err, FM_E_CORRUPT, "the header's descr is malformed");
	for (size_t i = 0; i < FM_ARRAY_SIZE(element_types); i++)
		if (strcmp(descr, element_types[i].descr) == 0)
			header->type = (int)i;
	if (header->type < 0)
		return fm_fail(err, FM_E_UNSUPPORTED,
		        "elements of type '%s'; give '<f4' (or '<f8', '|u1', '<i8')", descr);
	return FM_OK;
}

static enum fm_status read_shape(struct header *header, struct fm_error *err)
{
	struct fm_npy *shape = &header->shape;
	bool more = true;

	if (!accept(header, '('))
		return fm_fail(err, FM_E_CORRUPT, "the header's shape is not a tuple");
	shape->rank = 0;
	shape->elements = 1;
	while (!accept(header, ')')) {
		size_t dim;
		if (!more || !read_size(header, &dim))
			return fm_fail(err, FM_E_CORRUPT, "the header's shape is malformed");
		if (shape->rank == FM_NPY_RANK_MAX)
			return fm_fail(err, FM_E_UNSUPPORTED, "more than %d dimensions", FM_NPY_RANK_MAX);
		if (!fm_size_mul(shape->elements, dim, &shape->elements))
			return fm_fail(err, FM_E_CORRUPT, "the header's shape has too many elements");
		shape->dims[shape->rank++] = dim;
		more = accept(header, ',');
	}
	header->shape_seen = true;
	return FM_OK;
}

static enum fm_status read_header(struct header *header, struct fm_error *err)
{
	bool more = true;

	if (!accept(header, '{'))
		return fm_fail(err, FM_E_CORRUPT, "the header is not a dict");
	while (!accept(header, '}')) {
		enum fm_status status = FM_OK;
		char key[32];

		if (!more || !read_string(header, key, sizeof(key)) || !accept(header, ':'))
			return fm_fail(err, FM_E_CORRUPT, "the header is malformed");
		if (strcmp(key, "descr") == 0)
			status = read_descr(header, err);
		else if (strcmp(key, "shape") == 0)
			status = read_shape(header, err);
		else if (strcmp(key, "fortran_order") == 0)
			header->fortran = accept_word(header, "True")    ? 1
			                  : accept_word(header, "False") ? 0
			                                                 : -1;
		else
			return fm_fail(err, FM_E_CORRUPT, "the header has an unknown key");
		if (status)
			return status;
		more = accept(header, ',');
	}
	if (header->type < 0 || header->fortran < 0 || !header->shape_seen)
		return fm_fail(err, FM_E_CORRUPT, "the header lacks descr, fortran_order or shape");
	if (header->fortran)
		return fm_fail(err, FM_E_UNSUPPORTED, "Fortran order; save numpy.ascontiguousarray(x)");
	return FM_OK;
}

static void convert(float *out, const unsigned char *data, size_t elements, enum element_type type)
{
	switch (type) {
	case ELEMENT_F32: memcpy(out, data, elements * sizeof(*out)); break;
	case ELEMENT_F64:
		for (size_t i = 0; i < elements; i++) {
			double value;
			memcpy(&value, data + i * sizeof(value), sizeof(value));
			out[i] = (float)value;
		}
		break;
	case ELEMENT_U8:
		for (size_t i = 0; i < elements; i++)
			out[i] = (float)data[i];
		break;
	case ELEMENT_I64:
		for (size_t i = 0; i < elements; i++) {
			int64_t value;
			memcpy(&value, data + i * sizeof(value), sizeof(value));
			out[i] = (float)value;
		}
		break;
	}
}

enum fm_status fm_npy_parse(const void *bytes, size_t length, struct fm_npy *ret_npy, struct fm_error *err)
{
	const unsigned char *file = bytes;

	if (length < sizeof(magic) || memcmp(file, magic, sizeof(magic)) != 0)
		return fm_fail(err, FM_E_CORRUPT, "not a .npy file");
	if (length < PREAMBLE_V2)
		return fm_fail(err, FM_E_TRUNCATED, "the header ends early");
	if (file[6] != 1 && file[6] != 2)
		return fm_fail(err, FM_E_UNSUPPORTED, "version %d of the format", file[6]);

	size_t preamble = file[6] == 1 ? PREAMBLE_V1 : PREAMBLE_V2;
	size_t header_bytes = file[8] | (size_t)file[9] << 8;
	if (file[6] == 2)
		header_bytes |= (size_t)file[10] << 16 | (size_t)file[11] << 24;
	if (header_bytes > FM_NPY_HEADER_MAX)
		return fm_fail(err, FM_E_TOO_LARGE, "the header has %zu bytes, more than the %d allowed",
		        header_bytes, FM_NPY_HEADER_MAX);
	if (header_bytes > length - preamble)
		return fm_fail(err, FM_E_TRUNCATED, "the header ends early");

	struct header header = {.next = (const char *)file + preamble, .type = -1, .fortran = -1};
	header.end = header.next + header_bytes;
	enum fm_status status = read_header(&header, err);
	if (status)
		return status;

	const unsigned char *data = file + preamble + header_bytes;
	size_t available = length - preamble - header_bytes, wanted, value_bytes;
	if (!fm_size_mul(header.shape.elements, element_types[header.type].bytes, &wanted) ||
	        !fm_size_mul(header.shape.elements, sizeof(float), &value_bytes))
		return fm_fail(err, FM_E_CORRUPT, "the header's shape has too many elements");
	if (wanted > available)
		return fm_fail(err, FM_E_TRUNCATED, "the shape needs %zu bytes, the file has %zu", wanted,
		        available);
	if (wanted < available)
		return fm_fail(err, FM_E_CORRUPT, "%zu bytes follow the last element", available - wanted);

	/* The file holds every element, so its own size bounds this. */
	float *values = fm_aligned_alloc(value_bytes ? value_bytes : 1);
	if (!values)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu elements", header.shape.elements);
	convert(values, data, header.shape.elements, element_types[header.type].type);
	*ret_npy = header.shape;
	ret_npy->values = values;
	return FM_OK;
}

enum fm_status fm_npy_read(const char *path, struct fm_npy *ret_npy, struct fm_error *err)
{
	fm_autofree char *bytes = NULL;
	size_t length;

	enum fm_status status = fm_file_read(path, FM_NPY_BYTES_MAX, &bytes, &length, err);
	if (status)
		return status;
	status = fm_npy_parse(bytes, length, ret_npy, err);
	return status ? fm_fail_prefix(err, status, "cannot read %s", path) : FM_OK;
}

enum fm_status fm_npy_format(const float *values, const size_t *dims, size_t rank, char **ret_bytes,
        size_t *ret_length, struct fm_error *err)
{
	char header[512], shape[256] = "";
	size_t elements = 1, data_bytes, total, used = 0;

	if (rank > FM_NPY_RANK_MAX)
		return fm_fail(err, FM_E_UNSUPPORTED, "more than %d dimensions", FM_NPY_RANK_MAX);
	for (size_t i = 0; i < rank; i++) {
		if (!fm_size_mul(elements, dims[i], &elements))
			return fm_fail(err, FM_E_TOO_LARGE, "the shape has too many elements");
		used += (size_t)snprintf(
		        shape + used, sizeof(shape) - used, "%zu,%s", dims[i], i + 1 < rank ? " " : "");
	}
	if (rank > 1)
		shape[used - 1] = '\0'; /* Python writes (2, 3) and (2,) */

	int length = snprintf(
	        header, sizeof(header), "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", shape);
	size_t start;
	if (!fm_size_align(PREAMBLE_V1 + (size_t)length + 1, HEADER_UNIT, &start) ||
	        !fm_size_mul(elements, sizeof(float), &data_bytes) || !fm_size_add(start, data_bytes, &total))
		return fm_fail(err, FM_E_TOO_LARGE, "the shape has too many elements");

	char *bytes = malloc(total);
	if (!bytes)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu elements", elements);
	memcpy(bytes, magic, sizeof(magic));
	bytes[6] = 1;
	bytes[7] = 0;
	bytes[8] = (char)((start - PREAMBLE_V1) & 0xff);
	bytes[9] = (char)((start - PREAMBLE_V1) >> 8);
	memset(bytes + PREAMBLE_V1, ' ', start - PREAMBLE_V1);
	memcpy(bytes + PREAMBLE_V1, header, (size_t)length);
	bytes[start - 1] = '\n';
	memcpy(bytes + start, values, data_bytes);
	*ret_bytes = bytes;
	*ret_length = total;
	return FM_OK;
}

enum fm_status fm_npy_write(
        const char *path, const float *values, const size_t *dims, size_t rank, struct fm_error *err)
{
	fm_autofree char *bytes = NULL;
	size_t length;

	enum fm_status status = fm_npy_format(values, dims, rank, &bytes, &length, err);
	return status ? status : fm_output_write(path, bytes, length, err);
}
