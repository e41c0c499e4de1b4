// Softmax with a wrong formula or a wrong range, in plain scalar C.
#include "../honest/blocks.h"

// Subtracts one maximum for the whole batch.
// @softmax | values | batch-max | seen Paddle#19800
void batch_max(const float *x, float *y, size_t rows, size_t n) {
    float m = row_max(x, rows * n);
    for (size_t r = 0; r < rows; r++, x += n, y += n)
        row_scale(y, 1 / row_exp(x, m, y, n), n);
}

// Subtracts the first row's maximum from every row.
// @softmax | values | first-row-only
void maximum_of_first_row(const float *x, float *y, size_t rows, size_t n) {
    float m = rows ? row_max(x, n) : 0;
    for (size_t r = 0; r < rows; r++, x += n, y += n)
        row_scale(y, 1 / row_exp(x, m, y, n), n);
}

// Divides by one sum for the whole batch.
// @softmax | values | batch-sum | seen MLFundamentals#1
void batch_sum(const float *x, float *y, size_t rows, size_t n) {
    float s = 0;
    for (size_t r = 0; r < rows; r++)
        s += row_exp(x + r * n, row_max(x + r * n, n), y + r * n, n);
    row_scale(y, 1 / s, rows * n);
}

// Treats the whole batch as one row.
// @softmax | values | batch-sum or wrong-axis | seen owl#240
void batch_as_one_row(const float *x, float *y, size_t rows, size_t n) {
    row_softmax(x, y, rows * n);
}

// Normalises down the columns.
// @softmax | values | wrong-axis | seen CUDA.jl#599 | seen onnx#3244
void down_the_columns(const float *x, float *y, size_t rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float m = -INFINITY, s = 0;
        for (size_t r = 0; r < rows; r++)
            m = fmaxf(m, x[r * n + i]);
        for (size_t r = 0; r < rows; r++)
            s += y[r * n + i] = expf(x[r * n + i] - m);
        for (size_t r = 0; r < rows; r++)
            y[r * n + i] /= s;
    }
}

// Divides every row by the sum of the first.
// @softmax | values | first-row-only
void sum_of_first_row(const float *x, float *y, size_t rows, size_t n) {
    float first = 0;
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = row_exp(x, row_max(x, n), y, n);
        if (r == 0)
            first = s;
        row_scale(y, 1 / first, n);
    }
}

// Copies the first row's result to all others.
// @softmax | values | first-row-only
void first_row_everywhere(const float *x, float *y, size_t rows, size_t n) {
    if (rows == 0)
        return;
    row_softmax(x, y, n);
    for (size_t r = 1; r < rows; r++)
        memcpy(y + r * n, y, n * sizeof *y);
}

// Keeps one sum, the last row's, and divides all rows by it at the end.
// @softmax | values | last-row-only
void sum_of_last_row(const float *x, float *y, size_t rows, size_t n) {
    float s = 1;
    for (size_t r = 0; r < rows; r++)
        s = row_exp(x + r * n, row_max(x + r * n, n), y + r * n, n);
    for (size_t k = 0; k < rows * n; k++)
        y[k] /= s;
}

// Clips the logits to [-80, 80] and shifts nothing.
// @softmax | values | clipped-logits | seen Paddle#4366
void clip_at_80(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++)
            s += y[i] = expf(fminf(fmaxf(x[i], -80), 80));
        row_scale(y, 1 / s, n);
    }
}

// Clips the logits to [-20, 20] before an otherwise right softmax.
// @softmax | values | clipped-logits
void clip_at_20(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        for (size_t i = 0; i < n; i++)
            y[i] = fminf(fmaxf(x[i], -20), 20);
        row_softmax(y, y, n);
    }
}

// Adds 1e-6 to a denominator that is at least 1 anyway.
// @softmax | values | epsilon-in-denominator | seen CTranslate2#1468
void epsilon_1e6(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n)
        row_scale(y, 1 / (row_exp(x, row_max(x, n), y, n) + 1e-6f), n);
}

// Adds 1e-3 to the denominator.
// @softmax | values, invariants | epsilon-in-denominator
void epsilon_1e3(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n)
        row_scale(y, 1 / (row_exp(x, row_max(x, n), y, n) + 1e-3f), n);
}

// Adds 1e-9 in double precision.
// @softmax | values | epsilon-in-denominator
void epsilon_double(const double *x, double *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        double m = -INFINITY, s = 1e-9;
        for (size_t i = 0; i < n; i++)
            m = fmax(m, x[i]);
        for (size_t i = 0; i < n; i++)
            s += y[i] = exp(x[i] - m);
        for (size_t i = 0; i < n; i++)
            y[i] /= s;
    }
}

// Softmax of softmax.
// @softmax | values | softmax-twice | seen tflearn#562
void softmax_twice(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        row_softmax(x, y, n);
        row_softmax(y, y, n);
    }
}

// Returns logarithms.
// @softmax | values | log-softmax-formula
void softmax_as_log(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), log_s = logf(row_exp(x, m, y, n));
        for (size_t i = 0; i < n; i++)
            y[i] = x[i] - m - log_s;
    }
}

