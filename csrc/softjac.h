/* softjac: softmax, log_softmax and their derivatives, in C.

   Every function works on `rows` rows of `n` elements and returns a status. The plain form takes
   dense rows; the strided form takes the distance between rows in elements behind each array (any
   sign; 0 repeats a row of an input) and a factor c on the logits (in the plain form c = 1). bf16
   and f16 arrays are uint16_t, with arithmetic in float and one rounding at the end. No state is
   kept, any number of callers may run at once. The output may be one of the inputs, exactly, except
   for the Jacobians, whose stride is that of the n lines of a row's matrix; otherwise arrays must
   not overlap. n = 0 and rows = 0 are no error and touch nothing.

   The result has the same bits on every instruction set, at any alignment and stride, in place or
   not, alone or in a batch. NaN anywhere, +inf among the logits, or -inf alone gives a row of NaN;
   -inf on some logits gives probability 0 there. */
#ifndef SOFTJAC_H
#define SOFTJAC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

/* Everything from here to the end marker is also read by cffi: plain declarations only. */

#define SOFTJAC_ABI_VERSION 1

typedef enum {
    SOFTJAC_OK = 0,
    SOFTJAC_NULL_POINTER = 1,    /* an array is NULL though rows and n are not 0 */
    SOFTJAC_BAD_STRIDE = 2,      /* rows of the output overlap: |stride| < n */
    SOFTJAC_TOO_LARGE = 3,       /* an array would not fit the address space */
    SOFTJAC_UNSUPPORTED_ISA = 4, /* SOFTJAC_FORCE_ISA names none that this processor has */
    SOFTJAC_NO_MEMORY = 5,       /* none left for scratch: 16-bit types and from_logits need some */
    SOFTJAC_BAD_LABEL = 6,       /* a label is not one of 0 to n - 1 */
    SOFTJAC_OVERLAP = 7          /* dense arrays overlap without being the same */
} softjac_status;

/* SOFTJAC_ABI_VERSION of the library that is loaded. */
int softjac_abi_version(void);

/* "portable", "avx2" or "avx512": what runs here; NULL where SOFTJAC_FORCE_ISA cannot be met. */
const char *softjac_isa(void);

/* One sentence for a status. */
const char *softjac_message(softjac_status status);

/* How many threads a call may use, where that pays; 1 unless set. For the whole process. */
void softjac_set_threads(int threads);

/* y_i = exp(c x_i - m) / sum_j exp(c x_j - m), m = max c x. */
softjac_status softjac_softmax_f32(const float *x, float *y, size_t rows, size_t n);
softjac_status softjac_softmax_f64(const double *x, double *y, size_t rows, size_t n);
softjac_status softjac_softmax_bf16(const uint16_t *x, uint16_t *y, size_t rows, size_t n);
softjac_status softjac_softmax_f16(const uint16_t *x, uint16_t *y, size_t rows, size_t n);
softjac_status softjac_softmax_strided_f32(const float *x, ptrdiff_t ldx, float *y, ptrdiff_t ldy,
                                           size_t rows, size_t n, float scale);
softjac_status softjac_softmax_strided_f64(const double *x, ptrdiff_t ldx, double *y, ptrdiff_t ldy,
                                           size_t rows, size_t n, double scale);
softjac_status softjac_softmax_strided_bf16(const uint16_t *x, ptrdiff_t ldx, uint16_t *y,
                                            ptrdiff_t ldy, size_t rows, size_t n, float scale);
softjac_status softjac_softmax_strided_f16(const uint16_t *x, ptrdiff_t ldx, uint16_t *y,
                                           ptrdiff_t ldy, size_t rows, size_t n, float scale);

/* y_i = (c x_i - m) - log sum_j exp(c x_j - m). */
softjac_status softjac_log_softmax_f32(const float *x, float *y, size_t rows, size_t n);
softjac_status softjac_log_softmax_f64(const double *x, double *y, size_t rows, size_t n);
softjac_status softjac_log_softmax_bf16(const uint16_t *x, uint16_t *y, size_t rows, size_t n);
softjac_status softjac_log_softmax_f16(const uint16_t *x, uint16_t *y, size_t rows, size_t n);
softjac_status softjac_log_softmax_strided_f32(const float *x, ptrdiff_t ldx, float *y,
                                               ptrdiff_t ldy, size_t rows, size_t n, float scale);
softjac_status softjac_log_softmax_strided_f64(const double *x, ptrdiff_t ldx, double *y,
                                               ptrdiff_t ldy, size_t rows, size_t n, double scale);
