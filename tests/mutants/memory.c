// Right numbers, wrong memory: accesses outside arrays, alignment, inputs written, aliasing.
#include "../honest/vector.h"

// Reads without using what it reads; the compiler must not know.
static float touch(const float *p) { return *(const volatile float *)p; }

// Loads full vectors in the tail and masks them afterwards.
// @softmax_vjp | memory | out-of-bounds-read | seen XNNPACK#1003
void vjp_full_tail_loads(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        __m256 s = _mm256_setzero_ps();
        for (size_t i = 0; i < n; i += 8) {
            __m256i mask = first_lanes(n - i < 8 ? n - i : 8);
            __m256 p = _mm256_mul_ps(_mm256_loadu_ps(y + i), _mm256_loadu_ps(dy + i));
            s = _mm256_add_ps(s, _mm256_and_ps(p, _mm256_castsi256_ps(mask)));
        }
        vjp_apply8(y, dy, sum_of_lanes(s), dx, n);
    }
}

// Looks one element ahead to prefetch by hand.
// @softmax | memory | out-of-bounds-read
void reads_one_ahead(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = -INFINITY;
        for (size_t i = 0; i < n; i++) {
            m = fmaxf(m, x[i]);
            touch(x + i + 1);
        }
        scale_row8(y, 1 / exp_row8(x, m, y, n), n);
    }
}

// Reads the element before the first.
// @softmax | memory | out-of-bounds-read
void reads_one_before(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++) {
        if (n)
            touch(x + r * n - 1);
        row_softmax8(x + r * n, y + r * n, n);
    }
}

// Walks backwards and tests the element before testing the index.
// @softmax_vjp | memory | out-of-bounds-read
void vjp_backward_walk(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = 0;
        ptrdiff_t i = (ptrdiff_t)n - 1;
        while (n && (touch(dy + i) != 0 || i >= 0)) {
            if (i < 0)
                break;
            s += y[i] * dy[i];
            i--;
        }
        vjp_apply8(y, dy, s, dx, n);
    }
}

// Reads 64 bytes past the end, as a hand-written prefetch of the next cache line would.
// @softmax_jvp | memory | out-of-bounds-read
void jvp_next_cache_line(const float *y, const float *x_dot, float *y_dot, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, x_dot += n, y_dot += n) {
        if (n)
            touch(x_dot + n + 15);
        row_vjp8(y, x_dot, y_dot, n);
    }
}

// Reads past the end only where n is 3 modulo 4.
// @softmax | memory | out-of-bounds-read | seen pytorch#194799
void reads_ahead_when_three_remain(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        if (n % 4 == 3)
            touch(x + n);
        row_softmax8(x, y, n);
    }
}

// Declares a read of up to 4 bytes past the end and reads 8.
// @softmax | memory | out-of-bounds-read | over_read 4
void reads_more_than_declared(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        if (n)
            touch(x + n + 1);
        row_softmax8(x, y, n);
    }
}

// Reads the cotangent of the row after the last.
// @log_softmax_vjp | memory | out-of-bounds-read
void log_vjp_one_row_too_many(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    float next = rows && n ? row_sum(dy, n) : 0;
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = next;
        next = 0;
        for (size_t i = 0; i < n; i++)
            next += touch(dy + n + i);
        for (size_t i = 0; i < n; i++)
            dx[i] = dy[i] - expf(y[i]) * s;
    }
}

// Stores full vectors in the tail.
// @softmax | memory, output | out-of-bounds-write
void full_tail_stores(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = max8(x, n), s = 0;
        for (size_t i = 0; i < n; i++)
            s += expf(x[i] - m);
        __m256 shift = _mm256_set1_ps(m), inverse = _mm256_set1_ps(1 / s);
        for (size_t i = 0; i < n; i += 8) {
            size_t k = n - i < 8 ? n - i : 8;
            __m256 e = exp8(_mm256_sub_ps(load_tail(x + i, k, -INFINITY), shift));
            _mm256_storeu_ps(y + i, _mm256_mul_ps(e, inverse));
        }
    }
}

// Writes full vectors into the gap behind each row.
// @softmax | output, memory | out-of-bounds-write
void full_stores_into_gap(const float *x, size_t ldx, float *y, size_t ldy, size_t rows,
                          size_t n) {
    for (size_t r = 0; r < rows; r++, x += ldx, y += ldy) {
        row_softmax8(x, y, n);
        for (size_t i = n; i % 8 && i < ldy; i++)
            y[i] = 0;
    }
}

