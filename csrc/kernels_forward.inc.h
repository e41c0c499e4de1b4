/* softmax and log_softmax: maximum, sum of exponentials, result.

   Rows up to LONG take three passes, the second and third over a row that is in cache by then. The
   passes of neighbouring rows overlap: in the order of the calls where rows are short (chunk_rows),
   step by step where they are long or far off (wave_rows). Still longer rows are read once for
   maximum and sum together, piece by piece, and once more for the result. */

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

static ALWAYS_INLINE V(vec) V(distance)(const V(row) * row, size_t at, size_t k, size_t count) {
    return V(sub)(V(load_part)(row->first + at, k, count, -INFINITY), V(set)(row->shift));
}

/* out = exp(x - m) 2^SHIFT, and its sum. */
static ALWAYS_INLINE void V(exp_step)(const V(row) * row, size_t at, size_t count,
                                      V(lanes) * lanes) {
    EACH_VECTOR {
        V(vec) t = V(exp_shifted)(V(distance)(row, at, k, count));
        V(store_part)(row->out + at, t, k, count);
        lanes->sum[k] = V(add)(lanes->sum[k], t);
    }
}
REDUCTION(exp)

/* The sum alone. */
static ALWAYS_INLINE void V(exp_sum_step)(const V(row) * row, size_t at, size_t count,
                                          V(lanes) * lanes) {
    EACH_VECTOR {
        V(vec) t = V(exp_shifted)(V(distance)(row, at, k, count));
        lanes->sum[k] = V(add)(lanes->sum[k], t);
    }
}
REDUCTION(exp_sum)

/* The sum without the largest element: what log1p needs where that one dominates. */
static ALWAYS_INLINE void V(exp_rest_step)(const V(row) * row, size_t at, size_t count,
                                           V(lanes) * lanes) {
    EACH_VECTOR {
        V(vec) d = V(distance)(row, at, k, count);
        lanes->sum[k] = V(add)(lanes->sum[k], V(zero_at_zero)(V(exp_shifted)(d), d));
    }
}
REDUCTION(exp_rest)

/* The results: kept / sum, exp(x - m) / sum, and (x - m) - log(sum); each also past the caches. */
static ALWAYS_INLINE V(vec) V(scaled)(const V(row) * row, size_t at, size_t k, size_t count) {
    return V(mul)(V(load_part)(row->kept + at, k, count, 0), V(set)(row->result));
}
static ALWAYS_INLINE V(vec) V(normal)(const V(row) * row, size_t at, size_t k, size_t count) {
    return V(mul)(V(exp_shifted)(V(distance)(row, at, k, count)), V(set)(row->result));
}
static ALWAYS_INLINE V(vec) V(log_normal)(const V(row) * row, size_t at, size_t k, size_t count) {
    return V(sub)(V(distance)(row, at, k, count), V(set)(row->result));
}
/* The same where quotients may be subnormal. */
static ALWAYS_INLINE V(vec) V(kept)(const V(row) * row, size_t at, size_t k, size_t count) {
    return V(load_part)(row->kept + at, k, count, V(shift_factor));
}
static ALWAYS_INLINE bool V(scaled_faint)(const V(row) * row, size_t at, size_t count) {
    return V(any_under)(V(kept), row, at, count, V(faint_exponential));
}
static ALWAYS_INLINE V(vec) V(scaled_down)(const V(row) * row, size_t at, size_t k, size_t count) {
    return V(scale_down)(V(kept)(row, at, k, count), row->result);
}
static ALWAYS_INLINE bool V(normal_faint)(const V(row) * row, size_t at, size_t count) {
    return V(any_under)(V(distance), row, at, count, V(faint_distance));
}
static ALWAYS_INLINE V(vec) V(normal_down)(const V(row) * row, size_t at, size_t k, size_t count) {
    return V(scale_down)(V(exp_shifted)(V(distance)(row, at, k, count)), row->result);
}
WRITING_FAINT(scaled, scaled_faint, scaled_down)
WRITING_FAINT(normal, normal_faint, normal_down)
WRITING(log_normal)

