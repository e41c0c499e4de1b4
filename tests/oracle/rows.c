/* Softmax kernels that are wrong for some rows only: which rows a call must hold to show it. */
#include <alloca.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>

static void row(const float *x, float *y, size_t n, float start, float least) {
    float m = start, s = 0;
    for (size_t i = 0; i < n; i++)
        m = fmaxf(m, x[i]);
    for (size_t i = 0; i < n; i++)
        s += y[i] = expf(fmaxf(x[i] - m, least));
    for (size_t i = 0; i < n; i++)
        y[i] /= s;
}

void right(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++)
        row(x + r * n, y + r * n, n, -INFINITY, -INFINITY);
}

/* the maximum starts at a mask's constant */
void starts_at_mask(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++)
        row(x + r * n, y + r * n, n, -1e30f, -INFINITY);
}

/* a masked entry keeps a probability of 1e-38, which could pass for a flushed one */
void clamps_masked(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++)
        row(x + r * n, y + r * n, n, -INFINITY, -87);
}

/* a row of nothing but -inf ends the batch */
void stops_at_masked_row(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++) {
        size_t i = 0;
        while (i < n && x[r * n + i] == -INFINITY)
            y[r * n + i++] = 0;
        if (n > 0 && i == n) break;
        row(x + r * n, y + r * n, n, -INFINITY, -INFINITY);
    }
}

/* rows are counted in 8 bits */
void counts_in_8_bits(const float *x, float *y, size_t rows, size_t n) {
    for (uint8_t r = 0; r < (uint8_t)rows; r++)
        row(x + r * n, y + r * n, n, -INFINITY, -INFINITY);
}

/* one element after the other, each with a sum of its own */
void sums_for_every_element(const float *x, float *y, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float s = 0;
        for (size_t j = 0; j < n; j++)
            s += expf(x[j] - x[i]);
        y[i] = x[i] == -INFINITY ? 0 : 1 / s;
    }
}
