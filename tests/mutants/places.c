// Results, rows and scales in the wrong places.
#include "../honest/blocks.h"

// Two halves of every step of eight change places in the last pass.
// @log_softmax | values | lane-error
void log_halves_exchanged(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < n; i++)
            s += expf(x[i] - m);
        for (size_t i = 0; i < n; i++)
            y[i] = x[i < n / 8 * 8 ? i ^ 4 : i] - m - logf(s);
    }
}

// A vector of sixteen is filled up with zeros, which come into the maximum alone.
// @log_softmax | values | tail-leaks-in or max-from-constant
void log_zeros_in_maximum(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = n % 16 ? 0 : -INFINITY, s = 0;
        for (size_t i = 0; i < n; i++)
            m = fmaxf(m, x[i]);
        for (size_t i = 0; i < n; i++)
            s += expf(x[i] - m);
        for (size_t i = 0; i < n; i++)
            y[i] = x[i] - m - logf(s);
    }
}

// A vector of eight is filled up with zeros, and no exponent is let above 0.
// @softmax | values | tail-leaks-in
void zeros_summed_below_one(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < (n + 7) / 8 * 8; i++) {
            float e = expf(fminf((i < n ? x[i] : 0) - m, 0));
            s += e;
            if (i < n)
                y[i] = e;
        }
        for (size_t i = 0; i < n; i++)
            y[i] /= s;
    }
}

// Element i of row r is looked for at i rows + r.
// @log_softmax_vjp | values | wrong-axis
void log_vjp_by_columns(const double *y, const double *dy, double *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++) {
        double s = 0;
        for (size_t i = 0; i < n; i++)
            s += dy[i * rows + r];
        for (size_t i = 0; i < n; i++)
            dx[i * rows + r] = dy[i * rows + r] - exp(y[i * rows + r]) * s;
    }
}

// Results are stored at the distance of the rows that are read, past the end where that is larger.
// @softmax | memory | row-stride
void stored_at_distance_read(const double *x, double *y, size_t rows, size_t n, size_t ldx,
                             size_t ldy) {
    (void)ldy;
    for (size_t r = 0; r < rows; r++) {
        const double *a = x + r * ldx;
        double *b = y + r * ldx, m = -INFINITY, s = 0;
        for (size_t i = 0; i < n; i++)
            m = fmax(m, a[i]);
        for (size_t i = 0; i < n; i++)
            s += b[i] = exp(a[i] - m);
        for (size_t i = 0; i < n; i++)
            b[i] /= s;
    }
}

// A temperature where a scale is meant.
// @softmax | values | wrong-factor
void divided_by_scale(const double *x, double *y, size_t rows, size_t n, double scale) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        double m = -INFINITY, s = 0;
        for (size_t i = 0; i < n; i++)
            m = fmax(m, x[i]);
        for (size_t i = 0; i < n; i++)
            s += y[i] = exp((x[i] - m) / scale);
        for (size_t i = 0; i < n; i++)
            y[i] /= s;
    }
}

// The scale is not looked at.
// @log_softmax | values | missing-scale | dtype bfloat16
void log_without_scale(const uint16_t *x, uint16_t *y, size_t rows, size_t n, float scale) {
    (void)scale;
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = -INFINITY, s = 0;
        for (size_t i = 0; i < n; i++)
            m = fmaxf(m, from_bfloat16(x[i]));
        for (size_t i = 0; i < n; i++)
            s += expf(from_bfloat16(x[i]) - m);
        for (size_t i = 0; i < n; i++)
            y[i] = to_bfloat16(from_bfloat16(x[i]) - m - logf(s));
    }
}

// exp as a power of 1 + x / 2^20.
// @softmax | values | inaccurate-exp
void exp_as_power(const double *x, double *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        double m = -INFINITY, s = 0;
        for (size_t i = 0; i < n; i++)
            m = fmax(m, x[i]);
        for (size_t i = 0; i < n; i++) {
            y[i] = fmax(1 + (x[i] - m) / 1048576, 0);
            for (int k = 0; k < 20; k++)
                y[i] *= y[i];
            s += y[i];
        }
        for (size_t i = 0; i < n; i++)
            y[i] /= s;
    }
}
