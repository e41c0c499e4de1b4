/* The kernels on portable: its vocabulary and the loops, exported as one table. */
#include "kernels_common.h"

#include "simd_portable.h"

#define ISA portable
#include "kernels_table.inc.h"
