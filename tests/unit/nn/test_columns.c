/* Columns hold what gathered patches hold, in every form of convolution that has one group. */
#include "lib/nn/columns.h"
#include "lib/nn/patches.h"
#include "tests/unit/nn/conv_shapes.h"

#include <criterion/criterion.h>
#include <math.h>

#include "lib/base/banned.h"

static struct fm_conv_shape random_shape(uint32_t *state)
{
	struct fm_conv_shape s = {.in_h = between(state, 1, 12),
	        .in_w = between(state, 1, 40),
	        .in_channels = between(state, 1, 9),
	        .out_channels = 1,
	        .groups = 1};

	for (int i = 0; i < 2; i++) {
		s.kernel[i] = between(state, 1, 5);
		s.stride[i] = between(state, 1, 4);
		s.dilation[i] = between(state, 1, 4);
		s.pad[i] = between(state, 0, 6);
	}
	s.out_h = out_side(
	        &s.in_h, s.pad[0], between(state, 0, 6), (s.kernel[0] - 1) * s.dilation[0] + 1, s.stride[0]);
	s.out_w = out_side(
	        &s.in_w, s.pad[1], between(state, 0, 6), (s.kernel[1] - 1) * s.dilation[1] + 1, s.stride[1]);
	return s;
}

Test(columns, hold_what_patches_hold)
{
	uint32_t state = 1;

	for (int round = 0; round < 1500; round++) {
		const struct fm_conv_shape s = random_shape(&state);
		const size_t in_count = s.in_h * s.in_w * s.in_channels, pixels = s.out_h * s.out_w;
		const size_t k = s.kernel[0] * s.kernel[1] * s.in_channels;
		/* Exactly as long as they are said to be, so that AddressSanitizer sees a step too far. */
		float *in = malloc(in_count * sizeof(*in)), *patches = malloc(pixels * k * sizeof(*patches));
		void *scratch = alloc64(fm_columns_scratch_bytes(&s));

		cr_assert(in && patches);
		cr_assert_eq(fm_columns_scratch_bytes(&s) % 64, 0);
		memset(scratch, 0x7f, fm_columns_scratch_bytes(&s));
		for (size_t i = 0; i < in_count; i++)
			in[i] = round % 2 ? -(float)(i + 1) : (float)(i + 1);
		fm_patches_gather(patches, in, &s, false, 0, pixels);
		struct fm_columns columns = fm_columns_begin(scratch, &s, in, fm_kernels_best());
		for (size_t y = 0; y < s.out_h; y++) {
			const float *const *row = fm_columns_row(&columns, y);

			for (size_t x = 0; x < s.out_w; x++) {
				float reach[2] = {0, 0}, wanted[2] = {0, 0};

				for (size_t t = 0; t < k; t++) {
					wanted[0] = fminf(wanted[0], row[t][x]);
					wanted[1] = fmaxf(wanted[1], row[t][x]);
				}
				for (size_t t = 0; t < columns.span_count; t++) {
					reach[0] = fminf(reach[0], columns.spans[t][x]);
					reach[1] = fmaxf(reach[1], columns.spans[t][x]);
				}
				cr_assert(reach[0] == wanted[0] && reach[1] == wanted[1],
				        "round %d: y %zu x %zu", round, y, x);
			}

			for (size_t x = 0; x < s.out_w; x++)
				for (size_t t = 0; t < k; t++)
					cr_assert_eq(row[t][x], patches[(y * s.out_w + x) * k + t],
					        "round %d: y %zu x %zu term %zu", round, y, x, t);
		}
		free(in);
		free(patches);
		free(scratch);
	}
}
