// AVX2 code whose lanes, tails or pointers are wrong.
#include "../honest/vector.h"

// The tail is loaded as zeros, and zero enters the maximum.
// @softmax | values | tail-leaks-in | seen NNPACK#174
void zeros_enter_maximum(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        __m256 m = _mm256_set1_ps(-INFINITY);
        size_t i = 0;
        for (; i + 8 <= n; i += 8)
            m = _mm256_max_ps(m, _mm256_loadu_ps(x + i));
        if (i < n)
            m = _mm256_max_ps(m, _mm256_maskload_ps(x + i, first_lanes(n - i)));
        scale_row8(y, 1 / exp_row8(x, max_of_lanes(m), y, n), n);
    }
}

// The tail's unused lanes hold 0 and add exp(0 - max) each to the sum.
// @softmax | values | tail-leaks-in | seen CTranslate2#351
void zeros_enter_sum(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        __m256 m = _mm256_set1_ps(max8(x, n)), s = _mm256_setzero_ps();
        size_t i = 0;
        for (; i < n; i += 8) {
            size_t k = n - i < 8 ? n - i : 8;
            __m256 e = exp8(_mm256_sub_ps(_mm256_maskload_ps(x + i, first_lanes(k)), m));
            store_tail(y + i, k, e);
            s = _mm256_add_ps(s, e);
        }
        scale_row8(y, 1 / sum_of_lanes(s), n);
    }
}

// The tail is padded with -1e4, which is not -inf for a row of -2e4.
// @softmax | values | tail-leaks-in | seen tract#2318
void padded_with_minus_1e4(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        __m256 m = _mm256_set1_ps(-INFINITY);
        for (size_t i = 0; i < n; i += 8)
            m = _mm256_max_ps(m, load_tail(x + i, n - i < 8 ? n - i : 8, -1e4f));
        scale_row8(y, 1 / exp_row8(x, max_of_lanes(m), y, n), n);
    }
}

// The tail does not enter the sum.
// @softmax | values | tail-ignored
void sum_without_tail(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = max8(x, n), s = exp_row8(x, m, y, n & ~(size_t)7);
        for (size_t i = n & ~(size_t)7; i < n; i++)
            y[i] = expf(x[i] - m);
        scale_row8(y, 1 / s, n);
    }
}

// The tail does not enter the maximum.
// @softmax | values | partial-max or tail-ignored
void maximum_without_tail(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = n < 8 ? max8(x, n) : max8(x, n & ~(size_t)7);
        scale_row8(y, 1 / exp_row8(x, m, y, n), n);
    }
}

// The tail is computed and never stored.
// @softmax | output | tail-not-written | seen pytorch#75923
void tail_not_stored(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = max8(x, n), s = 0;
        for (size_t i = 0; i < n; i++)
            s += expf(x[i] - m);
        __m256 shift = _mm256_set1_ps(m), inverse = _mm256_set1_ps(1 / s);
        for (size_t i = 0; i + 8 <= n; i += 8) {
            __m256 e = exp8(_mm256_sub_ps(_mm256_loadu_ps(x + i), shift));
            _mm256_storeu_ps(y + i, _mm256_mul_ps(e, inverse));
        }
    }
}

// The tail keeps its exponentials: it is written but not divided.
// @softmax | values | unknown or tail-ignored
void tail_not_normalised(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n)
        scale_row8(y, 1 / exp_row8(x, max8(x, n), y, n), n & ~(size_t)7);
}

// Only the lower half of the vector enters the maximum.
// @softmax | values | partial-max
void maximum_of_low_half(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        __m256 m = _mm256_set1_ps(-INFINITY);
        size_t i = 0;
        for (; i + 8 <= n; i += 8)
            m = _mm256_max_ps(m, _mm256_loadu_ps(x + i));
        __m128 h = _mm256_castps256_ps128(m);
        h = _mm_max_ps(h, _mm_movehl_ps(h, h));
        float top = _mm_cvtss_f32(_mm_max_ss(h, _mm_movehdup_ps(h)));
        for (; i < n; i++)
            top = fmaxf(top, x[i]);
        scale_row8(y, 1 / exp_row8(x, top, y, n), n);
    }
}

// Four accumulators of the maximum, three of which are combined.
// @softmax | values | partial-max
void maximum_of_three_accumulators(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        __m256 m[4];
        for (int k = 0; k < 4; k++)
            m[k] = _mm256_set1_ps(-INFINITY);
        size_t i = 0;
        for (; i + 32 <= n; i += 32)
            for (int k = 0; k < 4; k++)
                m[k] = _mm256_max_ps(m[k], _mm256_loadu_ps(x + i + 8 * k));
        float top = max_of_lanes(_mm256_max_ps(_mm256_max_ps(m[0], m[1]), m[2]));
        for (; i < n; i++)
            top = fmaxf(top, x[i]);
        scale_row8(y, 1 / exp_row8(x, top, y, n), n);
    }
}

