/* Products with the Jacobian of softmax.

   VJP and JVP alike: y_i ((dy_i - c) - t), t = sum y_j (dy_j - c), for any centre c, since
   J 1 = 0. With D = sum y_j |dy_j - s|, s = sum y_j dy_j, the result is accurate relative to
   y_i (|dy_i - s| + D) where |c - s| is of the order of D. A pass with centre c gives t and, from
   the lanes of its sum, L, the sum of |what a lane came to|. L <= T = sum y_j |dy_j - c|,
   D >= T - |s - c| and s - c = t, so |t| <= L/2 <= T/2 proves |c - s| <= D and T <= 2 D. (T itself
   would cost the loop as much as t; L costs it nothing and is several times |t| where signs are
   mixed.) c = 0, the textbook form, mostly passes. If not, c + t is the next centre. After the
   second such step c is s rounded (the error left, of the order of u^2 sum |y_j dy_j|, is below
   that), so that |c - s| <= u |s|; and were D far below u |s|, then nearly all of the probability
   would lie on elements that equal one floating-point number, the nearest to s, which c then is.
   So the third pass needs no test. */

/* dy - c; `plain` says that c = 0. */
static ALWAYS_INLINE V(vec)
    V(centred)(const V(row) * row, size_t at, size_t k, size_t count, bool plain) {
    V(vec) t = V(load_part)(row->second + at, k, count, 0);
    return plain ? t : V(sub)(t, V(set)(row->shift));
}

/* y (dy - c), to its sum. */
static ALWAYS_INLINE void V(dot)(const V(row) * row, size_t at, size_t count, V(lanes) * lanes,
                                 bool plain, bool faint) {
    EACH_VECTOR {
        V(vec) y = V(load_part)(row->first + at, k, count, 0);
        V(vec) e = V(centred)(row, at, k, count, plain);
        V(vec) product = faint ? V(mul_faint)(y, e) : V(mul)(y, e);
        lanes->sum[k] = V(add)(lanes->sum[k], product);
    }
}
#define DOT(name, plain, faint)                                                                    \
    static ALWAYS_INLINE void V(name##_step)(const V(row) * row, size_t at, size_t count,          \
                                             V(lanes) * lanes) {                                   \
        V(dot)(row, at, count, lanes, plain, faint);                                               \
    }
DOT(dot, true, false)
DOT(faint_dot, false, true)
DOT(centred_dot, false, false)
#undef DOT
REDUCTION_FAINT(dot, faint_dot)
REDUCTION(faint_dot)
REDUCTION(centred_dot)

static V(row) V(row_of)(const softjac_call *call, size_t r) {
    return (V(row)){.first = ROW_POINTER(const REAL, call->first, call->ld_first, r),
                    .second = ROW_POINTER(const REAL, call->second, call->ld_second, r),
                    .out = ROW_POINTER(REAL, call->out, call->ld_out, r)};
}

/* From the sums of the first pass, with c = 0, to a centre that keeps the tails, and its sum;
   `over` gives the sums with another centre. */
static void V(centre)(V(row) * row, size_t n, V(sums) sums,
                      V(sums) (*over)(const V(row) * row, size_t n)) {
    row->result = (REAL)sums.sum;
    for (int pass = 0; pass < 2 && fabs(sums.sum) > 0.5 * sums.size; pass++) {
        if (!isfinite(row->result)) return;
        row->shift = (REAL)(row->shift + sums.sum);
        sums = over(row, n);
        row->result = (REAL)sums.sum;
    }
}

/* The same for products of softmax; the first pass has seen whether y has faint numbers. */
static void V(centre_product)(V(row) * row, size_t n, V(sums) sums) {
    row->faint = sums.faint;
    V(centre)(row, n, sums, sums.faint ? V(faint_dot_over) : V(centred_dot_over));
}

/* (dy - c) - t, and y times that. */
static ALWAYS_INLINE V(vec) V(free_of_mean)(const V(row) * row, size_t at, size_t k, size_t count) {
    return V(sub)(V(centred)(row, at, k, count, false), V(set)(row->result));
}
static ALWAYS_INLINE V(vec)
    V(plain_product)(const V(row) * row, size_t at, size_t k, size_t count) {
    V(vec) e = V(sub)(V(centred)(row, at, k, count, true), V(set)(row->result));
    return V(mul)(V(load_part)(row->first + at, k, count, 0), e);
}
static ALWAYS_INLINE V(vec)
    V(centred_product)(const V(row) * row, size_t at, size_t k, size_t count) {
    return V(mul)(V(load_part)(row->first + at, k, count, 0), V(free_of_mean)(row, at, k, count));
}
static ALWAYS_INLINE V(vec)
    V(faint_product)(const V(row) * row, size_t at, size_t k, size_t count) {
    V(vec) y = V(load_part)(row->first + at, k, count, 0);
    return V(mul_faint)(y, V(free_of_mean)(row, at, k, count));
}
WRITING(plain_product)
WRITING(centred_product)
WRITING(faint_product)

