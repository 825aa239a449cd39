/* Depthwise convolution: scalar against a padded copy in double, every other ISA against scalar, bit for bit.
 */
#include "tests/kernels/support.h"

#include <math.h>

#include "lib/base/banned.h"

struct problem {
	struct fm_dwconv_shape shape;
	float *in, *w;
	struct random_epilogue e;
};

static size_t in_floats(const struct fm_dwconv_shape *s)
{
	return s->in_h * s->in_w * s->channels;
}

static size_t w_floats(const struct fm_dwconv_shape *s)
{
	return s->kernel_h * s->kernel_w * s->channels;
}

static size_t out_bytes(const struct fm_dwconv_shape *s)
{
	return s->out_h * s->out_w * s->channels * sizeof(float);
}

static struct problem problem_init(struct random *random, const struct fm_dwconv_shape *shape)
{
	struct problem p = {.shape = *shape};

	p.in = guarded_floats(random, in_floats(shape));
	p.w = guarded_floats(random, w_floats(shape));
	p.e = random_epilogue(random, shape->out_h * shape->out_w, shape->channels);
	return p;
}

static void problem_done(struct problem *p)
{
	guarded_free(p->in, in_floats(&p->shape) * sizeof(float));
	guarded_free(p->w, w_floats(&p->shape) * sizeof(float));
	random_epilogue_done(&p->e);
}

static float *convolve(const struct fm_kernels *kernels, const struct problem *p)
{
	float *out = guarded_alloc(out_bytes(&p->shape));

	kernels->dwconv_f32(out, p->in, p->w, &p->shape, &p->e.epilogue);
	return out;
}

/* Kernel, stride, dilation and padding at random; 3x3 more often than not, and any output size that makes
 * sense. */
static struct fm_dwconv_shape random_shape(struct random *random)
{
	struct fm_dwconv_shape s = {
	        .in_h = random_size(random, 1, 12),
	        .in_w = random_size(random, 1, 20),
	        .channels = random_size(random, 1, 90),
	        .kernel_h = 3,
	        .kernel_w = 3,
	        .stride_h = random_size(random, 1, 2),
	        .stride_w = random_size(random, 1, 2),
	        .dilation_h = 1,
	        .dilation_w = 1,
	        .pad_top = random_size(random, 0, 2),
	        .pad_left = random_size(random, 0, 2),
	};

	if (random_size(random, 0, 2) == 0) {
		s.kernel_h = random_size(random, 1, 7);
		s.kernel_w = random_size(random, 1, 7);
		s.stride_w = random_size(random, 1, 3);
		s.dilation_h = random_size(random, 1, 3);
		s.dilation_w = random_size(random, 1, 3);
	}
	/* Up to one output beyond the last that begins inside, as padding at the bottom and right makes them.
	 */
	s.out_h = random_size(random, 1, (s.in_h + s.pad_top) / s.stride_h + 1);
	s.out_w = random_size(random, 1, (s.in_w + s.pad_left) / s.stride_w + 1);
	return s;
}

static double expected_sum(const struct problem *p, size_t y, size_t x, size_t c)
{
	const struct fm_dwconv_shape *s = &p->shape;
	double sum = 0;

	for (size_t ky = 0; ky < s->kernel_h; ky++) {
		for (size_t kx = 0; kx < s->kernel_w; kx++) {
			long in_y = (long)(y * s->stride_h + ky * s->dilation_h) - (long)s->pad_top;
			long in_x = (long)(x * s->stride_w + kx * s->dilation_w) - (long)s->pad_left;
			if (in_y < 0 || in_x < 0 || in_y >= (long)s->in_h || in_x >= (long)s->in_w)
				continue;
			size_t pixel = (size_t)in_y * s->in_w + (size_t)in_x;
			sum += (double)p->in[pixel * s->channels + c] *
			       p->w[(ky * s->kernel_w + kx) * s->channels + c];
		}
	}
	return sum;
}

