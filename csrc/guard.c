/* See guard.h for what this does and what it assumes. */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "guard.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "guard_faults.h"
#include "guard_hold.h"

enum { STACK_SCRUBBED = 1 << 14 };

/* What the candidate's stack frame holds before the call: NaN, or huge. */
static const unsigned char scrubs[2] = {0xff, 0x7b};

int64_t softjac_guard_version(void) { return SOFTJAC_GUARD_VERSION; }

int64_t softjac_guard_arguments(void) { return GUARD_MACHINE_ARGUMENTS; }

int64_t softjac_guard_environment(void) { return machine_changes(); }

/* --- opening ------------------------------------------------------------------------------- */

/* Zeroed memory away from the heap, which a candidate may flood. */
static void *map_zeroed(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

softjac_guard *softjac_guard_open(const softjac_guard_plan *plan, int file, int64_t threads) {
    struct softjac_guard *guard = map_zeroed(sizeof *guard);
    struct slot *slots = map_zeroed((size_t)threads * sizeof *slots);
    if (!guard || !slots)
        goto failed; /* the process is of no use then: what was allocated goes with it */
    guard->plan = *plan;
    guard->threads = threads, guard->slots = slots;
    /* As large as the system allows: an index that overflows 32 bits shall still hit a guard. */
    for (guard->size = INT64_C(1) << 36; guard->size >= INT64_C(1) << 28; guard->size >>= 2) {
        int64_t opened = 0;
        if (ftruncate(file, (off_t)(guard->size * plan->arrays * threads)) != 0) continue;
        for (; opened < threads; opened++) {
            struct slot *slot = &slots[opened];
            slot->guard = guard;
            slot->low =
                map_regions(slot->regions, plan->arrays, guard->size, file, opened * plan->arrays);
            slot->high = slot->low + guard->size * (2 * plan->arrays + 1);
            if (!slot->low) break;
        }
        if (opened == threads) return guard;
    }
failed:
    return NULL;
}

/* --- a call -------------------------------------------------------------------------------- */

static __attribute__((noinline)) void scrub_stack(int byte) {
    char below[STACK_SCRUBBED];
    memset(below, byte, sizeof below);
    __asm__ volatile("" : : "r"(below) : "memory");
}

/* Makes the allocator look at its own records, so that a damaged heap aborts here. */
static void probe_heap(void) {
    static void *(*volatile allocate)(size_t) = malloc;
    static void (*volatile release)(void *) = free;
    static const size_t sizes[] = {24, 200, 1500, 120000};
    void *blocks[sizeof sizes / sizeof *sizes];
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) blocks[i] = allocate(sizes[i]);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) release(blocks[i]);
}

/* Whether the allocator still works after a signal; what is known of that signal is kept. */
static int heap_is_sound(struct slot *slot) {
    softjac_guard_result known = *slot->result;
    int sound = 0;
    if (sigsetjmp(slot->jump, 1) == 0) {
        slot->inside = 1;
        probe_heap();
        sound = 1;
    }
    slot->inside = 0;
    *slot->result = known;
    return sound;
}

static void begin_heap(const softjac_guard_plan *plan, const softjac_guard_call *call) {
    if (softjac_heap_enter) softjac_heap_enter(call->start != 0, plan->over_read);
}

/* Notes what was written around the blocks that the candidate allocated. */
static void end_heap(const struct slot *slot) {
    softjac_heap_damage damage = {0, 0};
    if (softjac_heap_leave) damage = softjac_heap_leave();
    if (damage.found) report_outside(slot->result, slot->guard->plan.arrays, damage.offset);
}

typedef int64_t word;
#define WORDS word, word, word, word, word, word, word, word, word, word, word, word, word, word
typedef word (*plain_function)(WORDS);
typedef word (*float_function)(WORDS, float);
typedef word (*double_function)(WORDS, double);
#define ARGUMENTS                                                                                  \
    w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9], w[10], w[11], w[12], w[13]

static word invoke(const softjac_guard_plan *plan, const word *w, double scale) {
    intptr_t function = (intptr_t)plan->function;
    if (plan->scale == 4) return ((float_function)function)(ARGUMENTS, (float)scale);
    if (plan->scale == 8) return ((double_function)function)(ARGUMENTS, scale);
    return ((plain_function)function)(ARGUMENTS);
}

/* What tells the parent's channel from other files; 0 where its descriptor is closed. */
static uint64_t channel_number(const struct softjac_guard *guard) {
    struct stat status;
    int descriptor = (int)guard->plan.descriptor;
    return descriptor < 0 || fstat(descriptor, &status) ? 0 : (uint64_t)status.st_ino;
}

