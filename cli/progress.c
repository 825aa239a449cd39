#include "cli/progress.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/banned.h"

#define REDRAW_S      0.1
#define WIDTH_DEFAULT 80
#define BAR_COLUMNS   24

double fm_clock_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

size_t fm_progress_format(
        char *line, size_t size, int width, const char *unit, size_t done, size_t total, double elapsed_s)
{
	static const char full[] = "########################", empty[] = "------------------------";
	int filled = total ? (int)(done * BAR_COLUMNS / total) : BAR_COLUMNS;
	double rate = elapsed_s > 0 ? (double)done / elapsed_s : 0;
	long left_s = rate > 0 ? (long)((double)(total - done) / rate + 0.5) : -1;
	char text[160], left[32] = "";

	if (left_s >= 0)
		snprintf(left, sizeof(left), ", %ld:%02ld left", left_s / 60, left_s % 60);
	snprintf(text, sizeof(text), "[%.*s%.*s] %zu/%zu %s, %.1f/s%s", filled, full, BAR_COLUMNS - filled,
	        empty, done, total, unit, rate, left);
	return (size_t)snprintf(line, size, "%.*s", width, text);
}

/* With the lock held. */
static void draw(struct fm_progress *progress, double now_s)
{
	struct winsize window;
	char line[160];
	int width = WIDTH_DEFAULT;

	/* The last column stays free: a terminal would wrap there. */
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 1)
		width = window.ws_col - 1;
	fm_progress_format(line, sizeof(line), width, progress->unit, progress->done, progress->total,
	        now_s - progress->start_s);
	fprintf(stderr, "\r\033[K%s", line);
	fflush(stderr);
	progress->drawn_s = now_s;
}

void fm_progress_begin(struct fm_progress *progress, const char *unit, size_t total)
{
	*progress = (struct fm_progress){.unit = unit,
	        .total = total,
	        .start_s = fm_clock_s(),
	        .shown = total > 1 && isatty(STDERR_FILENO)};
	pthread_mutex_init(&progress->lock, NULL);
	if (progress->shown)
		draw(progress, progress->start_s);
}

void fm_progress_step(struct fm_progress *progress)
{
	pthread_mutex_lock(&progress->lock);
	progress->done++;
	if (progress->shown) {
		double now_s = fm_clock_s();
		if (now_s - progress->drawn_s >= REDRAW_S)
			draw(progress, now_s);
	}
	pthread_mutex_unlock(&progress->lock);
}

void fm_progress_set(struct fm_progress *progress, size_t done, size_t total)
{
	pthread_mutex_lock(&progress->lock);
	progress->done = done;
	progress->total = total;
	if (progress->shown)
		draw(progress, fm_clock_s());
	pthread_mutex_unlock(&progress->lock);
}

void fm_progress_hide(struct fm_progress *progress)
{
	pthread_mutex_lock(&progress->lock);
	if (progress->shown)
		fputs("\r\033[K", stderr);
	progress->drawn_s = 0;
	pthread_mutex_unlock(&progress->lock);
}

void fm_progress_end(struct fm_progress *progress)
{
	fm_progress_hide(progress);
	pthread_mutex_destroy(&progress->lock);
}
