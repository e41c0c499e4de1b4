/* softmax and log_softmax: maximum, sum of exponentials, result.

   Rows up to LONG take three passes, the second and third over a row that is in cache by then; the
   next row's maximum is taken beside the writing of the result. Longer rows are read once for
   maximum and sum together, piece by piece, and once more for the result. */

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

/* The same two while the next row comes from memory: there is arithmetic to hide it behind. */
static ALWAYS_INLINE void V(come_closer)(const V(row) * row, size_t at) {
    for (size_t line = 0; line < LANES; line += 64 / sizeof(REAL))
        __builtin_prefetch(row->ahead + at + line, 0, 2);
}
static ALWAYS_INLINE void V(exp_ahead_step)(const V(row) * row, size_t at, size_t count,
                                            V(lanes) * lanes) {
    V(come_closer)(row, at);
    V(exp_step)(row, at, count, lanes);
}
REDUCTION(exp_ahead)
static ALWAYS_INLINE void V(exp_sum_ahead_step)(const V(row) * row, size_t at, size_t count,
                                                V(lanes) * lanes) {
    V(come_closer)(row, at);
    V(exp_sum_step)(row, at, count, lanes);
}
REDUCTION(exp_sum_ahead)

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
WRITING(scaled)
WRITING(normal)
WRITING(log_normal)

/* The maximum of a row, the row before it being written meanwhile. */
#define MAXIMUM_BESIDE(value)                                                                      \
    static NOINLINE REAL V(value##_beside)(const REAL *x, size_t n, const V(row) * row,            \
                                           bool stream) {                                          \
        V(row) here = *row;                                                                        \
        if (!stream) return V(row_max_beside)(x, n, &here, 0, V(value##_step));                    \
        size_t lead = V(lead)(here.out, n);                                                        \
        if (lead) V(value##_step)(&here, 0, lead, NULL);                                           \
        return V(row_max_beside)(x, n, &here, lead, V(value##_stream_step));                       \
    }
MAXIMUM_BESIDE(scaled)
MAXIMUM_BESIDE(log_normal)
#undef MAXIMUM_BESIDE

/* What the exponentials of a row came to. */
typedef struct {
    double total, rest; /* the sum, 1 and more; and without the 1 of the largest */
} V(normaliser);

/* From the sum of the shifted exponentials. Where one class dominates, total - 1 has lost what the
   logarithm and 1 - y need: add up the others alone. */
static V(normaliser) V(normalise)(const V(row) * row, size_t n, double sum) {
    V(normaliser) found = {sum / V(shift_factor), 0};
    found.rest = found.total - 1.0;
    if (found.total < 1.5) found.rest = V(exp_rest_over)(row, n).sum / V(shift_factor);
    return found;
}

static REAL V(log_of)(V(normaliser) found) { return (REAL)log1p_scalar(found.rest, found.total); }

/* The sum of a piece relative to its own maximum, which it leaves in *top. */
static double V(piece_sum)(const REAL *x, size_t length, REAL *top) {
    *top = V(row_max)(x, length);
    /* -inf alone, or NaN too: then relative to 0. */
    V(row) part = {.first = x, .shift = *top == -INFINITY ? 0 : *top};
    return V(exp_sum_over)(&part, length).sum;
}

/* Adds a piece's sum to that of the pieces before, relative to the larger of the two maxima. */
static void V(join)(double *sum, REAL *top, REAL own, double part_sum) {
    if (own > *top) {
        *sum = *sum * exp_scalar((double)*top - own) + part_sum;
        *top = own;
    } else {
        *sum += own == -INFINITY ? part_sum : part_sum * exp_scalar((double)own - *top);
    }
}

/* Maximum and sum in one reading, piece by piece. The maximum is left in shift. */
static double V(sum_once)(V(row) * row, size_t n) {
    double sum = 0;
    REAL top = -INFINITY;
    for (size_t at = 0; at < n; at += PIECE) {
        REAL own;
        double part = V(piece_sum)(row->first + at, n - at < PIECE ? n - at : PIECE, &own);
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
        row.result = V(log_of)(V(normalise)(&row, n, sum));
        V(write_log_normal)(&row, n, stream);
    } else {
        row.result = (REAL)(1.0 / sum);
        V(write_normal)(&row, n, stream);
    }
}

/* Rows one after the other; `next` has the maximum of the row to come. */
static void V(forward_rows)(const softjac_call *call, size_t begin, size_t end, bool log,
                            bool stream, REAL *scratch) {
    size_t n = call->n;
    REAL scale = (REAL)call->scale, next = 0;
    bool far = call->rows * n * sizeof(REAL) >= FAR_FROM;
    for (size_t r = begin; r < end; r++) {
        V(row) row = {.first = ROW_POINTER(const REAL, call->first, call->ld_first, r)};
        REAL *y = ROW_POINTER(REAL, call->out, call->ld_out, r);
        const REAL *ahead = ROW_POINTER(const REAL, call->first, call->ld_first, r + 1);
        bool has_next = r + 1 < end && scale == 1;
        if (scale != 1) {
            V(scale_row)(row.first, y, n, scale);
            row.first = y;
        }
        if (n > LONG) {
            V(long_row)(row.first, y, n, log, stream);
            continue;
        }
        row.shift = r == begin || scale != 1 ? V(row_max)(row.first, n) : next;
        row.out = stream && !log ? scratch : y;
        row.ahead = ahead;
        double sum = has_next && far
                         ? (log ? V(exp_sum_ahead_over) : V(exp_ahead_over))(&row, n).sum
                         : (log ? V(exp_sum_over) : V(exp_over))(&row, n).sum;
        row.kept = row.out;
        row.out = y;
        if (isnan(sum)) {
            V(fill_nan)(y, n);
            if (has_next) next = V(row_max)(ahead, n);
            continue;
        }
        row.result = log ? V(log_of)(V(normalise)(&row, n, sum)) : (REAL)(1.0 / sum);
        if (has_next)
            next = log ? V(log_normal_beside)(ahead, n, &row, stream)
                       : V(scaled_beside)(ahead, n, &row, stream);
        else if (log)
            V(write_log_normal)(&row, n, stream);
        else
            V(write_scaled)(&row, n, stream);
    }
}

static void V(small_softmax)(const softjac_call *call, size_t begin, size_t end);
static void V(small_log_softmax)(const softjac_call *call, size_t begin, size_t end);

static void V(forward)(const softjac_call *call, size_t begin, size_t end, bool log) {
    if (call->n <= LANES / 4 && call->scale == 1) {
        (log ? V(small_log_softmax) : V(small_softmax))(call, begin, end);
        return;
    }
    bool stream = call->rows * call->n * sizeof(REAL) >= STREAM_FROM && call->scale == 1;
    REAL *scratch = NULL;
    if (stream && !log && call->n <= LONG) {
        scratch = malloc(call->n * sizeof(REAL));
        stream = scratch != NULL;
    }
    if (stream) {
        V(forward_rows)(call, begin, end, log, true, scratch);
        stream_fence();
    } else {
        V(forward_rows)(call, begin, end, log, false, NULL);
    }
    free(scratch);
}

static void V(softmax)(const softjac_call *call, size_t begin, size_t end) {
    V(forward)(call, begin, end, false);
}

static void V(log_softmax)(const softjac_call *call, size_t begin, size_t end) {
    V(forward)(call, begin, end, true);
}
