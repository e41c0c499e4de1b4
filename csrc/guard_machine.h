/* What guard.c must know of the machine: its floating-point control, what a fault was, where the
 * stack is. Included by guard.c alone. */
#ifndef SOFTJAC_GUARD_MACHINE_H
#define SOFTJAC_GUARD_MACHINE_H

#include <fenv.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#if defined(__APPLE__)
#include <sys/ucontext.h>
#else
#include <ucontext.h>
#endif

#include "guard.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

/* How many integer and pointer arguments guard.h's assumption covers. */
#if defined(__APPLE__) && defined(__aarch64__)
#define GUARD_MACHINE_ARGUMENTS 8 /* the stack's are packed */
#elif defined(__x86_64__) || defined(__aarch64__) || (defined(__riscv) && __riscv_xlen == 64)
#define GUARD_MACHINE_ARGUMENTS SOFTJAC_GUARD_ARGUMENTS
#else
#define GUARD_MACHINE_ARGUMENTS 0
#endif

/* Puts the floating-point environment into the state a C program starts with. */
static void machine_default(void) {
#if defined(__x86_64__)
    const uint32_t control = 0x1f80;
    const uint16_t x87 = 0x037f;
    __asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(control), "m"(x87));
#elif defined(__aarch64__)
    const uint64_t control = 0;
    __asm__ volatile("msr fpcr, %0" : : "r"(control));
#else
    fesetenv(FE_DFL_ENV);
#endif
}

/* What of the floating-point environment is not as a C program starts with. */
static int64_t machine_changes(void) {
    int64_t changes = 0;
#if defined(__x86_64__)
    uint32_t control;
    uint16_t x87[14]; /* fnstenv's image: control word first, tag word fifth */
    __asm__ volatile("stmxcsr %0\n\tfnstenv %1\n\tfldenv %1" : "=m"(control), "=m"(x87));
    changes |= control & 0x6000 ? SOFTJAC_GUARD_ROUNDING : 0;
    changes |= control & 0x8000 ? SOFTJAC_GUARD_FLUSH : 0;
    changes |= control & 0x0040 ? SOFTJAC_GUARD_DENORMALS : 0;
    changes |= (control & 0x1f80) != 0x1f80 ? SOFTJAC_GUARD_EXCEPTIONS : 0;
    changes |= x87[0] != 0x037f ? SOFTJAC_GUARD_X87_CONTROL : 0;
    if (x87[4] != 0xffff) {
        changes |= SOFTJAC_GUARD_X87_STACK;
        __asm__ volatile("fninit");
    }
#elif defined(__aarch64__)
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    changes |= control & (UINT64_C(3) << 22) ? SOFTJAC_GUARD_ROUNDING : 0;
    changes |= control & (UINT64_C(1) << 24) ? SOFTJAC_GUARD_FLUSH : 0;
    changes |= control & UINT64_C(0x9f00) ? SOFTJAC_GUARD_EXCEPTIONS : 0;
#else
    changes |= fegetround() != FE_TONEAREST ? SOFTJAC_GUARD_ROUNDING : 0;
#endif
    return changes;
}

/* Whether string instructions were left running downwards; puts that right. */
static int machine_direction(void) {
#if defined(__x86_64__)
    int downwards = (__readeflags() & 0x400) != 0;
    __asm__ volatile("cld");
    return downwards;
#else
    return 0;
#endif
}

#if defined(__linux__) && defined(__aarch64__)
/* The syndrome register, from the records that follow the saved registers; 0 if absent. */
static uint64_t machine_syndrome(const ucontext_t *context) {
    const unsigned char *at = (const unsigned char *)context->uc_mcontext.__reserved;
    const unsigned char *end = at + sizeof context->uc_mcontext.__reserved;
    while (at + 16 <= end) {
        uint32_t magic = *(const uint32_t *)at, size = *(const uint32_t *)(at + 4);
        if (magic == 0x45535201) /* ESR_MAGIC */
            return *(const uint64_t *)(at + 8);
        if (magic == 0 || size == 0) break;
        at += size;
    }
    return 0;
}
#endif

/* Whether a page fault came from a read (1) or a write (2); 0 where that is unknown. */
static int machine_access(const void *machine) {
    const ucontext_t *context = machine;
    (void)context;
#if defined(__linux__) && defined(__x86_64__)
    uint64_t error = (uint64_t)context->uc_mcontext.gregs[REG_ERR];
    return error & 16 ? 0 : error & 2 ? 2 : 1; /* 16: an instruction was fetched */
#elif defined(__linux__) && defined(__aarch64__)
    uint64_t syndrome = machine_syndrome(context), kind = syndrome >> 26;
    return kind == 0x24 || kind == 0x25 ? (syndrome & 64 ? 2 : 1) : 0;
#elif defined(__APPLE__) && defined(__x86_64__)
    return context->uc_mcontext->__es.__err & 2 ? 2 : 1;
#elif defined(__APPLE__) && defined(__aarch64__)
    return context->uc_mcontext->__es.__esr & 64 ? 2 : 1;
#else
    return 0;
#endif
}

/* Whether this was no page fault: a misaligned vector access or an address no page can have. */
static int machine_protection(const void *machine, const siginfo_t *information) {
    const ucontext_t *context = machine;
    (void)context;
#if defined(__linux__) && defined(__x86_64__)
    if (context->uc_mcontext.gregs[REG_TRAPNO] == 13) return 1;
#elif defined(__APPLE__) && defined(__x86_64__)
    if (context->uc_mcontext->__es.__trapno == 13) return 1;
#endif
    return information->si_signo == SIGBUS && information->si_code == BUS_ADRALN;
}

/* The processors this thread may run on; none where the system does not tell. */
#if defined(__linux__)
typedef cpu_set_t machine_affinity;

static void read_affinity(machine_affinity *allowed) {
    if (sched_getaffinity(0, sizeof *allowed, allowed) != 0) CPU_ZERO(allowed);
}

/* Whether they are others than before; puts them back. */
static int restore_affinity(const machine_affinity *before) {
    machine_affinity allowed;
    read_affinity(&allowed);
    if (CPU_COUNT(&allowed) == 0 || CPU_EQUAL(&allowed, before)) return 0;
    sched_setaffinity(0, sizeof *before, before);
    return 1;
}
#else
typedef int machine_affinity;

static void read_affinity(machine_affinity *allowed) { *allowed = 0; }

static int restore_affinity(const machine_affinity *before) {
    (void)before;
    return 0;
}
#endif

/* The stack pointer at the fault, or 0. */
static uintptr_t machine_stack(const void *machine) {
    const ucontext_t *context = machine;
    (void)context;
#if defined(__linux__) && defined(__x86_64__)
    return (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
#elif defined(__linux__) && defined(__aarch64__)
    return (uintptr_t)context->uc_mcontext.sp;
#elif defined(__APPLE__) && defined(__x86_64__)
    return (uintptr_t)context->uc_mcontext->__ss.__rsp;
#elif defined(__APPLE__) && defined(__aarch64__)
    return (uintptr_t)context->uc_mcontext->__ss.__sp;
#else
    return 0;
#endif
}

#endif
