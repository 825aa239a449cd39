/*
 * What turns vectors of floats into bytes, for SSE4.1, NEON, AVX2 and AVX-512BW: rounding, packing with
 * saturation, and moves within 128 bits. Internal to lib/kernels.
 */
#ifndef FM_KERNELS_CODES_VECTOR_H
#define FM_KERNELS_CODES_VECTOR_H

#include "lib/kernels/vector.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

#define LANES FM_VECTOR_LANES

/* All but broadcast and round work within each 128 bits, four rows. */
#if defined(__AVX512BW__)
typedef __m512i bytes;
#define BROADCAST(x)   _mm512_broadcast_i32x4(x)
#define ROUND(x)       ((fm_vector_int)_mm512_cvtps_epi32((__m512)(x)))
#define MAX_S32(a, b)  _mm512_max_epi32(a, b)
#define MAX_U32(a, b)  _mm512_max_epu32(a, b)
#define PACK_S16(a, b) _mm512_packs_epi32((__m512i)(a), (__m512i)(b))
#define PACK_U8(a, b)  _mm512_packus_epi16(a, b)
#define SHUFFLE(a, b)  _mm512_shuffle_epi8(a, b)
#define LOW_32(a, b)   _mm512_unpacklo_epi32(a, b)
#define HIGH_32(a, b)  _mm512_unpackhi_epi32(a, b)
#define LOW_64(a, b)   _mm512_unpacklo_epi64(a, b)
#define HIGH_64(a, b)  _mm512_unpackhi_epi64(a, b)
#elif defined(__AVX2__)
typedef __m256i bytes;
#define BROADCAST(x)   _mm256_broadcastsi128_si256(x)
#define ROUND(x)       ((fm_vector_int)_mm256_cvtps_epi32((__m256)(x)))
#define MAX_S32(a, b)  _mm256_max_epi32(a, b)
#define MAX_U32(a, b)  _mm256_max_epu32(a, b)
#define PACK_S16(a, b) _mm256_packs_epi32((__m256i)(a), (__m256i)(b))
#define PACK_U8(a, b)  _mm256_packus_epi16(a, b)
#define SHUFFLE(a, b)  _mm256_shuffle_epi8(a, b)
#define LOW_32(a, b)   _mm256_unpacklo_epi32(a, b)
#define HIGH_32(a, b)  _mm256_unpackhi_epi32(a, b)
#define LOW_64(a, b)   _mm256_unpacklo_epi64(a, b)
#define HIGH_64(a, b)  _mm256_unpackhi_epi64(a, b)
#else
typedef int32_t bytes __attribute__((vector_size(16)));
#if defined(__aarch64__)
#define ROUND(x)       ((fm_vector_int)vcvtnq_s32_f32((float32x4_t)(x)))
#define MAX_S32(a, b)  ((bytes)vmaxq_s32((int32x4_t)(a), (int32x4_t)(b)))
#define MAX_U32(a, b)  ((bytes)vmaxq_u32((uint32x4_t)(a), (uint32x4_t)(b)))
#define PACK_S16(a, b) vcombine_s16(vqmovn_s32((int32x4_t)(a)), vqmovn_s32((int32x4_t)(b)))
#define PACK_U8(a, b)  vcombine_u8(vqmovun_s16(a), vqmovun_s16(b))
#define SHUFFLE(a, b)  ((bytes)vqtbl1q_u8(a, b))
#else
#define ROUND(x)       ((fm_vector_int)_mm_cvtps_epi32((__m128)(x)))
#define MAX_S32(a, b)  ((bytes)_mm_max_epi32((__m128i)(a), (__m128i)(b)))
#define MAX_U32(a, b)  ((bytes)_mm_max_epu32((__m128i)(a), (__m128i)(b)))
#define PACK_S16(a, b) _mm_packs_epi32((__m128i)(a), (__m128i)(b))
#define PACK_U8(a, b)  _mm_packus_epi16(a, b)
#define SHUFFLE(a, b)  ((bytes)_mm_shuffle_epi8(a, b))
#endif
#define LOW_32(a, b)  __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define HIGH_32(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define LOW_64(a, b)  __builtin_shufflevector(a, b, 0, 1, 4, 5)
#define HIGH_64(a, b) __builtin_shufflevector(a, b, 2, 3, 6, 7)
#endif

/* Where each byte of 128 bits comes from, for SHUFFLE, from a table of sixteen. */
#if defined(__aarch64__)
#define MOVES(table) vld1q_u8(table)
#elif defined(__AVX2__)
#define MOVES(table) BROADCAST(_mm_loadu_si128((const __m128i *)(table)))
#else
#define MOVES(table) _mm_loadu_si128((const __m128i *)(table))
#endif

/* Clamped to 0..255, in each 128 bits four of s[0], four of s[1] and so on; then moved. */
#define PACK_MOVE(s, moves) SHUFFLE(PACK_U8(PACK_S16((s)[0], (s)[1]), PACK_S16((s)[2], (s)[3])), moves)

#endif
