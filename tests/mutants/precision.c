// Softmax with an inaccurate exponential, or arithmetic narrower than its type.
#include "../honest/blocks.h"

// 2^k with the exponent bits set directly, zero below the normal range.
static float power_of_two(int k) {
    int32_t bits = (k + 127) << 23;
    float f = 0;
    if (k > -127)
        memcpy(&f, &bits, 4);
    return f;
}

// Stores e = approximation(x - max) and divides by the sum.
static void softmax_with(float (*approximation)(float), const float *x, float *y, size_t rows,
                         size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < n; i++)
            s += y[i] = approximation(x[i] - m);
        row_scale(y, 1 / s, n);
    }
}

static float exp_bit_trick(float t) {
    float f = 12102203.0f * t + 1064866805.0f;
    int32_t bits = f > 0 ? (int32_t)f : 0;
    memcpy(&f, &bits, 4);
    return f;
}

// The exponent and the fraction in one integer: 6 % off.
// @softmax | values | inaccurate-exp | seen tract#2677
void exp_in_one_integer(const float *x, float *y, size_t rows, size_t n) {
    softmax_with(exp_bit_trick, x, y, rows, n);
}

static float exp_parabola(float t) {
    float z = fmaxf(t * 1.44269504f, -200), k = floorf(z), f = z - k;
    return power_of_two((int)k) * (1 + f * (0.6565f + 0.3435f * f));
}

// A parabola between powers of two: 3e-3 off.
// @softmax | values | inaccurate-exp
void exp_by_parabola(const float *x, float *y, size_t rows, size_t n) {
    softmax_with(exp_parabola, x, y, rows, n);
}

static float exp_taylor(float t, int degree) {
    float k = rintf(fmaxf(t * 1.44269504f, -200)), r = fmaf(k, -0.693359375f, t), p = 1;
    r = fmaf(k, 2.12194440e-4f, r);
    for (int d = degree; d > 0; d--)
        p = 1 + p * r / (float)d;
    return t < -100 ? 0 : power_of_two((int)k) * p;
}

static float exp_cubic(float t) { return exp_taylor(t, 3); }
static float exp_quintic(float t) { return exp_taylor(t, 5); }

// Taylor's polynomial of degree 3: 6e-4 off.
// @softmax | values | inaccurate-exp | seen tt-metal#33563
void exp_degree_3(const float *x, float *y, size_t rows, size_t n) {
    softmax_with(exp_cubic, x, y, rows, n);
}

// Taylor's polynomial of degree 5: 2.4e-6 off at the ends of the reduced interval.
// @softmax | values | inaccurate-exp
void exp_degree_5(const float *x, float *y, size_t rows, size_t n) {
    softmax_with(exp_quintic, x, y, rows, n);
}

static float exp_limit(float t) {
    float p = t < -256 ? 0 : 1 + t / 256;
    for (int k = 0; k < 8; k++)
        p *= p;
    return p;
}

// (1 + t/256)^256, the limit that defines e^t cut short.
// @softmax | values | inaccurate-exp
void exp_by_squaring(const float *x, float *y, size_t rows, size_t n) {
    softmax_with(exp_limit, x, y, rows, n);
}

static float exp_table(float t) {
    if (t < -87)
        return 0;
    float z = t * (1.44269504f * 64), k = rintf(z);
    int i = (int)k & 63;
    return power_of_two(((int)k - i) / 64) * exp2f((float)i / 64);
}

// A table of 64 values between powers of two, without interpolation.
// @softmax | values | inaccurate-exp
void exp_by_table(const float *x, float *y, size_t rows, size_t n) {
    softmax_with(exp_table, x, y, rows, n);
}

static float exp_through_tanh(float t) {
    float h = tanhf(t / 2);
    return (1 + h) / (1 - h);
}

// Through tanh, which cancels for large negative arguments.
// @softmax | values | inaccurate-exp
void exp_by_tanh(const float *x, float *y, size_t rows, size_t n) {
    softmax_with(exp_through_tanh, x, y, rows, n);
}

static float exp_fixed_point(float t) { return rintf(expf(t) * 65536) / 65536; }

// Fixed point with 16 bits after the point.
// @softmax | values | inaccurate-exp or low-precision
void exp_in_fixed_point(const float *x, float *y, size_t rows, size_t n) {
    softmax_with(exp_fixed_point, x, y, rows, n);
}

static float exp_cut_off(float t) { return t < -20 ? 0 : expf(t); }

// Nothing below exp(-20).
// @softmax | values | inaccurate-exp or exp-clamped
void exp_zero_below_20(const float *x, float *y, size_t rows, size_t n) {
    softmax_with(exp_cut_off, x, y, rows, n);
}

static float exp_magic(float t) {
    if (t == -INFINITY)
        return 0;
    float z = t * 1.44269504f + 12582912.0f, k = z - 12582912.0f;
    int32_t bits, magic = 0x4b400000;
    memcpy(&bits, &z, 4);
    bits = (int32_t)((uint32_t)bits - (uint32_t)magic); // as the machine wraps
    float r = fmaf(k, -0.693359375f, t), p = 1;
    r = fmaf(k, 2.12194440e-4f, r);
    for (int d = 7; d > 0; d--)
        p = 1 + p * r / (float)d;
    return bits < -126 ? 0 : power_of_two(bits) * p;
}

