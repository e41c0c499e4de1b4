// Longer routines in the styles people and machines write, each with one mistake.
#include <pthread.h>
#include <stdlib.h>
#include "../honest/vector.h"

// Flash style, blocks of 64: the running sum is rescaled, the stored numerators are not.
// @softmax | values | unknown
void flash_numerators_not_rescaled(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = -INFINITY, s = 0;
        for (size_t i = 0; i < n; i += 64) {
            size_t k = n - i < 64 ? n - i : 64;
            float block = max8(x + i, k), top = fmaxf(m, block);
            if (top == -INFINITY) {
                memset(y + i, 0, k * sizeof *y);
                continue;
            }
            s = s * expf(m - top) + exp_row8(x + i, top, y + i, k);
            m = top;
        }
        scale_row8(y, 1 / s, n);
    }
}

// Flash style: every block but the last is normalised by the sum so far, so rows of one block are
// right and longer ones wrong.
// @softmax | values | size-specialised
void flash_normalised_too_early(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = max8(x, n), s = 0;
        for (size_t i = 0; i < n; i += 64) {
            size_t k = n - i < 64 ? n - i : 64;
            s += exp_row8(x + i, m, y + i, k);
            scale_row8(y + i, 1 / s, k);
        }
    }
}

// Unrolled by four with one sum a lane; the remainder loop starts one element late.
// @softmax | values, output | tail-not-written or output-not-written
void unrolled_remainder_late(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), a = 0, b = 0, c = 0, d = 0;
        size_t i = 0;
        for (; i + 4 <= n; i += 4) {
            a += y[i] = expf(x[i] - m);
            b += y[i + 1] = expf(x[i + 1] - m);
            c += y[i + 2] = expf(x[i + 2] - m);
            d += y[i + 3] = expf(x[i + 3] - m);
        }
        for (i += i > 0; i < n; i++)
            a += y[i] = expf(x[i] - m);
        row_scale(y, 1 / (a + b + (c + d)), n);
    }
}

// Unrolled by four; the fourth accumulator is forgotten in the final addition.
// @softmax_vjp | values | lane-error
void vjp_fourth_accumulator_lost(const float *y, const float *dy, float *dx, size_t rows,
                                 size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float a = 0, b = 0, c = 0, d = 0;
        size_t i = 0;
        for (; i + 4 <= n; i += 4) {
            a += y[i] * dy[i];
            b += y[i + 1] * dy[i + 1];
            c += y[i + 2] * dy[i + 2];
            d += y[i + 3] * dy[i + 3];
        }
        for (; i < n; i++)
            a += y[i] * dy[i];
        float s = a + b + c;
        (void)d;
        for (i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

// Other names for the roles, and the probabilities of the first row for all.
// @softmax_vjp | values | first-row-only | roles p=y, g=dy, out=dx, batch=rows, classes=n
void vjp_named_otherwise(const float *p, const float *g, float *out, long batch, long classes) {
    for (long r = 0; r < batch; r++) {
        const float *row = g + r * classes;
        float s = row_dot(p, row, (size_t)classes);
        for (long i = 0; i < classes; i++)
            out[r * classes + i] = p[i] * (row[i] - s);
    }
}

// The sizes first, the output before the inputs, and only the diagonal.
// @softmax_vjp | values | diagonal-only
void vjp_output_first(int64_t rows, int64_t n, float *dx, const float *dy, const float *y) {
    for (int64_t k = 0; k < rows * n; k++)
        dx[k] = dy[k] * y[k] * (1.0f - y[k]);
}

// Builds the Jacobian in heap memory and multiplies by its diagonal.
// @softmax_vjp | values | diagonal-only
void vjp_full_matrix_diagonal_used(const float *y, const float *dy, float *dx, size_t rows,
                                   size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float *jacobian = malloc((n ? n * n : 1) * sizeof *jacobian);
        for (size_t i = 0; jacobian && i < n; i++)
            for (size_t j = 0; j < n; j++)
                jacobian[i * n + j] = y[i] * ((i == j) - y[j]);
        for (size_t i = 0; i < n; i++)
            dx[i] = jacobian ? jacobian[i * n + i] * dy[i] : 0;
        free(jacobian);
    }
}

struct slice {
    const float *x;
    float *y;
    size_t rows, n;
};

static void *softmax_slice(void *argument) {
    struct slice *s = argument;
    for (size_t r = 0; r < s->rows; r++)
        row_softmax8(s->x + r * s->n, s->y + r * s->n, s->n);
    return NULL;
}

// Splits the rows between two threads and loses the odd one.
// @softmax | output | output-not-written
void threads_lose_odd_row(const float *x, float *y, size_t rows, size_t n) {
    size_t half = rows / 2;
    struct slice first = {x, y, half, n}, second = {x + half * n, y + half * n, half, n};
    pthread_t thread;
    if (rows == 1)
        first.rows = 1;
    int started = rows * n > 65536 && pthread_create(&thread, NULL, softmax_slice, &first) == 0;
    if (!started)
        softmax_slice(&first);
    softmax_slice(&second);
    if (started)
        pthread_join(thread, NULL);
}

// Splits a long row between two threads, each with its own maximum, and adds the sums as they are.
// @softmax | values | size-specialised or unknown
void halves_with_own_maximum(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        size_t half = n < 256 ? n : n / 2;
        float a = max8(x, half), b = max8(x + half, n - half);
        float s = exp_row8(x, a, y, half) + exp_row8(x + half, b, y + half, n - half);
        scale_row8(y, 1 / s, n);
    }
}

static float halves_sum(const float *v, size_t n) {
    return n == 0 ? 0 : n == 1 ? v[0] : halves_sum(v, n / 2) + halves_sum(v + (n + 1) / 2, n / 2);
}

// A pairwise sum that loses the middle element of every odd half.
// @softmax | values | unknown
void pairwise_loses_the_middle(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        row_exp(x, row_max(x, n), y, n);
        row_scale(y, 1 / halves_sum(y, n), n);
    }
}

// The JVP of log_softmax, vectorised, with the exponential of the wrong array.
// @log_softmax_jvp | values | unknown
void log_jvp_exp_of_tangent(const float *y, const float *x_dot, float *y_dot, size_t rows,
                            size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, x_dot += n, y_dot += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++)
            s += y[i] * expf(fminf(x_dot[i], 80));
        for (size_t i = 0; i < n; i++)
            y_dot[i] = x_dot[i] - s;
    }
}

// The Jacobian row by row with AVX2; the diagonal is set before the vector loop overwrites it.
// @softmax_jacobian | values | unknown
void jacobian_diagonal_overwritten(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++, jac += n) {
            __m256 minus = _mm256_set1_ps(-y[i]);
            jac[i] = y[i] * (1 - y[i]);
            size_t j = 0;
            for (; j + 8 <= n; j += 8)
                _mm256_storeu_ps(jac + j, _mm256_mul_ps(minus, _mm256_loadu_ps(y + j)));
            for (; j < n; j++)
                if (j != i)
                    jac[j] = -y[i] * y[j];
        }
}
