/*
 * What networks compute between their products, over shapes that EdgeFace-XS, YuNet, the detectors and
 * fr_feature_qdq have, one thread: time of a call, of an element, and memory read and written.
 *
 *   bench_between [ISA ...]     default: every vector row that this machine runs
 *
 * Medians.
 */
#include "lib/base/size.h"
#include "lib/kernels/grid.h"
#include "lib/kernels/transformer.h"
#include "tests/bench/timing.h"

#include "lib/base/banned.h"

#define COLUMNS_MAX 144

struct work {
	const struct fm_kernels *kernels;
	const struct fm_transformer_kernels *transformer;
	const struct fm_grid_kernels *grids;
	size_t m, k; /* rows, and floats of each */
	float *in, *out, *channel, *scratch;
	uint8_t *codes;
	struct fm_row_quant *quant;
	const float *columns[COLUMNS_MAX];
	struct fm_attention attention;
	struct fm_dwconv_shape pool;
};

static void run_exp(void *work)
{
	const struct work *w = work;

	w->transformer->exp_f32(w->out, w->in, w->m * w->k);
}

static void run_gelu(void *work)
{
	const struct work *w = work;

	w->transformer->gelu_f32(w->out, w->in, w->m * w->k);
}

static void run_layer_norm(void *work)
{
	const struct work *w = work;

	w->transformer->layer_norm_f32(w->out, w->k, w->in, w->k, w->m, w->k, w->channel, w->channel, 1e-6f);
}

static void run_attention(void *work)
{
	const struct work *w = work;

	w->transformer->attention_f32(w->out, w->in, w->scratch, &w->attention);
}

static void run_pool(void *work)
{
	const struct work *w = work;

	w->kernels->max_pool_f32(w->out, w->in, &w->pool);
}

static void run_columns(void *work)
{
	const struct work *w = work;

	w->kernels->quantize_columns(w->codes, w->quant, w->columns, w->m, w->k, w->k, w->columns, w->k);
}

static const struct fm_grid grid = {.scale = 0.01f, .inverse = 100.0f, .low = -100.0f, .high = 155.0f};

static void run_grid_chain(void *work)
{
	const struct work *w = work;
	const struct fm_grid_chain chain = {
	        .first = &grid, .last = &grid, .activation = FM_ACT_PRELU, .slope = w->channel};

	w->grids->chain_f32(w->out, w->k, w->m, w->k, &chain);
}

static void run_grid_quantize(void *work)
{
	const struct work *w = work;

	w->grids->quantize_f32(w->codes, w->quant, w->in, w->k, w->m, w->k, w->k, &grid);
}

/* bytes: what is read and written for each of the m x k elements. */
static const struct kernel {
	const char *name;
	void (*run)(void *work);
	size_t m, k;
	double bytes;
} kernels[] = {
        {"exp_f32", run_exp, 1, 8840, 8},
        {"gelu_f32", run_gelu, 784, 128, 8},
        {"gelu_f32", run_gelu, 49, 400, 8},
        {"layer_norm_f32", run_layer_norm, 784, 32, 8},
        {"layer_norm_f32", run_layer_norm, 49, 100, 8},
        {"max_pool_f32, 2 x 2", run_pool, (size_t)160 * 160, 16, 5},
        {"max_pool_f32, 2 x 2", run_pool, (size_t)80 * 80, 64, 5},
        {"quantize_columns", run_columns, 160, 28, 5},
        {"quantize_columns", run_columns, 160, COLUMNS_MAX, 5},
        {"grid chain_f32, prelu", run_grid_chain, 3136, 64, 8},
        {"grid chain_f32, prelu", run_grid_chain, 196, 256, 8},
        {"grid quantize_f32", run_grid_quantize, 3136, 64, 5},
        {"grid quantize_f32", run_grid_quantize, 196, 256, 5},
};

static const struct {
	size_t tokens, size;
} attentions[] = {{196, 16}, {49, 25}, {9, 48}};
#define HEADS 4

