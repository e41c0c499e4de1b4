#include "softmax.h"

#include <math.h>

static void row(const float *x, float *y, size_t n, float max)
{
    float sum = 0.0f;
    for (size_t i = 0; i < n; ++i) {
        max = x[i] > max ? x[i] : max;
    }
    for (size_t i = 0; i < n; ++i) {
        y[i] = expf(x[i] - max);
        sum += y[i];
    }
    for (size_t i = 0; i < n; ++i) {
        y[i] /= sum;
    }
}

void softmax(const float *x, float *y, size_t rows, size_t n)
{
    for (size_t r = 0; r < rows; ++r) {
        row(x + r * n, y + r * n, n, -INFINITY);
    }
}

// The mistake: the maximum starts at 0, so a row of large negative logits underflows to 0 / 0.
void softmax_max_from_zero(const float *x, float *y, size_t rows, size_t n)
{
    for (size_t r = 0; r < rows; ++r) {
        row(x + r * n, y + r * n, n, 0.0f);
    }
}
