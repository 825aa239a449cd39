#include "lib/nn/strips.h"

#include "lib/base/size.h"

#include <string.h>
#include <time.h>

#include "lib/base/banned.h"

#define MEMBERS_MAX 32
/* All windows of a chain: a part of the second cache, beside weights and what is read and written outside. */
#define WINDOWS_BYTES ((size_t)384 * 1024)
/* Windows do not begin at the same place in a page: see fm_plan_make. */
#define APART_FLOATS ((size_t)17 * 16)

struct member {
	struct fm_step step;
	uint32_t residual; /* a value, or FM_VALUE_NONE */
	size_t scratch;    /* bytes into the scratch */
	/* Of its output, but for the last member's, which is a tensor. */
	size_t window, window_rows; /* in floats behind the members' scratch */
	size_t first, further; /* output rows that its first strip makes, and the most that others make */
};

struct chain {
	struct member *members;
	size_t count;
	size_t rows;    /* output rows of the last member in a strip */
	size_t windows; /* bytes into the scratch */
};

/* How far a run has come. */
struct progress {
	size_t made[MEMBERS_MAX];   /* output rows of each member */
	size_t wanted[MEMBERS_MAX]; /* by the end of this strip */
	size_t base[MEMBERS_MAX];   /* the row at the top of its window */
};

uint64_t fm_clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- running --------------------------------------------------------------------------------- */

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* How many input rows the first `rows` rows of output need. */
static size_t rows_under(const struct fm_strip_shape *s, size_t rows)
{
	const size_t end = rows ? (rows - 1) * s->stride + (s->kernel - 1) * s->dilation + 1 : 0;

	return smaller(s->in_h, end > s->pad ? end - s->pad : 0);
}

/* The topmost input row that outputs from `row` on need. */
static size_t row_needed(const struct fm_strip_shape *s, size_t row)
{
	return row * s->stride > s->pad ? row * s->stride - s->pad : 0;
}

/* Where member m puts its next rows. Where its window is full, what the reader needs again moves to the top.
 */
static float *next_rows(const struct chain *chain, struct progress *at, size_t m, float *window)
{
	const struct member *member = &chain->members[m];
	const size_t row = member->step.strip.out_row;

	if (at->wanted[m] - at->base[m] > member->window_rows) {
		const size_t needed = row_needed(&member[1].step.strip, at->made[m + 1]);
		const size_t top = smaller(needed, at->made[m]);

		memmove(window, window + (top - at->base[m]) * row,
		        (at->made[m] - top) * row * sizeof(*window));
		at->base[m] = top;
	}
	return window + (at->made[m] - at->base[m]) * row;
}

static void advance(const struct fm_step *step, const struct fm_run *run, struct progress *at, size_t m)
{
	const struct chain *chain = step->state;
	const struct member *member = &chain->members[m];
	const size_t done = at->made[m] * member->step.strip.out_row;
	float *windows = (float *)((char *)run->scratch + chain->windows);
	struct fm_strip strip = {.begin = at->made[m], .end = at->wanted[m]};
	struct fm_run own = *run;

	own.scratch = (char *)run->scratch + member->scratch;
	if (m == 0) {
		strip.in = run->values[step->inputs[0]];
	} else {
		strip.in = windows + member[-1].window;
		strip.in_first = at->base[m - 1];
	}
	if (m + 1 == chain->count)
		strip.out = (float *)run->values[step->outputs[0]] + done;
	else
		strip.out = next_rows(chain, at, m, windows + member->window);
	if (member->residual != FM_VALUE_NONE)
		strip.residual = (const float *)run->values[member->residual] + done;
	member->step.run_strip(&member->step, &own, &strip);
	at->made[m] = at->wanted[m];
}

static void run_chain(const struct fm_step *step, const struct fm_run *run)
{
	const struct chain *chain = step->state;
	const size_t last = chain->count - 1, out_h = chain->members[last].step.strip.out_h;
	struct progress at = {0};

	for (size_t m = 0; run->layer_ns && m < chain->count; m++)
		run->layer_ns[m] = 0;
	while (at.made[last] < out_h) {
		at.wanted[last] = smaller(at.made[last] + chain->rows, out_h);
		for (size_t m = last; m > 0; m--)
			at.wanted[m - 1] = rows_under(&chain->members[m].step.strip, at.wanted[m]);
		for (size_t m = 0; m <= last; m++) {
			const uint64_t start = run->layer_ns ? fm_clock_ns() : 0;

			/* A kernel that skips rows may need none this time. */
			if (at.made[m] < at.wanted[m])
				advance(step, run, &at, m);
			if (run->layer_ns)
				run->layer_ns[m] += fm_clock_ns() - start;
		}
	}
}

/* ---- making ---------------------------------------------------------------------------------- */

/* Whether `next` carries on where `step` ends. */
static bool follows(const struct fm_graph *graph, const struct fm_step *step, const struct fm_step *next,
        size_t bytes_min)
{
	const uint32_t v = step->outputs[0];

	return next->run_strip && !next->strip.first_only && next->inputs[0] == v &&
	       graph->values[v].uses == 1 && graph->values[v].elements * sizeof(float) >= bytes_min;
}

