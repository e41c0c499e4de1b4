// Right building blocks in AVX2: masks for tails, reductions over lanes, the exponential.
#pragma once

#pragma GCC target("avx2,fma")
#include <immintrin.h>
#include "blocks.h"

// All ones in the first k of 8 lanes.
static inline __m256i first_lanes(size_t k) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)k), lane);
}

// Loads the first k lanes and puts `fill` into the others.
static inline __m256 load_tail(const float *p, size_t k, float fill) {
    __m256i mask = first_lanes(k);
    __m256 v = _mm256_maskload_ps(p, mask);
    return _mm256_blendv_ps(_mm256_set1_ps(fill), v, _mm256_castsi256_ps(mask));
}

static inline void store_tail(float *p, size_t k, __m256 v) {
    _mm256_maskstore_ps(p, first_lanes(k), v);
}

static inline float max_of_lanes(__m256 v) {
    __m128 h = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    h = _mm_max_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_max_ss(h, _mm_movehdup_ps(h)));
}

static inline float sum_of_lanes(__m256 v) {
    __m128 h = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    h = _mm_add_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_add_ss(h, _mm_movehdup_ps(h)));
}

// exp(t) for t <= 0 (or a little above): t = k ln 2 + r with Cody and Waite's two parts of ln 2,
// |r| <= ln(2)/2, Taylor's polynomial of degree 7 (remainder below 5.3e-9), 2^k in two factors so
// that subnormal results are rounded once. Zero below -104; a NaN stays one.
static inline __m256 exp8(__m256 t) {
    const int nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    __m256 k = _mm256_round_ps(_mm256_mul_ps(t, _mm256_set1_ps(1.44269504f)), nearest);
    __m256 r = _mm256_fnmadd_ps(k, _mm256_set1_ps(0.693359375f), t);
    r = _mm256_fmadd_ps(k, _mm256_set1_ps(2.12194440e-4f), r);
    __m256 p = _mm256_set1_ps(1.0f / 5040);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 720));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 120));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 24));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 6));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1));
    __m256i whole = _mm256_cvtps_epi32(k), half = _mm256_srai_epi32(whole, 1);
    __m256i rest = _mm256_sub_epi32(whole, half), bias = _mm256_set1_epi32(127);
    __m256i a = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
    __m256i b = _mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23);
    p = _mm256_mul_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(a)), _mm256_castsi256_ps(b));
    __m256 vanishes = _mm256_cmp_ps(t, _mm256_set1_ps(-104), _CMP_LT_OQ);
    return _mm256_andnot_ps(vanishes, p);
}

static inline float max8(const float *x, size_t n) {
    __m256 m = _mm256_set1_ps(-INFINITY);
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        m = _mm256_max_ps(m, _mm256_loadu_ps(x + i));
    if (i < n)
        m = _mm256_max_ps(m, load_tail(x + i, n - i, -INFINITY));
    return max_of_lanes(m);
}

// Stores exp(x - m) and returns the sum.
static inline float exp_row8(const float *x, float m, float *y, size_t n) {
    __m256 shift = _mm256_set1_ps(m), s = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 e = exp8(_mm256_sub_ps(_mm256_loadu_ps(x + i), shift));
        _mm256_storeu_ps(y + i, e);
        s = _mm256_add_ps(s, e);
    }
    if (i < n) {
        __m256 e = exp8(_mm256_sub_ps(load_tail(x + i, n - i, -INFINITY), shift));
        e = _mm256_and_ps(e, _mm256_castsi256_ps(first_lanes(n - i)));
        store_tail(y + i, n - i, e);
        s = _mm256_add_ps(s, e);
    }
    return sum_of_lanes(s);
}

static inline void scale_row8(float *y, float factor, size_t n) {
    __m256 f = _mm256_set1_ps(factor);
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_loadu_ps(y + i), f));
    if (i < n)
        store_tail(y + i, n - i, _mm256_mul_ps(load_tail(y + i, n - i, 0), f));
}

static inline void row_softmax8(const float *x, float *y, size_t n) {
    scale_row8(y, 1 / exp_row8(x, max8(x, n), y, n), n);
}

static inline float dot8(const float *a, const float *b, size_t n) {
    __m256 s = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        s = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), s);
    if (i < n)
        s = _mm256_fmadd_ps(load_tail(a + i, n - i, 0), load_tail(b + i, n - i, 0), s);
    return sum_of_lanes(s);
}

// dx = y (dy - s)
static inline void vjp_apply8(const float *y, const float *dy, float s, float *dx, size_t n) {
    __m256 dot = _mm256_set1_ps(s);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 e = _mm256_sub_ps(_mm256_loadu_ps(dy + i), dot);
        _mm256_storeu_ps(dx + i, _mm256_mul_ps(_mm256_loadu_ps(y + i), e));
    }
    if (i < n) {
        __m256 e = _mm256_sub_ps(load_tail(dy + i, n - i, 0), dot);
        store_tail(dx + i, n - i, _mm256_mul_ps(load_tail(y + i, n - i, 0), e));
    }
}

static inline void row_vjp8(const float *y, const float *dy, float *dx, size_t n) {
    vjp_apply8(y, dy, dot8(y, dy, n), dx, n);
}
