// platform_helper.c: the helper thread of the real world. The kernel makes it, not the C library.
//
// pthread_create cannot be called from within malloc and free:
//   - The C library calls them while its own structures are half changed: free with the lock of the
//     thread stacks taken, which starting a thread takes too; malloc while dlopen adds a library to
//     the list of those with thread-local storage, which starting a thread walks.
//   - A process ends when the last thread of its own calls pthread_exit. One that the C library
//     knows of and that never ends would keep it for ever.
//   - A program with one thread is served faster by the C library (locks, stdio, shared_ptr). That
//     ends with the first pthread_create.
// So the helper is a bare thread on a stack of its own, and starting it takes no lock and no
// memory: anyone may, at any time. The price: it has no thread-local storage. What it runs uses
// neither errno nor mf2_self(), and the library's symbols are bound before it runs.
//
// The C library does not know it either when setuid and its kin change the ids of every thread. So
// that no thread with former rights is left that could use them, the helper gives up every system
// call but the few it makes (seccomp), if the kernel has that.
//
// A build with a sanitizer has the helper made by pthread_create: a sanitizer's run-time must know
// every thread. There malloc is not MF2's, so that none of the above applies.
#include "internal.h"
#include "platform_call.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define HELPER_IS_BARE 0
#else
#define HELPER_IS_BARE 1
#endif

#define KERNEL_SIGNALS_BYTES 8
#define STACK_BYTES          (64 << 10) // of which it touches a few
#define TCB_BYTES            4096       // glibc's struct pthread is half of it

// The one helper's memory. A process that is forked has it as well, and no helper on it.
static struct {
    // The process that may start a helper: the child of vfork shares this memory, and its threads
    // would die with it.
    pid_t process;
    _Alignas(64) char stack[STACK_BYTES];
    // Where thread-local variables would be, and what the thread pointer points to. Both are zero:
    // a stray access finds NULL, and code with stack protection its canary.
    char no_variables[TCB_BYTES];
    _Alignas(64) char thread_control_block[TCB_BYTES];
} room;

void mf2_helper_prepare(void) {
    room.process = getpid();
}

bool mf2_on_helper(void) {
    const char *here = __builtin_frame_address(0);
    return HELPER_IS_BARE && here >= room.stack && here < room.stack + STACK_BYTES;
}

MF2_NORETURN void mf2_helper_abort(void) {
    uint64_t none = 0;
    MF2_CALL(rt_sigprocmask, SIG_SETMASK, &none, NULL, KERNEL_SIGNALS_BYTES);
    MF2_CALL(tgkill, MF2_CALL(getpid, 0), MF2_CALL(gettid, 0), SIGABRT);
    for (;;) // the program has a handler for it
        MF2_CALL(exit_group, 128 + SIGABRT);
}

// ---------------------------------------------------------------- start

#if HELPER_IS_BARE

#define ALLOWED_CALLS                                                                              \
    ALLOW(futex)                                                                                   \
    ALLOW(madvise)                                                                                 \
    ALLOW(clock_gettime)                                                                           \
    ALLOW(membarrier)                                                                              \
    ALLOW(write) ALLOW(rt_sigprocmask) ALLOW(getpid) ALLOW(gettid) ALLOW(tgkill) ALLOW(exit_group)
#define ALLOW(name)                                                                                \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1),                                         \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),

// Best effort: without it the helper does the same.
static void give_up_rights(void) {
    static const struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOWED_CALLS BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)};
    const struct sock_fprog program = {sizeof filter / sizeof filter[0],
                                       (struct sock_filter *)(uintptr_t)filter};
    MF2_CALL(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    MF2_CALL(prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

static int body(void *state) {
    MF2_CALL(prctl, PR_SET_NAME, "mf2-helper", 0, 0, 0);
    give_up_rights();
    mf2_helper_main(state);
    return 0;
}

static bool start(struct mf2_state *state) {
    char *tcb = room.thread_control_block;
    int saved_errno = errno;
    // glibc's first words: the thread pointer itself, twice.
    ((void **)(void *)tcb)[0] = tcb;
    ((void **)(void *)tcb)[2] = tcb;
    int thread = clone(body, room.stack + STACK_BYTES,
                       CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                           CLONE_SYSVSEM | CLONE_SETTLS,
                       state, NULL, tcb, NULL);
    errno = saved_errno;
    return thread > 0;
}

#else

static void *body(void *state) {
    mf2_helper_main(state);
    return NULL;
}

static bool start(struct mf2_state *state) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    bool started = pthread_create(&thread, &attributes, body, state) == 0;
    pthread_attr_destroy(&attributes);
    return started;
}

#endif

bool mf2_helper_start(struct mf2_state *state) {
    if (MF2_CALL(getpid, 0) != room.process)
        return false;
    uint64_t all = UINT64_MAX, before;
    MF2_CALL(rt_sigprocmask, SIG_SETMASK, &all, &before, KERNEL_SIGNALS_BYTES);
    bool started = start(state); // with the mask of who starts it
    MF2_CALL(rt_sigprocmask, SIG_SETMASK, &before, NULL, KERNEL_SIGNALS_BYTES);
    return started;
}
