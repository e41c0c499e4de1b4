// Wrong rows, strides, indices, lengths; outputs added to or left out; sums that are not cleared.
#include "../honest/blocks.h"

// Ignores both strides.
// @softmax | values, output | row-stride | seen burn#4815
void strides_ignored(const float *x, size_t ldx, float *y, size_t ldy, size_t rows, size_t n) {
    (void)ldx, (void)ldy;
    for (size_t r = 0; r < rows; r++)
        row_softmax(x + r * n, y + r * n, n);
}

// Ignores both strides, which are whole vectors as rows are.
// @softmax | memory | row-stride | assume ldx % 8 == 0 and ldy % 8 == 0 and n % 8 == 0
void whole_strides_ignored(const float *x, size_t ldx, float *y, size_t ldy, size_t rows,
                           size_t n) {
    (void)ldx, (void)ldy;
    for (size_t r = 0; r < rows; r++)
        row_softmax(x + r * n, y + r * n, n);
}

// Uses the input's stride for the output.
// @softmax | values, output, memory | row-stride or out-of-bounds-write
void input_stride_for_output(const float *x, size_t ldx, float *y, size_t ldy, size_t rows,
                             size_t n) {
    (void)ldy;
    for (size_t r = 0; r < rows; r++)
        row_softmax(x + r * ldx, y + r * ldx, n);
}

// Respects the output's stride but not the input's.
// @softmax | values | row-stride | seen FlagGems#5723
void input_stride_ignored(const float *x, size_t ldx, float *y, size_t ldy, size_t rows,
                          size_t n) {
    (void)ldx;
    for (size_t r = 0; r < rows; r++)
        row_softmax(x + r * n, y + r * ldy, n);
}

// Uses y's stride for dy.
// @softmax_vjp | values, memory | row-stride or out-of-bounds-read | seen apex#1568
void vjp_wrong_stride(const float *y, int ldy, const float *dy, int lddy, float *dx, int lddx,
                      int rows, int n) {
    (void)lddy;
    for (int r = 0; r < rows; r++)
        row_vjp(y + r * ldy, dy + r * ldy, dx + r * lddx, (size_t)n);
}

// Writes the result densely.
// @softmax_vjp | values, output | row-stride
void vjp_output_stride_ignored(const float *y, const float *dy, float *dx, size_t lddx,
                               size_t rows, size_t n) {
    (void)lddx;
    for (size_t r = 0; r < rows; r++)
        row_vjp(y + r * n, dy + r * n, dx + r * n, n);
}

// Takes the stride for the number of classes.
// @softmax | values, output | row-stride or out-of-bounds-write or out-of-bounds-read
void stride_taken_for_n(const float *x, size_t ldx, float *y, size_t ldy, size_t rows, size_t n) {
    (void)n;
    for (size_t r = 0; r < rows; r++)
        row_softmax(x + r * ldx, y + r * ldy, ldx < ldy ? ldx : ldy);
}

// Starts every row one element late, as if rows were padded by one.
// @log_softmax | memory, values | row-stride or out-of-bounds-read or out-of-bounds-write
void log_rows_padded_by_one(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++) {
        const float *row = x + r * (n + 1);
        float *out = y + r * (n + 1), m = row_max(row, n), l = logf(row_exp(row, m, out, n));
        for (size_t i = 0; i < n; i++)
            out[i] = (row[i] - m) - l;
    }
}

// Adds to the output.
// @softmax_vjp | output | accumulates | seen micrograd#102
void vjp_accumulates(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_dot(y, dy, n);
        for (size_t i = 0; i < n; i++)
            dx[i] += y[i] * (dy[i] - s);
    }
}

// Adds in its O(n^2) loop without clearing first.
// @softmax_jvp | output | accumulates
void jvp_accumulates_in_loop(const float *y, const float *x_dot, float *y_dot, size_t rows,
                             size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, x_dot += n, y_dot += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                y_dot[i] += y[i] * ((i == j) - y[j]) * x_dot[j];
}

// Stores where adding is the contract.
// @softmax_vjp | output, values | accumulates | accumulates | seen mxnet#17989
void vjp_stores_instead_of_adding(const float *y, const float *dy, float *dx, size_t rows,
                                  size_t n) {
    for (size_t r = 0; r < rows; r++)
        row_vjp(y + r * n, dy + r * n, dx + r * n, n);
}

// Skips elements whose probability is zero, and stores nothing there.
// @softmax_vjp | output | output-not-written
void vjp_skips_zeros(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_dot(y, dy, n);
        for (size_t i = 0; i < n; i++)
            if (y[i] != 0)
                dx[i] = y[i] * (dy[i] - s);
    }
}

// Skips masked elements, and stores nothing there.
// @softmax | output | output-not-written
void skips_masked(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < n; i++)
            if (x[i] != -INFINITY)
                s += y[i] = expf(x[i] - m);
        for (size_t i = 0; i < n; i++)
            if (x[i] != -INFINITY)
                y[i] /= s;
    }
}

// Returns early when all cotangents of a row are equal.
// @softmax_vjp | output | output-not-written
void vjp_early_return(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        size_t equal = 1;
        while (equal < n && dy[equal] == dy[0])
            equal++;
        if (n > 1 && equal == n)
            continue;
        row_vjp(y, dy, dx, n);
    }
}

// Leaves the last row out.
// @softmax | output | output-not-written
void last_row_left_out(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r + 1 < rows || (r == 0 && rows == 1); r++)
        row_softmax(x + r * n, y + r * n, n);
}

