/* What every kernels_<isa>.c needs before its vocabulary. */
#ifndef SOFTJAC_KERNELS_COMMON_H
#define SOFTJAC_KERNELS_COMMON_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))
typedef float f32_real;
typedef double f64_real;

#endif
