/* The handlers that jax.jit calls: XLA's foreign-function interface in plain C.

   The declarations below are those parts of xla/ffi/api/c_api.h (OpenXLA, version 0.1 and later)
   that are used here, under names of our own: layouts are the same from jaxlib 0.8 to 0.12. The
   handlers answer version 0.1, which every later runtime accepts; a newer answer than the runtime's
   own would disable JAX's whole CPU backend. */
#define _DEFAULT_SOURCE
#include "kernels.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

enum { API_MAJOR = 0, API_MINOR = 1, EXTENSION_METADATA = 1 };
enum { TYPE_S32 = 4, TYPE_S64 = 5, TYPE_F16 = 10, TYPE_F32 = 11, TYPE_F64 = 12, TYPE_BF16 = 16 };
enum { ATTRIBUTE_SCALAR = 3, INVALID_ARGUMENT = 3, RESOURCE_EXHAUSTED = 8 };

typedef struct extension {
    size_t size;
    int type;
    struct extension *next;
} extension;

typedef struct {
    size_t size;
    extension *extensions;
    int major, minor;
} api_version;

typedef struct {
    size_t size;
    api_version version;
} metadata;

typedef struct {
    extension base;
    metadata *metadata;
} metadata_extension;

typedef struct {
    size_t size;
    extension *extensions;
    int type;
    void *data;
    int64_t rank, *dims;
} buffer;

typedef struct {
    const char *text;
    size_t length;
} span;

typedef struct {
    int type;
    void *value;
} scalar;

typedef struct {
    size_t size;
    extension *extensions;
    int64_t count;
    int *kinds;
    buffer **buffers;
} buffers;

typedef struct {
    size_t size;
    extension *extensions;
    int64_t count;
    int *kinds;
    span **names;
    void **values;
} attributes;

typedef struct {
    size_t size;
    extension *extensions;
    const char *message;
    int code;
} error_arguments;

typedef struct {
    size_t size;
    extension *extensions;
    void *context;
    void (*task)(void *);
    void *data;
} schedule_arguments;

typedef struct {
    size_t size;
    extension *extensions;
    void *context;
    int64_t *threads;
} threads_arguments;

typedef struct {
    size_t size;
    extension *extensions;
    api_version version;
    const void *internal;
    void *(*create_error)(error_arguments *);
    void *get_message, *destroy_error, *register_handler, *get_stream, *register_type, *get_context,
        *set_state, *get_state, *allocate, *free;
    void *(*schedule)(schedule_arguments *);
    void *(*count_threads)(threads_arguments *);
} api;

typedef struct {
    size_t size;
    extension *extensions;
    const api *api;
    void *context;
    int stage;
    buffers arguments, results;
    attributes attributes;
} call_frame;

static void *fail(const call_frame *frame, int code, const char *message) {
    error_arguments error = {sizeof error, NULL, message, code};
    return frame->api->create_error(&error);
}

static bool submit_to_xla(void *context, void (*work)(void *), void *argument) {
    const call_frame *frame = context;
    schedule_arguments arguments = {sizeof arguments, NULL, frame->context, work, argument};
    return frame->api->schedule(&arguments) == NULL;
}

/* XLA's own threads, no more of them than softjac_set_threads allows. */
static softjac_executor xla_threads(call_frame *frame) {
    int64_t count = 1;
    threads_arguments arguments = {sizeof arguments, NULL, frame->context, &count};
    int most = softjac_own_threads().threads;
    if (most > 1 && frame->api->count_threads(&arguments) != NULL) count = 1;
    return (softjac_executor){submit_to_xla, frame, count < most ? (int)count : most};
}

/* The attribute `scale`, 1 where there is none. */
static double scale_of(const attributes *found) {
    for (int64_t i = 0; i < found->count; i++) {
        const scalar *value = found->values[i];
        bool named = found->names[i]->length == 5 && found->names[i]->text[0] == 's';
        if (named && found->kinds[i] == ATTRIBUTE_SCALAR && value->type == TYPE_F64)
            return *(const double *)value->value;
    }
    return 1.0;
}

static bool type_of(const buffer *array, softjac_type *type) {
    switch (array->type) {
    case TYPE_F32:
        *type = SOFTJAC_F32;
        return true;
    case TYPE_F64:
        *type = SOFTJAC_F64;
        return true;
    case TYPE_BF16:
        *type = SOFTJAC_BF16;
        return true;
    case TYPE_F16:
        *type = SOFTJAC_F16;
        return true;
    default:
        return false;
    }
}

static bool same_shape(const buffer *a, const buffer *b) {
    bool same = a->rank == b->rank && a->type == b->type;
    for (int64_t i = 0; same && i < a->rank; i++) same = a->dims[i] == b->dims[i];
    return same;
}

/* Asks for huge pages under a large result, as NumPy does for its own: XLA's memory is mostly
   fresh, and a fault for every 4 KB takes longer than the arithmetic. */
