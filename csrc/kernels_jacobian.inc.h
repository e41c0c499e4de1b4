/* The Jacobians in full: jac[i][j] = d out_i / d x_j. Line i of softmax's is -y_i y with y_i (1 -
   y_i) on the diagonal; every line of log_softmax's is -y, with 1 - y_j on the diagonal. */

/* result * first. */
static ALWAYS_INLINE V(vec) V(outer)(const V(row) * row, size_t at, size_t k, size_t count) {
    V(vec) y = V(load_part)(row->first + at, k, count, 0);
    return V(mul)(V(mul)(V(set)(row->result), y), V(set)(row->scale));
}
/* The same by way of double; see faint.h. */
static ALWAYS_INLINE V(vec) V(outer_wide)(const V(row) * row, size_t at, size_t k, size_t count) {
    V(vec) y = V(load_part)(row->first + at, k, count, 0);
    V(vec) product = V(mul_wide)(V(set)(row->result), y);
    return row->scale == 1 ? product : V(mul_wide)(product, V(set)(row->scale));
}
static ALWAYS_INLINE bool V(outer_faint)(const V(row) * row, size_t at, size_t count) {
    (void)at, (void)count;
    return row->faint;
}
WRITING_FAINT(outer, outer_faint, outer_wide)

/* out = -exp(first). */
static ALWAYS_INLINE void V(minus_exp_step)(const V(row) * row, size_t at, size_t count,
                                            V(lanes) * unused) {
    (void)unused;
    EACH_VECTOR {
        V(vec) y = V(mul)(V(probability)(row, at, k, count), V(set)(-row->scale));
        V(store_part)(row->out + at, y, k, count);
    }
}

static void V(jacobian)(const softjac_call *call, size_t begin, size_t end) {
    size_t n = call->n;
    bool faint = false;
    for (size_t line = begin; line < end; line++) {
        size_t i = line % n;
        const REAL *y = ROW_POINTER(const REAL, call->first, call->ld_first, line / n);
        if (line == begin || i == 0) faint = V(holds_faint)(y, n);
        V(row) row = {.first = y, .scale = (REAL)call->scale, .result = -y[i], .faint = faint};
        row.out = ROW_POINTER(REAL, call->out, call->ld_out, line);
        V(write_outer)(&row, n, call->stream);
        /* Where y_i is large, the others' sum has what 1 - y_i lost. */
        REAL rest = y[i] >= (REAL)0.5 ? (REAL)V(sum_without)(y, n, i) : 1 - y[i];
        row.out[i] = y[i] * rest * row.scale;
    }
    if (call->stream) stream_fence();
}

static void V(log_jacobian)(const softjac_call *call, size_t begin, size_t end) {
    size_t n = call->n;
    REAL scale = (REAL)call->scale;
    const REAL *before = NULL;
    REAL replaced = 0;
    for (size_t line = begin; line < end; line++) {
        size_t i = line % n;
        const REAL *y = ROW_POINTER(const REAL, call->first, call->ld_first, line / n);
        V(row) row = {.first = y, .scale = scale};
        row.out = ROW_POINTER(REAL, call->out, call->ld_out, line);
        if (before && i > 0) {
            /* The line above, with its diagonal undone. */
            memcpy(row.out, before, n * sizeof *row.out);
            row.out[i - 1] = replaced;
        } else {
            V(each)(&row, 0, n, V(minus_exp_step));
        }
        before = row.out;
        replaced = row.out[i];
        bool large = y[i] >= (REAL)-0.69 && y[i] <= 0;
        double rest = large ? one_minus_exp(y[i]) * scale : (double)scale + replaced;
        row.out[i] = (REAL)rest;
    }
}
