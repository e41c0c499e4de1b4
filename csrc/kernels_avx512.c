/* The kernels on avx512: its vocabulary and the loops, exported as one table. */
#include "kernels_common.h"

#include "simd_avx512.h"

#define ISA avx512
#include "kernels_table.inc.h"
