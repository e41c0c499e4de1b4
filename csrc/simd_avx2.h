/* The vector vocabulary on AVX2 with FMA: 8 floats or 4 doubles. */
#ifndef SOFTJAC_SIMD_AVX2_H
#define SOFTJAC_SIMD_AVX2_H

#include <immintrin.h>
#include <stdint.h>

#define f32_width 8
#define f64_width 4
#define UNROLL _Pragma("GCC unroll 16")
typedef __m256 f32_vec;
typedef __m256d f64_vec;

/* Sliding a window over this gives a mask of `count` leading lanes. */
static const int32_t lane_mask[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};

static inline __m256i f32_mask(size_t count) {
    return _mm256_loadu_si256((const __m256i *)(lane_mask + 8 - count));
}
static inline __m256i f64_mask(size_t count) {
    return _mm256_loadu_si256((const __m256i *)(lane_mask + 8 - 2 * count));
}

static inline f32_vec f32_set(float a) { return _mm256_set1_ps(a); }
static inline f64_vec f64_set(double a) { return _mm256_set1_pd(a); }
static inline f32_vec f32_load(const float *p) { return _mm256_loadu_ps(p); }
static inline f64_vec f64_load(const double *p) { return _mm256_loadu_pd(p); }
static inline void f32_store(float *p, f32_vec a) { _mm256_storeu_ps(p, a); }
static inline void f64_store(double *p, f64_vec a) { _mm256_storeu_pd(p, a); }
/* Past the caches; p is aligned to the vector. */
static inline void f32_stream(float *p, f32_vec a) { _mm256_stream_ps(p, a); }
static inline void f64_stream(double *p, f64_vec a) { _mm256_stream_pd(p, a); }
static inline void stream_fence(void) { _mm_sfence(); }
/* The first `count` lanes, count <= width; the others get `fill`, and are not touched. */
static inline f32_vec f32_load_tail(const float *p, size_t count, float fill) {
    __m256i mask = f32_mask(count);
    if (__builtin_constant_p(fill) && fill == 0) return _mm256_maskload_ps(p, mask);
    return _mm256_blendv_ps(_mm256_set1_ps(fill), _mm256_maskload_ps(p, mask),
                            _mm256_castsi256_ps(mask));
}
static inline f64_vec f64_load_tail(const double *p, size_t count, double fill) {
    __m256i mask = f64_mask(count);
    if (__builtin_constant_p(fill) && fill == 0) return _mm256_maskload_pd(p, mask);
    return _mm256_blendv_pd(_mm256_set1_pd(fill), _mm256_maskload_pd(p, mask),
                            _mm256_castsi256_pd(mask));
}
/* count < width. In pieces: a masked store takes tens of cycles on several processors. */
static inline void f32_store_tail(float *p, f32_vec a, size_t count) {
    __m128 part = _mm256_castps256_ps128(a);
    if (count & 4) {
        _mm_storeu_ps(p, part);
        part = _mm256_extractf128_ps(a, 1);
        p += 4;
    }
    if (count & 2) {
        _mm_storel_pi((__m64 *)p, part);
        part = _mm_movehl_ps(part, part);
        p += 2;
    }
    if (count & 1) _mm_store_ss(p, part);
}
static inline void f64_store_tail(double *p, f64_vec a, size_t count) {
    __m128d part = _mm256_castpd256_pd128(a);
    if (count & 2) {
        _mm_storeu_pd(p, part);
        part = _mm256_extractf128_pd(a, 1);
        p += 2;
    }
    if (count & 1) _mm_store_sd(p, part);
}
static inline f32_vec f32_add(f32_vec a, f32_vec b) { return _mm256_add_ps(a, b); }
static inline f64_vec f64_add(f64_vec a, f64_vec b) { return _mm256_add_pd(a, b); }
static inline f32_vec f32_sub(f32_vec a, f32_vec b) { return _mm256_sub_ps(a, b); }
static inline f64_vec f64_sub(f64_vec a, f64_vec b) { return _mm256_sub_pd(a, b); }
static inline f32_vec f32_mul(f32_vec a, f32_vec b) { return _mm256_mul_ps(a, b); }
static inline f64_vec f64_mul(f64_vec a, f64_vec b) { return _mm256_mul_pd(a, b); }
/* a * b + c, rounded once. */
static inline f32_vec f32_fma(f32_vec a, f32_vec b, f32_vec c) { return _mm256_fmadd_ps(a, b, c); }
static inline f64_vec f64_fma(f64_vec a, f64_vec b, f64_vec c) { return _mm256_fmadd_pd(a, b, c); }
/* a > b ? a : b, so b where either is NaN. */
static inline f32_vec f32_max(f32_vec a, f32_vec b) { return _mm256_max_ps(a, b); }
static inline f64_vec f64_max(f64_vec a, f64_vec b) { return _mm256_max_pd(a, b); }
static inline f32_vec f32_abs(f32_vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
static inline f64_vec f64_abs(f64_vec a) { return _mm256_andnot_pd(_mm256_set1_pd(-0.0), a); }
/* 2^k where k is the integer in the low mantissa bits of a, biased by the caller. */
static inline f32_vec f32_power_of_two(f32_vec a) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a), 23));
}
static inline f64_vec f64_power_of_two(f64_vec a) {
    return _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(a), 52));
}
/* a where not x < limit, else 0. NaN in x keeps a. */
static inline f32_vec f32_zero_below(f32_vec a, f32_vec x, f32_vec limit) {
    return _mm256_and_ps(_mm256_cmp_ps(x, limit, _CMP_NLT_UQ), a);
}
static inline f64_vec f64_zero_below(f64_vec a, f64_vec x, f64_vec limit) {
    return _mm256_and_pd(_mm256_cmp_pd(x, limit, _CMP_NLT_UQ), a);
}
/* a where x != 0, else 0. */
static inline f32_vec f32_zero_at_zero(f32_vec a, f32_vec x) {
    return _mm256_and_ps(_mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_NEQ_UQ), a);
}
static inline f64_vec f64_zero_at_zero(f64_vec a, f64_vec x) {
    return _mm256_and_pd(_mm256_cmp_pd(x, _mm256_setzero_pd(), _CMP_NEQ_UQ), a);
}
/* Lane l with lane l + width/2, then the halves of that: the tail of the one reduction tree. */
static inline float f32_sum_lanes(f32_vec a) {
    __m128 v = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    v = _mm_add_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_add_ss(v, _mm_movehdup_ps(v)));
}
static inline double f64_sum_lanes(f64_vec a) {
    __m128d v = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
    return _mm_cvtsd_f64(_mm_add_sd(v, _mm_unpackhi_pd(v, v)));
}
static inline float f32_max_lanes(f32_vec a) {
    __m128 v = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    v = _mm_max_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_max_ss(v, _mm_movehdup_ps(v)));
}
static inline double f64_max_lanes(f64_vec a) {
    __m128d v = _mm_max_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
    return _mm_cvtsd_f64(_mm_max_sd(v, _mm_unpackhi_pd(v, v)));
}
/* a where x > limit, else 0. */
static inline f32_vec f32_keep_above(f32_vec a, f32_vec x, f32_vec limit) {
    return _mm256_and_ps(_mm256_cmp_ps(x, limit, _CMP_GT_OQ), a);
}
static inline f64_vec f64_keep_above(f64_vec a, f64_vec x, f64_vec limit) {
    return _mm256_and_pd(_mm256_cmp_pd(x, limit, _CMP_GT_OQ), a);
}
/* Whether any lane is not 0, or is NaN. */
static inline bool f32_any(f32_vec a) {
    return _mm256_movemask_ps(_mm256_cmp_ps(a, _mm256_setzero_ps(), _CMP_NEQ_UQ)) != 0;
}
static inline bool f64_any(f64_vec a) {
    return _mm256_movemask_pd(_mm256_cmp_pd(a, _mm256_setzero_pd(), _CMP_NEQ_UQ)) != 0;
}
/* Whether a lane lies below the limit. */
static inline bool f32_any_below(f32_vec a, f32_vec limit) {
    return _mm256_movemask_ps(_mm256_cmp_ps(a, limit, _CMP_LT_OQ)) != 0;
}
static inline bool f64_any_below(f64_vec a, f64_vec limit) {
    return _mm256_movemask_pd(_mm256_cmp_pd(a, limit, _CMP_LT_OQ)) != 0;
}
static inline f32_vec f32_min(f32_vec a, f32_vec b) { return _mm256_min_ps(a, b); }
static inline f64_vec f64_min(f64_vec a, f64_vec b) { return _mm256_min_pd(a, b); }
/* See faint.h for what these are for. */
static ALWAYS_INLINE bool f32_none_small(const f32_vec *a, size_t count) {
    /* All of [2^-63, 2) have bit 29. */
    f32_vec common = a[0];
    UNROLL for (size_t k = 1; k < count; k++) common = _mm256_and_ps(common, a[k]);
    return _mm256_testc_si256(_mm256_castps_si256(common), _mm256_set1_epi32(1 << 29));
}
static inline bool f32_any_faint(const f32_vec *a, size_t count) {
    /* As integers less one zeros are the largest. */
    const __m256i one = _mm256_set1_epi32(1), limit = _mm256_set1_epi32(f32_faint_bits - 2);
    __m256i least = _mm256_set1_epi32(-1);
    UNROLL for (size_t k = 0; k < count; k++) least =
        _mm256_min_epu32(_mm256_sub_epi32(_mm256_castps_si256(a[k]), one), least);
    __m256i below = _mm256_cmpeq_epi32(_mm256_min_epu32(least, limit), least);
    return _mm256_movemask_ps(_mm256_castsi256_ps(below)) != 0;
}
static inline f32_vec f32_mul_wide(f32_vec a, f32_vec b) {
#define UPPER(v) _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1))
#define LOWER(v) _mm256_cvtps_pd(_mm256_castps256_ps128(v))
    __m128 low = _mm256_cvtpd_ps(_mm256_mul_pd(LOWER(a), LOWER(b)));
    __m128 high = _mm256_cvtpd_ps(_mm256_mul_pd(UPPER(a), UPPER(b)));
#undef UPPER
#undef LOWER
    return _mm256_insertf128_ps(_mm256_castps128_ps256(low), high, 1);
}
static inline f64_vec f64_mul_wide(f64_vec a, f64_vec b) { return f64_mul(a, b); }
static inline f32_vec f32_mul_faint(f32_vec a, f32_vec b) { return f32_mul_wide(a, b); }
static inline f64_vec f64_mul_faint(f64_vec a, f64_vec b) { return f64_mul(a, b); }
static inline f32_vec f32_scale_faint(f32_vec a, f32_vec c, f32_vec units) {
    const f32_vec limit = _mm256_set1_ps(f32_subnormal_units), two_to_23 = _mm256_set1_ps(0x1p23f);
    f32_vec below = _mm256_cmp_ps(_mm256_mul_ps(a, units), limit, _CMP_LT_OQ);
    __m256i sum = _mm256_castps_si256(_mm256_fmadd_ps(a, units, two_to_23));
    __m256i count = _mm256_sub_epi32(sum, _mm256_castps_si256(two_to_23));
    f32_vec product = _mm256_mul_ps(_mm256_andnot_ps(below, a), c);
    return _mm256_blendv_ps(product, _mm256_castsi256_ps(count), below);
}
static inline f64_vec f64_scale_faint(f64_vec a, f64_vec c, f64_vec units) {
    const f64_vec limit = _mm256_set1_pd(f64_subnormal_units), two_to_52 = _mm256_set1_pd(0x1p52);
    f64_vec below = _mm256_cmp_pd(_mm256_mul_pd(a, units), limit, _CMP_LT_OQ);
    __m256i sum = _mm256_castpd_si256(_mm256_fmadd_pd(a, units, two_to_52));
    __m256i count = _mm256_sub_epi64(sum, _mm256_castpd_si256(two_to_52));
    f64_vec product = _mm256_mul_pd(_mm256_andnot_pd(below, a), c);
    return _mm256_blendv_pd(product, _mm256_castsi256_pd(count), below);
}
/* Lane r: what sum_lanes or max_lanes gives for a[r], by the same tree. Each step halves two
   vectors into one. */
