/* softmax and log_softmax of the logits c x: maximum, sum of exponentials, result. */

static ALWAYS_INLINE V(vec) V(distance)(const V(row) *row, size_t at, size_t k, size_t count) {
    V(vec) x = V(load_part)(row->first + at, k, count, row->scale < 0 ? INFINITY : -INFINITY);
    return V(sub)(V(mul)(x, V(set)(row->scale)), V(set)(row->shift));
}

/* out = exp(c x - m) 2^SHIFT, and its sum. */
static ALWAYS_INLINE void V(exp_step)(const V(row) *row, size_t at, size_t count,
                                      V(lanes) *lanes) {
    EACH_VECTOR {
        V(vec) t = V(exp_shifted)(V(distance)(row, at, k, count));
        V(store_part)(row->out + at, t, k, count);
        lanes->sum[k] = V(add)(lanes->sum[k], t);
    }
}

/* The sum alone. */
static ALWAYS_INLINE void V(exp_sum_step)(const V(row) *row, size_t at, size_t count,
                                          V(lanes) *lanes) {
    EACH_VECTOR {
        V(vec) t = V(exp_shifted)(V(distance)(row, at, k, count));
        lanes->sum[k] = V(add)(lanes->sum[k], t);
    }
}

/* The sum without the largest element: what log1p needs where that one dominates. */
static ALWAYS_INLINE void V(exp_rest_step)(const V(row) *row, size_t at, size_t count,
                                           V(lanes) *lanes) {
    EACH_VECTOR {
        V(vec) d = V(distance)(row, at, k, count);
        lanes->sum[k] = V(add)(lanes->sum[k], V(zero_at_zero)(V(exp_shifted)(d), d));
    }
}

/* out *= 1 / sum. */
static ALWAYS_INLINE void V(multiply_step)(const V(row) *row, size_t at, size_t count,
                                           V(lanes) *unused) {
    (void)unused;
    EACH_VECTOR {
        V(vec) t = V(load_part)(row->out + at, k, count, 0);
        V(store_part)(row->out + at, V(mul)(t, V(set)(row->result)), k, count);
    }
}

/* out = (c x - m) - log(sum). */
static ALWAYS_INLINE void V(log_step)(const V(row) *row, size_t at, size_t count,
                                      V(lanes) *unused) {
    (void)unused;
    EACH_VECTOR {
        V(vec) d = V(distance)(row, at, k, count);
        V(store_part)(row->out + at, V(sub)(d, V(set)(row->result)), k, count);
    }
}

static void V(softmax_row)(const REAL *x, REAL *y, size_t n, REAL scale) {
    V(row) row = {.first = x, .out = y, .scale = scale, .shift = V(row_max)(x, n, scale)};
    double sum = V(reduce)(&row, n, V(exp_step)).sum;
    if (isnan(sum)) {
        V(fill_nan)(y, n);
        return;
    }
    row.result = (REAL)(1.0 / sum);
    V(each)(&row, n, V(multiply_step));
}

/* What the exponentials of a row came to. */
typedef struct {
    double total, rest; /* the sum, 1 and more; and without the 1 of the largest */
} V(normaliser);

/* From the sum of the shifted exponentials. Where one class dominates, total - 1 has lost what the
   logarithm and 1 - y need: add up the others alone. */
static V(normaliser) V(normalise)(const V(row) *row, size_t n, double sum) {
    V(normaliser) found = {sum / V(shift_factor), 0};
    found.rest = found.total - 1.0;
    if (found.total < 1.5)
        found.rest = V(reduce)(row, n, V(exp_rest_step)).sum / V(shift_factor);
    return found;
}

static void V(log_softmax_row)(const REAL *x, REAL *y, size_t n, REAL scale) {
    V(row) row = {.first = x, .out = y, .scale = scale, .shift = V(row_max)(x, n, scale)};
    double sum = V(reduce)(&row, n, V(exp_sum_step)).sum;
    if (isnan(sum)) {
        V(fill_nan)(y, n);
        return;
    }
    V(normaliser) norm = V(normalise)(&row, n, sum);
    row.result = (REAL)log1p_scalar(norm.rest, norm.total);
    V(each)(&row, n, V(log_step));
}

static void V(softmax)(const softjac_call *call, size_t begin, size_t end) {
    for (size_t r = begin; r < end; r++)
        V(softmax_row)(ROW_POINTER(const REAL, call->first, call->ld_first, r),
                       ROW_POINTER(REAL, call->out, call->ld_out, r), call->n, (REAL)call->scale);
}

static void V(log_softmax)(const softjac_call *call, size_t begin, size_t end) {
    for (size_t r = begin; r < end; r++)
        V(log_softmax_row)(ROW_POINTER(const REAL, call->first, call->ld_first, r),
                           ROW_POINTER(REAL, call->out, call->ld_out, r), call->n,
                           (REAL)call->scale);
}
