/* What the machine can do at best, and a loop in C around one call of a kernel.

   The limits have the kernels' own signatures (arrays, rows, n) and work on rows * n floats: a copy
   has the traffic of a forward op, a + 3 b that of a VJP, fill that of a Jacobian; each with plain
   and with streaming stores. Built for the processor it runs on. */
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <immintrin.h>

#ifdef __AVX512F__
#define WIDTH 16
typedef __m512 vec;
#define LOAD _mm512_loadu_ps
#define STORE _mm512_storeu_ps
#define STREAM _mm512_stream_ps
#define SET _mm512_set1_ps
#define FMA _mm512_fmadd_ps
#else
#define WIDTH 8
typedef __m256 vec;
#define LOAD _mm256_loadu_ps
#define STORE _mm256_storeu_ps
#define STREAM _mm256_stream_ps
#define SET _mm256_set1_ps
#define FMA _mm256_fmadd_ps
#endif

/* Four vectors a turn, as the kernels; n is a multiple of that or the rest goes one by one. */
#define LIMIT(name, parameters, vector, scalar, write)                     \
    int name parameters {                                                  \
        size_t size = rows * n, i = 0;                                     \
        for (; i + 4 * WIDTH <= size; i += 4 * WIDTH)                      \
            for (size_t k = 0; k < 4 * WIDTH; k += WIDTH) {                \
                size_t j = i + k;                                          \
                write(out + j, vector);                                    \
            }                                                              \
        for (; i < size; i++) out[i] = scalar;                             \
        _mm_sfence();                                                      \
        return 0;                                                          \
    }

#define ONE (const float *a, float *out, size_t rows, size_t n)
#define TWO (const float *a, const float *b, float *out, size_t rows, size_t n)
LIMIT(limit_copy, ONE, LOAD(a + j), a[i], STORE)
LIMIT(limit_copy_stream, ONE, LOAD(a + j), a[i], STREAM)
LIMIT(limit_triad, TWO, FMA(SET(3.0f), LOAD(b + j), LOAD(a + j)), a[i] + 3.0f * b[i], STORE)
LIMIT(limit_triad_stream, TWO, FMA(SET(3.0f), LOAD(b + j), LOAD(a + j)), a[i] + 3.0f * b[i], STREAM)
LIMIT(limit_fill, ONE, SET(a[0]), a[0], STORE)
LIMIT(limit_fill_stream, ONE, SET(a[0]), a[0], STREAM)

/* One more read of an input, for rows too long for the caches; `out` is one float. */
int limit_read(const float *a, float *out, size_t rows, size_t n) {
    vec sum[8];
    for (int k = 0; k < 8; k++) sum[k] = SET(0.0f);
    size_t size = rows * n, i = 0;
    for (; i + 8 * WIDTH <= size; i += 8 * WIDTH)
        for (int k = 0; k < 8; k++)
            sum[k] = FMA(SET(1.0f), LOAD(a + i + (size_t)k * WIDTH), sum[k]);
    for (int k = 1; k < 8; k++) sum[0] = FMA(SET(1.0f), sum[k], sum[0]);
    float lanes[WIDTH];
    STORE(lanes, sum[0]);
    for (int l = 0; l < WIDTH; l++) *out += lanes[l];
    return 0;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* Nanoseconds for a call, over `repeats` calls in a row after one that is not timed. */
double time_one(int (*call)(const float *, float *, size_t, size_t), const float *a, float *out,
                size_t rows, size_t n, int repeats) {
    call(a, out, rows, n);
    double start = now();
    for (int i = 0; i < repeats; i++) call(a, out, rows, n);
    return (now() - start) / repeats;
}

double time_two(int (*call)(const float *, const float *, float *, size_t, size_t), const float *a,
                const float *b, float *out, size_t rows, size_t n, int repeats) {
    call(a, b, out, rows, n);
    double start = now();
    for (int i = 0; i < repeats; i++) call(a, b, out, rows, n);
    return (now() - start) / repeats;
}
