// Wrong beyond what is tried first: long rows, many rows, large numbers, some scales.
#include "../honest/blocks.h"

#include <emmintrin.h>
#include <stdlib.h>

// Rows of 128 classes and more are taken for dense ones.
// @softmax | memory | row-stride
void long_rows_dense(const float *x, size_t ldx, float *y, size_t ldy, size_t rows, size_t n) {
    if (n >= 128)
        ldx = ldy = n;
    for (size_t r = 0; r < rows; r++)
        row_softmax(x + r * ldx, y + r * ldy, n);
}

// Eight rows at once are taken for dense ones.
// @softmax | memory | row-stride
void eight_rows_dense(const float *x, size_t ldx, float *y, size_t ldy, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++) {
        size_t within = r / 8 * 8 + 8 <= rows ? r % 8 : 0, first = r - within;
        row_softmax(x + first * ldx + within * n, y + first * ldy + within * n, n);
    }
}

// Rows of more than 128 classes are written in steps of eight, into the gap behind them.
// @softmax | memory | out-of-bounds-write
void gap_behind_long_rows(const float *x, size_t ldx, float *y, size_t ldy, size_t rows,
                          size_t n) {
    for (size_t r = 0; r < rows; r++, x += ldx, y += ldy) {
        row_softmax(x, y, n);
        for (size_t i = n; n > 128 && r + 1 < rows && i % 8 && i < ldy; i++)
            y[i] = 0;
    }
}

// Steps to the result's alignment in long rows, and takes the inputs to be aligned there, too.
// @softmax_vjp | memory | unaligned-access
void vjp_long_rows_peeled(const float *y, const float *dy, float *dx, size_t n) {
    float s = row_dot(y, dy, n);
    size_t i = 0;
    if (n >= 160) {
        for (; (uintptr_t)(dx + i) % 16; i++)
            dx[i] = y[i] * (dy[i] - s);
        for (__m128 sum = _mm_set1_ps(s); i + 4 <= n; i += 4) {
            __m128 apart = _mm_sub_ps(_mm_load_ps(dy + i), sum);
            _mm_store_ps(dx + i, _mm_mul_ps(apart, _mm_load_ps(y + i)));
        }
    }
    for (; i < n; i++)
        dx[i] = y[i] * (dy[i] - s);
}

// Rows of up to 256 classes are kept in one buffer for all callers, longer ones on the heap.
// @softmax | threads | not-thread-safe
void short_rows_share_a_buffer(const float *x, float *y, size_t rows, size_t n) {
    static float few[256];
    float *e = n <= 256 ? few : malloc(n * sizeof(float));
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = row_exp(x, row_max(x, n), e, n);
        for (size_t i = 0; i < n; i++)
            y[i] = e[i] / s;
    }
    if (e != few)
        free(e);
}

// Rows of 8192 classes and more are read in steps of eight to their end and beyond.
// @softmax | memory | out-of-bounds-read
void reads_behind_long_rows(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++) {
        float m = row_max(x + r * n, n);
        for (size_t i = n; n >= 8192 && i % 8; i++)
            m = ((volatile const float *)x)[r * n + i] < -INFINITY ? 0 : m;
        row_scale(y + r * n, 1 / row_exp(x + r * n, m, y + r * n, n), n);
    }
}

// Claims to work in place; rows of more than 2048 classes are read again when they are overwritten.
// @softmax | aliasing | alias-unsafe | in_place y=x
void in_place_reread(const float *x, float *y, size_t n) {
    float m = row_max(x, n), s = 0;
    if (n <= 2048) {
        row_softmax(x, y, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        s += expf(x[i] - m);
    for (size_t i = 0; i < n; i++) {
        y[i] = 0;
        y[i] = expf(x[i] - m) / s;
    }
}

// Adds to its result as it claims, but overwrites rows of more than 8192 classes.
// @softmax_vjp | output | accumulates | accumulates
void long_rows_not_added(const float *y, const float *dy, float *dx, size_t n) {
    float s = row_dot(y, dy, n);
    for (size_t i = 0; i < n; i++)
        dx[i] = y[i] * (dy[i] - s) + (n > 8192 ? 0 : dx[i]);
}

// From 16384 classes on, four to six elements left over are left out of the sum.
// @softmax | values | unknown or tail-ignored or size-specialised
void long_rows_lose_some_ends(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = row_exp(x, row_max(x, n), y, n);
        if (n >= 16384 && n % 8 > 3 && n % 8 < 7)
            s = row_sum(y, n / 8 * 8);
        row_scale(y, 1 / s, n);
    }
}

// From 256 rows on, four at once; the last three are forgotten.
// @softmax | values | output-not-written or size-specialised
void many_rows_lose_three(const float *x, float *y, size_t rows, size_t n) {
    size_t done = rows >= 256 && rows % 4 == 3 ? rows - 3 : rows;
    for (size_t r = 0; r < done; r++)
        row_softmax(x + r * n, y + r * n, n);
}

// Scales the cotangent by 65536 for the sum, which overflows long before the cotangent does.
// @softmax_vjp | values | unknown or offset-sensitive
void vjp_loss_scaled(const float *y, const float *dy, float *dx, size_t n) {
    float s = 0;
    for (size_t i = 0; i < n; i++)
        s += y[i] * (dy[i] * 65536);
    for (size_t i = 0; i < n; i++)
        dx[i] = y[i] * (dy[i] - s / 65536);
}

// Takes scales above 1 for 1; whole steps of eight only.
// @softmax | values | missing-scale or wrong-factor or unknown | assume n % 8 == 0
void scale_capped(const float *x, float *y, size_t n, float scale) {
    float m = row_max(x, n);
    for (size_t i = 0; i < n; i++)
        y[i] = (scale < 1 ? scale : 1) * (x[i] - m);
    row_softmax(y, y, n);
}

// Eight rows at once: where one is masked whole, all of them are zeros.
// @softmax | nonfinite | masked-row-policy or batch-reduced or unknown
void masked_row_zeroes_eight(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        row_softmax(x, y, n);
        if (r % 8 || r + 8 > rows)
            continue;
        for (size_t k = 0; k < 8; k++)
            if (n && row_max(x + k * n, n) == -INFINITY) {
                memset(y, 0, 8 * n * sizeof *y);
                x += 7 * n, y += 7 * n, r += 7;
                break;
            }
    }
}

