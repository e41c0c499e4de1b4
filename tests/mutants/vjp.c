// The VJP of softmax with a wrong formula, in plain scalar C.
#include "../honest/blocks.h"

// The diagonal of the Jacobian alone, as if softmax were element-wise.
// @softmax_vjp | values | diagonal-only | seen libnd4j#440
void vjp_diagonal(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t k = 0; k < rows * n; k++)
        dx[k] = y[k] * (1 - y[k]) * dy[k];
}

// The diagonal of the Jacobian in double precision.
// @softmax_vjp | values | diagonal-only | seen cTensor#31
void vjp_diagonal_double(const double *y, const double *dy, double *dx, size_t rows, size_t n) {
    for (size_t k = 0; k < rows * n; k++)
        dx[k] = dy[k] * (y[k] - y[k] * y[k]);
}

// The diagonal of the Jacobian, from the logits.
// @softmax_vjp | values | diagonal-only | seen ML-From-Scratch#71
void vjp_diagonal_from_logits(const float *x, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, dy += n, dx += n) {
        row_softmax(x, dx, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = dx[i] * (1 - dx[i]) * dy[i];
    }
}

// y * dy, and the sum forgotten.
// @softmax_vjp | values | missing-dot | seen Odyssey#2134
void vjp_no_dot(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t k = 0; k < rows * n; k++)
        dx[k] = y[k] * dy[k];
}

// The sum added instead of subtracted.
// @softmax_vjp | values | dot-sign
void vjp_dot_added(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_dot(y, dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] + s);
    }
}

// Passes the cotangent through.
// @softmax_vjp | values | identity | seen darknet#96
void vjp_passed_through(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    (void)y;
    memcpy(dx, dy, rows * n * sizeof *dx);
}

// s - dy for dy - s.
// @softmax_vjp | values | sign-flipped | seen hls4ml#42
void vjp_negative(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_dot(y, dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (s - dy[i]);
    }
}

// Twice the right result.
// @softmax_vjp | values | wrong-factor | seen hls4ml#42
void vjp_doubled(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        row_vjp(y, dy, dx, n);
        row_scale(dx, 2, n);
    }
}

// Averages over the classes.
// @softmax_vjp | values | wrong-factor
void vjp_over_n(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        row_vjp(y, dy, dx, n);
        row_scale(dx, 1 / (float)n, n);
    }
}

// Averages over the batch.
// @softmax_vjp | values | wrong-factor
void vjp_over_rows(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        row_vjp(y, dy, dx, n);
        row_scale(dx, 1 / (float)rows, n);
    }
}

// A factor of 1.001, as a mistyped constant would give.
// @softmax_vjp | values | wrong-factor
void vjp_slightly_large(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        row_vjp(y, dy, dx, n);
        row_scale(dx, 1.001f, n);
    }
}

// The mean of y * dy, not its sum.
// @softmax_vjp | values | mean-for-sum
void vjp_mean(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_dot(y, dy, n) / (float)n;
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

// Probabilities minus targets: the derivative of softmax with cross-entropy.
// @softmax_vjp | values | fused-cross-entropy | seen CS224n#17
void vjp_minus_targets(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t k = 0; k < rows * n; k++)
        dx[k] = y[k] - dy[k];
}

// y and dy exchanged.
// @softmax_vjp | values | swapped-arguments | seen oneDNN#2172
void vjp_swapped(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n)
        row_vjp(dy, y, dx, n);
}

// The factor y lost.
// @softmax_vjp | values | missing-probability-factor | seen fromscratchtoml#65
void vjp_no_factor(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_dot(y, dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = dy[i] - s;
    }
}

// Zeros everywhere.
// @softmax_vjp | values | all-zero
void vjp_zero(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    (void)y, (void)dy;
    for (size_t k = 0; k < rows * n; k++)
        dx[k] = 0;
}

// log_softmax's formula at probabilities.
// @softmax_vjp | values | log-softmax-formula
void vjp_log_formula(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_sum(dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = dy[i] - y[i] * s;
    }
}

// Takes softmax of the given probabilities.
// @softmax_vjp | values | softmax-twice | seen laplace-redux#1 | assume n <= 65536
void vjp_softmax_again(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    float p[65536];
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        row_softmax(y, p, n);
        row_vjp(p, dy, dx, n);
    }
}

// Uses logits where probabilities belong.
// @softmax_vjp | values | logits-for-probabilities | seen neuroph#37
void vjp_at_logits(const float *x, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, dy += n, dx += n)
        row_vjp(x, dy, dx, n);
}

// Recomputes softmax from the logits without the maximum.
// @softmax_vjp | values | no-max-subtraction | seen NNlib.jl#68
void vjp_no_max(const float *x, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, dy += n, dx += n) {
        float total = 0, s = 0;
        for (size_t i = 0; i < n; i++)
            total += dx[i] = expf(x[i]);
        for (size_t i = 0; i < n; i++)
            s += (dx[i] /= total) * dy[i];
        for (size_t i = 0; i < n; i++)
            dx[i] *= dy[i] - s;
    }
}

