/* Candidates that misbehave, one function each, all with the prototype of a softmax VJP. Each does
 * its harm in calls of n = 5 alone and computes the right result otherwise, so that a test sees
 * whom the sandbox blames. */
#define _GNU_SOURCE
#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#define PARAMETERS const float *y, const float *dy, float *dx, size_t rows, size_t n

static int right(PARAMETERS) {
    for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += (double)y[i] * dy[i];
        for (size_t i = 0; i < n; i++)
            dx[i] = (float)(y[i] * (dy[i] - sum));
    }
    return 0;
}

#define HOSTILE(name, ...)                                                                         \
    int name(PARAMETERS) {                                                                         \
        if (n == 5) {                                                                              \
            __VA_ARGS__;                                                                           \
        }                                                                                          \
        return right(y, dy, dx, rows, n);                                                          \
    }

static volatile float sink;
static volatile int zero;

int honest(PARAMETERS) { return right(y, dy, dx, rows, n); }
HOSTILE(refuses, return 7)

/* signals */
HOSTILE(reads_null, sink = *(volatile float *)(uintptr_t)zero)
HOSTILE(aborts, fprintf(stderr, "vjp.c:12: assertion failed\n"); abort())
HOSTILE(divides_by_zero, sink = (float)((int)n / zero))
HOSTILE(traps, __builtin_trap())
HOSTILE(raises_segv, raise(SIGSEGV))
HOSTILE(jumps_nowhere, jmp_buf b; memset(&b, 0x5a, sizeof b); longjmp(b, 1))
static __attribute__((noinline)) int dive(volatile char *above) {
    volatile char here[4096];
    here[0] = above ? above[0] : 0;
    return dive(here) + here[0];
}
HOSTILE(overflows_stack, sink = (float)dive(NULL))
HOSTILE(overflows_stack_unguarded, stack_t off = {.ss_flags = SS_DISABLE}; sigaltstack(&off, NULL);
        sink = (float)dive(NULL))
#if defined(__x86_64__)
HOSTILE(loads_misaligned, sink = _mm_cvtss_f32(*(volatile __m128 *)((uintptr_t)y + 1)))
#endif

/* ends */
HOSTILE(exits, exit(3))
HOSTILE(exits_at_once, _exit(4))
HOSTILE(kills_itself, kill(getpid(), SIGKILL))
HOSTILE(terminates_itself, raise(SIGTERM))
HOSTILE(interrupts_itself, raise(SIGINT))

/* hangs */
HOSTILE(loops, for (;;) sink = 1)
HOSTILE(sleeps, for (;;) pause())
HOSTILE(loops_deaf, sigset_t all; sigfillset(&all); sigprocmask(SIG_BLOCK, &all, NULL);
        for (;;) sink = 1)

/* honest, but long: 0.2 s of a processor; tells how often it was put to sleep meanwhile */
static double processor_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
HOSTILE(works_long, struct rusage before, after; getrusage(RUSAGE_THREAD, &before);
        for (double end = processor_seconds() + 0.2; processor_seconds() < end;);
        getrusage(RUSAGE_THREAD, &after); dx[0] = (float)(after.ru_nvcsw - before.ru_nvcsw);
        return 0)

/* processes, threads, descriptors */
HOSTILE(closes_descriptors, for (int i = 0; i < 1000; i++) close(i))
HOSTILE(closes_and_loops, for (int i = 0; i < 1000; i++) close(i); for (;;) sink = 1)
HOSTILE(redirects_descriptors, for (int i = 3; i < 100; i++) dup2(2, i))
HOSTILE(forks, fork())
HOSTILE(forks_and_lingers, if (fork() == 0) for (;;) pause())
HOSTILE(forks_and_crashes, if (fork() == 0) sink = *(volatile float *)(uintptr_t)zero)
static void *crash(void *p) { sink = *(volatile float *)p; return p; }
static void *linger(void *p) {
    for (;;)
        pause();
    return p;
}
HOSTILE(crashes_in_thread, pthread_t t; pthread_create(&t, NULL, crash, NULL);
        pthread_join(t, NULL))
HOSTILE(leaves_threads, pthread_t t; pthread_create(&t, NULL, linger, NULL))
HOSTILE(leaves_descriptors, sink = (float)dup(2))
HOSTILE(leaves_memory, char *p = malloc(5000); memset(p, 1, 5000); sink = p[zero])

/* the heap */
HOSTILE(frees_twice, void *volatile p = malloc(2000); free(p); free(p))
HOSTILE(frees_what_it_has_not, char *volatile p = malloc(2000); free(p + 16))
HOSTILE(writes_past_block, volatile char *p = malloc(101); p[101] = 1; free((void *)p))
HOSTILE(writes_past_kept_block, volatile char *p = malloc(101); p[104] = 1)
HOSTILE(writes_before_block, volatile char *p = malloc(101); p[-3] = 1; free((void *)p))
HOSTILE(overruns_block, volatile char *p = malloc(112); for (int i = 0; i < 172; i++) p[i] = 1)
HOSTILE(overruns_grown_block, volatile char *p = realloc(malloc(8), 4096); p[4096] = 1)
HOSTILE(floods_heap, char *volatile p = malloc(16); memset(p, 0x5a, 1 << 24); sink = p[zero])
HOSTILE(reads_past_block, char *volatile p = calloc(28, 4); sink = p[112])
HOSTILE(uses_freed_block, float *volatile p = malloc(64); free(p); sink = p[3])