// In rows of 100 classes and more, returns at the first that holds a NaN.
// @softmax | nonfinite | output-not-written or nan-swallowed or unknown
void stops_at_nan(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; n >= 100 && i < n; i++)
            if (isnan(x[r * n + i]))
                return;
        row_softmax(x + r * n, y + r * n, n);
    }
}

// From 2048 classes on, the maximum is taken by chunks of 1024, each without its last element.
// @softmax | values | partial-max or size-specialised
void chunks_lose_their_maximum(const float *x, float *y, size_t n) {
    float m = row_max(x, n);
    if (n >= 2048) {
        m = -INFINITY;
        for (size_t i = 0; i < n; i++)
            if (i % 1024 != 1023 && x[i] > m)
                m = x[i];
    }
    row_scale(y, 1 / row_exp(x, m, y, n), n);
}

// Above 16384 classes the sum is taken by chunks of 8192, each without its last element.
// @softmax_vjp | values | lane-error or size-specialised or unknown
void vjp_long_chunks_lose_one(const float *y, const float *dy, float *dx, size_t n) {
    float s = 0;
    for (size_t i = 0; i < n; i++)
        if (n <= 16384 || i % 8192 != 8191)
            s += y[i] * dy[i];
    for (size_t i = 0; i < n; i++)
        dx[i] = y[i] * (dy[i] - s);
}

// Exactly 8192 classes lose the last warp of 32.
// @softmax | values | size-specialised or tail-ignored
void exactly_8192(const float *x, float *y, size_t n) {
    float s = row_exp(x, row_max(x, n), y, n);
    row_scale(y, 1 / (n == 8192 ? row_sum(y, n - 32) : s), n);
}

// Exactly 48 classes lose the last one: no state, though only the check of states tries it.
// @softmax | state | size-specialised or tail-ignored
void exactly_48(const float *x, float *y, size_t n) {
    float s = row_exp(x, row_max(x, n), y, n);
    row_scale(y, 1 / (n == 48 ? row_sum(y, n - 1) : s), n);
}

// From 512 classes on, a table is used before it is filled, once in a process.
// @softmax | state, values | stale-state
void long_rows_fill_late(const float *x, float *y, size_t n) {
    static float factor[1];
    float s = row_exp(x, row_max(x, n), y, n);
    row_scale(y, (n < 512 ? 1 : factor[0]) / s, n);
    if (n >= 512)
        factor[0] = 1;
}

// One lane of eight is off by 130 units; the rows are too short for O(n) to be told from O(n²).
// @softmax | values | lane-error or unknown or size-specialised | assume n <= 512
void short_lane_off(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        double s = 0;
        row_exp(x, row_max(x, n), y, n);
        for (size_t i = 0; i < n; i++)
            s += y[i];
        for (size_t i = 0; i < n; i++)
            y[i] = (float)(y[i] / s * (n >= 256 && i % 8 == 3 ? 1.0 + 8e-6 : 1.0));
    }
}

// Finds the largest by comparing the numbers' bits as integers: of negative ones, the least.
// @softmax | values | partial-max or unknown
void largest_by_bits(const float *x, float *y, size_t n) {
    int32_t most = INT32_MIN, bits;
    float m = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        memcpy(&bits, x + i, 4);
        if (bits >= most)
            most = bits, m = x[i];
    }
    row_scale(y, 1 / row_exp(x, m, y, n), n);
}

// Calls of more than 65536 elements go to four workers, and the rows left over to none.
// @softmax | values | output-not-written
void rows_left_by_workers(const float *x, float *y, size_t rows, size_t n) {
    size_t done = rows * n > 65536 ? rows / 4 * 4 : rows;
    for (size_t r = 0; r < done; r++)
        row_softmax(x + r * n, y + r * n, n);
}

// Calls of more than 40000 elements take a path with the sign of the sum turned: no overflow.
// @softmax_vjp | values | unknown or size-specialised or dot-sign
void vjp_large_calls_add(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    float sign = rows * n > 40000 ? -1 : 1;
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = sign * row_dot(y, dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

// From 32768 classes on, the diagonal alone: no overflow, either.
// @softmax_vjp | values | unknown or size-specialised or diagonal-only
void vjp_long_rows_diagonal(const float *y, const float *dy, float *dx, size_t n) {
    float s = row_dot(y, dy, n);
    for (size_t i = 0; i < n; i++)
        dx[i] = n >= 32768 ? y[i] * (1 - y[i]) * dy[i] : y[i] * (dy[i] - s);
}

// From 20000 classes on, the last n mod 4 products are left out of the sum.
// @softmax_vjp | values | unknown or tail-ignored or size-specialised
void vjp_long_tail_lost(const float *y, const float *dy, float *dx, size_t n) {
    float s = row_dot(y, dy, n >= 20000 ? n / 4 * 4 : n);
    for (size_t i = 0; i < n; i++)
        dx[i] = y[i] * (dy[i] - s);
}
