// JVPs of softmax and log_softmax with a wrong formula, in plain scalar C.
#include "../honest/blocks.h"

static void row_jvp(const float *y, const float *x_dot, float *y_dot, size_t n) {
    row_vjp(y, x_dot, y_dot, n); // the Jacobian of softmax is symmetric
}

// The diagonal of the Jacobian alone.
// @softmax_jvp | values | diagonal-only
void jvp_diagonal(const float *y, const float *x_dot, float *y_dot, size_t rows, size_t n) {
    for (size_t k = 0; k < rows * n; k++)
        y_dot[k] = y[k] * (1 - y[k]) * x_dot[k];
}

// The sum forgotten.
// @softmax_jvp | values | missing-dot
void jvp_no_dot(const float *y, const float *x_dot, float *y_dot, size_t rows, size_t n) {
    for (size_t k = 0; k < rows * n; k++)
        y_dot[k] = y[k] * x_dot[k];
}

// The sum added.
// @softmax_jvp | values | dot-sign
void jvp_dot_added(const float *y, const float *x_dot, float *y_dot, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, x_dot += n, y_dot += n) {
        float s = row_dot(y, x_dot, n);
        for (size_t i = 0; i < n; i++)
            y_dot[i] = y[i] * x_dot[i] + y[i] * s;
    }
}

// The tangent passed through.
// @softmax_jvp | values | identity
void jvp_identity(const float *y, const float *x_dot, float *y_dot, size_t rows, size_t n) {
    (void)y;
    memcpy(y_dot, x_dot, rows * n * sizeof *y_dot);
}

// The factor y lost.
// @softmax_jvp | values | missing-probability-factor
void jvp_no_factor(const float *y, const float *x_dot, float *y_dot, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, x_dot += n, y_dot += n) {
        float s = row_dot(y, x_dot, n);
        for (size_t i = 0; i < n; i++)
            y_dot[i] = x_dot[i] - s;
    }
}

// y and x_dot exchanged.
// @softmax_jvp | values | swapped-arguments | seen ipex-llm#2986
void jvp_swapped(const float *y, const float *x_dot, float *y_dot, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, x_dot += n, y_dot += n)
        row_jvp(x_dot, y, y_dot, n);
}

// The mean for the sum, in single rows.
// @softmax_jvp | values | mean-for-sum
void jvp_mean(const float *y, const float *x_dot, float *y_dot, int n) {
    float s = row_dot(y, x_dot, (size_t)n) / (float)n;
    for (int i = 0; i < n; i++)
        y_dot[i] = y[i] * (x_dot[i] - s);
}

// One sum for the whole batch.
// @softmax_jvp | values | batch-reduced
void jvp_batch(const float *y, const float *x_dot, float *y_dot, size_t rows, size_t n) {
    float s = row_dot(y, x_dot, rows * n);
    for (size_t k = 0; k < rows * n; k++)
        y_dot[k] = y[k] * (x_dot[k] - s);
}

// Zeros everywhere.
// @softmax_jvp | values | all-zero
void jvp_zero(const double *y, const double *x_dot, double *y_dot, size_t rows, size_t n) {
    (void)y, (void)x_dot;
    memset(y_dot, 0, rows * n * sizeof *y_dot);
}

// The negative.
// @softmax_jvp | values | sign-flipped
void jvp_negative(const double *y, const double *x_dot, double *y_dot, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, x_dot += n, y_dot += n) {
        double s = 0;
        for (size_t i = 0; i < n; i++)
            s += y[i] * x_dot[i];
        for (size_t i = 0; i < n; i++)
            y_dot[i] = y[i] * (s - x_dot[i]);
    }
}

// A difference quotient with step 1e-3.
// @softmax_jvp | values | unknown or low-precision | assume n <= 65536
void jvp_difference_quotient(const float *x, const float *x_dot, float *y_dot, size_t rows,
                             size_t n) {
    float moved[65536], p[65536];
    for (size_t r = 0; r < rows; r++, x += n, x_dot += n, y_dot += n) {
        for (size_t i = 0; i < n; i++)
            moved[i] = x[i] + 1e-3f * x_dot[i];
        row_softmax(x, p, n);
        row_softmax(moved, y_dot, n);
        for (size_t i = 0; i < n; i++)
            y_dot[i] = (y_dot[i] - p[i]) / 1e-3f;
    }
}