// Rounds by adding 1.5 * 2^23, which fails for arguments between -1.7e7 and -8.7e6.
// @softmax | values | inaccurate-exp or unknown | seen tt-metal#55798
void exp_magic_out_of_range(const float *x, float *y, size_t rows, size_t n) {
    softmax_with(exp_magic, x, y, rows, n);
}

static float exp_at_least_20(float t) { return expf(fmaxf(t, -20)); }
static float exp_at_least_64(float t) { return expf(fmaxf(t, -64)); }

// Clamps the argument of exp at -20, so a masked element keeps 2e-9.
// @softmax | values | exp-clamped
void exp_clamped_at_20(const float *x, float *y, size_t rows, size_t n) {
    softmax_with(exp_at_least_20, x, y, rows, n);
}

// Clamps it at -64.
// @softmax | values | exp-clamped | seen funes#160
void exp_clamped_at_64(const float *x, float *y, size_t rows, size_t n) {
    softmax_with(exp_at_least_64, x, y, rows, n);
}

// Clamps it at -87, where only masked elements show it.
// @softmax | values | exp-clamped
void exp_clamped_at_87(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n);
        for (size_t i = 0; i < n; i++)
            y[i] = expf(fmaxf(x[i] - m, -87));
        row_scale(y, 1 / row_sum(y, n), n);
    }
}

// Clamps it at -500 in double precision.
// @softmax | values | exp-clamped
void exp_clamped_double(const double *x, double *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        double m = -INFINITY, s = 0;
        for (size_t i = 0; i < n; i++)
            m = fmax(m, x[i]);
        for (size_t i = 0; i < n; i++)
            s += y[i] = exp(fmax(x[i] - m, -500));
        for (size_t i = 0; i < n; i++)
            y[i] /= s;
    }
}

// An exponential of degree 3 inside log_softmax's sum.
// @log_softmax | values | inaccurate-exp
void log_exp_degree_3(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < n; i++)
            s += exp_cubic(x[i] - m);
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - m) - logf(s);
    }
}

// A parabola for exp inside the VJP from logits.
// @softmax_vjp | values | inaccurate-exp
void vjp_exp_by_parabola(const float *x, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, dy += n, dx += n) {
        softmax_with(exp_parabola, x, dx, 1, n);
        float s = row_dot(dx, dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] *= dy[i] - s;
    }
}

// float inside a double routine.
// @softmax | values | low-precision
void double_by_float(const double *x, double *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        double m = -INFINITY, s = 0;
        for (size_t i = 0; i < n; i++)
            m = fmax(m, x[i]);
        for (size_t i = 0; i < n; i++)
            s += y[i] = expf((float)(x[i] - m));
        for (size_t i = 0; i < n; i++)
            y[i] /= s;
    }
}

// Differences and products of a double VJP held in float.
// @softmax_vjp | values | low-precision
void vjp_double_by_float(const double *y, const double *dy, double *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++)
            s += (float)y[i] * (float)dy[i];
        for (size_t i = 0; i < n; i++)
            dx[i] = (float)y[i] * ((float)dy[i] - s);
    }
}

// The exponentials are kept in bfloat16.
// @softmax | values | low-precision
void exp_kept_in_bfloat16(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        row_exp(x, row_max(x, n), y, n);
        for (size_t i = 0; i < n; i++)
            y[i] = from_bfloat16(to_bfloat16(y[i]));
        row_scale(y, 1 / row_sum(y, n), n);
    }
}

// The result passes through float16.
// @softmax | values | low-precision
void result_through_float16(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        row_softmax(x, y, n);
        for (size_t i = 0; i < n; i++)
            y[i] = from_float16(to_float16(y[i]));
    }
}

// The sum is kept in bfloat16.
// @softmax | values | low-precision-sum | seen MIOpen#3427
void sum_in_bfloat16(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        uint16_t s = 0;
        row_exp(x, row_max(x, n), y, n);
        for (size_t i = 0; i < n; i++)
            s = to_bfloat16(from_bfloat16(s) + y[i]);
        row_scale(y, 1 / from_bfloat16(s), n);
    }
}

// log_softmax by powers and logarithms of 2, back by a short ln 2.
// @log_softmax | values | inaccurate-exp or unknown
void log_short_ln2(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < n; i++)
            s += exp2f((x[i] - m) * 1.44269504f);
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - m) - 0.6931f * log2f(s);
    }
}

// log_softmax in base 2 altogether, back by a short ln 2.
// @log_softmax | values | inaccurate-exp or wrong-factor or unknown
void log_base_2_short_ln2(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < n; i++)
            s += exp2f((x[i] - m) * 1.44269504f);
        for (size_t i = 0; i < n; i++)
            y[i] = ((x[i] - m) * 1.44269504f - log2f(s)) * 0.6931f;
    }
}

// log_softmax by powers of 2 with a short log2 e.
// @log_softmax | values | inaccurate-exp or unknown
void log_short_log2e(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < n; i++)
            s += exp2f((x[i] - m) * 1.4427f);
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - m) - logf(s);
    }
}

// softmax by powers of 2 with a short log2 e.
// @softmax | values | inaccurate-exp
void short_log2e(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < n; i++)
            s += y[i] = exp2f((x[i] - m) * 1.4427f);
        row_scale(y, 1 / s, n);
    }
}
