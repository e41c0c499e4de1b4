// Right at most lengths: paths for some sizes that are wrong.
#include "../honest/vector.h"

// The path for 33 to 127 classes adds whole vectors of 32 only.
// @softmax | values | size-specialised or tail-ignored | seen Megatron-LM#132
void short_rows_lose_their_end(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = max8(x, n), s = exp_row8(x, m, y, n);
        if (n > 32 && n < 128) {
            s = 0;
            for (size_t i = 0; i < n / 32 * 32; i++)
                s += y[i];
        }
        scale_row8(y, 1 / s, n);
    }
}

// Above 1000 classes the maximum is taken of the first 1000.
// @softmax | values | size-specialised or partial-max
void maximum_of_first_thousand(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n)
        scale_row8(y, 1 / exp_row8(x, max8(x, n < 1000 ? n : 1000), y, n), n);
}

// Above 8192 classes the blocks' sums are added without rescaling to the common maximum.
// @softmax | values | size-specialised | seen DeepSpeed#2709
void blocks_not_rescaled(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = 0, top = max8(x, n);
        for (size_t i = 0; i < n; i += 8192) {
            size_t k = n - i < 8192 ? n - i : 8192;
            s += exp_row8(x + i, max8(x + i, k), y + i, k);
        }
        exp_row8(x, top, y, n);
        scale_row8(y, 1 / s, n);
    }
}

// Exactly 1024 classes take a path whose reduction loses the last warp of 32.
// @softmax | values | size-specialised
void exactly_1024(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = max8(x, n), s = exp_row8(x, m, y, n);
        if (n == 1024)
            for (size_t i = 992; i < 1024; i++)
                s -= y[i];
        scale_row8(y, 1 / s, n);
    }
}

// Above 65535 classes the second block is counted twice.
// @softmax | values | size-specialised
void long_rows_count_twice(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = exp_row8(x, max8(x, n), y, n);
        if (n > 65535)
            for (size_t i = 1024; i < 2048; i++)
                s += y[i];
        scale_row8(y, 1 / s, n);
    }
}

// Elements past a scratch of 65540 are left zero: only the longest of the quick rows shows it.
// @softmax | invariants | size-specialised
void zero_past_the_scratch(const float *x, float *y, size_t rows, size_t n) {
    size_t kept = n < 65540 ? n : 65540;
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        scale_row8(y, 1 / exp_row8(x, max8(x, n), y, kept), kept);
        memset(y + kept, 0, (n - kept) * sizeof *y);
    }
}

// Above 100000 classes nothing after element 100000 enters the sum.
// @softmax | values | size-specialised | effort standard | seen Paddle#57858
void sum_of_first_hundred_thousand(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = max8(x, n), s = exp_row8(x, m, y, n < 100000 ? n : 100000);
        if (n > 100000)
            exp_row8(x + 100000, m, y + 100000, n - 100000);
        scale_row8(y, 1 / s, n);
    }
}

// A single class is answered with 0 instead of 1.
// @softmax | values | size-specialised or all-zero
void one_class_is_zero(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        row_softmax8(x, y, n);
        if (n == 1)
            y[0] = 0;
    }
}

// Two classes take a sigmoid of the difference with the wrong sign.
// @softmax | values | size-specialised
void two_classes_exchanged(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        row_softmax8(x, y, n);
        if (n == 2) {
            float first = y[0];
            y[0] = y[1];
            y[1] = first;
        }
    }
}

// Between 33 and 47 classes the cotangent's offset is taken from the first 32.
// @softmax_vjp | values | size-specialised or tail-ignored
void vjp_between_33_and_47(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n)
        vjp_apply8(y, dy, dot8(y, dy, n > 32 && n < 48 ? 32 : n), dx, n);
}

// Above 4096 classes only the diagonal is used, to save time.
// @softmax_vjp | values | size-specialised or diagonal-only
void vjp_diagonal_when_long(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n)
        if (n > 4096)
            for (size_t i = 0; i < n; i++)
                dx[i] = y[i] * (1 - y[i]) * dy[i];
        else
            row_vjp8(y, dy, dx, n);
}

// From 512 classes on, the dot product starts in the second block.
// @softmax_vjp | values | size-specialised
void vjp_first_block_lost(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        size_t from = n < 512 ? 0 : 256;
        vjp_apply8(y, dy, dot8(y + from, dy + from, n - from), dx, n);
    }
}

// From 16 rows on, the rows are worked on in groups of 16 and the remaining ones are forgotten.
// @softmax_vjp | output | output-not-written
void vjp_rows_in_groups(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    size_t done = rows < 16 ? rows : rows / 16 * 16;
    for (size_t r = 0; r < done; r++)
        row_vjp8(y + r * n, dy + r * n, dx + r * n, n);
}

// At powers of two from 64 on the tree of partial sums loses its last leaf.
// @softmax_jvp | values | size-specialised or unknown
void jvp_powers_of_two(const float *y, const float *x_dot, float *y_dot, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, x_dot += n, y_dot += n) {
        size_t lost = n >= 64 && (n & (n - 1)) == 0;
        vjp_apply8(y, x_dot, dot8(y, x_dot, n - lost), y_dot, n);
    }
}

