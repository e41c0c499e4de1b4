/* Products of as many short rows at once as a vector has lanes, their sums found from columns: with
   element k of every row in vector k, the tree of kernels_sums.inc.h has no shuffles, and what is
   one number a row is one lane. Columns are loaded in strips of 16 bytes of every row. The last
   strip ends with the row, so that nothing beyond is read; what it shares with the one before comes
   out the same twice. */

#define STRIP (16 / sizeof(REAL))
#define EACH_COLUMN UNROLL for (size_t k = 0; k < STRIP; k++)

/* Rows that columns are for: of a strip or more. Vectors of one strip lose by them. */
static ALWAYS_INLINE bool V(has_columns)(size_t n) { return n >= STRIP && WIDTH > STRIP; }

static ALWAYS_INLINE bool V(strip_is_faint)(const V(vec) * column) {
    return !V(none_small)(column, STRIP) && V(any_faint)(column, STRIP);
}

/* The columns of a group, from p on; where the last strip goes beyond n, zeros. Given up, with
   true, at a strip that must not have faint numbers and does. */
static ALWAYS_INLINE bool V(load_strips)(const REAL *p, ptrdiff_t ld, size_t n, V(vec) * column,
                                         bool may_be_faint) {
    size_t at = 0;
    do {
        V(load_columns)(p + at, ld, column + at);
        if (!may_be_faint && V(strip_is_faint)(column + at)) return true;
    } while ((at += STRIP) + STRIP <= n);
    if (at == n) return false;
    V(vec) *last = column + n - STRIP;
    EACH_COLUMN column[at + k] = V(set)(0);
    V(load_columns)(p + n - STRIP, ld, last);
    return !may_be_faint && V(strip_is_faint)(last);
}

/* What the sums of products and of their magnitudes come to, from strips on to two columns. */
typedef struct {
    V(vec) sum[STRIP], size[STRIP];
} V(strip);

static ALWAYS_INLINE V(strip)
    V(strip_products)(const V(vec) * y, const V(vec) * dy, V(vec) centre, bool sizes) {
    V(strip) a;
    EACH_COLUMN {
        a.sum[k] = V(mul)(y[k], V(sub)(dy[k], centre));
        a.size[k] = sizes ? V(abs)(a.sum[k]) : a.sum[k];
    }
    return a;
}

static ALWAYS_INLINE void V(add_strip)(V(strip) * a, V(strip) b, bool sizes) {
    EACH_COLUMN {
        a->sum[k] = V(add)(a->sum[k], b.sum[k]);
        if (sizes) a->size[k] = V(add)(a->size[k], b.size[k]);
    }
}

/* The tree, as far as its last two numbers. Zeros beyond n add nothing. */
static ALWAYS_INLINE V(strip)
    V(fold_strips)(const V(vec) * y, const V(vec) * dy, size_t n, V(vec) centre, bool sizes) {
#define PRODUCTS(s) V(strip_products)(y + (s) * STRIP, dy + (s) * STRIP, centre, sizes)
    V(strip) even = PRODUCTS(0), odd;
    if (n > 2 * STRIP) V(add_strip)(&even, PRODUCTS(2), sizes);
    if (n > STRIP) {
        odd = PRODUCTS(1);
        if (n > 3 * STRIP) V(add_strip)(&odd, PRODUCTS(3), sizes);
        V(add_strip)(&even, odd, sizes);
    }
#undef PRODUCTS
    UNROLL for (size_t k = 0; k < STRIP / 2 && STRIP > 2; k++) {
        even.sum[k] = V(add)(even.sum[k], even.sum[k + STRIP / 2]);
        if (sizes) even.size[k] = V(add)(even.size[k], even.size[k + STRIP / 2]);
    }
    return even;
}

/* Adding 0 gives a sum of zeros the sign it has in longer rows. */
static ALWAYS_INLINE V(vec) V(last_sum)(const V(vec) * a) {
    return V(add)(V(add)(a[0], a[1]), V(set)(0));
}