static void ask_for_huge_pages(void *memory, size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    const uintptr_t page = 4096;
    if (bytes < (size_t)4 << 20) return;
    uintptr_t begin = ((uintptr_t)memory + page - 1) & -page;
    uintptr_t end = ((uintptr_t)memory + bytes) & -page;
    madvise((void *)begin, end - begin,
            MADV_HUGEPAGE); /* advice: whether it is taken is no matter */
#else
    (void)memory, (void)bytes;
#endif
}

/* Runs an op on a call frame: arguments in the order of the C function, results likewise. */
static void *handle(call_frame *frame, softjac_op op, int inputs) {
    for (extension *next = frame->extensions; next; next = next->next)
        if (next->type == EXTENSION_METADATA) {
            api_version *version = &((metadata_extension *)next)->metadata->version;
            version->major = API_MAJOR;
            version->minor = API_MINOR;
            return NULL;
        }
    bool labels = op == SOFTJAC_CROSS_ENTROPY_LABELS;
    bool entropy = labels || op == SOFTJAC_CROSS_ENTROPY;
    buffer **in = frame->arguments.buffers, **out = frame->results.buffers;
    int64_t outputs = frame->results.count;
    if (frame->arguments.count != inputs || outputs < 1 || outputs > 1 + entropy)
        return fail(frame, INVALID_ARGUMENT, "softjac: wrong number of arguments or results");
    softjac_type type;
    if (!type_of(in[0], &type) || in[0]->rank < 1)
        return fail(frame, INVALID_ARGUMENT, "softjac: float arrays of shape (..., n) expected");
    const buffer *result = out[outputs - 1];
    bool square = op == SOFTJAC_JACOBIAN || op == SOFTJAC_LOG_JACOBIAN;
    bool fits = entropy && outputs == 1 ? result->rank == in[0]->rank - 1
                : square                ? result->rank == in[0]->rank + 1
                                        : same_shape(in[0], result);
    if (inputs == 2)
        fits = fits && (labels ? in[1]->rank == in[0]->rank - 1 : same_shape(in[0], in[1]));
    if (labels) fits = fits && (in[1]->type == TYPE_S32 || in[1]->type == TYPE_S64);
    if (!fits) return fail(frame, INVALID_ARGUMENT, "softjac: shapes or dtypes do not match");
    softjac_call call = {.first = in[0]->data, .second = inputs == 2 ? in[1]->data : NULL};
    call.n = (size_t)in[0]->dims[in[0]->rank - 1];
    call.rows = 1;
    for (int64_t i = 0; i + 1 < in[0]->rank; i++) call.rows *= (size_t)in[0]->dims[i];
    call.ld_first = call.ld_second = call.ld_out = (ptrdiff_t)call.n;
    call.scale = scale_of(&frame->attributes);
    if (labels) call.ld_second = in[1]->type == TYPE_S32 ? 4 : 8;
    call.any_label = true; /* what is traced raises no errors of values */
    if (!entropy) call.out = result->data;
    if (entropy) call.loss = out[0]->data;
    if (entropy && outputs == 2) call.out = result->data;
    if (call.out) {
        size_t item = type == SOFTJAC_F64 ? 8 : type == SOFTJAC_F32 ? 4 : 2;
        ask_for_huge_pages(call.out, call.rows * call.n * (square ? call.n : 1) * item);
    }
    softjac_executor executor = xla_threads(frame);
    softjac_status status = softjac_execute(op, type, &call, &executor);
    int code = status == SOFTJAC_NO_MEMORY ? RESOURCE_EXHAUSTED : INVALID_ARGUMENT;
    return status == SOFTJAC_OK ? NULL : fail(frame, code, softjac_message(status));
}

#define HANDLER(name, op, inputs)                                                                  \
    void *softjac_xla_##name(void *frame) { return handle(frame, op, inputs); }

HANDLER(softmax, SOFTJAC_SOFTMAX, 1)
HANDLER(log_softmax, SOFTJAC_LOG_SOFTMAX, 1)
HANDLER(softmax_product, SOFTJAC_PRODUCT, 2)
HANDLER(softmax_vjp_from_logits, SOFTJAC_PRODUCT_FROM_LOGITS, 2)
HANDLER(log_softmax_vjp, SOFTJAC_LOG_VJP, 2)
HANDLER(log_softmax_jvp, SOFTJAC_LOG_JVP, 2)
HANDLER(softmax_jacobian, SOFTJAC_JACOBIAN, 1)
HANDLER(log_softmax_jacobian, SOFTJAC_LOG_JACOBIAN, 1)
HANDLER(cross_entropy, SOFTJAC_CROSS_ENTROPY, 2)
HANDLER(cross_entropy_labels, SOFTJAC_CROSS_ENTROPY_LABELS, 2)
