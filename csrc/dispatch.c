/* From a call to its kernel: the choice of ISA, the checks, the floating-point environment. */
#include "softjac.h"

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

/* Writing MXCSR twice was a third of a VJP's time at n = 8: it is left alone where it differs in
   its flags of past exceptions only, the low six bits. */
unsigned long softjac_enter_environment(void) {
#ifdef SOFTJAC_X86
    const unsigned int flags = 0x3f, wanted = 0x1f80;
    unsigned int before = _mm_getcsr();
    if ((before & ~flags) != wanted) _mm_setcsr(wanted);
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

void softjac_leave_environment(unsigned long before) {
#ifdef SOFTJAC_X86
    if (_mm_getcsr() != before) _mm_setcsr((unsigned int)before);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(before));
#else
    (void)before;
#endif
}

static size_t magnitude(ptrdiff_t stride) { return stride < 0 ? -(size_t)stride : (size_t)stride; }

typedef struct {
    const softjac_table *kernels;
    const softjac_call *call;
    softjac_op op;
    softjac_type type;
} work;

static bool on_intel(void) {
#ifdef SOFTJAC_X86
    return __builtin_cpu_is("intel");
#else
    return false;
#endif
}

/* Writing one row's product beside the first pass over the next overlaps reading and writing. With
   rows that fit the second-level cache that was measured to help on Intel (Sapphire Rapids: 512 x
   50257 from 1.3 to 1.05 of the memory's limit) and to hurt on AMD (Zen 4: from 1.25 to 1.6). */
static bool interleaves(size_t row_bytes) { return row_bytes > 400000 || on_intel(); }

/* A result that does not stay near is written past the caches. On Intel that is what leaves the
   second level (Sapphire Rapids, 1024 x 1024: a copy takes 0.29 ns a number through the caches and
   0.22 past them) unless nothing is read besides, as for a Jacobian (three times as slow at 4 MB);
   the third level of Zen 4 keeps 16 MB as near. */
static bool streams(size_t result_bytes, bool square) {
    return result_bytes >= (size_t)(on_intel() && !square ? 2 : 16) << 20;
}

/* Units [begin, end) of a call, on whichever thread. */
static softjac_status run_piece(void *context, size_t begin, size_t end) {
    const work *w = context;
    softjac_status status = SOFTJAC_OK;
    bool compose = w->op >= SOFTJAC_OPS || w->type == SOFTJAC_BF16 || w->type == SOFTJAC_F16;
    softjac_call call = *w->call;
    bool entropy = w->op == SOFTJAC_CROSS_ENTROPY || w->op == SOFTJAC_CROSS_ENTROPY_LABELS;
    if (entropy && call.scale != 1 && !compose) {
        call.scratch = malloc(call.n * (w->type == SOFTJAC_F64 ? 8 : 4));
        if (!call.scratch) return SOFTJAC_NO_MEMORY;
    }
    unsigned long environment = softjac_enter_environment();
    if (compose)
        status = softjac_compose(w->kernels, w->op, w->type, &call, begin, end);
    else
        (w->type == SOFTJAC_F64 ? w->kernels->f64 : w->kernels->f32)[w->op](&call, begin, end);
    softjac_leave_environment(environment);
    free(call.scratch);
    return status;
}

/* Whether every label is a class. */
static bool labels_fit(const softjac_call *call) {
    for (size_t r = 0; r < call->rows; r++) {
        int64_t label = softjac_label(call, r);
        if (label < 0 || (uint64_t)label >= call->n) return false;
    }
    return true;
}

/* Whether dense rows at `input` lie partly, or for a matrix at all, on those at the output. Rows
   with gaps may interleave and are the caller's business. */
static bool overlaps(const void *input, ptrdiff_t ld, const softjac_call *call, size_t in_bytes,
                     size_t out_bytes) {
    if (!input || !call->out || ld != (ptrdiff_t)call->n || call->ld_out != ld) return false;
    uintptr_t in = (uintptr_t)input, out = (uintptr_t)call->out;
    if (in == out && in_bytes == out_bytes) return false;
    return in < out + out_bytes && out < in + in_bytes;
}

/* Bytes of a row from which threads share it, where there are fewer rows than threads. */
enum { LONG_ROW = 1 << 20 };

