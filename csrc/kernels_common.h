/* What every kernels_<isa>.c needs before its vocabulary. */
#ifndef SOFTJAC_KERNELS_COMMON_H
#define SOFTJAC_KERNELS_COMMON_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "faint.h"
#include "kernels.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
/* What a pointer points to is loaded anew from here on. */
#define FORGET(pointer) __asm__("" : "+r"(pointer))
/* Bytes of rows that lie beyond the second-level cache. */
#define FAR_FROM ((size_t)2 << 20)
/* Rows between one that is written and one whose exponentials are found. */
enum { MOST_GAP = 2 };

typedef float f32_real;
typedef double f64_real;

#endif
