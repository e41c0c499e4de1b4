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
    bool faint; /* whether there were faint numbers */
} V(lanes);

typedef struct {
    double sum, size;
    bool faint;
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
    bool faint;         /* whether y has faint numbers */
} V(row);

/* Vector k of a step. */
typedef V(vec) V(value)(const V(row) * row, size_t at, size_t k, size_t count);

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
    lanes->faint = false;
}

static ALWAYS_INLINE void V(accumulate)(V(lanes) * into, const V(lanes) * lanes) {
    EACH_VECTOR into->sum[k] = V(add)(into->sum[k], lanes->sum[k]);
    for (size_t k = 0; k < QUARTER; k++) into->size[k] = V(add)(into->size[k], lanes->size[k]);
    into->faint |= lanes->faint;
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
static ALWAYS_INLINE V(sums) V(fold)(V(lanes) * lanes) {
    for (size_t half = VECTORS / 2; half; half /= 2)
        for (size_t k = 0; k < half; k++)
            lanes->sum[k] = V(add)(lanes->sum[k], lanes->sum[k + half]);
    for (size_t half = QUARTER / 2; half; half /= 2)
        for (size_t k = 0; k < half; k++)
            lanes->size[k] = V(add)(lanes->size[k], lanes->size[k + half]);
    return (V(sums)){V(sum_lanes)(lanes->sum[0]), V(sum_lanes)(lanes->size[0]), lanes->faint};
}

/* The sums of blocks so far, and what rounding took from the first: TwoSum keeps it. */
typedef struct {
    V(sums) sums;
    double rest;
} V(total);

static ALWAYS_INLINE void V(add_block)(V(total) * total, V(sums) block) {
    double before = total->sums.sum, after = before + block.sum, taken = after - before;
    total->rest += (before - (after - taken)) + (block.sum - taken);
    total->sums.sum = after;
    total->sums.size += block.size;
    total->sums.faint |= block.faint;
}
static ALWAYS_INLINE V(sums) V(all_of)(const V(total) * total) {
    return (V(sums)){total->sums.sum + total->rest, total->sums.size, total->sums.faint};
}

/* Whether a step has faint numbers; see faint.h. With AVX2 the registers are too few to keep what
   is loaded here for the step. */
static ALWAYS_INLINE bool V(step_is_faint)(const REAL *y, size_t count) {
    V(vec) step[VECTORS];
    if (VECTORS > 4) FORGET(y);
    EACH_VECTOR step[k] = V(load_part)(y, k, count, 1);
    return __builtin_expect(!V(none_small)(step, VECTORS), 0) && V(any_faint)(step, VECTORS);
}

static bool V(holds_faint)(const REAL *y, size_t n) {
    for (size_t i = 0; i < n; i += LANES)
        if (V(step_is_faint)(y + i, n - i < LANES ? n - i : LANES)) return true;
    return false;
}

/* What is written beside a sum: by `step`, up to n, as far as `done`. */
typedef struct {
    const V(row) * row;
    V(step) * step;
    V(lanes) * lanes;
    size_t done, n;
} V(beside);

/* Runs `step` over the elements [begin, end) of a row, at most a chunk; from the first step on that
   has faint numbers, `faint_step` if there is one. */
static ALWAYS_INLINE void V(run)(const V(row) * row, size_t begin, size_t end, V(step) * step,
                                 V(step) * faint_step, V(beside) * beside, V(lanes) * lanes) {
    size_t i = begin;
    for (; i + LANES <= end; i += LANES) {
        if (faint_step && V(step_is_faint)(row->first + i, LANES)) break;
        if (beside && beside->done + LANES <= beside->n) {
            beside->step(beside->row, beside->done, LANES, beside->lanes);
            beside->done += LANES;
        }
        step(row, i, LANES, lanes);
    }
    if (i == end) return;
    if (faint_step && (i + LANES <= end || V(step_is_faint)(row->first + i, end - i))) {
        lanes->faint = true;
        for (; i + LANES <= end; i += LANES) faint_step(row, i, LANES, lanes);
        if (i < end) faint_step(row, i, end - i, lanes);
    } else {
        step(row, i, end - i, lanes);
    }
}

/* Runs `step` over a row and adds up what it gives. Beside it, step by step, runs `other_step` over
   `other`, with lanes of its own, `lead` elements ahead: what one row writes and the next one reads
   overlap in time. */
static ALWAYS_INLINE V(sums)
    V(reduce_beside)(const V(row) * row, size_t n, V(step) * step, V(step) * faint_step,
                     const V(row) * other, size_t lead, V(step) * other_step, V(lanes) * others) {
    V(total) total = {{0, 0, false}, 0};
    V(beside) beside = {other, other_step, others, lead, n};
    for (size_t block = 0; block < n; block += BLOCK) {
        size_t block_end = n - block < BLOCK ? n : block + BLOCK;
        bool one_chunk = block_end - block <= CHUNK;
        V(lanes) outer;
        V(sums) sums;
        if (!one_chunk) V(zero)(&outer);
        for (size_t chunk = block; chunk < block_end; chunk += CHUNK) {
            size_t end = block_end - chunk < CHUNK ? block_end : chunk + CHUNK;
            V(lanes) inner;
            V(zero)(&inner);
            V(run)(row, chunk, end, step, faint_step, other_step ? &beside : NULL, &inner);
            if (one_chunk)
                sums = V(fold)(&inner);
            else
                V(accumulate)(&outer, &inner);
        }
        if (!one_chunk) sums = V(fold)(&outer);
        if (n <= BLOCK)
            total.sums = sums;
        else
            V(add_block)(&total, sums);
    }
    if (other_step)
        for (size_t count; beside.done < n; beside.done += count) {
            count = n - beside.done < LANES ? n - beside.done : LANES;
            other_step(other, beside.done, count, others);
        }
    return V(all_of)(&total);
}

/* A step's sum over a row, as a function of its own: there are many callers. The copy of the row
   stays in registers, where the caller's might change with every store. */
#define REDUCE_OVER(name, faint_step)                                                              \
    static NOINLINE V(sums) V(name##_over)(const V(row) * row, size_t n) {                         \
        V(row) here = *row;                                                                        \
        return V(reduce_beside)(&here, n, V(name##_step), faint_step, NULL, 0, NULL, NULL);        \
    }
#define REDUCTION(name) REDUCE_OVER(name, NULL)
#define REDUCTION_FAINT(name, faint) REDUCE_OVER(name, V(faint##_step))

/* The same for a row of one chunk, where it stands: nothing goes through memory. */
static ALWAYS_INLINE V(sums)
    V(chunk_sums)(const V(row) * row, size_t n, V(step) * step, V(step) * faint_step) {
    V(lanes) lanes;
    V(zero)(&lanes);
    V(run)(row, 0, n, step, faint_step, NULL, &lanes);
    return V(fold)(&lanes);
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

/* a c for 0 <= a and 0 < c, at its usual speed where the product is subnormal. */
static ALWAYS_INLINE V(vec) V(scale_down)(V(vec) a, REAL c) {
    return V(scale_faint)(a, V(set)(c), V(set)(V(units)(c)));
}

/* Whether a step of `value` has a number below the limit. */
static ALWAYS_INLINE bool V(any_under)(V(value) * value, const V(row) * row, size_t at,
                                       size_t count, REAL limit) {
    V(vec) least = value(row, at, 0, count);
    UNROLL for (size_t k = 1; k < VECTORS; k++) least = V(min)(value(row, at, k, count), least);
    return V(any_below)(least, V(set)(limit));
}

/* Steps that write to out what `value` gives, or `faint_value` where `faint` says so: the same bits
   more slowly, but for subnormal numbers. The same past the caches, and over a whole row. */
#define WRITING_FAINT(value, faint, faint_value)                                                   \
    static ALWAYS_INLINE void V(value##_step)(const V(row) * row, size_t at, size_t count,         \
                                              V(lanes) * unused) {                                 \
        (void)unused;                                                                              \
        if (faint(row, at, count))                                                                 \
            EACH_VECTOR V(store_part)(row->out + at, faint_value(row, at, k, count), k, count);    \
        else                                                                                       \
            EACH_VECTOR V(store_part)(row->out + at, V(value)(row, at, k, count), k, count);       \
    }                                                                                              \
    static ALWAYS_INLINE void V(value##_stream_step)(const V(row) * row, size_t at, size_t count,  \
                                                     V(lanes) * unused) {                          \
        (void)unused;                                                                              \
        if (faint(row, at, count))                                                                 \
            EACH_VECTOR V(stream_part)(row->out + at, faint_value(row, at, k, count), k, count);   \
        else                                                                                       \
            EACH_VECTOR V(stream_part)(row->out + at, V(value)(row, at, k, count), k, count);      \
    }                                                                                              \
    static NOINLINE void V(write_##value)(const V(row) * row, size_t n, bool stream) {             \
        V(row) here = *row;                                                                        \
        V(write)(&here, n, V(value##_step), V(value##_stream_step), stream);                       \
    }
static ALWAYS_INLINE bool V(never_faint)(const V(row) * row, size_t at, size_t count) {
    (void)row, (void)at, (void)count;
    return false;
}
#define WRITING(value) WRITING_FAINT(value, V(never_faint), V(value))

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
#undef WRITING_FAINT
#undef REDUCE_OVER
#undef REDUCTION
#undef REDUCTION_FAINT
#undef ROW_POINTER