/* Calls the function, and comes back whatever signal it raises. */
static __attribute__((noinline)) void enter(struct slot *slot, const softjac_guard_call *call,
                                            const word *words) {
    struct softjac_guard *guard = slot->guard;
    softjac_guard_result *result = slot->result;
    int64_t width = guard->plan.returned;
    result->status = SOFTJAC_GUARD_INSIDE;
    machine_default();
    scrub_stack(scrubs[call->poison & 1]);
    if (sigsetjmp(slot->jump, 0) == 0) {
        begin_heap(&guard->plan, call);
        slot->inside = 1;
        double used = clock_of(CLOCK_PROCESS_CPUTIME_ID);
        double begin = now();
        word returned = invoke(&guard->plan, words, call->scale);
        leave_copies(guard);
        int direction = machine_direction();
        result->seconds = now() - begin;
        result->processor = clock_of(CLOCK_PROCESS_CPUTIME_ID) - used;
        result->environment |= machine_changes() | (direction ? SOFTJAC_GUARD_DIRECTION : 0);
        result->returned = width == 0   ? 0
                           : width == 8 ? returned
                                        : returned & ((INT64_C(1) << 8 * width) - 1);
        machine_default();
        result->status = SOFTJAC_GUARD_CHECKING;
        end_heap(slot);
        probe_heap();
        slot->inside = 0;
    } else {
        slot->inside = 0;
        machine_direction();
        machine_default();
        if (result->status == SOFTJAC_GUARD_INSIDE) end_heap(slot);
        result->status = SOFTJAC_GUARD_FAULT;
    }
    sigset_t mask;
    sigemptyset(&mask);
    pthread_sigmask(SIG_SETMASK, &slot->mask, &mask);
    if (result->status != SOFTJAC_GUARD_FAULT)
        for (int s = 1; s < 32; s++)
            if (sigismember(&mask, s) != sigismember(&slot->mask, s))
                result->environment |= SOFTJAC_GUARD_MASK;
    if (restore_affinity(&slot->affinity)) result->environment |= SOFTJAC_GUARD_AFFINITY;
    if (channel_number(guard) != guard->channel) result->environment |= SOFTJAC_GUARD_DESCRIPTOR;
}

/* Places the arrays and fills in the arguments; false where the arrays are too large. */
static int prepare(struct slot *slot, const softjac_guard_call *call, const char *inputs,
                   word *words) {
    const struct softjac_guard *guard = slot->guard;
    const softjac_guard_plan *plan = &guard->plan;
    const char *packed = inputs + call->inputs;
    for (int64_t a = 0; a < plan->arrays; a++) {
        struct place *place = &slot->places[a];
        int output = a == plan->arrays - 1;
        if (output && call->alias >= 0) {
            *place = slot->places[call->alias];
            break;
        }
        if (!find_place(place, &slot->regions[a], guard->size, plan, call, a,
                        plan->blocked || output || a == call->alias))
            return 0;
        fill_around(place, canary(call, a));
        if (output)
            fill_poison(place, plan->item, plan->poison[call->poison & 1]);
        else
            copy_in(place, packed);
        packed += place->lines * place->line;
    }
    for (int64_t i = 0; i < SOFTJAC_GUARD_ARGUMENTS; i++) {
        int64_t argument = i < plan->arguments ? plan->argument[i] : -1;
        words[i] = argument >= 0    ? (word)slot->places[argument].array
                   : argument == -1 ? call->rows * call->blocks
                   : argument == -2 ? call->n
                                    : slot->places[-3 - argument].stride / plan->item;
    }
    return 1;
}

/* Compares the canaries and the inputs that were written, and takes the output away. */
static void examine(struct slot *slot, const softjac_guard_call *call, const char *inputs,
                    char *outputs) {
    const softjac_guard_plan *plan = &slot->guard->plan;
    softjac_guard_result *result = slot->result;
    const char *packed = inputs + call->inputs;
    for (int64_t a = 0; a < plan->arrays; a++) {
        const struct place *place = &slot->places[a];
        int output = a == plan->arrays - 1, aliased = a == call->alias;
        int written = (int)(slot->written >> a & 1);
        int64_t outside = result->outside;
        if (output ? call->alias < 0 : aliased || written || plan->blocked)
            check_around(place, canary(call, a), result, a);
        /* written with the same bytes, or restored, is written all the same */
        if (!output && !aliased && (written || plan->blocked) &&
            (!holds(place, packed) || (written && result->outside == outside)))
            result->changed |= INT64_C(1) << a;
        packed += place->lines * place->line;
    }
    copy_out(&slot->places[plan->arrays - 1], outputs + call->output);
    for (int64_t a = 0; call->blocks > 1 && a < plan->arrays - (call->alias >= 0); a++)
        unmap_blocks(&slot->places[a], &slot->regions[a]);
}

