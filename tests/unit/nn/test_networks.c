/*
 * The default networks as a whole: against ONNX Runtime's outputs (tests/data/reference, made by
 * scripts/make-reference.sh), under every ISA, fused and not, in int8, and their memory plans. Networks that
 * were not fetched (build/models) and photos that were not (build/demo) are skipped; no photo or face is
 * stored here.
 *
 * With FM_REFERENCE_INPUTS=DIR the first test writes the inputs to DIR for that script.
 */
#include "tests/unit/nn/net_fixture.h"

#include "lib/base/cleanup.h"
#include "lib/base/file.h"
#include "lib/cpu/cpu.h"
#include "lib/image/decode.h"
#include "lib/nn/net_internal.h"

#include <malloc.h>

static const struct network {
	const char *name;
	size_t channels, h, w;
} networks[] = {{"fr_detect", 3, 240, 320}, {"fr_landmark", 1, 64, 64}, {"fr_feature", 3, 112, 112}};
#define NETWORKS (sizeof(networks) / sizeof(networks[0]))

/* Squares around faces in the photos of npm's @vladmandic/face-api 1.7.15; the detector sees the whole photo.
 */
static const struct {
	const char *name;
	int photo, x, y, side;
} crops[] = {{"a", 3, 1029, 220, 290}, {"b", 3, 550, 320, 280}, {"c", 6, 1441, 270, 290},
        {"d", 5, 1369, 385, 280}};
#define CROPS (sizeof(crops) / sizeof(crops[0]))

static struct fm_net *load_network(const struct network *network, const struct fm_net_options *options)
{
	char path[128];
	struct fm_net *net = NULL;
	struct fm_error err = {0};

	snprintf(path, sizeof(path), "build/models/%s.onnx", network->name);
	enum fm_status status = fm_net_load(path, options, &net, &err);
	if (status == FM_E_NOT_FOUND)
		cr_skip_test("%s is not there: make models", path);
	cr_assert_eq(status, FM_OK, "%s", err.message);
	return net;
}

static size_t elements(const struct network *n)
{
	return n->channels * n->h * n->w;
}

/* Bytes from a linear congruential generator, seen as pixels. */
static float *pattern(const struct network *n)
{
	float *x = malloc(elements(n) * sizeof(*x));
	uint32_t state = 12345;

	for (size_t i = 0; i < elements(n); i++) {
		state = state * 1664525u + 1013904223u;
		x[i] = ((float)(state >> 24) - 127.0f) / 128.0f;
	}
	return x;
}

/* Nearest pixels, so that the input depends on nothing but the JPEG decoder. NULL: the photo is not there. */
static float *crop(const struct network *n, size_t index)
{
	const struct fm_image_limits limits = {100000000, 20000};
	fm_cleanup(fm_image_done) struct fm_image photo = {0};
	fm_autofree char *bytes = NULL;
	char path[64];
	size_t length;

	snprintf(path, sizeof(path), "build/demo/sample%d.jpg", crops[index].photo);
	if (fm_file_read(path, 1 << 24, &bytes, &length, NULL))
		return NULL;
	cr_assert_eq(fm_image_decode(bytes, length, &limits, 1, &photo, NULL, NULL), FM_OK, "%s", path);
	const bool whole = strcmp(n->name, "fr_detect") == 0;
	const size_t left = whole ? 0 : (size_t)crops[index].x, top = whole ? 0 : (size_t)crops[index].y;
	const size_t width = whole ? (size_t)photo.width_px : (size_t)crops[index].side;
	const size_t height = whole ? (size_t)photo.height_px : (size_t)crops[index].side;
	float *x = malloc(elements(n) * sizeof(*x));

	for (size_t i = 0; i < n->h * n->w; i++) {
		const size_t row = top + (2 * (i / n->w) + 1) * height / (2 * n->h);
		const size_t column = left + (2 * (i % n->w) + 1) * width / (2 * n->w);
		const uint8_t *rgb = photo.pixels + row * photo.stride_bytes + 3 * column;

		if (n->channels == 1)
			x[i] = (float)((299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2]) / 1000) / 256.0f;
		else
			for (size_t c = 0; c < 3; c++) /* the embedding wants BGR */
				x[c * n->h * n->w + i] = ((float)rgb[whole ? c : 2 - c] - 127.0f) / 128.0f;
	}
	return x;
}

