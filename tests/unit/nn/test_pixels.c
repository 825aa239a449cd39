/* Pixels hold the codes of what gathered patches hold, in every form of convolution that they suit. */
#include "lib/nn/patches.h"
#include "lib/nn/pixels.h"
#include "tests/unit/nn/conv_shapes.h"

#include <criterion/criterion.h>

#include "lib/base/banned.h"

static struct fm_conv_shape random_shape(uint32_t *state)
{
	struct fm_conv_shape s = {.in_h = between(state, 1, 12),
	        .in_w = between(state, 1, 40),
	        .in_channels = between(state, 1, FM_PIXELS_CHANNELS_MAX),
	        .out_channels = 1,
	        .groups = 1,
	        .dilation = {between(state, 1, 4), 1}};

	for (int i = 0; i < 2; i++) {
		s.kernel[i] = between(state, 1, 6);
		s.stride[i] = between(state, 1, 4);
		s.pad[i] = between(state, 0, 6);
	}
	s.out_h = out_side(
	        &s.in_h, s.pad[0], between(state, 0, 6), (s.kernel[0] - 1) * s.dilation[0] + 1, s.stride[0]);
	s.out_w = out_side(&s.in_w, s.pad[1], between(state, 0, 6), s.kernel[1], s.stride[1]);
	return s;
}

/* The code of term t of a patch, [channels][kernel], as gathered: [kernel][channels]. */
static size_t place(const struct fm_conv_shape *s, size_t t)
{
	const size_t taps = s->kernel[0] * s->kernel[1];

	return t % taps * s->in_channels + t / taps;
}

Test(pixels, hold_the_codes_of_patches)
{
	uint32_t state = 1;

	for (int round = 0; round < 1500; round++) {
		const struct fm_conv_shape s = random_shape(&state);
		const size_t in_count = s.in_h * s.in_w * s.in_channels;
		const size_t k = s.kernel[0] * s.kernel[1] * s.in_channels;
		const size_t k_padded = (k + 15) / 16 * 16, codes_bytes = s.out_w * k_padded;
		const struct fm_pixels_kernels *kernels = fm_pixels_kernels_for(fm_isa_best());
		float *in = malloc(in_count * sizeof(*in)), *patches = malloc(s.out_w * k * sizeof(*patches));
		uint8_t *wanted = malloc(s.out_w * k + FM_PIXELS_SLACK),
		        *codes = malloc(codes_bytes + FM_PIXELS_SLACK);
		void *scratch = alloc64(fm_pixels_scratch_bytes(&s));

		cr_assert(in && patches && wanted && codes);
		cr_assert(fm_pixels_suit(&s));
		cr_assert_eq(fm_pixels_scratch_bytes(&s) % 64, 0);
		memset(scratch, 0x7f, fm_pixels_scratch_bytes(&s));
		for (size_t i = 0; i < in_count; i++)
			in[i] = (float)(next(&state) % 4096) - (float)(round % 3 * 2048);
		struct fm_pixels pixels = fm_pixels_begin(scratch, &s, in, kernels);
		for (size_t y = 0; y < s.out_h; y++) {
			const size_t x = between(&state, 0, s.out_w - 1), count = s.out_w - x;
			const uint8_t *const *rows = fm_pixels_row(&pixels, y);

			fm_patches_gather(patches, in, &s, true, y * s.out_w + x, count);
			kernels->quantize(wanted, patches, 0, 1, count * k, &pixels.quant);
			fm_pixels_gather(codes, rows, &s, x, count, k_padded);
			for (size_t i = 0; i < count * k; i++)
				cr_assert_eq(codes[i / k * k_padded + place(&s, i % k)], wanted[i],
				        "round %d: y %zu x %zu term %zu", round, y, x + i / k, i % k);
			for (size_t i = 0; i < count * k_padded; i++)
				cr_assert(i % k_padded < k || codes[i] == 0, "round %d: padding", round);
		}
		free(in);
		free(patches);
		free(wanted);
		free(codes);
		free(scratch);
	}
}

/* Steps between columns would break the run of bytes; groups, many channels and very wide rows go other ways.
 */
Test(pixels, suit_images_alone)
{
	const struct fm_conv_shape image = {.in_h = 8,
	        .in_w = 8,
	        .in_channels = 3,
	        .out_h = 6,
	        .out_w = 6,
	        .out_channels = 16,
	        .groups = 1,
	        .kernel = {3, 3},
	        .stride = {1, 1},
	        .dilation = {1, 1}};
	struct fm_conv_shape dilated = image, grouped = image, deep = image, wide = image;

	dilated.dilation[1] = 2;
	grouped.groups = 3;
	deep.in_channels = FM_PIXELS_CHANNELS_MAX + 1;
	wide.out_w = (size_t)1 << 20;
	cr_expect(fm_pixels_suit(&image));
	cr_expect_not(fm_pixels_suit(&dilated));
	cr_expect_not(fm_pixels_suit(&grouped));
	cr_expect_not(fm_pixels_suit(&deep));
	cr_expect_not(fm_pixels_suit(&wide));
}
