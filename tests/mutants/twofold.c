// Two faults at once: both must be named.
#include "../honest/blocks.h"

#include <stdlib.h>

// Only the diagonal of the Jacobian; the cotangent's stride is ignored.
// @softmax_vjp | values | diagonal-only and row-stride
void vjp_diagonal_dense(const float *y, size_t ldy, const float *dy, size_t lddy, float *dx,
                        size_t lddx, size_t rows, size_t n) {
    (void)lddy;
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < n; i++) {
            float p = y[r * ldy + i];
            dx[r * lddx + i] = p * (1 - p) * dy[r * n + i];
        }
}

// The maximum is not subtracted; both strides are ignored.
// @softmax | values | no-max-subtraction and row-stride
void no_max_dense(const float *x, size_t ldx, float *y, size_t ldy, size_t rows, size_t n) {
    (void)ldx, (void)ldy;
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++)
            s += y[i] = expf(x[i]);
        for (size_t i = 0; i < n; i++)
            y[i] /= s;
    }
}

// The maximum is not subtracted; what is left after whole vectors is not written.
// @softmax | values, output | no-max-subtraction and tail-not-written
void no_max_no_tail(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++)
            s += expf(x[i]);
        for (size_t i = 0; i < n / 4 * 4; i++)
            y[i] = expf(x[i]) / s;
    }
}

// Only the diagonal; what is left after whole vectors is not written.
// @softmax_vjp | values, output | diagonal-only and tail-not-written
void vjp_diagonal_no_tail(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n)
        for (size_t i = 0; i < n / 8 * 8; i++)
            dx[i] = y[i] * (1 - y[i]) * dy[i];
}

// The scale is left out, and the first row's sum is taken for all rows.
// @softmax_vjp | values | missing-scale and first-row-only
void vjp_no_scale_first_sum(const float *y, const float *dy, float *dx, size_t rows, size_t n,
                            float scale) {
    (void)scale;
    float s = 0;
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        if (r == 0)
            s = row_dot(y, dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

// The scale is left out, and so is the sum.
// @softmax_vjp | values | missing-scale and missing-dot
void vjp_no_scale_no_sum(const float *y, const float *dy, float *dx, size_t n, float scale) {
    (void)scale;
    for (size_t i = 0; i < n; i++)
        dx[i] = y[i] * dy[i];
}

// The scale is left out, and the exponentials are divided by the whole call's sum.
// @softmax | values | missing-scale and batch-sum
void no_scale_batch_sum(const float *x, float *y, size_t rows, size_t n, float scale) {
    (void)scale;
    float s = 0;
    for (size_t r = 0; r < rows; r++) {
        float m = row_max(x + r * n, n);
        for (size_t i = 0; i < n; i++)
            s += y[r * n + i] = expf(x[r * n + i] - m);
    }
    for (size_t i = 0; i < rows * n; i++)
        y[i] /= s;
}

// The sum enters with the wrong sign, and so does the result.
// @softmax_vjp | values | sign-flipped and dot-sign
void vjp_both_signs(const float *y, const float *dy, float *dx, size_t n) {
    float s = row_dot(y, dy, n);
    for (size_t i = 0; i < n; i++)
        dx[i] = -y[i] * (dy[i] + s);
}

// The sum lacks what is left after whole vectors, and the sign is wrong.
// @softmax_vjp | values | sign-flipped and tail-ignored
void vjp_flipped_without_tail(const float *y, const float *dy, float *dx, size_t n) {
    float s = row_dot(y, dy, n / 8 * 8);
    for (size_t i = 0; i < n; i++)
        dx[i] = y[i] * (s - dy[i]);
}

// Only the diagonal, by way of a buffer that all threads share.
// @softmax_vjp | values, threads | diagonal-only and not-thread-safe
void vjp_diagonal_shared(const float *y, const float *dy, float *dx, size_t n) {
    static float kept[1 << 21];
    for (size_t i = 0; i < n; i++)
        kept[i] = y[i] * (1 - y[i]);
    for (size_t i = 0; i < n; i++)
        dx[i] = kept[i] * dy[i];
}

// The sign is wrong; in place, the probability is read when it has been written over.
// @softmax_vjp | values, aliasing | sign-flipped and alias-unsafe | in_place dx=y
void vjp_flipped_reread(const float *y, const float *dy, float *dx, size_t n) {
    float s = row_dot(y, dy, n);
    for (size_t i = 0; i < n; i++)
        dx[i] = s - dy[i];
    for (size_t i = 0; i < n; i++)
        dx[i] *= y[i];
}

// The sum enters with the wrong sign; a vector is read behind the end of the cotangent.
// @softmax_vjp | values, memory | dot-sign and out-of-bounds-read
void vjp_sum_added_past_end(const float *y, const float *dy, float *dx, size_t n) {
    volatile float beyond = dy[n];
    (void)beyond;
    float s = row_dot(y, dy, n);
    for (size_t i = 0; i < n; i++)
        dx[i] = y[i] * (dy[i] + s);
}

// A constant in the denominator, and the scale is left out.
// @softmax | values | epsilon-in-denominator and missing-scale
void no_scale_padded(const float *x, float *y, size_t n, float scale) {
    (void)scale;
    float m = row_max(x, n), s = 1e-3f;
    for (size_t i = 0; i < n; i++)
        s += y[i] = expf(x[i] - m);
    for (size_t i = 0; i < n; i++)
        y[i] /= s;
}

// The maximum is not subtracted, and the sum lacks what is left after whole vectors.
// @softmax | values | no-max-subtraction and tail-ignored
void no_max_sum_without_tail(const float *x, float *y, size_t n) {
    float s = 0;
    for (size_t i = 0; i < n; i++) {
        y[i] = expf(x[i]);
        if (i < n / 8 * 8)
            s += y[i];
    }
    for (size_t i = 0; i < n; i++)
        y[i] /= s;
}

// Every element with the sign that only those off the diagonal have, and the scale left out.
// @softmax_jacobian | values | missing-scale and sign-flipped
void jacobian_no_scale_flipped(const float *y, float *jac, size_t n, float scale) {
    (void)scale;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            jac[i * n + j] = y[i] * (y[j] - (i == j));
}