/* The maximum so far, in the lanes of a sum. */
static ALWAYS_INLINE void V(sink)(V(lanes) * tops) { EACH_VECTOR tops->sum[k] = V(set)(-INFINITY); }
static ALWAYS_INLINE void V(rise)(const REAL *x, size_t count, V(lanes) * tops) {
    EACH_VECTOR tops->sum[k] = V(max)(V(load_part)(x, k, count, -INFINITY), tops->sum[k]);
}
static ALWAYS_INLINE REAL V(highest)(V(lanes) * tops) {
    for (size_t half = VECTORS / 2; half; half /= 2)
        for (size_t k = 0; k < half; k++) tops->sum[k] = V(max)(tops->sum[k], tops->sum[k + half]);
    return V(max_lanes)(tops->sum[0]);
}

/* One row is written while the exponentials of a later one are found and the maximum of a still
   later one, at `coming`: what reads, what computes and what writes overlap in time. Returns the
   sum of the exponentials. */
#define WAVE_STEP(name, write_step)                                                                \
    static ALWAYS_INLINE void V(name)(const V(row) * row, size_t at, size_t count,                 \
                                      V(lanes) * tops) {                                           \
        V(write_step)(row, at, count, NULL);                                                       \
        V(rise)(row->coming + at, count, tops);                                                    \
    }
