// bfloat16 and float16 storage: sums and products that are not kept in float32.
#include "../honest/blocks.h"

// Sums in bfloat16, which sticks at 256 equal terms.
// @softmax | values | low-precision-sum | dtype bfloat16 | seen executorch#20090
void bfloat16_sum(const uint16_t *x, uint16_t *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = -INFINITY;
        uint16_t s = 0;
        for (size_t i = 0; i < n; i++)
            m = fmaxf(m, from_bfloat16(x[i]));
        for (size_t i = 0; i < n; i++)
            s = to_bfloat16(from_bfloat16(s) + expf(from_bfloat16(x[i]) - m));
        for (size_t i = 0; i < n; i++)
            y[i] = to_bfloat16(expf(from_bfloat16(x[i]) - m) / from_bfloat16(s));
    }
}

// Sums in float16, which sticks at 2048 equal terms.
// @softmax | values | low-precision-sum | dtype float16 | seen tract#2586
void float16_sum(const uint16_t *x, uint16_t *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = -INFINITY;
        uint16_t s = 0;
        for (size_t i = 0; i < n; i++)
            m = fmaxf(m, from_float16(x[i]));
        for (size_t i = 0; i < n; i++)
            s = to_float16(from_float16(s) + expf(from_float16(x[i]) - m));
        for (size_t i = 0; i < n; i++)
            y[i] = to_float16(expf(from_float16(x[i]) - m) / from_float16(s));
    }
}

// Stores exp(x) in float16, which overflows above 11.
// @softmax | values | no-max-subtraction | dtype float16 | seen FasterTransformer#43
void float16_no_max(const uint16_t *x, uint16_t *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++) {
            y[i] = to_float16(expf(from_float16(x[i])));
            s += from_float16(y[i]);
        }
        for (size_t i = 0; i < n; i++)
            y[i] = to_float16(from_float16(y[i]) / s);
    }
}

// Cuts the result off instead of rounding to nearest.
// @softmax | values | low-precision | dtype bfloat16
void bfloat16_cut_off(const uint16_t *x, uint16_t *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = -INFINITY, s = 0;
        for (size_t i = 0; i < n; i++)
            m = fmaxf(m, from_bfloat16(x[i]));
        for (size_t i = 0; i < n; i++)
            s += expf(from_bfloat16(x[i]) - m);
        for (size_t i = 0; i < n; i++) {
            float p = expf(from_bfloat16(x[i]) - m) / s;
            uint32_t bits;
            memcpy(&bits, &p, 4);
            y[i] = (uint16_t)(bits >> 16);
        }
    }
}

// Rounds x - max to bfloat16.
// @softmax | values | low-precision or inaccurate-exp | dtype bfloat16
void bfloat16_difference(const uint16_t *x, uint16_t *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = -INFINITY, s = 0;
        for (size_t i = 0; i < n; i++)
            m = fmaxf(m, from_bfloat16(x[i]));
        for (size_t i = 0; i < n; i++) {
            y[i] = to_bfloat16(from_bfloat16(x[i]) - m);
            s += expf(from_bfloat16(y[i]));
        }
        for (size_t i = 0; i < n; i++)
            y[i] = to_bfloat16(expf(from_bfloat16(y[i])) / s);
    }
}

// Reads bfloat16 as float16.
// @softmax | values | unknown | dtype bfloat16
void bfloat16_read_as_float16(const uint16_t *x, uint16_t *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = -INFINITY, s = 0;
        for (size_t i = 0; i < n; i++)
            m = fmaxf(m, from_float16(x[i]));
        for (size_t i = 0; i < n; i++)
            s += expf(from_float16(x[i]) - m);
        for (size_t i = 0; i < n; i++)
            y[i] = to_bfloat16(expf(from_float16(x[i]) - m) / s);
    }
}

// Sums y * dy in bfloat16.
// @softmax_vjp | values | low-precision-sum | dtype bfloat16
void vjp_bfloat16_dot(const uint16_t *y, const uint16_t *dy, uint16_t *dx, size_t rows,
                      size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        uint16_t s = 0;
        for (size_t i = 0; i < n; i++)
            s = to_bfloat16(from_bfloat16(s) + from_bfloat16(y[i]) * from_bfloat16(dy[i]));
        for (size_t i = 0; i < n; i++)
            dx[i] = to_bfloat16(from_bfloat16(y[i]) * (from_bfloat16(dy[i]) - from_bfloat16(s)));
    }
}

