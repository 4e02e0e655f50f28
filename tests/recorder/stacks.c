// stacks.c: stacks of every shape, for the test of how they are taken: `stacks MODE N`.
//
// Owns: functions whose frames compilers lay out differently, and callers that change beneath
// callees that do not. What is right is decided by the recorder's second, full unwinding of every
// stack (HAKREC_STACK_CHECK=1). Threads: as each mode says.
#include <alloca.h>
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

static long number;
static const char *argument;
static void *volatile kept;
static volatile uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void) {
    uint64_t x = random_state;
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    return random_state = x;
}

#define APART __attribute__((noipa))

APART static void use(volatile void *memory) {
    (void)memory;
}

APART static void allocate(void) {
    kept = malloc(20);
    free(kept);
}

// ---------------------------------------------------------------- shapes

// Calls what `path` says, three bits a frame, so that any frame may have any caller.
static void descend(uint64_t path, int depth);

APART static void plain(uint64_t path, int depth) {
    descend(path, depth);
    kept = NULL;
}

APART static void with_alloca(uint64_t path, int depth) {
    volatile char *some = alloca(16 + (path & 255));
    use(some);
    descend(path, depth);
    use(some);
}

APART static void aligned_frame(uint64_t path, int depth) {
    _Alignas(64) volatile char some[64];
    use(some);
    descend(path, depth);
    use(some);
}

// Arguments on an aligned stack: the caller's frame is found through a pointer kept in this one.
APART static void aligned_arguments(uint64_t path, int depth, int a, int b, int c, int d,
                                    volatile int e, volatile int f) {
    _Alignas(64) volatile char some[64];
    use(some);
    descend(path, depth);
    e = a + b + c + d + f;
    use(&e);
}

APART static void large_frame(uint64_t path, int depth) {
    volatile char some[9000];
    use(some);
    descend(path, depth);
    use(some);
}

// Many values live across the call: all registers that a callee saves, the frame pointer too.
APART static uint64_t busy(uint64_t path, int depth) {
    uint64_t a = next_random(), b = next_random(), c = next_random(), d = next_random();
    uint64_t e = next_random(), f = next_random();
    descend(path, depth);
    uint64_t first = a ^ b * c;
    descend(path >> 7, depth);
    return first + d * e + f;
}

static void descend(uint64_t path, int depth) {
    if (depth == 0) {
        allocate();
        return;
    }
    switch (path & 7) {
    case 0:
        with_alloca(path >> 3, depth - 1);
        break;
    case 1:
        aligned_frame(path >> 3, depth - 1);
        break;
    case 2:
        large_frame(path >> 3, depth - 1);
        break;
    case 3:
        busy(path >> 3, depth > 4 ? 4 : depth - 1);
        break;
    case 5:
        aligned_arguments(path >> 3, depth - 1, 1, 2, 3, 4, 5, 6);
        break;
    case 4: // the same function from another place
        plain(path >> 3, depth - 1);
        kept = NULL;
        break;
    default:
        plain(path >> 3, depth - 1);
    }
    kept = NULL;
}

static int shapes(void) {
    for (long i = 0; i < number; i++)
        descend(next_random(), (int)(next_random() % 20));
    return 0;
}

// ---------------------------------------------------------------- callees at one place

// Takes the frame pointer away, so that callers differ in nothing but where it is saved.
APART static void without_bp(void) {
    __asm__ volatile("mov $1, %%ebp" ::: "rbp");
    allocate();
    __asm__ volatile("mov $2, %%ebp" ::: "rbp");
}

static bool takes_bp_away;

// Its callees stand at `until`, wherever it stands itself.
APART static void reach(uintptr_t until) {
    volatile char *some = alloca((uintptr_t)__builtin_frame_address(0) - until);
    use(some);
    if (takes_bp_away) // call after call from the same place, so that this frame is as it was
        without_bp();
    else
        allocate();
    use(some);
}

APART static void detour(uintptr_t until) {
    volatile char some[160];
    use(some);
    reach(until);
    use(some);
}

static int one_place(void) {
    uintptr_t until = ((uintptr_t)__builtin_frame_address(0) & ~(uintptr_t)15) - 8192;
    for (long i = 0; i < number; i++) {
        takes_bp_away = i < number / 2;
        void (*volatile call)(uintptr_t) = next_random() & 1 ? reach : detour;
        call(until); // so that the return address does not tell them apart
    }
    return 0;
}

// ---------------------------------------------------------------- other stacks

static void handler(int signal_number) {
    (void)signal_number;
    descend(0x1234567890abcdefu, 5);
}

static int handlers(void) // on the thread's stack and on one of their own
{
    stack_t other = {.ss_sp = malloc(1 << 16), .ss_size = 1 << 16};
    sigaltstack(&other, NULL);
    for (long i = 0; i < number; i++) {
        struct sigaction action = {.sa_handler = handler, .sa_flags = i % 2 ? SA_ONSTACK : 0};
        sigaction(SIGUSR1, &action, NULL);
        raise(SIGUSR1);
        descend(next_random(), 4);
    }
    return 0;
}

static ucontext_t main_context, fiber_context;

