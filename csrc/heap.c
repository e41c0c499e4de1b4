/* An allocator for what a candidate allocates while it is called: each block on pages of its own,
   between pages that nobody may touch.

       no access | canary  block | no access | block  canary | no access

   A block touches the guard page behind it, or before it, as guard.c asks; what is left of its
   pages holds canaries, compared when it is freed and when a call ends. A freed block's pages may
   not be touched either, until others have been freed after it.

   The library is preloaded, so that whatever the candidate calls allocates here, too. Outside calls
   everything comes from the C library, and within a call what comes after the first BUDGET blocks,
   since each costs two system calls; who owns a block is told by its address. */
#define _GNU_SOURCE
#include "heap.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The C library's own, by the names that it gives them for this. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *block);

#define EXPORTED __attribute__((visibility("default")))
enum { BUDGET = 32, BLOCKS = 4096, QUARANTINE = 8, ALIGNMENT = 16, CANARY = 0xa7 };
/* What memory holds that nobody has written: as FRESH_BYTE in softjac.oracle.calls.process. */
enum { FRESH = 0x7b };
static const size_t reserved = (size_t)1 << 34;

typedef struct {
    char *low, *high; /* its pages */
    char *first;
    size_t size;
    uint64_t freed; /* when, counted in blocks freed; 0: it is in use */
} block;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int calls; /* in progress */
static bool at_start;
static size_t page, slack, allocated, known;
static char *region, *unused;
static uint64_t frees;
static block blocks[BLOCKS];
static softjac_heap_damage damage;

