// Vectors of LANES floats or 32-bit integers: 16 with AVX-512, 8 with AVX2, either with VNNI.
// Surplus lanes of a loop's last vector are never read or written: see the functions "_some".

#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#ifndef LANES
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
#define LANES 16
#else
#define LANES 8
#endif
#endif

#define INLINE static inline __attribute__((always_inline))

#if LANES == 16

typedef __m512 Floats;
typedef __m512i Ints;

INLINE __mmask16 first(int64_t n) { return static_cast<__mmask16>((1u << n) - 1); }
INLINE Floats load(const float* p) { return _mm512_loadu_ps(p); }
INLINE Floats load_some(const float* p, int64_t n) { return _mm512_maskz_loadu_ps(first(n), p); }
INLINE Floats load(const uint16_t* p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p)); }
INLINE Floats load_some(const uint16_t* p, int64_t n) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first(n), p));
}
INLINE void store(float* p, Floats v) { _mm512_storeu_ps(p, v); }
INLINE void store_some(float* p, Floats v, int64_t n) { _mm512_mask_storeu_ps(p, first(n), v); }
INLINE void store_some(uint16_t* p, Floats v, int64_t n) {
    _mm256_mask_storeu_epi16(p, first(n), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
INLINE Floats every(float x) { return _mm512_set1_ps(x); }
INLINE Floats fused(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
INLINE Floats alternating(Floats a, Floats b, Floats c) { return _mm512_fmaddsub_ps(a, b, c); }
INLINE Floats even_twice(Floats a) { return _mm512_moveldup_ps(a); }
INLINE Floats odd_twice(Floats a) { return _mm512_movehdup_ps(a); }
INLINE Floats pairs_swapped(Floats a) { return _mm512_permute_ps(a, 0xb1); }
INLINE Floats greater(Floats a, Floats b) { return _mm512_max_ps(a, b); }
INLINE Floats lesser(Floats a, Floats b) { return _mm512_min_ps(a, b); }
INLINE Floats size_of(Floats a) { return _mm512_abs_ps(a); }
INLINE Floats whole(Floats a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE Floats or_zero(Floats a, Floats x, float bound) {  // a where x > bound, else 0
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(bound), _CMP_GT_OQ), a);
}
INLINE float sum(Floats a) { return _mm512_reduce_add_ps(a); }
INLINE float greatest(Floats a) { return _mm512_reduce_max_ps(a); }
INLINE Ints every(int32_t x) { return _mm512_set1_epi32(x); }
INLINE Ints load(const void* p) { return _mm512_loadu_si512(p); }
INLINE Ints to_ints(Floats a) { return _mm512_cvtps_epi32(a); }
INLINE Floats to_floats(Ints a) { return _mm512_cvtepi32_ps(a); }
INLINE Ints plus(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
INLINE Floats times_power_of_two(Floats a, Floats n) { return _mm512_scalef_ps(a, n); }
INLINE int32_t sum(Ints a) { return _mm512_reduce_add_epi32(a); }
INLINE void store_bytes(int8_t* p, Ints a) { _mm_storeu_si128((__m128i*)p, _mm512_cvtepi32_epi8(a)); }
INLINE Ints plus_products(Ints sums, Ints bytes, Ints signed_bytes) {
    // Not the intrinsic: GCC 12 copies and spills the sums of a loop that way.
    asm("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(bytes), "v"(signed_bytes));
    return sums;
}
INLINE Floats halves_added(Floats a, Floats b) {  // of each pair of numbers their sum, a's then b's, by quarters
    return _mm512_shuffle_ps(a, b, 0x88) + _mm512_shuffle_ps(a, b, 0xdd);
}
INLINE Floats sums_of_four(const Floats* v) {  // a quarter of each sum in each quarter
    return halves_added(halves_added(v[0], v[1]), halves_added(v[2], v[3]));
}
INLINE Floats quarters_added(Floats a, Floats b) {
    return _mm512_shuffle_f32x4(a, b, 0x88) + _mm512_shuffle_f32x4(a, b, 0xdd);
}
INLINE Floats sums(const Floats* v) {  // the sum of each of 16 vectors
    return quarters_added(quarters_added(sums_of_four(v), sums_of_four(v + 4)),
                          quarters_added(sums_of_four(v + 8), sums_of_four(v + 12)));
}

#else

typedef __m256 Floats;
typedef __m256i Ints;

INLINE __m256i first(int64_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
INLINE Floats load(const float* p) { return _mm256_loadu_ps(p); }
INLINE Floats load_some(const float* p, int64_t n) { return _mm256_maskload_ps(p, first(n)); }
INLINE Floats load(const uint16_t* p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p)); }
INLINE Floats load_some(const uint16_t* p, int64_t n) {
    uint16_t all[8] = {};
    memcpy(all, p, n * sizeof(uint16_t));
    return load(all);
}
INLINE void store(float* p, Floats v) { _mm256_storeu_ps(p, v); }
INLINE void store_some(float* p, Floats v, int64_t n) { _mm256_maskstore_ps(p, first(n), v); }
INLINE void store_some(uint16_t* p, Floats v, int64_t n) {
    uint16_t all[8];
    _mm_storeu_si128((__m128i*)all, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    memcpy(p, all, n * sizeof(uint16_t));
}
INLINE Floats every(float x) { return _mm256_set1_ps(x); }
INLINE Floats fused(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
INLINE Floats alternating(Floats a, Floats b, Floats c) { return _mm256_fmaddsub_ps(a, b, c); }
INLINE Floats even_twice(Floats a) { return _mm256_moveldup_ps(a); }
INLINE Floats odd_twice(Floats a) { return _mm256_movehdup_ps(a); }
INLINE Floats pairs_swapped(Floats a) { return _mm256_permute_ps(a, 0xb1); }
INLINE Floats greater(Floats a, Floats b) { return _mm256_max_ps(a, b); }
INLINE Floats lesser(Floats a, Floats b) { return _mm256_min_ps(a, b); }
INLINE Floats size_of(Floats a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
INLINE Floats whole(Floats a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE Floats or_zero(Floats a, Floats x, float bound) {
    return _mm256_and_ps(_mm256_cmp_ps(x, _mm256_set1_ps(bound), _CMP_GT_OQ), a);
}
INLINE float sum(Floats a) {
    __m128 s = _mm256_castps256_ps128(a) + _mm256_extractf128_ps(a, 1);
    s += _mm_movehl_ps(s, s);
    return _mm_cvtss_f32(s) + _mm_cvtss_f32(_mm_movehdup_ps(s));
}
INLINE float greatest(Floats a) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}
INLINE Ints every(int32_t x) { return _mm256_set1_epi32(x); }
INLINE Ints load(const void* p) { return _mm256_loadu_si256((const __m256i*)p); }
INLINE Ints to_ints(Floats a) { return _mm256_cvtps_epi32(a); }
INLINE Floats to_floats(Ints a) { return _mm256_cvtepi32_ps(a); }
INLINE Ints plus(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
INLINE Floats times_power_of_two(Floats a, Floats n) {
    return a * _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(to_ints(n), every(127)), 23));
}
INLINE int32_t sum(Ints a) {
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}
INLINE void store_bytes(int8_t* p, Ints a) {
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    _mm_storel_epi64((__m128i*)p, _mm_packs_epi16(words, words));
}
INLINE Ints plus_products(Ints sums, Ints bytes, Ints signed_bytes) {
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
    asm("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(bytes), "v"(signed_bytes));
#else
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sums) : "x"(bytes), "x"(signed_bytes));
#endif
    return sums;
}
INLINE Floats sums(const Floats* v) {  // the sum of each of 8 vectors
    const Floats low = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
    const Floats high = _mm256_hadd_ps(_mm256_hadd_ps(v[4], v[5]), _mm256_hadd_ps(v[6], v[7]));
    return _mm256_permute2f128_ps(low, high, 0x20) + _mm256_permute2f128_ps(low, high, 0x31);
}

#endif

INLINE void store(uint16_t* p, Floats v) { store_some(p, v, LANES); }

INLINE Ints four(const int8_t* p) {  // four bytes, in every lane
    int32_t bytes;
    memcpy(&bytes, p, 4);
    return every(bytes);
}

// exp within 2e-7 of its value; 0 below -87, where a float32 would lose digits.
INLINE Floats exponential(Floats x) {
    const Floats bounded = lesser(greater(x, every(-87.0f)), every(88.0f));
    const Floats n = whole(bounded * every(1.44269504f));
    Floats r = fused(n, every(-0.693359375f), bounded);
    r = fused(n, every(2.12194440e-4f), r);
    Floats p = every(1.9875691500e-4f);
    p = fused(p, r, every(1.3981999507e-3f));
    p = fused(p, r, every(8.3334519073e-3f));
    p = fused(p, r, every(4.1665795894e-2f));
    p = fused(p, r, every(1.6666665459e-1f));
    p = fused(p, r, every(5.0000001201e-1f));
    p = fused(p * r, r, r + every(1.0f));
    return or_zero(times_power_of_two(p, n), x, -87.0f);
}