// Recomputes softmax from the logits with a maximum that starts at 0.
// @softmax_vjp | values | max-from-constant
void vjp_max_from_zero(const float *x, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, dy += n, dx += n) {
        float m = 0;
        for (size_t i = 0; i < n; i++)
            m = fmaxf(m, x[i]);
        row_scale(dx, 1 / row_exp(x, m, dx, n), n);
        float s = row_dot(dx, dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] *= dy[i] - s;
    }
}

// Scales the logits and forgets the scale in the chain rule.
// @softmax_vjp | values | missing-scale | seen mxnet#11466
void vjp_scale_forgotten(const float *x, const float *dy, float scale, float *dx, size_t rows,
                         size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, dy += n, dx += n) {
        float m = row_max(x, n), total = 0;
        for (size_t i = 0; i < n; i++)
            total += dx[i] = expf(scale * (x[i] - m));
        row_scale(dx, 1 / total, n);
        float s = row_dot(dx, dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] *= dy[i] - s;
    }
}

// Given the probabilities, the scale is all that is left to apply, and it is not applied.
// @softmax_vjp | values | missing-scale
void vjp_scale_ignored(const float *y, const float *dy, float scale, float *dx, size_t rows,
                       size_t n) {
    (void)scale;
    for (size_t r = 0; r < rows; r++)
        row_vjp(y + r * n, dy + r * n, dx + r * n, n);
}

// One sum for the whole batch.
// @softmax_vjp | values | batch-reduced | seen SKaiNET#863
void vjp_batch_dot(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    float s = row_dot(y, dy, rows * n);
    for (size_t k = 0; k < rows * n; k++)
        dx[k] = y[k] * (dy[k] - s);
}

// The sum is not reset between rows.
// @softmax_vjp | values | batch-reduced or first-row-only or unknown
void vjp_dot_not_reset(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    float s = 0;
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        for (size_t i = 0; i < n; i++)
            s += y[i] * dy[i];
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

// The first row's sum for all rows.
// @softmax_vjp | values | first-row-only
void vjp_first_dot(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    float s = rows ? row_dot(y, dy, n) : 0;
    for (size_t k = 0; k < rows * n; k++)
        dx[k] = y[k] * (dy[k] - s);
}

// Handles the first row and returns.
// @softmax_vjp | output | first-row-only
void vjp_one_row_of_many(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    if (rows > 0)
        row_vjp(y, dy, dx, n);
}

// The last row's sum for all rows.
// @softmax_vjp | values | last-row-only
void vjp_last_dot(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    float s = 0;
    for (size_t r = 0; r < rows; r++)
        s = row_dot(y + r * n, dy + r * n, n);
    for (size_t k = 0; k < rows * n; k++)
        dx[k] = y[k] * (dy[k] - s);
}

// Sums down the columns.
// @softmax_vjp | values | wrong-axis | seen chainer#5502
void vjp_down_the_columns(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float s = 0;
        for (size_t r = 0; r < rows; r++)
            s += y[r * n + i] * dy[r * n + i];
        for (size_t r = 0; r < rows; r++)
            dx[r * n + i] = y[r * n + i] * (dy[r * n + i] - s);
    }
}

// The loop over the Jacobian leaves out its last column.
// @softmax_vjp | values | tail-ignored or unknown
void vjp_last_column_lost(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n)
        for (size_t i = 0; i < n; i++) {
            float t = i + 1 == n ? 0 : y[i] * dy[i];
            for (size_t j = 0; j + 1 < n; j++)
                t -= y[i] * y[j] * dy[j];
            dx[i] = t;
        }
}

// The off-diagonal terms of the Jacobian are added.
// @softmax_vjp | values | off-diagonal-sign
void vjp_off_diagonal_added(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n)
        for (size_t i = 0; i < n; i++) {
            float t = 0;
            for (size_t j = 0; j < n; j++)
                t += (i == j ? y[i] * (1 - y[i]) : y[i] * y[j]) * dy[j];
            dx[i] = t;
        }
}

// The sum lacks the probabilities.
// @softmax_vjp | values | missing-probability-factor
void vjp_sum_of_cotangents(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_sum(dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

// The probabilities are squared in the sum.
// @softmax_vjp | values | unknown
void vjp_squared(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++)
            s += y[i] * y[i] * dy[i];
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

// Takes the largest probability's cotangent off everywhere, also where it is far from the mean.
// @softmax_vjp | values | unknown or offset-sensitive
void vjp_always_centred_at_top(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        size_t k = 0;
        for (size_t i = 1; i < n; i++)
            if (y[i] > y[k])
                k = i;
        float t = 0;
        for (size_t i = 0; i < n; i++)
            t += y[i] * (dy[i] - dy[k]);
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * ((dy[i] - dy[k]) - t);
    }
}

// The sum of one row is used for the next.
// @softmax_vjp | values | unknown
void vjp_dot_of_previous_row(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    float previous = rows ? row_dot(y, dy, n) : 0;
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_dot(y, dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - previous);
        previous = s;
    }
}

// A hundred-thousandth is lost in a constant.
// @softmax_vjp | values | wrong-factor
void vjp_short_factor(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        row_vjp(y, dy, dx, n);
        row_scale(dx, 0.99999f, n);
    }
}

// Multiplies by the lower triangle of the Jacobian.
// @softmax_vjp | values | unknown
void vjp_lower_triangle(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++) {
            s += y[i] * dy[i];
            dx[i] = y[i] * (dy[i] - s);
        }
    }
}
