/* Sums over a row.

   Every sum runs over a fixed number of virtual lanes and one tree, whatever the vector width, so
   that every ISA gives the same bits: element i adds to lane i mod LANES; after CHUNK elements the
   lanes are added to the block's; after BLOCK elements those are folded in halves (lane l and
   l + LANES/2, and so on) and the block's sum is added to the row's, with its rounding error kept.
   No path is longer than 16 + 8 + log2(LANES) additions, however long the row. */

static ALWAYS_INLINE void V(zero)(V(lanes) * lanes) {
    EACH_VECTOR lanes->sum[k] = V(set)(0);
    lanes->faint = false;
}

static ALWAYS_INLINE void V(accumulate)(V(lanes) * into, const V(lanes) * lanes) {
    EACH_VECTOR into->sum[k] = V(add)(into->sum[k], lanes->sum[k]);
    into->faint |= lanes->faint;
}

/* The tree. */
static ALWAYS_INLINE REAL V(tree)(V(vec) * lanes) {
    UNROLL for (size_t half = VECTORS / 2; half; half /= 2) UNROLL for (size_t k = 0; k < half; k++)
        lanes[k] = V(add)(lanes[k], lanes[k + half]);
    return V(sum_lanes)(lanes[0]);
}

/* What one block's lanes come to. */
static ALWAYS_INLINE V(sums) V(fold)(V(lanes) * lanes) {
    V(vec) size[VECTORS];
    EACH_VECTOR size[k] = V(abs)(lanes->sum[k]);
    return (V(sums)){V(tree)(lanes->sum), V(tree)(size), lanes->faint};
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
   is loaded here, for the second look or for the step. */
static ALWAYS_INLINE bool V(step_is_faint)(const REAL *y, size_t count) {
    V(vec) step[VECTORS], again[VECTORS];
    if (VECTORS > 4) FORGET(y);
    EACH_VECTOR step[k] = V(load_part)(y, k, count, 1);
    if (__builtin_expect(V(none_small)(step, VECTORS), 1)) return false;
    if (VECTORS > 4) FORGET(y);
    EACH_VECTOR again[k] = V(load_part)(y, k, count, 1);
    return V(any_faint)(again, VECTORS);
}

/* Whether one of n numbers is faint. */
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

/* The sum of a vector. */
static ALWAYS_INLINE void V(sum_step)(const V(row) * row, size_t at, size_t count,
                                      V(lanes) * lanes) {
    EACH_VECTOR lanes->sum[k] = V(add)(lanes->sum[k], V(load_part)(row->second + at, k, count, 0));
}
REDUCTION(sum)

/* The sum of a row without its element k. */
static double V(sum_without)(const REAL *a, size_t n, size_t k) {
    V(row) part = {.second = a};
    double sum = V(sum_over)(&part, k).sum;
    part.second = a + k + 1;
    return sum + V(sum_over)(&part, n - k - 1).sum;
}