Test(dwconv_f32, scalar_follows_double)
{
	struct random random = {1};

	for (int round = 0; round < 300; round++) {
		struct fm_dwconv_shape s = random_shape(&random);
		struct problem p = problem_init(&random, &s);
		float *out = convolve(fm_kernels_for(FM_ISA_SCALAR), &p);

		for (size_t y = 0; y < s.out_h; y++) {
			for (size_t x = 0; x < s.out_w; x++) {
				for (size_t c = 0; c < s.channels; c++) {
					size_t pixel = y * s.out_w + x;
					double expected = expected_epilogue(
					        &p.e.epilogue, expected_sum(&p, y, x, c), pixel, c);
					cr_assert_float_eq(out[pixel * s.channels + c], expected, 1e-5);
				}
			}
		}
		guarded_free(out, out_bytes(&s));
		problem_done(&p);
	}
}

static void compare_shape(struct random *random, const struct fm_dwconv_shape *s)
{
	struct problem p = problem_init(random, s);
	float *expected = convolve(fm_kernels_for(FM_ISA_SCALAR), &p);

	for_each_vector_isa(kernels)
	{
		float *out = convolve(kernels, &p);
		cr_assert_eq(memcmp(out, expected, out_bytes(s)), 0,
		        "%s: in %zux%zu out %zux%zu channels %zu kernel %zux%zu stride %zu,%zu dilation "
		        "%zu,%zu pad %zu,%zu activation %d",
		        fm_isa_name(kernels->isa), s->in_h, s->in_w, s->out_h, s->out_w, s->channels,
		        s->kernel_h, s->kernel_w, s->stride_h, s->stride_w, s->dilation_h, s->dilation_w,
		        s->pad_top, s->pad_left, p.e.epilogue.activation);
		guarded_free(out, out_bytes(s));
	}
	guarded_free(expected, out_bytes(s));
	problem_done(&p);
}

Test(dwconv_f32, every_isa_gives_the_scalar_bits)
{
	struct random random = {2};

	for (int round = 0; round < 1500; round++) {
		struct fm_dwconv_shape s = random_shape(&random);
		compare_shape(&random, &s);
	}
}

Test(dwconv_f32, global_pooling_kernels)
{
	struct random random = {3};

	for (size_t side = 4; side <= 7; side += 3) {
		struct fm_dwconv_shape s = {.in_h = side,
		        .in_w = side,
		        .out_h = 1,
		        .out_w = 1,
		        .channels = 512,
		        .kernel_h = side,
		        .kernel_w = side,
		        .stride_h = 1,
		        .stride_w = 1,
		        .dilation_h = 1,
		        .dilation_w = 1};
		compare_shape(&random, &s);
	}
}

/* A kernel that lies in the padding altogether has no tap to sum. */
Test(dwconv_f32, no_taps)
{
	struct random random = {4};
	struct fm_dwconv_shape s = {.in_h = 1,
	        .in_w = 6,
	        .out_h = 4,
	        .out_w = 6,
	        .channels = 19,
	        .kernel_h = 3,
	        .kernel_w = 3,
	        .stride_h = 2,
	        .stride_w = 1,
	        .dilation_h = 1,
	        .dilation_w = 1,
	        .pad_top = 4,
	        .pad_left = 1};

	compare_shape(&random, &s);
}

static struct fm_dwconv_shape padded_3x3(size_t in_h, size_t in_w, size_t channels, size_t stride)
{
	return (struct fm_dwconv_shape){.in_h = in_h,
	        .in_w = in_w,
	        .out_h = (in_h - 1) / stride + 1,
	        .out_w = (in_w - 1) / stride + 1,
	        .channels = channels,
	        .kernel_h = 3,
	        .kernel_w = 3,
	        .stride_h = stride,
	        .stride_w = stride,
	        .dilation_h = 1,
	        .dilation_w = 1,
	        .pad_top = 1,
	        .pad_left = 1};
}

/* What networks have: an output for every input, or every other one, and rows that vectors do not divide. */
Test(dwconv_f32, every_width_with_its_borders)
{
	struct random random = {5};

	for (size_t in_w = 1; in_w <= 24; in_w++) {
		for (size_t stride = 1; stride <= 2; stride++) {
			for (int round = 0; round < 12; round++) {
				const struct fm_dwconv_shape s = padded_3x3(random_size(&random, 1, 9), in_w,
				        random_size(&random, 1, 5) * 16 + random_size(&random, 0, 1) * 3,
				        stride);
				compare_shape(&random, &s);
			}
		}
	}
}

