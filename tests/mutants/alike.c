// Mistakes that look like other mistakes, in plain scalar C: names that must not be given.
#include "../honest/blocks.h"

static float row_middle(const float *x, size_t n) {
    float low = INFINITY;
    for (size_t i = 0; i < n; i++)
        low = isinf(x[i]) ? low : fminf(low, x[i]);
    return 0.5f * (low + row_max(x, n));
}

static void row_scaled_vjp(const float *y, const float *dy, float *dx, size_t n, float factor) {
    float s = factor * row_dot(y, dy, n);
    for (size_t i = 0; i < n; i++)
        dx[i] = y[i] * (dy[i] - s);
}

// Shifts by the middle between the smallest and the largest logit.
// @softmax | values | unknown
void shift_by_middle(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n)
        row_scale(y, 1 / row_exp(x, row_middle(x, n), y, n), n);
}

// log_softmax shifted by the middle between the smallest and the largest logit.
// @log_softmax | values | unknown
void log_shift_by_middle(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_middle(x, n), l = logf(row_exp(x, m, y, n));
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - m) - l;
    }
}

// A VJP from logits, shifted by the middle between the smallest and the largest.
// @softmax_vjp | values | unknown
void vjp_shift_by_middle(const float *x, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, dy += n, dx += n) {
        row_scale(dx, 1 / row_exp(x, row_middle(x, n), dx, n), n);
        row_vjp(dx, dy, dx, n);
    }
}

// Subtracts no maximum, and sums in double precision.
// @softmax | values | no-max-subtraction
void no_max_wide_sum(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        double s = 0;
        for (size_t i = 0; i < n; i++)
            s += y[i] = expf(x[i]);
        for (size_t i = 0; i < n; i++)
            y[i] = (float)(y[i] / s);
    }
}

// Subtracts no maximum, and computes in double precision.
// @softmax | values | no-max-subtraction or unknown
void no_max_in_double(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        double s = 0;
        for (size_t i = 0; i < n; i++)
            s += exp((double)x[i]);
        for (size_t i = 0; i < n; i++)
            y[i] = (float)(exp((double)x[i]) / s);
    }
}

// Subtracts no maximum, and gives exp(x - log s).
// @softmax | values | no-max-subtraction
void no_max_by_log(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float l = logf(row_exp(x, 0, y, n));
        for (size_t i = 0; i < n; i++)
            y[i] = expf(x[i] - l);
    }
}

// Subtracts no maximum; where the sum is 0 it divides by 1.
// @softmax | values | no-max-subtraction or unknown
void no_max_sum_mended(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = row_exp(x, 0, y, n);
        row_scale(y, 1 / (s > 0 ? s : 1), n);
    }
}

// Subtracts no maximum, and turns NaN into 0.
// @softmax | values | no-max-subtraction or unknown
void no_max_nan_mended(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = row_exp(x, 0, y, n);
        for (size_t i = 0; i < n; i++)
            y[i] = isnan(y[i] / s) ? 0 : y[i] / s;
    }
}

// log Σ exp without a maximum, in double precision.
// @log_softmax | values | no-max-subtraction or unknown
void log_no_max_in_double(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        double s = 0;
        for (size_t i = 0; i < n; i++)
            s += exp((double)x[i]);
        for (size_t i = 0; i < n; i++)
            y[i] = (float)(x[i] - log(s));
    }
}

// A VJP from logits without a maximum, in double precision.
// @softmax_vjp | values | no-max-subtraction or unknown
void vjp_no_max_in_double(const float *x, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, dy += n, dx += n) {
        double s = 0, t = 0;
        for (size_t i = 0; i < n; i++)
            s += exp((double)x[i]);
        for (size_t i = 0; i < n; i++)
            t += exp((double)x[i]) / s * dy[i];
        for (size_t i = 0; i < n; i++)
            dx[i] = (float)(exp((double)x[i]) / s * (dy[i] - t));
    }
}

// The sum a hundredth too small.
// @softmax_vjp | values | wrong-factor or unknown
void vjp_sum_times_099(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n)
        row_scaled_vjp(y, dy, dx, n, 0.99f);
}

// The sum a hundredth too large.
// @softmax_vjp | values | wrong-factor or unknown
void vjp_sum_times_101(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n)
        row_scaled_vjp(y, dy, dx, n, 1.01f);
}

// The sum a thousandth too small.
// @softmax_vjp | values | wrong-factor or unknown
void vjp_sum_times_0999(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n)
        row_scaled_vjp(y, dy, dx, n, 0.999f);
}

// The sum halved.
// @softmax_vjp | values | wrong-factor or unknown
void vjp_sum_halved(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n)
        row_scaled_vjp(y, dy, dx, n, 0.5f);
}

// The sum doubled, as when the same partial sums are added twice.
// @softmax_vjp | values | wrong-factor or unknown
void vjp_sum_doubled(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n)
        row_scaled_vjp(y, dy, dx, n, 2);
}

// The whole product a hundredth too small.
// @softmax_vjp | values | wrong-factor
void vjp_times_099(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        row_vjp(y, dy, dx, n);
        row_scale(dx, 0.99f, n);
    }
}

// The whole product a thousandth too large.
// @softmax_vjp | values | wrong-factor
void vjp_times_1001(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        row_vjp(y, dy, dx, n);
        row_scale(dx, 1.001f, n);
    }
}