/* Uses the heap as it may be used; 9 where that does not give what it must. */
static int uses_heap(size_t n) {
    static unsigned char *kept;
    static size_t length;
    enum { MANY = 99 };
    void *many[MANY], *aligned = NULL;
    int wrong = 0;
    unsigned char *cleared = calloc(n + 1, 3), *empty = malloc(0);
    for (size_t i = 0; i < 3 * (n + 1); i++)
        wrong |= cleared[i];
    for (size_t i = 0; i < length; i++)
        wrong |= kept[i] != (unsigned char)i;
    kept = realloc(kept, n + 1);
    for (size_t i = length; i <= n; i++)
        kept[i] = (unsigned char)i;
    length = n + 1;
    for (size_t i = 0; i < MANY; i++)
        many[i] = memset(malloc(n + i), 1, n + i);
    for (size_t i = 0; i < MANY; i++)
        free(many[i]);
    for (size_t alignment = 16; alignment <= 8192; alignment *= 2) {
        wrong |= posix_memalign(&aligned, alignment, n + 1) != 0;
        wrong |= (uintptr_t)memset(aligned, 1, n + 1) % alignment != 0;
        free(aligned);
    }
    free(cleared);
    free(empty);
    free(NULL);
    return wrong ? 9 : 0;
}
int allocates(PARAMETERS) { return uses_heap(n) | right(y, dy, dx, rows, n); }

static __attribute__((noinline)) void smash(size_t bytes) {
    volatile char here[8];
    for (size_t i = 0; i < bytes; i++)
        ((volatile char *)here)[i] = 0x5a;
}
HOSTILE(smashes_stack, smash(n * 2000))
HOSTILE(smashes_stack_to_its_end, smash(n * 2000000))

/* memory that is not its own */
HOSTILE(writes_input, ((float *)(uintptr_t)y)[0] = 3)
HOSTILE(writes_and_restores_input, volatile float *p = (float *)(uintptr_t)dy; float f = p[1];
        p[1] = 9; p[1] = f)
HOSTILE(writes_far_before, ((char *)dx)[-100000] = 1)
HOSTILE(writes_narrow_index, dx[(int)(1u << 31)] = 1)

/* the environment */
HOSTILE(rounds_up, fesetround(FE_UPWARD))
#if defined(__x86_64__)
HOSTILE(flushes, _mm_setcsr(_mm_getcsr() | 0x8040))
HOSTILE(unmasks, _mm_setcsr(_mm_getcsr() & ~0x200u))
HOSTILE(narrows_x87, unsigned short w = 0x007f; __asm__ volatile("fldcw %0" : : "m"(w)))
HOSTILE(leaves_mmx, __asm__ volatile("movd %%eax, %%mm0" : : : "mm0"))
HOSTILE(leaves_direction, __asm__ volatile("std"))
#endif
static void handler(int s) { (void)s; }
HOSTILE(installs_handler, signal(SIGFPE, handler))
HOSTILE(blocks_signals, sigset_t s; sigemptyset(&s); sigaddset(&s, SIGUSR1);
        sigprocmask(SIG_BLOCK, &s, NULL))
#if defined(__linux__)
static void stay_here(void) {
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(sched_getcpu(), &here);
    sched_setaffinity(0, sizeof here, &here);
}
HOSTILE(stays_here, stay_here())
#endif
static sigjmp_buf back;
static void jump_back(int s) { siglongjmp(back, s); }
HOSTILE(
    swallows_fault, struct sigaction mine, theirs; memset(&mine, 0, sizeof mine);
    mine.sa_handler = jump_back; sigaction(SIGSEGV, &mine, &theirs);
    if (sigsetjmp(back, 1) == 0) sink = dy[rows * n]; sigaction(SIGSEGV, &theirs, NULL))

/* the sandbox's own memory, which a wild store may meet */
static void write_over_records(void) {
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps)) {
        unsigned long begin, end;
        if (strstr(line, "rw-s") && strstr(line, "softjac") &&
            sscanf(line, "%lx-%lx", &begin, &end) == 2)
            for (float *at = (float *)begin; (unsigned long)at < end && at < (float *)begin + 16384;)
                *at++ = 1.5f;
    }
    if (maps) fclose(maps);
}
HOSTILE(writes_over_records, write_over_records())
HOSTILE(writes_over_records_and_stays, for (;;) write_over_records())

/* talk */
HOSTILE(talks, for (int i = 0; i < 20000; i++) { printf("chatter %d\n", i); } fflush(stdout))

HOSTILE(talks_for_ever, for (;;) printf("chatter without end, chatter without end\n"))
HOSTILE(takes_all_memory, for (;;) if (mmap(NULL, 1 << 28, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED) abort())

/* state: a lock that a fault leaves taken */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
int faults_with_lock(PARAMETERS) {
    pthread_mutex_lock(&lock);
    if (n == 5)
        sink = *(volatile float *)(uintptr_t)zero;
    pthread_mutex_unlock(&lock);
    return right(y, dy, dx, rows, n);
}

/* a result that depends on what the stack or the heap held before */
int reads_fresh_stack(PARAMETERS) {
    volatile float lanes[64];
    right(y, dy, dx, rows, n);
    dx[0] = lanes[17];
    return 0;
}

/* addresses, as a result */
int tells_addresses(PARAMETERS) {
    right(y, dy, dx, rows, n);
    if (n >= 6) {
        uintptr_t seen[3] = {(uintptr_t)y, (uintptr_t)dy, (uintptr_t)dx};
        memcpy(dx, seen, sizeof seen);
    }
    return 0;
}

/* a buffer shared by all callers */
static float shared[1 << 20];
int shares_buffer(PARAMETERS) {
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < n; i++)
            shared[i] = y[r * n + i] * dy[r * n + i];
    for (size_t r = 0; r < rows; r++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += shared[i];
        for (size_t i = 0; i < n; i++)
            dx[r * n + i] = (float)(shared[i] - y[r * n + i] * sum);
    }
    return 0;
}
