/* Calls every function at small sizes on arrays that end where their memory ends, for the
   sanitizers and valgrind (make sanitize, make memcheck). Prints a number made of all results, so
   that runs on several ISAs can be compared. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "softjac.h"

static uint64_t digest = 14695981039346656037u;

static void mix(const void *data, size_t size) {
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++) digest = (digest ^ bytes[i]) * 1099511628211u;
}

static void demand(softjac_status status) {
    if (status != SOFTJAC_OK) {
        fprintf(stderr, "refused: %s\n", softjac_message(status));
        exit(1);
    }
}

/* Numbers of every kind: ordinary, tied, far apart, masked. */
static double number(size_t i) {
    static const double special[] = {0, 40, -95, -200};
    return i % 11 == 3 ? special[i / 11 % 4] : (double)(i * 7919 % 1000) / 100 - 5;
}

#define EXERCISE(type, suffix, convert)                                                            \
    static void exercise_##suffix(size_t rows, size_t n) {                                         \
        size_t size = rows * n;                                                                    \
        type *x = malloc(size * sizeof *x), *t = malloc(size * sizeof *t);                         \
        type *y = malloc(size * sizeof *y), *out = malloc(size * sizeof *out);                     \
        type *square = malloc(n > 70 ? 1 : size * n * sizeof *square),                             \
             *loss = malloc(rows * sizeof *loss);                                                  \
        int64_t *labels = malloc(rows * sizeof *labels);                                           \
        for (size_t i = 0; i < size; i++)                                                          \
            x[i] = convert(number(i)), t[i] = convert(number(i + 5));                              \
        for (size_t r = 0; r < rows; r++) labels[r] = (int64_t)(r % n);                            \
        for (int log = 0; log < 2; log++) {                                                        \
            demand(                                                                                \
                (log ? softjac_log_softmax_##suffix : softjac_softmax_##suffix)(x, y, rows, n));   \
            mix(y, size * sizeof *y);                                                              \
            demand((log ? softjac_log_softmax_vjp_##suffix                                         \
                        : softjac_softmax_vjp_##suffix)(y, t, out, rows, n));                      \
            mix(out, size * sizeof *out);                                                          \
            demand((log ? softjac_log_softmax_jvp_##suffix                                         \
                        : softjac_softmax_jvp_##suffix)(y, t, out, rows, n));                      \
            mix(out, size * sizeof *out);                                                          \
            if (n > 70) continue;                                                                  \
            demand((log ? softjac_log_softmax_jacobian_##suffix                                    \
                        : softjac_softmax_jacobian_##suffix)(y, square, rows, n));                 \
            mix(square, size *n * sizeof *square);                                                 \
        }                                                                                          \
        demand(softjac_softmax_vjp_from_logits_##suffix(x, t, out, rows, n));                      \
        mix(out, size * sizeof *out);                                                              \
        demand(softjac_cross_entropy_##suffix(x, t, loss, out, rows, n));                          \
        mix(out, size * sizeof *out);                                                              \
        demand(softjac_cross_entropy_labels_##suffix(x, labels, loss, NULL, rows, n));             \
        mix(loss, rows * sizeof *loss);                                                            \
        demand(softjac_softmax_strided_##suffix(x, (ptrdiff_t)n, x, (ptrdiff_t)n, rows, n, 2));    \
        mix(x, size * sizeof *x);                                                                  \
        free(x), free(t), free(y), free(out), free(square), free(loss), free(labels);              \
    }

static uint16_t to_bf16(double value) {
    float narrow = (float)value;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    return (uint16_t)(bits >> 16);
}
/* Any 16 bits are a number; these keep clear of infinities. */
static uint16_t to_f16(double value) { return (uint16_t)((int)(value * 97) & 0xbbff); }

EXERCISE(float, f32, (float))
EXERCISE(double, f64, (double))
EXERCISE(uint16_t, bf16, to_bf16)
EXERCISE(uint16_t, f16, to_f16)

/* What tells the caller that the processor lacks the ISA; sanitizers end with 1. */
enum { NOT_HERE = 77 };

int main(void) {
    if (!softjac_isa()) return NOT_HERE;
    softjac_set_threads(2);
    for (size_t n = 1; n < 140; n += n < 70 ? 1 : 23) {
        exercise_f32(3, n);
        exercise_f64(3, n);
        exercise_bf16(2, n);
        exercise_f16(2, n);
    }
    exercise_f32(2, 9000);
    exercise_f64(1, 5000);
    exercise_f32(70, 1000);
    /* Results that are written past the caches: rows of a chunk, and one too long for a pass. */
    exercise_f32(530, 1001);
    exercise_f32(2, 263000);
    printf("%s %016" PRIx64 "\n", softjac_isa(), digest);
    return 0;
}
