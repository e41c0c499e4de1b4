// log_softmax with a wrong formula or a wrong range, in plain scalar C.
#include "../honest/blocks.h"

static float log_sum_exp(const float *x, float m, size_t n) {
    float s = 0;
    for (size_t i = 0; i < n; i++)
        s += expf(x[i] - m);
    return logf(s);
}

static float minimum(const float *x, size_t n) {
    float m = INFINITY;
    for (size_t i = 0; i < n; i++)
        m = fminf(m, x[i]);
    return m;
}

// Never subtracts the maximum.
// @log_softmax | values | no-max-subtraction
void log_no_max(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float l = log_sum_exp(x, 0, n);
        for (size_t i = 0; i < n; i++)
            y[i] = x[i] - l;
    }
}

// Starts the maximum at 0.
// @log_softmax | values | max-from-constant
void log_max_from_zero(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = 0;
        for (size_t i = 0; i < n; i++)
            m = x[i] > m ? x[i] : m;
        float l = log_sum_exp(x, m, n);
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - m) - l;
    }
}

// The logarithm of softmax, -inf where a probability underflows.
// @log_softmax | values | log-of-softmax | seen pytorch#725
void log_of_softmax(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        row_softmax(x, y, n);
        for (size_t i = 0; i < n; i++)
            y[i] = logf(y[i]);
    }
}

// The logarithm of softmax in double precision.
// @log_softmax | values | log-of-softmax
void log_of_softmax_double(const double *x, double *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        double m = -INFINITY, s = 0;
        for (size_t i = 0; i < n; i++)
            m = fmax(m, x[i]);
        for (size_t i = 0; i < n; i++)
            s += y[i] = exp(x[i] - m);
        for (size_t i = 0; i < n; i++)
            y[i] = log(y[i] / s);
    }
}

// The logarithm of softmax + 1e-8, which cannot fall below -18.4.
// @log_softmax | values | epsilon-in-denominator or log-of-softmax | seen nd4j#458
void log_of_softmax_and_epsilon(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        row_softmax(x, y, n);
        for (size_t i = 0; i < n; i++)
            y[i] = logf(y[i] + 1e-8f);
    }
}

// Adds 1e-5 under the logarithm of the sum.
// @log_softmax | values | epsilon-in-denominator
void log_epsilon(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), l = logf(row_exp(x, m, y, n) + 1e-5f);
        for (size_t i = 0; i < n; i++)
            y[i] = x[i] - m - l;
    }
}

// x - (m + log s): the sum in brackets loses log s at large offsets.
// @log_softmax | values | offset-sensitive | seen pytorch#11866
void log_offset_first(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), lse = m + log_sum_exp(x, m, n);
        for (size_t i = 0; i < n; i++)
            y[i] = x[i] - lse;
    }
}

// The same loss of digits in double precision.
// @log_softmax | values | offset-sensitive
void log_offset_first_double(const double *x, double *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        double m = -INFINITY, s = 0;
        for (size_t i = 0; i < n; i++)
            m = fmax(m, x[i]);
        for (size_t i = 0; i < n; i++)
            s += exp(x[i] - m);
        double lse = m + log(s);
        for (size_t i = 0; i < n; i++)
            y[i] = x[i] - lse;
    }
}

// Shifts inside the sum only: every result is too large by the maximum.
// @log_softmax | values | shift-in-one-place
void log_shift_inside_only(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float l = log_sum_exp(x, row_max(x, n), n);
        for (size_t i = 0; i < n; i++)
            y[i] = x[i] - l;
    }
}

// One maximum for the whole batch.
// @log_softmax | values | batch-max
void log_batch_max(const float *x, float *y, size_t rows, size_t n) {
    float m = row_max(x, rows * n);
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float l = log_sum_exp(x, m, n);
        for (size_t i = 0; i < n; i++)
            y[i] = x[i] - m - l;
    }
}

// One sum for the whole batch.
// @log_softmax | values | batch-sum | seen nntrainer#430
void log_batch_sum(const float *x, float *y, size_t rows, size_t n) {
    float s = 0;
    for (size_t r = 0; r < rows; r++)
        s += row_exp(x + r * n, row_max(x + r * n, n), y + r * n, n);
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n);
        for (size_t i = 0; i < n; i++)
            y[i] = x[i] - m - logf(s);
    }
}

