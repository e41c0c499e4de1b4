/* The vector vocabulary on AVX-512 (F, VL, DQ, BW): 16 floats or 8 doubles. */
#ifndef SOFTJAC_SIMD_AVX512_H
#define SOFTJAC_SIMD_AVX512_H

#include <immintrin.h>
#include <stdint.h>

#define f32_width 16
#define f64_width 8
#define UNROLL _Pragma("GCC unroll 16")
typedef __m512 f32_vec;
typedef __m512d f64_vec;

static inline __mmask16 f32_mask(size_t count) { return (__mmask16)((1u << count) - 1); }
static inline __mmask8 f64_mask(size_t count) { return (__mmask8)((1u << count) - 1); }

static inline f32_vec f32_set(float a) { return _mm512_set1_ps(a); }
static inline f64_vec f64_set(double a) { return _mm512_set1_pd(a); }
static inline f32_vec f32_load(const float *p) { return _mm512_loadu_ps(p); }
static inline f64_vec f64_load(const double *p) { return _mm512_loadu_pd(p); }
static inline void f32_store(float *p, f32_vec a) { _mm512_storeu_ps(p, a); }
static inline void f64_store(double *p, f64_vec a) { _mm512_storeu_pd(p, a); }
/* Past the caches; p is aligned to the vector. */
static inline void f32_stream(float *p, f32_vec a) { _mm512_stream_ps(p, a); }
static inline void f64_stream(double *p, f64_vec a) { _mm512_stream_pd(p, a); }
static inline void stream_fence(void) { _mm_sfence(); }
/* The first `count` lanes, count <= width; the others get `fill`, and are not touched. */
static inline f32_vec f32_load_tail(const float *p, size_t count, float fill) {
    return _mm512_mask_loadu_ps(_mm512_set1_ps(fill), f32_mask(count), p);
}
static inline f64_vec f64_load_tail(const double *p, size_t count, double fill) {
    return _mm512_mask_loadu_pd(_mm512_set1_pd(fill), f64_mask(count), p);
}
static inline void f32_store_tail(float *p, f32_vec a, size_t count) {
    _mm512_mask_storeu_ps(p, f32_mask(count), a);
}
static inline void f64_store_tail(double *p, f64_vec a, size_t count) {
    _mm512_mask_storeu_pd(p, f64_mask(count), a);
}
static inline f32_vec f32_add(f32_vec a, f32_vec b) { return _mm512_add_ps(a, b); }
static inline f64_vec f64_add(f64_vec a, f64_vec b) { return _mm512_add_pd(a, b); }
static inline f32_vec f32_sub(f32_vec a, f32_vec b) { return _mm512_sub_ps(a, b); }
static inline f64_vec f64_sub(f64_vec a, f64_vec b) { return _mm512_sub_pd(a, b); }
static inline f32_vec f32_mul(f32_vec a, f32_vec b) { return _mm512_mul_ps(a, b); }
static inline f64_vec f64_mul(f64_vec a, f64_vec b) { return _mm512_mul_pd(a, b); }
/* a * b + c, rounded once. */
static inline f32_vec f32_fma(f32_vec a, f32_vec b, f32_vec c) { return _mm512_fmadd_ps(a, b, c); }
static inline f64_vec f64_fma(f64_vec a, f64_vec b, f64_vec c) { return _mm512_fmadd_pd(a, b, c); }
/* a > b ? a : b, so b where either is NaN. */
static inline f32_vec f32_max(f32_vec a, f32_vec b) { return _mm512_max_ps(a, b); }
static inline f64_vec f64_max(f64_vec a, f64_vec b) { return _mm512_max_pd(a, b); }
static inline f32_vec f32_abs(f32_vec a) { return _mm512_abs_ps(a); }
static inline f64_vec f64_abs(f64_vec a) { return _mm512_abs_pd(a); }
/* 2^k where k is the integer in the low mantissa bits of a, biased by the caller. */
static inline f32_vec f32_power_of_two(f32_vec a) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(a), 23));
}
static inline f64_vec f64_power_of_two(f64_vec a) {
    return _mm512_castsi512_pd(_mm512_slli_epi64(_mm512_castpd_si512(a), 52));
}
/* a where not x < limit, else 0. NaN in x keeps a. */
static inline f32_vec f32_zero_below(f32_vec a, f32_vec x, f32_vec limit) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, limit, _CMP_NLT_UQ), a);
}
static inline f64_vec f64_zero_below(f64_vec a, f64_vec x, f64_vec limit) {
    return _mm512_maskz_mov_pd(_mm512_cmp_pd_mask(x, limit, _CMP_NLT_UQ), a);
}
/* a where x != 0, else 0. */
static inline f32_vec f32_zero_at_zero(f32_vec a, f32_vec x) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_NEQ_UQ), a);
}
static inline f64_vec f64_zero_at_zero(f64_vec a, f64_vec x) {
    return _mm512_maskz_mov_pd(_mm512_cmp_pd_mask(x, _mm512_setzero_pd(), _CMP_NEQ_UQ), a);
}
/* Lane l with lane l + width/2, then the halves of that: the tail of the one reduction tree. */
static inline float f32_sum_lanes(f32_vec a) {
    __m256 w = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 v = _mm_add_ps(_mm256_castps256_ps128(w), _mm256_extractf128_ps(w, 1));
    v = _mm_add_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_add_ss(v, _mm_movehdup_ps(v)));
}
static inline double f64_sum_lanes(f64_vec a) {
    __m256d w = _mm256_add_pd(_mm512_castpd512_pd256(a), _mm512_extractf64x4_pd(a, 1));
    __m128d v = _mm_add_pd(_mm256_castpd256_pd128(w), _mm256_extractf128_pd(w, 1));
    return _mm_cvtsd_f64(_mm_add_sd(v, _mm_unpackhi_pd(v, v)));
}
static inline float f32_max_lanes(f32_vec a) {
    __m256 w = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 v = _mm_max_ps(_mm256_castps256_ps128(w), _mm256_extractf128_ps(w, 1));
    v = _mm_max_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_max_ss(v, _mm_movehdup_ps(v)));
}
static inline double f64_max_lanes(f64_vec a) {
    __m256d w = _mm256_max_pd(_mm512_castpd512_pd256(a), _mm512_extractf64x4_pd(a, 1));
    __m128d v = _mm_max_pd(_mm256_castpd256_pd128(w), _mm256_extractf128_pd(w, 1));
    return _mm_cvtsd_f64(_mm_max_sd(v, _mm_unpackhi_pd(v, v)));
}
/* a where x > limit, else 0. */
static inline f32_vec f32_keep_above(f32_vec a, f32_vec x, f32_vec limit) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, limit, _CMP_GT_OQ), a);
}
static inline f64_vec f64_keep_above(f64_vec a, f64_vec x, f64_vec limit) {
    return _mm512_maskz_mov_pd(_mm512_cmp_pd_mask(x, limit, _CMP_GT_OQ), a);
}
/* Whether any lane is not 0, or is NaN. */
static inline bool f32_any(f32_vec a) {
    return _mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_NEQ_UQ) != 0;
}
static inline bool f64_any(f64_vec a) {
    return _mm512_cmp_pd_mask(a, _mm512_setzero_pd(), _CMP_NEQ_UQ) != 0;
}
/* Whether a lane lies below the limit. */
static inline bool f32_any_below(f32_vec a, f32_vec limit) {
    return _mm512_cmp_ps_mask(a, limit, _CMP_LT_OQ) != 0;
}
static inline bool f64_any_below(f64_vec a, f64_vec limit) {
    return _mm512_cmp_pd_mask(a, limit, _CMP_LT_OQ) != 0;
}
static inline f32_vec f32_min(f32_vec a, f32_vec b) { return _mm512_min_ps(a, b); }
static inline f64_vec f64_min(f64_vec a, f64_vec b) { return _mm512_min_pd(a, b); }
/* See faint.h for what these are for. */
static ALWAYS_INLINE bool f32_none_small(const f32_vec *a, size_t count) {
    /* All of [2^-63, 2) have bit 29. */
    __m512i common = _mm512_set1_epi32(1 << 29);
    UNROLL for (size_t k = 0; k < count; k += 2) common = _mm512_ternarylogic_epi32(
        common, _mm512_castps_si512(a[k]), _mm512_castps_si512(a[k + 1]), 0x80);
    return !_mm512_testn_epi32_mask(common, common);
}
static inline bool f32_any_faint(const f32_vec *a, size_t count) {
    /* As integers less one zeros are the largest. */
    __m512i least = _mm512_set1_epi32(-1);
    UNROLL for (size_t k = 0; k < count; k++) least =
        _mm512_min_epu32(_mm512_sub_epi32(_mm512_castps_si512(a[k]), _mm512_set1_epi32(1)), least);
    return _mm512_cmplt_epu32_mask(least, _mm512_set1_epi32(f32_faint_bits - 1)) != 0;
}
static inline f32_vec f32_mul_wide(f32_vec a, f32_vec b) {
#define UPPER(v) _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1))
#define LOWER(v) _mm512_cvtps_pd(_mm512_castps512_ps256(v))
    __m256 low = _mm512_cvtpd_ps(_mm512_mul_pd(LOWER(a), LOWER(b)));
    __m256 high = _mm512_cvtpd_ps(_mm512_mul_pd(UPPER(a), UPPER(b)));
#undef UPPER
#undef LOWER
    return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
}
static inline f64_vec f64_mul_wide(f64_vec a, f64_vec b) { return f64_mul(a, b); }
static inline f32_vec f32_mul_faint(f32_vec a, f32_vec b) {
    /* A subnormal a is k units of 2^-149, and k its bits. The product is |k b| of them, rounded to
       an integer by adding 2^23, where that is less than 2^23; b gives the sign. */
    const __m512i two_to_23 = _mm512_set1_epi32(0x4b000000), sign = _mm512_set1_epi32(INT32_MIN);
    __m512i bits = _mm512_castps_si512(a);
    __mmask16 faint = _mm512_cmplt_epu32_mask(bits, _mm512_set1_epi32(f32_faint_bits));
    __m512i magic = _mm512_ternarylogic_epi32(_mm512_castps_si512(b), sign, two_to_23, 0xea);
    f32_vec sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(bits), b, _mm512_castsi512_ps(magic));
    __m512i product = _mm512_castps_si512(_mm512_maskz_mul_ps((__mmask16)~faint, a, b));
    product = _mm512_mask_sub_epi32(product, faint, _mm512_castps_si512(sum), two_to_23);
    /* Where a or the product is no subnormal after all, it has an exponent. */
    const __m512i exponent = _mm512_set1_epi32(0x7f800000);
    if (_mm512_mask_test_epi32_mask(faint, _mm512_or_si512(bits, product), exponent))
        return f32_mul_wide(a, b);
    return _mm512_castsi512_ps(product);
}
static inline f64_vec f64_mul_faint(f64_vec a, f64_vec b) { return f64_mul(a, b); }
static inline f32_vec f32_scale_faint(f32_vec a, f32_vec c, f32_vec units) {
    f32_vec limit = _mm512_set1_ps(f32_subnormal_units);
    __mmask16 below = _mm512_cmp_ps_mask(_mm512_mul_ps(a, units), limit, _CMP_LT_OQ);
    __m512i sum = _mm512_castps_si512(_mm512_fmadd_ps(a, units, _mm512_set1_ps(0x1p23f)));
    __m512i product = _mm512_castps_si512(_mm512_maskz_mul_ps((__mmask16)~below, a, c));
    return _mm512_castsi512_ps(
        _mm512_mask_sub_epi32(product, below, sum, _mm512_set1_epi32(0x4b000000)));
}
static inline f64_vec f64_scale_faint(f64_vec a, f64_vec c, f64_vec units) {
    f64_vec limit = _mm512_set1_pd(f64_subnormal_units);
    __mmask8 below = _mm512_cmp_pd_mask(_mm512_mul_pd(a, units), limit, _CMP_LT_OQ);
    __m512i sum = _mm512_castpd_si512(_mm512_fmadd_pd(a, units, _mm512_set1_pd(0x1p52)));
    __m512i product = _mm512_castpd_si512(_mm512_maskz_mul_pd((__mmask8)~below, a, c));
    return _mm512_castsi512_pd(
        _mm512_mask_sub_epi64(product, below, sum, _mm512_castpd_si512(_mm512_set1_pd(0x1p52))));
}
/* Lane r: what sum_lanes or max_lanes gives for a[r], by the same tree. Each step halves two
   vectors into one. */
