/* Products with the Jacobian of log_softmax, J t (JVP) and t J (VJP), from log-probabilities y. */

/* The probabilities of a row of log-probabilities. */
static ALWAYS_INLINE V(vec) V(probability)(const V(row) * row, size_t at, size_t k, size_t count) {
    V(vec) t = V(exp_shifted)(V(load_part)(row->first + at, k, count, -INFINITY));
    return V(mul)(t, V(set)(1 / V(shift_factor)));
}

/* The same where some are faint. */
static ALWAYS_INLINE V(vec) V(log_part)(const V(row) * row, size_t at, size_t k, size_t count) {
    return V(load_part)(row->first + at, k, count, 0);
}
static ALWAYS_INLINE bool V(log_faint)(const V(row) * row, size_t at, size_t count) {
    return V(any_under)(V(log_part), row, at, count, V(faint_distance));
}
static ALWAYS_INLINE V(vec)
    V(faint_probability)(const V(row) * row, size_t at, size_t k, size_t count) {
    V(vec) t = V(exp_shifted)(V(load_part)(row->first + at, k, count, -INFINITY));
    return V(scale_down)(t, 1 / V(shift_factor));
}

/* JVP, x_dot_i - sum exp(y_j) x_dot_j, centred as the products of softmax are. */
static ALWAYS_INLINE void V(log_dot_step)(const V(row) * row, size_t at, size_t count,
                                          V(lanes) * lanes) {
    bool faint = V(log_faint)(row, at, count);
    EACH_VECTOR {
        V(vec) e = V(centred)(row, at, k, count, false);
        V(vec)
        product = faint ? V(mul_faint)(V(faint_probability)(row, at, k, count), e)
                        : V(mul)(V(probability)(row, at, k, count), e);
        lanes->sum[k] = V(add)(lanes->sum[k], product);
    }
}
REDUCTION(log_dot)
WRITING(free_of_mean)

static void V(log_jvp)(const softjac_call *call, size_t begin, size_t end) {
    size_t n = call->n;
    bool stream = call->stream;
    for (size_t r = begin; r < end; r++) {
        V(row) row = V(row_of)(call, r);
        V(centre)(&row, n, V(log_dot_over)(&row, n), V(log_dot_over));
        if (isfinite(row.result))
            V(write_free_of_mean)(&row, n, stream);
        else
            V(nonfinite)(&row, n, true);
        if (call->scale != 1) V(scale_row)(row.out, row.out, n, (REAL)call->scale);
    }
    if (stream) stream_fence();
}

/* The first element with a value. */
static size_t V(position)(const REAL *a, size_t n, REAL value) {
    size_t i = 0;
    while (i < n && a[i] != value) i++;
    return i;
}

/* VJP, dy - exp(y) sum(dy). */
static ALWAYS_INLINE V(vec) V(log_pulled)(const V(row) * row, size_t at, size_t k, size_t count) {
    V(vec) y = V(probability)(row, at, k, count);
    V(vec) dy = V(load_part)(row->second + at, k, count, 0);
    return V(sub)(dy, V(mul)(y, V(set)(row->result)));
}
static ALWAYS_INLINE V(vec)
    V(faint_log_pulled)(const V(row) * row, size_t at, size_t k, size_t count) {
    V(vec) y = V(faint_probability)(row, at, k, count);
    V(vec) dy = V(load_part)(row->second + at, k, count, 0);
    return V(sub)(dy, V(mul_faint)(y, V(set)(row->result)));
}
WRITING_FAINT(log_pulled, log_faint, faint_log_pulled)

/* Where one class k has half of the probability or more, 1 - y_k and the others' cotangents are
   formed without it: dx_k = (1 - y_k) dy_k - y_k sum_{j != k} dy_j. */
#define DOMINANT (-(REAL)0.69314718055994530942)

static ALWAYS_INLINE REAL V(dominant_pulled)(REAL y_k, REAL dy_k, double others) {
    double rest = one_minus_exp(y_k);
    return (REAL)(rest * dy_k - (1 - rest) * others);
}

static void V(log_vjp_row)(V(row) * row, size_t n, bool stream) {
    REAL top = V(row_max)(row->first, n);
    double total = V(sum_over)(row, n).sum;
    size_t k = top >= DOMINANT ? V(position)(row->first, n, top) : n;
    REAL dx_k = 0;
    if (k < n) {
        REAL dy_k = row->second[k];
        double others = V(sum_without)(row->second, n, k);
        total = others + dy_k;
        dx_k = V(dominant_pulled)(row->first[k], dy_k, others);
    }
    row->result = (REAL)total;
    V(write_log_pulled)(row, n, stream);
    if (k < n) row->out[k] = dx_k;
    if (!isfinite(row->result))
        for (size_t i = 0; i < n; i++)
            if (isnan(row->out[i])) row->out[i] = (REAL)NAN;
}

static void V(small_log_vjp)(const softjac_call *call, size_t begin, size_t end);

static void V(log_vjp)(const softjac_call *call, size_t begin, size_t end) {
    if (call->n <= LANES / 4 && call->scale == 1) {
        V(small_log_vjp)(call, begin, end);
        return;
    }
    bool stream = call->stream;
    for (size_t r = begin; r < end; r++) {
        V(row) row = V(row_of)(call, r);
        V(log_vjp_row)(&row, call->n, stream);
        if (call->scale != 1) V(scale_row)(row.out, row.out, call->n, (REAL)call->scale);
    }
    if (stream) stream_fence();
}
