#include "cli/compare_all.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/kernels/kernels.h"

#include <pthread.h>
#include <stdatomic.h>

#include "lib/base/banned.h"

/* Two tiles of 512 floats a row are 128 KiB each: half a common second-level cache. */
#define TILE_ROWS 64

struct shared {
	const struct fm_compare_all *all;
	const struct fm_kernels *kernels;
	atomic_size_t next; /* the next row of tiles */
};

struct worker {
	pthread_t thread;
	struct shared *shared;
	struct fm_histogram *histogram;
};

static void compare_tiles(
        const struct shared *shared, size_t first, size_t second, struct fm_histogram *histogram)
{
	const struct fm_compare_all *all = shared->all;
	size_t first_end = first + TILE_ROWS < all->count ? first + TILE_ROWS : all->count;
	size_t second_end = second + TILE_ROWS < all->count ? second + TILE_ROWS : all->count;

	for (size_t i = first; i < first_end; i++) {
		const float *row = all->embeddings + i * all->dim;
		for (size_t j = second > i ? second : i + 1; j < second_end; j++) {
			size_t bin = fm_histogram_bin(
			        shared->kernels->dot_f32(row, all->embeddings + j * all->dim, all->dim));
			if (all->person[i] == all->person[j])
				histogram->genuine[bin]++;
			else
				histogram->impostors[bin]++;
		}
	}
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct shared *shared = worker->shared;

	for (;;) {
		size_t first = atomic_fetch_add(&shared->next, 1) * TILE_ROWS;
		if (first >= shared->all->count)
			return NULL;
		for (size_t second = first; second < shared->all->count; second += TILE_ROWS)
			compare_tiles(shared, first, second, worker->histogram);
	}
}

enum fm_status fm_compare_all_run(const struct fm_compare_all *all, size_t threads,
        struct fm_histogram *histogram, struct fm_error *err)
{
	struct shared shared = {.all = all, .kernels = fm_kernels_best()};
	size_t tiles = (all->count + TILE_ROWS - 1) / TILE_ROWS, started = 0;
	enum fm_status status = FM_OK;

	threads = threads < tiles ? threads : tiles;
	fm_autofree struct worker *workers = fm_calloc(threads + 1, sizeof(*workers));
	fm_autofree struct fm_histogram *histograms = fm_calloc(threads + 1, sizeof(*histograms));
	if (!workers || !histograms)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu histograms", threads);
	for (; started < threads; started++) {
		struct worker *worker = &workers[started];
		worker->shared = &shared;
		worker->histogram = &histograms[started];
		int errnum = pthread_create(&worker->thread, NULL, work, worker);
		if (errnum) {
			status = fm_fail_errno(err, errnum, "cannot start thread %zu", started + 1);
			atomic_store(&shared.next, tiles);
			break;
		}
	}
	for (size_t i = 0; i < started; i++)
		pthread_join(workers[i].thread, NULL);
	for (size_t i = 0; !status && i < started; i++)
		fm_histogram_add(histogram, &histograms[i]);
	return status;
}
