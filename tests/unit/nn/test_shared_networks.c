/*
 * Further networks, which are not ours to ship: EdgeFace, YuNet, a MobileFaceNet with ReLU6, and a network
 * quantized statically. They are looked for in ../shared/data/models (FM_SHARED_DATA overrides); what is not
 * there is skipped. Outputs are compared with ONNX Runtime's (tests/data/reference, made by
 * scripts/make-reference.sh).
 *
 * With FM_REFERENCE_INPUTS=DIR the first test writes the inputs to DIR for that script.
 */
#include "tests/unit/nn/net_fixture.h"

#include "lib/base/cleanup.h"
#include "lib/base/file.h"
#include "lib/cpu/cpu.h"

static const struct network {
	const char *name;
	size_t h, w;
	bool open;          /* the file leaves height and width open */
	bool bytes;         /* wants 0..255 */
	double int8_cosine; /* on noise, which is harder than faces */
} networks[] = {{"mobilefacenet_foamliu", 112, 112, false, false, 0.995},
        {"yunet_n_320_320", 320, 320, false, true, 0.995}, {"yunet_n_dynamic", 64, 96, true, true, 0.995},
        {"edgeface_xs", 112, 112, false, false, 0.99}, {"edgeface_xxs", 112, 112, false, false, 0.985},
        {"fr_feature_qdq", 112, 112, false, false, 1.0}};
#define NETWORKS (sizeof(networks) / sizeof(networks[0]))

static const char *model_path(const struct network *network, char path[512])
{
	const char *data = getenv("FM_SHARED_DATA");

	snprintf(path, 512, "%s/models/%s.onnx", data ? data : "../shared/data", network->name);
	return path;
}

/* NULL where the file is not there. */
static struct fm_net *load_network(const struct network *network, struct fm_net_options options)
{
	char path[512];
	struct fm_net *net = NULL;
	struct fm_error err = {0};

	if (network->open) {
		options.input_height_px = network->h;
		options.input_width_px = network->w;
	}
	enum fm_status status = fm_net_load(model_path(network, path), &options, &net, &err);
	cr_assert(status == FM_OK || status == FM_E_NOT_FOUND, "%s", err.message);
	return net;
}

static void skip_without_data(void)
{
	char path[512];

	if (access(model_path(&networks[0], path), R_OK) != 0)
		cr_skip_test("%s is not there", path);
}

static size_t elements(const struct network *n)
{
	return 3 * n->h * n->w;
}

