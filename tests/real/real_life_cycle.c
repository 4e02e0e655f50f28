// real_life_cycle.c: a program allocates before main and before every constructor, in exit handlers
// and destructors, and while signals interrupt it.
//
//   real_life_cycle exit|quick_exit
#include "real_test.h"

#include <signal.h>
#include <sys/time.h>

static void *of_early, *of_constructor;

// Before every constructor, of libraries as well.
static void early(void) {
    of_early = malloc(500);
    fill(of_early, 500, 1);
}
__attribute__((section(".preinit_array"), used)) static void (*early_entry)(void) = early;

__attribute__((constructor)) static void construct(void) {
    of_constructor = realloc(calloc(10, 10), 5000);
    fill(of_constructor, 5000, 2);
}

static void at_the_end(void) {
    free(of_constructor);
    char *late = malloc(40000);
    fill(late, 40000, 5);
    FACT(is_filled(late, 40000, 5));
    free(late);
    if (failures)
        _exit(1);
}

__attribute__((destructor)) static void destruct(void) {
    free(of_early);
    free(malloc(100));
}

static volatile sig_atomic_t ticks;
static void tick(int signal) {
    (void)signal;
    ticks = ticks + 1; // allocates nothing
}

static void signals_in_the_middle(void) {
    struct sigaction action = {.sa_handler = tick};
    struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    void *blocks[64] = {0};
    for (unsigned i = 0; ticks < 200; i++) {
        free(blocks[i % 64]);
        blocks[i % 64] = malloc(i % 257 * (i % 13 ? 10 : 700));
    }
    setitimer(ITIMER_REAL, &never, NULL);
    for (int i = 0; i < 64; i++)
        free(blocks[i]);
}

int main(int argc, char **argv) {
    require_library();
    FACT(is_filled(of_early, 500, 1) && is_filled(of_constructor, 5000, 2));
    signals_in_the_middle();
    bool quick = argc == 2 && strcmp(argv[1], "quick_exit") == 0;
    if (quick) {
        at_quick_exit(at_the_end);
        quick_exit(failures != 0);
    }
    atexit(at_the_end);
    return failures != 0;
}
