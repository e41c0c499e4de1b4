/* One call on several threads. Each begins with a share of its own, the same one in the next call,
   for its cache to have it still, and then helps with the others': a counter for each share hands
   out its pieces, so that nobody waits for work that has not begun. Whoever waits gives way to
   others, and soon sleeps. */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "kernels.h"

/* --- a job: lives until the caller and every helper, early or late, have let go of it --- */

typedef struct {
    _Alignas(64) atomic_size_t next;
    size_t end;
} share;

typedef struct {
    softjac_status (*piece)(void *context, size_t begin, size_t end);
    void *context;
    size_t step, threads;
    atomic_size_t joined;
    atomic_int references, status;
    pthread_mutex_t lock;
    pthread_cond_t idle;
    atomic_int working; /* helpers at work; written, with `closed`, under the lock */
    bool closed;
    share shares[];
} job;

static void work_on(job *j, size_t own) {
    for (size_t turn = 0; turn < j->threads;) {
        share *from = &j->shares[(own + turn) % j->threads];
        size_t begin = atomic_fetch_add_explicit(&from->next, j->step, memory_order_relaxed);
        if (begin >= from->end) {
            turn++;
            continue;
        }
        size_t end = from->end - begin < j->step ? from->end : begin + j->step;
        softjac_status status = j->piece(j->context, begin, end);
        if (status != SOFTJAC_OK) atomic_store(&j->status, (int)status);
    }
}

/* A helper at work has one piece left at most, and waking a sleeper takes longer than most pieces:
   the processor is offered to others some times before the caller sleeps. */
enum { OFFERS = 100 };

static void wait_for_helpers(job *j) {
    pthread_mutex_lock(&j->lock);
    j->closed = true;
    pthread_mutex_unlock(&j->lock);
    for (int offer = 0; offer < OFFERS && atomic_load(&j->working); offer++) sched_yield();
    pthread_mutex_lock(&j->lock);
    while (j->working) pthread_cond_wait(&j->idle, &j->lock);
    pthread_mutex_unlock(&j->lock);
}

static void let_go(job *j) {
    if (atomic_fetch_sub(&j->references, 1) != 1) return;
    pthread_mutex_destroy(&j->lock);
    pthread_cond_destroy(&j->idle);
    free(j);
}

static void help(void *argument) {
    job *j = argument;
    pthread_mutex_lock(&j->lock);
    bool late = j->closed;
    j->working += !late;
    pthread_mutex_unlock(&j->lock);
    if (!late) {
        work_on(j, atomic_fetch_add(&j->joined, 1));
        pthread_mutex_lock(&j->lock);
        if (--j->working == 0) pthread_cond_signal(&j->idle);
        pthread_mutex_unlock(&j->lock);
    }
    let_go(j);
}

softjac_status softjac_parallel(const softjac_executor *executor, size_t units,
                                softjac_status (*piece)(void *, size_t, size_t), void *context) {
    size_t threads = executor && executor->threads > 1 ? (size_t)executor->threads : 1;
    if (threads > units) threads = units;
    size_t size = sizeof(job) + threads * sizeof(share); /* a multiple of its alignment */
    job *j = threads > 1 ? aligned_alloc(_Alignof(job), size) : NULL;
    if (!j) return piece(context, 0, units);
    /* Pieces enough to even out unequal threads, few enough to stay cheap. */
    size_t step = units / (threads * 8);
    *j = (job){.piece = piece, .context = context, .step = step ? step : 1, .threads = threads};
    for (size_t i = 0; i < threads; i++) {
        atomic_init(&j->shares[i].next, units / threads * i);
        j->shares[i].end = i + 1 < threads ? units / threads * (i + 1) : units;
    }
    atomic_init(&j->joined, 1); /* the caller has */
    atomic_init(&j->references, (int)threads);
    atomic_init(&j->working, 0);
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->idle, NULL);
    for (size_t helper = 1; helper < threads; helper++)
        if (!executor->submit(executor->context, help, j)) let_go(j);
    work_on(j, 0);
    wait_for_helpers(j);
    softjac_status status = (softjac_status)atomic_load(&j->status);
    let_go(j);
    return status;
}