static void fiber(void) {
    for (;;) {
        descend(next_random(), 6);
        swapcontext(&fiber_context, &main_context);
    }
}

// A fiber's stack is unmapped and a shorter one made at its end, so that what the last walk read
// is gone.
static int fibers(void) {
    enum { BYTES = 1 << 18, PAGE = 4096 };
    static long i; // the compiler takes getcontext for a second return
    for (i = 0; i < number; i++) {
        size_t bytes = i % 2 ? BYTES : BYTES / 2;
        char *stack = mmap((void *)0x200000000000, bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        if (stack == MAP_FAILED)
            return 1;
        getcontext(&fiber_context);
        fiber_context.uc_stack.ss_sp = stack;
        fiber_context.uc_stack.ss_size = bytes;
        makecontext(&fiber_context, fiber, 0);
        for (int j = 0; j < 3; j++) {
            swapcontext(&main_context, &fiber_context);
            descend(next_random(), 6);
        }
        munmap(stack, bytes);
    }
    return 0;
}

static void *thread_main(void *unused) {
    descend(0x7777777777777777u, 6);
    for (int i = 0; i < 50; i++)
        descend((uint64_t)i * 0x9e3779b97f4a7c15u, 6);
    return unused;
}

static int threads(void) // with libc's stacks and with their own
{
    enum { BYTES = 1 << 17 };
    char *stack = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (long i = 0; i < number; i++) {
        pthread_attr_t attributes;
        pthread_t thread;
        pthread_attr_init(&attributes);
        if (i % 2)
            pthread_attr_setstack(&attributes, stack, BYTES);
        pthread_create(&thread, &attributes, thread_main, NULL);
        pthread_join(thread, NULL);
        pthread_attr_destroy(&attributes);
    }
    return 0;
}

// ---------------------------------------------------------------- made at run time

// void f(void (*call)(void)), with a frame pointer and without one (junk in its place).
static const unsigned char code_framed[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3};
static const unsigned char code_junk[] = {0x55, // push %rbp
                                          0x48, 0xbd, 0xf8, 0xff, 0xff,
                                          0xff, 0xff, 0x7f, 0x00, 0x00, // mov $0x7ffffffffff8, %rbp
                                          0xff, 0xd7,                   // call *%rdi
                                          0x5d, 0xc3};                  // pop %rbp; ret

static void six_kilobytes(void) {
    kept = malloc(6000);
    free(kept);
}

static void seven_kilobytes(void) {
    kept = malloc(7000);
    free(kept);
}

static void code_run(const void *code, size_t bytes, void (*call)(void)) {
    void *page =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void (*run)(void (*)(void));
    memcpy(page, code, bytes);
    memcpy(&run, &page, sizeof run);
    run(call);
    munmap(page, 4096);
}

// Above the stack there is a page that must not be read; the code's frame pointer leads there.
static void *below_a_wall(void *wall) {
    unsigned char code[sizeof code_junk];
    uintptr_t junk = (uintptr_t)wall + 64;
    memcpy(code, code_junk, sizeof code);
    memcpy(code + 3, &junk, sizeof junk);
    code_run(code, sizeof code, seven_kilobytes);
    return NULL;
}

static int generated(void) {
    enum { BYTES = 1 << 17, PAGE = 4096 };
    code_run(code_framed, sizeof code_framed, six_kilobytes);
    char *stack =
        mmap(NULL, BYTES + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_attr_t attributes;
    pthread_t thread;
    if (stack == MAP_FAILED || mprotect(stack + BYTES, PAGE, PROT_NONE) != 0)
        return 1;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack, BYTES);
    pthread_create(&thread, &attributes, below_a_wall, stack + BYTES);
    pthread_join(thread, NULL);
    return 0;
}

// ---------------------------------------------------------------- unloading

static atomic_bool done;

static void *allocate_all_the_time(void *unused) {
    while (!atomic_load(&done))
        descend(next_random(), 5);
    return unused;
}

static int unloading(void) // modules come and go while another thread's stacks are taken
{
    pthread_t thread;
    pthread_create(&thread, NULL, allocate_all_the_time, NULL);
    for (long i = 0; i < number; i++) {
        void *library = dlopen(argument, RTLD_NOW);
        void *address = library != NULL ? dlsym(library, "module_allocate") : NULL;
        if (address == NULL)
            return 1;
        void *(*call)(size_t);
        memcpy(&call, &address, sizeof call);
        free(call(50));
        dlclose(library);
    }
    atomic_store(&done, 1);
    pthread_join(thread, NULL);
    return 0;
}

int main(int count, char **arguments) {
    static const struct {
        const char *name;
        int (*run)(void);
    } modes[] = {
        {"shapes", shapes},       {"one-place", one_place}, {"handlers", handlers},
        {"fibers", fibers},       {"threads", threads},     {"generated", generated},
        {"unloading", unloading},
    };
    if (count < 3)
        return 2;
    number = strtol(arguments[2], NULL, 10);
    argument = count > 3 ? arguments[3] : "";
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(modes[i].name, arguments[1]) == 0)
            return modes[i].run();
    return 2;
}