#define ROWS_OF_8(name, op)                                                                        \
    static inline f32_vec f32_##name##_rows(const f32_vec *a) {                                    \
        f32_vec half[4], pair[2];                                                                  \
        UNROLL for (int i = 0; i < 4; i++) {                                                       \
            /* The last steps transpose: lane 4 j + i comes from 2 i + j. */                       \
            half[i] = op##_ps(_mm256_permute2f128_ps(a[i], a[i + 4], 0x20),                        \
                              _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));                       \
        }                                                                                          \
        UNROLL for (int i = 0; i < 2; i++) pair[i] =                                               \
            op##_ps(_mm256_shuffle_ps(half[2 * i], half[2 * i + 1], 0x44),                         \
                    _mm256_shuffle_ps(half[2 * i], half[2 * i + 1], 0xee));                        \
        return op##_ps(_mm256_shuffle_ps(pair[0], pair[1], 0x88),                                  \
                       _mm256_shuffle_ps(pair[0], pair[1], 0xdd));                                 \
    }                                                                                              \
    static inline f64_vec f64_##name##_rows(const f64_vec *a) {                                    \
        f64_vec half[2];                                                                           \
        UNROLL for (int i = 0; i < 2; i++) half[i] =                                               \
            op##_pd(_mm256_permute2f128_pd(a[i], a[i + 2], 0x20),                                  \
                    _mm256_permute2f128_pd(a[i], a[i + 2], 0x31));                                 \
        return op##_pd(_mm256_unpacklo_pd(half[0], half[1]),                                       \
                       _mm256_unpackhi_pd(half[0], half[1]));                                      \
    }
