/* Products with the Jacobian.

   softmax, VJP and JVP alike: y_i ((dy_i - c) - t), t = sum y_j (dy_j - c), for any centre c, since
   J 1 = 0. With D = sum y_j |dy_j - s|, s = sum y_j dy_j, the result is accurate relative to
   y_i (|dy_i - s| + D) where |c - s| is of the order of D. A pass with centre c gives t and
   T = sum y_j |dy_j - c|; D >= T - |s - c| and s - c = t, so |t| <= T/2 proves |c - s| <= D and
   T <= 2 D. c = 0, the textbook form, mostly passes. If not, c + t is the next centre. After the
   second such step c is s rounded (the error left, of the order of u^2 sum |y_j dy_j|, is below
   that), so that |c - s| <= u |s|; and were D far below u |s|, then nearly all of the probability
   would lie on elements that equal one floating-point number, the nearest to s, which c then is.
   So the third pass needs no test. */

static ALWAYS_INLINE void V(add_products)(V(lanes) *lanes, V(vec) *product) {
    EACH_VECTOR lanes->sum[k] = V(add)(lanes->sum[k], product[k]);
    for (size_t k = 0; k < QUARTER; k++) {
        V(vec) a = V(add)(V(abs)(product[k]), V(abs)(product[k + QUARTER]));
        V(vec) b = V(add)(V(abs)(product[k + 2 * QUARTER]), V(abs)(product[k + 3 * QUARTER]));
        lanes->size[k] = V(add)(lanes->size[k], V(add)(a, b));
    }
}

static ALWAYS_INLINE V(vec) V(centred)(const V(row) *row, size_t at, size_t k, size_t count) {
    return V(sub)(V(load_part)(row->second + at, k, count, 0), V(set)(row->shift));
}

/* The probabilities of a row of log-probabilities. */
static ALWAYS_INLINE V(vec) V(probability)(const V(row) *row, size_t at, size_t k, size_t count) {
    V(vec) t = V(exp_shifted)(V(load_part)(row->first + at, k, count, -INFINITY));
    return V(mul)(t, V(set)(1 / V(shift_factor)));
}

static ALWAYS_INLINE void V(dot_step)(const V(row) *row, size_t at, size_t count,
                                      V(lanes) *lanes) {
    V(vec) product[VECTORS];
    EACH_VECTOR product[k] = V(mul)(V(load_part)(row->first + at, k, count, 0),
                                    V(centred)(row, at, k, count));
    V(add_products)(lanes, product);
}

static ALWAYS_INLINE void V(log_dot_step)(const V(row) *row, size_t at, size_t count,
                                          V(lanes) *lanes) {
    V(vec) product[VECTORS];
    EACH_VECTOR product[k] =
        V(mul)(V(probability)(row, at, k, count), V(centred)(row, at, k, count));
    V(add_products)(lanes, product);
}

static V(row) V(row_of)(const softjac_call *call, size_t r) {
    return (V(row)){.first = ROW_POINTER(const REAL, call->first, call->ld_first, r),
                    .second = ROW_POINTER(const REAL, call->second, call->ld_second, r),
                    .out = ROW_POINTER(REAL, call->out, call->ld_out, r),
                    .scale = (REAL)call->scale};
}

/* Chooses the centre and sums; false where the sum is not finite. */
static ALWAYS_INLINE bool V(centre)(V(row) *row, size_t n, V(step) *step) {
    for (int pass = 0;; pass++) {
        V(sums) sums = V(reduce)(row, n, step);
        row->result = (REAL)sums.sum;
        if (!isfinite(row->result)) return false;
        if (pass == 2 || fabs(sums.sum) <= 0.5 * sums.size) return true;
        row->shift = (REAL)(row->shift + sums.sum);
    }
}

static ALWAYS_INLINE void V(product_step)(const V(row) *row, size_t at, size_t count,
                                          V(lanes) *unused) {
    (void)unused;
    EACH_VECTOR {
        V(vec) e = V(sub)(V(centred)(row, at, k, count), V(set)(row->result));
        V(vec) dx = V(mul)(V(load_part)(row->first + at, k, count, 0), e);
        V(store_part)(row->out + at, V(mul)(dx, V(set)(row->scale)), k, count);
    }
}

