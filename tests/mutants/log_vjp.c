// The VJP of log_softmax (y holds log-probabilities) with a wrong formula, in plain scalar C.
#include "../honest/blocks.h"

// Forgets the second term.
// @log_softmax_vjp | values | identity
void log_vjp_identity(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    (void)y;
    memcpy(dx, dy, rows * n * sizeof *dx);
}

// Adds the second term.
// @log_softmax_vjp | values | dot-sign
void log_vjp_added(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_sum(dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = dy[i] + expf(y[i]) * s;
    }
}

// Softmax's formula.
// @log_softmax_vjp | values | softmax-formula | seen mlpack#2360
void log_vjp_softmax_formula(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++)
            s += expf(y[i]) * dy[i];
        for (size_t i = 0; i < n; i++)
            dx[i] = expf(y[i]) * (dy[i] - s);
    }
}

// The JVP's formula: the sum runs over the wrong index.
// @log_softmax_vjp | values | transposed | seen onnxruntime#5160
void log_vjp_transposed(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++)
            s += expf(y[i]) * dy[i];
        for (size_t i = 0; i < n; i++)
            dx[i] = dy[i] - s;
    }
}

// Log-probabilities where probabilities belong.
// @log_softmax_vjp | values | logits-for-probabilities
void log_vjp_no_exp(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_sum(dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = dy[i] - y[i] * s;
    }
}

// Logits where probabilities belong.
// @log_softmax_vjp | values | logits-for-probabilities
void log_vjp_at_logits(const float *x, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, dy += n, dx += n) {
        float s = row_sum(dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = dy[i] - x[i] * s;
    }
}

// The mean of the cotangents, not their sum.
// @log_softmax_vjp | values | mean-for-sum
void log_vjp_mean(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_sum(dy, n) / (float)n;
        for (size_t i = 0; i < n; i++)
            dx[i] = dy[i] - expf(y[i]) * s;
    }
}

// The minus of a negative log-likelihood folded in.
// @log_softmax_vjp | values | sign-flipped
void log_vjp_negative(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_sum(dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = expf(y[i]) * s - dy[i];
    }
}

// Probabilities minus targets.
// @log_softmax_vjp | values | fused-cross-entropy
void log_vjp_minus_targets(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t k = 0; k < rows * n; k++)
        dx[k] = expf(y[k]) - dy[k];
}

// One sum for the whole batch.
// @log_softmax_vjp | values | batch-reduced
void log_vjp_batch(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    float s = row_sum(dy, rows * n);
    for (size_t k = 0; k < rows * n; k++)
        dx[k] = dy[k] - expf(y[k]) * s;
}

// The first row's sum for all rows.
// @log_softmax_vjp | values | first-row-only
void log_vjp_first_sum(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    float s = rows ? row_sum(dy, n) : 0;
    for (size_t k = 0; k < rows * n; k++)
        dx[k] = dy[k] - expf(y[k]) * s;
}

// Goes through the probabilities: dy / p fails where p underflows.
// @log_softmax_vjp | values | log-of-softmax | seen MIOpen#112
void log_vjp_through_probabilities(const float *y, const float *dy, float *dx, size_t rows,
                                   size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++)
            s += expf(y[i]) * (dy[i] / expf(y[i]));
        for (size_t i = 0; i < n; i++)
            dx[i] = expf(y[i]) * (dy[i] / expf(y[i]) - s);
    }
}

// The diagonal of the Jacobian alone.
// @log_softmax_vjp | values | diagonal-only
void log_vjp_diagonal(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t k = 0; k < rows * n; k++)
        dx[k] = (1 - expf(y[k])) * dy[k];
}

// Zeros everywhere.
// @log_softmax_vjp | values | all-zero
void log_vjp_zero(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    (void)y, (void)dy;
    memset(dx, 0, rows * n * sizeof *dx);
}

// Half of the right result.
// @log_softmax_vjp | values | wrong-factor
void log_vjp_halved(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_sum(dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = 0.5f * (dy[i] - expf(y[i]) * s);
    }
}

// exp of the logits instead of their softmax: no normaliser.
// @log_softmax_vjp | values | unknown
void log_vjp_unnormalised(const float *x, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, dy += n, dx += n) {
        float m = row_max(x, n), s = row_sum(dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = dy[i] - expf(x[i] - m) * s;
    }
}

// Recomputes softmax from the logits without the maximum.
// @log_softmax_vjp | values | no-max-subtraction | seen NNlib.jl#126
void log_vjp_no_max(const float *x, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, dy += n, dx += n) {
        float total = row_exp(x, 0, dx, n), s = row_sum(dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = dy[i] - dx[i] / total * s;
    }
}

// Forgets the scale of the chain rule.
// @log_softmax_vjp | values | missing-scale
void log_vjp_scale_ignored(const float *y, const float *dy, float scale, float *dx, size_t rows,
                           size_t n) {
    (void)scale;
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_sum(dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = dy[i] - expf(y[i]) * s;
    }
}

// An exponential by bit trick, good to 6 %.
// @log_softmax_vjp | values | inaccurate-exp
void log_vjp_bit_trick(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_sum(dy, n);
        for (size_t i = 0; i < n; i++) {
            float p = 0, t = 12102203.0f * y[i] + 1064866805.0f;
            if (t > 0) {
                int32_t bits = (int32_t)t;
                memcpy(&p, &bits, 4);
            }
            dx[i] = dy[i] - p * s;
        }
    }
}

// Adds to dx what the contract says to store.
// @log_softmax_vjp | output | accumulates | seen micrograd#102
void log_vjp_accumulates(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_sum(dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] += dy[i] - expf(y[i]) * s;
    }
}

// The sum is right, but every vector of eight is stored with the first probabilities.
// @log_softmax_vjp | values | pointer-not-advanced
void log_vjp_pointer_stays(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_sum(dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = dy[i] - expf(y[i % 8]) * s;
    }
}
