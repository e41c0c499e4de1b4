// SSE code: aligned operands, approximate reciprocals, four lanes.
#include <xmmintrin.h>
#include "../honest/blocks.h"

static float sum_of_four(__m128 v) {
    float lanes[4];
    _mm_storeu_ps(lanes, v);
    return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

// Divides by way of the 12-bit reciprocal, without Newton's step.
// @softmax | values | low-precision or unknown
void reciprocal_of_12_bits(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = row_exp(x, row_max(x, n), y, n);
        row_scale(y, _mm_cvtss_f32(_mm_rcp_ss(_mm_set_ss(s))), n);
    }
}

// The aligned operand of an SSE multiplication.
// @softmax_vjp | memory | unaligned-access
void vjp_aligned_operand(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        __m128 sum = _mm_setzero_ps();
        size_t i = 0;
        for (; i + 4 <= n; i += 4)
            sum = _mm_add_ps(sum, _mm_mul_ps(_mm_load_ps(y + i), _mm_loadu_ps(dy + i)));
        float s = sum_of_four(sum);
        for (; i < n; i++)
            s += y[i] * dy[i];
        for (i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

// Every fourth element is taken from its neighbour by a wrong shuffle.
// @softmax_vjp | values | lane-error
void vjp_wrong_shuffle(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_dot(y, dy, n);
        size_t i = 0;
        for (; i + 4 <= n; i += 4) {
            __m128 g = _mm_loadu_ps(dy + i);
            g = _mm_shuffle_ps(g, g, _MM_SHUFFLE(2, 2, 1, 0));
            _mm_storeu_ps(dx + i, _mm_mul_ps(_mm_loadu_ps(y + i), _mm_sub_ps(g, _mm_set1_ps(s))));
        }
        for (; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

// The three remaining elements are stored with a store of four.
// @softmax_jvp | memory, output | out-of-bounds-write
void jvp_three_stored_as_four(const float *y, const float *x_dot, float *y_dot, size_t rows,
                              size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, x_dot += n, y_dot += n) {
        float s = row_dot(y, x_dot, n), last[4] = {0};
        size_t full = n & ~(size_t)3;
        for (size_t i = 0; i < n; i++) {
            float v = y[i] * (x_dot[i] - s);
            if (i < full)
                y_dot[i] = v;
            else
                last[i - full] = v;
        }
        if (n - full == 3)
            _mm_storeu_ps(y_dot + full, _mm_loadu_ps(last));
        else
            memcpy(y_dot + full, last, (n - full) * sizeof *last);
    }
}
