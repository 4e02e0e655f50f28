"""Only alloc/platform* and each tool's own OS files include OS headers or make system calls."""

import fnmatch
import re
import sys

import project_tree as tree

OS_HEADER = re.compile(
    r"^(sys/.*|linux/.*|asm/.*|unistd\.h|pthread\.h|threads\.h|time\.h|sched\.h|fcntl\.h|"
    r"signal\.h|dlfcn\.h|poll\.h|ucontext\.h|spawn\.h|link\.h|semaphore\.h)$")

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

# The platform's own files.
OS_FILES = {
    "alloc": ["alloc/platform*"],
    "traces": ["traces/trace_file.c"],
    "recorder": ["recorder/*_os.[ch]"],
    "world": ["world/*_os.[ch]"],
    "replayer": ["replayer/*_os.[ch]"],
    "sim": ["sim/*_os.[ch]"],
}
# Files beside them that may talk to the OS, each with the reason.
EXCEPTIONS = {}


def may_call(name):
    return name in EXCEPTIONS or any(
        fnmatch.fnmatchcase(name, pattern) for pattern in OS_FILES[tree.floor_of(name)])


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