// Four accumulators of the sum, three of which are added.
// @softmax | values | lane-error
void sum_of_three_accumulators(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        __m256 m = _mm256_set1_ps(max8(x, n)), s[4];
        for (int k = 0; k < 4; k++)
            s[k] = _mm256_setzero_ps();
        size_t i = 0;
        for (; i + 32 <= n; i += 32)
            for (int k = 0; k < 4; k++) {
                __m256 e = exp8(_mm256_sub_ps(_mm256_loadu_ps(x + i + 8 * k), m));
                _mm256_storeu_ps(y + i + 8 * k, e);
                s[k] = _mm256_add_ps(s[k], e);
            }
        float total = sum_of_lanes(_mm256_add_ps(_mm256_add_ps(s[0], s[1]), s[3]));
        if (i < n)
            total += exp_row8(x + i, _mm256_cvtss_f32(m), y + i, n - i);
        scale_row8(y, 1 / total, n);
    }
}

// The horizontal sum forgets its last step: the odd lanes are lost.
// @softmax | values | lane-error
void sum_of_every_other_lane(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        exp_row8(x, max8(x, n), y, n);
        __m256 s = _mm256_setzero_ps();
        size_t i = 0;
        for (; i + 8 <= n; i += 8)
            s = _mm256_add_ps(s, _mm256_loadu_ps(y + i));
        __m128 h = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
        float total = _mm_cvtss_f32(_mm_add_ps(h, _mm_movehl_ps(h, h)));
        for (; i < n; i++)
            total += y[i];
        scale_row8(y, 1 / total, n);
    }
}

// One lane of eight is too large by 1e-5.
// @softmax | values | lane-error
void one_lane_slightly_large(const float *x, float *y, size_t rows, size_t n) {
    const __m256 factor = _mm256_setr_ps(1, 1, 1, 1.00001f, 1, 1, 1, 1);
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        row_softmax8(x, y, n);
        for (size_t i = 0; i + 8 <= n; i += 8)
            _mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_loadu_ps(y + i), factor));
    }
}

// The two middle lanes of each vector are exchanged.
// @softmax | values | lane-error
void two_lanes_exchanged(const float *x, float *y, size_t rows, size_t n) {
    const __m256i order = _mm256_setr_epi32(0, 1, 2, 4, 3, 5, 6, 7);
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        row_softmax8(x, y, n);
        for (size_t i = 0; i + 8 <= n; i += 8)
            _mm256_storeu_ps(y + i, _mm256_permutevar8x32_ps(_mm256_loadu_ps(y + i), order));
    }
}

// The second half of an unrolled loop reads the first half's logits.
// @softmax | values | pointer-not-advanced
void unrolled_reads_twice(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        __m256 m = _mm256_set1_ps(max8(x, n));
        size_t i = 0;
        for (; i + 16 <= n; i += 16) {
            _mm256_storeu_ps(y + i, exp8(_mm256_sub_ps(_mm256_loadu_ps(x + i), m)));
            _mm256_storeu_ps(y + i + 8, exp8(_mm256_sub_ps(_mm256_loadu_ps(x + i), m)));
        }
        exp_row8(x + i, _mm256_cvtss_f32(m), y + i, n - i);
        float s = 0;
        for (size_t j = 0; j < n; j++)
            s += y[j];
        scale_row8(y, 1 / s, n);
    }
}

// The loop over the Jacobian never advances the cotangent: each block meets the first eight.
// @softmax_vjp | values | pointer-not-advanced | assume n % 8 == 0
void vjp_cotangent_not_advanced(const float *y, const float *dy, float *dx, size_t n) {
    for (size_t i = 0; i < n; i++) {
        __m256 yi = _mm256_set1_ps(y[i]), s = _mm256_setzero_ps();
        for (size_t j = 0; j < n; j += 8) {
            __m256 row = _mm256_fnmadd_ps(yi, _mm256_loadu_ps(y + j), _mm256_setzero_ps());
            s = _mm256_fmadd_ps(row, _mm256_loadu_ps(dy), s);
        }
        dx[i] = sum_of_lanes(s) + y[i] * dy[i];
    }
}

// The last loop of an O(n) VJP never advances the cotangent.
// @softmax_vjp | values | pointer-not-advanced
void vjp_cotangent_not_advanced_at_end(const float *y, const float *dy, float *dx, size_t rows,
                                       size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        __m256 s = _mm256_set1_ps(dot8(y, dy, n));
        size_t i = 0;
        for (; i + 8 <= n; i += 8) {
            __m256 e = _mm256_sub_ps(_mm256_loadu_ps(dy), s);
            _mm256_storeu_ps(dx + i, _mm256_mul_ps(_mm256_loadu_ps(y + i), e));
        }
        vjp_apply8(y + i, dy + i, _mm256_cvtss_f32(s), dx + i, n - i);
    }
}

