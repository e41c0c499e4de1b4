/* The vector vocabulary for any processor: 4 floats or 2 doubles as the compiler's own vectors
   (GCC, Clang), the size that nearly every target has. Loops over them stay loops: emulated fused
   multiply-adds are too long to be copied. */
#ifndef SOFTJAC_SIMD_PORTABLE_H
#define SOFTJAC_SIMD_PORTABLE_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define f32_width 4
#define f64_width 2
#define UNROLL
typedef float f32_vec __attribute__((vector_size(16)));
typedef int32_t f32_bits __attribute__((vector_size(16)));
typedef double f64_vec __attribute__((vector_size(16)));
typedef int64_t f64_bits __attribute__((vector_size(16)));

static inline double scalar_fma(double a, double b, double c) { return fma(a, b, c); }

/* a * b + c rounded once. The product is exact in double; rounding the sum to odd there keeps the
   second rounding right (Boldo and Melquiond, IEEE Trans. Comput. 57(4), 2008). The C library's own
   fmaf is 30 to 200 times slower where the processor has none. */
static inline f64_vec odd_fma(f64_vec a, f64_vec b, f64_vec c) {
    f64_vec product = a * b, sum = product + c, part = sum - product;
    f64_vec rest = (product - (sum - part)) + (c - part);
    f64_bits bits = (f64_bits)sum;
    /* One unit away from 0 where the rest has the sum's sign, else towards 0; even numbers only.
       A sum is even where the last bit is 0. */
    f64_bits opposite = (f64_bits)rest ^ bits;
    f64_bits inexact = (f64_bits)(rest != 0);
#ifdef __SSE2__
    /* SSE2 has no 64-bit arithmetic shift: the sign of the upper half, in both. */
    f64_bits towards = (f64_bits)_mm_shuffle_epi32(_mm_srai_epi32((__m128i)opposite, 31), 0xf5);
#else
    f64_bits towards = opposite >> 63;
#endif
    return (f64_vec)(bits + ((towards | 1) & inexact & ((bits & 1) - 1)));
}
static inline f32_vec f32_fma(f32_vec a, f32_vec b, f32_vec c) {
#if defined(__FP_FAST_FMAF)
    f32_vec result;
    for (int l = 0; l < f32_width; l++) result[l] = __builtin_fmaf(a[l], b[l], c[l]);
    return result;
#elif defined(__SSE2__)
    f64_vec low = odd_fma((f64_vec)_mm_cvtps_pd((__m128)a), (f64_vec)_mm_cvtps_pd((__m128)b),
                          (f64_vec)_mm_cvtps_pd((__m128)c));
#define UPPER(v) (f64_vec) _mm_cvtps_pd(_mm_movehl_ps((__m128)(v), (__m128)(v)))
    f64_vec high = odd_fma(UPPER(a), UPPER(b), UPPER(c));
#undef UPPER
    return (f32_vec)_mm_movelh_ps(_mm_cvtpd_ps((__m128d)low), _mm_cvtpd_ps((__m128d)high));
#else
    f32_vec result;
    for (int l = 0; l < f32_width; l += 2) {
        f64_vec sum = odd_fma((f64_vec){a[l], a[l + 1]}, (f64_vec){b[l], b[l + 1]},
                              (f64_vec){c[l], c[l + 1]});
        result[l] = (float)sum[0];
        result[l + 1] = (float)sum[1];
    }
    return result;
#endif
}
static inline f64_vec f64_fma(f64_vec a, f64_vec b, f64_vec c) {
    f64_vec result;
    for (int l = 0; l < f64_width; l++) result[l] = fma(a[l], b[l], c[l]);
    return result;
}

