/* softmax and log_softmax of rows of at most a quarter of the lanes, as many at once as a vector
   has lanes: their trees run together, and what is one number a row becomes one vector. */

#define ROWS WIDTH

/* The tree down to one vector. */
static ALWAYS_INLINE V(vec) V(fold_quarter)(V(vec) * a) {
    for (size_t half = QUARTER / 2; half; half /= 2)
        for (size_t k = 0; k < half; k++) a[k] = V(add)(a[k], a[k + half]);
    return a[0];
}

/* The sums of rows. Adding 0 gives a sum of zeros the sign it has in longer rows. */
static ALWAYS_INLINE V(vec) V(sums_of)(const V(vec) * rows) {
    return V(add)(V(sum_rows)(rows), V(set)(0));
}

/* Writes a group. Where rows are dense a vector is stored whole while it stays within the group:
   the next row overwrites what is too much. */
static ALWAYS_INLINE void V(store_rows)(const softjac_call *call, size_t begin, size_t rows,
                                        V(vec) (*results)[QUARTER]) {
    size_t n = call->n, r = 0;
    if (QUARTER == 1 && call->ld_out == (ptrdiff_t)n)
        for (; r * n + WIDTH <= rows * n; r++)
            V(store)(ROW_POINTER(REAL, call->out, call->ld_out, begin + r), results[r][0]);
    for (; r < rows; r++) {
        REAL *out = ROW_POINTER(REAL, call->out, call->ld_out, begin + r);
        EACH_QUARTER V(store_part)(out, results[r][k], k, n);
    }
}

/* The logarithms of sums of shifted exponentials; `rest` has the sums without the largest. */
static ALWAYS_INLINE void V(logarithms)(const REAL *totals, const REAL *rest, REAL *logs,
                                        size_t rows) {
    for (size_t r = 0; r < rows; r++) {
        double total = (double)totals[r] / V(shift_factor), others = total - 1.0;
        others = total < 1.5 ? (double)rest[r] / V(shift_factor) : others;
        logs[r] = (REAL)log1p_scalar(others, total);
    }
}

static ALWAYS_INLINE void V(forward_group)(const softjac_call *call, size_t begin, size_t rows,
                                           bool log) {
    size_t n = call->n;
    V(vec) d[ROWS][QUARTER], t[ROWS][QUARTER], one[ROWS];
    REAL number[ROWS], totals[ROWS], rest[ROWS] = {0};
    for (size_t r = 0; r < ROWS; r++) one[r] = V(set)(0);
    for (size_t r = 0; r < rows; r++) {
        const REAL *x = ROW_POINTER(const REAL, call->first, call->ld_first, begin + r);
        one[r] = V(set)(-INFINITY);
        EACH_QUARTER {
            d[r][k] = V(load_part)(x, k, n, -INFINITY);
            one[r] = V(max)(d[r][k], one[r]);
        }
    }
    V(store)(number, V(max_rows)(one));
    /* Rows close together, for exponentials without idle lanes. */
    REAL dense[(ROWS * QUARTER + QUARTER) * WIDTH];
    for (size_t r = 0; r < rows; r++) EACH_QUARTER {
            d[r][k] = V(sub)(d[r][k], V(set)(number[r]));
            V(store)(dense + r * n + k * WIDTH, d[r][k]);
        }
    for (size_t i = 0; i < rows * n; i += WIDTH)
        V(store)(dense + i, V(exp_shifted)(V(load)(dense + i)));
    for (size_t r = 0; r < rows; r++) {
        V(vec) sum[QUARTER];
        EACH_QUARTER sum[k] = t[r][k] = V(load_part)(dense + r * n, k, n, 0);
        one[r] = V(fold_quarter)(sum);
    }
    V(vec) total = V(sums_of)(one);
    V(store)(totals, total);
    if (log) {
        /* Where one class dominates, the others are added up alone. */
        V(vec) few = V(keep_above)(V(set)(1), V(set)((REAL)1.5 * V(shift_factor)), total);
        if (V(max_lanes)(few) != 0) {
            for (size_t r = 0; r < rows; r++) {
                V(vec) sum[QUARTER];
                EACH_QUARTER sum[k] = V(zero_at_zero)(t[r][k], d[r][k]);
                one[r] = V(fold_quarter)(sum);
            }
            V(store)(rest, V(sums_of)(one));
        }
        V(logarithms)(totals, rest, number, rows);
    } else {
        for (size_t r = 0; r < rows; r++) number[r] = (REAL)(1.0 / totals[r]);
    }
    for (size_t r = 0; r < rows; r++)
        EACH_QUARTER t[r][k] =
            log ? V(sub)(d[r][k], V(set)(number[r])) : V(mul)(t[r][k], V(set)(number[r]));
    V(store_rows)(call, begin, rows, t);
    if (isnan(V(sum_lanes)(total)))
        for (size_t r = 0; r < rows; r++)
            if (isnan(totals[r]))
                V(fill_nan)(ROW_POINTER(REAL, call->out, call->ld_out, begin + r), n);
}

static ALWAYS_INLINE void V(small_rows)(const softjac_call *call, size_t begin, size_t end,
                                        bool log) {
    for (; begin + ROWS <= end; begin += ROWS) V(forward_group)(call, begin, ROWS, log);
    if (begin < end) V(forward_group)(call, begin, end - begin, log);
}

static void V(small_softmax)(const softjac_call *call, size_t begin, size_t end) {
    V(small_rows)(call, begin, end, false);
}
static void V(small_log_softmax)(const softjac_call *call, size_t begin, size_t end) {
    V(small_rows)(call, begin, end, true);
}

#undef ROWS
