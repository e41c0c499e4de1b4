/* The loops, written once. Included by kernels_<isa>.c for PREFIX f32 and again for f64, over the
   vector vocabulary of simd_<isa>.h: the sums and what is written first, then the ops. */

#define PASTE2(a, b) a##_##b
#define PASTE(a, b) PASTE2(a, b)
#define V(name) PASTE(PREFIX, name)
#define REAL V(real)
#define LANES (256 / sizeof(REAL))
#define WIDTH ((size_t)V(width))
#define VECTORS (LANES / WIDTH)
#define QUARTER (VECTORS / 4)
#define CHUNK (16 * LANES)
#define BLOCK (8 * CHUNK)
/* Where UNROLL says so, loops of VECTORS iterations vanish, or accumulators would live in memory.
 */
#define EACH_VECTOR UNROLL for (size_t k = 0; k < VECTORS; k++)
#define EACH_QUARTER UNROLL for (size_t k = 0; k < QUARTER; k++)
/* Shorter rows gain more from the order of chunk_rows than from waves, however far off they lie. */
#define WAVE_FROM (CHUNK / 2)
/* A row of more than 1 MB is out of the second-level cache before its second pass. */
#define LONG ((1 << 20) / sizeof(REAL))
/* What of a longer row is read twice while it is in the first-level cache. */
#define PIECE (BLOCK / 2)

/* What one step of LANES elements adds to. */
typedef struct {
    V(vec) sum[VECTORS];
    bool faint; /* whether there were faint numbers */
} V(lanes);

typedef struct {
    double sum;
    double size; /* the sum of what the lanes came to, each by its magnitude */
    bool faint;
} V(sums);

/* One row as the steps see it; `first` is x or y, `second` dy or x_dot. */
typedef struct {
    const REAL *first, *second;
    REAL *out;
    const REAL *coming; /* a later row, whose maximum is found meanwhile */
    const REAL *kept;   /* exponentials of a pass before, to be scaled into out */
    REAL scale;         /* of the Jacobian */
    REAL shift;         /* the maximum of the logits, or the centre of the cotangent */
    double sum;         /* of exponentials */
    REAL result;        /* what the sum came to: 1 / sum, log(sum), or sum of y (dy - centre) */
    bool faint;         /* whether y has faint numbers */
} V(row);

/* Vector k of a step. */
typedef V(vec) V(value)(const V(row) * row, size_t at, size_t k, size_t count);

typedef void V(step)(const V(row) * row, size_t at, size_t count, V(lanes) * lanes);

/* Vector k of a step in which `count` elements are left; the lanes beyond get `fill`. */
static ALWAYS_INLINE V(vec) V(load_part)(const REAL *p, size_t k, size_t count, REAL fill) {
    if (count >= (k + 1) * WIDTH) return V(load)(p + k * WIDTH);
    if (count <= k * WIDTH) return V(set)(fill);
    return V(load_tail)(p + k * WIDTH, count - k * WIDTH, fill);
}

static ALWAYS_INLINE void V(store_part)(REAL *p, V(vec) a, size_t k, size_t count) {
    if (count >= (k + 1) * WIDTH)
        V(store)(p + k * WIDTH, a);
    else if (count > k * WIDTH)
        V(store_tail)(p + k * WIDTH, a, count - k * WIDTH);
}

/* The same past the caches; a full step is aligned. */
static ALWAYS_INLINE void V(stream_part)(REAL *p, V(vec) a, size_t k, size_t count) {
    if (count == LANES)
        V(stream)(p + k * WIDTH, a);
    else
        V(store_part)(p, a, k, count);
}

#define ROW_POINTER(type, base, stride, r) ((type *)(base) + (ptrdiff_t)(r) * (stride))

#include "kernels_sums.inc.h"
#include "kernels_write.inc.h"

#include "kernels_forward.inc.h"
#include "kernels_derivative.inc.h"
#include "kernels_log_derivative.inc.h"
#include "kernels_small.inc.h"
#include "kernels_jacobian.inc.h"
#include "kernels_cross_entropy.inc.h"
#include "kernels_split.inc.h"

#undef PASTE2
#undef PASTE
#undef V
#undef REAL
#undef LANES
#undef WIDTH
#undef VECTORS
#undef QUARTER
#undef CHUNK
#undef BLOCK
#undef EACH_VECTOR
#undef EACH_QUARTER
#undef DOMINANT
#undef LONG
#undef WAVE_FROM
#undef PIECE
#undef WRITING
#undef WRITING_STEP
#undef WRITING_FAINT
#undef REDUCE_OVER
#undef REDUCTION
#undef REDUCTION_FAINT
#undef ROW_POINTER
