/*
 * Kernels over the shapes that fr_feature and fr_detect have, one thread: time, rate, and share of this
 * core's bound.
 *
 *   bench_kernels [ISA ...]     default: every vector row that this machine runs
 *   bench_kernels --peaks       a line for every row: ISA, bound of u8s8 and of f32 in GMAC/s, 0 where not
 * measured
 *
 * Medians. Bounds are measured here too, as the best sample: the instruction's rate on registers alone, and a
 * read of memory.
 */
#include "lib/base/size.h"
#include "lib/kernels/kernels.h"
#include "tests/bench/timing.h"

#include <string.h>

#include "lib/base/banned.h"

#define GALLERY_ROWS 192000 /* more than any cache holds, at 512 bytes a row */

static int8_t *alloc_codes(size_t count)
{
	int8_t *codes = alloc(count);

	for (size_t i = 0; i < count; i++)
		codes[i] = (int8_t)((int)((i * 2654435761u >> 9) % 255) - 127);
	return codes;
}

/* ---- bounds ------------------------------------------------------------------------------------------- */

#define PEAK_LOOPS 20000
#define PEAK_OPS   12
#define ON_12_REGISTERS(op, size)                                                                            \
	op size "4\n" op size "5\n" op size "6\n" op size "7\n" op size "8\n" op size "9\n" op size          \
	        "10\n" op size "11\n" op size "12\n" op size "13\n" op size "14\n" op size "15\n"
#define CLOBBERS_12                                                                                          \
	"xmm0", "xmm1", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",  \
	        "xmm14", "xmm15"

#if defined(__x86_64__)

static void peak_dpbusd_zmm(void *unused)
{
	(void)unused;
	for (int i = 0; i < PEAK_LOOPS; i++)
		__asm__ volatile(ON_12_REGISTERS("vpdpbusd %%zmm1,%%zmm0,", "%%zmm") : : : CLOBBERS_12);
}

static void peak_fma_zmm(void *unused)
{
	(void)unused;
	for (int i = 0; i < PEAK_LOOPS; i++)
		__asm__ volatile(ON_12_REGISTERS("vfmadd231ps %%zmm1,%%zmm0,", "%%zmm") : : : CLOBBERS_12);
}

static void peak_maddwd_ymm(void *unused)
{
	(void)unused;
	for (int i = 0; i < PEAK_LOOPS; i++)
		__asm__ volatile(ON_12_REGISTERS("vpmaddwd %%ymm1,%%ymm0,", "%%ymm") : : : CLOBBERS_12);
}

static void peak_dpbusd_ymm(void *unused)
{
	(void)unused;
	for (int i = 0; i < PEAK_LOOPS; i++)
		__asm__ volatile(ON_12_REGISTERS("%{evex%} vpdpbusd %%ymm1,%%ymm0,", "%%ymm")
		                 :
		                 :
		                 : CLOBBERS_12);
}

static void peak_maddwd_xmm(void *unused)
{
	(void)unused;
	for (int i = 0; i < PEAK_LOOPS; i++)
		__asm__ volatile(ON_12_REGISTERS("pmaddwd %%xmm1,", "%%xmm") : : : CLOBBERS_12);
}

static void peak_fma_ymm(void *unused)
{
	(void)unused;
	for (int i = 0; i < PEAK_LOOPS; i++)
		__asm__ volatile(ON_12_REGISTERS("vfmadd231ps %%ymm1,%%ymm0,", "%%ymm") : : : CLOBBERS_12);
}

/* Multiply-adds a second of the instruction that the ISA's product is made of, or 0 where it has none. */
static double peak_mac(enum fm_isa isa, bool is_float)
{
	void (*run)(void *);
	double lanes;

	switch (isa) {
	case FM_ISA_AVX512VNNI:
		run = is_float ? peak_fma_zmm : peak_dpbusd_zmm;
		lanes = is_float ? 16 : 64;
		break;
	case FM_ISA_AVX512VLVNNI:
		run = is_float ? peak_fma_ymm : peak_dpbusd_ymm;
		lanes = is_float ? 8 : 32;
		break;
	case FM_ISA_AVX2:
		run = is_float ? peak_fma_ymm : peak_maddwd_ymm;
		lanes = is_float ? 8 : 16;
		break;
	case FM_ISA_SSE41:
		if (is_float)
			return 0;
		run = peak_maddwd_xmm;
		lanes = 8;
		break;
	default: return 0;
	}
	__asm__ volatile("vpxor %%xmm0,%%xmm0,%%xmm0\nvpxor %%xmm1,%%xmm1,%%xmm1\n" : : : "xmm0", "xmm1");
	return lanes * PEAK_OPS * PEAK_LOOPS / best_time_s(run, NULL);
}

