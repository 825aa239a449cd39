/* Rectangles of the upright, full-size photo, in pixels; they may leave the photo. Threads: pure. */
#ifndef FM_FACE_BOX_H
#define FM_FACE_BOX_H

struct fm_box {
	float x_px, y_px, width_px, height_px;
};

static inline float fm_box_area(const struct fm_box *box)
{
	return box->width_px * box->height_px;
}

/* Area that two boxes share; 0 when they do not meet. */
static inline float fm_box_overlap(const struct fm_box *a, const struct fm_box *b)
{
	float left = a->x_px > b->x_px ? a->x_px : b->x_px;
	float top = a->y_px > b->y_px ? a->y_px : b->y_px;
	float a_right = a->x_px + a->width_px, b_right = b->x_px + b->width_px;
	float a_bottom = a->y_px + a->height_px, b_bottom = b->y_px + b->height_px;
	float width = (a_right < b_right ? a_right : b_right) - left;
	float height = (a_bottom < b_bottom ? a_bottom : b_bottom) - top;

	return width > 0 && height > 0 ? width * height : 0;
}

#endif