/* Nothing may be made twice where the output lies over the residual. */
Test(dwconv_f32, residual_in_place)
{
	struct random random = {6};

	for (size_t in_w = 1; in_w <= 24; in_w++) {
		const struct fm_dwconv_shape s = padded_3x3(7, in_w, 35, in_w % 2 + 1);
		const size_t floats = out_bytes(&s) / sizeof(float);
		struct problem p = problem_init(&random, &s);
		float *residual = guarded_floats(&random, floats), *expected = guarded_alloc(out_bytes(&s));
		struct fm_epilogue epilogue = p.e.epilogue;

		epilogue.residual = residual;
		epilogue.residual_stride = s.channels;
		fm_kernels_for(FM_ISA_SCALAR)->dwconv_f32(expected, p.in, p.w, &s, &epilogue);
		for_each_vector_isa(kernels)
		{
			float *out = guarded_alloc(out_bytes(&s));

			memcpy(out, residual, out_bytes(&s));
			epilogue.residual = out;
			kernels->dwconv_f32(out, p.in, p.w, &s, &epilogue);
			cr_assert_eq(memcmp(out, expected, out_bytes(&s)), 0, "%s: %zu wide",
			        fm_isa_name(kernels->isa), in_w);
			guarded_free(out, out_bytes(&s));
		}
		guarded_free(expected, out_bytes(&s));
		guarded_free(residual, floats * sizeof(float));
		problem_done(&p);
	}
}

/* Both in one, where an ISA has that, against one after the other. */
Test(dwconv_f32, pooled)
{
	struct random random = {7};

	for_each_vector_isa(kernels)
	{
		size_t taken = 0, rounds = 0;

		for (size_t width = 2; kernels->dwconv_pool_f32 && width <= 24; width++) {
			for (int round = 0; round < 12; round++, rounds++) {
				struct fm_dwconv_shape s = padded_3x3(random_size(&random, 2, 12), width,
				        random_size(&random, 1, 3) * 16, 1);

				/* As in a strip that begins further down, or ends further up. */
				s.pad_top = random_size(&random, 0, 1);
				s.out_h -= s.out_h > 2 ? random_size(&random, 0, 2) : 0;
				struct problem p = problem_init(&random, &s);
				const struct fm_dwconv_shape pool = {.in_h = s.out_h,
				        .in_w = s.out_w,
				        .out_h = s.out_h / 2,
				        .out_w = s.out_w / 2,
				        .channels = s.channels,
				        .kernel_h = 2,
				        .kernel_w = 2,
				        .stride_h = 2,
				        .stride_w = 2,
				        .dilation_h = 1,
				        .dilation_w = 1};
				const size_t bytes = out_bytes(&pool) ? out_bytes(&pool) : sizeof(float);
				float *all = convolve(fm_kernels_for(FM_ISA_SCALAR), &p);
				float *expected = guarded_alloc(bytes), *out = guarded_alloc(bytes);

				if (kernels->dwconv_pool_f32(out, p.in, p.w, &s, &p.e.epilogue)) {
					fm_kernels_for(FM_ISA_SCALAR)->max_pool_f32(expected, all, &pool);
					taken++;
					cr_assert_eq(memcmp(out, expected, bytes), 0,
					        "%s: in %zux%zu out %zu rows, channels %zu, pad %zu, "
					        "activation %d",
					        fm_isa_name(kernels->isa), s.in_h, s.in_w, s.out_h,
					        s.channels, s.pad_top, p.e.epilogue.activation);
				}
				guarded_free(out, bytes);
				guarded_free(expected, bytes);
				guarded_free(all, out_bytes(&s));
				problem_done(&p);
			}
		}
		cr_assert(!rounds || taken > rounds / 16, "%zu of %zu", taken, rounds);
	}
}