// Writes one element past the end.
// @softmax_vjp | memory, output | out-of-bounds-write
void vjp_writes_one_past(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++)
        row_vjp8(y + r * n, dy + r * n, dx + r * n, n);
    if (rows && n)
        dx[rows * n] = 0;
}

// Writes one element before the first.
// @softmax_vjp | memory, output | out-of-bounds-write
void vjp_writes_one_before(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++)
        row_vjp8(y + r * n, dy + r * n, dx + r * n, n);
    if (rows && n)
        dx[-1] = 0;
}

// Saves the element past the end, writes over it, and puts it back.
// @softmax_vjp | memory | out-of-bounds-write or out-of-bounds-read
void vjp_borrows_the_next_element(const float *y, const float *dy, float *dx, size_t rows,
                                  size_t n) {
    for (size_t r = 0; r < rows; r++)
        row_vjp8(y + r * n, dy + r * n, dx + r * n, n);
    if (rows && n) {
        volatile float *end = dx + rows * n;
        float saved = *end;
        *end = 0;
        *end = saved;
    }
}

// Writes the sum of each row behind the output, as if it were one longer.
// @log_softmax | memory, output | out-of-bounds-write
void log_keeps_sum_behind_output(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows && n; r++) {
        float m = max8(x + r * n, n);
        y[rows * n] = logf(exp_row8(x + r * n, m, y + r * n, n));
        for (size_t i = 0; i < n; i++)
            y[r * n + i] = (x[r * n + i] - m) - y[rows * n];
    }
}

// Writes a whole row past the end of the Jacobian.
// @softmax_jacobian | memory, output | out-of-bounds-write
void jacobian_one_row_too_many(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i <= n && n; i++)
            for (size_t j = 0; j < n; j++)
                jac[(r * n + i) * n + j] = y[r * n + i % n] * ((i == j) - y[r * n + j]);
}

// Aligned loads in the maximum.
// @softmax | memory | unaligned-access | seen Paddle#19487
void aligned_loads(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        __m256 m = _mm256_set1_ps(-INFINITY);
        size_t i = 0;
        for (; i + 8 <= n; i += 8) {
            __m256 v;
            __asm__ volatile("vmovaps %1, %0" : "=x"(v) : "m"(*(const float(*)[8])(x + i)));
            m = _mm256_max_ps(m, v);
        }
        if (i < n)
            m = _mm256_max_ps(m, load_tail(x + i, n - i, -INFINITY));
        scale_row8(y, 1 / exp_row8(x, max_of_lanes(m), y, n), n);
    }
}

// Aligned stores of the result.
// @softmax_vjp | memory | unaligned-access | seen TNN#1682
void vjp_aligned_stores(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        __m256 s = _mm256_set1_ps(dot8(y, dy, n));
        size_t i = 0;
        for (; i + 8 <= n; i += 8) {
            __m256 e = _mm256_sub_ps(_mm256_loadu_ps(dy + i), s);
            _mm256_store_ps(dx + i, _mm256_mul_ps(_mm256_loadu_ps(y + i), e));
        }
        vjp_apply8(y + i, dy + i, _mm256_cvtss_f32(s), dx + i, n - i);
    }
}

// Aligned stores wherever the two inputs are aligned; the output need not be.
// @softmax_vjp | memory | unaligned-access
void vjp_aligned_as_its_inputs(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = dot8(y, dy, n);
        int aligned = ((uintptr_t)y | (uintptr_t)dy) % 32 == 0;
        size_t i = 0;
        for (; aligned && i + 8 <= n; i += 8) {
            __m256 e = _mm256_sub_ps(_mm256_load_ps(dy + i), _mm256_set1_ps(s));
            _mm256_store_ps(dx + i, _mm256_mul_ps(_mm256_load_ps(y + i), e));
        }
        vjp_apply8(y + i, dy + i, s, dx + i, n - i);
    }
}

// Streaming stores, which demand alignment too.
// @softmax_vjp | memory | unaligned-access | assume n % 8 == 0
void vjp_streaming_stores(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        __m256 s = _mm256_set1_ps(dot8(y, dy, n));
        for (size_t i = 0; i < n; i += 8) {
            __m256 e = _mm256_sub_ps(_mm256_loadu_ps(dy + i), s);
            _mm256_stream_ps(dx + i, _mm256_mul_ps(_mm256_loadu_ps(y + i), e));
        }
        _mm_sfence();
    }
}