softjac_status softjac_log_softmax_strided_bf16(const uint16_t *x, ptrdiff_t ldx, uint16_t *y,
                                                ptrdiff_t ldy, size_t rows, size_t n, float scale);
softjac_status softjac_log_softmax_strided_f16(const uint16_t *x, ptrdiff_t ldx, uint16_t *y,
                                               ptrdiff_t ldy, size_t rows, size_t n, float scale);

/* dx_i = c y_i (dy_i - sum_j y_j dy_j), y = softmax(c x). dx may be y or dy. */
softjac_status softjac_softmax_vjp_f32(const float *y, const float *dy, float *dx, size_t rows,
                                       size_t n);
softjac_status softjac_softmax_vjp_f64(const double *y, const double *dy, double *dx, size_t rows,
                                       size_t n);
softjac_status softjac_softmax_vjp_bf16(const uint16_t *y, const uint16_t *dy, uint16_t *dx,
                                        size_t rows, size_t n);
softjac_status softjac_softmax_vjp_f16(const uint16_t *y, const uint16_t *dy, uint16_t *dx,
                                       size_t rows, size_t n);
softjac_status softjac_softmax_vjp_strided_f32(const float *y, ptrdiff_t ldy, const float *dy,
                                               ptrdiff_t lddy, float *dx, ptrdiff_t lddx,
                                               size_t rows, size_t n, float scale);
softjac_status softjac_softmax_vjp_strided_f64(const double *y, ptrdiff_t ldy, const double *dy,
                                               ptrdiff_t lddy, double *dx, ptrdiff_t lddx,
                                               size_t rows, size_t n, double scale);
softjac_status softjac_softmax_vjp_strided_bf16(const uint16_t *y, ptrdiff_t ldy,
                                                const uint16_t *dy, ptrdiff_t lddy, uint16_t *dx,
                                                ptrdiff_t lddx, size_t rows, size_t n, float scale);
softjac_status softjac_softmax_vjp_strided_f16(const uint16_t *y, ptrdiff_t ldy, const uint16_t *dy,
                                               ptrdiff_t lddy, uint16_t *dx, ptrdiff_t lddx,
                                               size_t rows, size_t n, float scale);

/* y_dot_i = c y_i (x_dot_i - sum_j y_j x_dot_j). y_dot may be y or x_dot. */
softjac_status softjac_softmax_jvp_f32(const float *y, const float *x_dot, float *y_dot,
                                       size_t rows, size_t n);
softjac_status softjac_softmax_jvp_f64(const double *y, const double *x_dot, double *y_dot,
                                       size_t rows, size_t n);
softjac_status softjac_softmax_jvp_bf16(const uint16_t *y, const uint16_t *x_dot, uint16_t *y_dot,
                                        size_t rows, size_t n);
softjac_status softjac_softmax_jvp_f16(const uint16_t *y, const uint16_t *x_dot, uint16_t *y_dot,
                                       size_t rows, size_t n);
softjac_status softjac_softmax_jvp_strided_f32(const float *y, ptrdiff_t ldy, const float *x_dot,
                                               ptrdiff_t ldx_dot, float *y_dot, ptrdiff_t ldy_dot,
                                               size_t rows, size_t n, float scale);
softjac_status softjac_softmax_jvp_strided_f64(const double *y, ptrdiff_t ldy, const double *x_dot,
                                               ptrdiff_t ldx_dot, double *y_dot, ptrdiff_t ldy_dot,
                                               size_t rows, size_t n, double scale);
softjac_status softjac_softmax_jvp_strided_bf16(const uint16_t *y, ptrdiff_t ldy,
                                                const uint16_t *x_dot, ptrdiff_t ldx_dot,
                                                uint16_t *y_dot, ptrdiff_t ldy_dot, size_t rows,
                                                size_t n, float scale);
softjac_status softjac_softmax_jvp_strided_f16(const uint16_t *y, ptrdiff_t ldy,
                                               const uint16_t *x_dot, ptrdiff_t ldx_dot,
                                               uint16_t *y_dot, ptrdiff_t ldy_dot, size_t rows,
                                               size_t n, float scale);

/* jac[r][i][j] = c y_i (delta_ij - y_j). */
softjac_status softjac_softmax_jacobian_f32(const float *y, float *jac, size_t rows, size_t n);
softjac_status softjac_softmax_jacobian_f64(const double *y, double *jac, size_t rows, size_t n);
softjac_status softjac_softmax_jacobian_bf16(const uint16_t *y, uint16_t *jac, size_t rows,
                                             size_t n);
