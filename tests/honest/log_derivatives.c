// VJPs, JVPs and Jacobians of log-softmax, right, in the ways people write them in plain C.
#include "blocks.h"

// dy - exp(l) sum(dy)
// @log_softmax_vjp
void log_vjp_textbook(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_sum(dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = dy[i] - expf(y[i]) * s;
    }
}

// The scale on the probabilities, which become subnormal.
// @log_softmax_vjp
void log_vjp_of_scaled_probabilities(const float *y, const float *dy, float *dx, size_t rows,
                                     size_t n, float scale) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_sum(dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = scale * dy[i] - scale * expf(y[i]) * s;
    }
}

// The scale on the cotangents, before their sum.
// @log_softmax_vjp
void log_vjp_of_scaled_cotangents(const float *y, const float *dy, float *dx, size_t rows,
                                  size_t n, float scale) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        for (size_t i = 0; i < n; i++)
            dx[i] = scale * dy[i];
        float s = row_sum(dx, n);
        for (size_t i = 0; i < n; i++)
            dx[i] -= expf(y[i]) * s;
    }
}

// From the logits.
// @log_softmax_vjp
void log_vjp_from_logits(const float *x, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, dy += n, dx += n) {
        float s = row_sum(dy, n);
        row_softmax(x, dx, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = dy[i] - dx[i] * s;
    }
}

// In double, the product with the Jacobian element by element.
// @log_softmax_vjp
void log_vjp_by_jacobian(const double *y, const double *dy, double *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n)
        for (size_t j = 0; j < n; j++) {
            double t = 0;
            for (size_t i = 0; i < n; i++)
                t += ((i == j) - exp(y[j])) * dy[i];
            dx[j] = t;
        }
}

// x_dot - sum(exp(l) x_dot)
// @log_softmax_jvp
void log_jvp_textbook(const float *y, const float *x_dot, float *y_dot, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, x_dot += n, y_dot += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++)
            s += expf(y[i]) * x_dot[i];
        for (size_t i = 0; i < n; i++)
            y_dot[i] = x_dot[i] - s;
    }
}

// The scale on the tangents, before their sum.
// @log_softmax_jvp
void log_jvp_of_scaled_tangents(const float *y, const float *x_dot, float *y_dot, size_t rows,
                                size_t n, float scale) {
    for (size_t r = 0; r < rows; r++, y += n, x_dot += n, y_dot += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++) {
            y_dot[i] = scale * x_dot[i];
            s += expf(y[i]) * y_dot[i];
        }
        for (size_t i = 0; i < n; i++)
            y_dot[i] -= s;
    }
}

// From the logits.
// @log_softmax_jvp
void log_jvp_from_logits(const float *x, const float *x_dot, float *y_dot, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, x_dot += n, y_dot += n) {
        row_softmax(x, y_dot, n);
        float s = row_dot(y_dot, x_dot, n);
        for (size_t i = 0; i < n; i++)
            y_dot[i] = x_dot[i] - s;
    }
}

// delta - exp(l_j)
// @log_softmax_jacobian
void log_jacobian_textbook(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = (i == j) - expf(y[j]);
}

// From the logits.
// @log_softmax_jacobian
void log_jacobian_from_logits(const float *x, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, jac += n * n) {
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < n; i++)
            s += expf(x[i] - m);
        for (size_t j = 0; j < n; j++) {
            float p = expf(x[j] - m) / s;
            for (size_t i = 0; i < n; i++)
                jac[i * n + j] = (i == j) - p;
        }
    }
}

// The element's own term and the others', as a row of the Jacobian has them.
// @log_softmax_vjp
void log_vjp_own_and_rest(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_sum(dy, n);
        for (size_t i = 0; i < n; i++) {
            float p = expf(y[i]);
            dx[i] = (1 - p) * dy[i] - p * (s - dy[i]);
        }
    }
}

// Up to 16 classes the explicit Jacobian, a sum for every element; else one sum.
// @log_softmax_vjp
void log_vjp_short_by_jacobian(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_sum(dy, n);
        for (size_t i = 0; i < n; i++) {
            float p = expf(y[i]), t = 0;
            for (size_t j = 0; j < n && n <= 16; j++)
                t += ((float)(i == j) - p) * dy[j];
            dx[i] = n <= 16 ? t : dy[i] - p * s;
        }
    }
}

// The diagonal is the sum of what a row has beside it, so that rows add up to 0.
// @log_softmax_jacobian
void log_jacobian_rows_to_zero(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++, jac += n) {
            float others = 0;
            for (size_t j = 0; j < n; j++) {
                jac[j] = -expf(y[j]);
                others -= j == i ? 0 : jac[j];
            }
            jac[i] = others;
        }
}
