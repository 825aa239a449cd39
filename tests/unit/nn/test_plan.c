/* Two tensors that live at once never share a byte. */
#include "tests/unit/nn/net_fixture.h"

#include "lib/base/cleanup.h"
#include "lib/nn/plan.h"

static uint32_t next(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

Test(plan, random_lives_never_collide)
{
	for (uint32_t seed = 0; seed < 300; seed++) {
		struct fm_plan_item items[60];
		uint32_t state = seed;
		size_t count = 1 + next(&state) % 60, bytes, sum = 0, peak = 0;
		fm_cleanup(fm_arena_done) struct fm_arena arena;

		fm_arena_init(&arena, 1 << 20);
		for (size_t i = 0; i < count; i++) {
			size_t first = next(&state) % 40;

			items[i] = (struct fm_plan_item){.bytes = next(&state) % 5000,
			        .first = first,
			        .last = first + next(&state) % 20};
		}
		cr_assert_eq(fm_plan_place(&arena, items, count, 1 << 20, &bytes, NULL), FM_OK);
		for (size_t i = 0; i < count; i++) {
			cr_assert_eq(items[i].offset % 64, 0u);
			cr_assert_leq(items[i].offset + items[i].bytes, bytes);
			sum += items[i].bytes;
			for (size_t j = 0; j < i; j++)
				cr_assert(items[i].last < items[j].first || items[j].last < items[i].first ||
				                  items[i].offset + items[i].bytes <= items[j].offset ||
				                  items[j].offset + items[j].bytes <= items[i].offset,
				        "seed %u: %zu and %zu", seed, i, j);
		}
		for (size_t step = 0; step < 60; step++) {
			size_t alive = 0;

			for (size_t i = 0; i < count; i++)
				if (items[i].first <= step && step <= items[i].last)
					alive += items[i].bytes;
			peak = alive > peak ? alive : peak;
		}
		cr_assert(peak <= bytes && bytes <= sum);
	}
}

Test(plan, refuses_more_than_the_limit)
{
	struct fm_plan_item items[2] = {
	        {.bytes = 1000, .first = 0, .last = 1}, {.bytes = 1000, .first = 1, .last = 2}};
	struct fm_plan_item huge = {.bytes = SIZE_MAX - 3};
	fm_cleanup(fm_arena_done) struct fm_arena arena;
	struct fm_error err = {0};
	size_t bytes = 77;

	fm_arena_init(&arena, 1 << 20);
	cr_expect_eq(fm_plan_place(&arena, items, 2, 2000, &bytes, &err), FM_E_TOO_LARGE);
	cr_expect_eq(fm_plan_place(&arena, &huge, 1, 2000, &bytes, &err), FM_E_TOO_LARGE);
	cr_expect_eq(bytes, 77u);
	cr_expect_eq(fm_plan_place(&arena, items, 2, 2048, &bytes, &err), FM_OK);
	cr_expect_eq(bytes, 2048u);
}

/* A chain of elementwise steps needs the memory of one tensor: each takes over the last one's. */
Test(plan, chains_work_in_place)
{
	struct test_onnx *m = test_onnx_new(9);
	float x[256], *y;

	test_onnx_input(m, "x", 2, (int64_t[]){1, 256});
	test_onnx_floats(m, "b", 1, (int64_t[]){256}, (float[256]){0});
	test_onnx_node(m, "Relu", "x", "r0");
	test_onnx_node(m, "Sub", "r0,b", "r1");
	test_onnx_node(m, "Exp", "r1", "r2");
	test_onnx_node(m, "Div", "b,r2", "r3");
	test_onnx_node(m, "Add", "r3,x", "y");
	test_onnx_output(m, "y");
	test_onnx_noise(x, 256, 1);
	struct fm_net *net = load(m, &float32);
	cr_expect_eq(fm_net_arena_bytes(net), 1024u, "%zu", fm_net_arena_bytes(net));
	y = run(net, x);
	for (int i = 0; i < 256; i++)
		cr_expect_eq(y[i], x[i], "the input must not be written to");
	free(y);
	fm_net_free(net);
}