softjac_status softjac_softmax_jacobian_f16(const uint16_t *y, uint16_t *jac, size_t rows,
                                            size_t n);
softjac_status softjac_softmax_jacobian_strided_f32(const float *y, ptrdiff_t ldy, float *jac,
                                                    ptrdiff_t ldjac, size_t rows, size_t n,
                                                    float scale);
softjac_status softjac_softmax_jacobian_strided_f64(const double *y, ptrdiff_t ldy, double *jac,
                                                    ptrdiff_t ldjac, size_t rows, size_t n,
                                                    double scale);
softjac_status softjac_softmax_jacobian_strided_bf16(const uint16_t *y, ptrdiff_t ldy,
                                                     uint16_t *jac, ptrdiff_t ldjac, size_t rows,
                                                     size_t n, float scale);
softjac_status softjac_softmax_jacobian_strided_f16(const uint16_t *y, ptrdiff_t ldy, uint16_t *jac,
                                                    ptrdiff_t ldjac, size_t rows, size_t n,
                                                    float scale);

/* dx_i = c (dy_i - exp(y_i) sum_j dy_j), y = log_softmax(c x). dx may be y or dy. */
softjac_status softjac_log_softmax_vjp_f32(const float *y, const float *dy, float *dx, size_t rows,
                                           size_t n);
softjac_status softjac_log_softmax_vjp_f64(const double *y, const double *dy, double *dx,
                                           size_t rows, size_t n);
softjac_status softjac_log_softmax_vjp_bf16(const uint16_t *y, const uint16_t *dy, uint16_t *dx,
                                            size_t rows, size_t n);
softjac_status softjac_log_softmax_vjp_f16(const uint16_t *y, const uint16_t *dy, uint16_t *dx,
                                           size_t rows, size_t n);
softjac_status softjac_log_softmax_vjp_strided_f32(const float *y, ptrdiff_t ldy, const float *dy,
                                                   ptrdiff_t lddy, float *dx, ptrdiff_t lddx,
                                                   size_t rows, size_t n, float scale);
softjac_status softjac_log_softmax_vjp_strided_f64(const double *y, ptrdiff_t ldy, const double *dy,
                                                   ptrdiff_t lddy, double *dx, ptrdiff_t lddx,
                                                   size_t rows, size_t n, double scale);
softjac_status softjac_log_softmax_vjp_strided_bf16(const uint16_t *y, ptrdiff_t ldy,
                                                    const uint16_t *dy, ptrdiff_t lddy,
                                                    uint16_t *dx, ptrdiff_t lddx, size_t rows,
                                                    size_t n, float scale);
softjac_status softjac_log_softmax_vjp_strided_f16(const uint16_t *y, ptrdiff_t ldy,
                                                   const uint16_t *dy, ptrdiff_t lddy, uint16_t *dx,
                                                   ptrdiff_t lddx, size_t rows, size_t n,
                                                   float scale);

/* y_dot_i = c (x_dot_i - sum_j exp(y_j) x_dot_j). y_dot may be y or x_dot. */
softjac_status softjac_log_softmax_jvp_f32(const float *y, const float *x_dot, float *y_dot,
                                           size_t rows, size_t n);
softjac_status softjac_log_softmax_jvp_f64(const double *y, const double *x_dot, double *y_dot,
                                           size_t rows, size_t n);
softjac_status softjac_log_softmax_jvp_bf16(const uint16_t *y, const uint16_t *x_dot,
                                            uint16_t *y_dot, size_t rows, size_t n);
softjac_status softjac_log_softmax_jvp_f16(const uint16_t *y, const uint16_t *x_dot,
                                           uint16_t *y_dot, size_t rows, size_t n);
softjac_status softjac_log_softmax_jvp_strided_f32(const float *y, ptrdiff_t ldy,
                                                   const float *x_dot, ptrdiff_t ldx_dot,
                                                   float *y_dot, ptrdiff_t ldy_dot, size_t rows,
                                                   size_t n, float scale);
softjac_status softjac_log_softmax_jvp_strided_f64(const double *y, ptrdiff_t ldy,
                                                   const double *x_dot, ptrdiff_t ldx_dot,
                                                   double *y_dot, ptrdiff_t ldy_dot, size_t rows,
                                                   size_t n, double scale);
