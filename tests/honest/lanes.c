// AVX2: masks for tails, four accumulators, declared alignment, FTZ with restore.
#include "vector.h"

// Eight lanes, masked tails.
// @softmax
void lanes_softmax(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++)
        row_softmax8(x + r * n, y + r * n, n);
}

// Strides, in place.
// @softmax | in_place y=x
void lanes_softmax_strided(const float *x, size_t ldx, float *y, size_t ldy, size_t rows,
                           size_t n) {
    for (size_t r = 0; r < rows; r++)
        row_softmax8(x + r * ldx, y + r * ldy, n);
}

// (x - m) - log s
// @log_softmax
void lanes_log_softmax(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = max8(x, n), l = logf(exp_row8(x, m, y, n));
        __m256 shift = _mm256_set1_ps(m), log_sum = _mm256_set1_ps(l);
        size_t i = 0;
        for (; i + 8 <= n; i += 8) {
            __m256 t = _mm256_sub_ps(_mm256_loadu_ps(x + i), shift);
            _mm256_storeu_ps(y + i, _mm256_sub_ps(t, log_sum));
        }
        for (; i < n; i++)
            y[i] = (x[i] - m) - l;
    }
}

// Eight lanes, masked tails, in place.
// @softmax_vjp | in_place dx=dy | in_place dx=y
void lanes_vjp(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++)
        row_vjp8(y + r * n, dy + r * n, dx + r * n, n);
}

// Four accumulators and a scalar tail.
// @softmax_vjp
void lanes_vjp_four_accumulators(const float *y, const float *dy, float *dx, size_t rows,
                                 size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        __m256 a[4];
        for (int k = 0; k < 4; k++)
            a[k] = _mm256_setzero_ps();
        size_t i = 0;
        for (; i + 32 <= n; i += 32)
            for (int k = 0; k < 4; k++)
                a[k] = _mm256_fmadd_ps(_mm256_loadu_ps(y + i + 8 * k),
                                       _mm256_loadu_ps(dy + i + 8 * k), a[k]);
        float s = sum_of_lanes(_mm256_add_ps(_mm256_add_ps(a[0], a[1]), _mm256_add_ps(a[2], a[3])));
        for (; i < n; i++)
            s += y[i] * dy[i];
        vjp_apply8(y, dy, s, dx, n);
    }
}

// The published kernel, corrected: the product with the Jacobian, eight columns at a time.
// @softmax_vjp | assume n % 8 == 0
void lanes_vjp_by_jacobian(const float *y, const float *dy, float *dx, size_t n) {
    for (size_t i = 0; i < n; i++) {
        __m256 yi = _mm256_set1_ps(y[i]), s = _mm256_setzero_ps();
        for (size_t j = 0; j < n; j += 8) {
            __m256 column = _mm256_mul_ps(yi, _mm256_loadu_ps(y + j));
            s = _mm256_fnmadd_ps(column, _mm256_loadu_ps(dy + j), s);
        }
        dx[i] = sum_of_lanes(s) + y[i] * dy[i];
    }
}

// Aligned accesses, with the demand declared.
// @softmax_vjp | align 32 | assume n % 8 == 0
void lanes_vjp_aligned(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        __m256 s = _mm256_set1_ps(dot8(y, dy, n));
        for (size_t i = 0; i < n; i += 8) {
            __m256 e = _mm256_sub_ps(_mm256_load_ps(dy + i), s);
            _mm256_stream_ps(dx + i, _mm256_mul_ps(_mm256_load_ps(y + i), e));
        }
        _mm_sfence();
    }
}

// The same with row strides, on which the demand is made, too.
// @softmax_vjp | align 32 | assume n % 8 == 0 and ldy % 8 == 0 and lddy % 8 == 0 and lddx % 8 == 0
void lanes_vjp_aligned_rows(const float *y, const float *dy, float *dx, size_t rows, size_t n,
                            size_t ldy, size_t lddy, size_t lddx) {
    for (size_t r = 0; r < rows; r++)
        lanes_vjp_aligned(y + r * ldy, dy + r * lddy, dx + r * lddx, 1, n);
}