/* --- the library's own helpers: started when first needed, idle on a queue --- */

enum { MOST_THREADS = 256 };

typedef struct {
    void (*work)(void *);
    void *argument;
} request;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    request queue[MOST_THREADS];
    atomic_int waiting, awake; /* requests; idle helpers that need not be woken */
    int idle, helpers;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER};

static atomic_int most_threads = 1;

/* Waking a sleeper takes 10 to 20 us, as long as a piece of most calls: an idle helper looks out
   for the next call for a while. */
enum { LINGER_NS = 100000 };

static long long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* With the pool locked, and unlocked meanwhile. */
static void linger(void) {
    pool.awake++;
    pthread_mutex_unlock(&pool.lock);
    long long end = now_ns() + LINGER_NS;
    while (!atomic_load(&pool.waiting) && now_ns() < end) sched_yield();
    pthread_mutex_lock(&pool.lock);
    pool.awake--;
}

static void *helper_main(void *unused) {
    (void)unused;
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        pool.idle++;
        if (!pool.waiting) linger();
        while (!pool.waiting) pthread_cond_wait(&pool.filled, &pool.lock);
        pool.idle--;
        request next = pool.queue[--pool.waiting];
        pthread_mutex_unlock(&pool.lock);
        next.work(next.argument);
        pthread_mutex_lock(&pool.lock);
    }
    return NULL;
}

/* Bytes of result from which a helper that is awake pays, and one that must be woken. */
enum { AWAKE_FROM = 1 << 17, ASLEEP_FROM = 1 << 19 };

/* Between the two, whoever calls again within LINGER_NS is taken to go on: from its second call on
   the helpers, these or XLA's, are woken, and find it calling still. */
bool softjac_threads_pay(size_t bytes) {
    static atomic_llong last_call;
    if (bytes >= ASLEEP_FROM) return true;
    if (bytes < AWAKE_FROM) return false;
    long long now = now_ns(), last = atomic_exchange(&last_call, now);
    return atomic_load(&pool.awake) || now - last < LINGER_NS;
}

/* A forked child has none of the threads: it begins with an empty pool. */
static void before_fork(void) { pthread_mutex_lock(&pool.lock); }
static void after_fork_in_parent(void) { pthread_mutex_unlock(&pool.lock); }
static void after_fork_in_child(void) {
    pool.waiting = pool.awake = pool.idle = pool.helpers = 0;
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.filled, NULL);
}

static void register_fork_handlers(void) {
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* One more helper, deaf to signals; with the pool locked. */
static bool start_helper(void) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    bool started = pthread_create(&thread, NULL, helper_main, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started) pthread_detach(thread);
    pool.helpers += started;
    return started;
}

static bool submit_to_pool(void *unused, void (*work)(void *), void *argument) {
    (void)unused;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_fork_handlers);
    pthread_mutex_lock(&pool.lock);
    bool most = pool.helpers >= atomic_load(&most_threads) - 1;
    bool served = pool.idle > pool.waiting || most || start_helper();
    bool accepted = pool.waiting < MOST_THREADS && (served || pool.helpers > 0);
    if (accepted) {
        pool.queue[pool.waiting++] = (request){work, argument};
        pthread_cond_signal(&pool.filled);
    }
    pthread_mutex_unlock(&pool.lock);
    return accepted;
}

softjac_executor softjac_own_threads(void) {
    return (softjac_executor){submit_to_pool, NULL, atomic_load(&most_threads)};
}

void softjac_set_threads(int threads) {
    atomic_store(&most_threads, threads < 1 ? 1 : threads > MOST_THREADS ? MOST_THREADS : threads);
}