// The sum reads the first eight probabilities over and over.
// @softmax_vjp | values | pointer-not-advanced
void vjp_dot_not_advanced(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        __m256 s = _mm256_setzero_ps();
        size_t i = 0;
        for (; i + 8 <= n; i += 8)
            s = _mm256_fmadd_ps(_mm256_loadu_ps(y), _mm256_loadu_ps(dy + i), s);
        float dot = sum_of_lanes(s) + dot8(y + i, dy + i, n - i);
        vjp_apply8(y, dy, dot, dx, n);
    }
}

// The tail does not enter the sum.
// @softmax_vjp | values | tail-ignored
void vjp_dot_without_tail(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n)
        vjp_apply8(y, dy, dot8(y, dy, n & ~(size_t)7), dx, n);
}

// The tail of blocks of 32 does not enter the sum.
// @softmax_vjp | values | tail-ignored
void vjp_dot_without_tail_of_32(const float *y, const float *dy, float *dx, size_t rows,
                                size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n)
        vjp_apply8(y, dy, dot8(y, dy, n & ~(size_t)31), dx, n);
}

// The last element never enters the sum, whatever n is.
// @softmax_vjp | values | unknown or tail-ignored
void vjp_dot_without_last(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n)
        vjp_apply8(y, dy, dot8(y, dy, n ? n - 1 : 0), dx, n);
}

// The tail of dx is never written.
// @softmax_vjp | output | tail-not-written
void vjp_tail_not_stored(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n)
        vjp_apply8(y, dy, dot8(y, dy, n), dx, n & ~(size_t)7);
}

// The tail of blocks of 16 is never written.
// @softmax_jvp | output | tail-not-written
void jvp_tail_of_16_not_stored(const float *y, const float *x_dot, float *y_dot, size_t rows,
                               size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, x_dot += n, y_dot += n)
        vjp_apply8(y, x_dot, dot8(y, x_dot, n), y_dot, n & ~(size_t)15);
}

// The sum of lanes adds the lower half twice.
// @softmax_vjp | values | lane-error or pointer-not-advanced
void vjp_low_half_twice(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        __m256 s = _mm256_setzero_ps();
        size_t i = 0;
        for (; i + 8 <= n; i += 8)
            s = _mm256_fmadd_ps(_mm256_loadu_ps(y + i), _mm256_loadu_ps(dy + i), s);
        __m128 low = _mm256_castps256_ps128(s), h = _mm_add_ps(low, low);
        h = _mm_add_ps(h, _mm_movehl_ps(h, h));
        float dot = _mm_cvtss_f32(_mm_add_ss(h, _mm_movehdup_ps(h)));
        vjp_apply8(y, dy, dot + dot8(y + i, dy + i, n - i), dx, n);
    }
}

// One lane of dx is too large by 1e-5.
// @softmax_vjp | values | lane-error
void vjp_one_lane_slightly_large(const float *y, const float *dy, float *dx, size_t rows,
                                 size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        row_vjp8(y, dy, dx, n);
        for (size_t i = 5; i < n; i += 8)
            dx[i] *= 1.00001f;
    }
}

// The tail computes with the row's first elements.
// @softmax_vjp | values | unknown or pointer-not-advanced
void vjp_tail_from_start(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        size_t full = n & ~(size_t)7;
        float s = dot8(y, dy, n);
        vjp_apply8(y, dy, s, dx, full);
        vjp_apply8(y, dy, s, dx + full, n - full);
    }
}

// The unused lanes of the tail hold the next row's first elements and enter the sum.
// @softmax_vjp | memory, values | out-of-bounds-read or tail-leaks-in
void vjp_next_row_leaks_in(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        __m256 s = _mm256_setzero_ps();
        for (size_t i = 0; i < n; i += 8)
            s = _mm256_fmadd_ps(_mm256_loadu_ps(y + i), _mm256_loadu_ps(dy + i), s);
        vjp_apply8(y, dy, sum_of_lanes(s), dx, n);
    }
}

// log_softmax's sum loses the tail.
// @log_softmax | values | tail-ignored
void log_sum_without_tail(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = max8(x, n), l = logf(exp_row8(x, m, y, n & ~(size_t)7));
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - m) - l;
    }
}

// log_softmax's sum of cotangents loses its last lane.
// @log_softmax_vjp | values | lane-error
void log_vjp_lane_lost(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++)
            s += i % 8 == 7 ? 0 : dy[i];
        for (size_t i = 0; i < n; i++)
            dx[i] = dy[i] - expf(y[i]) * s;
    }
}
