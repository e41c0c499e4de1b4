/* The public functions: each packs its arguments into one call. */
#include "kernels.h"

#define ONE_INPUT(op, kernel, in, out, c_type, real, suffix, type)                                 \
    softjac_status softjac_##op##_##suffix(const c_type *in, c_type *out, size_t rows, size_t n) { \
        ptrdiff_t ld = (ptrdiff_t)n;                                                               \
        return run(kernel, type,                                                                   \
                   &(softjac_call){in, NULL, out, ld, 0, ld, rows, n, 1.0, NULL, NULL, false,      \
                                   false, false});                                                 \
    }                                                                                              \
    softjac_status softjac_##op##_strided_##suffix(const c_type *in, ptrdiff_t ld##in,             \
                                                   c_type *out, ptrdiff_t ld##out, size_t rows,    \
                                                   size_t n, real scale) {                         \
        return run(kernel, type,                                                                   \
                   &(softjac_call){in, NULL, out, ld##in, 0, ld##out, rows, n, scale, NULL, NULL,  \
                                   false, false, false});                                          \
    }

#define TWO_INPUTS(op, kernel, in, with, out, c_type, real, suffix, type)                          \
    softjac_status softjac_##op##_##suffix(const c_type *in, const c_type *with, c_type *out,      \
                                           size_t rows, size_t n) {                                \
        ptrdiff_t ld = (ptrdiff_t)n;                                                               \
        return run(kernel, type,                                                                   \
                   &(softjac_call){in, with, out, ld, ld, ld, rows, n, 1.0, NULL, NULL, false,     \
                                   false, false});                                                 \
    }                                                                                              \
    softjac_status softjac_##op##_strided_##suffix(                                                \
        const c_type *in, ptrdiff_t ld##in, const c_type *with, ptrdiff_t ld##with, c_type *out,   \
        ptrdiff_t ld##out, size_t rows, size_t n, real scale) {                                    \
        return run(kernel, type,                                                                   \
                   &(softjac_call){in, with, out, ld##in, ld##with, ld##out, rows, n, scale, NULL, \
                                   NULL, false, false, false});                                    \
    }

#define CROSS_ENTROPY(c_type, real, suffix, type)                                                  \
    softjac_status softjac_cross_entropy_##suffix(                                                 \
        const c_type *x, const c_type *target, c_type *loss, c_type *dx, size_t rows, size_t n) {  \
        ptrdiff_t ld = (ptrdiff_t)n;                                                               \
        return run(SOFTJAC_CROSS_ENTROPY, type,                                                    \
                   &(softjac_call){x, target, dx, ld, ld, ld, rows, n, 1.0, loss, NULL, false,     \
                                   false, false});                                                 \
    }                                                                                              \
    softjac_status softjac_cross_entropy_strided_##suffix(                                         \
        const c_type *x, ptrdiff_t ldx, const c_type *target, ptrdiff_t ldtarget, c_type *loss,    \
        c_type *dx, ptrdiff_t lddx, size_t rows, size_t n, real scale) {                           \
        return run(SOFTJAC_CROSS_ENTROPY, type,                                                    \
                   &(softjac_call){x, target, dx, ldx, ldtarget, lddx, rows, n, scale, loss, NULL, \
                                   false, false, false});                                          \
    }                                                                                              \
    softjac_status softjac_cross_entropy_labels_##suffix(                                          \
        const c_type *x, const int64_t *labels, c_type *loss, c_type *dx, size_t rows, size_t n) { \
        ptrdiff_t ld = (ptrdiff_t)n;                                                               \
        return run(SOFTJAC_CROSS_ENTROPY_LABELS, type,                                             \
                   &(softjac_call){x, labels, dx, ld, 8, ld, rows, n, 1.0, loss, NULL, false,      \
                                   false, false});                                                 \
    }                                                                                              \
    softjac_status softjac_cross_entropy_labels_strided_##suffix(                                  \
        const c_type *x, ptrdiff_t ldx, const int64_t *labels, c_type *loss, c_type *dx,           \
        ptrdiff_t lddx, size_t rows, size_t n, real scale) {                                       \
        return run(SOFTJAC_CROSS_ENTROPY_LABELS, type,                                             \
                   &(softjac_call){x, labels, dx, ldx, 8, lddx, rows, n, scale, loss, NULL, false, \
                                   false, false});                                                 \
    }

#define ALL_OPS(c_type, real, suffix, type)                                                        \
    ONE_INPUT(softmax, SOFTJAC_SOFTMAX, x, y, c_type, real, suffix, type)                          \
    ONE_INPUT(log_softmax, SOFTJAC_LOG_SOFTMAX, x, y, c_type, real, suffix, type)                  \
    ONE_INPUT(softmax_jacobian, SOFTJAC_JACOBIAN, y, jac, c_type, real, suffix, type)              \
    ONE_INPUT(log_softmax_jacobian, SOFTJAC_LOG_JACOBIAN, y, jac, c_type, real, suffix, type)      \
    TWO_INPUTS(softmax_vjp, SOFTJAC_PRODUCT, y, dy, dx, c_type, real, suffix, type)                \
    TWO_INPUTS(softmax_jvp, SOFTJAC_PRODUCT, y, x_dot, y_dot, c_type, real, suffix, type)          \
    TWO_INPUTS(softmax_vjp_from_logits, SOFTJAC_PRODUCT_FROM_LOGITS, x, dy, dx, c_type, real,      \
               suffix, type)                                                                       \
    TWO_INPUTS(log_softmax_vjp, SOFTJAC_LOG_VJP, y, dy, dx, c_type, real, suffix, type)            \
    TWO_INPUTS(log_softmax_jvp, SOFTJAC_LOG_JVP, y, x_dot, y_dot, c_type, real, suffix, type)      \
    CROSS_ENTROPY(c_type, real, suffix, type)

static softjac_status run(softjac_op op, softjac_type type, const softjac_call *call) {
    softjac_executor own = softjac_own_threads();
    return softjac_execute(op, type, call, &own);
}

ALL_OPS(float, float, f32, SOFTJAC_F32)
ALL_OPS(double, double, f64, SOFTJAC_F64)
ALL_OPS(uint16_t, float, bf16, SOFTJAC_BF16)
ALL_OPS(uint16_t, float, f16, SOFTJAC_F16)
