// sim_host.c: see sim_host.h.
//
// Owns: what a made-up program's calls cost beside MF2's points, and which calls are operations in
// the sense of program.h. Does not know: which workload runs.
//
// The two bytes that a program writes into a block are charged, but not written: nobody reads
// them, and real memory would be needed for every block's page.
#include "sim_host.h"

#include "mf2.h"
#include "state.h"

#include <stdlib.h>

// As sim_world_options: a thread that frees after its end takes a slot anew.
#define PROGRESS_STEPS   4096
#define SLOTS_PER_THREAD 2

// As the C library's on a futex: a unit belongs to who comes for it first; who was woken and finds
// none sleeps again, behind the others.
struct semaphore {
    uint64_t units;
    uint64_t waiting;     // asleep, or woken and not yet back
    uint32_t first, last; // threads that sleep, by number; WORLD_NO_FIBER: none
};

struct thread {
    struct sim_host *host;
    workload_body *body;
    void *argument;
    uint32_t number;
    uint32_t next_waiting;
    bool woken;
};

struct sim_host {
    struct workload_host interface;
    struct sim_host_options options;
    struct world *world;   // the options'
    struct sim_time *time; // likewise
    struct program_result *meter;
    struct thread *threads;
    uint32_t thread_count;
    uint64_t objects;
    uint64_t frees_to_descheduled;
    uint32_t *thread_of_slot; // by MF2's slot; of those who have allocated
    bool out_of_memory;       // the meter's
    struct semaphore *semaphores;
};

static uint32_t thread_number(void *self) {
    return world_fiber(((struct sim_host *)self)->world);
}

// ---------------------------------------------------------------- operations

// The program has done its own work. Its time passes before the point, so that the operation
// takes effect after it.
static struct program_done begin_operation(struct sim_host *host, enum program_op op) {
    uint32_t thread = thread_number(host);
    sim_time_spend(host->time, thread, host->options.pace_ps + host->options.costs->operation_ps);
    world_operation_point(host->world);
    return (struct program_done){
        .step = program_meter_step(host->meter), .thread = thread, .op = (uint8_t)op};
}

static void end_operation(struct sim_host *host, const struct program_done *done) {
    if (host->options.on_progress && done->step % PROGRESS_STEPS == 0)
        host->options.on_progress(host->options.on_progress_self, done->step);
    if (!program_meter_operation(host->meter, done))
        host->out_of_memory = true;
}

// Told to stop, a host has no more memory to give, and the workload comes to its end.
static bool is_stopped(const struct sim_host *host) {
    return host->out_of_memory || (host->options.stop && *host->options.stop);
}

static void note_slot(struct sim_host *host, uint32_t thread) {
    uint32_t slot = mf2_own()->slot;
    if (slot != MF2_SLOT_NONE && slot <= SLOTS_PER_THREAD * host->options.threads + 1)
        host->thread_of_slot[slot] = thread;
}

// What makes an owner's absence felt: frees come in while it is ready to run and cannot.
static void note_owner(struct sim_host *host, const struct workload_block *block, uint32_t thread) {
    struct mf2_state *state = world_mf2(host->world);
    uint64_t page = world_offset(host->world, block->address) >> state->page_shift;
    uint32_t class_plus_one = state->page_class[page];
    if (class_plus_one == 0)
        return; // large blocks have no home
    uint32_t span_shift = state->geometry->span_shift[class_plus_one - 1];
    uint32_t home = (uint32_t)MF2_LOOK(&state->pages[page >> span_shift << span_shift].home);
    if (home == 0 || home > SLOTS_PER_THREAD * host->options.threads + 1)
        return;
    uint32_t owner = host->thread_of_slot[home];
    host->frees_to_descheduled += owner != thread && sim_time_is_descheduled(host->time, owner);
}