/* Lays out the windows for strips of `rows` output rows of the last member; returns their bytes. */
static size_t lay_windows(struct member *members, size_t count, size_t rows)
{
	size_t floats = 0;

	members[count - 1].first = members[count - 1].further = rows;
	for (size_t m = count - 1; m > 0; m--) {
		const struct fm_strip_shape *s = &members[m].step.strip;
		const size_t reach = (s->kernel - 1) * s->dilation + 1;
		const size_t kept = reach > s->stride ? reach - s->stride : 0;
		const size_t most =
		        members[m].first > members[m].further ? members[m].first : members[m].further;

		members[m - 1].first = rows_under(s, members[m].first);
		members[m - 1].further = smaller(s->in_h, members[m].further * s->stride);
		/* Where rows are needed again, room for two strips: they move half as often then. */
		members[m - 1].window_rows = smaller(s->in_h, (kept ? 2 : 1) * most * s->stride + kept);
		members[m - 1].window = floats;
		floats += ((members[m - 1].window_rows * s->in_row + 15) & ~(size_t)15) + APART_FLOATS;
	}
	return floats * sizeof(float);
}

/* The most rows whose windows fit; pairs, which kernels like, where it is more than one. */
static size_t choose_rows(struct member *members, size_t count)
{
	size_t rows = members[count - 1].step.strip.out_h;

	while (rows > 1 && lay_windows(members, count, rows) > WINDOWS_BYTES)
		rows = rows > 64 ? rows / 2 : rows > 2 ? (rows - 1) / 2 * 2 : 1;
	return rows;
}

/*
 * Whether the output may be written over that value, a residual of the last member: no other member may read
 * a row of it after that row is written.
 */
static bool may_replace(const struct member *members, size_t count, uint32_t value)
{
	const struct fm_strip_shape *first = &members[0].step.strip;

	for (size_t m = 0; m + 1 < count; m++)
		if (members[m].residual == value)
			return false;
	return members[0].step.inputs[0] != value ||
	       (first->kernel == 1 && first->stride == 1 && first->pad == 0 &&
	               first->in_row == members[count - 1].step.strip.out_row);
}

static size_t round64(size_t bytes)
{
	return (bytes + 63) & ~(size_t)63;
}

static enum fm_status nomem(struct fm_error *err)
{
	return fm_fail(err, FM_E_NOMEM, "the network needs more memory than there is or is allowed");
}

/* Makes one step of `count` of them. */
static enum fm_status join(const struct fm_build *build, struct member *members, size_t count, size_t rows,
        struct fm_step *ret_step, struct fm_error *err)
{
	struct chain *chain = fm_arena_alloc(build->arena, 1, sizeof(*chain));
	struct fm_layer_info *layers = fm_arena_alloc(build->arena, count, sizeof(*layers));
	uint32_t *inputs = fm_arena_alloc(build->arena, count + 1, sizeof(*inputs));
	struct fm_step step = members[count - 1].step;
	size_t shared = 0;

	if (!chain || !layers || !inputs)
		return nomem(err);
	const size_t windows_bytes = lay_windows(members, count, rows);

	step.run = run_chain;
	step.run_strip = NULL;
	step.state = chain;
	step.inputs = inputs;
	step.input_count = 1;
	inputs[0] = members[0].step.inputs[0];
	for (size_t m = 0; m < count; m++) {
		bool known = members[m].residual == FM_VALUE_NONE;

		for (size_t i = 0; i < step.input_count; i++)
			known |= inputs[i] == members[m].residual;
		if (!known)
			inputs[step.input_count++] = members[m].residual;
		layers[m] = members[m].step.info;
		/* The first one's scratch keeps what it holds from strip to strip. */
		members[m].scratch = m ? round64(members[0].step.scratch_bytes) : 0;
		if (m && members[m].step.scratch_bytes > shared)
			shared = members[m].step.scratch_bytes;
	}
	if (step.in_place != FM_VALUE_NONE && !may_replace(members, count, step.in_place))
		step.in_place = FM_VALUE_NONE;
	chain->members = fm_arena_memdup(build->arena, members, count, sizeof(*members));
	if (!chain->members)
		return nomem(err);
	chain->count = count;
	chain->rows = rows;
	chain->windows = members[count - 1].scratch + round64(shared);
	step.scratch_bytes = chain->windows + windows_bytes;
	step.layers = layers;
	step.layer_count = count;
	*ret_step = step;
	return FM_OK;
}

enum fm_status fm_strips_make(const struct fm_build *build, struct fm_step *steps, size_t *count,
        size_t bytes_min, struct fm_error *err)
{
	struct member members[MEMBERS_MAX];
	size_t to = 0;

	for (size_t s = 0; s < *count;) {
		size_t length = 0;

		do {
			const struct fm_step *step = &steps[s + length];

			members[length++] = (struct member){.step = *step,
			        .residual = step->input_count > 1 ? step->inputs[1] : FM_VALUE_NONE};
		} while (steps[s].run_strip && s + length < *count && length < MEMBERS_MAX &&
		         follows(build->graph, &steps[s + length - 1], &steps[s + length], bytes_min));
		const size_t rows = length > 1 ? choose_rows(members, length) : 0;
		if (length > 1 && rows < members[length - 1].step.strip.out_h) {
			enum fm_status status = join(build, members, length, rows, &steps[to++], err);

			if (status)
				return status;
			s += length;
		} else {
			memmove(&steps[to++], &steps[s++], sizeof(*steps));
		}
	}
	*count = to;
	return FM_OK;
}
