/* Where guard.c puts the arrays of a call: regions, windows, canaries. Included by guard.c alone.
 */
#ifndef SOFTJAC_GUARD_MEMORY_H
#define SOFTJAC_GUARD_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guard.h"

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif
#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

/* What lies around array `a`: huge as a number in every dtype, so that a lane that leaks in shows
 * in the result; of a sign that goes with the poison; and another byte around each array, so that
 * what is copied from outside one array to outside another shows, too. */
static unsigned char canary(const softjac_guard_call *call, int64_t a) {
    return (unsigned char)((call->poison ? 0xfb : 0x7b) - a);
}

enum { LARGE = 1 << 26 };

/* The accessible pages at one end of a region. */
struct window {
    int64_t bytes;
    int protection;
};

/* The memory of one array: as the candidate sees it, and writable for the guard. */
struct region {
    char *memory, *mirror;
    int file;
    off_t at;                 /* where it begins in the file */
    struct window windows[3]; /* at the end, at the start, blocks mapped again and again */
};

/* Where an array of the present call lies. */
struct place {
    char *array, *mirror;                /* its first byte: the candidate's, the guard's */
    int64_t lines, line, stride, extent; /* line, stride and extent in bytes */
    int64_t span;                        /* the bytes that the candidate sees: blocks * extent */
    char *low, *high;                    /* the window, as the candidate sees it */
    struct window *window;
};

/* Maps `count` regions of `size` bytes each, with as much untouchable memory on both sides. */
static char *map_regions(struct region *regions, int64_t count, int64_t size, int file,
                         int64_t first) {
    /* The address is only a wish; where it is granted, every child sees the same one. */
    char *wish = (char *)((INT64_C(1) << 45) + first * 2 * size);
    char *base = mmap(wish, (size_t)(size * (2 * count + 1)), PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return NULL;
    for (int64_t i = 0; i < count; i++) {
        off_t at = regions[i].at = (off_t)(size * (first + i));
        regions[i].file = file;
        regions[i].memory = mmap(base + size * (2 * i + 1), (size_t)size, PROT_NONE,
                                 MAP_SHARED | MAP_FIXED | MAP_NORESERVE, file, at);
        regions[i].mirror =
            mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, at);
        if (regions[i].memory == MAP_FAILED || regions[i].mirror == MAP_FAILED) return NULL;
    }
    return base;
}

/* Makes the first or last `bytes` of a region accessible, and no more of that end. */
static void open_window(struct region *region, int64_t size, int start, int64_t bytes,
                        int protection) {
    struct window *window = &region->windows[start];
    if (window->bytes == bytes && window->protection == protection) return;
    char *end = region->memory + size;
    if (window->bytes > bytes) {
        char *from = start ? region->memory + bytes : end - window->bytes;
        size_t closed = (size_t)(window->bytes - bytes);
        mprotect(from, closed, PROT_NONE);
#if defined(MADV_REMOVE)
        if (closed > LARGE) /* give the memory back, too */
            madvise(region->mirror + (from - region->memory), closed, MADV_REMOVE);
#endif
    }
    if (bytes > 0) mprotect(start ? region->memory : end - bytes, (size_t)bytes, protection);
    window->bytes = bytes, window->protection = protection;
}

static int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

/* Maps one block of memory again and again, so that an array of many gigabytes takes a few
 * megabytes; false where that cannot be done. */
static int map_blocks(struct place *place, struct region *region, int64_t size, int64_t blocks,
                      int start, int protection) {
    int64_t from = start ? 0 : size - place->span;
    open_window(region, size, 0, 0, PROT_NONE);
    open_window(region, size, 1, 0, PROT_NONE);
    place->array = place->low = region->memory + from;
    place->high = place->low + place->span;
    place->mirror = region->mirror;
    place->window = &region->windows[2];
    place->window->protection = protection;
    for (int64_t i = 0; i < blocks; i++)
        if (mmap(place->array + i * place->extent, (size_t)place->extent, protection,
                 MAP_SHARED | MAP_FIXED | MAP_NORESERVE, region->file, region->at) == MAP_FAILED)
            return 0;
    return 1;
}

/* Makes an ordinary region of it again. */
static void unmap_blocks(const struct place *place, struct region *region) {
    off_t from = (off_t)(place->array - region->memory);
    mmap(place->array, (size_t)place->span, PROT_NONE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE,
         region->file, region->at + from);
}

