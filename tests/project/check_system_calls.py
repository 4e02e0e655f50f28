"""Only alloc/platform* and each tool's own OS files include OS headers or make system calls."""

import fnmatch
import re
import sys

import project_tree as tree

OS_HEADER = re.compile(
    r"^(sys/(?!types\.h).*|linux/.*|asm/.*|unistd\.h|pthread\.h|threads\.h|time\.h|sched\.h|"
    r"fcntl\.h|dlfcn\.h|poll\.h|ucontext\.h|spawn\.h|link\.h|semaphore\.h)$")

OS_CALLS = """
    mmap munmap mremap madvise mprotect brk sbrk futex syscall clock_gettime gettimeofday time
    nanosleep clock_nanosleep usleep sleep open openat creat close read write pread pwrite readv
    writev lseek fsync ftruncate rename unlink mkstemp memfd_create fork vfork clone execve execv
    execvp execvpe posix_spawn waitpid wait4 kill sigaction signal pthread_create pthread_join
    pthread_mutex_lock pthread_key_create sched_yield sched_setaffinity sched_getcpu getpid gettid
    getrusage socket bind connect accept sendmsg recvmsg poll epoll_wait ioctl prctl dlopen dlsym
    getrandom isatty sysconf
""".split()
CALL = re.compile(r"(?<![\w.>])(" + "|".join(OS_CALLS) + r")\s*\(")

# Who may talk to the OS: floor, pattern of names, why.
OS_FILES = {
    "alloc": {"alloc/platform*": "the allocator's only door"},
    "traces": {
        "traces/trace_file.c": "files: reading, whole writes, replacing",
        "traces/haktrace.c": "a closed pipe must be an error of writing, not a signal",
    },
    "world": {"world/world_os.[ch]": "memory of arenas and fibers, faults inside a fiber"},
    "replayer": {
        "replayer/*_os.[ch]": "signals, files, the wall clock",
        "replayer/player/touch_probe.c": "an allocator in somebody else's program, by itself",
    },
    "sim": {"sim/*_os.[ch]": "signals, files, the wall clock"},
    # A recorder is made of the OS. What a record means (drain_event.c), the address map and the
    # pool are not.
    "recorder": {
        "recorder/hakrec.c": "the launcher: processes, signals, outputs",
        "recorder/live_view.c": "the terminal: its size, its lines",
        "recorder/target.c": "reads the program's file before it runs",
        "recorder/drainer.[ch]": "sockets, sessions' threads, the end of processes",
        "recorder/drain_process.c": "the process's memory and faults",
        "recorder/drain_session.c": "the shared mapping, the doorbell, the process's death",
        "recorder/drain_merge.c": "wakes a program that waits for room; is a thread alive",
        "recorder/drain_clock.c": "calibrates the clock",
        "recorder/drain_spool.c": "the file that takes bursts",
        "recorder/drain_table.c": "large tables on huge pages",
        "recorder/ring.h": "types of the shared mapping",
        "recorder/stamp.h": "the clock without a usable counter",
        "recorder/libhakrec.h": "types of the functions that are wrapped",
        "recorder/intercept.c": "the entry points: the page size for pvalloc",
        "recorder/preload_*.c": "the recorded process's side: mapping, threads, real functions",
    },
}


def may_call(name):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in OS_FILES[tree.floor_of(name)])


def unused_patterns(root):
    """Patterns of OS_FILES that name nothing any more."""
    names = tree.c_files(root)
    return [pattern for patterns in OS_FILES.values() for pattern in patterns
            if not fnmatch.filter(names, pattern)]


def violations(root):
    found = []
    for name in tree.c_files(root):
        if tree.floor_of(name) not in OS_FILES or may_call(name):
            continue
        text = tree.text_of(root, name)
        for line, quote, path in tree.includes(text):
            if quote == "<" and OS_HEADER.match(path):
                found.append(f"{name}:{line}: includes the OS header <{path}>")
        for number, line in enumerate(tree.code_of(text).split("\n"), 1):
            for call in CALL.finditer(line):
                found.append(f"{name}:{number}: calls {call.group(1)}()")
    return found


if __name__ == "__main__":
    sys.exit(tree.report(violations(tree.root_from_arguments(__doc__)), "system calls"))