// Uses the logits as probabilities.
// @softmax_jvp | values | logits-for-probabilities
void jvp_at_logits(const float *x, const float *x_dot, float *y_dot, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, x_dot += n, y_dot += n)
        row_jvp(x, x_dot, y_dot, n);
}

// log_softmax's JVP.
// @softmax_jvp | values | missing-probability-factor or log-softmax-formula
void jvp_of_log(const double *y, const double *x_dot, double *y_dot, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, x_dot += n, y_dot += n) {
        double s = 0;
        for (size_t i = 0; i < n; i++)
            s += y[i] * x_dot[i];
        for (size_t i = 0; i < n; i++)
            y_dot[i] = x_dot[i] - s;
    }
}

// Multiplies by the scale twice.
// @softmax_jvp | values | unknown or wrong-factor
void jvp_scale_twice(const float *y, const float *x_dot, float scale, float *y_dot, size_t rows,
                     size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, x_dot += n, y_dot += n) {
        row_jvp(y, x_dot, y_dot, n);
        row_scale(y_dot, scale * scale, n);
    }
}

// The VJP's formula for log_softmax's JVP.
// @log_softmax_jvp | values | transposed
void log_jvp_transposed(const float *y, const float *x_dot, float *y_dot, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, x_dot += n, y_dot += n) {
        float s = row_sum(x_dot, n);
        for (size_t i = 0; i < n; i++)
            y_dot[i] = x_dot[i] - expf(y[i]) * s;
    }
}

// Softmax's JVP.
// @log_softmax_jvp | values | softmax-formula
void log_jvp_of_softmax(const float *y, const float *x_dot, float *y_dot, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, x_dot += n, y_dot += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++)
            s += expf(y[i]) * x_dot[i];
        for (size_t i = 0; i < n; i++)
            y_dot[i] = expf(y[i]) * (x_dot[i] - s);
    }
}

// Log-probabilities in the sum.
// @log_softmax_jvp | values | logits-for-probabilities
void log_jvp_no_exp(const float *y, const float *x_dot, float *y_dot, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, x_dot += n, y_dot += n) {
        float s = row_dot(y, x_dot, n);
        for (size_t i = 0; i < n; i++)
            y_dot[i] = x_dot[i] - s;
    }
}

// The mean tangent, unweighted.
// @log_softmax_jvp | values | unknown or mean-for-sum
void log_jvp_plain_mean(const float *y, const float *x_dot, float *y_dot, size_t rows, size_t n) {
    (void)y;
    for (size_t r = 0; r < rows; r++, x_dot += n, y_dot += n) {
        float s = row_sum(x_dot, n) / (float)n;
        for (size_t i = 0; i < n; i++)
            y_dot[i] = x_dot[i] - s;
    }
}

// Forgets the second term.
// @log_softmax_jvp | values | identity
void log_jvp_identity(const double *y, const double *x_dot, double *y_dot, size_t rows,
                      size_t n) {
    (void)y;
    memcpy(y_dot, x_dot, rows * n * sizeof *y_dot);
}

// Adds the second term.
// @log_softmax_jvp | values | dot-sign
void log_jvp_added(const float *y, const float *x_dot, float *y_dot, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, x_dot += n, y_dot += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++)
            s += expf(y[i]) * x_dot[i];
        for (size_t i = 0; i < n; i++)
            y_dot[i] = x_dot[i] + s;
    }
}

// One sum for the whole batch.
// @log_softmax_jvp | values | batch-reduced
void log_jvp_batch(const float *y, const float *x_dot, float *y_dot, size_t rows, size_t n) {
    float s = 0;
    for (size_t k = 0; k < rows * n; k++)
        s += expf(y[k]) * x_dot[k];
    for (size_t k = 0; k < rows * n; k++)
        y_dot[k] = x_dot[k] - s;
}

// The mask of the last vector is one lane short in the sum.
// @softmax_jvp | values | tail-ignored | dtype float64
void jvp_mask_one_short(const double *y, const double *x_dot, double *y_dot, size_t rows,
                        size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, x_dot += n, y_dot += n) {
        double s = 0;
        for (size_t i = 0; i < (n % 8 ? n - 1 : n); i++)
            s += y[i] * x_dot[i];
        for (size_t i = 0; i < n; i++)
            y_dot[i] = y[i] * (x_dot[i] - s);
    }
}
