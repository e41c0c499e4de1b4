// The same formulas over sums in every honest order: each is as right as its rounding allows.
#include "blocks.h"

static float pairwise(const float *v, size_t n) {
    if (n <= 8)
        return row_sum(v, n);
    return pairwise(v, n / 2) + pairwise(v + n / 2, n - n / 2);
}

// k sums that take the elements in turn, combined by halves.
static float lanes(const float *v, size_t n, size_t k) {
    float s[64] = {0};
    for (size_t i = 0; i < n; i++)
        s[i % k] += v[i];
    for (size_t half = k / 2; half > 0; half /= 2)
        for (size_t j = 0; j < half; j++)
            s[j] += s[j + half];
    return s[0];
}

static float compensated(const float *v, size_t n) {
    volatile float s = 0, c = 0;
    for (size_t i = 0; i < n; i++) {
        volatile float term = v[i] - c, t = s + term;
        c = (t - s) - term;
        s = t;
    }
    return s;
}

static float backwards(const float *v, size_t n) {
    float s = 0;
    while (n-- > 0)
        s += v[n];
    return s;
}

static float in_double(const float *v, size_t n) {
    double s = 0;
    for (size_t i = 0; i < n; i++)
        s += v[i];
    return (float)s;
}

static float four(const float *v, size_t n) { return lanes(v, n, 4); }
static float sixteen(const float *v, size_t n) { return lanes(v, n, 16); }
static float sixty_four(const float *v, size_t n) { return lanes(v, n, 64); }

typedef float summation(const float *v, size_t n);

static void softmax_by(summation *sum, const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        row_exp(x, row_max(x, n), y, n);
        row_scale(y, 1 / sum(y, n), n);
    }
}

static void vjp_by(summation *sum, const float *y, const float *dy, float *dx, size_t rows,
                   size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * dy[i];
        float s = sum(dx, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

// By halves.
// @softmax
void sum_pairwise(const float *x, float *y, size_t rows, size_t n) {
    softmax_by(pairwise, x, y, rows, n);
}

// Four lanes.
// @softmax
void sum_four_lanes(const float *x, float *y, size_t rows, size_t n) {
    softmax_by(four, x, y, rows, n);
}

// Sixteen lanes.
// @softmax
void sum_sixteen_lanes(const float *x, float *y, size_t rows, size_t n) {
    softmax_by(sixteen, x, y, rows, n);
}

// Sixty-four lanes.
// @softmax
void sum_sixty_four_lanes(const float *x, float *y, size_t rows, size_t n) {
    softmax_by(sixty_four, x, y, rows, n);
}

// Kahan's compensated sum.
// @softmax
void sum_compensated(const float *x, float *y, size_t rows, size_t n) {
    softmax_by(compensated, x, y, rows, n);
}

// From the last element to the first.
// @softmax
void sum_backwards(const float *x, float *y, size_t rows, size_t n) {
    softmax_by(backwards, x, y, rows, n);
}

// In double.
// @softmax
void sum_in_double(const float *x, float *y, size_t rows, size_t n) {
    softmax_by(in_double, x, y, rows, n);
}

// By halves.
// @softmax_vjp
void vjp_sum_pairwise(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    vjp_by(pairwise, y, dy, dx, rows, n);
}

// Sixteen lanes.
// @softmax_vjp
void vjp_sum_sixteen_lanes(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    vjp_by(sixteen, y, dy, dx, rows, n);
}

// Kahan's compensated sum.
// @softmax_vjp
void vjp_sum_compensated(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    vjp_by(compensated, y, dy, dx, rows, n);
}

// In double.
// @softmax_vjp
void vjp_sum_in_double(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    vjp_by(in_double, y, dy, dx, rows, n);
}
