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
#define FABS(a) ((a) < 0 ? -(a) : (a))
#define REAL V(real)
#define LANES (256 / sizeof(REAL))
#define WIDTH ((size_t)V(width))
#define VECTORS (LANES / WIDTH)
#define QUARTER (VECTORS / 4)
#define CHUNK (16 * LANES)
#define BLOCK (8 * CHUNK)
/* Where UNROLL says so, loops of VECTORS iterations vanish, or accumulators would live in memory.
 */
#define EACH_VECTOR UNROLL for (size_t k = 0; k < VECTORS; k++)
#define EACH_QUARTER UNROLL for (size_t k = 0; k < QUARTER; k++)
/* Shorter rows gain more from the order of chunk_rows than from waves, however far off they lie. */
#define WAVE_FROM (CHUNK / 2)
/* A row of more than 1 MB is out of the second-level cache before its second pass. */
#define LONG ((1 << 20) / sizeof(REAL))
/* What of a longer row is read twice while it is in the first-level cache. */
#define PIECE (BLOCK / 2)

/* What one step of LANES elements adds to: the sum, and the sum of magnitudes in a quarter of the
   lanes. */
typedef struct {
    V(vec) sum[VECTORS], size[QUARTER];
} V(lanes);

typedef struct {
    double sum, size;
} V(sums);

/* One row as the steps see it; `first` is x or y, `second` dy or x_dot. */
typedef struct {
    const REAL *first, *second;
    REAL *out;
    const REAL *coming; /* a later row, whose maximum is found meanwhile */
    const REAL *kept;   /* exponentials of a pass before, to be scaled into out */
    REAL scale;         /* of the Jacobian */
    REAL shift;         /* the maximum of the logits, or the centre of the cotangent */
    double sum;         /* of exponentials */
    REAL result;        /* what the sum came to: 1 / sum, log(sum), or sum of y (dy - centre) */
} V(row);

typedef void V(step)(const V(row) * row, size_t at, size_t count, V(lanes) * lanes);

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

/* The same past the caches; a full step is aligned. */
static ALWAYS_INLINE void V(stream_part)(REAL *p, V(vec) a, size_t k, size_t count) {
    if (count == LANES)
        V(stream)(p + k * WIDTH, a);
    else
        V(store_part)(p, a, k, count);
}

static ALWAYS_INLINE void V(zero)(V(lanes) * lanes) {
    EACH_VECTOR lanes->sum[k] = V(set)(0);
    for (size_t k = 0; k < QUARTER; k++) lanes->size[k] = V(set)(0);
}

static ALWAYS_INLINE void V(accumulate)(V(lanes) * into, const V(lanes) * lanes) {
    EACH_VECTOR into->sum[k] = V(add)(into->sum[k], lanes->sum[k]);
    for (size_t k = 0; k < QUARTER; k++) into->size[k] = V(add)(into->size[k], lanes->size[k]);
}

/* The tree for a quarter of the lanes. Adding 0 gives a sum of zeros the sign it has there. */
static ALWAYS_INLINE REAL V(sum_quarter)(const V(vec) * a) {
    V(vec) sum[QUARTER];
    EACH_QUARTER sum[k] = a[k];
    for (size_t half = QUARTER / 2; half; half /= 2)
        for (size_t k = 0; k < half; k++) sum[k] = V(add)(sum[k], sum[k + half]);
    return V(sum_lanes)(sum[0]) + 0;
}

/* The tree: what one block's lanes come to. */
static ALWAYS_INLINE void V(fold)(V(lanes) * lanes, REAL *sum, REAL *size) {
    for (size_t half = VECTORS / 2; half; half /= 2)
        for (size_t k = 0; k < half; k++)
            lanes->sum[k] = V(add)(lanes->sum[k], lanes->sum[k + half]);
    for (size_t half = QUARTER / 2; half; half /= 2)
        for (size_t k = 0; k < half; k++)
            lanes->size[k] = V(add)(lanes->size[k], lanes->size[k + half]);
    *sum = V(sum_lanes)(lanes->sum[0]);
    *size = V(sum_lanes)(lanes->size[0]);
}