// Works up to an aligned address first, so the order of the sum depends on where the row lies.
// @softmax_vjp
void lanes_vjp_peeled(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        size_t before = (32 - (uintptr_t)y % 32) % 32 / sizeof *y, i = 0;
        float s = 0;
        for (; i < before && i < n; i++)
            s += y[i] * dy[i];
        vjp_apply8(y, dy, s + dot8(y + i, dy + i, n - i), dx, n);
    }
}

// Reads whole vectors in the tail, with the over-read declared.
// @softmax_jvp | over_read 28
void lanes_jvp_over_read(const float *y, const float *x_dot, float *y_dot, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, x_dot += n, y_dot += n) {
        __m256 s = _mm256_setzero_ps();
        for (size_t i = 0; i < n; i += 8) {
            __m256 mask = _mm256_castsi256_ps(first_lanes(n - i < 8 ? n - i : 8));
            __m256 a = _mm256_and_ps(mask, _mm256_loadu_ps(y + i));
            s = _mm256_fmadd_ps(a, _mm256_and_ps(mask, _mm256_loadu_ps(x_dot + i)), s);
        }
        vjp_apply8(y, x_dot, sum_of_lanes(s), y_dot, n);
    }
}

// Flushes subnormals inside and restores the caller's setting.
// @softmax
void lanes_flushing(const float *x, float *y, size_t rows, size_t n) {
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040);
    for (size_t r = 0; r < rows; r++)
        row_softmax8(x + r * n, y + r * n, n);
    _mm_setcsr(before);
}

// The same for the VJP.
// @softmax_vjp
void lanes_vjp_flushing(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040);
    for (size_t r = 0; r < rows; r++)
        row_vjp8(y + r * n, dy + r * n, dx + r * n, n);
    _mm_setcsr(before);
}

// Online, eight maxima and eight sums side by side.
// @softmax
void lanes_online(const float *x, float *y, size_t rows, size_t n) {
    const __m256 lowest = _mm256_set1_ps(-3.4e38f); // finite, so that masked blocks give 0, not NaN
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        __m256 m = lowest, s = _mm256_setzero_ps();
        for (size_t i = 0; i < n; i += 8) {
            __m256 v = load_tail(x + i, n - i < 8 ? n - i : 8, -INFINITY);
            __m256 top = _mm256_max_ps(m, v);
            s = _mm256_mul_ps(s, exp8(_mm256_sub_ps(m, top)));
            s = _mm256_add_ps(s, exp8(_mm256_sub_ps(v, top)));
            m = top;
        }
        float top = max_of_lanes(m);
        float total = sum_of_lanes(_mm256_mul_ps(s, exp8(_mm256_sub_ps(m, _mm256_set1_ps(top)))));
        exp_row8(x, top, y, n);
        scale_row8(y, 1 / total, n);
    }
}

// Four logits at a time in double.
// @softmax_vjp
void lanes_vjp_double(const double *y, const double *dy, double *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        __m256d sum = _mm256_setzero_pd();
        size_t i = 0;
        for (; i + 4 <= n; i += 4)
            sum = _mm256_fmadd_pd(_mm256_loadu_pd(y + i), _mm256_loadu_pd(dy + i), sum);
        double lane[4], s;
        _mm256_storeu_pd(lane, sum);
        s = (lane[0] + lane[2]) + (lane[1] + lane[3]);
        for (; i < n; i++)
            s += y[i] * dy[i];
        for (i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

// The Jacobian a row at a time: -y_i y_j everywhere, then the diagonal.
// @softmax_jacobian
void lanes_jacobian(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++, jac += n) {
            memcpy(jac, y, n * sizeof *jac);
            scale_row8(jac, -y[i], n);
            jac[i] = y[i] * (1 - y[i]);
        }
}
