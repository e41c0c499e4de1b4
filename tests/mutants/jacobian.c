// Explicit Jacobians of softmax and log_softmax that are wrong, in plain scalar C.
#include "../honest/blocks.h"

// The diagonal alone, zeros elsewhere.
// @softmax_jacobian | values | diagonal-only
void jacobian_diagonal(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = i == j ? y[i] * (1 - y[i]) : 0;
}

// Off the diagonal + y_i y_j.
// @softmax_jacobian | values | off-diagonal-sign
void jacobian_off_diagonal_plus(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = i == j ? y[i] * (1 - y[i]) : y[i] * y[j];
}

// diag(y), the outer product forgotten.
// @softmax_jacobian | values | missing-dot
void jacobian_no_outer_product(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = i == j ? y[i] : 0;
}

// diag(y) + y y^T.
// @softmax_jacobian | values | dot-sign
void jacobian_outer_product_added(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = (i == j ? y[i] : 0) + y[i] * y[j];
}

// y y^T - diag(y).
// @softmax_jacobian | values | sign-flipped
void jacobian_negative(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = i == j ? -y[i] * (1 - y[i]) : y[i] * y[j];
}

// The identity matrix.
// @softmax_jacobian | values | identity
void jacobian_identity(const float *y, float *jac, size_t rows, size_t n) {
    (void)y;
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = i == j;
}

// Zeros.
// @softmax_jacobian | values | all-zero
void jacobian_zero(const float *y, float *jac, size_t rows, size_t n) {
    (void)y;
    memset(jac, 0, rows * n * n * sizeof *jac);
}

// Twice the right result: entries and their mirror images added.
// @softmax_jacobian | values | wrong-factor
void jacobian_doubled(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = y[i] * ((i == j) - y[j]) + y[j] * ((i == j) - y[i]);
}

// The first row's Jacobian for every row of the batch.
// @softmax_jacobian | values | first-row-only
void jacobian_of_first_row(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = y[i] * ((i == j) - y[j]);
}

// The last row's Jacobian for every row of the batch.
// @softmax_jacobian | values | last-row-only
void jacobian_of_last_row(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = y[(rows - 1) * n + i] * ((i == j) - y[(rows - 1) * n + j]);
}

// Fills the upper triangle only.
// @softmax_jacobian | output | output-not-written
void jacobian_upper_triangle(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, jac += n * n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = i; j < n; j++)
                jac[i * n + j] = y[i] * ((i == j) - y[j]);
}

// Subtracts 1 from every entry's delta: y_i (delta - 1) off the diagonal too.
// @softmax_jacobian | values | unknown
void jacobian_minus_one(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = i == j ? y[i] * (1 - y[i]) : -y[i] * (1 - y[j]);
}

// Squares on the off-diagonal: -y_i y_i.
// @softmax_jacobian | values | unknown
void jacobian_wrong_index(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = i == j ? y[i] * (1 - y[i]) : -y[i] * y[i];
}

// The logits take the place of the probabilities.
// @softmax_jacobian | values | logits-for-probabilities
void jacobian_at_logits(const float *x, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = x[i] * ((i == j) - x[j]);
}

// log_softmax's Jacobian.
// @softmax_jacobian | values | log-softmax-formula
void jacobian_of_log(const double *y, double *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = (i == j) - y[j];
}

// Ignores the distance between matrices.
// @softmax_jacobian | values, output | row-stride
void jacobian_stride_ignored(const float *y, float *jac, size_t ldjac, size_t rows, size_t n) {
    (void)ldjac;
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = y[i] * ((i == j) - y[j]);
}

// The offset of a matrix is kept in 16 bits.
// @softmax_jacobian | values, output | index-overflow or output-not-written
void jacobian_short_offset(const float *y, float *jac, int rows, int n) {
    for (int r = 0; r < rows; r++) {
        uint16_t offset = (uint16_t)(r * n * n);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++)
                jac[offset + i * n + j] = y[r * n + i] * ((i == j) - y[r * n + j]);
    }
}

// Multiplies nothing by the scale.
// @softmax_jacobian | values | missing-scale
void jacobian_scale_ignored(const float *y, float scale, float *jac, size_t rows, size_t n) {
    (void)scale;
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = y[i] * ((i == j) - y[j]);
}

// Adds to the output.
// @softmax_jacobian | output | accumulates
void jacobian_accumulates(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ += y[i] * ((i == j) - y[j]);
}

// Transposed: for log_softmax that is another matrix.
// @log_softmax_jacobian | values | transposed
void log_jacobian_transposed(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = (i == j) - expf(y[i]);
}

// Softmax's Jacobian.
// @log_softmax_jacobian | values | softmax-formula
void log_jacobian_of_softmax(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = expf(y[i]) * ((i == j) - expf(y[j]));
}

// The diagonal alone.
// @log_softmax_jacobian | values | diagonal-only
void log_jacobian_diagonal(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = i == j ? 1 - expf(y[i]) : 0;
}

// Log-probabilities where probabilities belong.
// @log_softmax_jacobian | values | logits-for-probabilities
void log_jacobian_no_exp(const double *y, double *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = (i == j) - y[j];
}

// Off the diagonal + y_j.
// @log_softmax_jacobian | values | off-diagonal-sign
void log_jacobian_off_diagonal_plus(const float *y, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = i == j ? 1 - expf(y[i]) : expf(y[j]);
}

// From logits, without the maximum.
// @log_softmax_jacobian | values | no-max-subtraction
void log_jacobian_no_max(const float *x, float *jac, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++)
            s += expf(x[i]);
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *jac++ = (i == j) - expf(x[j]) / s;
    }
}
