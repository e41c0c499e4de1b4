// Right where it is tried first, wrong on a path of its own: with a scale, for many rows, for
// lengths that are powers of two.
#include "../honest/blocks.h"

#include <emmintrin.h>
#include <stdlib.h>

// Scaled logits are copied as if rows lay close together.
// @softmax | memory | row-stride or out-of-bounds-read
void scaled_copy_dense(const float *x, size_t ldx, float scale, float *y, size_t ldy, size_t rows,
                       size_t n) {
    float *z = malloc((rows * n + 1) * sizeof *z);
    for (size_t k = 0; k < rows * n && scale != 1; k++)
        z[k] = scale * x[k];
    for (size_t r = 0; r < rows; r++)
        row_softmax(scale == 1 ? x + r * ldx : z + r * n, y + r * ldy, n);
    free(z);
}

// The scale is put on in a last pass over rows * n numbers, gaps or not.
// @softmax_vjp | memory | out-of-bounds-write or row-stride
void vjp_scaled_last_dense(const float *y, const float *dy, float scale, float *dx, size_t lddx,
                           size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++)
        row_vjp(y + r * n, dy + r * n, dx + r * lddx, n);
    for (size_t k = 0; k < rows * n && scale != 1; k++)
        dx[k] *= scale;
}

// Scaled logits stand in a buffer that all threads share.
// @softmax | threads | not-thread-safe
void scaled_in_shared_row(const float *x, float scale, float *y, size_t rows, size_t n) {
    static float few[4096];
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        if (scale == 1 || n > 4096) {
            float m = row_max(x, n), s = 0;
            for (size_t i = 0; i < n; i++)
                s += y[i] = expf(scale * (x[i] - m));
            row_scale(y, 1 / s, n);
            continue;
        }
        for (size_t i = 0; i < n; i++)
            few[i] = scale * x[i];
        row_softmax(few, y, n);
    }
}

// In place with a scale, what is read again is scaled already.
// @softmax | aliasing | alias-unsafe | in_place y=x
void scaled_reread(const float *x, float scale, float *y, size_t n) {
    const volatile float *again = x;
    float m = row_max(x, n), s = 0;
    for (size_t i = 0; i < n && scale != 1; i++)
        y[i] = scale * (x[i] - m);
    for (size_t i = 0; i < n; i++)
        s += y[i] = expf(scale * (again[i] - m));
    row_scale(y, 1 / s, n);
}

// What the result held is scaled, too.
// @softmax_vjp | output | accumulates | accumulates
void vjp_scales_what_was_there(const float *y, const float *dy, float scale, float *dx, size_t n) {
    float s = row_dot(y, dy, n);
    for (size_t i = 0; i < n; i++)
        dx[i] = scale * (dx[i] + y[i] * (dy[i] - s));
}

// With a scale NaN counts as minus infinity.
// @softmax | nonfinite | nan-swallowed | nonfinite strict
void scaled_without_nan(const float *x, float scale, float *y, size_t n) {
    float m = -INFINITY, s = 0;
    for (size_t i = 0; i < n; i++) {
        y[i] = scale != 1 && isnan(x[i]) ? -INFINITY : x[i];
        m = y[i] > m || isnan(y[i]) ? y[i] : m;
    }
    for (size_t i = 0; i < n; i++)
        s += y[i] = expf(scale * (y[i] - m));
    row_scale(y, 1 / s, n);
}

// With a scale it reads the first logit of none.
// @softmax | empty | crash-on-empty
void scaled_nothing(const float *x, float scale, float *y, size_t n) {
    float m = scale != 1 ? *(const volatile float *)x : -INFINITY, s = 0;
    for (size_t i = 0; i < n; i++)
        m = x[i] > m ? x[i] : m;
    for (size_t i = 0; i < n; i++)
        s += y[i] = expf(scale * (x[i] - m));
    row_scale(y, 1 / s, n);
}

// Eight rows at once read the logits again when results have been stored.
// @softmax | aliasing | alias-unsafe | in_place y=x
void eight_rows_reread(const float *x, float *y, size_t rows, size_t n) {
    for (; rows >= 8; rows -= 8, x += 8 * n, y += 8 * n) {
        const volatile float *again = x;
        float m[8], s[8];
        for (size_t k = 0; k < 8; k++) {
            m[k] = row_max(x + k * n, n);
            s[k] = row_exp(x + k * n, m[k], y + k * n, n);
        }
        for (size_t i = 0; i < 8 * n; i++)
            y[i] = expf(again[i] - m[i / n]) / s[i / n];
    }
    for (size_t r = 0; r < rows; r++)
        row_softmax(x + r * n, y + r * n, n);
}

// Sixteen rows at once store, where fewer add.
// @softmax_vjp | output | accumulates | accumulates
void vjp_sixteen_rows_store(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        int stores = r / 16 * 16 + 16 <= rows;
        float s = row_dot(y, dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s) + (stores ? 0 : dx[i]);
    }
}

// From 64 rows on they are taken for dense ones.
// @softmax | memory | row-stride
void many_rows_dense(const float *x, size_t ldx, float *y, size_t ldy, size_t rows, size_t n) {
    if (rows >= 64)
        ldx = ldy = n;
    for (size_t r = 0; r < rows; r++)
        row_softmax(x + r * ldx, y + r * ldy, n);
}

// Eight rows at once load whole vectors, of the last row beyond its end.
// @softmax | memory | out-of-bounds-read
void eight_rows_read_past(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        for (size_t i = 0; i < n && r / 8 * 8 + 8 <= rows; i += 4) {
            volatile __m128 loaded = _mm_loadu_ps(x + i);
            (void)loaded;
        }
        row_softmax(x, y, n);
    }
}

// From 64 rows on their sums stand in a table that all threads share.
// @softmax | threads | not-thread-safe
void many_sums_shared(const float *x, float *y, size_t rows, size_t n) {
    static float sums[4096];
    if (rows < 64 || rows > 4096) {
        for (size_t r = 0; r < rows; r++)
            row_softmax(x + r * n, y + r * n, n);
        return;
    }
    for (size_t r = 0; r < rows; r++)
        sums[r] = row_exp(x + r * n, row_max(x + r * n, n), y + r * n, n);
    for (size_t r = 0; r < rows; r++)
        row_scale(y + r * n, 1 / sums[r], n);
}

// Powers of two from 2048 on have a path of their own, which takes the diagonal alone.
// @softmax_vjp | values | size-specialised or diagonal-only
void vjp_powers_of_two_diagonal(const float *y, const float *dy, float *dx, size_t n) {
    if (n < 2048 || (n & (n - 1))) {
        row_vjp(y, dy, dx, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        dx[i] = y[i] * (1 - y[i]) * dy[i];
}

// Powers of two from 2048 on start their maximum at 0.
// @softmax | values | size-specialised or max-from-constant
void powers_of_two_from_zero(const float *x, float *y, size_t n) {
    float m = row_max(x, n);
    m = n >= 2048 && !(n & (n - 1)) && m < 0 ? 0 : m;
    row_scale(y, 1 / row_exp(x, m, y, n), n);
}

// Up to 256 classes in eights go by steps of sixteen; the eight that may be left are not summed.
// @softmax_vjp | values | tail-ignored or size-specialised
void vjp_eight_left_over(const float *y, const float *dy, float *dx, size_t n) {
    size_t summed = n % 8 == 0 && n > 8 && n <= 256 ? n / 16 * 16 : n;
    float s = row_dot(y, dy, summed);
    for (size_t i = 0; i < n; i++)
        dx[i] = y[i] * (dy[i] - s);
}
