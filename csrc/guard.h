/* Calls an unknown function on guarded arrays and survives what it does.
 *
 * The sandbox's child process describes the function once (a plan), hands over many calls in
 * shared memory, and reads what came of each. Every number is 64 bits wide, so that the records
 * can be packed and unpacked without a C compiler at hand.
 *
 * Each array of a call lies in a region of its own, with pages nobody may touch on both sides:
 *
 *     no access | start window ... no access ... end window | no access
 *
 * An array touches the guard page of the side that the call asks for. What is left of its pages
 * holds canaries, compared after the call. Inputs are on read-only pages: the region is mapped
 * twice, once for the candidate and once, writable, for the guard. The first write into an input
 * is noted and then let through, so that the call ends and its result can be judged.
 *
 * ABI assumption: integers and pointers are passed apart from floating-point numbers, each as a
 * machine word, and the caller may pass more of them than the callee takes. The System V ABI of
 * x86-64, AAPCS64 and the hard-float ABI of 64-bit RISC-V do so, Apple's arm64 for the first eight;
 * softjac_guard_arguments() says how many this build covers.
 */
#ifndef SOFTJAC_GUARD_H
#define SOFTJAC_GUARD_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SOFTJAC_GUARD_API __attribute__((visibility("default")))

enum {
    SOFTJAC_GUARD_VERSION = 5,
    SOFTJAC_GUARD_ARRAYS = 6,     /* most arrays of a call */
    SOFTJAC_GUARD_ARGUMENTS = 14, /* most integer and pointer arguments */
    SOFTJAC_GUARD_OUTSIDE = 6     /* most writes outside an array that are reported for a call */
};

/* A function and how to call it. The arrays are the inputs in the plan's order, then the output. */
typedef struct {
    int64_t function;   /* its address */
    int64_t item;       /* bytes of an element */
    int64_t arrays;     /* how many; the last is the output */
    int64_t matrix;     /* 1: a row of the output is n x n */
    int64_t strided;    /* bit a: array a takes a row stride */
    int64_t align;      /* bytes, a power of two */
    int64_t over_read;  /* bytes that may be read past an input */
    int64_t poison[2];  /* bit patterns: a NaN, a finite number */
    int64_t returned;   /* bytes of the integer returned, 0: nothing is */
    int64_t scale;      /* 0: none, 4: float, 8: double */
    int64_t blocked;    /* 1: SIGSEGV and SIGBUS are blocked, so that a fault ends the process */
    int64_t descriptor; /* must stay open, or -1 */
    int64_t patience;   /* seconds without a finished call after which the process ends itself */
    int64_t arguments;  /* how many integers and pointers */
    int64_t argument[SOFTJAC_GUARD_ARGUMENTS]; /* array a: a; rows: -1; n: -2; stride of a: -3-a */
} softjac_guard_plan;

typedef struct {
    int64_t rows, n;
    int64_t start;  /* 1: the arrays touch the guard page before them, 0: behind them */
    int64_t offset; /* elements between array and guard page */
    int64_t apart;  /* the array that lies one step of its alignment further from it, or -1 */
    int64_t gap;    /* elements between rows, where an array takes a row stride */
    int64_t spread; /* how many more of them each array has than the one before it */
    int64_t poison; /* which of the plan's patterns the output holds before the call */
    int64_t alias;  /* the input that is the output too, or -1 */
    int64_t inputs; /* where the inputs begin, back to back, in bytes */
    int64_t output; /* where the output goes */
    int64_t repeat; /* how many times the function is called */
    int64_t blocks; /* how many times the rows follow one another, in one block of memory */
    double scale;
} softjac_guard_call;

enum { /* softjac_guard_result.status */
       SOFTJAC_GUARD_WAITING = 0,
       SOFTJAC_GUARD_PLACING = 1,
       SOFTJAC_GUARD_INSIDE = 2,
       SOFTJAC_GUARD_CHECKING = 3,
       SOFTJAC_GUARD_DONE = 4,
       SOFTJAC_GUARD_FAULT = 5
};