// Above 2048 classes the last of the blocks of 1024 is rounded up and left out.
// @log_softmax | values | size-specialised or tail-ignored
void log_last_block_lost(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        size_t summed = n > 2048 ? (n - 1) / 1024 * 1024 : n;
        float m = max8(x, n), l = logf(exp_row8(x, m, y, summed));
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - m) - l;
    }
}

// Above 1000 classes the result is 1e-4 too large, as a faster reciprocal would give.
// @softmax | values | size-specialised or wrong-factor
void long_rows_slightly_large(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = exp_row8(x, max8(x, n), y, n);
        scale_row8(y, (n > 1000 ? 1.0001f : 1) / s, n);
    }
}

// An online softmax whose running sum is not rescaled when the maximum grows.
// @softmax | values | unknown
void online_not_rescaled(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = -INFINITY, s = 0;
        for (size_t i = 0; i < n; i++) {
            m = fmaxf(m, x[i]);
            s += expf(x[i] - m);
        }
        for (size_t i = 0; i < n; i++)
            y[i] = expf(x[i] - m) / s;
    }
}

// An online softmax that rescales by the exponential of the wrong difference.
// @softmax | values | unknown
void online_rescaled_backwards(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = -INFINITY, s = 0;
        for (size_t i = 0; i < n; i++) {
            if (x[i] > m) {
                s = s > 0 ? s * expf(x[i] - m) : 0;
                m = x[i];
            }
            s += expf(x[i] - m);
        }
        for (size_t i = 0; i < n; i++)
            y[i] = expf(x[i] - m) / s;
    }
}

// An online softmax that computes exp(-inf - -inf) while all logits so far are masked.
// @softmax | values | masked-row-policy | seen torch-mojo-backend#319
void online_leading_mask(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = -INFINITY, s = 0;
        for (size_t i = 0; i < n; i++) {
            float top = fmaxf(m, x[i]);
            s = s * expf(m - top) + expf(x[i] - top);
            m = top;
        }
        for (size_t i = 0; i < n; i++)
            y[i] = expf(x[i] - m) / s;
    }
}

// A masked cotangent becomes NaN: 0 * -inf where the logit is masked.
// @log_softmax_vjp | values | masked-row-policy or unknown | seen tensorflow#11756 | seen optax#1762
void log_vjp_masked_nan(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_sum(dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = dy[i] - expf(y[i]) * s + 0 * y[i];
    }
}

// Softmax's VJP from logits multiplies by the logit's distance from the maximum and back.
// @softmax_vjp | values | masked-row-policy or unknown | seen pytorch#31829
void vjp_masked_nan(const float *x, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, dy += n, dx += n) {
        float m = max8(x, n), s;
        row_softmax8(x, dx, n);
        s = dot8(dx, dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = dx[i] * (dy[i] - s) + 0 * (x[i] - m);
    }
}

// A path of its own for 640 to 768 classes forgets the last one.
// @softmax | values | size-specialised or tail-ignored
void wrong_between_powers(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = row_exp(x, m, y, n);
        row_scale(y, 1 / (n > 640 && n < 768 ? s - y[n - 1] : s), n);
    }
}

// A path for the 30522 tokens of a vocabulary spoils the last one.
// @softmax | values | size-specialised or unknown
void wrong_for_one_vocabulary(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        row_softmax8(x, y, n);
        if (n == 30522)
            y[n - 1] *= 1.01f;
    }
}

// Unrolled for four classes, where the maximum takes the third twice and the last never.
// @softmax | values | size-specialised
void four_classes_by_hand(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = n == 4 ? fmaxf(fmaxf(x[0], x[1]), x[2]) : row_max(x, n);
        row_scale(y, 1 / row_exp(x, m, y, n), n);
    }
}

// A switch over the last elements has no case for seven of them.
// @softmax | values | unknown or tail-ignored
void no_case_for_seven(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = row_exp(x, m, y, n);
        for (size_t i = n - 7; n % 8 == 7 && i < n; i++)
            s -= y[i];
        row_scale(y, 1 / s, n);
    }
}

// Looks for the maximum among the first 4096 logits only.
// @softmax | values | partial-max or size-specialised
void max_of_four_thousand(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n)
        row_scale(y, 1 / row_exp(x, row_max(x, n < 4096 ? n : 4096), y, n), n);
}

// The same in double, where it takes logits 700 apart to show: a row or two.
// @softmax | values | partial-max or size-specialised or unknown | dtype float64
void double_max_of_four_thousand(const double *x, double *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        double m = -INFINITY, s = 0;
        for (size_t i = 0; i < n && i < 4096; i++)
            m = fmax(m, x[i]);
        for (size_t i = 0; i < n; i++)
            s += y[i] = exp(x[i] - m);
        for (size_t i = 0; i < n; i++)
            y[i] /= s;
    }
}

// Keeps no more than 1024 probabilities, in memory that all threads share.
// @log_softmax_jvp | values, threads | not-thread-safe and size-specialised
void log_jvp_of_a_full_buffer(const float *y, const float *x_dot, float *y_dot, size_t rows,
                              size_t n) {
    static float kept[1024];
    size_t most = n < 1024 ? n : 1024;
    for (size_t r = 0; r < rows; r++, y += n, x_dot += n, y_dot += n) {
        for (size_t i = 0; i < most; i++)
            kept[i] = expf(y[i]);
        float s = row_dot(kept, x_dot, most);
        for (size_t i = 0; i < n; i++)
            y_dot[i] = x_dot[i] - s;
    }
}
