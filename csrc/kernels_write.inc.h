/* What the ops write, step by step: through the caches or past them. */

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

/* The sum of `step` over a row, and beside it another row written. */
static ALWAYS_INLINE V(sums)
    V(sum_beside)(const V(row) * row, size_t n, V(step) * step, V(step) * faint_step,
                  const V(row) * other, V(step) * other_step, V(step) * other_stream_step,
                  bool stream, V(lanes) * others) {
    if (!stream) return V(reduce_beside)(row, n, step, faint_step, other, 0, other_step, others);
    size_t lead = V(lead)(other->out, n);
    if (lead) other_step(other, 0, lead, others);
    return V(reduce_beside)(row, n, step, faint_step, other, lead, other_stream_step, others);
}

/* c * a, in place where out is a. */
static void V(scale_row)(const REAL *a, REAL *out, size_t n, REAL c) {
    for (size_t i = 0; i < n; i++) out[i] = a[i] * c;
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

/* A step that puts into out what `value` gives, or `faint_value` where `faint` says so: the same
   bits, at their usual speed where they are subnormal and more slowly elsewhere. */
#define WRITING_STEP(name, put, value, faint, faint_value)                                         \
    static ALWAYS_INLINE void V(name)(const V(row) * row, size_t at, size_t count,                 \
                                      V(lanes) * unused) {                                         \
        (void)unused;                                                                              \
        REAL *out = row->out + at;                                                                 \
        if (V(faint)(row, at, count))                                                              \
            EACH_VECTOR V(put)(out, V(faint_value)(row, at, k, count), k, count);                  \
        else                                                                                       \
            EACH_VECTOR V(put)(out, V(value)(row, at, k, count), k, count);                        \
    }

/* The steps that write a value to out, through the caches and past them, and a whole row of it. */
#define WRITING_FAINT(value, faint, faint_value)                                                   \
    WRITING_STEP(value##_step, store_part, value, faint, faint_value)                              \
    WRITING_STEP(value##_stream_step, stream_part, value, faint, faint_value)                      \
    static NOINLINE void V(write_##value)(const V(row) * row, size_t n, bool stream) {             \
        V(row) here = *row;                                                                        \
        V(write)(&here, n, V(value##_step), V(value##_stream_step), stream);                       \
    }
static ALWAYS_INLINE bool V(never_faint)(const V(row) * row, size_t at, size_t count) {
    (void)row, (void)at, (void)count;
    return false;
}
#define WRITING(value) WRITING_FAINT(value, never_faint, value)