/* Bytes from a linear congruential generator, seen as pixels. */
static float *pattern(const struct network *n)
{
	float *x = malloc(elements(n) * sizeof(*x));
	uint32_t state = 12345;

	for (size_t i = 0; i < elements(n); i++) {
		state = state * 1664525u + 1013904223u;
		x[i] = n->bytes ? (float)(state >> 24) : ((float)(state >> 24) - 127.0f) / 128.0f;
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

/* A reference file: checksum of the input, stride, then every stride-th element of one output. */
static void compare(const struct network *n, const struct fm_net *net, const float *x)
{
	float **outputs = run_all(net, x);

	for (size_t o = 0; o < fm_net_output_count(net); o++) {
		const struct fm_tensor_info *info = fm_net_output(net, o);
		fm_autofree char *bytes = NULL;
		char path[256];
		size_t length;
		uint32_t header[2];

		snprintf(path, sizeof(path), "tests/data/reference/%s.pattern.%s.bin", n->name, info->name);
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

/* The quantized one too: it computes the same integers. */
Test(shared_networks, float32_agrees_with_onnx_runtime)
{
	const char *directory = getenv("FM_REFERENCE_INPUTS");

	skip_without_data();
	for (size_t i = 0; i < NETWORKS; i++) {
		struct fm_net *net = load_network(&networks[i], float32);
		float *x = pattern(&networks[i]);
		char path[512];

		if (net && directory) {
			snprintf(path, sizeof(path), "%s/%s.pattern.f32", directory, networks[i].name);
			cr_assert_eq(fm_file_write(path, x, elements(&networks[i]) * sizeof(*x), 0600, NULL),
			        FM_OK);
		} else if (net) {
			compare(&networks[i], net, x);
		}
		free(x);
		fm_net_free(net);
	}
}

Test(shared_networks, the_same_bits_under_every_isa)
{
	skip_without_data();
	for (size_t i = 0; i < NETWORKS; i++)
		for (int precision = 0; precision < 2; precision++) {
			struct fm_net_options options = {
			        .precision = (enum fm_precision)precision, .isa_set = true};
			struct fm_net *scalar = load_network(&networks[i], options);

			if (!scalar)
				continue;
			float *x = pattern(&networks[i]), **wanted = run_all(scalar, x);
			for (int isa = 1; isa < FM_ISA_COUNT; isa++) {
				options.isa = (enum fm_isa)isa;
				if (!fm_isa_supported(options.isa))
					continue;
				struct fm_net *net = load_network(&networks[i], options);
				float **got = run_all(net, x);

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

/*
 * fr_feature_qdq is left out: node by node its products are float32, and where a sum lies at a half the other
 * integer sends the rest of the network another way.
 */
Test(shared_networks, fusion_changes_nothing)
{
	skip_without_data();
	for (size_t i = 0; i < NETWORKS - 1; i++) {
		struct fm_net *fused = load_network(&networks[i], float32);
		struct fm_net *plain = load_network(&networks[i], unfused);

		if (!fused)
			continue;
		float *x = pattern(&networks[i]), **a = run_all(fused, x), **b = run_all(plain, x);
		cr_expect_lt(fm_net_layer_count(fused), fm_net_layer_count(plain));
		for (size_t o = 0; o < fm_net_output_count(fused); o++)
			cr_expect_lt(relative_error(a[o], b[o], fm_net_output(fused, o)->elements), 2e-5,
			        "%s: %g", networks[i].name,
			        relative_error(a[o], b[o], fm_net_output(fused, o)->elements));
		free_all(fused, a);
		free_all(plain, b);
		fm_net_free(fused);
		fm_net_free(plain);
		free(x);
	}
}

Test(shared_networks, int8_keeps_the_direction)
{
	skip_without_data();
	for (size_t i = 0; i < NETWORKS; i++) {
		struct fm_net *full = load_network(&networks[i], float32);
		struct fm_net *small = load_network(&networks[i], int8);
		double sum = 0;

		if (!full)
			continue;
		float *x = pattern(&networks[i]), **a = run_all(full, x), **b = run_all(small, x);
		for (size_t o = 0; o < fm_net_output_count(full); o++)
			sum += cosine(a[o], b[o], fm_net_output(full, o)->elements);
		sum /= (double)fm_net_output_count(full);
		cr_expect_gt(sum, networks[i].int8_cosine - 1e-6, "%s: %g", networks[i].name, sum);
		free_all(full, a);
		free_all(small, b);
		fm_net_free(full);
		fm_net_free(small);
		free(x);
	}
}

static size_t count_layers(const struct fm_net *net, const char *op)
{
	size_t count = 0;

	for (size_t l = 0; l < fm_net_layer_count(net); l++)
		count += strcmp(fm_net_layer(net, l)->op, op) == 0;
	return count;
}

Test(shared_networks, edgeface_is_recognized)
{
	skip_without_data();
	struct fm_net *net = load_network(&networks[3], int8);

	cr_assert_not_null(net);
	cr_expect_eq(count_layers(net, "attention"), 3u);
	/* All others are part of products. */
	cr_expect_eq(count_layers(net, "gelu"), 0u);
	cr_expect_eq(count_layers(net, "layernorm"), 5u, "%zu", count_layers(net, "layernorm"));
	cr_expect_eq(
	        count_layers(net, "transpose") + count_layers(net, "erf") + count_layers(net, "softmax"), 0u);
	fm_net_free(net);
}

Test(shared_networks, a_quantized_network_multiplies_integers)
{
	skip_without_data();
	struct fm_net *net = load_network(&networks[5], float32);

	cr_assert_not_null(net);
	for (size_t l = 0; l < fm_net_layer_count(net); l++)
		if (strncmp(fm_net_layer(net, l)->op, "conv", 4) == 0)
			cr_expect_eq(fm_net_layer(net, l)->precision, FM_INT8, "layer %zu", l);
	fm_net_free(net);
}
