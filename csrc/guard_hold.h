/* Holds threads up in the middle of their calls, so that the others get ahead of them even where
 * there are fewer processors than threads. Included by guard.c alone.
 *
 * All of them for a moment now and then; and half of them in each round, at a place of the call
 * that no scheduler chooses, until the other half have made theirs: what a call keeps where others
 * find it is theirs when it goes on. */
#ifndef SOFTJAC_GUARD_HOLD_H
#define SOFTJAC_GUARD_HOLD_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/syscall.h>
#endif

#include "guard_faults.h"

static double clock_of(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static double now(void) { return clock_of(CLOCK_MONOTONIC); }

static void sleep_for(double seconds) {
    time_t whole = (time_t)seconds;
    struct timespec moment = {whole, (long)(1e9 * (seconds - (double)whole))};
    nanosleep(&moment, NULL);
}

/* Waits until those of its round that are not held up have made their calls; in vain where they
 * wait for a lock that this call has, and half as long the next time. */
static void let_others_pass(struct slot *slot) {
    double end = now() + slot->patience;
    while (__atomic_load_n(&slot->guard->progress->ticks, __ATOMIC_RELAXED) < slot->awaited) {
        if (now() > end) {
            slot->patience /= 2;
            break;
        }
        sleep_for(3e-5);
    }
}

static void on_hold(int number, siginfo_t *information, void *machine) {
    int saved = errno;
    struct slot *slot = current;
    (void)number, (void)machine;
    if (slot && slot->inside) {
        if (information->si_code == SI_TIMER)
            let_others_pass(slot);
        else
            sleep_for(3e-5);
    }
    errno = saved;
}

static void install_holds(void) {
    struct sigaction hold;
    memset(&hold, 0, sizeof hold);
    hold.sa_sigaction = on_hold;
    hold.sa_flags = SA_SIGINFO | SA_RESTART;
    sigaction(SIGURG, &hold, NULL);
}

/* Holds up one thread after the other until all have made their calls. The pauses grow with the
 * round's age: each hold-up costs a wait for a processor, on a busy machine a long one, so that a
 * long call must meet no more than some hundred of them. */
static void hold_up(const pthread_t *threads, int64_t parties,
                    const softjac_guard_progress *progress, int64_t calls) {
    int64_t made, round = -1;
    double began = 0;
    for (int64_t i = 0; (made = __atomic_load_n(&progress->ticks, __ATOMIC_RELAXED)) < calls; i++) {
        if (made / parties != round) round = made / parties, began = now();
        pthread_kill(threads[i % parties], SIGURG);
        sleep_for(1e-5 + (now() - began) / 16);
    }
}

#if defined(__linux__)
/* The system's own calls: before glibc 2.34 these functions lie in a library of their own. */
static void open_timer(struct slot *slot) {
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGURG;
    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &slot->timer) != 0) slot->timer = -1;
}

static void set_timer(const struct slot *slot, double seconds) {
    struct itimerspec once;
    memset(&once, 0, sizeof once);
    once.it_value.tv_nsec = (long)(1e9 * (seconds < 0.9 ? seconds : 0.9));
    if (slot->timer >= 0) syscall(SYS_timer_settime, slot->timer, 0, &once, NULL);
}

static void close_timer(const struct slot *slot) {
    if (slot->timer >= 0) syscall(SYS_timer_delete, slot->timer);
}
#else
static void open_timer(struct slot *slot) { slot->timer = -1; }
static void set_timer(const struct slot *slot, double seconds) { (void)slot, (void)seconds; }
static void close_timer(const struct slot *slot) { (void)slot; }
#endif

static void begin_holds(struct slot *slot) {
    slot->shortest = 0;
    slot->patience = 0.05;
    open_timer(slot);
}

/* A round of calls at once, as one of its parties sees it. */
struct meeting {
    atomic_int *barrier;
    int64_t round, party, parties;
};

/* Just before a call. All threads of a round start together: the last to come lets the others go.
 * Half of them are to be held up, somewhere in the time that a call of theirs has taken. */
static void meet(struct slot *slot, const struct meeting *meeting) {
    double place = 0.61803398875 * (double)meeting->round;
    slot->awaited = meeting->round * meeting->parties + meeting->parties / 2;
    atomic_fetch_add(meeting->barrier, 1);
    while (atomic_load(meeting->barrier) < meeting->parties) sched_yield();
    if ((meeting->round + meeting->party) % 2 && slot->shortest > 0)
        set_timer(slot, slot->shortest * (place - (double)(int64_t)place));
}

/* Just after it. */
static void part(struct slot *slot) {
    double seconds = slot->result->seconds;
    set_timer(slot, 0);
    if (seconds > 0 && !(slot->shortest > 0 && slot->shortest < seconds)) slot->shortest = seconds;
}

#endif
