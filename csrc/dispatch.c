/* The public functions: checks, the choice of kernels, the floating-point environment. */
#include "softjac.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

#ifdef SOFTJAC_X86
#include <immintrin.h>
#endif

/* In order of preference. The compiler's runtime asks CPUID and, for the wide registers, XGETBV. */
static const softjac_table *choose(void) {
    const softjac_table *usable[3];
    int count = 0;
#ifdef SOFTJAC_X86
    __builtin_cpu_init();
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
    if (avx512) usable[count++] = &softjac_table_avx512;
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                __builtin_cpu_supports("f16c");
    if (avx2) usable[count++] = &softjac_table_avx2;
#endif
    usable[count++] = &softjac_table_portable;
    const char *forced = getenv("SOFTJAC_FORCE_ISA");
    if (!forced || !*forced) return usable[0];
    for (int i = 0; i < count; i++)
        if (strcmp(usable[i]->name, forced) == 0) return usable[i];
    return NULL;
}

static const softjac_table *table(void) {
    static _Atomic(const softjac_table *) chosen;
    const softjac_table *found = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (!found) {
        found = choose();
        atomic_store_explicit(&chosen, found, memory_order_relaxed);
    }
    return found;
}

/* Round to nearest, nothing flushed, nothing trapped, whatever the caller runs with (XLA flushes
   subnormals). Returns what to restore. */
static unsigned long enter_environment(void) {
#ifdef SOFTJAC_X86
    unsigned int before = _mm_getcsr();
    _mm_setcsr(0x1f80);
    return before;
#elif defined(__aarch64__)
    unsigned long before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(0ul));
    return before;
#else
    return 0;
#endif
}

static void leave_environment(unsigned long before) {
#ifdef SOFTJAC_X86
    _mm_setcsr((unsigned int)before);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(before));
#else
    (void)before;
#endif
}

static size_t magnitude(ptrdiff_t stride) {
    return stride < 0 ? -(size_t)stride : (size_t)stride;
}

static softjac_status run(enum softjac_op op, bool wide, const softjac_call *call) {
    bool square = op == SOFTJAC_JACOBIAN || op == SOFTJAC_LOG_JACOBIAN;
    bool two_inputs = op == SOFTJAC_PRODUCT || op == SOFTJAC_LOG_VJP || op == SOFTJAC_LOG_JVP;
    const softjac_table *kernels = table();
    if (!kernels) return SOFTJAC_UNSUPPORTED_ISA;
    if (call->rows == 0 || call->n == 0) return SOFTJAC_OK;
    if (!call->first || !call->out || (two_inputs && !call->second)) return SOFTJAC_NULL_POINTER;
    if ((call->rows > 1 || square) && magnitude(call->ld_out) < call->n) return SOFTJAC_BAD_STRIDE;
    size_t elements, most = PTRDIFF_MAX / (wide ? 8 : 4);
    if (__builtin_mul_overflow(call->rows, call->n, &elements) || elements > most ||
        (square && (__builtin_mul_overflow(elements, call->n, &elements) || elements > most)))
        return SOFTJAC_TOO_LARGE;
    unsigned long environment = enter_environment();
    (wide ? kernels->f64 : kernels->f32)[op](call, 0, call->rows);
    leave_environment(environment);
    return SOFTJAC_OK;
}

int softjac_abi_version(void) { return SOFTJAC_ABI_VERSION; }

const char *softjac_isa(void) {
    const softjac_table *kernels = table();
    return kernels ? kernels->name : NULL;
}

const char *softjac_message(softjac_status status) {
    switch (status) {
        case SOFTJAC_OK: return "done";
        case SOFTJAC_NULL_POINTER: return "an array pointer is NULL";
        case SOFTJAC_BAD_STRIDE: return "rows of the output overlap: its stride is less than n";
        case SOFTJAC_TOO_LARGE: return "rows * n exceeds the address space";
        case SOFTJAC_UNSUPPORTED_ISA:
            return "SOFTJAC_FORCE_ISA must be portable, avx2 or avx512, and the processor have it";
    }
    return "unknown status";
}

#define ONE_INPUT(op, kernel, in, out, type, real, suffix, wide)                                   \
    softjac_status softjac_##op##_##suffix(const type *in, type *out, size_t rows, size_t n) {     \
        ptrdiff_t ld = (ptrdiff_t)n;                                                               \
        return run(kernel, wide, &(softjac_call){in, NULL, out, ld, 0, ld, rows, n, 1.0});         \
    }                                                                                              \
    softjac_status softjac_##op##_strided_##suffix(const type *in, ptrdiff_t ld##in, type *out,    \
                                                   ptrdiff_t ld##out, size_t rows, size_t n,       \
                                                   real scale) {                                   \
        return run(kernel, wide,                                                                   \
                   &(softjac_call){in, NULL, out, ld##in, 0, ld##out, rows, n, scale});            \
    }

#define TWO_INPUTS(op, kernel, in, with, out, type, real, suffix, wide)                            \
    softjac_status softjac_##op##_##suffix(const type *in, const type *with, type *out,            \
                                           size_t rows, size_t n) {                                \
        ptrdiff_t ld = (ptrdiff_t)n;                                                               \
        return run(kernel, wide, &(softjac_call){in, with, out, ld, ld, ld, rows, n, 1.0});        \
    }                                                                                              \
    softjac_status softjac_##op##_strided_##suffix(                                                \
        const type *in, ptrdiff_t ld##in, const type *with, ptrdiff_t ld##with, type *out,         \
        ptrdiff_t ld##out, size_t rows, size_t n, real scale) {                                    \
        return run(kernel, wide,                                                                   \
                   &(softjac_call){in, with, out, ld##in, ld##with, ld##out, rows, n, scale});     \
    }

#define ALL_OPS(type, real, suffix, wide)                                                          \
    ONE_INPUT(softmax, SOFTJAC_SOFTMAX, x, y, type, real, suffix, wide)                            \
    ONE_INPUT(log_softmax, SOFTJAC_LOG_SOFTMAX, x, y, type, real, suffix, wide)                    \
    ONE_INPUT(softmax_jacobian, SOFTJAC_JACOBIAN, y, jac, type, real, suffix, wide)                \
    ONE_INPUT(log_softmax_jacobian, SOFTJAC_LOG_JACOBIAN, y, jac, type, real, suffix, wide)        \
    TWO_INPUTS(softmax_vjp, SOFTJAC_PRODUCT, y, dy, dx, type, real, suffix, wide)                  \
    TWO_INPUTS(softmax_jvp, SOFTJAC_PRODUCT, y, x_dot, y_dot, type, real, suffix, wide)            \
    TWO_INPUTS(log_softmax_vjp, SOFTJAC_LOG_VJP, y, dy, dx, type, real, suffix, wide)              \
    TWO_INPUTS(log_softmax_jvp, SOFTJAC_LOG_JVP, y, x_dot, y_dot, type, real, suffix, wide)

ALL_OPS(float, float, f32, false)
ALL_OPS(double, double, f64, true)
