/* One long row on several threads. The pieces of its sums are found in parallel and joined in their
   order, as by one thread: the bits are the same. */

typedef struct {
    V(row) row;
    size_t n;
    bool log, stream;
    V(sums) * found; /* what each piece came to; its maximum in place of the size */
} V(split);

static V(row) V(part_of)(const V(row) * row, size_t at) {
    V(row) part = *row;
    part.first += at;
    if (part.second) part.second += at;
    part.out += at;
    return part;
}

static softjac_status V(split_sums)(void *context, size_t begin, size_t end) {
    const V(split) *split = context;
    unsigned long environment = softjac_enter_environment();
    const REAL *x = split->row.first;
    size_t last = end * PIECE < split->n ? end * PIECE : split->n;
    REAL own = V(piece_max)(x + begin * PIECE, last - begin * PIECE), next = own;
    for (size_t p = begin; p < end; p++, own = next) {
        split->found[p].sum = V(piece_sum)(x + p * PIECE, last - p * PIECE, own, &next);
        split->found[p].size = own;
    }
    softjac_leave_environment(environment);
    return SOFTJAC_OK;
}

static softjac_status V(split_dots)(void *context, size_t begin, size_t end) {
    const V(split) *split = context;
    unsigned long environment = softjac_enter_environment();
    for (size_t p = begin; p < end; p++) {
        size_t at = p * BLOCK, length = split->n - at < BLOCK ? split->n - at : BLOCK;
        V(row) part = V(part_of)(&split->row, at);
        split->found[p] = (part.shift == 0 ? V(dot_over)
                           : part.faint    ? V(faint_dot_over)
                                           : V(centred_dot_over))(&part, length);
    }
    softjac_leave_environment(environment);
    return SOFTJAC_OK;
}

static softjac_status V(split_write)(void *context, size_t begin, size_t end) {
    const V(split) *split = context;
    unsigned long environment = softjac_enter_environment();
    size_t at = begin * BLOCK, last = end * BLOCK < split->n ? end * BLOCK : split->n;
    V(row) part = V(part_of)(&split->row, at);
    if (split->row.second)
        V(write_product)(&part, last - at, split->stream);
    else if (split->log)
        V(write_log_normal)(&part, last - at, split->stream);
    else
        V(write_normal)(&part, last - at, split->stream);
    if (split->stream) stream_fence();
    softjac_leave_environment(environment);
    return SOFTJAC_OK;
}

/* Sum and maximum, or the sums of products with a centre; false where the row is not finite. */
static bool V(split_forward)(V(split) * split, const softjac_executor *executor) {
    size_t pieces = (split->n + PIECE - 1) / PIECE;
    softjac_parallel(executor, pieces, V(split_sums), split);
    double sum = 0;
    REAL top = -INFINITY;
    for (size_t p = 0; p < pieces; p++)
        V(join)(&sum, &top, (REAL)split->found[p].size, split->found[p].sum);
    split->row.shift = top;
    if (top == -INFINITY || isnan(sum)) return false;
    split->row.result =
        split->log ? V(log_of)(V(normalise)(split->row.first, split->row.shift, split->n, sum))
                   : (REAL)(1.0 / sum);
    return true;
}

static bool V(split_product)(V(split) * split, const softjac_executor *executor) {
    size_t blocks = (split->n + BLOCK - 1) / BLOCK;
    for (int pass = 0;; pass++) {
        softjac_parallel(executor, blocks, V(split_dots), split);
        V(total) total = {{0, 0, false}, 0};
        for (size_t p = 0; p < blocks; p++) V(add_block)(&total, split->found[p]);
        V(sums) sums = V(all_of)(&total);
        split->row.result = (REAL)sums.sum;
        split->row.faint |= sums.faint;
        if (!isfinite(split->row.result)) return false;
        if (pass == 2 || !(fabs(sums.sum) > 0.5 * sums.size)) return true;
        split->row.shift = (REAL)(split->row.shift + sums.sum);
    }
}

/* Row r of softmax, log_softmax or the product, longer than LONG; false without memory. */
static bool V(split_row)(softjac_op op, const softjac_call *call, size_t r,
                         const softjac_executor *executor) {
    size_t n = call->n;
    V(split) split = {.n = n, .log = op == SOFTJAC_LOG_SOFTMAX, .stream = call->stream};
    split.row.first = ROW_POINTER(const REAL, call->first, call->ld_first, r);
    split.row.out = ROW_POINTER(REAL, call->out, call->ld_out, r);
    bool product = op == SOFTJAC_PRODUCT;
    if (product) split.row.second = ROW_POINTER(const REAL, call->second, call->ld_second, r);
    split.found = malloc((n + PIECE - 1) / PIECE * sizeof *split.found);
    if (!split.found) return false;
    if ((product ? V(split_product) : V(split_forward))(&split, executor))
        softjac_parallel(executor, (n + BLOCK - 1) / BLOCK, V(split_write), &split);
    else if (product)
        V(nonfinite)(&split.row, n, false);
    else
        V(fill_nan)(split.row.out, n);
    free(split.found);
    return true;
}
