// VJPs, JVPs and Jacobians of softmax, right, in the ways people write them in plain C.
#include <stdlib.h>
#include "blocks.h"

// y (dy - s)
// @softmax_vjp
void vjp_textbook(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++)
        row_vjp(y + r * n, dy + r * n, dx + r * n, n);
}

// y dy - y s, in two terms and two passes.
// @softmax_vjp
void vjp_two_terms(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++)
            s += dx[i] = y[i] * dy[i];
        for (size_t i = 0; i < n; i++)
            dx[i] -= y[i] * s;
    }
}

// The product with the Jacobian, element by element.
// @softmax_vjp
void vjp_by_jacobian(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n)
        for (size_t i = 0; i < n; i++) {
            float t = 0;
            for (size_t j = 0; j < n; j++)
                t += (i == j ? y[i] * (1 - y[i]) : -y[i] * y[j]) * dy[j];
            dx[i] = t;
        }
}

// The Jacobian stored in memory of its own, then a matrix-vector product.
// @softmax_vjp
int vjp_by_stored_jacobian(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    float *jacobian = malloc((n ? n * n : 1) * sizeof *jacobian);
    if (!jacobian)
        return 1;
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                jacobian[i * n + j] = y[i] * ((i == j) - y[j]);
        for (size_t i = 0; i < n; i++)
            dx[i] = row_dot(jacobian + i * n, dy, n);
    }
    free(jacobian);
    return 0;
}

// Centred: a cotangent's offset is taken off before it can cancel.
// @softmax_vjp
void vjp_centred(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float c = row_dot(y, dy, n), t = 0;
        for (size_t i = 0; i < n; i++)
            if (y[i] >= 0.5f)
                c = dy[i];
        for (size_t i = 0; i < n; i++)
            t += y[i] * (dy[i] - c);
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * ((dy[i] - c) - t);
    }
}

// From the logits, probabilities kept in the output until they are used.
// @softmax_vjp
void vjp_from_logits(const float *x, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, dy += n, dx += n) {
        row_softmax(x, dx, n);
        float s = row_dot(dx, dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] *= dy[i] - s;
    }
}

// From scaled logits.
// @softmax_vjp
void vjp_from_scaled_logits(const float *x, const float *dy, float scale, float *dx, size_t rows,
                            size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, dy += n, dx += n) {
        float m = row_max(x, n), total = 0;
        for (size_t i = 0; i < n; i++)
            total += dx[i] = expf(scale * (x[i] - m));
        row_scale(dx, 1 / total, n);
        float s = row_dot(dx, dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = scale * (dx[i] * (dy[i] - s));
    }
}

// From scaled logits, their maximum taken after the product: large ones are off by much.
// @softmax_vjp
void vjp_from_products_with_scale(const float *x, const float *dy, float *dx, size_t rows,
                                  size_t n, float scale) {
    for (size_t r = 0; r < rows; r++, x += n, dy += n, dx += n) {
        float m = -INFINITY, total = 0, s = 0;
        for (size_t i = 0; i < n; i++)
            m = fmaxf(m, scale * x[i]);
        for (size_t i = 0; i < n; i++) {
            float e = expf(scale * x[i] - m);
            total += e;
            s += e * dy[i];
        }
        s /= total;
        for (size_t i = 0; i < n; i++)
            dx[i] = scale * (expf(scale * x[i] - m) / total * (dy[i] - s));
    }
}

// From the probabilities of scaled logits.
// @softmax_vjp
void vjp_scaled(const float *y, const float *dy, float *dx, size_t rows, size_t n, float scale) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        row_vjp(y, dy, dx, n);
        row_scale(dx, scale, n);
    }
}

// Two products, the scale in both.
// @softmax_vjp
void vjp_of_two_scaled_products(const float *y, const float *dy, float *dx, size_t rows, size_t n,
                                float scale) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_dot(y, dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = scale * y[i] * dy[i] - scale * s * y[i];
    }
}

// The scale on the probabilities: those near the smallest normal number become subnormal.
// @softmax_vjp
void vjp_of_scaled_probabilities(const float *y, const float *dy, float *dx, size_t rows, size_t n,
                                 float scale) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_dot(y, dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = scale * y[i] * (dy[i] - s);
    }
}

// The scale on the cotangents, before their sum.
// @softmax_vjp
void vjp_of_scaled_cotangents(const float *y, const float *dy, float *dx, size_t rows, size_t n,
                              float scale) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        for (size_t i = 0; i < n; i++)
            dx[i] = scale * dy[i];
        row_vjp(y, dx, dx, n);
    }
}

