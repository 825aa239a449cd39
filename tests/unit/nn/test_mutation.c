/*
 * Models damaged in every way, and memory that ends anywhere: refused, never a crash. make check-asan runs
 * this too. No test anywhere has a timeout of Criterion's: 2.4.1 leaks in its runner when tests with
 * different ones overlap; scripts/run-tests.sh has one for each program.
 */
#include "tests/unit/nn/specimens.h"

#include "lib/base/cleanup.h"
#include "lib/base/file.h"

/* Loads bytes and, if they are a small network by chance, runs it. Returns whether they loaded. */
static bool survive(const uint8_t *bytes, size_t length)
{
	const struct fm_net_options options = {.precision = FM_INT8, .memory_max_bytes = 1 << 20};
	struct fm_net *net = NULL;
	struct fm_session *session = NULL;
	struct fm_error err = {0};
	const float *inputs[16];
	float *outputs[16] = {0};

	if (fm_net_load_memory(bytes, length, &options, &net, &err)) {
		cr_assert(err.status && err.message[0] && !net);
		return false;
	}
	if (fm_net_input_count(net) <= 16 && fm_net_output_count(net) <= 16 &&
	        fm_session_create(net, &session, NULL) == FM_OK) {
		for (size_t i = 0; i < fm_net_input_count(net); i++)
			inputs[i] = noise(fm_net_input(net, i)->elements, 1);
		fm_session_run(session, inputs, outputs);
		for (size_t i = 0; i < fm_net_input_count(net); i++)
			free((void *)(uintptr_t)inputs[i]);
	}
	fm_session_free(session);
	fm_net_free(net);
	return true;
}

Test(mutation, every_truncation)
{
	for (size_t s = 0; s < SPECIMENS; s++) {
		size_t length, loaded = 0;
		uint8_t *bytes = specimen(s, &length);

		cr_assert(survive(bytes, length), "specimen %zu", s);
		for (size_t i = 0; i < length; i++) {
			/* A heap copy of that length, so that ASan sees a read past it. */
			uint8_t *part = malloc(i ? i : 1);

			memcpy(part, bytes, i);
			loaded += survive(part, i);
			free(part);
		}
		cr_expect_eq(loaded, 0u);
		free(bytes);
	}
}

Test(mutation, flipped_bits)
{
	for (size_t s = 0; s < SPECIMENS; s++) {
		size_t length, loaded = 0;
		uint8_t *bytes = specimen(s, &length);
		uint32_t state = 20;

		for (int i = 0; i < 3000; i++) {
			uint8_t *copy = malloc(length);

			memcpy(copy, bytes, length);
			for (int flips = 1 + i % 3; flips > 0; flips--) {
				state = state * 1664525u + 1013904223u;
				copy[(state >> 8) % length] ^= (uint8_t)(1u << (state >> 5) % 8);
			}
			loaded += survive(copy, length);
			free(copy);
		}
		cr_expect_gt(loaded, 50u, "flips in weights are harmless; specimen %zu loaded %zu times", s,
		        loaded);
		free(bytes);
	}
}

/* Every allocation is the one that fails once: all that was built until then is freed (ASan watches). */
Test(mutation, memory_that_ends_anywhere)
{
	for (size_t s = 0; s < SPECIMENS; s++)
		for (int precision = 0; precision < 2; precision++) {
			struct fm_net_options options = {.precision = (enum fm_precision)precision};
			enum fm_status status = FM_E_NOMEM;
			size_t length, refusals = 0;
			uint8_t *bytes = specimen(s, &length);

			for (size_t memory = 16; status; memory += 48, refusals++) {
				struct fm_net *net = NULL;
				struct fm_error err = {0};

				options.memory_max_bytes = memory;
				status = fm_net_load_memory(bytes, length, &options, &net, &err);
				cr_assert(status == FM_OK || status == FM_E_NOMEM || status == FM_E_TOO_LARGE,
				        "%s", err.message);
				cr_assert_eq(status == FM_OK, net != NULL);
				cr_assert_lt(memory, (size_t)1 << 20);
				fm_net_free(net);
			}
			cr_expect_gt(refusals, 100u);
			free(bytes);
		}
}

/* The fuzzer's seeds are the specimens; FM_WRITE_SEEDS=1 writes them anew. */
Test(mutation, seeds_are_the_specimens)
{
	for (size_t s = 0; s < SPECIMENS; s++) {
		fm_autofree char *seed = NULL;
		size_t length, seed_length;
		uint8_t *bytes = specimen(s, &length);
		char path[64];

		snprintf(path, sizeof(path), "tests/fuzz/corpus/onnx/specimen-%zu.onnx", s);
		if (getenv("FM_WRITE_SEEDS"))
			cr_assert_eq(fm_file_write(path, bytes, length, 0644, NULL), FM_OK);
		cr_assert_eq(fm_file_read(path, 1 << 20, &seed, &seed_length, NULL), FM_OK, "%s", path);
		cr_assert_eq(seed_length, length, "%s", path);
		cr_expect_arr_eq(seed, bytes, length, "%s", path);
		free(bytes);
	}
}
