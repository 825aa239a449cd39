#include "lib/nn/nd.h"

#include <string.h>

#include "lib/base/banned.h"

static void swap_dims(struct fm_nd *nd, size_t i, size_t j)
{
	size_t dim = nd->dims[i];

	nd->dims[i] = nd->dims[j];
	nd->dims[j] = dim;
	for (size_t o = 0; o < FM_ND_OPERANDS; o++) {
		ptrdiff_t stride = nd->strides[o][i];

		nd->strides[o][i] = nd->strides[o][j];
		nd->strides[o][j] = stride;
	}
}

static void remove_dim(struct fm_nd *nd, size_t i)
{
	for (; i + 1 < nd->rank; i++)
		swap_dims(nd, i, i + 1);
	nd->rank--;
}

static bool mergeable(const struct fm_nd *nd, size_t i)
{
	for (size_t o = 0; o < FM_ND_OPERANDS; o++)
		if (nd->strides[o][i] != nd->strides[o][i + 1] * (ptrdiff_t)nd->dims[i + 1])
			return false;
	return true;
}

void fm_nd_normalize(struct fm_nd *nd)
{
	for (size_t i = nd->rank; i-- > 0;)
		if (nd->dims[i] == 1)
			remove_dim(nd, i);
	for (size_t i = 1; i < nd->rank; i++)
		for (size_t j = i; j > 0 && nd->strides[0][j] > nd->strides[0][j - 1]; j--)
			swap_dims(nd, j, j - 1);
	for (size_t i = nd->rank; i-- > 1;) {
		if (!mergeable(nd, i - 1))
			continue;
		nd->dims[i] *= nd->dims[i - 1];
		remove_dim(nd, i - 1);
	}
	while (nd->rank < 2) {
		nd->dims[nd->rank] = 1;
		for (size_t o = 0; o < FM_ND_OPERANDS; o++)
			nd->strides[o][nd->rank] = 1;
		nd->rank++;
		for (size_t i = nd->rank - 1; i > 0; i--)
			swap_dims(nd, i, i - 1);
	}
}

size_t fm_broadcast_dim(const struct fm_value *value, size_t rank, size_t i)
{
	return i + value->rank < rank ? 1 : value->dims[i + value->rank - rank];
}

void fm_broadcast_strides(const struct fm_value *value, size_t rank, ptrdiff_t *ret_strides)
{
	ptrdiff_t own[FM_ONNX_RANK_MAX];

	fm_value_strides(value, own);
	for (size_t i = 0; i < rank; i++)
		ret_strides[i] = fm_broadcast_dim(value, rank, i) == 1 ? 0 : own[i + value->rank - rank];
}

bool fm_nd_same_order(const struct fm_nd *nd)
{
	return nd->rank == 2 && nd->dims[0] == 1 && nd->strides[0][1] == 1 && nd->strides[1][1] == 1;
}

void fm_nd_walk(const struct fm_nd *nd, size_t element_bytes, void *out, const void *a, const void *b,
        fm_nd_plane plane)
{
	size_t index[FM_ONNX_RANK_MAX] = {0};
	const ptrdiff_t size = (ptrdiff_t)element_bytes;
	ptrdiff_t at[FM_ND_OPERANDS] = {0};
	const size_t outer = nd->rank - 2;

	for (size_t i = 0; i < nd->rank; i++)
		if (!nd->dims[i])
			return;
	for (;;) {
		plane(nd, (char *)out + at[0] * size, (const char *)a + at[1] * size,
		        b ? (const char *)b + at[2] * size : NULL);
		size_t i = outer;
		for (; i-- > 0;) {
			for (size_t o = 0; o < FM_ND_OPERANDS; o++)
				at[o] += nd->strides[o][i];
			if (++index[i] < nd->dims[i])
				break;
			index[i] = 0;
			for (size_t o = 0; o < FM_ND_OPERANDS; o++)
				at[o] -= nd->strides[o][i] * (ptrdiff_t)nd->dims[i];
		}
		if (i == SIZE_MAX)
			return;
	}
}

/* Elements are moved through memcpy of a constant size: one load and one store. */
static inline __attribute__((always_inline)) void copy_elements(char *out, const char *a, size_t rows,
        size_t columns, ptrdiff_t out_row, ptrdiff_t a_row, ptrdiff_t out_step, ptrdiff_t a_step,
        const size_t size)
{
	for (size_t i = 0; i < rows; i++, out += out_row, a += a_row)
		for (size_t j = 0; j < columns; j++)
			memcpy(out + (ptrdiff_t)j * out_step, a + (ptrdiff_t)j * a_step, size);
}

/* Short rows, of points, boxes and scores, are fewer elements of two, four or eight times the size. */
static inline __attribute__((always_inline)) void copy_plane(
        const struct fm_nd *nd, void *out, const void *a, const size_t size)
{
	const size_t rows = nd->dims[nd->rank - 2], columns = nd->dims[nd->rank - 1];
	const ptrdiff_t bytes = (ptrdiff_t)size;
	const ptrdiff_t out_row = nd->strides[0][nd->rank - 2] * bytes;
	const ptrdiff_t a_row = nd->strides[1][nd->rank - 2] * bytes;
	const ptrdiff_t out_step = nd->strides[0][nd->rank - 1] * bytes;
	const ptrdiff_t a_step = nd->strides[1][nd->rank - 1] * bytes;
	const bool whole = out_step == bytes && a_step == bytes;

	if (whole && columns >= 16)
		for (size_t i = 0; i < rows; i++)
			memcpy((char *)out + (ptrdiff_t)i * out_row, (const char *)a + (ptrdiff_t)i * a_row,
			        columns * size);
	else if (whole && columns % 8 == 0)
		copy_elements(out, a, rows, columns / 8, out_row, a_row, 8 * bytes, 8 * bytes, 8 * size);
	else if (whole && columns % 4 == 0)
		copy_elements(out, a, rows, columns / 4, out_row, a_row, 4 * bytes, 4 * bytes, 4 * size);
	else if (whole && columns % 2 == 0)
		copy_elements(out, a, rows, columns / 2, out_row, a_row, 2 * bytes, 2 * bytes, 2 * size);
	else
		copy_elements(out, a, rows, columns, out_row, a_row, out_step, a_step, size);
}

static void copy_plane1(const struct fm_nd *nd, void *out, const void *a, const void *b)
{
	(void)b;
	copy_plane(nd, out, a, 1);
}

static void copy_plane4(const struct fm_nd *nd, void *out, const void *a, const void *b)
{
	(void)b;
	copy_plane(nd, out, a, 4);
}

static void copy_plane8(const struct fm_nd *nd, void *out, const void *a, const void *b)
{
	(void)b;
	copy_plane(nd, out, a, 8);
}

void fm_nd_copy(const struct fm_nd *nd, size_t element_bytes, void *out, const void *a)
{
	fm_nd_walk(nd, element_bytes, out, a, NULL,
	        element_bytes == 8   ? copy_plane8
	        : element_bytes == 4 ? copy_plane4
	                             : copy_plane1);
}
