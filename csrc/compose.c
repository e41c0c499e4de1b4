/* Ops made of other ops' kernels, and 16-bit storage: a batch of rows that fits the second-level
   cache goes through scratch memory in full precision. The result has the bits of the composition.
 */
#include <stdlib.h>

#include "kernels.h"

/* Elements of a batch of short rows; a longer row is a batch of its own. */
enum { BATCH = 16384 };

static size_t element_size(softjac_type type) {
    return type == SOFTJAC_F64 ? 8 : type == SOFTJAC_F32 ? 4 : 2;
}

static const char *row_address(const void *base, ptrdiff_t stride, size_t row, size_t item) {
    return (const char *)base + (ptrdiff_t)row * stride * (ptrdiff_t)item;
}

typedef struct {
    const softjac_table *kernels;
    softjac_type type;
    size_t n;
} format;

static void widen(const format *f, const void *from, ptrdiff_t stride, size_t row, size_t rows,
                  float *to) {
    for (size_t r = 0; r < rows; r++) {
        const void *source = row_address(from, stride, row + r, 2);
        (f->type == SOFTJAC_BF16 ? f->kernels->widen_bf16
                                 : f->kernels->widen_f16)(source, to + r * f->n, f->n);
    }
}

static void narrow(const format *f, const float *from, void *to, ptrdiff_t stride, size_t row,
                   size_t rows) {
    for (size_t r = 0; r < rows; r++) {
        void *target = (void *)row_address(to, stride, row + r, 2);
        (f->type == SOFTJAC_BF16 ? f->kernels->narrow_bf16
                                 : f->kernels->narrow_f16)(from + r * f->n, target, f->n);
    }
}

/* The call on rows [row, row + rows), in full precision. */
static softjac_call part_of(const softjac_call *call, size_t item, size_t row, size_t rows) {
    softjac_call part = *call;
    part.rows = rows;
    part.first = row_address(call->first, call->ld_first, row, item);
    if (call->second) part.second = row_address(call->second, call->ld_second, row, item);
    if (call->out) part.out = (void *)row_address(call->out, call->ld_out, row, item);
    return part;
}

/* softmax into scratch, then the product from there. */
static void product_from_logits(softjac_kernel *const *op, size_t item, const softjac_call *call,
                                size_t row, size_t rows, void *scratch) {
    softjac_call part = part_of(call, item, row, rows), forward = part;
    forward.second = NULL;
    forward.stream = false;
    forward.out = scratch;
    forward.ld_out = (ptrdiff_t)call->n;
    op[SOFTJAC_SOFTMAX](&forward, 0, rows);
    part.first = scratch;
    part.ld_first = (ptrdiff_t)call->n;
    op[SOFTJAC_PRODUCT](&part, 0, rows);
}

/* One batch in 16-bit storage; scratch holds its inputs, the results come in place of the first. */
static void in_float(const format *f, softjac_op op, const softjac_call *call, size_t row,
                     size_t rows, float *scratch) {
    size_t size = rows * f->n;
    ptrdiff_t n = (ptrdiff_t)f->n;
    bool labels = op == SOFTJAC_CROSS_ENTROPY_LABELS;
    float *first = scratch, *second = scratch + size, *spare = second + size;
    float *loss = spare + f->n;
    softjac_call part = {first, NULL,        first, n,     n,     n,     rows,
                         f->n,  call->scale, NULL,  spare, false, false, false};
    widen(f, call->first, call->ld_first, row, rows, first);
    if (labels) {
        part.ld_second = call->ld_second;
        part.second = (const char *)call->second + row * (size_t)call->ld_second;
    } else if (call->second) {
        widen(f, call->second, call->ld_second, row, rows, second);
        part.second = second;
    }
    if (call->loss) part.loss = loss;
    if (!call->out) part.out = NULL;
    if (op == SOFTJAC_PRODUCT_FROM_LOGITS) {
        f->kernels->f32[SOFTJAC_SOFTMAX](&part, 0, rows);
        op = SOFTJAC_PRODUCT;
    }
    f->kernels->f32[op](&part, 0, rows);
    if (call->out) narrow(f, first, call->out, call->ld_out, row, rows);
    if (call->loss) {
        format column = {f->kernels, f->type, rows};
        narrow(&column, loss, (uint16_t *)call->loss + row, 0, 0, 1);
    }
}

/* Lines [begin, end) of the Jacobians in 16-bit storage, one at a time. */
static void jacobian_lines(const format *f, softjac_op op, const softjac_call *call, size_t begin,
                           size_t end, float *scratch) {
    size_t n = f->n, row = SIZE_MAX;
    float *y = scratch, *line = scratch + n;
    softjac_call part = {y, NULL,        line, (ptrdiff_t)n, 0,     0,     1,
                         n, call->scale, NULL, NULL,         false, false, false};
    for (size_t at = begin; at < end; at++) {
        if (at / n != row) {
            row = at / n;
            widen(f, call->first, call->ld_first, row, 1, y);
        }
        /* A stride of 0 puts every line where this one is wanted. */
        f->kernels->f32[op](&part, at % n, at % n + 1);
        narrow(f, line, call->out, call->ld_out, at, 1);
    }
}

softjac_status softjac_compose(const softjac_table *kernels, softjac_op op, softjac_type type,
                               const softjac_call *call, size_t begin, size_t end) {
    bool half = type == SOFTJAC_BF16 || type == SOFTJAC_F16;
    bool square = op == SOFTJAC_JACOBIAN || op == SOFTJAC_LOG_JACOBIAN;
    format f = {kernels, type, call->n};
    size_t n = call->n, item = element_size(type);
    size_t batch = square || n >= BATCH ? 1 : BATCH / n;
    if (!square && batch > end - begin) batch = end - begin;
    size_t scratch_size, wide = half ? 4 : item;
    if (__builtin_mul_overflow((2 * batch + 1) * n + batch, wide, &scratch_size))
        return SOFTJAC_NO_MEMORY;
    void *scratch = malloc(scratch_size);
    if (!scratch) return SOFTJAC_NO_MEMORY;
    if (square) {
        jacobian_lines(&f, op, call, begin, end, scratch);
    } else {
        for (size_t row = begin; row < end; row += batch) {
            size_t rows = end - row < batch ? end - row : batch;
            if (half)
                in_float(&f, op, call, row, rows, scratch);
            else
                product_from_logits(type == SOFTJAC_F64 ? kernels->f64 : kernels->f32, item, call,
                                    row, rows, scratch);
        }
    }
    free(scratch);
    return SOFTJAC_OK;
}
