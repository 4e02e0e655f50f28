// preload_sandbox.c: noticing that the process is about to forbid itself system calls.
//
// Owns: prctl and syscall as the program calls them, which are the ways to a seccomp filter, and
// the flag that such a call leaves. From then on an event makes no system call at all: what the
// kernel would be asked for, the rest of the library does without or waits for by looking.
// Does not own: filters that the process had before it began, or sets past the C library.
//
// Threads: the flag only ever rises, before the filter is in force.
#include "libhakrec.h"

#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

_Atomic bool rec_sandboxed;

long rec_raw(long number, long a, long b, long c, long d, long e, long f) {
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    if (result < 0 && result >= -4095) {
        errno = (int)-result;
        return -1;
    }
    return result;
}

static bool sets_filter(long number, long a) {
    if (number == SYS_prctl)
        return a == PR_SET_SECCOMP;
    return number == SYS_seccomp && (a == SECCOMP_SET_MODE_STRICT || a == SECCOMP_SET_MODE_FILTER);
}

static long call(long number, const long *a) {
    if (REC_UNLIKELY(sets_filter(number, a[0])))
        atomic_store(&rec_sandboxed, true);
    return rec_raw(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

REC_EXPORT long syscall(long number, ...) {
    long a[6];
    va_list arguments;
    va_start(arguments, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(arguments, long);
    va_end(arguments);
    return call(number, a);
}

REC_EXPORT int prctl(int option, ...) {
    long a[6] = {option};
    va_list arguments;
    va_start(arguments, option);
    for (int i = 1; i < 5; i++)
        a[i] = va_arg(arguments, long);
    va_end(arguments);
    return (int)call(SYS_prctl, a);
}
