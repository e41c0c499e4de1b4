// Threads that are joined, with sums of their own.
#include <pthread.h>
#include <stdlib.h>
#include "blocks.h"

struct rows_of {
    const float *x;
    float *y;
    size_t rows, n;
};

static void *softmax_rows(void *argument) {
    struct rows_of *p = argument;
    for (size_t r = 0; r < p->rows; r++)
        row_softmax(p->x + r * p->n, p->y + r * p->n, p->n);
    return NULL;
}

// The rows shared between two threads.
// @softmax
int threads_over_rows(const float *x, float *y, size_t rows, size_t n) {
    size_t half = rows / 2;
    struct rows_of first = {x, y, half, n}, second = {x + half * n, y + half * n, rows - half, n};
    pthread_t thread;
    int started = rows * n > 4096 && pthread_create(&thread, NULL, softmax_rows, &first) == 0;
    if (!started)
        softmax_rows(&first);
    softmax_rows(&second);
    if (started)
        pthread_join(thread, NULL);
    return 0;
}

struct part_of {
    const float *y, *dy;
    float sum;
    size_t n;
};

static void *dot_of_part(void *argument) {
    struct part_of *p = argument;
    p->sum = row_dot(p->y, p->dy, p->n);
    return NULL;
}

// A long row shared between two threads, their sums added after both have ended.
// @softmax_vjp
void threads_within_a_row(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        size_t half = n / 2;
        struct part_of a = {y, dy, 0, half}, b = {y + half, dy + half, 0, n - half};
        pthread_t thread;
        int started = n > 16384 && pthread_create(&thread, NULL, dot_of_part, &a) == 0;
        if (!started)
            dot_of_part(&a);
        dot_of_part(&b);
        if (started)
            pthread_join(thread, NULL);
        float s = a.sum + b.sum;
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

// A buffer for each thread, kept between calls.
// @softmax_vjp
int threads_own_buffer(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    static _Thread_local float *products;
    static _Thread_local size_t capacity;
    if (n > capacity) {
        float *grown = realloc(products, n * sizeof *grown);
        if (!grown)
            return 1;
        products = grown;
        capacity = n;
    }
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        for (size_t i = 0; i < n; i++)
            products[i] = y[i] * dy[i];
        float s = row_sum(products, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = products[i] - y[i] * s;
    }
    return 0;
}

// A static buffer behind a lock.
// @softmax
void threads_behind_a_lock(const float *x, float *y, size_t rows, size_t n) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static float e[1 << 19];
    pthread_mutex_lock(&lock);
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float *buffer = n <= 1 << 19 ? e : y, s = row_exp(x, row_max(x, n), buffer, n);
        for (size_t i = 0; i < n; i++)
            y[i] = buffer[i] / s;
    }
    pthread_mutex_unlock(&lock);
}