/* The sums of blocks so far, and what rounding took from the first: TwoSum keeps it. */
typedef struct {
    V(sums) sums;
    double rest;
} V(total);

static ALWAYS_INLINE void V(add_block)(V(total) * total, double sum, double size) {
    double before = total->sums.sum, after = before + sum, taken = after - before;
    total->rest += (before - (after - taken)) + (sum - taken);
    total->sums.sum = after;
    total->sums.size += size;
}
static ALWAYS_INLINE V(sums) V(all_of)(const V(total) * total) {
    return (V(sums)){total->sums.sum + total->rest, total->sums.size};
}

/* Runs `step` over a row and adds up what it gives. Beside it, step by step, runs `other_step` over
   `other`, with lanes of its own, `lead` elements ahead: what one row writes and the next one reads
   overlap in time. */
static ALWAYS_INLINE V(sums)
    V(reduce_beside)(const V(row) * row, size_t n, V(step) * step, const V(row) * other,
                     size_t lead, V(step) * other_step, V(lanes) * others) {
    V(total) total = {{0, 0}, 0};
    size_t done = lead;
    for (size_t block = 0; block < n; block += BLOCK) {
        size_t block_end = n - block < BLOCK ? n : block + BLOCK;
        bool one_chunk = block_end - block <= CHUNK;
        V(lanes) outer;
        REAL term = 0, size = 0;
        if (!one_chunk) V(zero)(&outer);
        for (size_t chunk = block; chunk < block_end; chunk += CHUNK) {
            size_t end = block_end - chunk < CHUNK ? block_end : chunk + CHUNK;
            V(lanes) inner;
            V(zero)(&inner);
            size_t i = chunk;
            for (; i + LANES <= end; i += LANES) {
                if (other_step && done + LANES <= n) {
                    other_step(other, done, LANES, others);
                    done += LANES;
                }
                step(row, i, LANES, &inner);
            }
            if (i < end) step(row, i, end - i, &inner);
            if (one_chunk)
                V(fold)(&inner, &term, &size);
            else
                V(accumulate)(&outer, &inner);
        }
        if (!one_chunk) V(fold)(&outer, &term, &size);
        if (n <= BLOCK)
            total.sums = (V(sums)){term, size};
        else
            V(add_block)(&total, term, size);
    }
    if (other_step && done < n) other_step(other, done, n - done, others);
    return V(all_of)(&total);
}

static ALWAYS_INLINE V(sums) V(reduce)(const V(row) * row, size_t n, V(step) * step) {
    return V(reduce_beside)(row, n, step, NULL, 0, NULL, NULL);
}

/* A step's sum over a row, as a function of its own: there are many callers. The copy of the row
   stays in registers, where the caller's might change with every store. */
