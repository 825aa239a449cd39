/*
 * Shrinking and resizing in integers: rows are combined first, whole row at a time so that it vectorises,
 * columns after. Blocks of fixed length are what gcc vectorises at -O2.
 */
#include "lib/image/warp.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "lib/base/banned.h"

enum { BLOCK = 64 };

/* ---- box average by an integer factor ---- */

enum { FACTOR_MAX = 256 /* 256 * 255 fits the 16-bit column sums */ };

static void add_row(uint16_t *restrict sums, const uint8_t *restrict row, size_t count)
{
	size_t i = 0;

	for (; i + BLOCK <= count; i += BLOCK) {
		for (size_t k = 0; k < BLOCK; k++)
			sums[i + k] = (uint16_t)(sums[i + k] + row[i + k]);
	}
	for (; i < count; i++)
		sums[i] = (uint16_t)(sums[i] + row[i]);
}

/* Rounded sum / area by multiplication: exact for sums up to 255 * area while area <= FACTOR_MAX squared. */
static inline uint8_t divide(uint32_t sum, uint32_t area, uint64_t reciprocal)
{
	return (uint8_t)(((sum + area / 2) * reciprocal) >> 40);
}

static inline __attribute__((always_inline)) void average_columns(
        const uint16_t *sums, int columns, int factor, uint32_t area, uint8_t *to)
{
	uint64_t reciprocal = (((uint64_t)1 << 40) + area - 1) / area;

	for (int x = 0; x < columns; x++, sums += 3 * factor, to += 3) {
		for (int c = 0; c < 3; c++) {
			uint32_t sum = 0;
			for (int k = 0; k < factor; k++)
				sum += sums[3 * k + c];
			to[c] = divide(sum, area, reciprocal);
		}
	}
}

/* `rows` rows are summed in `sums`; the last column may be narrower than the others. */
static void average_row(const uint16_t *sums, int width, int factor, int rows, uint8_t *to)
{
	int full = width / factor, rest = width % factor;
	uint32_t area = (uint32_t)factor * (uint32_t)rows;

	switch (factor) { /* the loops over a constant factor unroll */
	case 2: average_columns(sums, full, 2, area, to); break;
	case 4: average_columns(sums, full, 4, area, to); break;
	default: average_columns(sums, full, factor, area, to); break;
	}
	if (rest > 0)
		average_columns(sums + (size_t)full * (size_t)factor * 3, 1, rest,
		        (uint32_t)rest * (uint32_t)rows, to + (size_t)full * 3);
}

enum fm_status fm_image_shrink(
        const struct fm_image *source, int factor, struct fm_image *ret_image, struct fm_error *err)
{
	struct fm_image out;

	if (factor < 1 || factor > FACTOR_MAX)
		return fm_fail(
		        err, FM_E_INVALID, "shrinking by %d: the factor is 1 to %d", factor, FACTOR_MAX);
	int width = (source->width_px + factor - 1) / factor;
	int height = (source->height_px + factor - 1) / factor;
	size_t samples = (size_t)source->width_px * 3;
	uint16_t *sums = fm_calloc(samples, sizeof(*sums));
	if (!sums)
		return fm_fail(err, FM_E_NOMEM, "no memory to shrink an image");
	enum fm_status status = fm_image_create(width, height, &out, err);
	if (status == FM_OK && factor == 1) {
		for (int y = 0; y < height; y++)
			memcpy(out.pixels + (size_t)y * out.stride_bytes,
			        source->pixels + (size_t)y * source->stride_bytes, samples);
		*ret_image = out;
	} else if (status == FM_OK) {
		for (int y = 0; y < height; y++) {
			int first = y * factor, rows = source->height_px - first;
			rows = rows < factor ? rows : factor;
			memset(sums, 0, samples * sizeof(*sums));
			for (int k = 0; k < rows; k++)
				add_row(sums, source->pixels + (size_t)(first + k) * source->stride_bytes,
				        samples);
			average_row(sums, source->width_px, factor, rows,
			        out.pixels + (size_t)y * out.stride_bytes);
		}
		*ret_image = out;
	}
	fm_wipe(sums, samples * sizeof(*sums));
	free(sums);
	return status;
}

/* ---- any rectangle to any size ---- */

