/* MaxPool: every ISA against the largest by its definition, bit for bit. */
#include "tests/kernels/support.h"

#include "lib/base/banned.h"

static struct fm_dwconv_shape random_shape(struct random *random)
{
	struct fm_dwconv_shape s = {
	        .in_h = random_size(random, 1, 12),
	        .in_w = random_size(random, 1, 20),
	        .channels = random_size(random, 1, 70),
	        .kernel_h = 2,
	        .kernel_w = 2,
	        .stride_h = random_size(random, 1, 3),
	        .stride_w = random_size(random, 1, 3),
	        .dilation_h = 1,
	        .dilation_w = 1,
	};

	if (random_size(random, 0, 1)) {
		s.kernel_h = random_size(random, 1, 4);
		s.kernel_w = random_size(random, 1, 4);
	}
	s.pad_top = random_size(random, 0, s.kernel_h - 1);
	s.pad_left = random_size(random, 0, s.kernel_w - 1);
	/* As many as begin inside, which padding at the bottom and right makes possible. */
	s.out_h = random_size(random, 1, (s.in_h + s.pad_top - 1) / s.stride_h + 1);
	s.out_w = random_size(random, 1, (s.in_w + s.pad_left - 1) / s.stride_w + 1);
	return s;
}

static float largest(const struct fm_dwconv_shape *s, const float *in, size_t y, size_t x, size_t c)
{
	const float *most = NULL;

	for (size_t i = 0; i < s->kernel_h; i++)
		for (size_t j = 0; j < s->kernel_w; j++) {
			const size_t in_y = y * s->stride_h + i - s->pad_top;
			const size_t in_x = x * s->stride_w + j - s->pad_left;

			/* Before the first they wrap, and are beyond the last. */
			if (in_y >= s->in_h || in_x >= s->in_w)
				continue;
			const float *value = &in[(in_y * s->in_w + in_x) * s->channels + c];
			if (most == NULL || *value > *most)
				most = value;
		}
	cr_assert_not_null(most);
	return *most;
}

Test(max_pool_f32, every_isa_gives_the_largest)
{
	struct random random = {1};

	for (int round = 0; round < 600; round++) {
		const struct fm_dwconv_shape s = random_shape(&random);
		const size_t in_count = s.in_h * s.in_w * s.channels;
		const size_t out_count = s.out_h * s.out_w * s.channels;
		float *in = guarded_floats(&random, in_count);

		for (int isa = FM_ISA_SCALAR; isa < FM_ISA_COUNT; isa++) {
			const struct fm_kernels *kernels = fm_kernels_for((enum fm_isa)isa);
			if (kernels == NULL)
				continue;
			float *out = guarded_alloc(out_count * sizeof(*out));

			kernels->max_pool_f32(out, in, &s);
			for (size_t i = 0; i < out_count; i++) {
				const size_t pixel = i / s.channels;
				const float expected =
				        largest(&s, in, pixel / s.out_w, pixel % s.out_w, i % s.channels);
				/* Of the two zeros, the first. */
				cr_assert_eq(memcmp(&out[i], &expected, sizeof(expected)), 0,
				        "%s: in %zux%zu channels %zu kernel %zux%zu stride %zu,%zu pad "
				        "%zu,%zu at %zu: %g and not %g",
				        fm_isa_name((enum fm_isa)isa), s.in_h, s.in_w, s.channels, s.kernel_h,
				        s.kernel_w, s.stride_h, s.stride_w, s.pad_top, s.pad_left, i,
				        (double)out[i], (double)expected);
			}
			guarded_free(out, out_count * sizeof(*out));
		}
		guarded_free(in, in_count * sizeof(*in));
	}
}