// Rounds dy - s to bfloat16 before the product.
// @softmax_vjp | values | low-precision | dtype bfloat16 | seen Liger-Kernel#1341
void vjp_bfloat16_difference(const uint16_t *y, const uint16_t *dy, uint16_t *dx, size_t rows,
                             size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++)
            s += from_bfloat16(y[i]) * from_bfloat16(dy[i]);
        for (size_t i = 0; i < n; i++) {
            uint16_t e = to_bfloat16(from_bfloat16(dy[i]) - s);
            dx[i] = to_bfloat16(from_bfloat16(y[i]) * from_bfloat16(e));
        }
    }
}

// The diagonal of the Jacobian alone.
// @softmax_vjp | values | diagonal-only | dtype float16
void vjp_float16_diagonal(const uint16_t *y, const uint16_t *dy, uint16_t *dx, size_t rows,
                          size_t n) {
    for (size_t k = 0; k < rows * n; k++) {
        float p = from_float16(y[k]);
        dx[k] = to_float16(p * (1 - p) * from_float16(dy[k]));
    }
}

// Rounds 1 - y to bfloat16 on the diagonal.
// @softmax_jacobian | values | low-precision | dtype bfloat16
void jacobian_bfloat16_difference(const uint16_t *y, uint16_t *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++) {
                float p = from_bfloat16(y[i]), q = from_bfloat16(y[j]);
                float one_minus = from_bfloat16(to_bfloat16(1 - p));
                *jac++ = to_bfloat16(i == j ? p * one_minus : -p * q);
            }
}

// Sums large cotangents in float16, where they overflow before they cancel.
// @log_softmax_vjp | values | low-precision-sum | dtype float16 | seen jax#40474
void log_vjp_float16_sum(const uint16_t *y, const uint16_t *dy, uint16_t *dx, size_t rows,
                         size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        uint16_t s = 0;
        for (size_t i = 0; i < n; i++)
            s = to_float16(from_float16(s) + from_float16(dy[i]));
        for (size_t i = 0; i < n; i++)
            dx[i] = to_float16(from_float16(dy[i]) - expf(from_float16(y[i])) * from_float16(s));
    }
}

// Forgets the sum in bfloat16.
// @softmax_jvp | values | missing-dot | dtype bfloat16
void jvp_bfloat16_no_dot(const uint16_t *y, const uint16_t *x_dot, uint16_t *y_dot, size_t rows,
                         size_t n) {
    for (size_t k = 0; k < rows * n; k++)
        y_dot[k] = to_bfloat16(from_bfloat16(y[k]) * from_bfloat16(x_dot[k]));
}

// The logarithm of a float16 probability.
// @log_softmax | values | log-of-softmax | dtype float16
void log_of_float16_softmax(const uint16_t *x, uint16_t *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = -INFINITY, s = 0;
        for (size_t i = 0; i < n; i++)
            m = fmaxf(m, from_float16(x[i]));
        for (size_t i = 0; i < n; i++)
            s += expf(from_float16(x[i]) - m);
        for (size_t i = 0; i < n; i++) {
            uint16_t p = to_float16(expf(from_float16(x[i]) - m) / s);
            y[i] = to_float16(logf(from_float16(p)));
        }
    }
}

// Starts the maximum from -1e4, which float16 logits of a masked row lie below.
// @softmax | values | max-from-constant | dtype float16 | seen flashinfer#4267
void float16_max_from_ten_thousand(const uint16_t *x, uint16_t *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = -1e4f, s = 0;
        for (size_t i = 0; i < n; i++)
            m = fmaxf(m, from_float16(x[i]));
        for (size_t i = 0; i < n; i++)
            s += expf(from_float16(x[i]) - m);
        for (size_t i = 0; i < n; i++)
            y[i] = to_float16(expf(from_float16(x[i]) - m) / s);
    }
}
