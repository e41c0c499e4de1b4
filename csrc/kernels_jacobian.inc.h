/* The Jacobians in full: jac[i][j] = d out_i / d x_j. Row i of softmax's is -y_i y with y_i (1 - y_i)
   on the diagonal; every row of log_softmax's is -y, with 1 - y_j on the diagonal. */

/* out = result * first. */
static ALWAYS_INLINE void V(outer_step)(const V(row) *row, size_t at, size_t count,
                                        V(lanes) *unused) {
    (void)unused;
    EACH_VECTOR {
        V(vec) y = V(load_part)(row->first + at, k, count, 0);
        V(vec) product = V(mul)(V(set)(row->result), y);
        V(store_part)(row->out + at, V(mul)(product, V(set)(row->scale)), k, count);
    }
}

/* out = -exp(first). */
static ALWAYS_INLINE void V(minus_exp_step)(const V(row) *row, size_t at, size_t count,
                                            V(lanes) *unused) {
    (void)unused;
    EACH_VECTOR {
        V(vec) y = V(mul)(V(probability)(row, at, k, count), V(set)(-row->scale));
        V(store_part)(row->out + at, y, k, count);
    }
}

static void V(jacobian)(const softjac_call *call, size_t begin, size_t end) {
    size_t n = call->n;
    REAL scale = (REAL)call->scale;
    for (size_t r = begin; r < end; r++) {
        const REAL *y = ROW_POINTER(const REAL, call->first, call->ld_first, r);
        REAL *jac = ROW_POINTER(REAL, call->out, (ptrdiff_t)n * call->ld_out, r);
        V(row) row = {y, y, NULL, scale, 0, 0};
        for (size_t i = 0; i < n; i++) {
            row.out = jac + (ptrdiff_t)i * call->ld_out;
            row.result = -y[i];
            V(each)(&row, n, V(outer_step));
            REAL complement = 1 - y[i];
            if (y[i] >= (REAL)0.5) {
                /* The others' sum has what 1 - y_i lost. */
                V(row) part = row;
                double others = V(reduce)(&part, i, V(sum_step)).sum;
                part.second += i + 1;
                complement = (REAL)(others + V(reduce)(&part, n - i - 1, V(sum_step)).sum);
            }
            row.out[i] = y[i] * complement * scale;
        }
    }
}

static void V(log_jacobian)(const softjac_call *call, size_t begin, size_t end) {
    size_t n = call->n;
    REAL scale = (REAL)call->scale;
    for (size_t r = begin; r < end; r++) {
        const REAL *y = ROW_POINTER(const REAL, call->first, call->ld_first, r);
        REAL *jac = ROW_POINTER(REAL, call->out, (ptrdiff_t)n * call->ld_out, r);
        V(row) row = {y, NULL, jac, scale, 0, 0};
        V(each)(&row, n, V(minus_exp_step));
        for (size_t i = 1; i < n; i++)
            memcpy(jac + (ptrdiff_t)i * call->ld_out, jac, n * sizeof *jac);
        for (size_t i = 0; i < n; i++) {
            REAL *diagonal = jac + (ptrdiff_t)i * call->ld_out + i;
            bool dominant = y[i] >= (REAL)-0.69 && y[i] <= 0;
            double complement = dominant ? one_minus_exp(y[i]) * scale : scale + (double)*diagonal;
            *diagonal = (REAL)complement;
        }
    }
}