#define REDUCTION(name)                                                                            \
    static NOINLINE V(sums) V(name##_over)(const V(row) * row, size_t n) {                         \
        V(row) here = *row;                                                                        \
        return V(reduce)(&here, n, V(name##_step));                                                \
    }

/* The same for a row of one chunk, where it stands: nothing goes through memory. */
static ALWAYS_INLINE V(sums) V(chunk_sums)(const V(row) * row, size_t n, V(step) * step) {
    V(lanes) lanes;
    REAL sum, size;
    V(zero)(&lanes);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) step(row, i, LANES, &lanes);
    if (i < n) step(row, i, n - i, &lanes);
    V(fold)(&lanes, &sum, &size);
    return (V(sums)){sum, size};
}

/* Runs `step` over a row for what it writes, from element `start`. */
static ALWAYS_INLINE void V(each)(const V(row) * row, size_t start, size_t n, V(step) * step) {
    size_t i = start;
    for (; i + LANES <= n; i += LANES) step(row, i, LANES, NULL);
    if (i < n) step(row, i, n - i, NULL);
}

/* Elements before `out` is aligned to the widest vector, for steps that stream. */
static ALWAYS_INLINE size_t V(lead)(const REAL *out, size_t n) {
    size_t lead = -((uintptr_t)out / sizeof *out) % (64 / sizeof *out);
    return lead < n ? lead : n;
}

/* Writes a row by `step`, or past the caches by `stream_step`. */
static ALWAYS_INLINE void V(write)(const V(row) * row, size_t n, V(step) * step,
                                   V(step) * stream_step, bool stream) {
    size_t lead = stream ? V(lead)(row->out, n) : 0;
    if (lead) step(row, 0, lead, NULL);
    if (stream)
        V(each)(row, lead, n, stream_step);
    else
        V(each)(row, 0, n, step);
}

/* c * a, in place where out is a. */
static void V(scale_row)(const REAL *a, REAL *out, size_t n, REAL c) {
    for (size_t i = 0; i < n; i++) out[i] = a[i] * c;
}

/* The largest of a row, by as many running maxima as hide the latency of one; NaN may or may not be
   it, and shows in the sum instead. */
static NOINLINE REAL V(row_max)(const REAL *x, size_t n) {
    enum { MAXIMA = 8 };
    V(vec) top[MAXIMA];
    size_t i = 0;
    UNROLL for (size_t k = 0; k < MAXIMA; k++) top[k] = V(set)(-INFINITY);
    for (; i + MAXIMA * WIDTH <= n; i += MAXIMA * WIDTH)
        UNROLL for (size_t k = 0; k < MAXIMA; k++) top[k] =
            V(max)(V(load)(x + i + k * WIDTH), top[k]);
    if (i < n)
        UNROLL for (size_t k = 0; k < MAXIMA; k++) top[k] =
            V(max)(V(load_part)(x + i, k, n - i, -INFINITY), top[k]);
    for (size_t half = MAXIMA / 2; half; half /= 2)
        for (size_t k = 0; k < half; k++) top[k] = V(max)(top[k], top[k + half]);
    return V(max_lanes)(top[0]);
}

/* One quiet NaN for the whole row: payloads would depend on the order of operands. */
static void V(fill_nan)(REAL *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = (REAL)NAN;
}

/* A step that writes what `value` gives to out, the same past the caches, and over a whole row. */
#define WRITING(value)                                                                             \
    static ALWAYS_INLINE void V(value##_step)(const V(row) * row, size_t at, size_t count,         \
                                              V(lanes) * unused) {                                 \
        (void)unused;                                                                              \
        EACH_VECTOR V(store_part)(row->out + at, V(value)(row, at, k, count), k, count);           \
    }                                                                                              \
    static ALWAYS_INLINE void V(value##_stream_step)(const V(row) * row, size_t at, size_t count,  \
                                                     V(lanes) * unused) {                          \
        (void)unused;                                                                              \
        EACH_VECTOR V(stream_part)(row->out + at, V(value)(row, at, k, count), k, count);          \
    }                                                                                              \
    static NOINLINE void V(write_##value)(const V(row) * row, size_t n, bool stream) {             \
        V(row) here = *row;                                                                        \
        V(write)(&here, n, V(value##_step), V(value##_stream_step), stream);                       \
    }

#define ROW_POINTER(type, base, stride, r) ((type *)(base) + (ptrdiff_t)(r) * (stride))

#include "kernels_forward.inc.h"
#include "kernels_derivative.inc.h"
#include "kernels_small.inc.h"
#include "kernels_jacobian.inc.h"
#include "kernels_cross_entropy.inc.h"
#include "kernels_split.inc.h"

#undef PASTE2
#undef PASTE
#undef V
#undef FABS
#undef REAL
#undef LANES
#undef WIDTH
#undef VECTORS
#undef QUARTER
#undef CHUNK
#undef BLOCK
#undef EACH_VECTOR
#undef EACH_QUARTER
#undef LONG
#undef WAVE_FROM
#undef PIECE
#undef WRITING
#undef REDUCTION
#undef ROW_POINTER
