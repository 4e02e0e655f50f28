// platform_call.h: system calls without the C library: errno is neither read nor written, so that
// malloc and free keep it by themselves, and the helper, which has none, can make them.
#ifndef MF2_PLATFORM_CALL_H
#define MF2_PLATFORM_CALL_H

#include <sys/syscall.h>

// x86-64 Linux. Returns what the kernel does: −error when it fails. Only as many of the arguments
// as the call has matter.
static inline long mf2_system_call(long number, long a, long b, long c, long d, long e, long f) {
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#define MF2_CALL(...) MF2_CALL_7(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define MF2_CALL_7(number, a, b, c, d, e, f, ...)                                                  \
    mf2_system_call(SYS_##number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

#endif
