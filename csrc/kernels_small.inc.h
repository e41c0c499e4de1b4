/* softmax, log_softmax, products and log_softmax's VJPs of rows of at most a quarter of the lanes,
   as many at once as a vector has lanes: their trees run together, and what is one number a row
   becomes one vector. */

#define ROWS WIDTH

/* How many elements of a row vector k has. */
static ALWAYS_INLINE size_t V(part)(size_t n, size_t k) {
    return n <= k * WIDTH ? 0 : n - k * WIDTH < WIDTH ? n - k * WIDTH : WIDTH;
}

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
    const ptrdiff_t ld = call->ld_out;
    REAL *out = ROW_POINTER(REAL, call->out, ld, begin);
    if (QUARTER == 1 && ld == (ptrdiff_t)n)
        for (; r * n + WIDTH <= rows * n; r++, out += ld) V(store)(out, results[r][0]);
    for (; r < rows; r++, out += ld) EACH_QUARTER V(store_part)(out, results[r][k], k, n);
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

/* The shifted exponentials of many distances, in their place; the least distance, and a sum that is
   finite where they all are. */
typedef struct {
    V(vec) least, sum;
} V(dense);

static ALWAYS_INLINE void V(exponential)(V(dense) * found, V(vec) distance, REAL *to) {
    V(vec) t = V(exp_shifted)(distance);
    found->least = V(min)(distance, found->least);
    found->sum = V(add)(found->sum, t);
    V(store)(to, t);
}
static ALWAYS_INLINE V(dense) V(exponentials)(REAL *dense, size_t count) {
    V(dense) found = {V(set)(0), V(set)(0)};
    size_t i = 0;
    for (; i + WIDTH <= count; i += WIDTH) V(exponential)(&found, V(load)(dense + i), dense + i);
    if (i < count) V(exponential)(&found, V(load_tail)(dense + i, count - i, 0), dense + i);
    return found;
}