static void run_call(struct slot *slot, const softjac_guard_call *call,
                     softjac_guard_result *result, const char *inputs, char *outputs,
                     const struct meeting *meeting) {
    struct softjac_guard *guard = slot->guard;
    word words[SOFTJAC_GUARD_ARGUMENTS];
    /* A copy, since the candidate may write over what it was asked to do. */
    const softjac_guard_call own = *call;
    call = &own;
    memset(result, 0, sizeof *result);
    result->array = -1;
    result->status = SOFTJAC_GUARD_PLACING;
    slot->result = result;
    slot->written = 0;
    int placed = prepare(slot, call, inputs, words);
    if (meeting) meet(slot, meeting);
    if (!placed) {
        __atomic_add_fetch(&guard->progress->ticks, 1, __ATOMIC_RELAXED);
        return;
    }
    for (int64_t i = 0; i < call->repeat && result->status != SOFTJAC_GUARD_FAULT; i++) {
        enter(slot, call, words);
        if (meeting) part(slot);
        __atomic_add_fetch(&guard->progress->ticks, 1, __ATOMIC_RELAXED);
        if (guard->plan.patience > 0 && !meeting && now() - guard->armed > 1) {
            guard->armed = now();
            alarm((unsigned)guard->plan.patience);
        }
    }
    if (!meeting) result->environment |= restore_handlers(guard);
    examine(slot, call, inputs, outputs);
    if (result->status != SOFTJAC_GUARD_FAULT) result->status = SOFTJAC_GUARD_DONE;
}

/* --- runs ---------------------------------------------------------------------------------- */

static void begin_run(struct softjac_guard *guard, softjac_guard_progress *progress) {
    guard->progress = progress;
    guard->process = getpid();
    guard->channel = channel_number(guard);
    guard->armed = now();
    atomic_store(&stray, progress);
    install_handlers(guard);
    /* where the parent has died, no candidate spins for ever */
    alarm((unsigned)guard->plan.patience);
}

static void begin_thread(struct slot *slot) {
    current = slot;
    pthread_sigmask(SIG_BLOCK, NULL, &slot->mask);
    read_affinity(&slot->affinity);
    if (slot->guard->plan.blocked) {
        sigaddset(&slot->mask, SIGSEGV);
        sigaddset(&slot->mask, SIGBUS);
        pthread_sigmask(SIG_SETMASK, &slot->mask, NULL);
    }
}

int64_t softjac_guard_run(softjac_guard *guard, const softjac_guard_call *calls,
                          softjac_guard_result *results, int64_t count,
                          softjac_guard_progress *progress, const char *inputs, char *outputs) {
    static char *stack;
    if (!stack) stack = alternate_stack();
    begin_run(guard, progress);
    begin_thread(&guard->slots[0]);
    for (int64_t i = 0; i < count; i++) {
        run_call(&guard->slots[0], &calls[i], &results[i], inputs, outputs, NULL);
        /* The parent then starts another process for the rest. */
        if (results[i].environment & SOFTJAC_GUARD_DESCRIPTOR ||
            (results[i].signal != 0 && !heap_is_sound(&guard->slots[0])))
            break;
    }
    alarm(0);
    return 0;
}

/* One thread of a concurrent run: in round r it makes call `first + r * parties`. */
struct party {
    struct slot *slot;
    const softjac_guard_call *calls;
    softjac_guard_result *results;
    const char *inputs;
    char *outputs;
    int64_t first, parties, rounds;
    atomic_int *barriers;
};

static void *run_party(void *argument) {
    struct party *party = argument;
    char *stack = alternate_stack();
    begin_thread(party->slot);
    begin_holds(party->slot);
    for (int64_t round = 0; round < party->rounds; round++) {
        int64_t i = party->first + round * party->parties;
        struct meeting meeting = {&party->barriers[round], round, party->first, party->parties};
        run_call(party->slot, &party->calls[i], &party->results[i], party->inputs, party->outputs,
                 &meeting);
    }
    close_timer(party->slot);
    current = NULL;
    stack_t off = {.ss_flags = SS_DISABLE};
    sigaltstack(&off, NULL);
    if (stack) munmap(stack, ALTERNATE_STACK);
    return NULL;
}

int64_t softjac_guard_run_threads(softjac_guard *guard, const softjac_guard_call *calls,
                                  softjac_guard_result *results, int64_t parties, int64_t rounds,
                                  softjac_guard_progress *progress, const char *inputs,
                                  char *outputs) {
    struct party *all = calloc((size_t)parties, sizeof *all);
    pthread_t *threads = calloc((size_t)parties, sizeof *threads);
    atomic_int *barriers = calloc((size_t)rounds, sizeof *barriers);
    int64_t started = 0;
    int64_t failed = !all || !threads || !barriers || parties > guard->threads ? EINVAL : 0;
    install_holds();
    begin_run(guard, progress);
    for (; !failed && started < parties; started++) {
        all[started] = (struct party){.slot = &guard->slots[started],
                                      .calls = calls,
                                      .results = results,
                                      .inputs = inputs,
                                      .outputs = outputs,
                                      .first = started,
                                      .parties = parties,
                                      .rounds = rounds,
                                      .barriers = barriers};
        failed = pthread_create(&threads[started], NULL, run_party, &all[started]);
    }
    if (failed) /* those already started wait at the barrier for ever: give up the process */
        return failed;
    hold_up(threads, parties, progress, parties * rounds);
    for (int64_t i = 0; i < parties; i++) pthread_join(threads[i], NULL);
    results[0].environment |= restore_handlers(guard);
    alarm(0);
    free(all);
    free(threads);
    free(barriers);
    return 0;
}
