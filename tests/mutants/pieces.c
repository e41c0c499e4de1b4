// Rows taken in pieces: what is left of the last piece, of the first, or of a number's bits.
#include "../honest/blocks.h"

// The last vector ends with the row, and the lanes that were summed before stay in it.
// @softmax | values | tail-leaks-in
void overlapping_tail(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = 0;
        size_t i = 0;
        for (; i + 8 <= n; i += 8)
            for (size_t k = i; k < i + 8; k++)
                s += expf(x[k] - m);
        if (n > 8 && i < n)
            i = n - 8;
        for (; i < n; i++)
            s += expf(x[i] - m);
        for (i = 0; i < n; i++)
            y[i] = expf(x[i] - m) / s;
    }
}

// The last element fills the last vector of products, and is added each time.
// @softmax_vjp | values | tail-leaks-in
void vjp_last_fills_vector(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = 0;
        for (size_t i = 0; i < (n + 3) / 4 * 4; i++) {
            size_t k = i < n ? i : n - 1;
            s += y[k] * dy[k];
        }
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

// Unrolled by four: every step multiplies by the first step's differences.
// @softmax_vjp | values | pointer-not-advanced
void vjp_unrolled_first_step(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_dot(y, dy, n);
        size_t i = 0;
        for (; i + 32 <= n; i += 32)
            for (size_t k = 0; k < 32; k++)
                dx[i + k] = y[i + k] * (dy[i + k % 8] - s);
        for (; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

// The last pass, which divides, counts to a length of 16 bits.
// @softmax | values | index-overflow
void divided_up_to_16_bits(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = row_exp(x, row_max(x, n), y, n);
        for (uint16_t i = 0; i < (uint16_t)n; i++)
            y[i] /= s;
    }
}

// The distance between the rows that are read is kept in 16 bits.
// @softmax | values | index-overflow
void step_of_16_bits(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += (uint16_t)n, y += n)
        row_softmax(x, y, n);
}

// The diagonal is added to what the output held, all else is stored.
// @softmax_jacobian | output | accumulates
void jacobian_adds_diagonal(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, jac += n * n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                jac[i * n + j] = (i == j ? jac[i * n + j] + y[i] : 0) - y[i] * y[j];
}

// The reciprocal of the sum is kept in bfloat16.
// @softmax | values | low-precision
void reciprocal_in_bfloat16(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = row_exp(x, row_max(x, n), y, n);
        row_scale(y, from_bfloat16(to_bfloat16(1 / s)), n);
    }
}

// The sum of a row is kept for the addresses and the length of the call before.
// @softmax_vjp | values | stale-state
void vjp_sum_by_address(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    static _Thread_local const float *of_y, *of_dy;
    static _Thread_local size_t of_n;
    static _Thread_local float s;
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        if (y != of_y || dy != of_dy || n != of_n)
            s = row_dot(y, dy, n);
        of_y = y, of_dy = dy, of_n = n;
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

// Of rows of odd length the last exponential goes on into the sums of all later rows.
// @softmax | values | unknown or batch-sum
void odd_ends_add_up(const float *x, float *y, size_t rows, size_t n) {
    float ends = 0;
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < n; i++) {
            y[i] = expf(x[i] - m);
            *(i + 1 == n && n % 2 ? &ends : &s) += y[i];
        }
        row_scale(y, 1 / (s + ends), n);
    }
}
