/* Softmax cross-entropy of the logits c x with a target: the loss -sum_i t_i log y_i and its
   derivative c (y_i sum_j t_j - t_i), in one go. With integer labels t is 1 at the label. */

/* The sum of t_i (log(sum) - d_i); a target of 0 counts nothing, also where the logit is -inf. */
static ALWAYS_INLINE void V(loss_step)(const V(row) * row, size_t at, size_t count,
                                       V(lanes) * lanes) {
    EACH_VECTOR {
        V(vec) target = V(load_part)(row->second + at, k, count, 0);
        V(vec) surprise = V(sub)(V(set)(row->result), V(distance)(row, at, k, count));
        V(vec) term = V(zero_at_zero)(V(mul)(target, surprise), target);
        lanes->sum[k] = V(add)(lanes->sum[k], term);
    }
}
REDUCTION(loss)

/* out = y_i sum t - t_i, with sum t over the sum of exponentials in `result`. */
static ALWAYS_INLINE void V(entropy_step)(const V(row) * row, size_t at, size_t count,
                                          V(lanes) * unused) {
    (void)unused;
    bool faint = row->result > 0 && V(normal_faint)(row, at, count);
    EACH_VECTOR {
        V(vec) target = V(load_part)(row->second + at, k, count, 0);
        V(vec) y = faint ? V(normal_down)(row, at, k, count) : V(normal)(row, at, k, count);
        V(vec) dx = V(sub)(y, target);
        V(store_part)(row->out + at, dx, k, count);
    }
}

static void V(cross_entropy_row)(V(row) * row, REAL *loss, size_t n) {
    row->shift = V(row_max)(row->first, n);
    double sum = V(exp_sum_over)(row, n).sum;
    V(normaliser) norm = V(normalise)(row->first, row->shift, n, sum);
    row->result = V(log_of)(norm);
    double value = V(loss_over)(row, n).sum;
    if (loss) *loss = isnan(value) || isnan(sum) ? (REAL)NAN : (REAL)value;
    if (!row->out) return;
    double mass = V(sum_over)(row, n).sum;
    if (isnan(sum) || !isfinite(mass)) {
        V(fill_nan)(row->out, n);
        return;
    }
    /* The dominant class: y_k sum t - t_k = (sum of the other targets) - (1 - y_k) sum t. */
    size_t k = n;
    REAL dx_k = 0;
    if (norm.total < 1.5) {
        for (k = 0; row->first[k] != row->shift;) k++;
        double others = V(sum_without)(row->second, n, k);
        dx_k = (REAL)(others - norm.rest / norm.total * mass);
    }
    row->result = (REAL)(mass / sum);
    V(each)(row, 0, n, V(entropy_step));
    if (k < n) row->out[k] = dx_k;
}

/* Row r of a call, where there is a factor its scaled distances, in scratch memory. */
static V(row) V(entropy_row)(const softjac_call *call, size_t r) {
    V(row) row = {.first = ROW_POINTER(const REAL, call->first, call->ld_first, r)};
    if (call->out) row.out = ROW_POINTER(REAL, call->out, call->ld_out, r);
    if (call->scale != 1) {
        V(scaled_distances)(row.first, call->scratch, call->n, (REAL)call->scale);
        row.first = call->scratch;
    }
    return row;
}

static void V(cross_entropy)(const softjac_call *call, size_t begin, size_t end) {
    REAL *loss = call->loss;
    for (size_t r = begin; r < end; r++) {
        V(row) row = V(entropy_row)(call, r);
        row.second = ROW_POINTER(const REAL, call->second, call->ld_second, r);
        V(cross_entropy_row)(&row, loss ? loss + r : NULL, call->n);
        if (row.out && call->scale != 1) V(scale_row)(row.out, row.out, call->n, (REAL)call->scale);
    }
}

static void V(labels_row)(V(row) * row, int64_t label, REAL *loss, size_t n) {
    bool is_class = label >= 0 && (uint64_t)label < n;
    row->shift = V(row_max)(row->first, n);
    REAL distance = is_class ? row->first[label] - row->shift : (REAL)NAN;
    double sum = V(exp_sum_over)(row, n).sum;
    if (isnan(sum) || !is_class) {
        if (loss) *loss = (REAL)NAN;
        if (row->out) V(fill_nan)(row->out, n);
        return;
    }
    V(normaliser) norm = V(normalise)(row->first, row->shift, n, sum);
    if (loss) *loss = V(log_of)(norm) - distance;
    if (!row->out) return;
    row->result = (REAL)(1.0 / sum);
    V(write_normal)(row, n, false);
    REAL y = row->out[label];
    bool dominant = distance == 0 && norm.total < 1.5;
    REAL dx = dominant ? (REAL) - (norm.rest / norm.total) : y - 1;
    row->out[label] = dx;
}

static void V(cross_entropy_labels)(const softjac_call *call, size_t begin, size_t end) {
    REAL *loss = call->loss;
    for (size_t r = begin; r < end; r++) {
        V(row) row = V(entropy_row)(call, r);
        V(labels_row)(&row, softjac_label(call, r), loss ? loss + r : NULL, call->n);
        if (row.out && call->scale != 1) V(scale_row)(row.out, row.out, call->n, (REAL)call->scale);
    }
}