static bool allocate(void *self, size_t bytes, struct workload_block *block) {
    struct sim_host *host = self;
    if (is_stopped(host)) {
        *block = (struct workload_block){0};
        return false;
    }
    struct program_done done = begin_operation(host, PROGRAM_MALLOC);
    *block = (struct workload_block){
        .object = host->objects++, .bytes = (uint32_t)bytes, .thread = done.thread};
    block->address = mf2_malloc(bytes);
    done.object = block->object;
    done.size = bytes;
    done.made = block->address != NULL;
    done.result = done.made ? world_offset(host->world, block->address) : WORLD_NO_OFFSET;
    note_slot(host, done.thread);
    end_operation(host, &done);
    return done.made;
}

static void release(void *self, struct workload_block *block) {
    struct sim_host *host = self;
    struct program_done done = begin_operation(host, PROGRAM_FREE);
    done.object = block->object;
    done.released = true;
    done.released_size = block->bytes;
    done.result = world_offset(host->world, block->address);
    note_owner(host, block, done.thread);
    mf2_free(block->address);
    block->address = NULL;
    end_operation(host, &done);
}

static void touch(void *self, struct workload_block *block) {
    struct sim_host *host = self;
    sim_time_touch(host->time, thread_number(host), world_offset(host->world, block->address));
}

// ---------------------------------------------------------------- threads

static void thread_main(void *argument) {
    struct thread *thread = argument;
    struct sim_host *host = thread->host;
    struct program_done start = begin_operation(host, PROGRAM_START);
    end_operation(host, &start);
    thread->body(thread->argument);
    sim_time_spend(host->time, thread->number, host->options.costs->thread_exit_ps);
    struct program_done exit = begin_operation(host, PROGRAM_EXIT);
    if (!program_meter_exit(host->meter, thread->number))
        host->out_of_memory = true;
    mf2_thread_exit();
    end_operation(host, &exit);
}

// The first thread's end is the program's: it gives nothing back, as main does not.
static void first_main(void *argument) {
    struct thread *thread = argument;
    thread->body(thread->argument);
}

static bool add_thread(struct sim_host *host, world_body *entry, workload_body *body,
                       void *argument) {
    if (host->thread_count == host->options.threads)
        return false;
    struct thread *thread = &host->threads[host->thread_count];
    *thread = (struct thread){
        .host = host, .body = body, .argument = argument, .number = host->thread_count};
    if (world_spawn(host->world, entry, thread) != thread->number)
        return false;
    host->thread_count++;
    return true;
}

static bool spawn(void *self, workload_body *body, void *argument) {
    struct sim_host *host = self;
    struct program_done done = begin_operation(host, PROGRAM_CREATE);
    // The call as it is where the new thread's core is idle, with the wake that there is.
    const struct sim_costs *costs = host->options.costs;
    uint64_t wake_ps = sim_time_wake_ps(host->time, host->thread_count);
    bool added = add_thread(host, thread_main, body, argument);
    uint64_t call_ps = costs->thread_create_call_ps + wake_ps;
    sim_time_spend(host->time, done.thread,
                   call_ps > costs->futex_wake_ps ? call_ps - costs->futex_wake_ps : 0);
    end_operation(host, &done);
    return added;
}

// ---------------------------------------------------------------- semaphores

static void set(void *self, uint32_t semaphore, uint64_t units) {
    struct sim_host *host = self;
    host->semaphores[semaphore] = (struct semaphore){units, 0, WORLD_NO_FIBER, WORLD_NO_FIBER};
}

static void sleep_on(struct sim_host *host, struct semaphore *semaphore, struct thread *thread) {
    thread->woken = false;
    thread->next_waiting = WORLD_NO_FIBER;
    if (semaphore->last == WORLD_NO_FIBER)
        semaphore->first = thread->number;
    else
        host->threads[semaphore->last].next_waiting = thread->number;
    semaphore->last = thread->number;
    sim_time_spend(host->time, thread->number, host->options.costs->futex_wait_ps);
    while (!thread->woken)
        world_park(host->world);
    world_operation_point(host->world);
}

