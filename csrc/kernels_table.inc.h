/* The loops for both types, and the table dispatch.c picks; ISA is defined by the including file.
 */
#include "elementary.h"
#include "storage16.inc.h"

#define PREFIX f32
#include "kernels.inc.h"
#undef PREFIX
#define PREFIX f64
#include "kernels.inc.h"
#undef PREFIX

#define TABLE_ENTRIES(prefix)                                                                      \
    {                                                                                              \
        [SOFTJAC_SOFTMAX] = prefix##_softmax,                                                      \
        [SOFTJAC_LOG_SOFTMAX] = prefix##_log_softmax,                                              \
        [SOFTJAC_PRODUCT] = prefix##_product,                                                      \
        [SOFTJAC_LOG_VJP] = prefix##_log_vjp,                                                      \
        [SOFTJAC_LOG_JVP] = prefix##_log_jvp,                                                      \
        [SOFTJAC_JACOBIAN] = prefix##_jacobian,                                                    \
        [SOFTJAC_LOG_JACOBIAN] = prefix##_log_jacobian,                                            \
        [SOFTJAC_CROSS_ENTROPY] = prefix##_cross_entropy,                                          \
        [SOFTJAC_CROSS_ENTROPY_LABELS] = prefix##_cross_entropy_labels,                            \
    }
#define TABLE_NAME2(isa) softjac_table_##isa
#define TABLE_NAME(isa) TABLE_NAME2(isa)
#define TEXT2(isa) #isa
#define TEXT(isa) TEXT2(isa)

const softjac_table TABLE_NAME(ISA) = {
    TEXT(ISA),  TABLE_ENTRIES(f32), TABLE_ENTRIES(f64), f32_split_row, f64_split_row,
    widen_bf16, widen_f16,          narrow_bf16,        narrow_f16,
};