static ALWAYS_INLINE void V(forward_group)(const softjac_call *call, size_t begin, size_t rows,
                                           bool log) {
    size_t n = call->n;
    V(vec) d[ROWS][QUARTER], t[ROWS][QUARTER], one[ROWS];
    REAL number[ROWS], totals[ROWS], rest[ROWS] = {0};
    const REAL *first = V(logits)(call, begin);
    const ptrdiff_t ld = call->ld_first;
    for (size_t r = 0; r < ROWS; r++) one[r] = V(set)(0);
    for (size_t r = 0; r < rows; r++) {
        const REAL *x = first + (ptrdiff_t)r * ld;
        one[r] = V(set)(-INFINITY);
        EACH_QUARTER {
            d[r][k] = V(load_tail)(x + k * WIDTH, V(part)(n, k), -INFINITY);
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
    V(vec) least = V(exponentials)(dense, rows * n).least;
    for (size_t r = 0; r < rows; r++) {
        V(vec) sum[QUARTER];
        EACH_QUARTER sum[k] = t[r][k] = V(load_tail)(dense + r * n + k * WIDTH, V(part)(n, k), 0);
        one[r] = V(fold_quarter)(sum);
    }
    V(vec) total = V(sums_of)(one);
    V(store)(totals, total);
    if (log) {
        /* Where one class dominates, the others are added up alone. */
        V(vec) few = V(keep_above)(V(set)(1), V(set)((REAL)1.5 * V(shift_factor)), total);
        if (V(any)(few)) {
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
    bool faint = !log && V(any_below)(least, V(set)(V(faint_distance)));
    for (size_t r = 0; r < rows; r++)
        EACH_QUARTER t[r][k] = log     ? V(sub)(d[r][k], V(set)(number[r]))
                               : faint ? V(scale_down)(t[r][k], number[r])
                                       : V(mul)(t[r][k], V(set)(number[r]));
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

/* A group of products where some sum is infinite or NaN: row by row, by the
 * rules of long rows. */
static NOINLINE void V(unusual_products)(const softjac_call *call, size_t begin, size_t rows) {
    for (size_t r = begin; r < begin + rows; r++) {
        V(row) row = V(row_of)(call, r);
        V(centre_product)(&row, call->n, V(dot_over)(&row, call->n));
        if (isfinite(row.result))
            V(write_product)(&row, call->n, false);
        else
            V(nonfinite)(&row, call->n, false);
    }
}

/* All rows are centred while one of them needs it: those that do not, with a centre of 0, get the
   same sums again, and no branch depends on a row. */
static ALWAYS_INLINE void V(product_group)(const softjac_call *call, size_t begin, size_t rows,
                                           bool faint) {
    size_t n = call->n;
    V(vec) y[ROWS][QUARTER], dy[ROWS][QUARTER], one[ROWS], sizes[ROWS];
    V(vec) centre = V(set)(0), t;
    REAL centres[ROWS] = {0}, sums[ROWS];
    const V(row) row = V(row_of)(call, begin);
    const ptrdiff_t ld_first = call->ld_first, ld_second = call->ld_second;
    for (size_t r = 0; r < ROWS; r++) one[r] = sizes[r] = V(set)(0);
    for (size_t r = 0; r < rows; r++) {
        const REAL *first = row.first + (ptrdiff_t)r * ld_first;
        const REAL *second = row.second + (ptrdiff_t)r * ld_second;
        EACH_QUARTER y[r][k] = V(load_tail)(first + k * WIDTH, V(part)(n, k), 0);
        EACH_QUARTER dy[r][k] = V(load_tail)(second + k * WIDTH, V(part)(n, k), 0);
    }
    for (int pass = 0;; pass++) {
        for (size_t r = 0; r < rows; r++) {
            V(vec) product[QUARTER], size[QUARTER];
            /* Beyond n, y is 0, and so is its product with any centre. */
            EACH_QUARTER {
                V(vec) e = V(sub)(dy[r][k], V(set)(centres[r]));
                product[k] = faint ? V(mul_faint)(y[r][k], e) : V(mul)(y[r][k], e);
            }
            EACH_QUARTER size[k] = V(abs)(product[k]);
            one[r] = V(fold_quarter)(product);
            sizes[r] = V(fold_quarter)(size);
        }
        t = V(sums_of)(one);
        V(vec) half = V(mul)(V(set)((REAL)0.5), V(sums_of)(sizes));
        V(vec) step = V(keep_above)(t, V(abs)(t), half);
        if (pass == 2 || !V(any)(step)) break;
        centre = V(add)(centre, step);
        V(store)(centres, centre);
    }
    if (V(any)(V(mul)(t, V(set)(0)))) {
        V(unusual_products)(call, begin, rows);
        return;
    }
    V(store)(sums, t);
    for (size_t r = 0; r < rows; r++) EACH_QUARTER {
            V(vec) e = V(sub)(V(sub)(dy[r][k], V(set)(centres[r])), V(set)(sums[r]));
            y[r][k] = faint ? V(mul_faint)(y[r][k], e) : V(mul)(y[r][k], e);
        }
    V(store_rows)(call, begin, rows, y);
}

static NOINLINE void V(faint_group)(const softjac_call *call, size_t begin, size_t rows) {
    V(product_group)(call, begin, rows, true);
}

/* Whether a group has faint numbers. */
static ALWAYS_INLINE bool V(group_is_faint)(const softjac_call *call, size_t begin, size_t rows) {
    const V(row) row = V(row_of)(call, begin);
    if (call->ld_first == (ptrdiff_t)call->n) return V(holds_faint)(row.first, rows * call->n);
    for (size_t r = 0; r < rows; r++)
        if (V(step_is_faint)(V(row_of)(call, begin + r).first, call->n)) return true;
    return false;
}

#include "kernels_columns.inc.h"

static void V(small_products)(const softjac_call *call, size_t begin, size_t end) {
    if (V(has_columns)(call->n))
        for (; begin + ROWS <= end; begin += ROWS) V(column_products)(call, begin);
    for (; begin < end; begin += ROWS) {
        size_t rows = end - begin < ROWS ? end - begin : ROWS;
        if (V(group_is_faint)(call, begin, rows))
            V(faint_group)(call, begin, rows);
        else if (rows == ROWS)
            V(product_group)(call, begin, ROWS, false);
        else
            V(product_group)(call, begin, rows, false);
    }
}

/* A part of a row of a group, folded. */
static ALWAYS_INLINE V(vec) V(folded)(const REAL *a, size_t n) {
    V(vec) part[QUARTER];
    EACH_QUARTER part[k] = V(load_tail)(a + k * WIDTH, V(part)(n, k), 0);
    return V(fold_quarter)(part);
}

/* VJPs of log_softmax; false, with nothing written, where a number is not finite. */
static ALWAYS_INLINE bool V(log_vjp_group)(const softjac_call *call, size_t begin, size_t rows) {
    size_t n = call->n;
    V(vec) dy[ROWS][QUARTER], one[ROWS], top[ROWS], before[ROWS], behind[ROWS];
    REAL tops[ROWS], totals[ROWS], sums[ROWS], more[ROWS], dx[ROWS] = {0};
    size_t places[ROWS];
    bool dominated = false;
    const V(row) row = V(row_of)(call, begin);
    const ptrdiff_t ld_first = call->ld_first, ld_second = call->ld_second;
    for (size_t r = 0; r < ROWS; r++) one[r] = top[r] = before[r] = behind[r] = V(set)(0);
    /* Rows close together, for exponentials without idle lanes. */
    REAL dense[(ROWS * QUARTER + QUARTER) * WIDTH];
    for (size_t r = 0; r < rows; r++) {
        const REAL *y = row.first + (ptrdiff_t)r * ld_first;
        const REAL *second = row.second + (ptrdiff_t)r * ld_second;
        V(vec) part[QUARTER];
        top[r] = V(set)(-INFINITY);
        EACH_QUARTER {
            V(vec) distance = V(load_tail)(y + k * WIDTH, V(part)(n, k), -INFINITY);
            top[r] = V(max)(distance, top[r]);
            V(store)(dense + r * n + k * WIDTH, distance);
            dy[r][k] = part[k] = V(load_tail)(second + k * WIDTH, V(part)(n, k), 0);
        }
        one[r] = V(fold_quarter)(part);
    }
    V(vec) total = V(sums_of)(one);
    V(store)(totals, total);
    V(store)(tops, V(max_rows)(top));
    const V(dense) found = V(exponentials)(dense, rows * n);
    if (!isfinite(V(sum_lanes)(found.sum)) || V(any)(V(mul)(total, V(set)(0)))) return false;
    for (size_t r = 0; r < rows; r++) {
        places[r] = n;
        if (tops[r] < DOMINANT) continue;
        const REAL *second = row.second + (ptrdiff_t)r * ld_second;
        size_t k = V(position)(row.first + (ptrdiff_t)r * ld_first, n, tops[r]);
        places[r] = k;
        before[r] = V(folded)(second, k);
        behind[r] = V(folded)(second + k + 1, n - k - 1);
        dominated = true;
    }
    if (dominated) {
        V(store)(sums, V(sums_of)(before));
        V(store)(more, V(sums_of)(behind));
        for (size_t r = 0; r < rows; r++) {
            size_t k = places[r];
            if (k == n) continue;
            REAL dy_k = row.second[(ptrdiff_t)r * ld_second + (ptrdiff_t)k];
            double others = (double)sums[r] + more[r];
            totals[r] = (REAL)(others + dy_k);
            if (!isfinite(totals[r])) return false;
            dx[r] =
                V(dominant_pulled)(row.first[(ptrdiff_t)r * ld_first + (ptrdiff_t)k], dy_k, others);
        }
    }
    bool faint = V(any_below)(found.least, V(set)(V(faint_distance)));
    V(vec) unit = V(set)(1 / V(shift_factor));
    for (size_t r = 0; r < rows; r++) EACH_QUARTER {
            V(vec) t = V(load_tail)(dense + r * n + k * WIDTH, V(part)(n, k), 0);
            V(vec) sum = V(set)(totals[r]);
            V(vec)
            product = faint ? V(mul_faint)(V(scale_down)(t, 1 / V(shift_factor)), sum)
                            : V(mul)(V(mul)(t, unit), sum);
            dy[r][k] = V(sub)(dy[r][k], product);
        }
    V(store_rows)(call, begin, rows, dy);
    for (size_t r = 0; r < rows && dominated; r++)
        if (places[r] < n) ROW_POINTER(REAL, call->out, call->ld_out, begin + r)[places[r]] = dx[r];
    return true;
}

static void V(small_log_vjp)(const softjac_call *call, size_t begin, size_t end) {
    for (; begin < end; begin += ROWS) {
        size_t rows = end - begin < ROWS ? end - begin : ROWS;
        bool done = rows == ROWS ? V(log_vjp_group)(call, begin, ROWS)
                                 : V(log_vjp_group)(call, begin, rows);
        for (size_t r = begin; r < begin + rows && !done; r++) {
            V(row) row = V(row_of)(call, r);
            V(log_vjp_row)(&row, call->n, false);
        }
    }
}

#undef ROWS