static struct work work_init(const struct fm_kernels *table, size_t m, size_t k, size_t in, size_t out)
{
	struct work w = {
	        .kernels = table,
	        .transformer = fm_transformer_kernels_for(table->isa),
	        .grids = fm_grid_kernels_for(table->isa),
	        .m = m,
	        .k = k,
	        .in = alloc_floats(in),
	        .out = alloc_floats(out),
	        .channel = alloc_floats(k),
	        .codes = alloc(m * (k + 64)),
	        .quant = alloc(m * sizeof(struct fm_row_quant)),
	};

	return w;
}

static void work_done(struct work *w)
{
	free(w->in);
	free(w->out);
	free(w->channel);
	free(w->scratch);
	free(w->codes);
	free(w->quant);
}

static void print_row(const char *name, double seconds, double elements, double bytes)
{
	printf("%-40s %9.2f us %7.3f ns an element", name, seconds * 1e6, seconds / elements * 1e9);
	if (bytes > 0)
		printf(" %6.1f GB/s", elements * bytes / seconds * 1e-9);
	printf("\n");
}

static void bench_kernel(const struct fm_kernels *table, const struct kernel *kernel)
{
	const size_t m = kernel->m, k = kernel->k, side = k == 16 ? 160 : 80;
	struct work w = work_init(table, m, k, m * k, m * k);
	char name[64];

	for (size_t t = 0; t < k && t < COLUMNS_MAX; t++)
		w.columns[t] = w.in + t * m;
	w.pool = (struct fm_dwconv_shape){.in_h = side,
	        .in_w = side,
	        .out_h = side / 2,
	        .out_w = side / 2,
	        .channels = k,
	        .kernel_h = 2,
	        .kernel_w = 2,
	        .stride_h = 2,
	        .stride_w = 2,
	        .dilation_h = 1,
	        .dilation_w = 1};
	snprintf(name, sizeof(name), "%s, %zu x %zu", kernel->name, m, k);
	print_row(name, time_s(kernel->run, &w), (double)(m * k), kernel->bytes);
	work_done(&w);
}

static void bench_attention(const struct fm_kernels *table, size_t tokens, size_t size)
{
	static const float temperature[HEADS] = {1, 1, 1, 1};
	const size_t channels = HEADS * size;
	struct work w = work_init(table, tokens, channels, 3 * tokens * channels, tokens * channels);
	char name[64];

	w.attention = (struct fm_attention){.tokens = tokens,
	        .heads = HEADS,
	        .size = size,
	        .temperature = temperature,
	        .norm_min = 1e-12f};
	w.scratch = alloc(fm_attention_scratch_floats(&w.attention) * sizeof(float));
	const double seconds = time_s(run_attention, &w), macs = 2.0 * (double)(tokens * channels * size);
	snprintf(name, sizeof(name), "attention_f32, %zu tokens, %d heads of %zu", tokens, HEADS, size);
	printf("%-40s %9.2f us %7.1f GMAC/s\n", name, seconds * 1e6, macs / seconds * 1e-9);
	work_done(&w);
}

int main(int argc, char **argv)
{
	bool wanted[FM_ISA_COUNT] = {false};

	fm_cpu_flush_denormals();
	for (int i = 1; i < argc; i++) {
		struct fm_error err;
		enum fm_isa isa;

		if (fm_isa_parse(argv[i], &isa, &err) != FM_OK) {
			fprintf(stderr, "bench_between: %s\n", err.message);
			return EXIT_FAILURE;
		}
		wanted[isa] = true;
	}
	for (int isa = 0; isa < FM_ISA_COUNT; isa++) {
		const struct fm_kernels *table = fm_kernels_for((enum fm_isa)isa);

		if (table == NULL || !(argc > 1 ? wanted[isa] : isa > FM_ISA_SCALAR))
			continue;
		printf("\n%s\n", fm_isa_name(table->isa));
		for (size_t i = 0; i < FM_ARRAY_SIZE(kernels); i++)
			bench_kernel(table, &kernels[i]);
		for (size_t i = 0; i < FM_ARRAY_SIZE(attentions); i++)
			bench_attention(table, attentions[i].tokens, attentions[i].size);
	}
	return EXIT_SUCCESS;
}