#define WAVE(name, sum_step, value)                                                                \
    WAVE_STEP(name##_step, value##_step)                                                           \
    WAVE_STEP(name##_stream_step, value##_stream_step)                                             \
    static NOINLINE double V(name)(const V(row) * next, size_t n, const V(row) * row, bool stream, \
                                   REAL *top) {                                                    \
        V(row) here = *row, then = *next;                                                          \
        V(lanes) tops;                                                                             \
        V(sink)(&tops);                                                                            \
        double sum = V(sum_beside)(&then, n, V(sum_step), NULL, &here, V(name##_step),             \
                                   V(name##_stream_step), stream, &tops)                           \
                         .sum;                                                                     \
        *top = V(highest)(&tops);                                                                  \
        return sum;                                                                                \
    }
WAVE(softmax_wave, exp_step, scaled)
WAVE(log_softmax_wave, exp_sum_step, log_normal)
#undef WAVE
#undef WAVE_STEP

/* What the exponentials of a row came to. */
typedef struct {
    double total, rest; /* the sum, 1 and more; and without the 1 of the largest */
} V(normaliser);

/* From the sum of the shifted exponentials. Where one class dominates, total - 1 has lost what the
   logarithm and 1 - y need: add up the others alone. */
static ALWAYS_INLINE V(normaliser) V(normalise)(const REAL *x, REAL top, size_t n, double sum) {
    V(normaliser) found = {sum / V(shift_factor), 0};
    found.rest = found.total - 1.0;
    if (found.total < 1.5) {
        V(row) row = {.first = x, .shift = top};
        found.rest = V(exp_rest_over)(&row, n).sum / V(shift_factor);
    }
    return found;
}

static REAL V(log_of)(V(normaliser) found) { return (REAL)log1p_scalar(found.rest, found.total); }

/* Adds a piece's sum to that of the pieces before, relative to the larger of the two maxima. */
static void V(join)(double *sum, REAL *top, REAL own, double part_sum) {
    if (own > *top) {
        *sum = *sum * exp_scalar((double)*top - own) + part_sum;
        *top = own;
    } else {
        *sum += own == -INFINITY ? part_sum : part_sum * exp_scalar((double)own - *top);
    }
}

/* The sum of a whole piece, and beside it the maximum of the piece that comes. */
static ALWAYS_INLINE void V(coming_step)(const V(row) * row, size_t at, size_t count,
                                         V(lanes) * tops) {
    V(rise)(row->coming + at, count, tops);
}
static NOINLINE double V(piece_wave)(const V(row) * row, REAL *top) {
    V(row) here = *row;
    V(lanes) tops;
    V(sink)(&tops);
    double sum =
        V(reduce_beside)(&here, PIECE, V(exp_sum_step), NULL, &here, 0, V(coming_step), &tops).sum;
    *top = V(highest)(&tops);
    return sum;
}

static REAL V(piece_max)(const REAL *x, size_t left) {
    return V(row_max)(x, left < PIECE ? left : PIECE);
}

/* The sum of the piece at x relative to its own maximum; that of the next one, if there is one, is
   left in *top: the next one is read from memory while this one, in the first-level cache, is
   computed with. */
static double V(piece_sum)(const REAL *x, size_t left, REAL own, REAL *top) {
    /* -inf alone, or NaN too: then relative to 0. */
    V(row) part = {.first = x, .shift = own == -INFINITY ? 0 : own};
    if (left > PIECE) part.coming = x + PIECE;
    if (left >= 2 * PIECE) return V(piece_wave)(&part, top);
    if (left > PIECE) *top = V(piece_max)(part.coming, left - PIECE);
    return V(exp_sum_over)(&part, left < PIECE ? left : PIECE).sum;
}

/* Maximum and sum in one reading, piece by piece. The maximum is left in shift. */
static double V(sum_once)(V(row) * row, size_t n) {
    double sum = 0;
    REAL top = -INFINITY, own = V(piece_max)(row->first, n), next = own;
    for (size_t at = 0; at < n; at += PIECE, own = next) {
        double part = V(piece_sum)(row->first + at, n - at, own, &next);
        V(join)(&sum, &top, own, part);
    }
    row->shift = top;
    return top == -INFINITY ? NAN : sum;
}

static void V(long_row)(const REAL *x, REAL *y, size_t n, bool log, bool stream) {
    V(row) row = {.first = x, .out = y};
    double sum = V(sum_once)(&row, n);
    if (isnan(sum)) {
        V(fill_nan)(y, n);
    } else if (log) {
        row.result = V(log_of)(V(normalise)(row.first, row.shift, n, sum));
        V(write_log_normal)(&row, n, stream);
    } else {
        row.result = (REAL)(1.0 / sum);
        V(write_normal)(&row, n, stream);
    }
}

static const REAL *V(logits)(const softjac_call *call, size_t r) {
    return ROW_POINTER(const REAL, call->first, call->ld_first, r);
}
static V(row) V(logits_row)(const softjac_call *call, size_t r) {
    return (V(row)){.first = V(logits)(call, r),
                    .out = ROW_POINTER(REAL, call->out, call->ld_out, r)};
}

/* From a row's maximum to what its results are made with; the exponentials go to `kept`. */
static ALWAYS_INLINE void V(settle)(V(row) * row, size_t n, bool log, double sum) {
    row->sum = sum;
    row->result = log ? V(log_of)(V(normalise)(row->first, row->shift, n, sum)) : (REAL)(1.0 / sum);
}

static void V(begin_row)(V(row) * row, size_t n, bool log, REAL *kept) {
    V(row) exponentials = *row;
    exponentials.out = kept;
    row->kept = kept;
    V(settle)(row, n, log, (log ? V(exp_sum_over) : V(exp_over))(&exponentials, n).sum);
}

static void V(end_row)(const V(row) * row, size_t n, bool log, bool stream) {
    if (isnan(row->sum))
        V(fill_nan)(row->out, n);
    else
        (log ? V(write_log_normal) : V(write_scaled))(row, n, stream);
}

/* Rows of one chunk, in the caches. The next row's exponentials are found before a row is written,
   and maxima three rows early: the trees, the division and the logarithm of a row, two hundred
   cycles of waiting, then run beside other rows' arithmetic. */
static ALWAYS_INLINE void V(chunk_rows)(const softjac_call *call, size_t begin, size_t end,
                                        bool log) {
    enum { EARLY = 3 };
    size_t n = call->n;
    REAL top[EARLY];
    for (size_t r = begin; r < end && r < begin + EARLY; r++)
        top[r % EARLY] = V(row_max)(V(logits)(call, r), n);
    V(row) row = {0};
    for (size_t r = begin; r <= end; r++) {
        V(row) next = row;
        if (r < end) {
            next = V(logits_row)(call, r);
            next.shift = top[r % EARLY];
            next.kept = next.out;
            V(settle)
            (&next, n, log, V(chunk_sums)(&next, n, log ? V(exp_sum_step) : V(exp_step), NULL).sum);
        }
        if (r > begin && isnan(row.sum))
            V(fill_nan)(row.out, n);
        else if (r > begin)
            V(each)(&row, 0, n, log ? V(log_normal_step) : V(scaled_step));
        if (r + EARLY < end) top[r % EARLY] = V(row_max)(V(logits)(call, r + EARLY), n);
        row = next;
    }
}
static NOINLINE void V(chunk_softmax)(const softjac_call *call, size_t begin, size_t end) {
    V(chunk_rows)(call, begin, end, false);
}
static NOINLINE void V(chunk_log_softmax)(const softjac_call *call, size_t begin, size_t end) {
    V(chunk_rows)(call, begin, end, true);
}

/* Rows that are longer or farther off, in waves: row r is written beside the exponentials of row r
   + gap and the maximum of row r + 2 gap. */
static void V(wave_rows)(const softjac_call *call, size_t begin, size_t end, bool log, bool stream,
                         size_t gap, REAL *scratch) {
    size_t n = call->n;
    V(row) rows[MOST_GAP + 1];
    REAL tops[2 * MOST_GAP];
    for (size_t r = begin; r < end && r < begin + 2 * gap; r++)
        tops[r % (2 * gap)] = V(row_max)(V(logits)(call, r), n);
    for (size_t r = begin; r < end + gap; r++) {
        /* What row r keeps lies where row r - gap - 1 had it. */
        V(row) *next = &rows[r % (gap + 1)], *row = &rows[(r + 1) % (gap + 1)];
        REAL *kept = NULL;
        if (r < end) {
            *next = V(logits_row)(call, r);
            next->shift = tops[r % (2 * gap)];
            kept = stream && !log ? scratch + r % (gap + 1) * n : next->out;
        }
        if (r < end && r >= begin + gap) {
            size_t coming = r + gap < end ? r + gap : end - 1;
            row->coming = V(logits)(call, coming);
            REAL *y = next->out, top;
            next->out = kept;
            double sum = (log ? V(log_softmax_wave) : V(softmax_wave))(next, n, row, stream, &top);
            tops[(r + gap) % (2 * gap)] = top;
            next->kept = kept;
            next->out = y;
            V(settle)(next, n, log, sum);
            if (isnan(row->sum)) V(fill_nan)(row->out, n);
        } else if (r < end) {
            V(begin_row)(next, n, log, kept);
        } else if (r >= begin + gap) {
            V(end_row)(row, n, log, stream);
        }
    }
}

/* The distances c (x_i - m) of the logits c x from their maximum c m. Each is rounded in relation
   to itself, where c x_i - c m would have the rounding errors of two large numbers. */
static void V(scaled_distances)(const REAL *x, REAL *out, size_t n, REAL c) {
    REAL m = c < 0 ? x[0] : V(row_max)(x, n);
    for (size_t i = 1; c < 0 && i < n; i++) m = x[i] < m ? x[i] : m;
    for (size_t i = 0; i < n; i++) out[i] = (x[i] - m) * c;
}

/* Rows with a factor: the distances are kept where the result will be. */
static void V(scaled_rows)(const softjac_call *call, size_t begin, size_t end, bool log) {
    size_t n = call->n;
    for (size_t r = begin; r < end; r++) {
        V(row) row = V(logits_row)(call, r);
        V(scaled_distances)(row.first, row.out, n, (REAL)call->scale);
        row.first = row.out;
        if (n > LONG) {
            V(long_row)(row.first, row.out, n, log, false);
            continue;
        }
        row.shift = V(row_max)(row.first, n);
        V(begin_row)(&row, n, log, row.out);
        V(end_row)(&row, n, log, false);
    }
}

static void V(small_softmax)(const softjac_call *call, size_t begin, size_t end);
static void V(small_log_softmax)(const softjac_call *call, size_t begin, size_t end);

static void V(forward)(const softjac_call *call, size_t begin, size_t end, bool log) {
    size_t n = call->n;
    if (call->scale != 1) {
        V(scaled_rows)(call, begin, end, log);
        return;
    }
    if (n <= LANES / 4) {
        (log ? V(small_log_softmax) : V(small_softmax))(call, begin, end);
        return;
    }
    bool stream = call->stream;
    if (n > LONG) {
        for (size_t r = begin; r < end; r++)
            V(long_row)(V(logits)(call, r), V(logits_row)(call, r).out, n, log, stream);
    } else if (n <= CHUNK && (n < WAVE_FROM || call->rows * n * sizeof(REAL) < FAR_FROM)) {
        (log ? V(chunk_log_softmax) : V(chunk_softmax))(call, begin, end);
    } else {
        size_t gap = n <= CHUNK ? MOST_GAP : 1;
        REAL *scratch = stream && !log ? malloc((gap + 1) * n * sizeof(REAL)) : NULL;
        stream = stream && (log || scratch);
        V(wave_rows)(call, begin, end, log, stream, gap, scratch);
        free(scratch);
    }
    if (stream) stream_fence();
}

static void V(softmax)(const softjac_call *call, size_t begin, size_t end) {
    V(forward)(call, begin, end, false);
}

static void V(log_softmax)(const softjac_call *call, size_t begin, size_t end) {
    V(forward)(call, begin, end, true);
}