/* FNV-1a, 32 bit: whether an input is the one that the reference was made for. */
static uint32_t checksum(const float *x, size_t count)
{
	uint32_t hash = 0x811c9dc5;
	const unsigned char *bytes = (const unsigned char *)x;

	for (size_t i = 0; i < count * sizeof(*x); i++)
		hash = (hash ^ bytes[i]) * 0x01000193;
	return hash;
}

static float **run_all(const struct fm_net *net, const float *x)
{
	struct fm_session *session = NULL;
	float **outputs = calloc(fm_net_output_count(net), sizeof(*outputs));

	for (size_t i = 0; i < fm_net_output_count(net); i++)
		outputs[i] = calloc(fm_net_output(net, i)->elements, sizeof(float));
	cr_assert_eq(fm_session_create(net, &session, NULL), FM_OK);
	fm_session_run(session, &x, outputs);
	fm_session_free(session);
	return outputs;
}

static void free_all(const struct fm_net *net, float **outputs)
{
	for (size_t i = 0; i < fm_net_output_count(net); i++)
		free(outputs[i]);
	free(outputs);
}

/* ---- against ONNX Runtime -------------------------------------------------------------------- */

static void write_input(const char *directory, const struct network *n, const char *name, const float *x)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s.%s.f32", directory, n->name, name);
	cr_assert_eq(fm_file_write(path, x, elements(n) * sizeof(*x), 0600, NULL), FM_OK, "%s", path);
}

/* A reference file: checksum of the input, stride, then every stride-th element of one output. */
static void compare(const struct network *n, const char *name, const struct fm_net *net, const float *x)
{
	float **outputs = run_all(net, x);

	for (size_t o = 0; o < fm_net_output_count(net); o++) {
		const struct fm_tensor_info *info = fm_net_output(net, o);
		fm_autofree char *bytes = NULL;
		char path[256];
		size_t length;
		uint32_t header[2];

		snprintf(path, sizeof(path), "tests/data/reference/%s.%s.%s.bin", n->name, name, info->name);
		cr_assert_eq(fm_file_read(path, 1 << 20, &bytes, &length, NULL), FM_OK, "%s", path);
		memcpy(header, bytes, sizeof(header));
		cr_assert_eq(header[0], checksum(x, elements(n)), "%s was made for another input", path);
		const size_t count = (length - sizeof(header)) / sizeof(float), stride = header[1];
		cr_assert_eq(count, (info->elements + stride - 1) / stride, "%s", path);
		float *wanted = malloc(count * sizeof(*wanted)), *got = malloc(count * sizeof(*got));
		memcpy(wanted, bytes + sizeof(header), count * sizeof(*wanted));
		for (size_t i = 0; i < count; i++)
			got[i] = outputs[o][i * stride];
		cr_expect_lt(relative_error(got, wanted, count), 1e-4, "%s: %g", path,
		        relative_error(got, wanted, count));
		free(wanted);
		free(got);
	}
	free_all(net, outputs);
}

Test(networks, float32_agrees_with_onnx_runtime)
{
	const char *directory = getenv("FM_REFERENCE_INPUTS");

	for (size_t i = 0; i < NETWORKS; i++) {
		struct fm_net *net = load_network(&networks[i], &float32);

		for (size_t c = 0; c <= CROPS; c++) {
			float *x = c == CROPS ? pattern(&networks[i]) : crop(&networks[i], c);
			const char *name = c == CROPS ? "pattern" : crops[c].name;

			if (x && directory)
				write_input(directory, &networks[i], name, x);
			else if (x)
				compare(&networks[i], name, net, x);
			free(x);
		}
		fm_net_free(net);
	}
}

