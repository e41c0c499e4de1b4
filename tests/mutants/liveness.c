// Code that does not come back: crashes, exits, endless loops; and code that refuses.
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "../honest/blocks.h"

// Divides n by the number of blocks, which is 0 below 8.
// @softmax | values | crash
void blocks_of_zero(const float *x, float *y, int rows, int n) {
    volatile int blocks = n / 8;
    for (int r = 0; r < rows && n; r++) {
        int block = n / blocks;
        row_softmax(x + r * n, y + r * n, (size_t)(block ? n : 0));
    }
}

// Goes through a null pointer above 4096 classes, where memory for a buffer is never requested.
// @softmax_vjp | values | crash
void vjp_null_buffer(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    float small[4096];
    float *volatile products = n <= 4096 ? small : NULL;
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        for (size_t i = 0; i < n; i++)
            products[i] = y[i] * dy[i];
        float s = row_sum(products, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = products[i] - y[i] * s;
    }
}

// An n x n Jacobian on the stack.
// @softmax_vjp | values | crash
void vjp_jacobian_on_the_stack(const float *y, const float *dy, float *dx, size_t rows,
                               size_t n) {
    for (size_t r = 0; r < rows && n; r++, y += n, dy += n, dx += n) {
        volatile float jacobian[n][n];
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                jacobian[i][j] = y[i] * ((i == j) - y[j]);
        for (size_t i = 0; i < n; i++) {
            float t = 0;
            for (size_t j = 0; j < n; j++)
                t += jacobian[i][j] * dy[j];
            dx[i] = t;
        }
    }
}

// An instruction that no processor has, in the path for 100 classes and more.
// @softmax | values | crash
void illegal_instruction(const float *x, float *y, size_t rows, size_t n) {
    if (n >= 100)
        __builtin_trap();
    for (size_t r = 0; r < rows; r++)
        row_softmax(x + r * n, y + r * n, n);
}

// The first maximum is x[0], also when there is none.
// @softmax | empty | crash-on-empty or out-of-bounds-read | seen rten#307
void first_of_none(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = *(const volatile float *)x;
        for (size_t i = 1; i < n; i++)
            m = fmaxf(m, x[i]);
        row_scale(y, 1 / row_exp(x, m, y, n), n);
    }
}

// n - 1 in an unsigned type: the loop over an empty row never ends.
// @softmax_vjp | empty | crash-on-empty | seen pytorch#17262
void vjp_unsigned_countdown(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = 0;
        size_t i = n - 1;
        do
            s += y[i] * dy[i];
        while (i-- != 0);
        for (i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

// A do-while loop over the rows works on one row when there is none.
// @softmax_jvp | empty | crash-on-empty or out-of-bounds-write or out-of-bounds-read
void jvp_one_row_at_least(const float *y, const float *x_dot, float *y_dot, size_t rows,
                          size_t n) {
    size_t r = 0;
    do
        row_vjp(y + r * n, x_dot + r * n, y_dot + r * n, n);
    while (++r < rows);
}

// Divides by n to average, with integers.
// @log_softmax_vjp | empty | crash-on-empty
void log_vjp_divides_by_n(const float *y, const float *dy, float *dx, int rows, int n) {
    volatile int size = rows * n, classes = n, count = size / classes;
    for (int r = 0; r < count; r++, y += n, dy += n, dx += n) {
        float s = row_sum(dy, (size_t)n);
        for (int i = 0; i < n; i++)
            dx[i] = dy[i] - expf(y[i]) * s;
    }
}

// Waits for ever when there are no rows.
// @softmax | empty | crash-on-empty or hang | timeout 1
void waits_for_a_row(const float *x, float *y, size_t rows, size_t n) {
    volatile size_t done = 0;
    while (done != rows || rows == 0) {
        if (rows)
            row_softmax(x + done * n, y + done * n, n);
        done = done + (rows != 0);
    }
}

// Ends the process at 7 classes.
// @softmax | values | exits
void exits_at_seven(const float *x, float *y, size_t rows, size_t n) {
    if (n == 7)
        exit(0);
    for (size_t r = 0; r < rows; r++)
        row_softmax(x + r * n, y + r * n, n);
}

// Ends the process with _exit and a success status above 100 classes.
// @softmax_vjp | values | exits
void vjp_exits_quietly(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    if (n > 100)
        _exit(0);
    for (size_t r = 0; r < rows; r++)
        row_vjp(y + r * n, dy + r * n, dx + r * n, n);
}

// Ends the process with a status of its own and words that hold the letters of a signal's name.
// @softmax | values | exits
void exits_over_a_signature(const float *x, float *y, size_t rows, size_t n) {
    if (n == 9) {
        fputs("design error: wrong signature\n", stderr);
        exit(3);
    }
    for (size_t r = 0; r < rows; r++)
        row_softmax(x + r * n, y + r * n, n);
}

// Asserts that the probabilities of each row sum to 1 exactly.
// @softmax_vjp | values | exits or crash
void vjp_asserts_sum(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++) {
        if (n && row_sum(y + r * n, n) != 1) {
            fputs("probabilities must sum to 1\n", stderr);
            abort();
        }
        row_vjp(y + r * n, dy + r * n, dx + r * n, n);
    }
}

// Ends itself by a signal that has nothing to do with memory.
// @softmax | values | exits or crash
void raises_sigterm(const float *x, float *y, size_t rows, size_t n) {
    if (n == 33)
        kill(getpid(), SIGTERM);
    for (size_t r = 0; r < rows; r++)
        row_softmax(x + r * n, y + r * n, n);
}

// Loops for ever at 17 classes.
// @softmax | values | hang | timeout 1
void endless_at_17(const float *x, float *y, size_t rows, size_t n) {
    volatile int waiting = n == 17;
    while (waiting)
        ;
    for (size_t r = 0; r < rows; r++)
        row_softmax(x + r * n, y + r * n, n);
}

// A 16-bit loop counter never reaches 65536.
// @softmax_vjp | values | hang or index-overflow | timeout 1 | seen pytorch#84144
void vjp_counter_in_16_bits(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_dot(y, dy, n);
        for (volatile uint16_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

// Loops until the sum is exactly 1, which rounding need not allow.
// @softmax | values | hang | timeout 1
void normalises_until_exact(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        volatile float s = row_exp(x, row_max(x, n), y, n);
        while (n && s != 1) {
            row_scale(y, 1 / s, n);
            s = row_sum(y, n);
        }
    }
}

// Refuses more than 1000 classes, though no precondition says so.
// @softmax | values | unknown | verdict inconclusive
int refuses_long_rows(const float *x, float *y, size_t rows, size_t n) {
    if (n > 1000)
        return 1;
    for (size_t r = 0; r < rows; r++)
        row_softmax(x + r * n, y + r * n, n);
    return 0;
}

// Refuses every call.
// @softmax_vjp | values | unknown | verdict inconclusive
int vjp_refuses_everything(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    (void)y, (void)dy, (void)dx, (void)rows, (void)n;
    return -1;
}

// Reports success and does nothing.
// @softmax_vjp | output, values | output-not-written
int vjp_does_nothing(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    (void)y, (void)dy, (void)dx, (void)rows, (void)n;
    return 0;
}
