// Results that depend on earlier calls, on other threads, on chance.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "../honest/blocks.h"

#define SCRATCH (1 << 19)

// Recognises its row by address and length, and answers from a cache.
// @softmax | state, values | stale-state
void cached_by_address(const float *x, float *y, int n) {
    static const float *seen;
    static int length;
    static float cache[SCRATCH];
    if (n > SCRATCH) {
        row_softmax(x, y, (size_t)n);
        return;
    }
    if (x != seen || n != length)
        row_softmax(x, cache, (size_t)n);
    seen = x;
    length = n;
    memcpy(y, cache, (size_t)n * sizeof *y);
}

// Recognises its row by its first two elements.
// @softmax | state, values | stale-state
void cached_by_first_elements(const float *x, float *y, size_t rows, size_t n) {
    static float key[2], sum;
    static size_t length;
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = row_exp(x, row_max(x, n), y, n);
        if (n >= 2) {
            if (n != length || x[0] != key[0] || x[1] != key[1]) {
                sum = s;
                length = n;
                memcpy(key, x, sizeof key);
            }
            s = sum;
        }
        row_scale(y, 1 / s, n);
    }
}

// Keeps the largest maximum seen so far.
// @softmax | state, values | stale-state
void maximum_kept_between_calls(const float *x, float *y, size_t rows, size_t n) {
    static float m = -INFINITY;
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float top = row_max(x, n);
        if (top < INFINITY)
            m = top > m ? top : m;
        row_scale(y, 1 / row_exp(x, m, y, n), n);
    }
}

// Remembers the number of classes of the first call.
// @softmax | state, values, output | stale-state | seen tiny-dnn
void length_of_first_call(const float *x, float *y, size_t rows, size_t n) {
    static size_t classes;
    if (classes == 0)
        classes = n;
    size_t used = n < classes ? n : classes;
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = row_exp(x, m, y, used);
        for (size_t i = used; i < n; i++)
            y[i] = expf(x[i] - m);
        row_scale(y, 1 / s, n);
    }
}

// A thread's scratch shrinks a call late: after a row 64 elements longer, their sum is added again.
// @softmax | state | stale-state
void scratch_shrinks_late(const float *x, float *y, size_t rows, size_t n) {
    static _Thread_local size_t last;
    static _Thread_local float end;
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = row_exp(x, row_max(x, n), y, n);
        if (last == n + 64)
            s += end;
        end = n >= 64 ? row_sum(y + n - 64, 64) : s;
        last = n;
        row_scale(y, 1 / s, n);
    }
}

// A buffer that grows, and whose old end takes part in the next, shorter call.
// @softmax_vjp | state, values | stale-state
void vjp_old_products_summed(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    static float products[64];
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = 0;
        if (n <= 64) {
            for (size_t i = 0; i < n; i++)
                products[i] = y[i] * dy[i];
            s = row_sum(products, n + 7 < 64 ? (n + 7) / 8 * 8 : 64);
        } else {
            s = row_dot(y, dy, n);
        }
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

// Does not clear its static sum.
// @softmax_vjp | state, values | stale-state
void vjp_sum_never_cleared(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    static float s;
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        for (size_t i = 0; i < n; i++)
            s += y[i] * dy[i];
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

// Every 100th call returns the negative.
// @softmax_vjp | state, values | stale-state or nondeterministic
void vjp_every_hundredth_call(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    static unsigned calls;
    float sign = ++calls % 100 ? 1 : -1;
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        row_vjp(y, dy, dx, n);
        row_scale(dx, sign, n);
    }
}

// Adds noise in the last bits: within every bound, and never the same twice.
// @softmax | state | nondeterministic
void noise_in_the_last_bit(const float *x, float *y, size_t rows, size_t n) {
    static unsigned seed = 1;
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        row_softmax(x, y, n);
        for (size_t i = 0; i < n; i++)
            if (y[i] < 1 && rand_r(&seed) & 1)
                y[i] = nextafterf(y[i], 0);
    }
}

// Drops out an element now and then.
// @softmax | values, state | nondeterministic
void element_dropped_at_random(const float *x, float *y, size_t rows, size_t n) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        row_softmax(x, y, n);
        if (n > 1 && (now.tv_nsec >> 4) % 8 == 0)
            y[(size_t)now.tv_nsec % n] = 0;
    }
}

// The sum starts from memory that malloc does not clear.
// @softmax_vjp | values, state | stale-state or nondeterministic or unknown
void vjp_uninitialised_sum(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        volatile float *s = malloc(1024);
        for (size_t i = 0; i < n; i++)
            s[8] += y[i] * dy[i];
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s[8]);
        s[8] = 0.25f;
        free((void *)s);
    }
}

// Takes another path, with a wrong sum, where the row's address is a multiple of 64.
// @softmax | values | unknown or unaligned-access
void wrong_when_aligned(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float s = row_exp(x, row_max(x, n), y, n);
        if (n >= 16 && (uintptr_t)x % 64 == 0)
            s -= y[n - 1];
        row_scale(y, 1 / s, n);
    }
}

// A static buffer for the exponentials: right in one thread.
// @softmax | threads | not-thread-safe
void static_exponentials(const float *x, float *y, size_t rows, size_t n) {
    static float e[SCRATCH];
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        if (n > SCRATCH) {
            row_softmax(x, y, n);
            continue;
        }
        float s = row_exp(x, row_max(x, n), e, n);
        for (size_t i = 0; i < n; i++)
            y[i] = e[i] / s;
    }
}