/* ---- with itself ----------------------------------------------------------------------------- */

Test(networks, the_same_bits_under_every_isa)
{
	for (size_t i = 0; i < NETWORKS; i++)
		for (int precision = 0; precision < 2; precision++) {
			struct fm_net_options options = {
			        .precision = (enum fm_precision)precision, .isa_set = true};
			struct fm_net *scalar = load_network(&networks[i], &options);
			float *x = pattern(&networks[i]), **wanted = run_all(scalar, x);

			for (int isa = 1; isa < FM_ISA_COUNT; isa++) {
				options.isa = (enum fm_isa)isa;
				if (!fm_isa_supported(options.isa))
					continue;
				struct fm_net *net = load_network(&networks[i], &options);
				float **got = run_all(net, x);

				cr_expect_eq(fm_net_isa(net), options.isa);
				for (size_t o = 0; o < fm_net_output_count(net); o++)
					cr_expect_arr_eq(got[o], wanted[o],
					        fm_net_output(net, o)->elements * sizeof(float), "%s, %s, %s",
					        networks[i].name, fm_isa_name(options.isa),
					        fm_precision_name(options.precision));
				free_all(net, got);
				fm_net_free(net);
			}
			free_all(scalar, wanted);
			fm_net_free(scalar);
			free(x);
		}
}

Test(networks, fusion_changes_nothing)
{
	for (size_t i = 0; i < NETWORKS; i++) {
		struct fm_net *fused = load_network(&networks[i], &float32);
		struct fm_net *plain = load_network(&networks[i], &unfused);
		float *x = pattern(&networks[i]), **a = run_all(fused, x), **b = run_all(plain, x);

		cr_expect_lt(fm_net_layer_count(fused), fm_net_layer_count(plain));
		for (size_t o = 0; o < fm_net_output_count(fused); o++)
			cr_expect_lt(relative_error(a[o], b[o], fm_net_output(fused, o)->elements), 1e-5,
			        "%s: %g", networks[i].name,
			        relative_error(a[o], b[o], fm_net_output(fused, o)->elements));
		free_all(fused, a);
		free_all(plain, b);
		fm_net_free(fused);
		fm_net_free(plain);
		free(x);
	}
}

Test(networks, int8_keeps_the_direction)
{
	for (size_t i = 0; i < NETWORKS; i++) {
		struct fm_net *full = load_network(&networks[i], &float32),
		              *small = load_network(&networks[i], &int8);
		double sum = 0;
		size_t count = 0;

		cr_expect_lt(fm_net_weight_bytes(small), fm_net_weight_bytes(full));
		for (size_t c = 0; c <= CROPS; c++) {
			float *x = c == CROPS ? pattern(&networks[i]) : crop(&networks[i], c);
			if (!x)
				continue;
			float **a = run_all(full, x), **b = run_all(small, x);
			for (size_t o = 0; o < fm_net_output_count(full); o++, count++)
				sum += cosine(a[o], b[o], fm_net_output(full, o)->elements);
			free_all(full, a);
			free_all(small, b);
			free(x);
		}
		cr_expect_gt(sum / (double)count, 0.995, "%s: %g", networks[i].name, sum / (double)count);
		fm_net_free(full);
		fm_net_free(small);
	}
}