// The points make both happen in the order of virtual time.
static void wait(void *self, uint32_t number) {
    struct sim_host *host = self;
    struct semaphore *semaphore = &host->semaphores[number];
    struct thread *thread = &host->threads[thread_number(host)];
    world_operation_point(host->world);
    if (semaphore->units == 0) {
        semaphore->waiting++;
        while (semaphore->units == 0)
            sleep_on(host, semaphore, thread);
        semaphore->waiting--;
    }
    semaphore->units--;
}

static void wake_first(struct sim_host *host, struct semaphore *semaphore) {
    struct thread *thread = &host->threads[semaphore->first];
    semaphore->first = thread->next_waiting;
    if (semaphore->first == WORLD_NO_FIBER)
        semaphore->last = WORLD_NO_FIBER;
    thread->woken = true;
    sim_time_spend(host->time, thread_number(host), sim_time_wake_ps(host->time, thread->number));
    world_unpark(host->world, thread->number);
}

// Who has waited longest is woken. The call is made for those who are on their way, too.
static void post(void *self, uint32_t number) {
    struct sim_host *host = self;
    struct semaphore *semaphore = &host->semaphores[number];
    world_operation_point(host->world);
    semaphore->units++;
    if (semaphore->first != WORLD_NO_FIBER)
        wake_first(host, semaphore);
    else if (semaphore->waiting)
        sim_time_spend(host->time, thread_number(host), host->options.costs->futex_wait_ps);
}

// ---------------------------------------------------------------- the program's own work

static void think(void *self) {
    struct sim_host *host = self;
    if (host->options.pace_ps == 0)
        sim_time_spend(host->time, thread_number(host), host->options.costs->program_ps);
}

static void receive(void *self, uint32_t from, size_t bytes) {
    struct sim_host *host = self;
    if (!sim_time_is_elsewhere(host->time, from))
        return;
    uint64_t lines = (bytes + SIM_LINE_BYTES - 1) / SIM_LINE_BYTES;
    sim_time_spend(host->time, thread_number(host), lines * host->options.costs->line_stream_ps);
}

// ---------------------------------------------------------------- life

struct sim_host *sim_host_new(const struct sim_host_options *options) {
    struct sim_host *host = calloc(1, sizeof *host);
    if (!host)
        return NULL;
    *host = (struct sim_host){
        .interface = {.self = host,
                      .allocate = allocate,
                      .release = release,
                      .write = touch,
                      .spawn = spawn,
                      .thread = thread_number,
                      .set = set,
                      .wait = wait,
                      .post = post,
                      .think = think,
                      .receive = receive},
        .options = *options,
        .world = options->world,
        .time = options->time,
        .threads = calloc(options->threads, sizeof *host->threads),
        .thread_of_slot =
            calloc(SLOTS_PER_THREAD * options->threads + 2, sizeof *host->thread_of_slot),
        .semaphores = calloc(options->semaphores, sizeof *host->semaphores),
    };
    if (host->threads && host->semaphores && host->thread_of_slot)
        return host;
    sim_host_free(host);
    return NULL;
}

void sim_host_free(struct sim_host *host) {
    if (!host)
        return;
    free(host->threads);
    free(host->thread_of_slot);
    free(host->semaphores);
    free(host);
}

bool sim_host_out_of_memory(const struct sim_host *host) {
    return host->out_of_memory;
}

uint64_t sim_host_frees_to_descheduled(const struct sim_host *host) {
    return host->frees_to_descheduled;
}

const struct workload_host *sim_host_interface(const struct sim_host *host) {
    return &host->interface;
}

enum world_end sim_host_run(struct sim_host *host, struct program_result *meter,
                            workload_body *body, void *argument) {
    host->meter = meter;
    if (!add_thread(host, first_main, body, argument))
        return WORLD_DEADLOCK; // not to be: a world has room for a fiber
    return world_run(host->world);
}