// Works on pairs of rows and forgets the odd one.
// @softmax_vjp | output | output-not-written
void vjp_odd_row_forgotten(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r + 2 <= rows; r += 2) {
        row_vjp(y + r * n, dy + r * n, dx + r * n, n);
        row_vjp(y + (r + 1) * n, dy + (r + 1) * n, dx + (r + 1) * n, n);
    }
}

// Counts classes in 16 bits.
// @softmax | values, output | index-overflow | seen onnxruntime#32299
void classes_in_16_bits(const float *x, float *y, size_t rows, size_t n) {
    uint16_t classes = (uint16_t)n;
    for (size_t r = 0; r < rows; r++)
        row_softmax(x + r * n, y + r * n, classes);
}

// Counts classes in signed 16 bits: none are left above 32767.
// @softmax | output | index-overflow | seen pytorch#84144
void classes_in_signed_16_bits(const float *x, float *y, size_t rows, size_t n) {
    int16_t classes = (int16_t)n;
    for (size_t r = 0; r < rows; r++) {
        const float *row = x + r * n;
        float m = -INFINITY, s = 0;
        for (int i = 0; i < classes; i++)
            m = fmaxf(m, row[i]);
        for (int i = 0; i < classes; i++)
            s += y[r * n + i] = expf(row[i] - m);
        for (int i = 0; i < classes; i++)
            y[r * n + i] /= s;
    }
}

// Holds the offset of a row in 16 bits.
// @softmax_vjp | values, output | index-overflow | seen Paddle#71935
void vjp_row_offset_in_16_bits(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++) {
        uint16_t at = (uint16_t)(r * n);
        if (at + n <= rows * n)
            row_vjp(y + at, dy + at, dx + at, n);
    }
}

// Its second loop counts in 16 bits: what lies beyond 65535 is not written.
// @softmax_vjp | values | index-overflow
void vjp_stores_by_16_bits(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_dot(y, dy, n);
        for (size_t i = 0; i < n; i++) {
            size_t short_i = (uint16_t)i;
            dx[short_i] = y[short_i] * (dy[short_i] - s);
        }
    }
}

// Holds the number of elements in 16 bits, in an element-wise last loop.
// @softmax_jvp | output | index-overflow
void jvp_size_in_16_bits(const float *y, const float *x_dot, float *y_dot, unsigned rows,
                         unsigned n) {
    uint16_t size = (uint16_t)(rows * n);
    float s = 0;
    for (unsigned k = 0; k < size; k++) {
        if (k % n == 0)
            s = row_dot(y + k, x_dot + k, n);
        y_dot[k] = y[k] * (x_dot[k] - s);
    }
}

// Holds the offset of a row in 32 signed bits.
// @softmax | memory | index-overflow or crash | effort thorough | timeout 60
void row_offset_in_32_bits(const float *x, float *y, int rows, int n) {
    for (int r = 0; r < rows; r++) {
        int at = (int)((unsigned)r * (unsigned)n);
        row_softmax(x + at, y + at, (size_t)n);
    }
}

// Counts lanes of the sum in 8 bits: it wraps at 256 vectors of 8.
// @log_softmax | values | index-overflow or size-specialised
void log_vectors_in_8_bits(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        uint8_t vectors = (uint8_t)(n / 8);
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < (size_t)vectors * 8; i++)
            s += expf(x[i] - m);
        for (size_t i = n & ~(size_t)7; i < n; i++)
            s += expf(x[i] - m);
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - m) - logf(s);
    }
}

// Keeps the row stride in 16 bits.
// @softmax | memory | row-stride or index-overflow
void stride_in_16_bits(const float *x, float *y, size_t rows, size_t n, size_t ldx) {
    uint16_t stride = (uint16_t)ldx;
    for (size_t r = 0; r < rows; r++)
        row_softmax(x + r * stride, y + r * n, n);
}

// Keeps the gap between rows in 8 bits.
// @softmax | memory | row-stride or index-overflow
void gap_in_8_bits(const float *x, float *y, size_t rows, size_t n, size_t ldx) {
    uint8_t gap = (uint8_t)(ldx - n);
    for (size_t r = 0; r < rows; r++)
        row_softmax(x + r * (n + gap), y + r * n, n);
}

// Right rows, but the gaps behind them are cleared.
// @log_softmax | memory | out-of-bounds-write
void log_gaps_cleared(const float *x, int ldx, float *y, int ldy, int rows, int n) {
    for (int r = 0; r < rows; r++, x += ldx, y += ldy) {
        float m = row_max(x, n), l = logf(row_exp(x, m, y, n));
        for (int i = 0; i < n; i++)
            y[i] = (x[i] - m) - l;
        memset(y + n, 0, (size_t)(ldy - n) * sizeof *y);
    }
}

// Short rows use sums that nobody set to 0.
// @softmax_vjp | values, output | nondeterministic
void sums_not_cleared(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    volatile float sums[8];
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        size_t i = 0;
        float s = 0;
        for (int k = 0; n >= 8 && k < 8; k++)
            sums[k] = 0;
        for (; i + 8 <= n; i += 8)
            for (int k = 0; k < 8; k++)
                sums[k] += y[i + k] * dy[i + k];
        for (int k = 0; k < 8; k++)
            s += sums[k];
        for (; i < n; i++)
            s += y[i] * dy[i];
        for (i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

// From 64 rows on, four parts of a quarter of the rows each: what is left over is not written.
// @softmax | values, output | output-not-written
void rows_of_no_part(const float *x, float *y, size_t rows, size_t n) {
    size_t parts = rows < 64 ? 1 : 4;
    for (size_t r = 0; r < rows / parts * parts; r++)
        row_softmax(x + r * n, y + r * n, n);
}