Test(networks, sessions_share_a_network_without_meeting)
{
	struct fm_net *net = load_network(&networks[1], &int8);
	struct fm_session *sessions[2];
	float *x = pattern(&networks[1]), *y = noise(elements(&networks[1]), 4);
	float out[4][136], *outs[4] = {out[0], out[1], out[2], out[3]};

	for (int i = 0; i < 2; i++)
		cr_assert_eq(fm_session_create(net, &sessions[i], NULL), FM_OK);
	fm_session_run(sessions[0], (const float *const[]){x}, &outs[0]);
	fm_session_run(sessions[1], (const float *const[]){y}, &outs[1]);
	fm_session_run(sessions[0], (const float *const[]){y}, &outs[2]);
	fm_session_run(sessions[1], (const float *const[]){x}, &outs[3]);
	cr_expect_arr_eq(out[0], out[3], sizeof(out[0]));
	cr_expect_arr_eq(out[1], out[2], sizeof(out[0]));
	cr_expect_arr_neq(out[0], out[1], sizeof(out[0]));
	for (int i = 0; i < 2; i++)
		fm_session_free(sessions[i]);
	fm_net_free(net);
	free(x);
	free(y);
}

/* ---- the memory plan ------------------------------------------------------------------------- */

/* While a step runs, nothing that is read later may be where it writes. */
Test(networks, live_tensors_never_overlap)
{
	for (size_t i = 0; i < NETWORKS; i++)
		for (int fused = 0; fused < 2; fused++) {
			struct fm_net *net = load_network(&networks[i], fused ? &float32 : &unfused);

			for (size_t a = 0; a < net->value_count; a++) {
				const struct fm_slot *x = &net->slots[a];

				if (x->kind != FM_SLOT_ARENA)
					continue;
				cr_expect_leq(x->offset + x->bytes, net->activation_bytes);
				for (size_t b = 0; b < a; b++) {
					const struct fm_slot *y = &net->slots[b];
					/* Views and values that take over share a slot entirely. */
					bool same = x->offset == y->offset && x->first == y->first &&
					            x->last == y->last;

					if (y->kind != FM_SLOT_ARENA || same)
						continue;
					cr_expect(x->last < y->first || y->last < x->first ||
					                  x->offset + x->bytes <= y->offset ||
					                  y->offset + y->bytes <= x->offset,
					        "%s: values %zu and %zu", networks[i].name, a, b);
				}
			}
			fm_net_free(net);
		}
}

/* malloc's own account, and what the network says of itself: sanitizers keep another heap. */
Test(networks, fr_feature_and_a_session_stay_small)
{
	const struct mallinfo2 before = mallinfo2();
	struct fm_net *net = load_network(&networks[2], &int8);
	struct fm_session *session = NULL;

	cr_assert_eq(fm_session_create(net, &session, NULL), FM_OK);
	const struct mallinfo2 after = mallinfo2();
	const size_t held = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd;
	cr_expect_lt(held, (size_t)6 << 20, "%zu bytes", held);
	cr_expect_lt(fm_net_weight_bytes(net) + fm_net_arena_bytes(net), (size_t)6 << 20);
	fm_session_free(session);
	fm_net_free(net);
}

Test(networks, layers_tell_what_runs)
{
	static const uint64_t macs[NETWORKS] = {100, 16, 221}; /* millions, as published for these networks */

	for (size_t i = 0; i < NETWORKS; i++) {
		struct fm_net *net = load_network(&networks[i], &int8);
		struct fm_session *session = NULL;
		uint64_t sum = 0, *ns = calloc(fm_net_layer_count(net), sizeof(*ns));
		float *x = pattern(&networks[i]), *none[2] = {NULL, NULL};

		for (size_t l = 0; l < fm_net_layer_count(net); l++)
			sum += fm_net_layer(net, l)->macs;
		cr_expect_eq(
		        (sum + 500000) / 1000000, macs[i], "%s: %lu", networks[i].name, (unsigned long)sum);
		cr_assert_eq(fm_session_create(net, &session, NULL), FM_OK);
		fm_session_run_timed(session, (const float *const[]){x}, none, ns);
		for (size_t l = 0; l < fm_net_layer_count(net); l++)
			cr_expect_gt(ns[l], 0u, "layer %zu took no time", l);
		fm_session_free(session);
		fm_net_free(net);
		free(ns);
		free(x);
	}
}