enum { /* softjac_guard_result.hint */
       SOFTJAC_GUARD_PROTECTION =
           1,                   /* no page fault: a misaligned vector access, or a wild address */
       SOFTJAC_GUARD_STACK = 2, /* the stack is used up */
       SOFTJAC_GUARD_FREED = 3  /* memory that the candidate has freed */
};

enum { /* softjac_guard_result.environment */
       SOFTJAC_GUARD_ROUNDING = 1 << 0,
       SOFTJAC_GUARD_FLUSH = 1 << 1,
       SOFTJAC_GUARD_DENORMALS = 1 << 2,
       SOFTJAC_GUARD_EXCEPTIONS = 1 << 3,
       SOFTJAC_GUARD_X87_CONTROL = 1 << 4,
       SOFTJAC_GUARD_X87_STACK = 1 << 5,
       SOFTJAC_GUARD_DIRECTION = 1 << 6,
       SOFTJAC_GUARD_MASK = 1 << 7,
       SOFTJAC_GUARD_DESCRIPTOR = 1 << 8,
       SOFTJAC_GUARD_AFFINITY = 1 << 9,
       SOFTJAC_GUARD_HANDLER = 1 << 16 /* shifted by the signal's place among the watched ones */
};

typedef struct {
    int64_t status;
    int64_t returned;
    int64_t signal, access; /* access: 0 unknown, 1 read, 2 write */
    int64_t array,
        offset; /* of the fault: the nearest array or -1, or how many there are for a block that the
                   candidate allocated; see softjac.oracle.calls.call.Fault */
    int64_t hint;
    int64_t changed;     /* bit a: input a was written */
    int64_t environment; /* what the call left changed */
    int64_t outside;     /* how many of the following are filled */
    int64_t outside_array[SOFTJAC_GUARD_OUTSIDE];
    int64_t outside_offset[SOFTJAC_GUARD_OUTSIDE];
    double seconds;
    double processor; /* seconds of all threads of the process */
} softjac_guard_result;

/* What the parent watches while calls run. */
typedef struct {
    int64_t ticks; /* grows with every call that ends */
    int64_t signal, access, array, offset,
        hint; /* a fault outside any call, before the process died */
} softjac_guard_progress;

typedef struct softjac_guard softjac_guard;

/* SOFTJAC_GUARD_VERSION, so that the records' layout can be checked. */
SOFTJAC_GUARD_API int64_t softjac_guard_version(void);

/* The most integers and pointers that can be passed on this platform; 0: it is not covered. */
SOFTJAC_GUARD_API int64_t softjac_guard_arguments(void);

/* What of this thread's floating-point environment is not the default, as bits of
 * softjac_guard_result.environment. */
SOFTJAC_GUARD_API int64_t softjac_guard_environment(void);

/* Makes regions for `threads` sets of arrays out of a file's memory. NULL: see errno. */
SOFTJAC_GUARD_API softjac_guard *softjac_guard_open(const softjac_guard_plan *plan, int file,
                                                    int64_t threads);

/* Runs the calls one after another. A plan that blocks signals stays in force. */
SOFTJAC_GUARD_API int64_t softjac_guard_run(softjac_guard *guard, const softjac_guard_call *calls,
                                            softjac_guard_result *results, int64_t count,
                                            softjac_guard_progress *progress, const char *inputs,
                                            char *outputs);

/* Runs `parties` calls at once, a thread each, then the next as many, `rounds` times. Not 0: the
 * threads could not be started, and the process is of no use any more. */
SOFTJAC_GUARD_API int64_t softjac_guard_run_threads(softjac_guard *guard,
                                                    const softjac_guard_call *calls,
                                                    softjac_guard_result *results, int64_t parties,
                                                    int64_t rounds,
                                                    softjac_guard_progress *progress,
                                                    const char *inputs, char *outputs);

#ifdef __cplusplus
}
#endif
#endif
