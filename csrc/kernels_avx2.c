/* The kernels on avx2: its vocabulary and the loops, exported as one table. */
#include "kernels_common.h"

#include "simd_avx2.h"

#define ISA avx2
#include "kernels_table.inc.h"
