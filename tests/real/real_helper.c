// real_helper.c: the helper thread comes when there is memory to give back, gives it back, sleeps
// without cost, and is in nobody's way: not in that of signals, fork, vfork, the C library's idea
// of a program with one thread, or a program that ends with its last thread.
//
//   real_helper          MF2 with its helper
//   real_helper absent   MF2 without: run with MF2_HELPER=0
#include "real_test.h"

#include <dirent.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define SMALL_BLOCKS 30000
#define LARGE_BLOCKS 100

static void *blocks[SMALL_BLOCKS + LARGE_BLOCKS];

// About 100 MB in small blocks and 100 MB in large ones, all of it touched.
static void take_much(void) {
    for (size_t i = 0; i < SMALL_BLOCKS + LARGE_BLOCKS; i++) {
        size_t bytes = i < SMALL_BLOCKS ? 100 + i % 64 * 100 : (1 << 20) + i;
        blocks[i] = malloc(bytes);
        fill(blocks[i], bytes, (unsigned)i);
    }
}

static void give_all(void) {
    for (size_t i = 0; i < SMALL_BLOCKS + LARGE_BLOCKS; i++)
        free(blocks[i]);
}

// ---------------------------------------------------------------- looking at threads

// Text of a file of the thread; empty if it is gone.
static const char *read_task(pid_t thread, const char *name) {
    static char text[4096];
    char path[80];
    snprintf(path, sizeof path, "/proc/self/task/%d/%s", (int)thread, name);
    FILE *file = fopen(path, "r");
    size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    text[length] = 0;
    return text;
}

static pid_t find_helper(void) {
    pid_t found = 0;
    DIR *folder = opendir("/proc/self/task");
    for (struct dirent *entry; (entry = readdir(folder));) {
        pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);
        if (thread && strcmp(read_task(thread, "comm"), "mf2-helper\n") == 0)
            found = thread;
    }
    closedir(folder);
    return found;
}

// It has a name once it runs.
static pid_t wait_for_helper(void) {
    pid_t helper;
    while (!(helper = find_helper()))
        usleep(1000);
    return helper;
}

static uint64_t field(pid_t thread, const char *name, int base) {
    const char *found = strstr(read_task(thread, "status"), name);
    return found ? strtoull(found + strlen(name), NULL, base) : 0;
}

static uint64_t switches(pid_t thread) {
    return field(thread, "\nvoluntary_ctxt_switches:", 10) +
           field(thread, "nonvoluntary_ctxt_switches:", 10);
}

// ---------------------------------------------------------------- facts

static void wait_for_rss_below(size_t kib) {
    while (status_kib("VmRSS:") > kib)
        usleep(10000);
}

static void it_comes_and_purges(void) {
    FACT(!find_helper());
    take_much();
    FACT(!find_helper()); // nothing is free yet
    FACT(status_kib("VmRSS:") > 150000);
    give_all(); // and no malloc afterwards
    pid_t helper = wait_for_helper();
    wait_for_rss_below(40000);
    FACT(find_helper() == helper);
}

static void it_heeds_no_signal(void) {
    // All but SIGKILL and SIGSTOP.
    FACT(field(find_helper(), "SigBlk:", 16) == 0xfffffffffffbfeffu);
}

static void it_may_do_little(void) {
    if (prctl(PR_GET_SECCOMP) < 0)
        return; // the kernel has none
    FACT(field(find_helper(), "Seccomp:", 10) == 2);
    FACT(prctl(PR_GET_SECCOMP) == 0);
    FACT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
}

// Between two looks a second apart it has not run, once what it had to do is done.
static void it_sleeps(void) {
    pid_t helper = find_helper();
    uint64_t before, after;
    do {
        before = switches(helper);
        sleep(1);
        after = switches(helper);
    } while (after != before);
    FACT(before > 0);
}

static void the_program_has_one_thread(void) {
    FACT(__libc_single_threaded);
}

static void run_child(void (*body)(void)) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        body();
        _exit(failures != 0);
    }
    int status;
    FACT(waitpid(child, &status, 0) == child);
    FACT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void a_child_has_its_own(void) {
    FACT(!find_helper());
    take_much();
    give_all();
    wait_for_helper();
    wait_for_rss_below(40000);
}

static void *end_last(void *argument) {
    (void)argument;
    usleep(50000); // after main has ended
    take_much();
    give_all();
    wait_for_helper();
    return NULL;
}

// The process ends with status 0 when its last thread has called pthread_exit.
static void the_last_thread_ends_the_process(void) {
    pthread_t thread;
    FACT(pthread_create(&thread, NULL, end_last, NULL) == 0);
    pthread_detach(thread);
    pthread_exit(NULL);
}

// What the child of vfork frees is the parent's memory; a helper of the child would not live long.
static void vfork_leaves_it_to_the_parent(void) {
    take_much();
    pid_t child = vfork();
    if (child == 0) {
        for (size_t i = SMALL_BLOCKS; i < SMALL_BLOCKS + LARGE_BLOCKS; i++) {
            free(blocks[i]);
            blocks[i] = NULL;
        }
        _exit(0);
    }
    int status;
    FACT(waitpid(child, &status, 0) == child);
    FACT(!find_helper());
    give_all();
    wait_for_helper();
    wait_for_rss_below(40000);
}

// No thread can be started: clone says EAGAIN.
static void forbid_clone(void) {
    static struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void free_purges_by_itself(void) {
    take_much();
    errno = 4711;
    give_all();
    FACT(errno == 4711);
    FACT(!find_helper());
    FACT(status_kib("VmRSS:") < 60000);
    take_much();
    give_all();
    FACT(status_kib("VmRSS:") < 60000);
}

static void it_cannot_be_started(void) {
    forbid_clone();
    if (prctl(PR_GET_SECCOMP) == 2)
        free_purges_by_itself();
}

int main(int argc, char **argv) {
    require_library();
    if (argc == 2 && strcmp(argv[1], "absent") == 0) {
        free_purges_by_itself();
        return failures != 0;
    }
    run_child(vfork_leaves_it_to_the_parent);
    run_child(it_cannot_be_started);
    it_comes_and_purges();
    it_heeds_no_signal();
    it_may_do_little();
    it_sleeps();
    the_program_has_one_thread();
    run_child(a_child_has_its_own);
    run_child(the_last_thread_ends_the_process);
    return failures != 0;
}
