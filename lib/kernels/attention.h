/*
 * Cross-covariance attention for the ISA that a file is compiled for; the contract is in transformer.h.
 * Internal to lib/kernels.
 *
 * Vectors run along the channels of one head and may reach into the next: what they find there is finite and
 * never used. In qkv something always follows q and k; v is read one float at a time.
 */
#ifndef FM_KERNELS_ATTENTION_H
#define FM_KERNELS_ATTENTION_H

#include "lib/kernels/transformer.h"
#include "lib/kernels/vector.h"

/* Rows of scores that share a pass over the tokens. */
#define FM_ATTENTION_ROWS 4

FM_INLINE size_t fm_attention_padded(size_t size)
{
	return (size + 15) & ~(size_t)15;
}

/* out[c] = 1 / max(|x[.][c]|, least), c < padded size. */
FM_INLINE void fm_attention_lengths(float *out, const float *x, size_t stride, const struct fm_attention *a)
{
	for (size_t c = 0; c < a->size; c += FM_VECTOR_LANES) {
		fm_vector sum = {0};
		float lanes[FM_VECTOR_LANES];

		for (size_t t = 0; t < a->tokens; t++) {
			const fm_vector v = fm_vector_load(x + t * stride + c);

			sum += v * v;
		}
		fm_vector_store(lanes, sum);
		for (size_t i = 0; i < FM_VECTOR_LANES; i++) {
			const float length = sqrtf(lanes[i]);

			lanes[i] = 1.0f / (length > a->norm_min ? length : a->norm_min);
		}
		fm_vector_store(out + c, fm_vector_load(lanes));
	}
}

/* scores[i][j] = factor * q_length[i] * k_length[j] * sum over tokens of q[t][i] * k[t][j], t ascending. */
FM_INLINE void fm_attention_scores(float *scores, const float *q, const float *k, size_t stride,
        const float *q_length, const float *k_length, float factor, const struct fm_attention *a)
{
	const size_t padded = fm_attention_padded(a->size);

	for (size_t i = 0; i < a->size; i += FM_ATTENTION_ROWS) {
		const size_t rows = a->size - i < FM_ATTENTION_ROWS ? a->size - i : FM_ATTENTION_ROWS;

		for (size_t j = 0; j < a->size; j += FM_VECTOR_LANES) {
			fm_vector sum[FM_ATTENTION_ROWS] = {{0}};

			if (rows == FM_ATTENTION_ROWS)
				for (size_t t = 0; t < a->tokens; t++) {
					const fm_vector v = fm_vector_load(k + t * stride + j);

					FM_UNROLL
					for (size_t r = 0; r < FM_ATTENTION_ROWS; r++)
						sum[r] += v * q[t * stride + i + r];
				}
			else
				for (size_t t = 0; t < a->tokens; t++)
					for (size_t r = 0; r < rows; r++)
						sum[r] += fm_vector_load(k + t * stride + j) *
						          q[t * stride + i + r];
			for (size_t r = 0; r < rows; r++)
				fm_vector_store(scores + (i + r) * padded + j,
				        sum[r] * (factor * q_length[i + r]) * fm_vector_load(k_length + j));
		}
	}
}

/* Each row of scores, made to sum to 1, becomes a column of `columns` [size][padded]. */
FM_INLINE void fm_attention_softmax(float *columns, float *scores, const struct fm_attention *a)
{
	const size_t padded = fm_attention_padded(a->size);

	for (size_t i = 0; i < a->size; i++) {
		float *row = scores + i * padded, max = row[0];
		fm_vector sum[FM_SUM_VECTORS] = {{0}};

		for (size_t j = 1; j < a->size; j++)
			max = row[j] > max ? row[j] : max;
		for (size_t j = 0; j < a->size; j += FM_VECTOR_LANES)
			fm_vector_store(row + j, fm_vector_exp(fm_vector_load(row + j) - max));
		for (size_t j = a->size; j < padded; j++)
			row[j] = 0.0f;
		for (size_t j = 0; j < padded; j += 16)
			FM_UNROLL
		for (size_t u = 0; u < FM_SUM_VECTORS; u++)
			sum[u] += fm_vector_load(row + j + u * FM_VECTOR_LANES);
		const float inverse = 1.0f / fm_vector_sum(sum);
		for (size_t j = 0; j < a->size; j++)
			columns[j * padded + i] = row[j] * inverse;
	}
}

/* out[t][i] = sum over j of columns[j][i] * v[t][j], j ascending. */
FM_INLINE void fm_attention_mix(
        float *out, const float *v, size_t stride, const float *columns, const struct fm_attention *a)
{
	const size_t padded = fm_attention_padded(a->size), out_stride = a->heads * a->size;

	for (size_t i = 0; i < a->size; i += FM_VECTOR_LANES)
		for (size_t t = 0; t < a->tokens; t += 4) {
			const size_t rows = a->tokens - t < 4 ? a->tokens - t : 4;
			fm_vector sum[4] = {{0}};

			if (rows == 4)
				for (size_t j = 0; j < a->size; j++) {
					const fm_vector w = fm_vector_load(columns + j * padded + i);

					FM_UNROLL
					for (size_t r = 0; r < 4; r++)
						sum[r] += w * v[(t + r) * stride + j];
				}
			else
				for (size_t j = 0; j < a->size; j++)
					for (size_t r = 0; r < rows; r++)
						sum[r] += fm_vector_load(columns + j * padded + i) *
						          v[(t + r) * stride + j];
			for (size_t r = 0; r < rows; r++) {
				float *to = out + (t + r) * out_stride + i;

				if (a->size - i >= FM_VECTOR_LANES)
					fm_vector_store(to, sum[r]);
				else
					fm_vector_store_part(to, sum[r], a->size - i);
			}
		}
}

FM_INLINE void fm_attention_heads(float *out, const float *qkv, float *scratch, const struct fm_attention *a)
{
	const size_t channels = a->heads * a->size, padded = fm_attention_padded(a->size);
	float *q_length = scratch, *k_length = q_length + padded, *scores = k_length + padded;
	float *columns = scores + padded * padded;

	memset(columns, 0, padded * padded * sizeof(*columns));
	for (size_t h = 0; h < a->heads; h++) {
		const float *q = qkv + h * a->size, *k = q + channels, *v = k + channels;

		fm_attention_lengths(q_length, q, 3 * channels, a);
		fm_attention_lengths(k_length, k, 3 * channels, a);
		fm_attention_scores(scores, q, k, 3 * channels, q_length, k_length, a->temperature[h], a);
		fm_attention_softmax(columns, scores, a);
		fm_attention_mix(out + h * a->size, v, 3 * channels, columns, a);
	}
}

void fm_attention_f32_scalar(
        float *out, const float *qkv, float *scratch, const struct fm_attention *attention);
void fm_attention_f32_avx2(
        float *out, const float *qkv, float *scratch, const struct fm_attention *attention);
void fm_attention_f32_avx512vnni(
        float *out, const float *qkv, float *scratch, const struct fm_attention *attention);

#endif
