// bfloat16 and float16 storage with float32 arithmetic, rounded once.
#include "blocks.h"

typedef float load(uint16_t);
typedef uint16_t store(float);

static void softmax16(load *from, store *to, const uint16_t *x, uint16_t *y, size_t rows,
                      size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = -INFINITY, s = 0;
        for (size_t i = 0; i < n; i++)
            m = fmaxf(m, from(x[i]));
        for (size_t i = 0; i < n; i++)
            s += expf(from(x[i]) - m);
        for (size_t i = 0; i < n; i++)
            y[i] = to(expf(from(x[i]) - m) / s);
    }
}

static void log_softmax16(load *from, store *to, const uint16_t *x, uint16_t *y, size_t rows,
                          size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = -INFINITY, s = 0;
        for (size_t i = 0; i < n; i++)
            m = fmaxf(m, from(x[i]));
        for (size_t i = 0; i < n; i++)
            s += expf(from(x[i]) - m);
        for (size_t i = 0; i < n; i++)
            y[i] = to((from(x[i]) - m) - logf(s));
    }
}

static void product16(load *from, store *to, const uint16_t *y, const uint16_t *t, uint16_t *out,
                      size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, t += n, out += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++)
            s += from(y[i]) * from(t[i]);
        for (size_t i = 0; i < n; i++)
            out[i] = to(from(y[i]) * (from(t[i]) - s));
    }
}

static void jacobian16(load *from, store *to, const uint16_t *y, uint16_t *jac, size_t rows,
                       size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = to(i == j ? from(y[i]) * (1 - from(y[i])) : -from(y[i]) * from(y[j]));
}

// softmax in bfloat16.
// @softmax | dtype bfloat16
void bfloat16_softmax(const uint16_t *x, uint16_t *y, size_t rows, size_t n) {
    softmax16(from_bfloat16, to_bfloat16, x, y, rows, n);
}

// softmax in float16.
// @softmax | dtype float16
void float16_softmax(const uint16_t *x, uint16_t *y, size_t rows, size_t n) {
    softmax16(from_float16, to_float16, x, y, rows, n);
}

// log_softmax in bfloat16.
// @log_softmax | dtype bfloat16
void bfloat16_log_softmax(const uint16_t *x, uint16_t *y, size_t rows, size_t n) {
    log_softmax16(from_bfloat16, to_bfloat16, x, y, rows, n);
}

// log_softmax in float16.
// @log_softmax | dtype float16
void float16_log_softmax(const uint16_t *x, uint16_t *y, size_t rows, size_t n) {
    log_softmax16(from_float16, to_float16, x, y, rows, n);
}

// The VJP of softmax in bfloat16.
// @softmax_vjp | dtype bfloat16
void bfloat16_vjp(const uint16_t *y, const uint16_t *dy, uint16_t *dx, size_t rows, size_t n) {
    product16(from_bfloat16, to_bfloat16, y, dy, dx, rows, n);
}

// The VJP of softmax in float16.
// @softmax_vjp | dtype float16
void float16_vjp(const uint16_t *y, const uint16_t *dy, uint16_t *dx, size_t rows, size_t n) {
    product16(from_float16, to_float16, y, dy, dx, rows, n);
}

// The JVP of softmax in bfloat16.
// @softmax_jvp | dtype bfloat16
void bfloat16_jvp(const uint16_t *y, const uint16_t *x_dot, uint16_t *y_dot, size_t rows,
                  size_t n) {
    product16(from_bfloat16, to_bfloat16, y, x_dot, y_dot, rows, n);
}

// The Jacobian of softmax in bfloat16.
// @softmax_jacobian | dtype bfloat16
void bfloat16_jacobian(const uint16_t *y, uint16_t *jac, size_t rows, size_t n) {
    jacobian16(from_bfloat16, to_bfloat16, y, jac, rows, n);
}

// The Jacobian of softmax in float16.
// @softmax_jacobian | dtype float16
void float16_jacobian(const uint16_t *y, uint16_t *jac, size_t rows, size_t n) {
    jacobian16(from_float16, to_float16, y, jac, rows, n);
}

// The VJP of log_softmax in float16.
// @log_softmax_vjp | dtype float16
void float16_log_vjp(const uint16_t *y, const uint16_t *dy, uint16_t *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++)
            s += from_float16(dy[i]);
        for (size_t i = 0; i < n; i++)
            dx[i] = to_float16(from_float16(dy[i]) - expf(from_float16(y[i])) * s);
    }
}

// The JVP of log_softmax in bfloat16.
// @log_softmax_jvp | dtype bfloat16
void bfloat16_log_jvp(const uint16_t *y, const uint16_t *x_dot, uint16_t *y_dot, size_t rows,
                      size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, x_dot += n, y_dot += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++)
            s += expf(from_bfloat16(y[i])) * from_bfloat16(x_dot[i]);
        for (size_t i = 0; i < n; i++)
            y_dot[i] = to_bfloat16(from_bfloat16(x_dot[i]) - s);
    }
}