#else

static double peak_mac(enum fm_isa isa, bool is_float)
{
	(void)isa;
	(void)is_float;
	return 0;
}

#endif

/* ---- matrix products ---------------------------------------------------------------------------------- */

struct product_shape {
	size_t m, k, n;
	enum fm_activation activation;
	bool residual;
	bool nonnegative; /* the rows */
	int times;        /* that one embedding runs it; 0: another network's, not in the total */
};

static const struct product_shape product_shapes[] = {
        {3136, 64, 128, FM_ACT_PRELU, false, false, 1},
        {784, 128, 64, FM_ACT_NONE, false, false, 1},
        {784, 128, 64, FM_ACT_NONE, true, false, 4},
        {784, 64, 128, FM_ACT_PRELU, false, false, 4},
        {784, 64, 256, FM_ACT_PRELU, false, false, 1},
        {196, 256, 128, FM_ACT_NONE, false, false, 1},
        {196, 256, 128, FM_ACT_NONE, true, false, 6},
        {196, 128, 256, FM_ACT_PRELU, false, false, 6},
        {196, 128, 512, FM_ACT_PRELU, false, false, 1},
        {49, 512, 128, FM_ACT_NONE, false, false, 1},
        {49, 128, 256, FM_ACT_PRELU, false, false, 2},
        {49, 256, 128, FM_ACT_NONE, true, false, 2},
        {49, 128, 512, FM_ACT_PRELU, false, false, 1},
        {1, 512, 512, FM_ACT_NONE, false, false, 1},
        {3136, 27, 64, FM_ACT_PRELU, false, false, 0},
        {19200, 16, 32, FM_ACT_RELU, false, true, 0},
        {4800, 32, 32, FM_ACT_RELU, false, true, 0},
        {1200, 64, 64, FM_ACT_RELU, false, true, 0},
        {1200, 64, 12, FM_ACT_NONE, false, true, 0},
        {1200, 64, 8, FM_ACT_NONE, false, true, 0},
        {1200, 144, 16, FM_ACT_RELU, false, true, 0},
        {300, 128, 4, FM_ACT_NONE, false, true, 0},
};

struct product {
	const struct fm_kernels *kernels;
	const struct product_shape *shape;
	size_t k_padded;
	float *a, *out;
	uint8_t *codes;
	struct fm_row_quant *quant;
	void *packed;
	float *channel; /* scale, bias and slope alike */
	struct fm_epilogue epilogue;
};

static void run_u8s8(void *work)
{
	struct product *p = work;
	const struct product_shape *s = p->shape;

	p->kernels->gemm_u8s8.run(
	        p->out, s->n, p->codes, p->quant, s->m, p->packed, p->channel, s->n, s->k, &p->epilogue);
}

static void run_quantize(void *work)
{
	struct product *p = work;

	p->kernels->quantize_rows(p->codes, p->quant, p->a, p->shape->k, p->shape->m, p->shape->k,
	        p->k_padded, p->shape->nonnegative);
}

static void run_f32(void *work)
{
	struct product *p = work;
	const struct product_shape *s = p->shape;

	p->kernels->gemm_f32.run(p->out, s->n, p->a, s->k, s->m, p->packed, s->n, s->k, &p->epilogue);
}

static struct product product_init(const struct fm_kernels *kernels, const struct product_shape *s)
{
	size_t multiple = kernels->gemm_u8s8.k_multiple,
	       k_padded = (s->k + multiple - 1) / multiple * multiple;
	struct product p = {
	        .kernels = kernels,
	        .shape = s,
	        .k_padded = k_padded,
	        .a = alloc_floats(s->m * s->k),
	        .out = alloc(s->m * s->n * sizeof(float)),
	        .codes = alloc(s->m * k_padded),
	        .quant = alloc(s->m * sizeof(struct fm_row_quant)),
	        .channel = alloc_floats(s->n),
	};