// Three row strides, in int.
// @softmax_vjp
void vjp_strided(const float *y, int ldy, const float *dy, int lddy, float *dx, int lddx, int rows,
                 int n) {
    for (int r = 0; r < rows; r++)
        row_vjp(y + (size_t)r * ldy, dy + (size_t)r * lddy, dx + (size_t)r * lddx, (size_t)n);
}

// In place of the cotangent.
// @softmax_vjp | in_place dx=dy
void vjp_in_place_of_cotangent(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++)
        row_vjp(y + r * n, dy + r * n, dx + r * n, n);
}

// In place of either input.
// @softmax_vjp | in_place dx=y | in_place dx=dy
void vjp_in_place_of_either(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++)
        row_vjp(y + r * n, dy + r * n, dx + r * n, n);
}

// Adds to the output by contract.
// @softmax_vjp | accumulates
void vjp_adds(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_dot(y, dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] += y[i] * (dy[i] - s);
    }
}

// One row a call, n first.
// @softmax_vjp
void vjp_one_row(unsigned n, const float *y, const float *dy, float *dx) { row_vjp(y, dy, dx, n); }

// Other names for the roles.
// @softmax_vjp | roles p=y, g=dy, out=dx, batch=rows, classes=n
void vjp_other_names(const float *p, const float *g, float *out, int64_t batch, int64_t classes) {
    for (int64_t r = 0; r < batch; r++)
        row_vjp(p + r * classes, g + r * classes, out + r * classes, (size_t)classes);
}

// Refuses what its preconditions exclude.
// @softmax_vjp | assume n % 4 == 0 | assume n >= 4
int vjp_refuses(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    if (n % 4 || n < 4)
        return -1;
    for (size_t r = 0; r < rows; r++)
        row_vjp(y + r * n, dy + r * n, dx + r * n, n);
    return 0;
}

// A static buffer, declared as good for one caller at a time.
// @softmax_vjp | not_reentrant | assume n <= 65536
void vjp_static_buffer(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    static float products[65536];
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        for (size_t i = 0; i < n; i++)
            products[i] = y[i] * dy[i];
        float s = row_sum(products, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = products[i] - y[i] * s;
    }
}

// In double precision, with the diagonal and the rest apart.
// @softmax_vjp
void vjp_double(const double *y, const double *dy, double *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        double s = 0;
        for (size_t i = 0; i < n; i++)
            s += y[i] * dy[i];
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

// The JVP, which is the VJP.
// @softmax_jvp
void jvp_textbook(const float *y, const float *x_dot, float *y_dot, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++)
        row_vjp(y + r * n, x_dot + r * n, y_dot + r * n, n);
}

// From the logits, with the exponentials divided as they are used.
// @softmax_jvp
void jvp_from_logits(const float *x, const float *x_dot, float *y_dot, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, x_dot += n, y_dot += n) {
        float total = row_exp(x, row_max(x, n), y_dot, n), s = 0;
        for (size_t i = 0; i < n; i++)
            s += y_dot[i] / total * x_dot[i];
        for (size_t i = 0; i < n; i++)
            y_dot[i] = y_dot[i] / total * (x_dot[i] - s);
    }
}

// y_i (delta - y_j)
// @softmax_jacobian
void jacobian_textbook(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = i == j ? y[i] * (1 - y[i]) : -y[i] * y[j];
}

// The upper triangle, mirrored.
// @softmax_jacobian
void jacobian_mirrored(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, jac += n * n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = i; j < n; j++)
                jac[i * n + j] = jac[j * n + i] = y[i] * ((i == j) - y[j]);
}

// Transposed, which for softmax is the same matrix.
// @softmax_jacobian
void jacobian_transposed(const double *y, double *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = y[j] * ((i == j) - y[i]);
}

// From the logits.
// @softmax_jacobian
void jacobian_from_logits(const float *x, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, jac += n * n) {
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < n; i++)
            s += expf(x[i] - m);
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++) {
                float p = expf(x[i] - m) / s, q = expf(x[j] - m) / s;
                jac[i * n + j] = i == j ? p * (1 - p) : -p * q;
            }
    }
}

// Up to 16 classes the explicit Jacobian, a sum for every element; else one sum.
// @softmax_vjp
void vjp_short_by_jacobian(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        if (n > 16)
            row_vjp(y, dy, dx, n);
        for (size_t i = 0; i < n && n <= 16; i++) {
            float t = 0;
            for (size_t j = 0; j < n; j++)
                t += y[i] * ((float)(i == j) - y[j]) * dy[j];
            dx[i] = t;
        }
    }
}