/* Finds the place of array `a` and opens its window; false where the region is too small. */
static int find_place(struct place *place, struct region *region, int64_t size,
                      const softjac_guard_plan *plan, const softjac_guard_call *call, int64_t a,
                      int writable) {
    static int64_t page;
    if (!page) page = sysconf(_SC_PAGESIZE);
    int output = a == plan->arrays - 1, start = call->start != 0;
    int64_t spare = output ? 0 : plan->over_read, distance = call->offset * plan->item;
    if (a == call->apart) distance += plan->align > plan->item ? plan->align : plan->item;
    place->line = call->n * plan->item;
    place->stride =
        (call->n + ((plan->strided >> a) & 1 ? call->gap + a * call->spread : 0)) * plan->item;
    place->lines = output && plan->matrix ? call->rows * call->n : call->rows;
    place->extent =
        place->lines > 0 && place->line > 0 ? (place->lines - 1) * place->stride + place->line : 0;
    place->span = place->extent * call->blocks;
    if (place->span + distance + spare + plan->align + page > size / 2) return 0;
    int protection = PROT_READ | (writable ? PROT_WRITE : 0);
    if (call->blocks > 1)
        return place->extent % page == 0 &&
               map_blocks(place, region, size, call->blocks, start, protection);
    int64_t from = start ? round_up(distance, plan->align)
                         : (size - distance - spare - place->extent) / plan->align * plan->align;
    int64_t bytes =
        start ? round_up(from + place->extent + spare, page) : round_up(size - from, page);
    open_window(region, size, start, bytes, protection);
    place->array = region->memory + from, place->mirror = region->mirror + from;
    place->low = start ? region->memory : region->memory + size - bytes;
    place->high = place->low + bytes;
    place->window = &region->windows[start];
    return 1;
}

/* Bytes of the window before and after the array. */
static int64_t slack_before(const struct place *place) { return place->array - place->low; }
static int64_t slack_after(const struct place *place) {
    return place->high - place->array - place->span;
}
/* Bytes between two lines. */
static int64_t slack_between(const struct place *place) { return place->stride - place->line; }

/* Canaries around the array and between its lines. */
static void fill_around(const struct place *place, unsigned char byte) {
    memset(place->mirror - slack_before(place), byte, (size_t)slack_before(place));
    memset(place->mirror + place->extent, byte, (size_t)slack_after(place));
    for (int64_t i = 0; slack_between(place) > 0 && i + 1 < place->lines; i++)
        memset(place->mirror + i * place->stride + place->line, byte, (size_t)slack_between(place));
}

/* One bit pattern in every element; the machine is little-endian. */
static void fill_poison(const struct place *place, int64_t item, int64_t pattern) {
    for (int64_t i = 0; i < place->lines; i++) {
        char *at = place->mirror + i * place->stride;
        int64_t filled = item < place->line ? item : place->line;
        memcpy(at, &pattern, (size_t)filled);
        for (; filled < place->line; filled *= 2) /* the part filled so far, again behind itself */
            memcpy(at + filled, at,
                   (size_t)(filled < place->line - filled ? filled : place->line - filled));
    }
}

/* Copies an array, line by line where it has gaps, out of packed memory into its place. */
static void copy_in(const struct place *place, const char *packed) {
    int64_t lines = slack_between(place) > 0 ? place->lines : place->extent > 0;
    int64_t bytes = slack_between(place) > 0 ? place->line : place->extent;
    for (int64_t i = 0; i < lines; i++)
        memcpy(place->mirror + i * place->stride, packed + i * bytes, (size_t)bytes);
}

/* And back. */
static void copy_out(const struct place *place, char *packed) {
    int64_t lines = slack_between(place) > 0 ? place->lines : place->extent > 0;
    int64_t bytes = slack_between(place) > 0 ? place->line : place->extent;
    for (int64_t i = 0; i < lines; i++)
        memcpy(packed + i * bytes, place->mirror + i * place->stride, (size_t)bytes);
}

/* Whether an array still holds what was copied in. */
static int holds(const struct place *place, const char *packed) {
    for (int64_t i = 0; i < place->lines; i++)
        if (memcmp(place->mirror + i * place->stride, packed + i * place->line,
                   (size_t)place->line) != 0)
            return 0;
    return 1;
}

/* The first byte that is no canary any more, or -1. */
static int64_t first_changed(const char *from, int64_t bytes, unsigned char byte) {
    const unsigned char *at = (const unsigned char *)from;
    int64_t i = 0;
    if (bytes <= 0 || (at[0] == byte && memcmp(at, at + 1, (size_t)bytes - 1) == 0)) return -1;
    while (at[i] == byte) i++;
    return i;
}

static void report_outside(softjac_guard_result *result, int64_t array, int64_t offset) {
    if (result->outside < SOFTJAC_GUARD_OUTSIDE) {
        result->outside_array[result->outside] = array;
        result->outside_offset[result->outside++] = offset;
    }
}

/* Reports the first byte written before the array, behind it, and between its lines. */
static void check_around(const struct place *place, unsigned char byte,
                         softjac_guard_result *result, int64_t array) {
    int64_t before = slack_before(place), found;
    found = first_changed(place->mirror - before, before, byte);
    if (found >= 0) report_outside(result, array, found - before);
    found = first_changed(place->mirror + place->extent, slack_after(place), byte);
    if (found >= 0) report_outside(result, array, found);
    for (int64_t i = 0; slack_between(place) > 0 && i + 1 < place->lines; i++) {
        const char *gap = place->mirror + i * place->stride + place->line;
        found = first_changed(gap, slack_between(place), byte);
        if (found >= 0) {
            report_outside(result, array, found);
            break;
        }
    }
}

/* Bytes from an array to an address outside it, signed as in softjac.oracle.calls.call.Fault; the
 * result is false for an address inside. */
static int distance_to(const struct place *place, const char *address, int64_t *distance) {
    *distance =
        address < place->array ? address - place->array : address - (place->array + place->span);
    return address < place->array || address >= place->array + place->span;
}

#endif