	for (size_t i = 0; s->nonnegative && i < s->m * s->k; i++)
		p.a[i] = p.a[i] < 0 ? 0 : p.a[i];
	p.epilogue = (struct fm_epilogue){
	        .bias = p.channel,
	        .residual = s->residual ? alloc_floats(s->m * s->n) : NULL,
	        .residual_stride = s->n,
	        .activation = s->activation,
	        .slope = p.channel,
	};
	return p;
}

static void product_done(struct product *p)
{
	free((void *)p->epilogue.residual);
	free(p->packed);
	free(p->channel);
	free(p->quant);
	free(p->codes);
	free(p->out);
	free(p->a);
}

static double time_product_u8s8(struct product *p, double *ret_quantize_s)
{
	const struct product_shape *s = p->shape;
	int8_t *w = alloc_codes(s->n * s->k);

	p->packed = alloc(p->kernels->gemm_u8s8.packed_bytes(s->n, s->k));
	p->kernels->gemm_u8s8.pack(p->packed, w, s->n, s->k);
	free(w);
	*ret_quantize_s = time_s(run_quantize, p);
	return time_s(run_u8s8, p);
}

static double time_product_f32(struct product *p)
{
	const struct product_shape *s = p->shape;
	float *w = alloc_floats(s->n * s->k);

	p->packed = alloc(p->kernels->gemm_f32.packed_bytes(s->n, s->k));
	p->kernels->gemm_f32.pack(p->packed, w, s->n, s->k);
	free(w);
	return time_s(run_f32, p);
}

static void print_product(const char *name, double mac, double seconds, double peak)
{
	printf("%-34s %9.1f us %7.1f GMAC/s", name, seconds * 1e6, mac / seconds * 1e-9);
	if (peak > 0)
		printf(" %5.1f %%", 100 * mac / seconds / peak);
}

static void bench_products(const struct fm_kernels *kernels, bool is_float)
{
	double peak = peak_mac(kernels->isa, is_float), total_mac = 0, total_s = 0, total_quantize_s = 0;

	printf("\n%s %s: bound %.1f GMAC/s\n", is_float ? "gemm_f32" : "gemm_u8s8", fm_isa_name(kernels->isa),
	        peak * 1e-9);
	for (size_t i = 0; i < FM_ARRAY_SIZE(product_shapes); i++) {
		const struct product_shape *s = &product_shapes[i];
		struct product p = product_init(kernels, s);
		double quantize_s = 0;
		double seconds = is_float ? time_product_f32(&p) : time_product_u8s8(&p, &quantize_s);
		double mac = (double)(s->m * s->n) * (double)s->k;
		char name[64];

		snprintf(name, sizeof(name), "%zu x %zu -> %zu%s%s", s->m, s->k, s->n,
		        s->activation == FM_ACT_PRELU  ? " prelu"
		        : s->activation == FM_ACT_RELU ? " relu"
		                                       : "",
		        s->residual ? " + residual" : "");
		print_product(name, mac, seconds, peak);
		if (!is_float)
			printf("   quantize %7.1f us %5.1f GB/s", quantize_s * 1e6,
			        (double)(s->m * s->k) * sizeof(float) / quantize_s * 1e-9);
		printf("\n");
		total_mac += s->times * mac;
		total_s += s->times * seconds;
		total_quantize_s += s->times * quantize_s;
		product_done(&p);
	}
	print_product("fr_feature, all 1x1", total_mac, total_s, peak);
	if (!is_float)
		printf("   quantize %7.1f us", total_quantize_s * 1e6);
	printf("\n");
}

/* ---- depthwise ---------------------------------------------------------------------------------------- */

struct depthwise_shape {
	size_t side, channels, kernel, stride, pad;
	int times;
};

