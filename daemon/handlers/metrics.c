/* GET /metrics */
#include "daemon/handlers/handlers.h"

#include "daemon/app.h"
#include "daemon/reembed.h"
#include "lib/base/cleanup.h"
#include "lib/cpu/cpu.h"

#include "lib/base/banned.h"

/* Grows with routes and statuses, never with what clients send. */
#define METRICS_MAX_BYTES (1 << 20)

enum fm_problem fm_handle_metrics(struct fm_exchange *exchange, struct fm_error *err)
{
	const struct fm_app *app = exchange->app;
	const struct fm_serving *serving = exchange->serving;
	struct fm_reembed_progress progress = fm_reembed_progress(app->reembed);
	struct fm_pool_load load = fm_pool_load(app->pool);
	struct fm_index_size size = fm_index_total(serving->index);
	const struct fm_gauges gauges = {
	        .workers = load.workers,
	        .workers_busy = load.busy,
	        .queue_length = load.queued,
	        .queue_maximum = load.queue_length,
	        .people = size.people,
	        .faces = size.faces,
	        .unsearched = (size_t)atomic_load(&app->unsearched_faces),
	        .reembed_running = progress.running,
	        .reembed_done = (size_t)progress.done,
	        .reembed_total = (size_t)progress.total,
	        .reembed_skipped = (size_t)progress.skipped,
	        .isa = fm_isa_name(fm_isa_best()),
	        .model = fm_serving_model(serving),
	        .precision = fm_precision_name(fm_net_precision(serving->models->embedding->net)),
	};
	fm_cleanup(fm_buf_done) struct fm_buf text;
	size_t length;

	fm_buf_init(&text, METRICS_MAX_BYTES);
	enum fm_status status = fm_metrics_write(app->metrics, &gauges, &text, err);
	if (status)
		return fm_problem_of(status);
	char *body = fm_buf_take(&text, &length);
	fm_reply_text(&exchange->reply, 200, "text/plain; version=0.0.4; charset=utf-8", body, length);
	return FM_PROBLEM_NONE;
}