// A static buffer for the products: right in one thread.
// @softmax_vjp | threads | not-thread-safe
void vjp_static_products(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    static float products[SCRATCH];
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        if (n > SCRATCH) {
            row_vjp(y, dy, dx, n);
            continue;
        }
        for (size_t i = 0; i < n; i++)
            products[i] = y[i] * dy[i];
        float s = row_sum(products, n);
        for (size_t i = 0; i < n; i++)
            dx[i] = products[i] - y[i] * s;
    }
}

// A static accumulator, cleared in each call: right in one thread.
// @log_softmax | threads | not-thread-safe
void log_static_accumulator(const float *x, float *y, size_t rows, size_t n) {
    static volatile float s;
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n);
        s = 0;
        for (size_t i = 0; i < n; i++)
            s += expf(x[i] - m);
        float l = logf(s);
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - m) - l;
    }
}

struct part {
    const float *y, *dy;
    volatile float *sum;
    size_t n;
};

static void *add_products(void *argument) {
    struct part *p = argument;
    for (size_t i = 0; i < p->n; i++)
        *p->sum += p->y[i] * p->dy[i];
    return NULL;
}

// Two threads add to one sum without a lock; where they meet only while others run, the check of
// threads sees it first.
// @softmax_vjp | values, state | nondeterministic or not-thread-safe | seen llm.c#847 | seen neon#171
void vjp_racing_sum(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        volatile float s = 0;
        size_t half = n / 2;
        struct part a = {y, dy, &s, half}, b = {y + half, dy + half, &s, n - half};
        pthread_t thread;
        int started = n >= 32768 && pthread_create(&thread, NULL, add_products, &a) == 0;
        if (!started)
            add_products(&a);
        add_products(&b);
        if (started)
            pthread_join(thread, NULL);
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}

struct late {
    const float *y, *dy;
    float *dx, s;
    size_t n;
};

static void *apply_late(void *argument) {
    struct late *p = argument;
    usleep(2000);
    for (size_t i = 0; i < p->n; i++)
        p->dx[i] = p->y[i] * (p->dy[i] - p->s);
    free(p);
    return NULL;
}

// A worker writes the second half of a long row, and nobody waits for it.
// @softmax_vjp | output, values | output-not-written or nondeterministic or size-specialised | seen llama.cpp#26385
void vjp_worker_not_joined(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = row_dot(y, dy, n);
        size_t half = n < 4096 ? n : n / 2;
        for (size_t i = 0; i < half; i++)
            dx[i] = y[i] * (dy[i] - s);
        if (half == n)
            continue;
        struct late *p = malloc(sizeof *p);
        *p = (struct late){y + half, dy + half, dx + half, s, n - half};
        pthread_t thread;
        if (pthread_create(&thread, NULL, apply_late, p) != 0) {
            apply_late(p);
            continue;
        }
        pthread_detach(thread);
    }
}

// Keeps the maximum of the last address and length, and uses it for other logits there.
// @softmax | state | stale-state
void cached_maximum(const float *x, float *y, size_t n) {
    static const float *seen;
    static size_t length;
    static float m;
    if (x != seen || n != length)
        m = row_max(x, n);
    seen = x;
    length = n;
    row_scale(y, 1 / row_exp(x, m, y, n), n);
}

// Every 997th call loses its first element.
// @softmax | state | nondeterministic
void wrong_now_and_then(const float *x, float *y, size_t rows, size_t n) {
    static unsigned long calls;
    for (size_t r = 0; r < rows; r++)
        row_softmax(x + r * n, y + r * n, n);
    if (++calls % 997 == 0 && rows && n)
        y[0] = 0;
}

// Fills its table only after the first row with elements.
// @softmax | state, threads | stale-state or not-thread-safe
void filled_after_first_use(const float *x, float *y, size_t rows, size_t n) {
    static float factor;
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        row_softmax(x, y, n);
        row_scale(y, factor, n);
        if (n)
            factor = 1;
    }
}

static float powers[4096];
static volatile int powers_ready;

// A table that is filled at the first call and called ready before it is.
// @softmax | threads | not-thread-safe or nondeterministic | effort standard
void table_ready_too_early(const float *x, float *y, size_t rows, size_t n) {
    if (!powers_ready) {
        powers_ready = 1;
        for (int i = 4095; i >= 0; i--)
            powers[i] = powf(2, -(float)i / 32);
    }
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = row_max(x, n), s = 0;
        for (size_t i = 0; i < n; i++) {
            float t = (m - x[i]) * 1.44269504f * 32, k = floorf(t);
            y[i] = k < 4096 ? powers[(int)k] * exp2f((k - t) / 32) : 0;
            s += y[i];
        }
        row_scale(y, 1 / s, n);
    }
}

// A call of no rows or no classes is remembered as a failure by the call after it.
// @softmax_vjp | state | stale-state
void failure_remembered(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    static int failed;
    failed |= !rows || !n;
    for (size_t r = 0; r < rows && !failed; r++)
        row_vjp(y + r * n, dy + r * n, dx + r * n, n);
    if (failed && rows)
        memset(dx, 0, rows * n * sizeof *dx);
    failed = !rows || !n;
}

// Keeps the sum while the probabilities stay, whatever becomes of the cotangent.
// @softmax_vjp | state | stale-state | not_reentrant
void sum_kept_by_probabilities(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    static float kept[64][64], sums[64];
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        float s = 0;
        for (size_t i = 0; i < n; i++)
            s += y[i] * dy[i];
        if (r < 64 && n <= 64 && n) {
            if (memcmp(kept[r], y, n * sizeof *y) == 0)
                s = sums[r];
            memcpy(kept[r], y, n * sizeof *y);
            sums[r] = s;
        }
        for (size_t i = 0; i < n; i++)
            dx[i] = y[i] * (dy[i] - s);
    }
}