static const struct depthwise_shape depthwise_shapes[] = {
        {56, 64, 3, 1, 1, 1},
        {56, 128, 3, 2, 1, 1},
        {28, 128, 3, 1, 1, 4},
        {28, 256, 3, 2, 1, 1},
        {14, 256, 3, 1, 1, 6},
        {14, 512, 3, 2, 1, 1},
        {7, 256, 3, 1, 1, 2},
        {7, 512, 7, 1, 0, 1},
        {120, 16, 3, 1, 1, 0},
        {120, 32, 3, 2, 1, 0},
        {60, 32, 3, 1, 1, 0},
};

struct depthwise {
	const struct fm_kernels *kernels;
	struct fm_dwconv_shape shape;
	float *in, *out, *weights, *channel;
	struct fm_epilogue epilogue;
};

static void run_depthwise(void *work)
{
	struct depthwise *d = work;

	d->kernels->dwconv_f32(d->out, d->in, d->weights, &d->shape, &d->epilogue);
}

static void bench_depthwise(const struct fm_kernels *kernels)
{
	double peak = peak_mac(kernels->isa, true), total_mac = 0, total_s = 0;

	printf("\ndwconv_f32 %s: bound %.1f GMAC/s\n", fm_isa_name(kernels->isa), peak * 1e-9);
	for (size_t i = 0; i < FM_ARRAY_SIZE(depthwise_shapes); i++) {
		const struct depthwise_shape *s = &depthwise_shapes[i];
		size_t out_side = (s->side + 2 * s->pad - s->kernel) / s->stride + 1;
		size_t outputs = out_side * out_side * s->channels, taps = s->kernel * s->kernel;
		struct depthwise d = {
		        .kernels = kernels,
		        .shape = {.in_h = s->side,
		                .in_w = s->side,
		                .out_h = out_side,
		                .out_w = out_side,
		                .channels = s->channels,
		                .kernel_h = s->kernel,
		                .kernel_w = s->kernel,
		                .stride_h = s->stride,
		                .stride_w = s->stride,
		                .dilation_h = 1,
		                .dilation_w = 1,
		                .pad_top = s->pad,
		                .pad_left = s->pad},
		        .in = alloc_floats(s->side * s->side * s->channels),
		        .out = alloc(outputs * sizeof(float)),
		        .weights = alloc_floats(taps * s->channels),
		        .channel = alloc_floats(s->channels),
		};
		d.epilogue = (struct fm_epilogue){
		        .bias = d.channel, .activation = FM_ACT_PRELU, .slope = d.channel};
		double seconds = time_s(run_depthwise, &d), mac = (double)(outputs * taps);
		char name[64];

		snprintf(name, sizeof(name), "%zu x %zu x %zu, %zu x %zu / %zu", s->side, s->side,
		        s->channels, s->kernel, s->kernel, s->stride);
		print_product(name, mac, seconds, peak);
		printf("   %5.1f GB/s\n",
		        (double)(s->side * s->side * s->channels + outputs) * sizeof(float) / seconds * 1e-9);
		total_mac += s->times * mac;
		total_s += s->times * seconds;
		free(d.in);
		free(d.out);
		free(d.weights);
		free(d.channel);
	}
	print_product("fr_feature, all depthwise", total_mac, total_s, peak);
	printf("\n");
}

/* ---- gallery search ----------------------------------------------------------------------------------- */

struct gallery {
	const struct fm_kernels *kernels;
	const int8_t *codes;
	const float *floats;
	size_t rows, dim, probes;
	volatile float sink;
};

/* The first 16 rows are the probes, all of it is blocks of 16 faces at five bits. */
static void run_scan(void *work)
{
	static const float ones[FM_SCAN_FACES] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
	struct gallery *g = work;
	struct fm_scan_terms terms[16] = {0};
	int32_t sums[16 * FM_SCAN_FACES];
	uint16_t masks[16];

	for (size_t p = 0; p < g->probes; p++)
		terms[p] = (struct fm_scan_terms){.scale = 1, .norm = 1, .least = 1};
	for (size_t face = 0; face < g->rows; face += FM_SCAN_FACES) {
		const struct fm_scan_block block = {
		        .codes = (const uint8_t *)g->codes + face * g->dim * 5 / 8,
		        .scales = ones,
		        .residuals = ones};

		g->kernels->scan_u5s8(sums, masks, &block, g->codes, terms, g->probes, g->dim);
		g->sink = masks[0];
	}
}

