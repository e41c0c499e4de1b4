/* The loops, written once. Included by kernels_<isa>.c for PREFIX f32 and again for f64, over the
   vector vocabulary of simd_<isa>.h.

   Every sum runs over a fixed number of virtual lanes and one tree, whatever the vector width, so
   that every ISA gives the same bits: element i adds to lane i mod LANES; after CHUNK elements the
   lanes are added to the block's; after BLOCK elements those are folded in halves (lane l and
   l + LANES/2, and so on) and the block's sum is added to the row's, with its rounding error kept.
   No path is longer than 16 + 8 + log2(LANES) additions, however long the row. */

#define PASTE2(a, b) a##_##b
#define PASTE(a, b) PASTE2(a, b)
#define V(name) PASTE(PREFIX, name)
#define REAL V(real)
#define LANES (256 / sizeof(REAL))
#define WIDTH ((size_t)V(width))
#define VECTORS (LANES / WIDTH)
#define QUARTER (VECTORS / 4)
#define CHUNK (16 * LANES)
#define BLOCK (8 * CHUNK)
/* Loops of VECTORS iterations must vanish, or accumulators live in memory. */
#define EACH_VECTOR _Pragma("GCC unroll 16") for (size_t k = 0; k < VECTORS; k++)

/* What one step of LANES elements adds to: the sum, and the sum of magnitudes in a quarter of the
   lanes. */
typedef struct {
    V(vec) sum[VECTORS], size[QUARTER];
} V(lanes);

/* A row's sums, and what the first rounded away. */
typedef struct {
    double sum, rest, size;
} V(sums);

/* One row as the steps see it; `first` is x or y, `second` dy or x_dot. */
typedef struct {
    const REAL *first, *second;
    REAL *out;
    REAL scale;  /* of the logits in forward ops, of the result in derivatives */
    REAL factor; /* of the result in the cross-entropies, which need both */
    REAL shift;   /* the maximum of the logits, or the centre of the cotangent */
    REAL result; /* what the sum came to: 1 / sum, log(sum), or sum of y (dy - centre) */
} V(row);

typedef void V(step)(const V(row) *row, size_t at, size_t count, V(lanes) *lanes);

/* Vector k of a step in which `count` elements are left; the lanes beyond get `fill`. */
static ALWAYS_INLINE V(vec) V(load_part)(const REAL *p, size_t k, size_t count, REAL fill) {
    if (count >= (k + 1) * WIDTH) return V(load)(p + k * WIDTH);
    if (count <= k * WIDTH) return V(set)(fill);
    return V(load_tail)(p + k * WIDTH, count - k * WIDTH, fill);
}

static ALWAYS_INLINE void V(store_part)(REAL *p, V(vec) a, size_t k, size_t count) {
    if (count >= (k + 1) * WIDTH)
        V(store)(p + k * WIDTH, a);
    else if (count > k * WIDTH)
        V(store_tail)(p + k * WIDTH, a, count - k * WIDTH);
}

static ALWAYS_INLINE void V(zero)(V(lanes) *lanes) {
    EACH_VECTOR lanes->sum[k] = V(set)(0);
    for (size_t k = 0; k < QUARTER; k++) lanes->size[k] = V(set)(0);
}

static ALWAYS_INLINE void V(accumulate)(V(lanes) *into, const V(lanes) *lanes) {
    EACH_VECTOR into->sum[k] = V(add)(into->sum[k], lanes->sum[k]);
    for (size_t k = 0; k < QUARTER; k++) into->size[k] = V(add)(into->size[k], lanes->size[k]);
}

/* Adds the tree's results to the row's sums; the sum's error is kept by TwoSum. */
static ALWAYS_INLINE void V(fold)(V(sums) *sums, V(lanes) *lanes) {
    for (size_t half = VECTORS / 2; half; half /= 2)
        for (size_t k = 0; k < half; k++)
            lanes->sum[k] = V(add)(lanes->sum[k], lanes->sum[k + half]);
    for (size_t half = QUARTER / 2; half; half /= 2)
        for (size_t k = 0; k < half; k++)
            lanes->size[k] = V(add)(lanes->size[k], lanes->size[k + half]);
    double term = V(sum_lanes)(lanes->sum[0]), before = sums->sum;
    sums->sum = before + term;
    double taken = sums->sum - before;
    sums->rest += (before - (sums->sum - taken)) + (term - taken);
    sums->size += V(sum_lanes)(lanes->size[0]);
}

/* Runs `step` over a row and adds up what it gives. */
static ALWAYS_INLINE V(sums) V(reduce)(const V(row) *row, size_t n, V(step) *step) {
    V(sums) sums = {0, 0, 0};
    for (size_t block = 0; block < n; block += BLOCK) {
        size_t block_end = n - block < BLOCK ? n : block + BLOCK;
        V(lanes) outer;
        V(zero)(&outer);
        for (size_t chunk = block; chunk < block_end; chunk += CHUNK) {
            size_t end = block_end - chunk < CHUNK ? block_end : chunk + CHUNK;
            V(lanes) inner;
            V(zero)(&inner);
            size_t i = chunk;
            for (; i + LANES <= end; i += LANES) step(row, i, LANES, &inner);
            if (i < end) step(row, i, end - i, &inner);
            V(accumulate)(&outer, &inner);
        }
        V(fold)(&sums, &outer);
    }
    sums.sum += sums.rest;
    return sums;
}

/* Runs `step` over a row for what it writes. */
static ALWAYS_INLINE void V(each)(const V(row) *row, size_t n, V(step) *step) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) step(row, i, LANES, NULL);
    if (i < n) step(row, i, n - i, NULL);
}

/* The largest of a row; NaN may or may not be it, and shows in the sum instead. */
static V(real) V(row_max)(const REAL *x, size_t n, REAL scale) {
    V(vec) top[VECTORS];
    size_t i = 0;
    EACH_VECTOR top[k] = V(set)(-INFINITY);
    for (; i + LANES <= n; i += LANES)
        EACH_VECTOR top[k] = V(max)(V(mul)(V(load)(x + i + k * WIDTH), V(set)(scale)), top[k]);
    if (i < n)
        EACH_VECTOR {
            if (n - i <= k * WIDTH) break;
            V(vec) a = V(load_part)(x + i, k, n - i, scale < 0 ? INFINITY : -INFINITY);
            top[k] = V(max)(V(mul)(a, V(set)(scale)), top[k]);
        }
    for (size_t half = VECTORS / 2; half; half /= 2)
        for (size_t k = 0; k < half; k++) top[k] = V(max)(top[k], top[k + half]);
    return V(max_lanes)(top[0]);
}

/* One quiet NaN for the whole row: payloads would depend on the order of operands. */
static void V(fill_nan)(REAL *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = (REAL)NAN;
}

#define ROW_POINTER(type, base, stride, r) ((type *)(base) + (ptrdiff_t)(r) * (stride))

#include "kernels_forward.inc.h"
#include "kernels_derivative.inc.h"
#include "kernels_jacobian.inc.h"
#include "kernels_cross_entropy.inc.h"

#undef PASTE2
#undef PASTE
#undef V
#undef REAL
#undef LANES
#undef WIDTH
#undef VECTORS
#undef QUARTER
#undef CHUNK
#undef BLOCK
#undef EACH_VECTOR
#undef ROW_POINTER