static softjac_status split_rows(const work *w, const softjac_executor *executor) {
    bool done = true;
    unsigned long environment = softjac_enter_environment();
    for (size_t r = 0; done && r < w->call->rows; r++)
        done = (w->type == SOFTJAC_F64 ? w->kernels->split_f64
                                       : w->kernels->split_f32)(w->op, w->call, r, executor);
    softjac_leave_environment(environment);
    return done ? SOFTJAC_OK : SOFTJAC_NO_MEMORY;
}

softjac_status softjac_execute(softjac_op op, softjac_type type, const softjac_call *call,
                               const softjac_executor *executor) {
    bool square = op == SOFTJAC_JACOBIAN || op == SOFTJAC_LOG_JACOBIAN;
    bool entropy = op == SOFTJAC_CROSS_ENTROPY || op == SOFTJAC_CROSS_ENTROPY_LABELS;
    bool one_input = square || op == SOFTJAC_SOFTMAX || op == SOFTJAC_LOG_SOFTMAX;
    size_t item = type == SOFTJAC_F64 ? 8 : type == SOFTJAC_F32 ? 4 : 2;
    const softjac_table *kernels = table();
    if (!kernels) return SOFTJAC_UNSUPPORTED_ISA;
    if (call->rows == 0 || call->n == 0) return SOFTJAC_OK;
    if (!call->first || (!one_input && !call->second) || (!entropy && !call->out))
        return SOFTJAC_NULL_POINTER;
    if ((call->rows > 1 || square) && call->out && magnitude(call->ld_out) < call->n)
        return SOFTJAC_BAD_STRIDE;
    size_t elements, most = PTRDIFF_MAX / item;
    if (__builtin_mul_overflow(call->rows, call->n, &elements) || elements > most ||
        (square && (__builtin_mul_overflow(elements, call->n, &elements) || elements > most)))
        return SOFTJAC_TOO_LARGE;
    if (op == SOFTJAC_CROSS_ENTROPY_LABELS && !call->any_label && !labels_fit(call))
        return SOFTJAC_BAD_LABEL;
    size_t bytes = call->rows * call->n * item;
    if (overlaps(call->first, call->ld_first, call, bytes, elements * item) ||
        (op != SOFTJAC_CROSS_ENTROPY_LABELS &&
         overlaps(call->second, call->ld_second, call, bytes, elements * item)))
        return SOFTJAC_OVERLAP;
    softjac_call tuned = *call;
    tuned.interleave = interleaves(call->n * item);
    tuned.stream = call->scale == 1 && streams(elements * item, square);
    work w = {kernels, &tuned, op, type};
    size_t units = square ? call->rows * call->n : call->rows;
    if (executor->threads < 2 || !softjac_threads_pay(elements * item))
        return run_piece(&w, 0, units);
    bool splits = op == SOFTJAC_SOFTMAX || op == SOFTJAC_LOG_SOFTMAX || op == SOFTJAC_PRODUCT;
    bool wide = type == SOFTJAC_F64;
    if (splits && call->n * item > LONG_ROW && call->rows < (size_t)executor->threads &&
        call->scale == 1 && (wide || type == SOFTJAC_F32))
        return split_rows(&w, executor);
    return softjac_parallel(executor, units, run_piece, &w);
}

int softjac_abi_version(void) { return SOFTJAC_ABI_VERSION; }

const char *softjac_isa(void) {
    const softjac_table *kernels = table();
    return kernels ? kernels->name : NULL;
}

const char *softjac_message(softjac_status status) {
    switch (status) {
    case SOFTJAC_OK:
        return "done";
    case SOFTJAC_NULL_POINTER:
        return "an array pointer is NULL";
    case SOFTJAC_BAD_STRIDE:
        return "rows of the output overlap: its stride is less than n";
    case SOFTJAC_TOO_LARGE:
        return "rows * n exceeds the address space";
    case SOFTJAC_UNSUPPORTED_ISA:
        return "SOFTJAC_FORCE_ISA must be portable, avx2 or avx512, and the processor have it";
    case SOFTJAC_NO_MEMORY:
        return "no memory for scratch";
    case SOFTJAC_BAD_LABEL:
        return "a label is not one of 0 to n - 1";
    case SOFTJAC_OVERLAP:
        return "the output overlaps an input without being the same array";
    }
    return "unknown status";
}