static size_t rounded(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

static bool is_ours(const void *address) {
    return region && (const char *)address >= region && (const char *)address < region + reserved;
}

static void note_damage(int64_t offset) {
    if (!damage.found) damage = (softjac_heap_damage){1, offset};
}

/* Compares the canaries around a block, and puts right what is wrong. */
static void check(block *b) {
    for (char *p = b->first; p-- > b->low;)
        if (*p != (char)CANARY) note_damage(p - b->first), *p = (char)CANARY;
    char *end = b->first + b->size;
    for (char *p = end; p < b->high; p++)
        if (*p != (char)CANARY) note_damage(p - end), *p = (char)CANARY;
}

/* Pages for a block: those of one freed long ago, or fresh ones. */
static block *find_pages(size_t bytes) {
    block *oldest = NULL;
    for (size_t i = 0; i < known; i++) {
        block *b = &blocks[i];
        size_t has = (size_t)(b->high - b->low);
        bool fits = has >= bytes && has <= 2 * bytes;
        if (b->freed && b->freed + QUARANTINE <= frees && fits &&
            (!oldest || b->freed < oldest->freed))
            oldest = b;
    }
    if (oldest) return oldest;
    if (known == BLOCKS || bytes > (size_t)(region + reserved - unused) - page) return NULL;
    block *b = &blocks[known++];
    *b = (block){.low = unused, .high = unused + bytes, .freed = ++frees};
    unused += bytes + page;
    return b;
}

/* A block between guard pages; NULL where the C library shall give one. */
static void *allocate(size_t size, size_t alignment, bool zeroed) {
    if (!atomic_load_explicit(&calls, memory_order_relaxed) || size > reserved / 4) return NULL;
    char *first = NULL;
    pthread_mutex_lock(&lock);
    size_t around = rounded(size + (at_start ? 0 : slack), alignment);
    size_t bytes = rounded(around ? around : 1, page);
    block *b = allocated < BUDGET && alignment <= page ? find_pages(bytes) : NULL;
    if (b && mprotect(b->low, (size_t)(b->high - b->low), PROT_READ | PROT_WRITE) == 0) {
        allocated++;
        b->first = first = at_start ? b->low : b->high - around;
        b->size = size;
        b->freed = 0;
        memset(b->low, CANARY, (size_t)(first - b->low));
        if (!zeroed) memset(first, FRESH, size);
        memset(first + size, CANARY, (size_t)(b->high - first) - size);
    }
    pthread_mutex_unlock(&lock);
    return first;
}

/* As glibc ends a process whose heap is damaged. */
static void give_up(const char *words) {
    ssize_t written = write(STDERR_FILENO, words, strlen(words));
    (void)written;
    abort();
}

static block *block_at(const void *address) {
    for (size_t i = 0; i < known; i++)
        if (blocks[i].first == address) return &blocks[i];
    return NULL;
}

static size_t size_of(const void *address) {
    pthread_mutex_lock(&lock);
    block *b = block_at(address);
    size_t size = b && !b->freed ? b->size : 0;
    pthread_mutex_unlock(&lock);
    return size;
}

static void release(void *address) {
    pthread_mutex_lock(&lock);
    block *b = block_at(address);
    bool again = b && b->freed;
    if (b && !again) {
        check(b);
        b->freed = ++frees;
        size_t bytes = (size_t)(b->high - b->low);
        madvise(b->low, bytes, MADV_DONTNEED);
        mprotect(b->low, bytes, PROT_NONE);
    }
    pthread_mutex_unlock(&lock);
    if (again) give_up("free(): double free detected\n");
    if (!b) give_up("free(): invalid pointer\n");
}

/* --- what guard.c asks ----------------------------------------------------------------------- */

void softjac_heap_enter(int start, int64_t over_read) {
    pthread_mutex_lock(&lock);
    if (!region) {
        page = (size_t)sysconf(_SC_PAGESIZE);
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        void *memory = mmap(NULL, reserved, PROT_NONE, flags, -1, 0);
        if (memory != MAP_FAILED) region = memory, unused = region + page;
    }
    if (region) {
        at_start = start, slack = (size_t)over_read, allocated = 0;
        calls++;
    }
    pthread_mutex_unlock(&lock);
}

softjac_heap_damage softjac_heap_leave(void) {
    pthread_mutex_lock(&lock);
    if (region) calls--;
    for (size_t i = 0; i < known; i++)
        if (!blocks[i].freed) check(&blocks[i]);
    softjac_heap_damage found = damage;
    damage.found = 0;
    pthread_mutex_unlock(&lock);
    return found;
}

int softjac_heap_find(const void *address, int64_t *offset) {
    /* Called by a signal handler: no lock, which its thread or another may hold. */
    const char *at = address;
    int64_t nearest = INT64_MAX;
    for (size_t i = 0; is_ours(at) && i < known; i++) {
        const block *b = &blocks[i];
        if (at < b->low - page || at >= b->high + page) continue;
        if (b->freed && at >= b->low && at < b->high) return SOFTJAC_HEAP_FREED;
        if (b->freed) continue;
        int64_t away = at < b->first ? at - b->first : at - (b->first + b->size);
        if (llabs(away) < nearest) nearest = llabs(away), *offset = away;
    }
    return nearest < INT64_MAX ? SOFTJAC_HEAP_BESIDE : SOFTJAC_HEAP_ELSEWHERE;
}

/* --- the C library's functions --------------------------------------------------------------- */

EXPORTED void *malloc(size_t size) {
    void *found = allocate(size, ALIGNMENT, false);
    return found ? found : __libc_malloc(size);
}

EXPORTED void *calloc(size_t count, size_t size) {
    size_t bytes;
    void *found =
        __builtin_mul_overflow(count, size, &bytes) ? NULL : allocate(bytes, ALIGNMENT, true);
    return found ? found : __libc_calloc(count, size);
}

EXPORTED void free(void *address) {
    if (is_ours(address))
        release(address);
    else
        __libc_free(address);
}

EXPORTED void *realloc(void *address, size_t size) {
    if (!is_ours(address)) return address ? __libc_realloc(address, size) : malloc(size);
    if (size == 0) {
        release(address);
        return NULL;
    }
    void *moved = malloc(size);
    if (!moved) return NULL;
    size_t before = size_of(address);
    memcpy(moved, address, before < size ? before : size);
    release(address);
    return moved;
}

static void *aligned(size_t alignment, size_t size) {
    void *found = allocate(size, alignment < ALIGNMENT ? ALIGNMENT : alignment, false);
    return found ? found : __libc_memalign(alignment, size);
}

EXPORTED void *memalign(size_t alignment, size_t size) { return aligned(alignment, size); }

EXPORTED void *aligned_alloc(size_t alignment, size_t size) { return aligned(alignment, size); }

EXPORTED int posix_memalign(void **result, size_t alignment, size_t size) {
    if (alignment % sizeof(void *) || !alignment || alignment & (alignment - 1)) return EINVAL;
    void *found = aligned(alignment, size);
    if (found) *result = found;
    return found ? 0 : ENOMEM;
}

EXPORTED size_t malloc_usable_size(void *address) {
    if (is_ours(address)) return size_of(address);
    size_t (*theirs)(void *);
    *(void **)&theirs = dlsym(RTLD_NEXT, "malloc_usable_size");
    return theirs(address);
}
