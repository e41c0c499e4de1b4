// Right building blocks in plain C, so that a specimen shows its own idea and nothing else.
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline float row_max(const float *x, size_t n) {
    float m = -INFINITY;
    for (size_t i = 0; i < n; i++)
        m = x[i] > m ? x[i] : m;
    return m;
}

// Stores exp(x - m) and returns the sum.
static inline float row_exp(const float *x, float m, float *y, size_t n) {
    float s = 0;
    for (size_t i = 0; i < n; i++)
        s += y[i] = expf(x[i] - m);
    return s;
}

static inline void row_scale(float *y, float factor, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] *= factor;
}

static inline void row_softmax(const float *x, float *y, size_t n) {
    row_scale(y, 1 / row_exp(x, row_max(x, n), y, n), n);
}

static inline float row_sum(const float *x, size_t n) {
    float s = 0;
    for (size_t i = 0; i < n; i++)
        s += x[i];
    return s;
}

static inline float row_dot(const float *a, const float *b, size_t n) {
    float s = 0;
    for (size_t i = 0; i < n; i++)
        s += a[i] * b[i];
    return s;
}

static inline void row_vjp(const float *y, const float *dy, float *dx, size_t n) {
    float s = row_dot(y, dy, n);
    for (size_t i = 0; i < n; i++)
        dx[i] = y[i] * (dy[i] - s);
}

static inline float from_bfloat16(uint16_t h) {
    uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

// Rounds to nearest even; a NaN stays one.
static inline uint16_t to_bfloat16(float f) {
    uint32_t bits;
    memcpy(&bits, &f, 4);
    if (f != f)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static inline float from_float16(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, magnitude = h & 0x7fff;
    float f = (float)magnitude * 0x1p-24f; // a subnormal is a whole number of 2^-24
    uint32_t bits;
    if (magnitude >= 0x400) {
        bits = (magnitude << 13) + (magnitude >= 0x7c00 ? 0x70000000 : 0x38000000);
        memcpy(&f, &bits, 4);
    }
    memcpy(&bits, &f, 4);
    bits |= sign;
    memcpy(&f, &bits, 4);
    return f;
}

// Rounds to nearest even, by the addition of a number whose last bit is float16's last bit.
static inline uint16_t to_float16(float f) {
    float a = fabsf(f);
    uint16_t sign = signbit(f) ? 0x8000 : 0;
    if (f != f)
        return sign | 0x7e00;
    if (a >= 65520)
        return sign | 0x7c00;
    int e;
    frexpf(a, &e); // a < 2^e
    if (a < 0x1p-14f)
        e = -13; // float16's subnormals share the smallest exponent
    float unit = ldexpf(1, e - 11), k = nearbyintf(a / unit);
    return sign | (uint16_t)((uint32_t)k + ((uint32_t)(e + 13) << 10));
}