// The sum of log_softmax's VJP a hundredth too small.
// @log_softmax_vjp | values | wrong-factor or unknown
void log_vjp_sum_times_099(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = 0.99f * row_sum(dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = dy[i] - expf(y[i]) * s;
    }
}

// The mean of log_softmax's JVP a hundredth too small.
// @log_softmax_jvp | values | wrong-factor or unknown
void log_jvp_sum_times_099(const float *y, const float *x_dot, float *y_dot, size_t rows,
                           size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, x_dot += n, y_dot += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++)
            s += expf(y[i]) * x_dot[i];
        for (size_t i = 0; i < n; i++)
            y_dot[i] = x_dot[i] - 0.99f * s;
    }
}

// softmax with a sum a hundredth too large.
// @softmax | values | wrong-factor
void sum_times_101(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n)
        row_scale(y, 1 / (1.01f * row_exp(x, row_max(x, n), y, n)), n);
}

// log_softmax with a sum a hundredth too large.
// @log_softmax | values | wrong-factor or unknown
void log_sum_times_101(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), l = logf(1.01f * row_exp(x, m, y, n));
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - m) - l;
    }
}

// Takes the longest row so far for the length, in the sum alone: old terms are summed again.
// @softmax | state, values | stale-state
void longest_row_summed(const float *x, float *y, size_t rows, size_t n) {
    static size_t longest;
    static float terms[1 << 18];
    if (n > sizeof terms / sizeof *terms) {
        for (size_t r = 0; r < rows; r++)
            row_softmax(x + r * n, y + r * n, n);
        return;
    }
    longest = n > longest ? n : longest;
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        row_exp(x, row_max(x, n), terms, n);
        float s = row_sum(terms, longest);
        for (size_t i = 0; i < n; i++)
            y[i] = terms[i] / s;
    }
}

// Starts the maximum where the longest row so far ended, if this row is shorter.
// @softmax | state, values | stale-state
void shorter_after_longest(const float *x, float *y, size_t rows, size_t n) {
    static size_t longest;
    int shorter = n < longest;
    longest = n > longest ? n : longest;
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = row_exp(x, row_max(x, n), y, n);
        row_scale(y, 1 / (shorter ? s + 1 : s), n);
    }
}

// A VJP whose products of longer rows are summed again.
// @softmax_vjp | state, values | stale-state
void vjp_longest_row_summed(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    static size_t longest;
    static float terms[1 << 18];
    if (n > sizeof terms / sizeof *terms) {
        for (size_t r = 0; r < rows; r++)
            row_vjp(y + r * n, dy + r * n, dx + r * n, n);
        return;
    }
    longest = n > longest ? n : longest;
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        for (size_t i = 0; i < n; i++)
            terms[i] = y[i] * dy[i];
        float s = row_sum(terms, longest);
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

// A VJP that counts the sum of the longest row so far in shorter ones.
// @softmax_vjp | state, values | stale-state
void vjp_sum_of_longest(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    static size_t longest;
    static float kept;
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_dot(y, dy, n);
        if (n >= longest) {
            longest = n;
            kept = s;
        }
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - (n < longest ? s + 0.01f * kept : s));
    }
}

// The sum of the first 4096 terms.
// @softmax | values | tail-ignored or size-specialised or unknown
void sum_of_first_4096(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        row_exp(x, row_max(x, n), y, n);
        row_scale(y, 1 / row_sum(y, n < 4096 ? n : 4096), n);
    }
}

// The sum of whole pieces of 4096 terms.
// @softmax | values | tail-ignored or size-specialised or unknown
void sum_of_pieces_of_4096(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        row_exp(x, row_max(x, n), y, n);
        row_scale(y, 1 / row_sum(y, n < 4096 ? n : n / 4096 * 4096), n);
    }
}

// The sum of the last piece of 4096 terms.
// @softmax | values | size-specialised or unknown
void sum_of_last_4096(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = 0;
        row_exp(x, row_max(x, n), y, n);
        for (size_t i = 0; i < n; i += 4096)
            s = row_sum(y + i, n - i < 4096 ? n - i : 4096);
        row_scale(y, 1 / s, n);
    }
}

// A VJP's sum of the first 4096 products.
// @softmax_vjp | values | tail-ignored or size-specialised or unknown
void vjp_sum_of_first_4096(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_dot(y, dy, n < 4096 ? n : 4096);
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

// A VJP's sum of whole pieces of 4096 products.
// @softmax_vjp | values | tail-ignored or size-specialised or unknown
void vjp_sum_of_pieces_of_4096(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_dot(y, dy, n < 4096 ? n : n / 4096 * 4096);
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

// The sum of terms above 1e-4 of the largest.
// @softmax | values | unknown
void sum_of_large_terms(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = 0;
        row_exp(x, row_max(x, n), y, n);
        for (size_t i = 0; i < n; i++)
            s += y[i] > 1e-4f ? y[i] : 0;
        row_scale(y, 1 / s, n);
    }
}

// A VJP's sum without the products of probabilities below 1e-4.
// @softmax_vjp | values | unknown
void vjp_sum_of_large_terms(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++)
            s += y[i] > 1e-4f ? y[i] * dy[i] : 0;
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}