#define ROWS_OF_16(name, op)                                                                       \
    static inline f32_vec f32_##name##_rows(const f32_vec *a) {                                    \
        f32_vec half[8], quarter[4], pair[2];                                                      \
        UNROLL for (int i = 0; i < 8; i++) {                                                       \
            /* The last steps transpose: lane 4 j + i comes from 4 i + j. */                       \
            f32_vec first = a[8 * i % 16 + i / 2], second = a[(8 * i + 4) % 16 + i / 2];           \
            half[i] = op##_ps(_mm512_shuffle_f32x4(first, second, 0x44),                           \
                              _mm512_shuffle_f32x4(first, second, 0xee));                          \
        }                                                                                          \
        UNROLL for (int i = 0; i < 4; i++) quarter[i] =                                            \
            op##_ps(_mm512_shuffle_f32x4(half[2 * i], half[2 * i + 1], 0x88),                      \
                    _mm512_shuffle_f32x4(half[2 * i], half[2 * i + 1], 0xdd));                     \
        UNROLL for (int i = 0; i < 2; i++) pair[i] =                                               \
            op##_ps(_mm512_shuffle_ps(quarter[2 * i], quarter[2 * i + 1], 0x44),                   \
                    _mm512_shuffle_ps(quarter[2 * i], quarter[2 * i + 1], 0xee));                  \
        return op##_ps(_mm512_shuffle_ps(pair[0], pair[1], 0x88),                                  \
                       _mm512_shuffle_ps(pair[0], pair[1], 0xdd));                                 \
    }                                                                                              \
    static inline f64_vec f64_##name##_rows(const f64_vec *a) {                                    \
        f64_vec half[4], pair[2];                                                                  \
        UNROLL for (int i = 0; i < 4; i++) {                                                       \
            /* Lane 2 j + i comes from 4 i + j. */                                                 \
            f64_vec first = a[4 * i % 8 + i / 2], second = a[(4 * i + 2) % 8 + i / 2];             \
            half[i] = op##_pd(_mm512_shuffle_f64x2(first, second, 0x44),                           \
                              _mm512_shuffle_f64x2(first, second, 0xee));                          \
        }                                                                                          \
        UNROLL for (int i = 0; i < 2; i++) pair[i] =                                               \
            op##_pd(_mm512_shuffle_f64x2(half[2 * i], half[2 * i + 1], 0x88),                      \
                    _mm512_shuffle_f64x2(half[2 * i], half[2 * i + 1], 0xdd));                     \
        return op##_pd(_mm512_unpacklo_pd(pair[0], pair[1]),                                       \
                       _mm512_unpackhi_pd(pair[0], pair[1]));                                      \
    }
