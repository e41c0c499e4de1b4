// Mistakes in Jacobians that look like other mistakes, in plain scalar C.
#include "../honest/blocks.h"

// The diagonal overwritten by y_i, right elsewhere.
// @softmax_jacobian | values | unknown or missing-dot
void jacobian_diagonal_assigned(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = i == j ? y[i] : -y[i] * y[j];
}

// 1 - y_i on the diagonal, right elsewhere.
// @softmax_jacobian | values | missing-probability-factor
void jacobian_diagonal_no_factor(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = i == j ? 1 - y[i] : -y[i] * y[j];
}

// 1 - y_i on the diagonal, 0 elsewhere.
// @softmax_jacobian | values | unknown or missing-probability-factor or diagonal-only
void jacobian_diagonal_only_no_factor(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = i == j ? 1 - y[i] : 0;
}

// The diagonal left at 0.
// @softmax_jacobian | values | unknown
void jacobian_diagonal_zero(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = i == j ? 0 : -y[i] * y[j];
}

// -y_i² on the diagonal: y_i never added.
// @softmax_jacobian | values | unknown
void jacobian_outer_product_only(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = -y[i] * y[j];
}

// The upper triangle alone, zeros below.
// @softmax_jacobian | values | unknown
void jacobian_zero_below(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = i == j ? y[i] * (1 - y[i]) : j > i ? -y[i] * y[j] : 0;
}

// The first row of the matrix in every row's place off the diagonal.
// @softmax_jacobian | values | unknown
void jacobian_first_factor_fixed(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = (i == j ? y[i] : 0) - y[0] * y[j];
}

// log_softmax's Jacobian with 1 on the diagonal, right elsewhere.
// @log_softmax_jacobian | values | unknown
void log_jacobian_ones_on_diagonal(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = i == j ? 1 : -expf(y[j]);
}

// log_softmax's Jacobian without the ones.
// @log_softmax_jacobian | values | unknown
void log_jacobian_no_ones(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = -expf(y[j]);
}