#define PORTABLE_VOCABULARY(prefix, real, integer, mantissa)                                       \
    static inline prefix##_vec prefix##_set(real value) { return value - (prefix##_vec){0}; }      \
    static inline prefix##_vec prefix##_load(const real *p) {                                      \
        prefix##_vec a;                                                                            \
        memcpy(&a, p, sizeof a);                                                                   \
        return a;                                                                                  \
    }                                                                                              \
    static inline void prefix##_store(real *p, prefix##_vec a) { memcpy(p, &a, sizeof a); }        \
    static inline void prefix##_stream(real *p, prefix##_vec a) { memcpy(p, &a, sizeof a); }       \
    /* The first `count` lanes; the others get `fill`, and are not touched. */                     \
    static inline prefix##_vec prefix##_load_tail(const real *p, size_t count, real fill) {        \
        prefix##_vec a = prefix##_set(fill);                                                       \
        memcpy(&a, p, count * sizeof *p);                                                          \
        return a;                                                                                  \
    }                                                                                              \
    static inline void prefix##_store_tail(real *p, prefix##_vec a, size_t count) {                \
        memcpy(p, &a, count * sizeof *p);                                                          \
    }                                                                                              \
    static inline prefix##_vec prefix##_add(prefix##_vec a, prefix##_vec b) { return a + b; }      \
    static inline prefix##_vec prefix##_sub(prefix##_vec a, prefix##_vec b) { return a - b; }      \
    static inline prefix##_vec prefix##_mul(prefix##_vec a, prefix##_vec b) { return a * b; }      \
    /* a > b ? a : b, so b where either is NaN. */                                                 \
    static inline prefix##_vec prefix##_max(prefix##_vec a, prefix##_vec b) {                      \
        prefix##_bits greater = a > b;                                                             \
        return (prefix##_vec)(((prefix##_bits)a & greater) | ((prefix##_bits)b & ~greater));       \
    }                                                                                              \
    static inline prefix##_vec prefix##_abs(prefix##_vec a) {                                      \
        return (prefix##_vec)((prefix##_bits)a & (integer)((u##integer) - 1 >> 1));                \
    }                                                                                              \
    /* 2^k where k is the integer in the low mantissa bits of a, biased by the caller. */          \
    static inline prefix##_vec prefix##_power_of_two(prefix##_vec a) {                             \
        return (prefix##_vec)((prefix##_bits)a << mantissa);                                       \
    }                                                                                              \
    /* a where not x < limit, else 0. NaN in x keeps a. */                                         \
    static inline prefix##_vec prefix##_zero_below(prefix##_vec a, prefix##_vec x,                 \
                                                   prefix##_vec limit) {                           \
        return (prefix##_vec)((prefix##_bits)a & ~(prefix##_bits)(x < limit));                     \
    }                                                                                              \
    /* a where x != 0, else 0. */                                                                  \
    static inline prefix##_vec prefix##_zero_at_zero(prefix##_vec a, prefix##_vec x) {             \
        return (prefix##_vec)((prefix##_bits)a & (prefix##_bits)(x != 0));                         \
    }                                                                                              \
    /* Lane l with lane l + width/2, then the halves of that: the tail of the one tree. */         \
    static inline real prefix##_sum_lanes(prefix##_vec a) {                                        \
        real lane[prefix##_width];                                                                 \
        memcpy(lane, &a, sizeof a);                                                                \
        for (int half = prefix##_width / 2; half; half /= 2)                                       \
            for (int l = 0; l < half; l++) lane[l] = lane[l] + lane[l + half];                     \
        return lane[0];                                                                            \
    }                                                                                              \
    static inline real prefix##_max_lanes(prefix##_vec a) {                                        \
        real lane[prefix##_width];                                                                 \
        memcpy(lane, &a, sizeof a);                                                                \
        for (int half = prefix##_width / 2; half; half /= 2)                                       \
            for (int l = 0; l < half; l++)                                                         \
                lane[l] = lane[l] > lane[l + half] ? lane[l] : lane[l + half];                     \
        return lane[0];                                                                            \
    }                                                                                              \
    /* a where x > limit, else 0. */                                                               \
    static inline prefix##_vec prefix##_keep_above(prefix##_vec a, prefix##_vec x,                 \
                                                   prefix##_vec limit) {                           \
        return (prefix##_vec)((prefix##_bits)a & (prefix##_bits)(x > limit));                      \
    }                                                                                              \
    /* Whether any lane is not 0, or is NaN. */                                                    \
    static inline bool prefix##_any(prefix##_vec a) {                                              \
        for (int l = 0; l < prefix##_width; l++)                                                   \
            if (a[l] != 0) return true;                                                            \
        return false;                                                                              \
    }                                                                                              \
    /* Whether a lane lies below the limit. */                                                     \
    static inline bool prefix##_any_below(prefix##_vec a, prefix##_vec limit) {                    \
        for (int l = 0; l < prefix##_width; l++)                                                   \
            if (a[l] < limit[l]) return true;                                                      \
        return false;                                                                              \
    }                                                                                              \
    static inline prefix##_vec prefix##_min(prefix##_vec a, prefix##_vec b) {                      \
        prefix##_bits less = a < b;                                                                \
        return (prefix##_vec)(((prefix##_bits)a & less) | ((prefix##_bits)b & ~less));             \
    }                                                                                              \
    /* See faint.h for what these are for. */                                                      \
    static inline prefix##_vec prefix##_scale_faint(prefix##_vec a, prefix##_vec c,                \
                                                    prefix##_vec units) {                          \
        prefix##_bits below = (prefix##_bits)(a * units < prefix##_subnormal_units);               \
        prefix##_vec one = prefix##_set((real)((u##integer)1 << mantissa));                        \
        prefix##_bits count = (prefix##_bits)prefix##_fma(a, units, one) - (prefix##_bits)one;     \
        prefix##_vec product = (prefix##_vec)((prefix##_bits)a & ~below) * c;                      \
        return (prefix##_vec)(((prefix##_bits)product & ~below) | (count & below));                \
    }                                                                                              \
    /* Lane r: what sum_lanes or max_lanes gives for a[r]. */                                      \
    static inline prefix##_vec prefix##_sum_rows(const prefix##_vec *a) {                          \
        prefix##_vec sums;                                                                         \
        for (int r = 0; r < prefix##_width; r++) sums[r] = prefix##_sum_lanes(a[r]);               \
        return sums;                                                                               \
    }                                                                                              \
    static inline prefix##_vec prefix##_max_rows(const prefix##_vec *a) {                          \
        prefix##_vec tops;                                                                         \
        for (int r = 0; r < prefix##_width; r++) tops[r] = prefix##_max_lanes(a[r]);               \
        return tops;                                                                               \
    }                                                                                              \
    /* Rows to columns, 16 bytes of each row: lane r of column[j] is p[r * ld + j]. */             \
    static inline void prefix##_load_columns(const real *p, ptrdiff_t ld, prefix##_vec *column) {  \
        for (int j = 0; j < prefix##_width; j++)                                                   \
            for (int r = 0; r < prefix##_width; r++) column[j][r] = p[r * ld + j];                 \
    }

PORTABLE_VOCABULARY(f32, float, int32_t, 23)
PORTABLE_VOCABULARY(f64, double, int64_t, 52)

static inline bool f32_any_faint(const f32_vec *a, size_t count) {
    f32_bits found = {0};
    for (size_t k = 0; k < count; k++) {
        f32_bits below = (f32_bits)a[k] - 1;
        found |= ~below & (below < f32_faint_bits - 1);
    }
    return f32_any((f32_vec)(found & 0x3f800000));
}
static inline bool f32_none_small(const f32_vec *a, size_t count) {
    /* All of [2^-63, 2) have bit 29. */
    f32_bits common = (f32_bits)a[0];
    for (size_t k = 1; k < count; k++) common &= (f32_bits)a[k];
    return common[0] & common[1] & common[2] & common[3] & 1 << 29;
}
static inline f32_vec f32_mul_wide(f32_vec a, f32_vec b) {
    typedef double wide __attribute__((vector_size(32)));
    return __builtin_convertvector(
        __builtin_convertvector(a, wide) * __builtin_convertvector(b, wide), f32_vec);
}
static inline f64_vec f64_mul_wide(f64_vec a, f64_vec b) { return a * b; }
static inline f32_vec f32_mul_faint(f32_vec a, f32_vec b) { return f32_mul_wide(a, b); }
static inline f64_vec f64_mul_faint(f64_vec a, f64_vec b) { return a * b; }

static inline void stream_fence(void) {}

#endif
