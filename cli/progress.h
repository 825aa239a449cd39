/*
 * A progress bar on stderr, only when that is a terminal: how many of how many, the rate and the time left.
 * Threads: step is safe; begin and end belong to one thread.
 */
#ifndef FM_CLI_PROGRESS_H
#define FM_CLI_PROGRESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct fm_progress {
	pthread_mutex_t lock;
	const char *unit; /* "photos" */
	size_t total, done;
	double start_s, drawn_s;
	bool shown;
};

void fm_progress_begin(struct fm_progress *progress, const char *unit, size_t total);
void fm_progress_step(struct fm_progress *progress);
/* How far somebody else is. done <= total. */
void fm_progress_set(struct fm_progress *progress, size_t done, size_t total);
/* Takes the bar off the terminal, so that messages can follow. A later step shows it again. */
void fm_progress_hide(struct fm_progress *progress);
void fm_progress_end(struct fm_progress *progress);

/*
 * The bar as text, for a line of `width` columns. Returns the bytes that snprintf would have written.
 * done <= total; elapsed_s >= 0.
 */
size_t fm_progress_format(
        char *line, size_t size, int width, const char *unit, size_t done, size_t total, double elapsed_s);

/* CLOCK_MONOTONIC in seconds. */
double fm_clock_s(void);

#endif
