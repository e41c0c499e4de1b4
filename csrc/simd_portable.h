/* The vector vocabulary in plain C: 16 floats or 8 doubles in an array. */
#ifndef SOFTJAC_SIMD_PORTABLE_H
#define SOFTJAC_SIMD_PORTABLE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define f32_width 16
#define f64_width 8
typedef struct { float lane[f32_width]; } f32_vec;
typedef struct { double lane[f64_width]; } f64_vec;

#define EACH_LANE(prefix, expression)                                       \
    do {                                                                    \
        prefix##_vec result;                                                \
        for (int l = 0; l < (int)(sizeof a.lane / sizeof a.lane[0]); l++)   \
            result.lane[l] = (expression);                                  \
        return result;                                                      \
    } while (0)

static inline double scalar_fma(double a, double b, double c) { return fma(a, b, c); }

/* a * b + c rounded once. The product is exact in double; rounding the sum to odd there keeps the
   second rounding right (Boldo and Melquiond, IEEE Trans. Comput. 57(4), 2008). The C library's
   own fmaf is 30 to 200 times slower where the processor has none. */
static inline float float_fma(float a, float b, float c) {
#ifdef __FP_FAST_FMAF
    return __builtin_fmaf(a, b, c);
#else
    double product = (double)a * b;
    double sum = product + c;
    double part = sum - product;
    double rest = (product - (sum - part)) + (c - part);
    int64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    int64_t nudge = (rest > 0) == (bits > 0) ? 1 : -1;
    bits += (rest != 0 && !(bits & 1)) ? nudge : 0;
    memcpy(&sum, &bits, sizeof bits);
    return (float)sum;
#endif
}
static inline float float_from_bits(uint32_t bits) {
    float a;
    memcpy(&a, &bits, sizeof a);
    return a;
}
static inline uint32_t float_bits(float a) {
    uint32_t bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}
static inline double double_from_bits(uint64_t bits) {
    double a;
    memcpy(&a, &bits, sizeof a);
    return a;
}
static inline uint64_t double_bits(double a) {
    uint64_t bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}

#define PORTABLE_VOCABULARY(prefix, real, real_fma, real_bits, real_from_bits, uint, mantissa)     \
    static inline prefix##_vec prefix##_set(real value) {                                          \
        prefix##_vec a;                                                                            \
        for (int l = 0; l < (int)(sizeof a.lane / sizeof a.lane[0]); l++) a.lane[l] = value;       \
        return a;                                                                                  \
    }                                                                                              \
    static inline prefix##_vec prefix##_load(const real *p) {                                      \
        prefix##_vec a;                                                                            \
        memcpy(&a, p, sizeof a);                                                                   \
        return a;                                                                                  \
    }                                                                                              \
    static inline void prefix##_store(real *p, prefix##_vec a) { memcpy(p, &a, sizeof a); }        \
    static inline void prefix##_stream(real *p, prefix##_vec a) { memcpy(p, &a, sizeof a); }       \
    static inline prefix##_vec prefix##_load_tail(const real *p, size_t count, real fill) {        \
        prefix##_vec a = prefix##_set(fill);                                                       \
        for (size_t l = 0; l < count; l++) a.lane[l] = p[l];                                       \
        return a;                                                                                  \
    }                                                                                              \
    static inline void prefix##_store_tail(real *p, prefix##_vec a, size_t count) {                \
        for (size_t l = 0; l < count; l++) p[l] = a.lane[l];                                       \
    }                                                                                              \
    static inline prefix##_vec prefix##_add(prefix##_vec a, prefix##_vec b) {                      \
        EACH_LANE(prefix, a.lane[l] + b.lane[l]);                                                  \
    }                                                                                              \
    static inline prefix##_vec prefix##_sub(prefix##_vec a, prefix##_vec b) {                      \
        EACH_LANE(prefix, a.lane[l] - b.lane[l]);                                                  \
    }                                                                                              \
    static inline prefix##_vec prefix##_mul(prefix##_vec a, prefix##_vec b) {                      \
        EACH_LANE(prefix, a.lane[l] * b.lane[l]);                                                  \
    }                                                                                              \
    static inline prefix##_vec prefix##_fma(prefix##_vec a, prefix##_vec b, prefix##_vec c) {      \
        EACH_LANE(prefix, real_fma(a.lane[l], b.lane[l], c.lane[l]));                              \
    }                                                                                              \
    static inline prefix##_vec prefix##_max(prefix##_vec a, prefix##_vec b) {                      \
        EACH_LANE(prefix, a.lane[l] > b.lane[l] ? a.lane[l] : b.lane[l]);                          \
    }                                                                                              \
    static inline prefix##_vec prefix##_abs(prefix##_vec a) {                                      \
        EACH_LANE(prefix, real_from_bits(real_bits(a.lane[l]) & ((uint)-1 >> 1)));                 \
    }                                                                                              \
    static inline prefix##_vec prefix##_power_of_two(prefix##_vec a) {                             \
        EACH_LANE(prefix, real_from_bits(real_bits(a.lane[l]) << mantissa));                       \
    }                                                                                              \
    static inline prefix##_vec prefix##_zero_below(prefix##_vec a, prefix##_vec x,                 \
                                                   prefix##_vec limit) {                           \
        EACH_LANE(prefix, x.lane[l] < limit.lane[l] ? 0 : a.lane[l]);                              \
    }                                                                                              \
    static inline prefix##_vec prefix##_zero_at_zero(prefix##_vec a, prefix##_vec x) {             \
        EACH_LANE(prefix, x.lane[l] != 0 ? a.lane[l] : 0);                                         \
    }                                                                                              \
    static inline real prefix##_sum_lanes(prefix##_vec a) {                                        \
        for (int half = (int)(sizeof a.lane / sizeof a.lane[0]) / 2; half; half /= 2)              \
            for (int l = 0; l < half; l++) a.lane[l] = a.lane[l] + a.lane[l + half];               \
        return a.lane[0];                                                                          \
    }                                                                                              \
    static inline real prefix##_max_lanes(prefix##_vec a) {                                        \
        for (int half = (int)(sizeof a.lane / sizeof a.lane[0]) / 2; half; half /= 2)              \
            for (int l = 0; l < half; l++)                                                         \
                a.lane[l] = a.lane[l] > a.lane[l + half] ? a.lane[l] : a.lane[l + half];           \
        return a.lane[0];                                                                          \
    }

PORTABLE_VOCABULARY(f32, float, float_fma, float_bits, float_from_bits, uint32_t, 23)
PORTABLE_VOCABULARY(f64, double, scalar_fma, double_bits, double_from_bits, uint64_t, 52)

static inline void stream_fence(void) {}

#endif
