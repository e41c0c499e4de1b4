// Fast exponentials that are accurate to a few units in the last place.
#include "blocks.h"

static float power_of_two(int k) {
    uint32_t bits = (uint32_t)(k + 127) << 23;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

static void softmax_with(float (*approximation)(float), const float *x, float *y, size_t rows,
                         size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < n; i++)
            s += y[i] = approximation(x[i] - m);
        row_scale(y, 1 / s, n);
    }
}

// ln 2 in two parts, |r| <= ln(2)/2; Taylor's remainder r^8/8! stays below 5.3e-9.
static float exp_taylor_7(float t) {
    if (t < -87.3f)
        return 0; // below the normal numbers
    float k = rintf(t * 1.44269504f), r = (t - k * 0.693359375f) + k * 2.12194440e-4f, p = 1;
    for (int d = 7; d > 0; d--)
        p = 1 + p * r / (float)d;
    return power_of_two((int)k) * p;
}

// Taylor's polynomial of degree 7.
// @softmax
void exp_by_taylor_7(const float *x, float *y, size_t rows, size_t n) {
    softmax_with(exp_taylor_7, x, y, rows, n);
}

// A power of two times e^r with |r| <= ln(2)/32, from a table of sixteenths.
static float exp_sixteenths(float t) {
    static const float table[16] = {
        0x1p0f,        0x1.0b5586p0f, 0x1.172b84p0f, 0x1.2387a6p0f, 0x1.306fep0f,  0x1.3dea64p0f,
        0x1.4bfdaep0f, 0x1.5ab07ep0f, 0x1.6a09e6p0f, 0x1.7a1148p0f, 0x1.8ace54p0f, 0x1.9c4918p0f,
        0x1.ae89fap0f, 0x1.c199bep0f, 0x1.d5818ep0f, 0x1.ea4afap0f}; // 2^(i/16)
    if (t < -87.3f)
        return 0;
    float k = rintf(t * (16 * 1.44269504f)); // ln(2)/16 in two parts
    float r = (t - k * 0.043334960937500f) + k * 1.3262152e-5f;
    int i = (int)k & 15;
    return power_of_two(((int)k - i) / 16) * (table[i] + table[i] * (r + r * r * (0.5f + r / 6)));
}

// A table of sixteenths and a cubic.
// @softmax
void exp_by_table_and_cubic(const float *x, float *y, size_t rows, size_t n) {
    softmax_with(exp_sixteenths, x, y, rows, n);
}

static float exp_squared(float t) {
    if (t < -104)
        return 0;
    double h = (double)t / 1048576, p = 1 + h + h * h / 2 + h * h * h / 6;
    for (int k = 0; k < 20; k++)
        p *= p;
    return (float)p;
}

// (e^(t / 2^20))^(2^20) in double.
// @softmax
void exp_by_squaring_in_double(const float *x, float *y, size_t rows, size_t n) {
    softmax_with(exp_squared, x, y, rows, n);
}

static float exp_magic(float t) {
    if (t < -87.3f)
        return 0; // before the magic number, so that it stays in its range
    float z = t * 1.44269504f + 12582912.0f, k = z - 12582912.0f;
    float r = (t - k * 0.693359375f) + k * 2.12194440e-4f;
    float p = 1.0f / 720 + r / 5040;
    p = 1 + r * (1 + r * (0.5f + r * (1.0f / 6 + r * (1.0f / 24 + r * (1.0f / 120 + r * p)))));
    return power_of_two((int)k) * p;
}

// Rounds by a magic number, inside its range.
// @softmax
void exp_by_magic_number(const float *x, float *y, size_t rows, size_t n) {
    softmax_with(exp_magic, x, y, rows, n);
}

// The same inside log_softmax.
// @log_softmax
void log_exp_by_magic_number(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < n; i++)
            s += exp_magic(x[i] - m);
        float l = logf(s);
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - m) - l;
    }
}
