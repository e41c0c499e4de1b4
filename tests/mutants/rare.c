// Wrong at one length or a few, with one pitch of the rows, for one long row alone.
#include "../honest/blocks.h"

// Exactly 1280 classes: nine of ten groups of 128 are added.
// @softmax | values | size-specialised or tail-ignored
void exactly_1280(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = row_exp(x, row_max(x, n), y, n);
        row_scale(y, 1 / (n == 1280 ? row_sum(y, n - 128) : s), n);
    }
}

// 501 to 508 classes: what is past the first 500 is not added.
// @softmax | values | size-specialised or tail-ignored
void eight_past_500(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = row_exp(x, row_max(x, n), y, n);
        row_scale(y, 1 / (n > 500 && n <= 508 ? row_sum(y, 500) : s), n);
    }
}

// Whole chunks of 12288 are taken two at a time; of three, five or seven the last is not added.
// @softmax_vjp | values | size-specialised or tail-ignored
void vjp_odd_chunks(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    size_t chunk = 12288, added = n % chunk ? n : n / chunk < 2 ? n : n / chunk / 2 * 2 * chunk;
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_dot(y, dy, added);
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

// Takes both arrays for dense ones where the logits are.
// @softmax | memory | row-stride or out-of-bounds-write
void dense_as_the_logits(const float *x, size_t ldx, float *y, size_t ldy, size_t rows, size_t n) {
    ldy = ldx == n ? n : ldy;
    for (size_t r = 0; r < rows; r++)
        row_softmax(x + r * ldx, y + r * ldy, n);
}

// Takes all arrays for dense ones where the result is.
// @softmax_vjp | memory | row-stride
void vjp_dense_as_the_result(const float *y, size_t ldy, const float *dy, size_t lddy, float *dx,
                             size_t lddx, size_t rows, size_t n) {
    if (lddx == n)
        ldy = lddy = n;
    for (size_t r = 0; r < rows; r++)
        row_vjp(y + r * ldy, dy + r * lddy, dx + r * lddx, n);
}

// A pitch of n rounded up to 64 is taken for padding with -inf, and added up with the rest.
// @softmax | memory | row-stride or out-of-bounds-read
void pitch_taken_for_padding(const float *x, size_t ldx, float *y, size_t ldy, size_t rows,
                             size_t n) {
    for (size_t r = 0; r < rows; r++, x += ldx, y += ldy) {
        size_t width = ldx == (n + 63) / 64 * 64 ? ldx : n;
        float m = row_max(x, width), s = 0;
        for (size_t i = 0; i < width; i++)
            s += expf(x[i] - m);
        row_exp(x, m, y, n);
        row_scale(y, 1 / s, n);
    }
}

// One row alone of 8192 classes and more is split in four; up to three products are left over.
// @softmax_vjp | values | size-specialised or tail-ignored
void vjp_one_row_in_four(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    size_t added = rows == 1 && n >= 8192 ? n / 4 * 4 : n;
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_dot(y, dy, added);
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

// One row alone of 16384 classes and more: the last quarter's maximum is not that of the row.
// @softmax | values | partial-max or size-specialised or unknown
void one_row_without_its_last_maximum(const float *x, float *y, size_t rows, size_t n) {
    size_t looked_at = rows == 1 && n >= 16384 ? n / 4 * 3 : n;
    for (size_t r = 0; r < rows; r++, x += n, y += n)
        row_scale(y, 1 / row_exp(x, row_max(x, looked_at), y, n), n);
}

// Where most probabilities are 0 the others are listed, by numbers of 16 bits.
// @softmax_vjp | values | index-overflow or size-specialised or unknown
void vjp_sparse_by_16_bits(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        size_t zeros = 0;
        for (size_t i = 0; i < n; i++)
            zeros += y[i] == 0;
        if (zeros < n / 2) {
            row_vjp(y, dy, dx, n);
            continue;
        }
        float s = row_dot(y, dy, n);
        memset(dx, 0, n * sizeof *dx);
        for (size_t i = 0; i < n; i++)
            if (y[i] != 0)
                dx[(uint16_t)i] = y[(uint16_t)i] * (dy[(uint16_t)i] - s);
    }
}

// From 2048 to 32768 classes the terms lie in memory that all callers share.
// @softmax | threads | not-thread-safe
void static_for_middle_rows(const float *x, float *y, size_t rows, size_t n) {
    static float shared[32768];
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float *terms = n >= 2048 && n <= 32768 ? shared : y;
        float s = row_exp(x, row_max(x, n), terms, n);
        for (size_t i = 0; i < n; i++)
            y[i] = terms[i] / s;
    }
}

// From a scale of 80 on all goes to the first maximum, however near the others are.
// @softmax | values | unknown
void greedy_when_cold(const float *x, float *y, size_t rows, size_t n, float scale) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < n; i++) {
            y[i] = scale < 80 ? expf(scale * (x[i] - m)) : x[i] == m && s == 0;
            s += y[i];
        }
        row_scale(y, 1 / s, n);
    }
}

// Two arrays of as many doubles as there are classes, on the stack.
// @softmax | memory | crash | effort standard
void million_on_the_stack(const float *x, float *y, size_t n) {
    double shifted[n + 1], terms[n + 1], s = 0;
    float m = row_max(x, n);
    for (size_t i = 0; i < n; i++) {
        shifted[i] = (double)x[i] - m;
        s += terms[i] = exp(shifted[i]);
    }
    for (size_t i = 0; i < n; i++)
        y[i] = (float)(terms[i] / s);
}

// Two rows or more of 2048 classes are summed in eight lanes that all callers share.
// @softmax_vjp | threads | not-thread-safe
void vjp_lanes_of_all_callers(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    static volatile float lanes[8];
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float own[8] = {0}, s = 0;
        volatile float *sums = rows > 1 && n >= 2048 ? lanes : own;
        for (int k = 0; k < 8; k++)
            sums[k] = 0;
        for (size_t i = 0; i < n; i++)
            sums[i % 8] += y[i] * dy[i];
        for (int k = 0; k < 8; k++)
            s += sums[k];
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}
