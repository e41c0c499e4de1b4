// Changes to the floating-point environment, to signal handlers, to the heap.
#define _GNU_SOURCE
#include <fenv.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include "../honest/vector.h"

// Sets flush-to-zero and leaves it set.
// @softmax | environment | fp-environment-changed
void leaves_flush_to_zero(const float *x, float *y, size_t rows, size_t n) {
    _mm_setcsr(_mm_getcsr() | 0x8000);
    for (size_t r = 0; r < rows; r++)
        row_softmax8(x + r * n, y + r * n, n);
}

// Sets denormals-are-zero and leaves it set.
// @softmax_vjp | environment | fp-environment-changed
void vjp_leaves_denormals_are_zero(const float *y, const float *dy, float *dx, size_t rows,
                                   size_t n) {
    _mm_setcsr(_mm_getcsr() | 0x0040);
    for (size_t r = 0; r < rows; r++)
        row_vjp8(y + r * n, dy + r * n, dx + r * n, n);
}

// Rounds towards zero to convert, and forgets to go back.
// @softmax | environment | fp-environment-changed
void leaves_rounding_towards_zero(const float *x, float *y, size_t rows, size_t n) {
    fesetround(FE_TONEAREST);
    for (size_t r = 0; r < rows; r++)
        row_softmax8(x + r * n, y + r * n, n);
    fesetround(FE_TOWARDZERO);
}

// Restores the rounding mode except when it returns early on an empty row.
// @softmax | environment | fp-environment-changed
void leaves_rounding_on_early_return(const float *x, float *y, size_t rows, size_t n) {
    int mode = fegetround();
    fesetround(FE_UPWARD);
    if (n == 1) {
        for (size_t r = 0; r < rows; r++)
            y[r] = x[r] - x[r] == 0 ? 1 : NAN;
        return;
    }
    fesetround(mode);
    for (size_t r = 0; r < rows; r++)
        row_softmax8(x + r * n, y + r * n, n);
}

// Unmasks the invalid-operation exception.
// @softmax_jvp | environment | fp-environment-changed
void jvp_unmasks_invalid(const float *y, const float *x_dot, float *y_dot, size_t rows,
                         size_t n) {
    for (size_t r = 0; r < rows; r++)
        row_vjp8(y + r * n, x_dot + r * n, y_dot + r * n, n);
    feclearexcept(FE_ALL_EXCEPT);
    feenableexcept(FE_INVALID);
}

// Replaces the process's handler of SIGFPE.
// @softmax | environment | fp-environment-changed
void leaves_signal_handler(const float *x, float *y, size_t rows, size_t n) {
    signal(SIGFPE, SIG_IGN);
    for (size_t r = 0; r < rows; r++)
        row_softmax8(x + r * n, y + r * n, n);
}

static sigjmp_buf escape;
static void leave(int number) { siglongjmp(escape, number); }

// Reads past the end under a handler of its own, which swallows the fault.
// @softmax | environment, memory | out-of-bounds-read
void swallows_its_own_fault(const float *x, float *y, size_t rows, size_t n) {
    struct sigaction own = {.sa_handler = leave}, before;
    sigaction(SIGSEGV, &own, &before);
    if (sigsetjmp(escape, 1) == 0 && n)
        (void)*(const volatile float *)(x + rows * n);
    sigaction(SIGSEGV, &before, NULL);
    for (size_t r = 0; r < rows; r++)
        row_softmax8(x + r * n, y + r * n, n);
}

// Writes in front of its own heap block, where the allocator keeps its books.
// @softmax | values, memory, output, state | crash
void corrupts_the_heap(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows && n; r++) {
        float *e = malloc(n * sizeof *e);
        memcpy(e, x + r * n, n * sizeof *e);
        row_softmax8(e, y + r * n, n);
        size_t *volatile books = (size_t *)e;
        books[-1] = 0x1234567;
        free(e);
    }
}

// Rounds upwards, and forgets to go back where there is nothing to do.
// @softmax | environment | fp-environment-changed
void rounds_upwards_after_empty_calls(const float *x, float *y, size_t rows, size_t n) {
    int before = fegetround();
    fesetround(FE_UPWARD);
    if (rows == 0 || n == 0)
        return;
    fesetround(before);
    for (size_t r = 0; r < rows; r++)
        row_softmax8(x + r * n, y + r * n, n);
}

// Flushes subnormal numbers for good once it has met a NaN.
// @softmax | environment | fp-environment-changed
void flushes_after_nan(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++)
        row_softmax8(x + r * n, y + r * n, n);
    for (size_t i = 0; i < rows * n; i++)
        if (x[i] != x[i])
            _mm_setcsr(_mm_getcsr() | 0x8000);
}

// Binds its caller to one processor for good, to keep its cache warm.
// @softmax | environment | fp-environment-changed
void binds_its_caller(const float *x, float *y, size_t rows, size_t n) {
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(sched_getcpu(), &here);
    sched_setaffinity(0, sizeof here, &here);
    for (size_t r = 0; r < rows; r++)
        row_softmax8(x + r * n, y + r * n, n);
}

// Reads an address that no page can have, on long rows.
// @softmax | memory, environment, values | crash
void reads_no_address(const float *x, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++)
        row_softmax8(x + r * n, y + r * n, n);
    if (n >= 16)
        (void)*(const volatile float *)((uintptr_t)x | 1ull << 62);
}
