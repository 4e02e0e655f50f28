// preload_session.c: a process's way to the drainer, and its threads' rings.
//
// Owns: opening the session (at the first event, before main and before other libraries'
// constructors; again in a fork child), the gate, claiming rings, waiting for room.
// Does not own: what is recorded (intercept.c, preload_thread.c).
//
// The socket is closed again before the program's own code continues: everything afterwards goes
// through the mapping, so a program that closes every descriptor, changes its root or drops
// rights does no harm. Nothing here allocates; the fork child's path is system calls only.
#include "libhakrec.h"

#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

__thread struct rec_thread rec_thread __attribute__((tls_model("initial-exec")));

static volatile uint64_t gate_closed;
volatile uint64_t *rec_gate = &gate_closed;
struct ring_session *rec_session;

enum open_state {
    STATE_NEW,     // no event yet
    STATE_OPENING, // one thread is at it
    STATE_OPEN,    // recording; or a fork child that has not noticed, if the gate is closed
    STATE_OFF,     // not recording, for good
};
static _Atomic int open_state = STATE_NEW;
static char socket_name[sizeof(((struct sockaddr_un *)0)->sun_path)];
static uint32_t ring_count; // how many fit the address space that we were given
static pid_t session_pid;
static uint32_t session_number;
static struct rec_scratch *scratches[RING_COUNT_MAX]; // by ring; made when first needed

// ---------------------------------------------------------------- reaching the drainer

static int drainer_connect(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(socket_name);
    memcpy(address.sun_path + 1, socket_name, length); // abstract: no file, survives a chroot
    int connection = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (connection < 0)
        return -1;
    struct timeval patience = {.tv_sec = 20};
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
    if (connect(connection, (struct sockaddr *)&address, size) == 0)
        return connection;
    close(connection);
    return -1;
}