/* y_dot = (x_dot - c) - t, for log-probabilities. */
static ALWAYS_INLINE void V(log_jvp_step)(const V(row) *row, size_t at, size_t count,
                                          V(lanes) *unused) {
    (void)unused;
    EACH_VECTOR {
        V(vec) e = V(sub)(V(centred)(row, at, k, count), V(set)(row->result));
        V(store_part)(row->out + at, V(mul)(e, V(set)(row->scale)), k, count);
    }
}

/* The same where a sum is infinite or NaN: element by element, with one NaN. */
static void V(product_nonfinite)(const V(row) *row, size_t n, bool log) {
    for (size_t i = 0; i < n; i++) {
        REAL e = row->second[i] - row->result;
        REAL value = (log ? e : row->first[i] * e) * row->scale;
        row->out[i] = isnan(value) ? (REAL)NAN : value;
    }
}

static void V(product)(const softjac_call *call, size_t begin, size_t end) {
    for (size_t r = begin; r < end; r++) {
        V(row) row = V(row_of)(call, r);
        if (V(centre)(&row, call->n, V(dot_step)))
            V(each)(&row, call->n, V(product_step));
        else
            V(product_nonfinite)(&row, call->n, false);
    }
}

static void V(log_jvp)(const softjac_call *call, size_t begin, size_t end) {
    for (size_t r = begin; r < end; r++) {
        V(row) row = V(row_of)(call, r);
        if (V(centre)(&row, call->n, V(log_dot_step)))
            V(each)(&row, call->n, V(log_jvp_step));
        else
            V(product_nonfinite)(&row, call->n, true);
    }
}

/* The sum of the cotangent. */
static ALWAYS_INLINE void V(sum_step)(const V(row) *row, size_t at, size_t count,
                                      V(lanes) *lanes) {
    EACH_VECTOR lanes->sum[k] =
        V(add)(lanes->sum[k], V(load_part)(row->second + at, k, count, 0));
}

/* dx = dy - y sum(dy). */
static ALWAYS_INLINE void V(log_vjp_step)(const V(row) *row, size_t at, size_t count,
                                          V(lanes) *unused) {
    (void)unused;
    EACH_VECTOR {
        V(vec) dy = V(load_part)(row->second + at, k, count, 0);
        V(vec) y = V(probability)(row, at, k, count);
        V(vec) dx = V(sub)(dy, V(mul)(y, V(set)(row->result)));
        V(store_part)(row->out + at, V(mul)(dx, V(set)(row->scale)), k, count);
    }
}

/* The sum of a row without its element k. */
static double V(sum_without)(const REAL *a, size_t n, size_t k) {
    V(row) part = {.second = a};
    double sum = V(reduce)(&part, k, V(sum_step)).sum;
    part.second = a + k + 1;
    return sum + V(reduce)(&part, n - k - 1, V(sum_step)).sum;
}

static size_t V(position)(const REAL *a, size_t n, REAL value) {
    size_t i = 0;
    while (i < n && a[i] != value) i++;
    return i;
}

/* Where one class k has half of the probability or more, 1 - y_k and the others' cotangents are
   formed without it: dx_k = (1 - y_k) dy_k - y_k sum_{j != k} dy_j. */
static void V(log_vjp_row)(V(row) *row, size_t n) {
    const double half = -0.69314718055994530942;
    REAL top = V(row_max)(row->first, n, 1);
    double total = V(reduce)(row, n, V(sum_step)).sum;
    size_t k = top >= (REAL)half ? V(position)(row->first, n, top) : n;
    REAL dx_k = 0;
    if (k < n) {
        REAL dy_k = row->second[k];
        double others = V(sum_without)(row->second, n, k);
        total = others + dy_k;
        double rest = one_minus_exp(top);
        dx_k = (REAL)(rest * dy_k - (1 - rest) * others) * row->scale;
    }
    row->result = (REAL)total;
    V(each)(row, n, V(log_vjp_step));
    if (k < n) row->out[k] = dx_k;
    if (!isfinite(row->result))
        for (size_t i = 0; i < n; i++)
            if (isnan(row->out[i])) row->out[i] = (REAL)NAN;
}

static void V(log_vjp)(const softjac_call *call, size_t begin, size_t end) {
    for (size_t r = begin; r < end; r++) {
        V(row) row = V(row_of)(call, r);
        V(log_vjp_row)(&row, call->n);
    }
}
