// softmax and log_softmax, right, in the ways people write them in plain C.
#include "blocks.h"

// The textbook: maximum, exponentials, division.
// @softmax | nonfinite strict
void divided(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = row_exp(x, row_max(x, n), y, n);
        for (size_t i = 0; i < n; i++)
            y[i] /= s;
    }
}

// Multiplies by the reciprocal.
// @softmax
void by_reciprocal(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++)
        row_softmax(x + r * n, y + r * n, n);
}

// Computes the exponentials twice instead of storing them.
// @softmax
void recomputed(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < n; i++)
            s += expf(x[i] - m);
        for (size_t i = 0; i < n; i++)
            y[i] = expf(x[i] - m) / s;
    }
}

// exp((x - m) - log s)
// @softmax
void by_logarithm(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), l = logf(row_exp(x, m, y, n));
        for (size_t i = 0; i < n; i++)
            y[i] = expf((x[i] - m) - l);
    }
}

// exp2((x - m) log2 e), as graphics processors do.
// @softmax
void by_exp2(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < n; i++)
            s += y[i] = exp2f((x[i] - m) * 1.44269504f);
        row_scale(y, 1 / s, n);
    }
}

// Maximum and sum in one pass, the sum rescaled when the maximum grows.
// @softmax
void online(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = -INFINITY, s = 0;
        for (size_t i = 0; i < n; i++) {
            if (x[i] > m) {
                s = s * expf(m - x[i]) + 1;
                m = x[i];
            } else if (x[i] != -INFINITY) {
                s += expf(x[i] - m);
            }
        }
        for (size_t i = 0; i < n; i++)
            y[i] = expf(x[i] - m) / s;
    }
}

// Blocks of 256, each with its own maximum and sum, then combined.
// @softmax
void by_blocks(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = -INFINITY, s = 0;
        for (size_t i = 0; i < n; i += 256) {
            size_t k = n - i < 256 ? n - i : 256;
            float own = row_max(x + i, k), top = own > m ? own : m;
            if (own == -INFINITY)
                continue; // -inf - -inf would be NaN
            s = s * expf(m - top) + row_exp(x + i, own, y + i, k) * expf(own - top);
            m = top;
        }
        row_exp(x, m, y, n);
        row_scale(y, 1 / s, n);
    }
}

// One row a call, int n.
// @softmax
void one_row(const float *x, float *y, int n) { row_softmax(x, y, (size_t)n); }

// Row strides on both arrays.
// @softmax
void strided(const float *x, size_t ldx, float *y, size_t ldy, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++)
        row_softmax(x + r * ldx, y + r * ldy, n);
}

// A row stride on the input only, and a status.
// @softmax
int strided_input(const float *x, long ldx, float *y, long rows, long n) {
    if (rows < 0 || n < 0)
        return 1;
    for (long r = 0; r < rows; r++)
        row_softmax(x + r * ldx, y + r * n, (size_t)n);
    return 0;
}

// Scales the difference.
// @softmax
void scaled_difference(const float *x, float scale, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < n; i++)
            s += y[i] = expf(scale * (x[i] - m));
        row_scale(y, 1 / s, n);
    }
}

// Stores the scaled logits first.
// @softmax
void scaled_first(const float *x, float *y, size_t rows, size_t n, float scale) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        for (size_t i = 0; i < n; i++)
            y[i] = scale * x[i];
        row_softmax(y, y, n);
    }
}

// In place.
// @softmax | in_place y=x
void in_place(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++)
        row_softmax(x + r * n, y + r * n, n);
}

// In double precision.
// @softmax | nonfinite strict
void divided_double(const double *x, double *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        double m = -INFINITY, s = 0;
        for (size_t i = 0; i < n; i++)
            m = x[i] > m ? x[i] : m;
        for (size_t i = 0; i < n; i++)
            s += y[i] = exp(x[i] - m);
        for (size_t i = 0; i < n; i++)
            y[i] /= s;
    }
}

// float in and out, double inside.
// @softmax
void double_inside(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        double m = row_max(x, n), s = 0;
        for (size_t i = 0; i < n; i++)
            s += exp(x[i] - m);
        for (size_t i = 0; i < n; i++)
            y[i] = (float)(exp(x[i] - m) / s);
    }
}

// (x - m) - log s
// @log_softmax | nonfinite strict
void log_plain(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), l = logf(row_exp(x, m, y, n));
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - m) - l;
    }
}

// log1p of the sum without its largest term, so results near 0 keep their digits.
// @log_softmax
void log_by_log1p(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        size_t k = 0;
        for (size_t i = 1; i < n; i++)
            if (x[i] > x[k])
                k = i;
        float s = 0;
        for (size_t i = 0; i < n; i++)
            if (i != k)
                s += expf(x[i] - x[k]);
        float l = log1pf(s), m = n ? x[k] : 0;
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - m) - l;
    }
}

// The sum in double.
// @log_softmax
void log_double_sum(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n);
        double s = 0;
        for (size_t i = 0; i < n; i++)
            s += exp((double)x[i] - m);
        for (size_t i = 0; i < n; i++)
            y[i] = (float)(((double)x[i] - m) - log(s));
    }
}

// In double precision, in place.
// @log_softmax | in_place y=x
void log_double(const double *x, double *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        double m = -INFINITY, s = 0;
        for (size_t i = 0; i < n; i++)
            m = fmax(m, x[i]);
        for (size_t i = 0; i < n; i++)
            s += exp(x[i] - m);
        double l = log(s);
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - m) - l;
    }
}

// Strides, and a scale on the difference.
// @log_softmax
void log_scaled(const float *x, size_t ldx, float scale, float *y, size_t ldy, size_t rows,
                size_t n) {
    for (size_t r = 0; r < rows; r++, x += ldx, y += ldy) {
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < n; i++)
            s += expf(scale * (x[i] - m));
        float l = logf(s);
        for (size_t i = 0; i < n; i++)
            y[i] = scale * (x[i] - m) - l;
    }
}

// Refuses a call with a NaN among its logits, by a status.
// @softmax
int refuses_nan(const float *x, float *y, size_t rows, size_t n) {
    for (size_t i = 0; i < rows * n; i++)
        if (isnan(x[i]))
            return 22;
    for (size_t r = 0; r < rows; r++)
        row_softmax(x + r * n, y + r * n, n);
    return 0;
}