/* A row's product, by the cheapest of the three ways. */
static void V(write_product)(const V(row) * row, size_t n, bool stream) {
    (row->faint        ? V(write_faint_product)
     : row->shift == 0 ? V(write_plain_product)
                       : V(write_centred_product))(row, n, stream);
}

/* It where a sum is infinite or NaN: element by element, with one NaN. */
static void V(nonfinite)(const V(row) * row, size_t n, bool log) {
    for (size_t i = 0; i < n; i++) {
        REAL e = (row->second[i] - row->shift) - row->result;
        REAL value = log ? e : row->first[i] * e;
        row->out[i] = isnan(value) ? (REAL)NAN : value;
    }
}

/* The first pass over a row, the row before it being written meanwhile. */
#define DOT_BESIDE(value)                                                                          \
    static NOINLINE V(sums)                                                                        \
        V(value##_beside)(const V(row) * next, size_t n, const V(row) * row, bool stream) {        \
        V(row) here = *row, then = *next;                                                          \
        return V(sum_beside)(&then, n, V(dot_step), V(faint_dot_step), &here, V(value##_step),     \
                             V(value##_stream_step), stream, NULL);                                \
    }
DOT_BESIDE(plain_product)
DOT_BESIDE(centred_product)
DOT_BESIDE(faint_product)
#undef DOT_BESIDE

/* Rows one after the other. */
static void V(product_rows)(const softjac_call *call, size_t begin, size_t end, bool stream) {
    size_t n = call->n;
    V(row) row = V(row_of)(call, begin);
    V(sums) sums = V(dot_over)(&row, n);
    for (size_t r = begin; r < end; r++) {
        V(centre_product)(&row, n, sums);
        bool last = r + 1 == end;
        V(row) next = last ? row : V(row_of)(call, r + 1);
        if (!isfinite(row.result)) {
            V(nonfinite)(&row, n, false);
            if (!last) sums = V(dot_over)(&next, n);
        } else if (last || !call->interleave) {
            V(write_product)(&row, n, stream);
            if (!last) sums = V(dot_over)(&next, n);
        } else {
            sums = (row.faint        ? V(faint_product_beside)
                    : row.shift == 0 ? V(plain_product_beside)
                                     : V(centred_product_beside))(&next, n, &row, stream);
        }
        if (call->scale != 1) V(scale_row)(row.out, row.out, n, (REAL)call->scale);
        row = next;
    }
}

/* The same for rows of one chunk: nothing is called and no row is kept in memory unless it must be
   centred. The next row's sums come before this one is written: its tree takes some fifty cycles,
   in which the processor would have nothing to do. */
static ALWAYS_INLINE void V(chunk_product_rows)(const softjac_call *call, size_t begin, size_t end,
                                                bool stream) {
    size_t n = call->n;
    V(row) row = V(row_of)(call, begin);
    V(sums) sums = V(chunk_sums)(&row, n, V(dot_step), V(faint_dot_step));
    for (size_t r = begin; r < end; r++) {
        V(row) next = row;
        V(sums) next_sums = sums;
        if (r + 1 < end) {
            next = V(row_of)(call, r + 1);
            next_sums = V(chunk_sums)(&next, n, V(dot_step), V(faint_dot_step));
        }
        row.result = (REAL)sums.sum;
        bool plain = fabs(sums.sum) <= 0.5 * sums.size && isfinite(row.result);
        if (plain && !sums.faint) {
            V(write)(&row, n, V(plain_product_step), V(plain_product_stream_step), stream);
        } else {
            V(row) slow = V(row_of)(call, r);
            V(centre_product)(&slow, n, sums);
            if (isfinite(slow.result))
                V(write_product)(&slow, n, stream);
            else
                V(nonfinite)(&slow, n, false);
        }
        row = next;
        sums = next_sums;
    }
}
static NOINLINE void V(chunk_products)(const softjac_call *call, size_t begin, size_t end) {
    V(chunk_product_rows)(call, begin, end, false);
}
static NOINLINE void V(chunk_products_stream)(const softjac_call *call, size_t begin, size_t end) {
    V(chunk_product_rows)(call, begin, end, true);
}

static void V(small_products)(const softjac_call *call, size_t begin, size_t end);

static void V(product)(const softjac_call *call, size_t begin, size_t end) {
    bool stream = call->stream;
    if (call->n <= LANES / 4 && call->scale == 1)
        V(small_products)(call, begin, end);
    else if (call->n <= CHUNK && call->scale == 1)
        (stream ? V(chunk_products_stream) : V(chunk_products))(call, begin, end);
    else
        V(product_rows)(call, begin, end, stream);
    if (stream) stream_fence();
}
