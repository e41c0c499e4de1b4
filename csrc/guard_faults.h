/* What guard.c keeps for each thread, and how it survives the signals of a call. Included by
 * guard.c alone. */
#ifndef SOFTJAC_GUARD_FAULTS_H
#define SOFTJAC_GUARD_FAULTS_H

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guard_machine.h"
#include "guard_memory.h"
#include "heap.h"

enum { CAUGHT = 7, WATCHED = 11, ALTERNATE_STACK = 1 << 16 };

/* The first CAUGHT end a call; the handlers of all of them must be left as they are. */
static const int watched[WATCHED] = {SIGSEGV, SIGBUS, SIGFPE,  SIGILL,  SIGABRT, SIGTRAP,
                                     SIGSYS,  SIGINT, SIGTERM, SIGALRM, SIGPIPE};

/* All that one thread needs for a call. */
struct slot {
    struct softjac_guard *guard;
    struct region regions[SOFTJAC_GUARD_ARRAYS];
    struct place places[SOFTJAC_GUARD_ARRAYS];
    sigjmp_buf jump;
    volatile sig_atomic_t inside;
    volatile int64_t written; /* bit a: a write into input a was let through */
    sigset_t mask;
    machine_affinity affinity;
    softjac_guard_result *result;
    char *low, *high; /* all its regions with their guard pages */
    int timer;        /* what holds its call up; see guard_hold.h */
    int64_t awaited;  /* how many calls have ended when those not held up have been made */
    double shortest;  /* seconds that its calls have taken at least; 0: it has made none */
    double patience;  /* seconds that it is held up at most */
};

struct softjac_guard {
    softjac_guard_plan plan;
    int64_t size, threads; /* bytes of a region, slots */
    pid_t process;
    uint64_t channel; /* the file number of the parent's channel */
    struct sigaction handlers[WATCHED];
    softjac_guard_progress *progress;
    double armed;
    struct slot *slots;
};

/* The slot of this thread. Its storage must be there already when a handler reads it. */
#if defined(__linux__)
static __thread struct slot *current __attribute__((tls_model("initial-exec")));
#else
static __thread struct slot *current;
#endif
static softjac_guard_progress *_Atomic stray; /* where a fault outside any call is noted */

/* Ends this process where it is a copy that the candidate made with fork: results are shared. */
static void leave_copies(const struct softjac_guard *guard) {
    if (getpid() != guard->process) _exit(0);
}

/* The array nearest to an address, or -1, and the bytes between; 0 inside the array. */
static int64_t nearest(const struct slot *slot, const char *address, int64_t *offset) {
    int64_t best = INT64_MAX, array = -1;
    *offset = 0;
    if (address < slot->low || address >= slot->high) return -1;
    for (int64_t a = 0; a < slot->guard->plan.arrays; a++) {
        int64_t signed_distance;
        if (!distance_to(&slot->places[a], address, &signed_distance)) {
            *offset = 0;
            return a;
        }
        int64_t distance = signed_distance < 0 ? -signed_distance : signed_distance;
        if (distance < best) best = distance, array = a, *offset = signed_distance;
    }
    return array;
}

/* The same with the blocks that the candidate has allocated, as one more array. */
static int64_t nearest_block(const struct slot *slot, const char *address, int64_t *offset,
                             int64_t *hint) {
    int found = softjac_heap_find ? softjac_heap_find(address, offset) : SOFTJAC_HEAP_ELSEWHERE;
    if (found == SOFTJAC_HEAP_FREED) *hint = SOFTJAC_GUARD_FREED;
    return found == SOFTJAC_HEAP_BESIDE ? slot->guard->plan.arrays : -1;
}

/* Lets a first write into a read-only input happen; false where the fault is another one. */
static int let_write(struct slot *slot, const char *address, int64_t array) {
    struct place *place = &slot->places[array];
    if (address < place->low || address >= place->high || place->window->protection != PROT_READ)
        return 0;
    place->window->protection = PROT_READ | PROT_WRITE;
    slot->written |= INT64_C(1) << array;
    return mprotect(place->low, (size_t)(place->high - place->low), PROT_READ | PROT_WRITE) == 0;
}

static void on_signal(int number, siginfo_t *information, void *machine) {
    struct slot *slot = current;
    /* a positive code: not sent by kill, raise or abort, so the address means something */
    int paged = information->si_code > 0 && (number == SIGSEGV || number == SIGBUS);
    char *address = paged ? (char *)information->si_addr : NULL;
    int64_t access = paged ? machine_access(machine) : 0, array = -1, offset = 0, hint = 0;
    if (paged && machine_protection(machine, information))
        hint = SOFTJAC_GUARD_PROTECTION, access = 0;
    else if (paged && (uintptr_t)address - machine_stack(machine) + 65536 < 131072)
        hint = SOFTJAC_GUARD_STACK;
    if (slot && slot->inside) {
        leave_copies(slot->guard);
        if (paged && !hint) array = nearest(slot, address, &offset);
        if (paged && !hint && array < 0) array = nearest_block(slot, address, &offset, &hint);
        if (access == 2 && array >= 0 && array < slot->guard->plan.arrays - 1 &&
            let_write(slot, address, array))
            return;
        slot->result->signal = number, slot->result->access = access;
        slot->result->array = array, slot->result->offset = offset, slot->result->hint = hint;
        siglongjmp(slot->jump, 1);
    }
    softjac_guard_progress *progress = atomic_load(&stray);
    if (progress && !progress->signal)
        progress->access = access, progress->hint = hint, progress->signal = number;
    signal(number, SIG_DFL);
    raise(number); /* takes effect when this handler returns */
}

static void install_handlers(struct softjac_guard *guard) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < CAUGHT; i++) sigaction(watched[i], &action, NULL);
    for (int i = 0; i < WATCHED; i++) sigaction(watched[i], NULL, &guard->handlers[i]);
}

/* The handlers that differ from those installed, put back. */
static int64_t restore_handlers(struct softjac_guard *guard) {
    int64_t changes = 0;
    for (int i = 0; i < WATCHED; i++) {
        struct sigaction found, *expected = &guard->handlers[i];
        if (sigaction(watched[i], NULL, &found) == 0 &&
            (found.sa_sigaction != expected->sa_sigaction ||
             (found.sa_flags ^ expected->sa_flags) & (SA_SIGINFO | SA_ONSTACK | SA_RESETHAND))) {
            changes |= (int64_t)SOFTJAC_GUARD_HANDLER << i;
            sigaction(watched[i], expected, NULL);
        }
    }
    return changes;
}

/* An alternate stack for this thread's handlers, so that an overflow of the stack is survived. */
static char *alternate_stack(void) {
    stack_t stack;
    memset(&stack, 0, sizeof stack);
    stack.ss_sp =
        mmap(NULL, ALTERNATE_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack.ss_size = ALTERNATE_STACK;
    if (stack.ss_sp == MAP_FAILED) return NULL;
    sigaltstack(&stack, NULL);
    return stack.ss_sp;
}

#endif