// Returns probabilities.
// @log_softmax | values | softmax-formula
void log_as_softmax(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n)
        row_softmax(x, y, n);
}

// Returns the negative, as a negative log-likelihood would.
// @log_softmax | values | sign-flipped
void log_negative(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), l = log_sum_exp(x, m, n);
        for (size_t i = 0; i < n; i++)
            y[i] = l - (x[i] - m);
    }
}

// Logarithms to base two.
// @log_softmax | values | wrong-factor
void log_base_two(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), l = log_sum_exp(x, m, n);
        for (size_t i = 0; i < n; i++)
            y[i] = 1.44269504f * ((x[i] - m) - l);
    }
}

// The logarithm of the mean of the exponentials.
// @log_softmax | values | mean-for-sum
void log_of_mean(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), l = log_sum_exp(x, m, n) - logf((float)n);
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - m) - l;
    }
}

// Uses the first row's normaliser for all rows.
// @log_softmax | values | first-row-only
void log_sum_of_first_row(const float *x, float *y, size_t rows, size_t n) {
    float l = rows ? log_sum_exp(x, row_max(x, n), n) : 0;
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n);
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - m) - l;
    }
}

// Sums down the columns.
// @log_softmax | values | wrong-axis | seen tvm#20183
void log_down_the_columns(const float *x, float *y, size_t rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float m = -INFINITY, s = 0;
        for (size_t r = 0; r < rows; r++)
            m = fmaxf(m, x[r * n + i]);
        for (size_t r = 0; r < rows; r++)
            s += expf(x[r * n + i] - m);
        for (size_t r = 0; r < rows; r++)
            y[r * n + i] = x[r * n + i] - m - logf(s);
    }
}

// Leaves the normaliser out: only the shift is applied.
// @log_softmax | values | unknown
void log_shift_alone(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n);
        for (size_t i = 0; i < n; i++)
            y[i] = x[i] - m;
    }
}

// Shifts by the minimum.
// @log_softmax | values | unknown
void log_shift_by_minimum(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = minimum(x, n), l = log_sum_exp(x, m, n);
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - m) - l;
    }
}

// A logarithm of the sum by bit trick, good to 2e-3.
// @log_softmax | values | unknown
void log_by_bit_trick(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = row_exp(x, m, y, n);
        int32_t bits;
        memcpy(&bits, &s, 4);
        float exponent = (float)(bits >> 23) - 127;
        bits = (bits & 0x7fffff) | 0x3f800000;
        memcpy(&s, &bits, 4);
        float l = 0.69314718f * (exponent + (-0.344845f * s + 2.024658f) * s - 1.674873f);
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - m) - l;
    }
}

// Clamps exp at exp(-10) inside the sum. At exp(-20), 2e-9 a term, it would be lost among the
// roundings that a float32 sum may make, 6e-8 a term.
// @log_softmax | values | exp-clamped
void log_exp_clamped(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < n; i++)
            s += expf(fmaxf(x[i] - m, -10));
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - m) - logf(s);
    }
}

// Clips the logits to [-80, 80].
// @log_softmax | values | clipped-logits
void log_clip_at_80(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        for (size_t i = 0; i < n; i++)
            y[i] = fminf(fmaxf(x[i], -80), 80);
        float l = log_sum_exp(y, 0, n);
        for (size_t i = 0; i < n; i++)
            y[i] -= l;
    }
}

// Applies the scale to the sum but not to the element.
// @log_softmax | values | missing-scale or unknown
void log_scale_inside_only(const float *x, float scale, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < n; i++)
            s += expf(scale * (x[i] - m));
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - m) - logf(s);
    }
}

// Applies log_softmax to probabilities.
// @log_softmax | values | softmax-twice
void log_softmax_of_softmax(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        row_softmax(x, y, n);
        float l = log_sum_exp(y, 0, n);
        for (size_t i = 0; i < n; i++)
            y[i] -= l;
    }
}

// The logarithm of a sum in double, taken by logf.
// @log_softmax | values | low-precision | dtype float64
void log_in_float(const double *x, double *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        double m = -INFINITY, s = 0;
        for (size_t i = 0; i < n; i++)
            m = fmax(m, x[i]);
        for (size_t i = 0; i < n; i++)
            s += exp(x[i] - m);
        double l = logf((float)s);
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - m) - l;
    }
}