ROWS_OF_16(sum, _mm512_add)
ROWS_OF_16(max, _mm512_max)
#undef ROWS_OF_16
/* Rows to columns, 16 bytes of each row: lane r of column[j] is p[r * ld + j]. What is forgotten
   keeps the compiler from finding all addresses in advance. */
static ALWAYS_INLINE void f32_load_columns(const float *p, ptrdiff_t ld, f32_vec *column) {
    ptrdiff_t step = 4 * ld, three = 3 * step;
    FORGET(step);
    FORGET(three);
    f32_vec a[4], b[4];
    UNROLL for (int r = 0; r < 4; r++, p += ld) {
        FORGET(p);
        a[r] = _mm512_castps128_ps512(_mm_loadu_ps(p));
        a[r] = _mm512_insertf32x4(a[r], _mm_loadu_ps(p + step), 1);
        a[r] = _mm512_insertf32x4(a[r], _mm_loadu_ps(p + 2 * step), 2);
        a[r] = _mm512_insertf32x4(a[r], _mm_loadu_ps(p + three), 3);
    }
    UNROLL for (int i = 0; i < 4; i += 2) {
        b[i] = _mm512_shuffle_ps(a[i], a[i + 1], 0x44);
        b[i + 1] = _mm512_shuffle_ps(a[i], a[i + 1], 0xee);
    }
    UNROLL for (int i = 0; i < 2; i++) {
        column[2 * i] = _mm512_shuffle_ps(b[i], b[i + 2], 0x88);
        column[2 * i + 1] = _mm512_shuffle_ps(b[i], b[i + 2], 0xdd);
    }
}
static ALWAYS_INLINE void f64_load_columns(const double *p, ptrdiff_t ld, f64_vec *column) {
    ptrdiff_t step = 2 * ld, three = 3 * step;
    FORGET(step);
    FORGET(three);
    f64_vec a[2];
    UNROLL for (int r = 0; r < 2; r++, p += ld) {
        FORGET(p);
        a[r] = _mm512_castpd128_pd512(_mm_loadu_pd(p));
        a[r] = _mm512_insertf64x2(a[r], _mm_loadu_pd(p + step), 1);
        a[r] = _mm512_insertf64x2(a[r], _mm_loadu_pd(p + 2 * step), 2);
        a[r] = _mm512_insertf64x2(a[r], _mm_loadu_pd(p + three), 3);
    }
    column[0] = _mm512_unpacklo_pd(a[0], a[1]);
    column[1] = _mm512_unpackhi_pd(a[0], a[1]);
}
static inline double scalar_fma(double a, double b, double c) { return __builtin_fma(a, b, c); }

#endif