static int memory_receive(int connection) {
    char answer;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {&answer, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    ssize_t got;
    do {
        got = recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    struct cmsghdr *header = got == 1 ? CMSG_FIRSTHDR(&message) : NULL;
    if (header == NULL || header->cmsg_type != SCM_RIGHTS)
        return -1;
    int memory;
    memcpy(&memory, CMSG_DATA(header), sizeof memory);
    return memory;
}

static int memory_request(uint32_t kind) {
    int connection = drainer_connect();
    if (connection < 0)
        return -1;
    struct ring_hello hello = {.magic = RING_MAGIC,
                               .version = RING_VERSION,
                               .kind = kind,
                               .pid = getpid(),
                               .parent_pid = getppid()};
    int memory = -1;
    if (send(connection, &hello, sizeof hello, MSG_NOSIGNAL) == (ssize_t)sizeof hello)
        memory = memory_receive(connection);
    close(connection);
    return memory;
}

// Maps the session, over the parent's in a fork child. Where address space is limited, fewer
// rings have to do: they stand at the end of the mapping.
static bool memory_map(int memory) {
    struct ring_session header;
    if (pread(memory, &header, sizeof header, 0) != (ssize_t)sizeof header ||
        header.magic != RING_MAGIC || header.version != RING_VERSION)
        return false;
    int flags = MAP_SHARED | MAP_NORESERVE | (rec_session != NULL ? MAP_FIXED : 0);
    for (uint32_t rings = header.ring_count; rings > 0; rings /= 2) {
        uint64_t bytes =
            header.records_offset + ring_records_before(rings) * sizeof(struct ring_record);
        void *mapping = mmap(rec_session, bytes, PROT_READ | PROT_WRITE, flags, memory, 0);
        if (mapping == MAP_FAILED)
            continue;
        rec_session = mapping;
        ring_count = rings;
        return true;
    }
    return false;
}

static bool session_reach(uint32_t kind) {
    int memory = memory_request(kind);
    if (memory < 0)
        return false;
    bool mapped = memory_map(memory);
    close(memory);
    return mapped;
}

// ---------------------------------------------------------------- opening

static bool gate_make(void) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return false;
    if (madvise(page, 4096, MADV_WIPEONFORK) != 0) {
        munmap(page, 4096);
        return false;
    }
    rec_gate = page;
    return true;
}

void rec_own_begin(void) {
    rec_thread.depth = rec_thread.depth + 1;
    rec_thread.level[rec_thread.depth - 1].phase = REC_PHASE_OWN;
}

void rec_own_end(void) {
    rec_end();
}

static bool open_first(void) {
    const char *name = getenv(RING_SOCKET_VARIABLE);
    if (name == NULL || strlen(name) + 1 > sizeof socket_name - 1)
        return false;
    strcpy(socket_name, name);
    if (!gate_make() || !session_reach(RING_HELLO_IMAGE))
        return false;
    rec_thread_open();
    rec_walk_thread_open(getpid() == (pid_t)syscall(SYS_gettid));
    rec_module_refresh();
    return true;
}

// Of the parent's threads only this one exists here; its rings were the parent's.
static bool open_child(void) {
    memset(rec_thread.level, 0, sizeof rec_thread.level);
    rec_thread.id_plus_one = 0;
    rec_thread.tid = 0;
    rec_thread.lost = 0;
    rec_own_begin();
    rec_module_reset_child();
    if (!session_reach(RING_HELLO_FORK))
        return false;
    session_number++;
    rec_module_publish();
    rec_stack_open_child();
    return true;
}

static bool open_as(int state) {
    rec_own_begin();
    if (rec_real.malloc == NULL)
        rec_real_resolve();
    bool opened = state == STATE_OPEN ? open_child() : open_first();
    if (opened) {
        session_pid = getpid();
        rec_thread.id_plus_one = 1 + atomic_fetch_add(&rec_session->thread_next, 1);
        *rec_gate = 1;
    }
    rec_thread.depth = 0;
    atomic_store(&open_state, opened ? STATE_OPEN : STATE_OFF);
    return opened;
}

// At depth 0 with the gate closed.
static bool session_open(void) {
    int state = atomic_load(&open_state);
    if (state == STATE_OFF)
        return false;
    if (state != STATE_OPENING &&
        atomic_compare_exchange_strong(&open_state, &state, STATE_OPENING)) {
        int saved_errno = errno;
        bool opened = open_as(state);
        errno = saved_errno;
        return opened;
    }
    while (atomic_load(&open_state) == STATE_OPENING)
        sched_yield();
    return *rec_gate != 0;
}

bool rec_begin_slow(const void *caller) {
    if (rec_thread.depth == 0)
        return session_open();
    if (*rec_gate == 0)
        return false;
    if (rec_real_is_inside(caller, rec_thread.level[rec_thread.depth - 1].phase)) {
        atomic_fetch_add_explicit(&rec_session->guarded, 1, memory_order_relaxed);
        return false;
    }
    if (rec_thread.depth < RING_LEVELS)
        return true;
    rec_thread.lost++;
    return false;
}

uint32_t rec_session_number(void) {
    return session_number;
}

// ---------------------------------------------------------------- rings

static void ring_high_raise(uint32_t count) {
    uint32_t high = atomic_load_explicit(&rec_session->ring_high, memory_order_relaxed);
    while (high < count && !atomic_compare_exchange_weak(&rec_session->ring_high, &high, count))
        ;
}

static struct ring_control *controls(void) {
    return (struct ring_control *)((char *)rec_session + rec_session->controls_offset);
}

static struct ring_control *ring_claim(void) {
    for (uint32_t i = 0; i < ring_count; i++) {
        struct ring_control *ring = &controls()[i];
        uint32_t free_state = RING_FREE;
        // Acquire pairs with the drainer's release of the ring: head and tail are its last words.
        if (atomic_load_explicit(&ring->state, memory_order_relaxed) == RING_FREE &&
            atomic_compare_exchange_strong_explicit(&ring->state, &free_state, RING_CLAIMED,
                                                    memory_order_acquire, memory_order_relaxed)) {
            ring_high_raise(i + 1);
            return ring;
        }
    }
    return NULL;
}

// A ring's scratch serves its later owners too. In a fork child the numbers in its caches are of
// the parent's tables.
static struct rec_scratch *scratch_of(uint32_t index) {
    struct rec_scratch *scratch = scratches[index];
    if (rec_session->stacks == RING_STACKS_NONE)
        return NULL;
    if (scratch == NULL) {
        scratch =
            mmap(NULL, sizeof *scratch, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (scratch == MAP_FAILED)
            return NULL;
        scratch->check_in = rec_session->stack_check_interval;
        scratches[index] = scratch;
    }
    if (scratch->session != session_number + 1)
        rec_walk_forget(scratch, rec_module_epoch(), false);
    scratch->session = session_number + 1;
    scratch->trail_keeps = false;
    return scratch;
}

bool rec_scratch_unwinding(void) {
    for (uint32_t i = 0; i < ring_count; i++)
        if (scratches[i] != NULL && scratches[i]->unwinding != 0)
            return true;
    return false;
}

uint32_t rec_thread_id(void) {
    if (rec_thread.id_plus_one == 0)
        rec_thread.id_plus_one =
            1 + atomic_fetch_add_explicit(&rec_session->thread_next, 1, memory_order_relaxed);
    return rec_thread.id_plus_one - 1;
}

// Gives this level of this thread a ring. *is_new_thread: nobody has announced the thread.
static bool ring_attach(struct rec_level *level, bool *is_new_thread) {
    struct ring_control *ring = ring_claim();
    if (ring == NULL)
        return false;
    *is_new_thread = rec_thread.id_plus_one == 0;
    ring->thread = rec_thread_id();
    if (rec_thread.tid == 0)
        rec_thread.tid = (uint32_t)syscall(SYS_gettid);
    ring->tid = rec_thread.tid;
    ring->level = (uint32_t)(level - rec_thread.level);
    size_t index = (size_t)(ring - controls());
    level->records = (struct ring_record *)((char *)rec_session + rec_session->records_offset) +
                     ring_records_before((uint32_t)index);
    level->capacity = (uint32_t)ring_records((uint32_t)index);
    level->head = level->limit = atomic_load_explicit(&ring->head, memory_order_relaxed);
    level->scratch = scratch_of((uint32_t)index);
    level->ring = ring;
    atomic_store_explicit(&ring->state, RING_LIVE, memory_order_release);
    return true;
}

void rec_thread_retire(void) {
    for (unsigned i = 0; i < RING_LEVELS; i++)
        if (rec_thread.level[i].ring != NULL)
            atomic_store_explicit(&rec_thread.level[i].ring->state, RING_EXITING,
                                  memory_order_release);
}

static long futex(_Atomic uint32_t *word, int operation, uint32_t value,
                  const struct timespec *timeout) {
    return syscall(SYS_futex, word, operation, value, timeout, NULL, 0);
}

static void doorbell_ring(void) {
    atomic_fetch_add(&rec_session->doorbell, 1);
    futex(&rec_session->doorbell, FUTEX_WAKE, 1, NULL);
}

// The mutex's first word holds the id of its owner; the kernel adds a bit when that owner dies.
static bool drainer_lives(void) {
    uint32_t word = __atomic_load_n((uint32_t *)&rec_session->drainer_alive, __ATOMIC_ACQUIRE);
    return (word & FUTEX_TID_MASK) != 0 && (word & FUTEX_OWNER_DIED) == 0;
}

static void recording_stop(void) {
    atomic_store(&open_state, STATE_OFF);
    *rec_gate = 0;
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// Room for the event and what rec_level_room itself may add before it.
enum { ROOM_MIN = 4 };

// One wait of at most 10 ms for the drainer to make room for so many. False: it is dead.
static bool room_wait(struct rec_level *level, uint32_t records) {
    struct ring_control *ring = level->ring;
    uint64_t begin_ns = now_ns();
    if (!drainer_lives())
        return false;
    if (rec_is_sandboxed()) {
        while (level->head - atomic_load(&ring->tail) > level->capacity - records &&
               drainer_lives())
            __builtin_ia32_pause();
        atomic_fetch_add_explicit(&ring->stalled_ns, now_ns() - begin_ns, memory_order_relaxed);
        return true;
    }
    doorbell_ring();
    uint32_t wake = atomic_load(&ring->wake);
    atomic_store(&ring->waiting, 1);
    struct timespec patience = {.tv_nsec = 10 * 1000 * 1000};
    if (level->head - atomic_load(&ring->tail) > level->capacity - records)
        futex(&ring->wake, FUTEX_WAIT, wake, &patience);
    atomic_fetch_add_explicit(&ring->stalled_ns, now_ns() - begin_ns, memory_order_relaxed);
    return true;
}

static bool room_make(struct rec_level *level, uint32_t records) {
    uint64_t used;
    // Acquire pairs with the drainer's release of tail: the slots below it have been copied out.
    while ((used = level->head - atomic_load_explicit(&level->ring->tail, memory_order_acquire)) >
           level->capacity - records) {
        if (!room_wait(level, records)) {
            recording_stop();
            return false;
        }
    }
    uint64_t room = level->capacity - used;
    // Asking again half-way gives a sleeping drainer half a ring of time to get up.
    if (room < level->capacity / 2 && !rec_is_sandboxed())
        doorbell_ring();
    level->limit = level->head + (room > level->capacity / 2 ? level->capacity / 2 : room);
    return true;
}

bool rec_level_reserve(struct rec_level *level, uint32_t records) {
    if (level->limit - level->head >= records)
        return true;
    int saved_errno = errno;
    bool ready = room_make(level, records);
    errno = saved_errno;
    return ready;
}

bool rec_level_room(struct rec_level *level) {
    int saved_errno = errno;
    bool is_new_thread = false;
    bool ready = level->ring != NULL || ring_attach(level, &is_new_thread);
    if (!ready)
        atomic_fetch_add_explicit(&rec_session->lost_without_ring, 1, memory_order_relaxed);
    ready = ready && room_make(level, ROOM_MIN);
    if (ready && is_new_thread) {
        rec_publish(level, TRACE_THREAD_START, 0, 0, 0, 0, 0);
        rec_thread_watch_exit();
    }
    if (ready && rec_thread.lost != 0) {
        rec_publish(level, TRACE_LOST, 0, 0, rec_thread.lost, 0, 0);
        rec_thread.lost = 0;
    }
    errno = saved_errno;
    return ready;
}

void rec_event(uint8_t op, uint64_t address, uint64_t size) {
    if (!rec_begin(NULL))
        return;
    struct rec_level *level = rec_level_now();
    level->phase = REC_PHASE_RECORD;
    if (rec_level_has_room(level))
        rec_publish(level, op, 0, address, size, 0, 0);
    rec_end();
}

// ---------------------------------------------------------------- start and end of the process

static void exit_status_note(int status) {
    // A vfork child shares this memory, but it is not this process that ends.
    if (*rec_gate == 0 || (!rec_is_sandboxed() && getpid() != session_pid))
        return;
    atomic_store(&rec_session->exit_status, (uint32_t)status & 0xff);
    atomic_store(&rec_session->has_exit_status, 1);
}

static void at_exit(int status, void *context) {
    (void)context;
    exit_status_note(status);
}

REC_EXPORT void _exit(int status) {
    exit_status_note(status);
    if (rec_real._exit != NULL)
        rec_real._exit(status);
    for (;;)
        syscall(SYS_exit_group, status);
}

REC_EXPORT void _Exit(int status) __attribute__((alias("_exit")));

static void own_allocator_report(void) {
    const char *module;
    uint32_t own = rec_real_own_allocator(&module);
    if (own == RING_OWN_NOTHING)
        return;
    strncpy(rec_session->own_allocator_module, module,
            sizeof rec_session->own_allocator_module - 1);
    atomic_store(&rec_session->own_allocator, own);
}

// The first thread's ring is claimed before a sandbox may forbid what that takes.
static void ring_prepare(void) {
    if (!rec_begin(NULL))
        return;
    struct rec_level *level = rec_level_now();
    level->phase = REC_PHASE_RECORD;
    (void)rec_level_has_room(level);
    rec_end();
}

__attribute__((constructor)) static void start(void) {
    if (*rec_gate == 0 && !session_open())
        return;
    int saved_errno = errno;
    ring_prepare();
    rec_own_begin();
    own_allocator_report();
    on_exit(at_exit, NULL);
    rec_own_end();
    rec_stack_open();
    errno = saved_errno;
}
