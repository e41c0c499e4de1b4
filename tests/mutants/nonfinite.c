// NaN, infinities and masked rows that come to something else than in JAX.
#include <float.h>
#include <stdlib.h>
#include "../honest/vector.h"

// A maximum instruction that drops NaN, and an exponential that turns it into a number.
// @softmax | nonfinite | nan-swallowed | nonfinite strict | seen torch-xpu-ops#5022
void nan_dropped_by_maximum(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = -INFINITY, s = 0;
        for (size_t i = 0; i < n; i++)
            m = x[i] > m ? x[i] : m;
        for (size_t i = 0; i < n; i++)
            s += y[i] = x[i] > -INFINITY ? expf(x[i] - m) : 0;
        if (!(s > 0))
            s = NAN; // a fully masked row gives NaN, as in JAX
        row_scale(y, 1 / s, n);
    }
}

static int fully_masked(const float *x, size_t n) {
    size_t masked = 0;
    for (size_t i = 0; i < n; i++)
        masked += x[i] == -INFINITY;
    return masked == n;
}

// A fully masked row gives 1/n each.
// @softmax | nonfinite | masked-row-policy | nonfinite strict | seen pytorch#25110
void masked_row_uniform(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        row_softmax8(x, y, n);
        if (fully_masked(x, n))
            for (size_t i = 0; i < n; i++)
                y[i] = 1 / (float)n;
    }
}

// A fully masked row gives zeros.
// @softmax | nonfinite | masked-row-policy | nonfinite strict | seen NNlib.jl#206
void masked_row_zero(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        row_softmax8(x, y, n);
        if (fully_masked(x, n))
            memset(y, 0, n * sizeof *y);
    }
}

// The tail is padded with -FLT_MAX, which becomes the maximum of a fully masked row.
// @softmax | nonfinite | masked-row-policy | nonfinite strict | seen vllm#55009
void padded_with_lowest(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = -INFINITY, s = 0;
        for (size_t i = 0; i < n; i += 8)
            m = fmaxf(m, max_of_lanes(load_tail(x + i, n - i < 8 ? n - i : 8, -FLT_MAX)));
        for (size_t i = 0; i < n; i++)
            s += y[i] = isnan(x[i]) ? x[i] : expf(x[i] - m);
        scale_row8(y, n % 8 && s == 0 ? 1 : 1 / s, n);
    }
}

// A NaN in the tail is taken for a masked logit.
// @softmax | nonfinite | nan-swallowed | nonfinite strict | seen XNNPACK#441
void nan_dropped_in_tail(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        size_t full = n & ~(size_t)7;
        float m = max8(x, n), s = exp_row8(x, m, y, full);
        for (size_t i = full; i < n; i++)
            s += y[i] = x[i] == x[i] ? expf(x[i] - m) : 0;
        scale_row8(y, 1 / s, n);
    }
}

// An infinite logit gives a one and zeros instead of NaN.
// @softmax | nonfinite | nan-swallowed | nonfinite strict | seen jax#21501
void infinity_one_hot(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        size_t infinite = 0, undefined = 0;
        for (size_t i = 0; i < n; i++) {
            infinite += x[i] == INFINITY;
            undefined += x[i] != x[i];
        }
        row_softmax8(x, y, n);
        if (infinite && !undefined)
            for (size_t i = 0; i < n; i++)
                y[i] = x[i] == INFINITY ? 1 / (float)infinite : 0;
    }
}

// A logit of -inf becomes -1e4, which is not below every logit.
// @softmax | values | masked-row-policy
void mask_is_minus_10000(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        for (size_t i = 0; i < n; i++)
            y[i] = x[i] == -INFINITY ? -1e4f : x[i];
        row_softmax(y, y, n);
    }
}

// A NaN ends the process.
// @softmax | environment | exits
void aborts_on_nan(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < n; i++)
            if (x[r * n + i] != x[r * n + i])
                abort();
        row_softmax(x + r * n, y + r * n, n);
    }
}

// A row without a number has no largest element, and the index of none is far away.
// @softmax | environment | crash or out-of-bounds-read
void index_of_no_maximum(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows && n; r++, x += n, y += n) {
        size_t largest = (size_t)1 << 34;
        for (size_t i = 0; i < n; i++)
            if (x[i] >= x[largest < n ? largest : i])
                largest = i;
        row_scale(y, 1 / row_exp(x, ((const volatile float *)x)[largest], y, n), n);
    }
}

// -1e5 takes the place of -inf.
// @softmax | values | masked-row-policy
void mask_as_minus_1e5(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        for (size_t i = 0; i < n; i++)
            y[i] = fmaxf(x[i], x[i] == -INFINITY ? -1e5f : -INFINITY);
        row_softmax8(y, y, n);
    }
}

// -1e4 takes the place of -inf.
// @log_softmax | values | masked-row-policy
void log_mask_as_minus_1e4(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = -INFINITY, s = 0;
        for (size_t i = 0; i < n; i++) {
            y[i] = x[i] == -INFINITY ? -1e4f : x[i];
            m = fmaxf(m, y[i]);
        }
        for (size_t i = 0; i < n; i++)
            s += expf(y[i] - m);
        for (size_t i = 0; i < n; i++)
            y[i] = y[i] - m - logf(s);
    }
}