/* `step` where the sum is more than half of what the magnitudes come to, else 0. */
static ALWAYS_INLINE V(vec) V(where_large)(V(vec) step, V(vec) sum, V(vec) size) {
    return V(keep_above)(step, V(abs)(sum), V(mul)(V(set)((REAL)0.5), size));
}

/* The sums, and how far centres have to move. */
static ALWAYS_INLINE V(vec)
    V(column_step)(const V(vec) * y, const V(vec) * dy, size_t n, V(vec) centre, V(vec) * sum) {
    V(strip) a = V(fold_strips)(y, dy, n, centre, true);
    *sum = V(last_sum)(a.sum);
    return V(where_large)(*sum, *sum, V(add)(a.size[0], a.size[1]));
}

static ALWAYS_INLINE V(vec) V(result)(V(vec) y, V(vec) dy, REAL centre, REAL sum) {
    return V(mul)(y, V(sub)(V(sub)(dy, V(set)(centre)), V(set)(sum)));
}

/* Writes a group row by row. Of two vectors both are found before one is written: they overlap, and
   dx may be y or dy. */
static ALWAYS_INLINE void V(write_rows)(const softjac_call *call, size_t begin, V(vec) centre,
                                        V(vec) sum) {
    const size_t n = call->n, at = n - WIDTH;
    const ptrdiff_t ld_first = call->ld_first, ld_second = call->ld_second, ld_out = call->ld_out;
    V(row) row = V(row_of)(call, begin);
    REAL numbers[2 * WIDTH], *centres = numbers, *sums = numbers + WIDTH;
    V(store)(centres, centre);
    V(store)(sums, sum);
    /* From memory a number gets into all lanes for nothing. */
    FORGET(centres);
    FORGET(sums);
    for (size_t r = 0; r < WIDTH; r++) {
        const REAL *y = row.first, *dy = row.second;
        if (QUARTER == 1 || n <= WIDTH) {
            V(vec) a = V(load_tail)(y, n, 0), b = V(load_tail)(dy, n, 0);
            V(store_part)(row.out, V(result)(a, b, centres[r], sums[r]), 0, n);
        } else {
            V(vec) a = V(result)(V(load)(y), V(load)(dy), centres[r], sums[r]);
            V(vec) b = V(result)(V(load)(y + at), V(load)(dy + at), centres[r], sums[r]);
            V(store)(row.out, a);
            V(store)(row.out + at, b);
        }
        row.first += ld_first;
        row.second += ld_second;
        row.out += ld_out;
    }
}

/* A whole group. */
static NOINLINE void V(column_products)(const softjac_call *call, size_t begin) {
    const size_t n = call->n;
    const V(row) row = V(row_of)(call, begin);
    V(vec) y[4 * STRIP], dy[4 * STRIP], centre = V(set)(0), sum;
    if (V(load_strips)(row.first, call->ld_first, n, y, false)) {
        V(faint_group)(call, begin, WIDTH);
        return;
    }
    V(load_strips)(row.second, call->ld_second, n, dy, true);
    V(vec) step = V(column_step)(y, dy, n, centre, &sum);
    for (int pass = 1; V(any)(step); pass++) {
        centre = V(add)(centre, step);
        V(strip) a = V(fold_strips)(y, dy, n, centre, false);
        sum = V(last_sum)(a.sum);
        /* The last two magnitudes are no more than the sum of all, and mostly enough for rows that
           have just been centred; the others have the sums they had. */
        V(vec) least = V(add)(V(abs)(a.sum[0]), V(abs)(a.sum[1]));
        if (pass == 2 || !V(any)(V(where_large)(step, sum, least))) break;
        step = V(column_step)(y, dy, n, centre, &sum);
    }
    if (V(any)(V(mul)(sum, V(set)(0))))
        V(unusual_products)(call, begin, WIDTH);
    else
        V(write_rows)(call, begin, centre, sum);
}

#undef STRIP
#undef EACH_COLUMN
