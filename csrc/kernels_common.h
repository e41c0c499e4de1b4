/* What every kernels_<isa>.c needs before its vocabulary. */
#ifndef SOFTJAC_KERNELS_COMMON_H
#define SOFTJAC_KERNELS_COMMON_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
/* Bytes of result from which it is written past the caches: it would not stay there. */
#define STREAM_FROM ((size_t)16 << 20)

/* Bytes of rows from which the next one is fetched early: they lie beyond the second-level cache.
 */
#define FAR_FROM ((size_t)4 << 20)

typedef float f32_real;
typedef double f64_real;

#endif
