/* softjac: softmax, log_softmax and their derivatives, in C.

   Every function works on `rows` rows of `n` elements and returns a status. The plain form takes
   dense rows; the strided form takes the distance between rows in elements behind each array (any
   sign; 0 repeats a row of an input) and a factor c on the logits (in the plain form c = 1). Nothing
   is allocated, no state is kept, any number of callers may run at once. The output may be one of
   the inputs, exactly, except for the Jacobians; otherwise arrays must not overlap. n = 0 and
   rows = 0 are no error and touch nothing.

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
    SOFTJAC_UNSUPPORTED_ISA = 4  /* SOFTJAC_FORCE_ISA names none that this processor has */
} softjac_status;

/* SOFTJAC_ABI_VERSION of the library that is loaded. */
int softjac_abi_version(void);

/* "portable", "avx2" or "avx512": what runs here; NULL where SOFTJAC_FORCE_ISA cannot be met. */
const char *softjac_isa(void);

/* One sentence for a status. */
const char *softjac_message(softjac_status status);

/* y_i = exp(c x_i - m) / sum_j exp(c x_j - m), m = max c x. */
softjac_status softjac_softmax_f32(const float *x, float *y, size_t rows, size_t n);
softjac_status softjac_softmax_f64(const double *x, double *y, size_t rows, size_t n);
softjac_status softjac_softmax_strided_f32(const float *x, ptrdiff_t ldx, float *y, ptrdiff_t ldy,
                                           size_t rows, size_t n, float scale);
softjac_status softjac_softmax_strided_f64(const double *x, ptrdiff_t ldx, double *y, ptrdiff_t ldy,
                                           size_t rows, size_t n, double scale);

/* y_i = (c x_i - m) - log sum_j exp(c x_j - m). */
softjac_status softjac_log_softmax_f32(const float *x, float *y, size_t rows, size_t n);
softjac_status softjac_log_softmax_f64(const double *x, double *y, size_t rows, size_t n);
softjac_status softjac_log_softmax_strided_f32(const float *x, ptrdiff_t ldx, float *y,
                                               ptrdiff_t ldy, size_t rows, size_t n, float scale);
softjac_status softjac_log_softmax_strided_f64(const double *x, ptrdiff_t ldx, double *y,
                                               ptrdiff_t ldy, size_t rows, size_t n, double scale);

/* dx_i = c y_i (dy_i - sum_j y_j dy_j), y = softmax(c x). dx may be y or dy. */
softjac_status softjac_softmax_vjp_f32(const float *y, const float *dy, float *dx, size_t rows,
                                       size_t n);
softjac_status softjac_softmax_vjp_f64(const double *y, const double *dy, double *dx, size_t rows,
                                       size_t n);
softjac_status softjac_softmax_vjp_strided_f32(const float *y, ptrdiff_t ldy, const float *dy,
                                               ptrdiff_t lddy, float *dx, ptrdiff_t lddx,
                                               size_t rows, size_t n, float scale);
softjac_status softjac_softmax_vjp_strided_f64(const double *y, ptrdiff_t ldy, const double *dy,
                                               ptrdiff_t lddy, double *dx, ptrdiff_t lddx,
                                               size_t rows, size_t n, double scale);

/* y_dot_i = c y_i (x_dot_i - sum_j y_j x_dot_j). y_dot may be y or x_dot. */
softjac_status softjac_softmax_jvp_f32(const float *y, const float *x_dot, float *y_dot,
                                       size_t rows, size_t n);
softjac_status softjac_softmax_jvp_f64(const double *y, const double *x_dot, double *y_dot,
                                       size_t rows, size_t n);
softjac_status softjac_softmax_jvp_strided_f32(const float *y, ptrdiff_t ldy, const float *x_dot,
                                               ptrdiff_t ldx_dot, float *y_dot, ptrdiff_t ldy_dot,
                                               size_t rows, size_t n, float scale);
softjac_status softjac_softmax_jvp_strided_f64(const double *y, ptrdiff_t ldy, const double *x_dot,
                                               ptrdiff_t ldx_dot, double *y_dot, ptrdiff_t ldy_dot,
                                               size_t rows, size_t n, double scale);

/* jac[r][i][j] = c y_i (delta_ij - y_j). */
softjac_status softjac_softmax_jacobian_f32(const float *y, float *jac, size_t rows, size_t n);
softjac_status softjac_softmax_jacobian_f64(const double *y, double *jac, size_t rows, size_t n);
softjac_status softjac_softmax_jacobian_strided_f32(const float *y, ptrdiff_t ldy, float *jac,
                                                    ptrdiff_t ldjac, size_t rows, size_t n,
                                                    float scale);
softjac_status softjac_softmax_jacobian_strided_f64(const double *y, ptrdiff_t ldy, double *jac,
                                                    ptrdiff_t ldjac, size_t rows, size_t n,
                                                    double scale);

/* dx_i = c (dy_i - exp(y_i) sum_j dy_j), y = log_softmax(c x). dx may be y or dy. */
softjac_status softjac_log_softmax_vjp_f32(const float *y, const float *dy, float *dx, size_t rows,
                                           size_t n);
softjac_status softjac_log_softmax_vjp_f64(const double *y, const double *dy, double *dx,
                                           size_t rows, size_t n);
softjac_status softjac_log_softmax_vjp_strided_f32(const float *y, ptrdiff_t ldy, const float *dy,
                                                   ptrdiff_t lddy, float *dx, ptrdiff_t lddx,
                                                   size_t rows, size_t n, float scale);
softjac_status softjac_log_softmax_vjp_strided_f64(const double *y, ptrdiff_t ldy, const double *dy,
                                                   ptrdiff_t lddy, double *dx, ptrdiff_t lddx,
                                                   size_t rows, size_t n, double scale);

/* y_dot_i = c (x_dot_i - sum_j exp(y_j) x_dot_j). y_dot may be y or x_dot. */
softjac_status softjac_log_softmax_jvp_f32(const float *y, const float *x_dot, float *y_dot,
                                           size_t rows, size_t n);
softjac_status softjac_log_softmax_jvp_f64(const double *y, const double *x_dot, double *y_dot,
                                           size_t rows, size_t n);
softjac_status softjac_log_softmax_jvp_strided_f32(const float *y, ptrdiff_t ldy,
                                                   const float *x_dot, ptrdiff_t ldx_dot,
                                                   float *y_dot, ptrdiff_t ldy_dot, size_t rows,
                                                   size_t n, float scale);
softjac_status softjac_log_softmax_jvp_strided_f64(const double *y, ptrdiff_t ldy,
                                                   const double *x_dot, ptrdiff_t ldx_dot,
                                                   double *y_dot, ptrdiff_t ldy_dot, size_t rows,
                                                   size_t n, double scale);

/* jac[r][i][j] = c (delta_ij - exp(y_j)). */
softjac_status softjac_log_softmax_jacobian_f32(const float *y, float *jac, size_t rows, size_t n);
softjac_status softjac_log_softmax_jacobian_f64(const double *y, double *jac, size_t rows,
                                                size_t n);
softjac_status softjac_log_softmax_jacobian_strided_f32(const float *y, ptrdiff_t ldy, float *jac,
                                                        ptrdiff_t ldjac, size_t rows, size_t n,
                                                        float scale);
softjac_status softjac_log_softmax_jacobian_strided_f64(const double *y, ptrdiff_t ldy, double *jac,
                                                        ptrdiff_t ldjac, size_t rows, size_t n,
                                                        double scale);

/* end marker */

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

#endif
