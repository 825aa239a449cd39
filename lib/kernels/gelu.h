/* GELU for the ISA that a file is compiled for; the contract is in transformer.h. Internal to lib/kernels. */
#ifndef FM_KERNELS_GELU_H
#define FM_KERNELS_GELU_H

#include "lib/kernels/vector.h"

/*
 * x (1/2 + x p(x^2)) with x held to |x| <= 5 in the bracket; p in powers of s = 2 x^2 / 25 - 1, which keeps
 * the coefficients small and so the rounding.
 */
FM_INLINE fm_vector fm_gelu_vector(fm_vector x)
{
	const fm_vector held = fm_vector_max(fm_vector_min(x, fm_vector_all(5.0f)), fm_vector_all(-5.0f));
	const fm_vector s = held * held * 0.08f - 1.0f;
	fm_vector p = s * 4.929697025e-04f - 1.514154137e-03f;

	p = p * s + 2.001859713e-03f;
	p = p * s - 2.915672259e-03f;
	p = p * s + 6.165430881e-03f;
	p = p * s - 1.097323280e-02f;
	p = p * s + 1.649765670e-02f;
	p = p * s - 2.333673090e-02f;
	p = p * s + 3.142622858e-02f;
	p = p * s - 4.043294862e-02f;
	p = p * s + 5.152142048e-02f;
	p = p * s - 7.029665262e-02f;
	p = p * s + 1.413637847e-01f;
	return x * (held * p + 0.5f);
}

FM_INLINE void fm_gelu_rows(float *out, const float *in, size_t count)
{
	size_t i = 0;

	/* Four at a time: the chain of a polynomial is longer than what one vector fills. */
	for (; i + 4 * FM_VECTOR_LANES <= count; i += 4 * FM_VECTOR_LANES) {
		fm_vector x[4];

		FM_UNROLL
		for (size_t u = 0; u < 4; u++)
			x[u] = fm_gelu_vector(fm_vector_load(in + i + u * FM_VECTOR_LANES));
		FM_UNROLL
		for (size_t u = 0; u < 4; u++)
			fm_vector_store(out + i + u * FM_VECTOR_LANES, x[u]);
	}
	for (; i + FM_VECTOR_LANES <= count; i += FM_VECTOR_LANES)
		fm_vector_store(out + i, fm_gelu_vector(fm_vector_load(in + i)));
	if (i < count)
		fm_vector_store_part(
		        out + i, fm_gelu_vector(fm_vector_load_part(in + i, count - i)), count - i);
}

void fm_gelu_f32_scalar(float *out, const float *in, size_t count);
void fm_gelu_f32_avx2(float *out, const float *in, size_t count);
void fm_gelu_f32_avx512vnni(float *out, const float *in, size_t count);

#endif
