#include "lib/gallery/internal.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define FIRST_CAPACITY 16

struct list {
	char *items;
	size_t count, capacity;
};

static void drop(struct list *list, const struct fm_row_kind *kind)
{
	for (size_t i = 0; i < list->count; i++)
		kind->done(list->items + i * kind->bytes);
	free(list->items);
}

static enum fm_status append(
        struct list *list, const struct fm_row_kind *kind, struct fm_query *query, struct fm_error *err)
{
	if (list->count == list->capacity) {
		size_t capacity = list->capacity ? list->capacity * 2 : FIRST_CAPACITY;
		char *grown = reallocarray(list->items, capacity, kind->bytes);

		if (!grown)
			return fm_fail(err, FM_E_NOMEM, "gallery: no memory for %zu rows", capacity);
		list->items = grown;
		list->capacity = capacity;
	}
	enum fm_status status = kind->read(query, list->items + list->count * kind->bytes, err);

	list->count += status == FM_OK;
	return status;
}

enum fm_status fm_rows_read(struct fm_query *query, const struct fm_row_kind *kind, void *ret_items,
        size_t *ret_count, struct fm_error *err)
{
	struct list list = {0};
	bool row = true;
	enum fm_status status = FM_OK;

	while (status == FM_OK && row) {
		status = fm_query_next(query, &row, err);
		if (status == FM_OK && row)
			status = append(&list, kind, query, err);
	}
	if (status != FM_OK) {
		drop(&list, kind);
		return status;
	}
	memcpy(ret_items, &list.items, sizeof(list.items)); /* a pointer to whatever kind it is */
	*ret_count = list.count;
	return FM_OK;
}