enum {
	WEIGHT_BITS = 16,
	WEIGHT_ONE = 1 << WEIGHT_BITS,
	ROW_BITS = 8,  /* fraction kept between the two passes */
	STRIP_PX = 64, /* output pixels and ... */
	CHUNK_PX = 512 /* ... source pixels worked on at a time, so that the stack is enough */
};

/*
 * The source pixels [first, end) along one axis that make up an output pixel: the first weighs `near`, the
 * last (where it is another) `far`, all between `mid`; `outside` is the border's part. The sum is WEIGHT_ONE.
 */
struct span {
	int first, end;
	uint32_t near, mid, far, outside;
};

static double clamp(double value, double low, double high)
{
	return value > low ? (value < high ? value : high) : low;
}

/* Area average over [start, start + length), length > 1. */
static struct span area_span(double start, double length, int limit)
{
	double low = clamp(start, 0, limit), high = clamp(start + length, 0, limit);
	struct span span = {.first = (int)low, .end = (int)ceil(high)};

	if (!(high > low))
		return (struct span){.outside = WEIGHT_ONE};
	uint32_t inside = (uint32_t)((high - low) / length * WEIGHT_ONE + 0.5);
	span.outside = WEIGHT_ONE - inside;
	if (span.end - span.first < 2) {
		span.near = inside;
		return span;
	}
	/* What rounding down takes from the middle goes to the ends, by how much of each is covered. */
	double near = span.first + 1 - low, far = high - (span.end - 1);
	span.mid = (uint32_t)(WEIGHT_ONE / length);
	uint32_t ends = inside - (uint32_t)(span.end - span.first - 2) * span.mid;
	span.near = (uint32_t)(ends * (near / (near + far)) + 0.5);
	span.far = ends - span.near;
	return span;
}

/* Bilinear at `centre`; within half a pixel of the source's edge the edge pixel stands alone. */
static struct span point_span(double centre, int limit)
{
	if (!(centre >= 0 && centre < limit))
		return (struct span){.outside = WEIGHT_ONE};
	double position = clamp(centre - 0.5, 0, limit - 1);
	int first = (int)position;
	uint32_t far = (uint32_t)((position - first) * WEIGHT_ONE + 0.5);
	return (struct span){
	        .first = first, .end = first + (far ? 2 : 1), .near = WEIGHT_ONE - far, .far = far};
}

/* Output pixel `index` of `count` that share the source's [start, start + length); `limit` pixels exist. */
static struct span make_span(int index, int count, double start, double length, int limit)
{
	double step = length / count;

	return step > 1 ? area_span(start + index * step, step, limit)
	                : point_span(start + (index + 0.5) * step, limit);
}

static void add_weighted(uint32_t *restrict sums, const uint8_t *restrict row, uint32_t weight, size_t count)
{
	size_t i = 0;

	for (; i + BLOCK <= count; i += BLOCK) {
		for (size_t k = 0; k < BLOCK; k++)
			sums[i + k] += weight * row[i + k];
	}
	for (; i < count; i++)
		sums[i] += weight * row[i];
}

/* Combines the rows of a span over source columns [left, left + columns), with ROW_BITS of fraction. */
static void blend_rows(const struct fm_image *source, const struct span *rows, int left, int columns,
        uint8_t border, uint16_t *restrict ret_blended)
{
	uint32_t sums[CHUNK_PX * 3];
	uint32_t start = rows->outside * border + (1u << (WEIGHT_BITS - ROW_BITS - 1));
	size_t samples = (size_t)columns * 3;
	const uint8_t *row = source->pixels + (size_t)rows->first * source->stride_bytes + (size_t)left * 3;

	/* Both buffers hold whole blocks. */
	for (size_t i = 0; i < samples; i += BLOCK) {
		for (size_t k = 0; k < BLOCK; k++)
			sums[i + k] = start;
	}
	for (int y = rows->first; y < rows->end; y++, row += source->stride_bytes) {
		uint32_t weight = y == rows->first ? rows->near : y == rows->end - 1 ? rows->far : rows->mid;
		add_weighted(sums, row, weight, samples);
	}
	for (size_t i = 0; i < samples; i += BLOCK) {
		for (size_t k = 0; k < BLOCK; k++)
			ret_blended[i + k] = (uint16_t)(sums[i + k] >> (WEIGHT_BITS - ROW_BITS));
	}
}

