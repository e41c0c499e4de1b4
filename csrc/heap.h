/* What guard.c asks of heap.c, a library of its own that the sandbox's child process preloads in
 * front of the C library. Where it is not preloaded these functions are NULL, and the candidate's
 * heap is the C library's. */
#ifndef SOFTJAC_HEAP_H
#define SOFTJAC_HEAP_H

#include <stdint.h>

#define SOFTJAC_HEAP_API __attribute__((visibility("default"), weak))

/* Where a block was harmed: bytes past its end, counted from 0, or before it, negative. */
typedef struct {
    int64_t found, offset;
} softjac_heap_damage;

/* A call of the candidate begins: blocks that are allocated from now on touch the guard page
 * before them, or behind them but for `over_read` bytes. Calls may overlap in time. */
SOFTJAC_HEAP_API void softjac_heap_enter(int at_start, int64_t over_read);

/* It has ended. Returns what was written around a block, if something was. */
SOFTJAC_HEAP_API softjac_heap_damage softjac_heap_leave(void);

enum { SOFTJAC_HEAP_ELSEWHERE, SOFTJAC_HEAP_BESIDE, SOFTJAC_HEAP_FREED };

/* What an address that must not be touched is: beside a block, and how far, or in a freed one. */
SOFTJAC_HEAP_API int softjac_heap_find(const void *address, int64_t *offset);

#endif