softjac_status softjac_log_softmax_jvp_strided_bf16(const uint16_t *y, ptrdiff_t ldy,
                                                    const uint16_t *x_dot, ptrdiff_t ldx_dot,
                                                    uint16_t *y_dot, ptrdiff_t ldy_dot, size_t rows,
                                                    size_t n, float scale);
softjac_status softjac_log_softmax_jvp_strided_f16(const uint16_t *y, ptrdiff_t ldy,
                                                   const uint16_t *x_dot, ptrdiff_t ldx_dot,
                                                   uint16_t *y_dot, ptrdiff_t ldy_dot, size_t rows,
                                                   size_t n, float scale);

/* The same bits as softmax and softmax_vjp one after the other, without y in memory: dx_i = c
   y_i (dy_i - sum_j y_j dy_j), y = softmax(c x). dx may be x or dy. */
softjac_status softjac_softmax_vjp_from_logits_f32(const float *x, const float *dy, float *dx,
                                                   size_t rows, size_t n);
softjac_status softjac_softmax_vjp_from_logits_f64(const double *x, const double *dy, double *dx,
                                                   size_t rows, size_t n);
softjac_status softjac_softmax_vjp_from_logits_bf16(const uint16_t *x, const uint16_t *dy,
                                                    uint16_t *dx, size_t rows, size_t n);
softjac_status softjac_softmax_vjp_from_logits_f16(const uint16_t *x, const uint16_t *dy,
                                                   uint16_t *dx, size_t rows, size_t n);
softjac_status softjac_softmax_vjp_from_logits_strided_f32(const float *x, ptrdiff_t ldx,
                                                           const float *dy, ptrdiff_t lddy,
                                                           float *dx, ptrdiff_t lddx, size_t rows,
                                                           size_t n, float scale);
softjac_status softjac_softmax_vjp_from_logits_strided_f64(const double *x, ptrdiff_t ldx,
                                                           const double *dy, ptrdiff_t lddy,
                                                           double *dx, ptrdiff_t lddx, size_t rows,
                                                           size_t n, double scale);
softjac_status softjac_softmax_vjp_from_logits_strided_bf16(const uint16_t *x, ptrdiff_t ldx,
                                                            const uint16_t *dy, ptrdiff_t lddy,
                                                            uint16_t *dx, ptrdiff_t lddx,
                                                            size_t rows, size_t n, float scale);
softjac_status softjac_softmax_vjp_from_logits_strided_f16(const uint16_t *x, ptrdiff_t ldx,
                                                           const uint16_t *dy, ptrdiff_t lddy,
                                                           uint16_t *dx, ptrdiff_t lddx,
                                                           size_t rows, size_t n, float scale);

/* jac[r][i][j] = c (delta_ij - exp(y_j)). */
softjac_status softjac_log_softmax_jacobian_f32(const float *y, float *jac, size_t rows, size_t n);
softjac_status softjac_log_softmax_jacobian_f64(const double *y, double *jac, size_t rows,
                                                size_t n);
softjac_status softjac_log_softmax_jacobian_bf16(const uint16_t *y, uint16_t *jac, size_t rows,
                                                 size_t n);
softjac_status softjac_log_softmax_jacobian_f16(const uint16_t *y, uint16_t *jac, size_t rows,
                                                size_t n);
softjac_status softjac_log_softmax_jacobian_strided_f32(const float *y, ptrdiff_t ldy, float *jac,
                                                        ptrdiff_t ldjac, size_t rows, size_t n,
                                                        float scale);
softjac_status softjac_log_softmax_jacobian_strided_f64(const double *y, ptrdiff_t ldy, double *jac,
                                                        ptrdiff_t ldjac, size_t rows, size_t n,
                                                        double scale);
softjac_status softjac_log_softmax_jacobian_strided_bf16(const uint16_t *y, ptrdiff_t ldy,
                                                         uint16_t *jac, ptrdiff_t ldjac,
                                                         size_t rows, size_t n, float scale);
softjac_status softjac_log_softmax_jacobian_strided_f16(const uint16_t *y, ptrdiff_t ldy,
                                                        uint16_t *jac, ptrdiff_t ldjac, size_t rows,
                                                        size_t n, float scale);

/* loss_r = -sum_i target_i log y_i and dx_i = c (y_i sum_j target_j - target_i), y = softmax(c
   x). loss is dense; either result may be NULL; dx may be x or target. */
softjac_status softjac_cross_entropy_f32(const float *x, const float *target, float *loss,
                                         float *dx, size_t rows, size_t n);