/* Adds what of the span lies in source columns [left, left + columns). */
static void add_columns(
        const struct span *span, int left, int columns, const uint16_t *blended, uint32_t sum[3])
{
	int first = span->first > left ? span->first : left;
	int end = span->end < left + columns ? span->end : left + columns;

	for (int x = first; x < end; x++) {
		uint32_t weight = x == span->first ? span->near : x == span->end - 1 ? span->far : span->mid;
		const uint16_t *pixel = blended + (size_t)(x - left) * 3;
		for (int c = 0; c < 3; c++)
			sum[c] += weight * pixel[c];
	}
}

static void resize_strip(const struct fm_image *source, const struct span *rows, const struct span *columns,
        int count, uint8_t border, uint8_t *to)
{
	uint32_t sums[STRIP_PX][3];
	uint16_t blended[CHUNK_PX * 3];
	int left = source->width_px, right = 0;

	for (int i = 0; i < count; i++) {
		for (int c = 0; c < 3; c++)
			sums[i][c] = (columns[i].outside * border << ROW_BITS) +
			             (1u << (WEIGHT_BITS + ROW_BITS - 1));
		if (columns[i].first == columns[i].end)
			continue;
		left = columns[i].first < left ? columns[i].first : left;
		right = columns[i].end > right ? columns[i].end : right;
	}
	for (; left < right; left += CHUNK_PX) {
		int chunk = right - left < CHUNK_PX ? right - left : CHUNK_PX;
		blend_rows(source, rows, left, chunk, border, blended);
		for (int i = 0; i < count; i++)
			add_columns(&columns[i], left, chunk, blended, sums[i]);
	}
	for (int i = 0; i < count; i++) {
		for (int c = 0; c < 3; c++)
			*to++ = (uint8_t)(sums[i][c] >> (WEIGHT_BITS + ROW_BITS));
	}
}

/* What resizing gives where every output pixel is one of the source's. */
static void copy_rect(
        const struct fm_image *source, int left, int top, uint8_t border, const struct fm_image *out)
{
	int first = left < 0 ? -left : 0, end = source->width_px - left;

	end = end < out->width_px ? end : out->width_px;
	for (int y = 0; y < out->height_px; y++) {
		uint8_t *to = out->pixels + (size_t)y * out->stride_bytes;
		if (top + y < 0 || top + y >= source->height_px || first >= end) {
			memset(to, border, (size_t)out->width_px * 3);
			continue;
		}
		memset(to, border, (size_t)first * 3);
		memcpy(to + (size_t)first * 3,
		        source->pixels + (size_t)(top + y) * source->stride_bytes +
		                (size_t)(left + first) * 3,
		        (size_t)(end - first) * 3);
		memset(to + (size_t)end * 3, border, (size_t)(out->width_px - end) * 3);
	}
}

/* Whether an edge lies at a pixel's, near enough to the image for an int. */
static bool is_whole(double edge_px)
{
	return edge_px == nearbyint(edge_px) && fabs(edge_px) < 1 << 24;
}

void fm_image_resize_rect(const struct fm_image *source, double x_px, double y_px, double width_px,
        double height_px, uint8_t border, struct fm_image *out)
{
	struct span columns[STRIP_PX];

	if (width_px == out->width_px && height_px == out->height_px && is_whole(x_px) && is_whole(y_px)) {
		copy_rect(source, (int)x_px, (int)y_px, border, out);
		return;
	}
	for (int strip = 0; strip < out->width_px; strip += STRIP_PX) {
		int count = out->width_px - strip < STRIP_PX ? out->width_px - strip : STRIP_PX;
		for (int i = 0; i < count; i++)
			columns[i] = make_span(strip + i, out->width_px, x_px, width_px, source->width_px);
		for (int y = 0; y < out->height_px; y++) {
			struct span rows = make_span(y, out->height_px, y_px, height_px, source->height_px);
			resize_strip(source, &rows, columns, count, border,
			        out->pixels + (size_t)y * out->stride_bytes + (size_t)strip * 3);
		}
	}
}
