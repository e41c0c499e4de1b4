// Softmax shifted by something else than its maximum, or in one place only, in plain scalar C.
#include <float.h>
#include "../honest/blocks.h"

// Never subtracts the maximum, so exp overflows above 88.7.
// @softmax | values | no-max-subtraction | seen deeplearning4j#6039
void no_max(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++)
            s += y[i] = expf(x[i]);
        for (size_t i = 0; i < n; i++)
            y[i] /= s;
    }
}

// The same in one row a call, with a reciprocal.
// @softmax | values | no-max-subtraction | seen machinelearning#3648
void no_max_one_row(const float *x, float *y, int n) {
    float s = 0;
    for (int i = 0; i < n; i++)
        s += expf(x[i]);
    float inverse = 1.0f / s;
    for (int i = 0; i < n; i++)
        y[i] = expf(x[i]) * inverse;
}

// The maximum of a row of doubles is kept in a float.
// @softmax | values | low-precision
void maximum_in_float(const double *x, double *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = -INFINITY;
        double s = 0;
        for (size_t i = 0; i < n; i++)
            m = fmaxf(m, (float)x[i]);
        for (size_t i = 0; i < n; i++)
            s += y[i] = exp(x[i] - m);
        for (size_t i = 0; i < n; i++)
            y[i] /= s;
    }
}

// Double precision moves the overflow to 709 and no further.
// @softmax | values | no-max-subtraction
void no_max_double(const double *x, double *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        double s = 0;
        for (size_t i = 0; i < n; i++)
            s += y[i] = exp(x[i]);
        for (size_t i = 0; i < n; i++)
            y[i] /= s;
    }
}

// Scales the logits but shifts nothing.
// @softmax | values | no-max-subtraction
void no_max_scaled(const float *x, float scale, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++)
            s += y[i] = expf(scale * x[i]);
        row_scale(y, 1 / s, n);
    }
}

// Starts the maximum at 0, so a row of -200s gives 0/0.
// @softmax | values | max-from-constant | seen NNlib.jl#43
void max_from_zero(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = 0;
        for (size_t i = 0; i < n; i++)
            m = fmaxf(m, x[i]);
        row_scale(y, 1 / row_exp(x, m, y, n), n);
    }
}

// Starts the maximum at FLT_MIN, which is the smallest positive number.
// @softmax | values | max-from-constant | seen tinyengine#107
void max_from_flt_min(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = FLT_MIN;
        for (size_t i = 0; i < n; i++)
            if (x[i] > m)
                m = x[i];
        row_scale(y, 1 / row_exp(x, m, y, n), n);
    }
}

// Starts the maximum at -1e4, which padded attention scores lie below.
// @softmax | values | max-from-constant
void max_from_minus_1e4(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = -1e4f;
        for (size_t i = 0; i < n; i++)
            m = fmaxf(m, x[i]);
        row_scale(y, 1 / row_exp(x, m, y, n), n);
    }
}

// Starts the maximum at -5e4.
// @softmax | values | max-from-constant | seen flashinfer#4267
void max_from_minus_5e4(const float *x, float *y, int n) {
    float m = -5e4f;
    for (int i = 0; i < n; i++)
        m = fmaxf(m, x[i]);
    row_scale(y, 1 / row_exp(x, m, y, n), n);
}

// Leaves the last element out of the maximum.
// @softmax | values | partial-max | assume n >= 1
void max_without_last(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = x[0];
        for (size_t i = 1; i + 1 < n; i++)
            m = fmaxf(m, x[i]);
        row_scale(y, 1 / row_exp(x, m, y, n), n);
    }
}

// Leaves the first element out of the maximum, unless it is the only one.
// @softmax | values | partial-max | assume n >= 1
void max_without_first(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = x[n - 1];
        for (size_t i = 1; i < n; i++)
            m = fmaxf(m, x[i]);
        row_scale(y, 1 / row_exp(x, m, y, n), n);
    }
}

// Takes the maximum of the first half of the row.
// @softmax | values | partial-max | assume n >= 1
void max_of_first_half(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n)
        row_scale(y, 1 / row_exp(x, row_max(x, (n + 1) / 2), y, n), n);
}

// Shifts by the first element, as if it were the maximum.
// @softmax | values | partial-max | assume n >= 1
void shift_by_first(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n)
        row_scale(y, 1 / row_exp(x, x[0], y, n), n);
}

// Shifts by the mean, which is no bound for the largest logit.
// @softmax | values | unknown
void shift_by_mean(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n)
        row_scale(y, 1 / row_exp(x, row_sum(x, n) / (float)n, y, n), n);
}

// Shifts by the largest magnitude, so a row of -200s gives 0/0.
// @softmax | values | unknown
void shift_by_magnitude(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = 0;
        for (size_t i = 0; i < n; i++)
            m = isinf(x[i]) ? m : fmaxf(m, fabsf(x[i]));
        row_scale(y, 1 / row_exp(x, m, y, n), n);
    }
}

// Shifts the numerator only.
// @softmax | values | shift-in-one-place | seen webnn#246
void shift_above_only(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = row_exp(x, 0, y, n);
        for (size_t i = 0; i < n; i++)
            y[i] = expf(x[i] - m) / s;
    }
}

// Shifts the denominator only.
// @softmax | values | shift-in-one-place
void shift_below_only(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = row_exp(x, row_max(x, n), y, n);
        for (size_t i = 0; i < n; i++)
            y[i] = expf(x[i]) / s;
    }
}

// The first logit of the call takes the place of each row's own in the maximum.
// @softmax | values | first-row-only or partial-max or unknown
void max_folded_from_first_row(const float *x, float *y, size_t rows, size_t n) {
    float first = rows && n ? x[0] : 0;
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = first;
        for (size_t i = 1; i < n; i++)
            m = fmaxf(m, x[i]);
        row_scale(y, 1 / row_exp(x, m, y, n), n);
    }
}