ROWS_OF_8(sum, _mm256_add)
ROWS_OF_8(max, _mm256_max)
#undef ROWS_OF_8
/* Rows to columns, 16 bytes of each row: lane r of column[j] is p[r * ld + j]. */
static ALWAYS_INLINE void f32_load_columns(const float *p, ptrdiff_t ld, f32_vec *column) {
    f32_vec a[4], b[4];
    UNROLL for (int r = 0; r < 4; r++) {
        __m128 low = _mm_loadu_ps(p + r * ld), high = _mm_loadu_ps(p + (r + 4) * ld);
        a[r] = _mm256_set_m128(high, low);
    }
    UNROLL for (int i = 0; i < 4; i += 2) {
        b[i] = _mm256_shuffle_ps(a[i], a[i + 1], 0x44);
        b[i + 1] = _mm256_shuffle_ps(a[i], a[i + 1], 0xee);
    }
    UNROLL for (int i = 0; i < 2; i++) {
        column[2 * i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x88);
        column[2 * i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xdd);
    }
}
static ALWAYS_INLINE void f64_load_columns(const double *p, ptrdiff_t ld, f64_vec *column) {
    f64_vec a[2];
    UNROLL for (int r = 0; r < 2; r++) {
        __m128d low = _mm_loadu_pd(p + r * ld), high = _mm_loadu_pd(p + (r + 2) * ld);
        a[r] = _mm256_set_m128d(high, low);
    }
    column[0] = _mm256_unpacklo_pd(a[0], a[1]);
    column[1] = _mm256_unpackhi_pd(a[0], a[1]);
}
static inline double scalar_fma(double a, double b, double c) { return __builtin_fma(a, b, c); }

#endif