static void run_dot_f32(void *work)
{
	struct gallery *g = work;
	float sum = 0;

	for (size_t i = 0; i < g->rows; i++)
		sum += g->kernels->dot_f32(g->floats, g->floats + i * g->dim, g->dim);
	g->sink = sum;
}

static void run_read(void *work)
{
	struct gallery *g = work;
	const uint64_t *words = (const uint64_t *)g->codes;
	uint64_t sum = 0;

	for (size_t i = 0; i < g->rows * g->dim / sizeof(*words); i += 8)
		sum += words[i];
	g->sink = (float)sum;
}

static void bench_search(const struct fm_kernels *kernels, const int8_t *codes, const float *floats)
{
	static const size_t probes[] = {1, 2, 4, 8, 16};

	printf("\nscan %s, 512 dimensions at five bits; dot_f32\n", fm_isa_name(kernels->isa));
	for (size_t rows = 48; rows <= GALLERY_ROWS; rows *= 4000) {
		for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
			struct gallery g = {.kernels = kernels,
			        .codes = codes,
			        .rows = rows,
			        .dim = 512,
			        .probes = probes[i]};
			double seconds = time_s(run_scan, &g);
			printf("%7zu rows, %2zu probes: %7.1f ns a row %7.1f ns a row and probe %6.1f GB/s\n",
			        rows, probes[i], seconds / (double)rows * 1e9,
			        seconds / (double)(rows * probes[i]) * 1e9,
			        (double)rows * 320 / seconds * 1e-9);
		}
	}
	struct gallery g = {
	        .kernels = kernels, .codes = codes, .floats = floats, .rows = GALLERY_ROWS, .dim = 512};
	printf("a read of one word a line: %.1f GB/s", (double)g.rows * 512 / time_s(run_read, &g) * 1e-9);
	g.rows = 40;
	printf("   dot_f32: %.1f ns\n", time_s(run_dot_f32, &g) / (double)g.rows * 1e9);
}

/* For scripts. Far apart, so that one busy moment does not lower a bound. */
static int print_peaks(void)
{
	double peak[FM_ISA_COUNT][2] = {{0}};

	for (int round = 0; round < 5; round++)
		for (int isa = 0; isa < FM_ISA_COUNT; isa++)
			for (int is_float = 0; fm_kernels_for((enum fm_isa)isa) && is_float < 2; is_float++) {
				double mac = peak_mac((enum fm_isa)isa, is_float);
				if (mac > peak[isa][is_float])
					peak[isa][is_float] = mac;
			}
	for (int isa = 0; isa < FM_ISA_COUNT; isa++)
		if (fm_kernels_for((enum fm_isa)isa))
			printf("%s %.1f %.1f\n", fm_isa_name((enum fm_isa)isa), peak[isa][0] * 1e-9,
			        peak[isa][1] * 1e-9);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--peaks") == 0)
		return print_peaks();

	bool wanted[FM_ISA_COUNT] = {false};
	int8_t *codes = alloc_codes((size_t)GALLERY_ROWS * 512);
	float *floats = alloc_floats(40 * 512);

	fm_cpu_flush_denormals();
	for (int i = 1; i < argc; i++) {
		struct fm_error err;
		enum fm_isa isa;
		if (fm_isa_parse(argv[i], &isa, &err) != FM_OK) {
			fprintf(stderr, "bench_kernels: %s\n", err.message);
			return EXIT_FAILURE;
		}
		wanted[isa] = true;
	}
	for (int isa = 0; isa < FM_ISA_COUNT; isa++) {
		const struct fm_kernels *kernels = fm_kernels_for((enum fm_isa)isa);
		if (kernels == NULL || !(argc > 1 ? wanted[isa] : isa > FM_ISA_SCALAR))
			continue;
		bench_products(kernels, false);
		bench_products(kernels, true);
		bench_depthwise(kernels);
		bench_search(kernels, codes, floats);
	}
	free(codes);
	free(floats);
	return EXIT_SUCCESS;
}
