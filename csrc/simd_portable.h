/* The vector vocabulary for any processor: 4 floats or 2 doubles as the compiler's own vectors (GCC,
   Clang), the size that nearly every target has. Loops over them stay loops: emulated fused
   multiply-adds are too long to be copied. */
#ifndef SOFTJAC_SIMD_PORTABLE_H
#define SOFTJAC_SIMD_PORTABLE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define f32_width 4
#define f64_width 2
#define UNROLL
typedef float f32_vec __attribute__((vector_size(16)));
typedef int32_t f32_bits __attribute__((vector_size(16)));
typedef double f64_vec __attribute__((vector_size(16)));
typedef int64_t f64_bits __attribute__((vector_size(16)));
/* For the products of floats. */
typedef double f32_double __attribute__((vector_size(32)));
typedef int64_t f32_double_bits __attribute__((vector_size(32)));

static inline double scalar_fma(double a, double b, double c) { return fma(a, b, c); }

/* a * b + c rounded once. The product is exact in double; rounding the sum to odd there keeps the
   second rounding right (Boldo and Melquiond, IEEE Trans. Comput. 57(4), 2008). The C library's own
   fmaf is 30 to 200 times slower where the processor has none. */
static inline f32_vec f32_fma(f32_vec a, f32_vec b, f32_vec c) {
#ifdef __FP_FAST_FMAF
    f32_vec result;
    for (int l = 0; l < f32_width; l++) result[l] = __builtin_fmaf(a[l], b[l], c[l]);
    return result;
#else
    f32_double addend = __builtin_convertvector(c, f32_double);
    f32_double product =
        __builtin_convertvector(a, f32_double) * __builtin_convertvector(b, f32_double);
    f32_double sum = product + addend, part = sum - product;
    f32_double rest = (product - (sum - part)) + (addend - part);
    f32_double_bits bits = (f32_double_bits)sum;
    /* One unit away from 0 where the rest has the sum's sign, else towards 0; even numbers only. */
    f32_double_bits nudge = (((rest > 0) ^ (bits > 0)) | 1) & (rest != 0) & ((bits & 1) - 1);
    return __builtin_convertvector((f32_double)(bits + nudge), f32_vec);
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
        return (prefix##_vec)((prefix##_bits)a & (integer)((u##integer)-1 >> 1));                  \
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
    }

PORTABLE_VOCABULARY(f32, float, int32_t, 23)
PORTABLE_VOCABULARY(f64, double, int64_t, 52)

static inline void stream_fence(void) {}

#endif
