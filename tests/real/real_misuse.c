// real_misuse.c: a program that gives free, realloc or malloc_usable_size what is no block ends by
// SIGABRT, after one line on stderr with the address and what is there. Each mistake is made by a
// child process.
//
// A write to a block of less than 1 KiB after its free is seen once its page gives it out again,
// if what was written leads out of the page.
//
// What may go unseen: a block that is freed again after other frees, and a pointer to another block
// of the same page. Both look like what is right.
#include "real_test.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

// What the child has found out; the parent checks its line against it.
static struct shared {
    void *address;
    int reached; // 1: it came to the mistake, 2: and went on after it
} * shared;

static void use(void (*function)(void *), void *pointer) {
    shared->address = pointer;
    shared->reached = 1;
    function(pointer);
    shared->reached = 2;
}

// ---------------------------------------------------------------- mistakes

static void call_free(void *pointer) {
    free(pointer);
}
static void *volatile moved;
static void call_realloc(void *pointer) {
    moved = realloc(pointer, 500);
}
static volatile size_t usable;
static void call_usable_size(void *pointer) {
    usable = malloc_usable_size(pointer);
}

static void *on_the_stack(size_t bytes) {
    static void *volatile place;
    char variable[64] = "";
    (void)bytes;
    place = variable + 16;
    return place;
}

static void *in_static_memory(size_t bytes) {
    static char variable[64];
    (void)bytes;
    return variable + 16;
}

static void *in_a_mapping(size_t bytes) {
    (void)bytes;
    return mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void *inside_a_block(size_t bytes) {
    char *block = malloc(bytes);
    return block + 16;
}

static void *at_an_odd_address(size_t bytes) {
    char *block = malloc(bytes);
    return block + 1;
}

static void *near_a_block_s_end(size_t bytes) {
    char *block = malloc(bytes);
    return block + bytes - 8;
}

// Far behind everything that was ever allocated, near nothing.
static void *where_nothing_was_yet(size_t bytes) {
    char *block = malloc(bytes);
    return block + ((size_t)1 << 34);
}

static void *a_freed_block(size_t bytes) {
    void *block = malloc(bytes);
    free(block);
    return block;
}

// As often as blocks were freed before, the thread's store of free blocks is full, empty or
// neither.
static void *the_last_of_many_freed(size_t bytes) {
    void *blocks[300];
    for (size_t i = 0; i < 300; i++)
        blocks[i] = malloc(bytes);
    for (size_t i = 0; i < 300; i++)
        free(blocks[i]);
    return blocks[299];
}

static void *of_another_thread[300];

static void *allocate_for_another(void *bytes) {
    for (size_t i = 0; i < 300; i++)
        of_another_thread[i] = malloc((size_t)bytes);
    return NULL;
}

static void *free_twice(void *argument) {
    free(of_another_thread[7]);
    use(call_free, of_another_thread[7]);
    return argument;
}

static void run_thread(void *(*body)(void *), size_t bytes) {
    pthread_t thread;
    pthread_create(&thread, NULL, body, (void *)bytes);
    pthread_join(thread, NULL);
}

// The thread that frees twice has never allocated.
static void twice_on_a_thread_that_only_frees(size_t bytes) {
    run_thread(allocate_for_another, bytes);
    run_thread(free_twice, bytes);
}

// As many as lie in pages again once they are freed, not only in what threads keep before pages.
static void writes_to_free_blocks(size_t bytes) {
    enum { MANY = 200000 };
    static unsigned char *blocks[MANY];
    for (size_t i = 0; i < MANY; i++)
        blocks[i] = malloc(bytes);
    for (size_t i = 0; i < MANY; i++)
        free(blocks[i]);
    for (size_t i = 0; i < MANY; i++)
        memset(blocks[i], 0x5a, bytes);
    for (size_t i = 0; i < MANY; i++)
        moved = malloc(bytes);
}

// ---------------------------------------------------------------- one child

static char line[1000];

static int run_child(void *(*find)(size_t), void (*mistake)(void *), void (*alone)(size_t),
                     size_t bytes) {
    int ends[2], status;
    memset(shared, 0, sizeof *shared);
    if (pipe(ends) != 0)
        exit(2);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        if (alone)
            alone(bytes);
        else
            use(mistake, find(bytes));
        _exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    for (ssize_t got; (got = read(ends[0], line + length, sizeof line - 1 - length)) > 0;)
        length += (size_t)got;
    line[length] = 0;
    close(ends[0]);
    waitpid(child, &status, 0);
    return status;
}

static bool names_a_state(void) {
    static const char *const states[] = {"outside of all pages", "no page in use", "a free page",
                                         "an active page",       "a partial page", "a full page",
                                         "a page of no thread",  "a large block"};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (strstr(line, states[i]))
            return true;
    return false;
}

static void check(const char *name, size_t bytes, int status) {
    char address[40];
    int failed_before = failures;
    snprintf(address, sizeof address, "(0x%llx)", (unsigned long long)(uintptr_t)shared->address);
    FACT(shared->reached == 1);
    FACT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    FACT(strncmp(line, "mf2: ", 5) == 0);
    FACT(strchr(line, '\n') && strchr(line, '\n')[1] == 0); // one line
    FACT(strstr(line, address));
    FACT(names_a_state());
    if (failures != failed_before)
        fprintf(stderr, "%s, %zu bytes, at %s: %s\n", name, bytes, address, line);
}

int main(void) {
    require_library();
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    static const size_t sizes[] = {24, 100, 1000, 3000, 9000, 40000, 300000, 5000000};
    static const struct {
        const char *name;
        void *(*find)(size_t);
        void (*mistake)(void *);
        void (*alone)(size_t);
    } mistakes[] = {
        {"free of the stack", on_the_stack, call_free, NULL},
        {"free of static memory", in_static_memory, call_free, NULL},
        {"free of a mapping", in_a_mapping, call_free, NULL},
        {"free inside a block", inside_a_block, call_free, NULL},
        {"free of an odd address", at_an_odd_address, call_free, NULL},
        {"free near a block's end", near_a_block_s_end, call_free, NULL},
        {"free where nothing was yet", where_nothing_was_yet, call_free, NULL},
        {"double free", a_freed_block, call_free, NULL},
        {"double free after many", the_last_of_many_freed, call_free, NULL},
        {"double free on a thread that only frees", NULL, NULL, twice_on_a_thread_that_only_frees},
        {"realloc of the stack", on_the_stack, call_realloc, NULL},
        {"realloc of static memory", in_static_memory, call_realloc, NULL},
        {"realloc inside a block", inside_a_block, call_realloc, NULL},
        {"realloc where nothing was yet", where_nothing_was_yet, call_realloc, NULL},
        {"malloc_usable_size of the stack", on_the_stack, call_usable_size, NULL},
        {"malloc_usable_size inside a block", inside_a_block, call_usable_size, NULL},
        {"malloc_usable_size where nothing was", where_nothing_was_yet, call_usable_size, NULL},
    };
    for (size_t m = 0; m < sizeof mistakes / sizeof mistakes[0]; m++)
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
            check(mistakes[m].name, sizes[s],
                  run_child(mistakes[m].find, mistakes[m].mistake, mistakes[m].alone, sizes[s]));
    for (size_t bytes = 24; bytes < 700; bytes *= 5) {
        int status = run_child(NULL, NULL, writes_to_free_blocks, bytes);
        FACT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
        FACT(strncmp(line, "mf2: write to a free block, ", 28) == 0);
        FACT(names_a_state());
    }
    return failures != 0;
}