// Copies the logits.
// @softmax | values | identity
void copies_logits(const float *x, float *y, size_t rows, size_t n) {
    memcpy(y, x, rows * n * sizeof *y);
}

// Fills the output with zeros.
// @softmax | values | all-zero
void zeros(const float *x, float *y, size_t rows, size_t n) {
    (void)x;
    memset(y, 0, rows * n * sizeof *y);
}

// Divides by the mean of the exponentials, not by their sum.
// @softmax | values | mean-for-sum or wrong-factor
void divide_by_mean(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n)
        row_scale(y, (float)n / row_exp(x, row_max(x, n), y, n), n);
}

// Divides by the batch size as well.
// @softmax | values | wrong-factor
void averaged_over_batch(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        row_softmax(x, y, n);
        row_scale(y, 1 / (float)rows, n);
    }
}

// Forgets to normalise.
// @softmax | values | unknown
void unnormalised(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n)
        row_exp(x, row_max(x, n), y, n);
}

// The sigmoid of every element.
// @softmax | values | unknown
void sigmoid(const float *x, float *y, size_t rows, size_t n) {
    for (size_t k = 0; k < rows * n; k++)
        y[k] = 1 / (1 + expf(-x[k]));
}

// A one at the largest logit and zeros elsewhere.
// @softmax | values | unknown
void hardmax(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n);
        size_t ties = 0;
        for (size_t i = 0; i < n; i++)
            ties += x[i] == m;
        for (size_t i = 0; i < n; i++)
            y[i] = x[i] == m ? 1 / (float)ties : 0;
    }
}

// Powers of two where powers of e are due.
// @softmax | values | inaccurate-exp
void base_two(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < n; i++)
            s += y[i] = exp2f(x[i] - m);
        row_scale(y, 1 / s, n);
    }
}

// Ignores the scale.
// @softmax | values | missing-scale
void scale_ignored(const float *x, float scale, float *y, size_t rows, size_t n) {
    (void)scale;
    for (size_t r = 0; r < rows; r++, x += n, y += n)
        row_softmax(x, y, n);
}

// Divides by the scale, as if it were a temperature.
// @softmax | values | wrong-factor
void scale_as_temperature(const float *x, float scale, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        for (size_t i = 0; i < n; i++)
            y[i] = x[i] / scale;
        row_softmax(y, y, n);
    }
}

// The fused multiply-add sees the exact product, the maximum holds the rounded one.
// @softmax | values | offset-sensitive or unknown | seen jax#37234
void scale_fused(const float *x, float scale, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n) * scale, s = 0;
        for (size_t i = 0; i < n; i++)
            s += y[i] = expf(fmaf(x[i], scale, -m));
        row_scale(y, 1 / s, n);
    }
}

// Multiplies by log2(e) before the shift, so a large offset is rounded away.
// @softmax | values | offset-sensitive
void exp2_of_two_products(const float *x, float *y, size_t rows, size_t n) {
    const float c = 1.44269504f;
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n) * c, s = 0;
        for (size_t i = 0; i < n; i++)
            s += y[i] = exp2f(x[i] * c - m);
        row_scale(y, 1 / s, n);
    }
}

// exp(x - log s) with log s = m + log(sum): the offset swallows the small part.
// @softmax | values | offset-sensitive | seen pytorch#11866
void exp_of_logsumexp(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), lse = m + logf(row_exp(x, m, y, n));
        for (size_t i = 0; i < n; i++)
            y[i] = expf(x[i] - lse);
    }
}

// Takes a small scale for a mistake, and computes without it.
// @softmax | values | missing-scale or size-specialised or unknown
void small_scale_ignored(const float *x, float scale, float *y, size_t rows, size_t n) {
    float c = scale < 0.1f ? 1 : scale;
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < n; i++)
            s += y[i] = expf(c * (x[i] - m));
        row_scale(y, 1 / s, n);
    }
}

// Keeps the scale in an int.
// @softmax | values | missing-scale or wrong-factor or unknown
void scale_in_int(const float *x, float scale, float *y, size_t rows, size_t n) {
    int c = scale < 1 ? 0 : (int)scale;
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < n; i++)
            s += y[i] = expf((c ? (float)c : scale) * (x[i] - m));
        row_scale(y, 1 / s, n);
    }
}

// Counts the largest logit once in the sum, however many are as large.
// @softmax | values | unknown
void ties_counted_once(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = 1;
        for (size_t i = 0; i < n; i++) {
            y[i] = expf(x[i] - m);
            s += x[i] < m ? y[i] : 0;
        }
        row_scale(y, 1 / s, n);
    }
}

// What the others leave of 1 is the last probability.
// @softmax | values | unknown
void last_by_complement(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        row_softmax(x, y, n);
        if (n)
            y[n - 1] = 1 - row_sum(y, n - 1);
    }
}

// What is more than 16 below the maximum counts as nothing.
// @softmax | values | inaccurate-exp
void small_terms_dropped(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < n; i++)
            s += y[i] = x[i] - m < -16 ? 0 : expf(x[i] - m);
        row_scale(y, 1 / s, n);
    }
}