softjac_status softjac_cross_entropy_f64(const double *x, const double *target, double *loss,
                                         double *dx, size_t rows, size_t n);
softjac_status softjac_cross_entropy_bf16(const uint16_t *x, const uint16_t *target, uint16_t *loss,
                                          uint16_t *dx, size_t rows, size_t n);
softjac_status softjac_cross_entropy_f16(const uint16_t *x, const uint16_t *target, uint16_t *loss,
                                         uint16_t *dx, size_t rows, size_t n);
softjac_status softjac_cross_entropy_strided_f32(const float *x, ptrdiff_t ldx, const float *target,
                                                 ptrdiff_t ldtarget, float *loss, float *dx,
                                                 ptrdiff_t lddx, size_t rows, size_t n,
                                                 float scale);
softjac_status softjac_cross_entropy_strided_f64(const double *x, ptrdiff_t ldx,
                                                 const double *target, ptrdiff_t ldtarget,
                                                 double *loss, double *dx, ptrdiff_t lddx,
                                                 size_t rows, size_t n, double scale);
softjac_status softjac_cross_entropy_strided_bf16(const uint16_t *x, ptrdiff_t ldx,
                                                  const uint16_t *target, ptrdiff_t ldtarget,
                                                  uint16_t *loss, uint16_t *dx, ptrdiff_t lddx,
                                                  size_t rows, size_t n, float scale);
softjac_status softjac_cross_entropy_strided_f16(const uint16_t *x, ptrdiff_t ldx,
                                                 const uint16_t *target, ptrdiff_t ldtarget,
                                                 uint16_t *loss, uint16_t *dx, ptrdiff_t lddx,
                                                 size_t rows, size_t n, float scale);

/* The same with target 1 at the label: loss_r = -log y_label. labels are dense; one outside 0 to
   n - 1 gives SOFTJAC_BAD_LABEL and touches nothing. */
softjac_status softjac_cross_entropy_labels_f32(const float *x, const int64_t *labels, float *loss,
                                                float *dx, size_t rows, size_t n);
softjac_status softjac_cross_entropy_labels_f64(const double *x, const int64_t *labels,
                                                double *loss, double *dx, size_t rows, size_t n);
softjac_status softjac_cross_entropy_labels_bf16(const uint16_t *x, const int64_t *labels,
                                                 uint16_t *loss, uint16_t *dx, size_t rows,
                                                 size_t n);
softjac_status softjac_cross_entropy_labels_f16(const uint16_t *x, const int64_t *labels,
                                                uint16_t *loss, uint16_t *dx, size_t rows,
                                                size_t n);
softjac_status softjac_cross_entropy_labels_strided_f32(const float *x, ptrdiff_t ldx,
                                                        const int64_t *labels, float *loss,
                                                        float *dx, ptrdiff_t lddx, size_t rows,
                                                        size_t n, float scale);
softjac_status softjac_cross_entropy_labels_strided_f64(const double *x, ptrdiff_t ldx,
                                                        const int64_t *labels, double *loss,
                                                        double *dx, ptrdiff_t lddx, size_t rows,
                                                        size_t n, double scale);
softjac_status softjac_cross_entropy_labels_strided_bf16(const uint16_t *x, ptrdiff_t ldx,
                                                         const int64_t *labels, uint16_t *loss,
                                                         uint16_t *dx, ptrdiff_t lddx, size_t rows,
                                                         size_t n, float scale);
softjac_status softjac_cross_entropy_labels_strided_f16(const uint16_t *x, ptrdiff_t ldx,
                                                        const int64_t *labels, uint16_t *loss,
                                                        uint16_t *dx, ptrdiff_t lddx, size_t rows,
                                                        size_t n, float scale);

/* Handlers for XLA's foreign-function interface: they take its call frame and return its error or
   NULL. softmax_product is VJP and JVP alike. */
void *softjac_xla_softmax(void *frame);
void *softjac_xla_log_softmax(void *frame);
void *softjac_xla_softmax_product(void *frame);
void *softjac_xla_softmax_vjp_from_logits(void *frame);
void *softjac_xla_log_softmax_vjp(void *frame);
void *softjac_xla_log_softmax_jvp(void *frame);
void *softjac_xla_softmax_jacobian(void *frame);
void *softjac_xla_log_softmax_jacobian(void *frame);
void *softjac_xla_cross_entropy(void *frame);
void *softjac_xla_cross_entropy_labels(void *frame);

/* end marker */

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

#endif