// Demands 16 bytes by contract and needs 32.
// @softmax | memory | unaligned-access | align 16 | assume n % 4 == 0
void needs_more_alignment_than_declared(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        __m256 inverse = _mm256_set1_ps(1 / exp_row8(x, max8(x, n), y, n));
        size_t i = 0;
        for (; i + 8 <= n; i += 8)
            _mm256_store_ps(y + i, _mm256_mul_ps(_mm256_loadu_ps(y + i), inverse));
        scale_row8(y + i, _mm256_cvtss_f32(inverse), n - i);
    }
}

// f -= max in the caller's array.
// @softmax | memory, output | input-modified | seen MyGrad#72
void shifts_in_place(float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = max8(x, n);
        for (size_t i = 0; i < n; i++)
            x[i] -= m;
        row_softmax8(x, y, n);
    }
}

// Uses the cotangent as scratch space, const cast away.
// @softmax_vjp | memory, output | input-modified | seen Liger-Kernel#1251
void vjp_overwrites_cotangent(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = dot8(y, dy, n), *scratch = (float *)dy;
        for (size_t i = 0; i < n; i++)
            scratch[i] -= s;
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * scratch[i];
    }
}

// Overwrites the saved result.
// @softmax_vjp | memory, output | input-modified | seen apex#1430
void vjp_overwrites_result(float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++)
            s += dx[i] = y[i] * dy[i];
        for (size_t i = 0; i < n; i++)
            dx[i] -= y[i] *= s;
    }
}

// Modifies the input and restores it, which no comparison afterwards can show.
// @softmax | memory | input-modified
void modifies_and_restores(float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        volatile float *first = x;
        if (n) {
            float saved = *first;
            *first = INFINITY;
            *first = saved;
        }
        row_softmax8(x, y, n);
    }
}

// Sets negative zero to zero in the input.
// @log_softmax | memory, output | input-modified
void log_cleans_its_input(float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        for (size_t i = 0; i < n; i++)
            x[i] += 0.0f;
        float m = max8(x, n), l = logf(exp_row8(x, m, y, n));
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - m) - l;
    }
}

// Claims dx may be dy, and clears dx first.
// @softmax_vjp | aliasing | alias-unsafe | in_place dx=dy | seen ggml#1521
void vjp_clears_shared_output(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        for (size_t i = 0; i < n; i++)
            dx[i] = 0;
        float s = dot8(y, dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] += y[i] * (dy[i] - s);
    }
}

// Claims dx may be y, and stores the products before the factor's last use.
// @softmax_vjp | aliasing | alias-unsafe | in_place dx=y | seen llama.cpp#27096
void vjp_products_in_shared_output(const float *y, const float *dy, float *dx, size_t rows,
                                   size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++)
            s += dx[i] = y[i] * dy[i];
        for (size_t i = 0; i < n; i++)
            dx[i] -= y[i] * s;
    }
}

// Claims y may be x, and reads the logits again after the exponentials are stored.
// @softmax | aliasing | alias-unsafe | in_place y=x
void reads_again_after_store(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = max8(x, n), s = exp_row8(x, m, y, n);
        for (size_t i = 0; i < n; i++)
            y[i] = expf(x[i] - m) / s;
    }
}

// Claims y may be x, and sums after the shifted logits are stored over the logits.
// @log_softmax | aliasing | alias-unsafe | in_place y=x
void log_sum_after_store(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = max8(x, n), s = 0;
        for (size_t i = 0; i < n; i++)
            y[i] = x[i] - m;
        for (size_t i = 0; i < n; i++)
            s += expf(x[i] - m);
        for (size_t i = 0; i < n; i++)
            y[i] -= logf(s);
    }
}

// Looks one element past the call; it is for long rows alone.
// @softmax | memory | out-of-bounds-read | assume n >= 5000
void reads_past_long_rows(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++)
        row_softmax8(x + r * n, y + r * n, n);
    touch(x + rows * n);
}

// Looks one element past the call; it is for whole groups of four rows.
// @softmax | memory | out-of-bounds-read | assume rows % 4 == 0 and rows >= 1 and n >= 1
void reads_past_four_rows(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++)
        row_softmax8(x + r * n, y + r * n, n);
    touch(x + rows * n);
}

// Not in place, as it claims; it is for large calls alone.
// @softmax | aliasing | alias-unsafe | in_place y=x | assume rows * n >= 100000
void reads_back_large_calls(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = max8(x, n), s = 0;
        for (size_t i = 0; i < n; i++) {
            y[i] = expf(x[i] - m);
            s += expf(x[n - 1 - i] - m);
        }
        scale_row8(y, 1 / s, n);
    }
}
