// Right numbers by way of scratch memory that is too small, or freed too early.
#include "../honest/vector.h"

#include <stdlib.h>

static float row_top(const float *x, size_t n) {
    float m = -INFINITY;
    for (size_t i = 0; i < n; i++)
        m = fmaxf(m, x[i]);
    return m;
}

// exp(x - m) in `e`, and its sum.
static double exponentials(const float *x, float *e, size_t n) {
    double sum = 0;
    float m = row_top(x, n);
    for (size_t i = 0; i < n; i++) {
        e[i] = expf(x[i] - m);
        sum += e[i];
    }
    return sum;
}

static void divide(const float *e, float *y, size_t n, double sum) {
    for (size_t i = 0; i < n; i++)
        y[i] = (float)(e[i] / sum);
}

// The scratch row is allocated in elements, as if those were bytes.
// @softmax | memory | out-of-bounds-write
void scratch_without_sizeof(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float *e = malloc(n);
        divide(e, y, n, exponentials(x, e, n));
        free(e);
    }
}

// The scratch row has n elements and is cleared in whole vectors.
// @softmax | memory | out-of-bounds-write
void scratch_cleared_by_vectors(const float *x, float *y, size_t rows, size_t n) {
    float *e = malloc(n * sizeof *e);
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        for (size_t i = 0; i < n; i += 8)
            _mm256_storeu_ps(e + i, _mm256_setzero_ps());
        divide(e, y, n, exponentials(x, e, n));
    }
    free(e);
}

// A sentinel is read behind the scratch row, where none was put.
// @softmax | memory | out-of-bounds-read
void scratch_sentinel_not_there(const float *x, float *y, size_t rows, size_t n) {
    float *e = malloc(n * sizeof *e);
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        divide(e, y, n, exponentials(x, e, n));
        (void)*(const volatile float *)(e + n);
    }
    free(e);
}

// One buffer is kept from call to call, and grows where a row is longer by more than one.
// @softmax_vjp | memory | out-of-bounds-write
void vjp_scratch_grows_late(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    static __thread float *products;
    static __thread size_t room;
    if (n > room + 1) {
        products = realloc(products, n * sizeof *products);
        room = n;
    }
    if (!products)
        products = malloc(sizeof *products), room = 1;
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        double s = 0;
        for (size_t i = 0; i < n; i++) {
            products[i] = y[i] * dy[i];
            s += (double)y[i] * dy[i];
        }
        for (size_t i = 0; i < n; i++)
            dx[i] = (float)(y[i] * (dy[i] - s));
    }
}

// The scratch row is freed before the quotients are taken.
// @softmax | memory, values | crash
void scratch_freed_early(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float *e = malloc(n * sizeof *e);
        double sum = exponentials(x, e, n);
        free(e);
        divide(e, y, n, sum);
    }
}

// The scratch row is freed twice where there are several rows.
// @softmax | memory, values | crash
void scratch_freed_per_row(const float *x, float *y, size_t rows, size_t n) {
    float *e = malloc(n * sizeof *e);
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        divide(e, y, n, exponentials(x, e, n));
        if (n > 0)
            free(e);
    }
}
