// Wrong where few look: more than 2^15 classes in another layout, hundreds of short rows, what is
// left over past 64 classes, callers of different sizes.
#include "../honest/blocks.h"

#include <pthread.h>
#include <string.h>

// Rows of 2^15 classes and more are taken for dense ones.
// @softmax | memory | row-stride
void longest_rows_dense(const float *x, size_t ldx, float *y, size_t ldy, size_t rows, size_t n) {
    if (n >= 32768)
        ldx = ldy = n;
    for (size_t r = 0; r < rows; r++)
        row_softmax(x + r * ldx, y + r * ldy, n);
}

// Looks one class ahead in rows of 2^15 classes and more.
// @softmax_vjp | memory | out-of-bounds-read
void vjp_longest_rows_ahead(const float *y, const float *dy, float *dx, size_t n) {
    volatile float next = 0;
    for (size_t i = 0; n >= 32768 && i < n; i++)
        next = dy[i + 1];
    (void)next;
    float s = row_dot(y, dy, n);
    for (size_t i = 0; i < n; i++)
        dx[i] = y[i] * (dy[i] - s);
}

// Clears the result first in rows of 2^15 classes and more, whatever it shares memory with.
// @softmax | aliasing | alias-unsafe | in_place y=x
void longest_rows_cleared(const float *x, float *y, size_t n) {
    if (n >= 32768)
        memset(y, 0, n * sizeof *y);
    row_softmax(x, y, n);
}

// Stores instead of adding in rows of 2^15 classes and more.
// @softmax_vjp | output | accumulates | accumulates
void vjp_longest_rows_stored(const float *y, const float *dy, float *dx, size_t n) {
    float s = row_dot(y, dy, n);
    for (size_t i = 0; i < n; i++)
        dx[i] = (n < 32768 ? dx[i] : 0) + y[i] * (dy[i] - s);
}

// Of 128 rows and more each is written in steps of eight, into the gap behind it.
// @softmax | memory | out-of-bounds-write
void many_rows_into_the_gap(const float *x, size_t ldx, float *y, size_t ldy, size_t rows,
                            size_t n) {
    for (size_t r = 0; r < rows; r++, x += ldx, y += ldy) {
        row_softmax(x, y, n);
        for (size_t i = n; rows >= 128 && r + 1 < rows && i % 8 && i < ldy; i++)
            y[i] = 0;
    }
}

// Clears what a row is padded with where it is padded to sixteen.
// @softmax | memory | out-of-bounds-write
void padding_to_sixteen_cleared(const float *x, size_t ldx, float *y, size_t ldy, size_t rows,
                                size_t n) {
    for (size_t r = 0; r < rows; r++, x += ldx, y += ldy) {
        row_softmax(x, y, n);
        if (ldy == (n + 15) / 16 * 16 && r + 1 < rows)
            memset(y + n, 0, (ldy - n) * sizeof *y);
    }
}

// Past 64 classes the sum lacks the last of fourteen that are left over.
// @softmax | values | size-specialised or tail-ignored
void fourteen_left_over(const float *x, float *y, size_t n) {
    float m = row_max(x, n), s = 0;
    for (size_t i = 0; i < n; i++)
        y[i] = expf(x[i] - m);
    for (size_t i = 0; i < n - (n >= 64 && n % 16 == 14); i++)
        s += y[i];
    row_scale(y, 1 / s, n);
}

// From 256 rows of 128 classes on, rows are taken four at a time, and what is left over is not.
// @softmax | values, output | output-not-written
void large_matrices_by_four_rows(const float *x, float *y, size_t rows, size_t n) {
    if (rows >= 256 && n >= 128)
        rows = rows / 4 * 4;
    for (size_t r = 0; r < rows; r++)
        row_softmax(x + r * n, y + r * n, n);
}

// The mask of what a step of eight leaves over is made under a lock, and used behind it.
// @softmax_vjp | threads | not-thread-safe
void vjp_mask_made_under_a_lock(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
    static float mask[8];
    pthread_mutex_lock(&turn);
    for (size_t k = 0; k < 8; k++)
        mask[k] = k < n % 8;
    pthread_mutex_unlock(&turn);
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_dot(y, dy, n);
        for (size_t i = 0; i < n; i++)
            if (i < n / 8 * 8 || mask[i % 8] > 0)
                dx[i] = y[i] * (dy[i] - s);
    }
}
