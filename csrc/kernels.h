/* What the parts of the library share: one call, one table of row kernels for each ISA. */
#ifndef SOFTJAC_KERNELS_H
#define SOFTJAC_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Rows of one call. Inputs and the output are addressed by row strides in elements. */
typedef struct {
    const void *first;  /* x or y */
    const void *second; /* dy, x_dot; NULL for one-input ops */
    void *out;
    ptrdiff_t ld_first, ld_second, ld_out;
    size_t rows, n;
    double scale;
} softjac_call;

/* Computes rows [begin, end) of a call. */
typedef void softjac_row_kernel(const softjac_call *call, size_t begin, size_t end);

enum softjac_op {
    SOFTJAC_SOFTMAX,
    SOFTJAC_LOG_SOFTMAX,
    SOFTJAC_PRODUCT, /* y * (dy - sum(y * dy)): VJP and JVP of softmax, J being symmetric */
    SOFTJAC_LOG_VJP,
    SOFTJAC_LOG_JVP,
    SOFTJAC_JACOBIAN,
    SOFTJAC_LOG_JACOBIAN,
    SOFTJAC_OPS
};

typedef struct {
    const char *name;
    softjac_row_kernel *f32[SOFTJAC_OPS];
    softjac_row_kernel *f64[SOFTJAC_OPS];
} softjac_table;

extern const softjac_table softjac_table_portable;
#if defined(__x86_64__) || defined(__i386__)
#define SOFTJAC_X86 1
extern const softjac_table softjac_table_avx2;
extern const softjac_table softjac_table_avx512;
#endif

#endif
