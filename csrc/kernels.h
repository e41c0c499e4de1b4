/* What the parts of the library share: one call, one table of kernels for each ISA, and how a call
   is cut into pieces for threads. */
#ifndef SOFTJAC_KERNELS_H
#define SOFTJAC_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "softjac.h"

/* One call. Inputs and the output are addressed by row strides in elements. */
typedef struct {
    const void *first;                     /* x or y */
    const void *second;                    /* dy, x_dot, target or labels; NULL for one-input ops */
    void *out;                             /* for the cross-entropies dx, which may be NULL */
    ptrdiff_t ld_first, ld_second, ld_out; /* for labels ld_second is their size, 4 or 8 bytes */
    size_t rows, n;
    double scale;
    void *loss;    /* of the cross-entropies, dense; may be NULL */
    void *scratch; /* a row, for the cross-entropies with a factor */
    /* Chosen in dispatch.c, by size and processor. */
    bool interleave; /* whether a product is written beside the next row's first pass */
    bool stream;     /* whether the result is written past the caches */
    bool any_label;  /* whether a label outside the classes is a row of NaN, not an error */
} softjac_call;

typedef enum {
    SOFTJAC_SOFTMAX,
    SOFTJAC_LOG_SOFTMAX,
    SOFTJAC_PRODUCT, /* VJP and JVP of softmax: its Jacobian is symmetric */
    SOFTJAC_LOG_VJP,
    SOFTJAC_LOG_JVP,
    SOFTJAC_JACOBIAN,
    SOFTJAC_LOG_JACOBIAN,
    SOFTJAC_CROSS_ENTROPY,
    SOFTJAC_CROSS_ENTROPY_LABELS,
    SOFTJAC_OPS, /* what is above has a kernel of its own, what follows is composed */
    SOFTJAC_PRODUCT_FROM_LOGITS = SOFTJAC_OPS
} softjac_op;

typedef enum { SOFTJAC_F32, SOFTJAC_F64, SOFTJAC_BF16, SOFTJAC_F16 } softjac_type;

/* The label of a row. */
static inline int64_t softjac_label(const softjac_call *call, size_t row) {
    return call->ld_second == 4 ? ((const int32_t *)call->second)[row]
                                : ((const int64_t *)call->second)[row];
}

/* Computes the units [begin, end) of a call: rows, or for the Jacobians their rows * n lines. */
typedef void softjac_kernel(const softjac_call *call, size_t begin, size_t end);

typedef struct softjac_executor softjac_executor;

typedef struct {
    const char *name;
    softjac_kernel *f32[SOFTJAC_OPS];
    softjac_kernel *f64[SOFTJAC_OPS];
    /* One row of softmax, log_softmax or the product, longer than 1 MB, on several threads; false
       where there is no memory. */
    bool (*split_f32)(softjac_op op, const softjac_call *call, size_t row,
                      const softjac_executor *executor);
    bool (*split_f64)(softjac_op op, const softjac_call *call, size_t row,
                      const softjac_executor *executor);
    void (*widen_bf16)(const uint16_t *from, float *to, size_t count);
    void (*widen_f16)(const uint16_t *from, float *to, size_t count);
    void (*narrow_bf16)(const float *from, uint16_t *to, size_t count);
    void (*narrow_f16)(const float *from, uint16_t *to, size_t count);
} softjac_table;

extern const softjac_table softjac_table_portable;
#if defined(__x86_64__) || defined(__i386__)
#define SOFTJAC_X86 1
extern const softjac_table softjac_table_avx2;
extern const softjac_table softjac_table_avx512;
#endif

/* Ops made of kernels, and 16-bit storage, over scratch memory of one batch of rows. */
softjac_status softjac_compose(const softjac_table *kernels, softjac_op op, softjac_type type,
                               const softjac_call *call, size_t begin, size_t end);

/* Where helpers come from: `submit` has `work(argument)` run on some other thread, later or never,
   or returns false. */
struct softjac_executor {
    bool (*submit)(void *context, void (*work)(void *), void *argument);
    void *context;
    int threads; /* the most that may work on a call, its own included */
};

/* Round to nearest, nothing flushed, nothing trapped, whatever the caller runs with (XLA flushes
   subnormals); leave restores what enter returned. */
unsigned long softjac_enter_environment(void);
void softjac_leave_environment(unsigned long before);

/* Runs piece(context, begin, end) over [0, units) in pieces, on this thread and on the executor's.
   Returns the first status that is not SOFTJAC_OK. */
softjac_status softjac_parallel(const softjac_executor *executor, size_t units,
                                softjac_status (*piece)(void *context, size_t begin, size_t end),
                                void *context);

/* Whether help pays for a call, by the size of its result. */
bool softjac_threads_pay(size_t bytes);

/* The library's own threads, as many as softjac_set_threads allows. */
softjac_executor softjac_own_threads(void);

/* Checks a call and runs it. */
softjac_status softjac_execute(softjac_op op, softjac_type type, const softjac_call *call,
                               const softjac_executor *executor);

#endif
