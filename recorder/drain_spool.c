// drain_spool.c: raw records between the rings and the merge.
//
// Owns: the spool: segments of raw records, of which each ring has a queue. A pass first moves what
// is in the rings here, which takes a few ns a record, and gives the rings their room back; what a
// record means comes after. So a burst is taken at the speed of a copy until the spool is full.
// The first segments are memory; the others are parts of a file beside the trace, without a name,
// whose room is taken from the disk before it is used: a full disk makes a small spool, no signal.
//
// Nothing waits here. A spool that is full takes one segment more for each ring whose queue is
// empty, so that the merge never lacks the next record of a ring; all others stay in their rings,
// and the program waits for room there, which it counts.
//
// Threads: the session's.
#include "drainer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    SEGMENT_BYTES = DRAIN_SEGMENT_RECORDS * sizeof(struct ring_record),
    MEMORY_SEGMENTS = RING_COUNT_MAX + 512, // 36 MiB if all are ever used
    STEP_SEGMENTS = 512,                    // the file grows by 4 MiB
};

bool drain_spool_open(struct drain_spool *spool, const char *folder, uint64_t file_bytes_max) {
    *spool = (struct drain_spool){.file = -1};
    spool->segment_max = MEMORY_SEGMENTS +
                         (uint32_t)(file_bytes_max / SEGMENT_BYTES / STEP_SEGMENTS) * STEP_SEGMENTS;
    spool->bytes = (size_t)spool->segment_max * SEGMENT_BYTES;
    spool->free = malloc(spool->segment_max * sizeof *spool->free);
    void *memory = mmap(NULL, spool->bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || spool->free == NULL)
        return false;
    spool->records = memory;
    if (spool->segment_max > MEMORY_SEGMENTS)
        spool->file = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (spool->file < 0)
        spool->segment_max = MEMORY_SEGMENTS;
    return true;
}

void drain_spool_close(struct drain_spool *spool) {
    if (spool->records != NULL)
        munmap(spool->records, spool->bytes);
    if (spool->file >= 0)
        close(spool->file);
    free(spool->free);
}

// ---------------------------------------------------------------- segments

// Makes the file hold the next segments. False: there is no room, and it stays as it is.
static bool file_grow(struct drain_spool *spool) {
    off_t offset = (off_t)(spool->segment_count - MEMORY_SEGMENTS) * SEGMENT_BYTES;
    off_t bytes = (off_t)STEP_SEGMENTS * SEGMENT_BYTES;
    char *at = (char *)spool->records + (size_t)spool->segment_count * SEGMENT_BYTES;
    if (posix_fallocate(spool->file, offset, bytes) != 0 ||
        mmap(at, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, spool->file,
             offset) == MAP_FAILED) {
        spool->segment_max = spool->segment_count;
        return false;
    }
    spool->file_bytes += (uint64_t)bytes;
    return true;
}

static bool segment_new(struct drain_spool *spool, uint32_t *segment) {
    if (spool->segment_count == spool->segment_max)
        return false;
    uint32_t beyond = spool->segment_count - MEMORY_SEGMENTS;
    if (spool->segment_count >= MEMORY_SEGMENTS && beyond % STEP_SEGMENTS == 0 && !file_grow(spool))
        return false;
    *segment = spool->segment_count++;
    return true;
}

static bool segment_take(struct drain_spool *spool, bool is_first, uint32_t *segment) {
    uint32_t left = spool->free_count + (spool->segment_max - spool->segment_count);
    if (!is_first && left <= spool->reserved)
        return false;
    if (spool->free_count > 0) {
        *segment = spool->free[--spool->free_count];
        return true;
    }
    return segment_new(spool, segment);
}

// ---------------------------------------------------------------- queues

static uint64_t segment_of(uint64_t position) {
    return position / DRAIN_SEGMENT_RECORDS;
}

static bool queue_room(struct drain_queue *queue) {
    if (queue->first + queue->count < queue->capacity)
        return true;
    if (queue->first > queue->capacity / 2) {
        memmove(queue->segments, queue->segments + queue->first,
                queue->count * sizeof *queue->segments);
        queue->first = 0;
        return true;
    }
    uint32_t capacity = queue->capacity == 0 ? 8 : 2 * queue->capacity;
    uint32_t *segments = realloc(queue->segments, capacity * sizeof *segments);
    if (segments == NULL)
        return false;
    queue->segments = segments;
    queue->capacity = capacity;
    return true;
}

// Has a segment for the record at queue->end.
static bool queue_extend(struct drain_spool *spool, struct drain_queue *queue) {
    uint32_t segment;
    if (queue->count > 0 && segment_of(queue->end) < queue->first_segment + queue->count)
        return true;
    if (!queue_room(queue) || !segment_take(spool, queue->count == 0, &segment))
        return false;
    if (queue->count == 0)
        queue->first_segment = segment_of(queue->end);
    queue->segments[queue->first + queue->count++] = segment;
    return true;
}

bool drain_spool_owner(struct drain_queue *queue, uint64_t position, uint32_t thread) {
    uint32_t end = queue->owner_first + queue->owner_count;
    if (queue->owner_count > 0 && queue->owners[end - 1].thread == thread)
        return true;
    if (end == queue->owner_capacity) {
        uint32_t capacity = end == 0 ? 4 : 2 * end;
        struct drain_owner *owners = realloc(queue->owners, capacity * sizeof *owners);
        if (owners == NULL)
            return false;
        queue->owners = owners;
        queue->owner_capacity = capacity;
    }
    queue->owners[end] = (struct drain_owner){position, thread};
    queue->owner_count++;
    return true;
}

void drain_spool_forget(struct drain_queue *queue) {
    free(queue->segments);
    free(queue->owners);
    *queue = (struct drain_queue){0};
}

uint64_t drain_spool_put(struct drain_spool *spool, struct drain_queue *queue,
                         const struct ring_record *ring, uint64_t ring_capacity, uint64_t end) {
    uint64_t begin = queue->end;
    while (queue->end < end && queue_extend(spool, queue)) {
        uint64_t slot = queue->end % ring_capacity;
        uint64_t room = DRAIN_SEGMENT_RECORDS - queue->end % DRAIN_SEGMENT_RECORDS;
        uint64_t count = end - queue->end < room ? end - queue->end : room;
        // A ring's end is a segment's as well: a piece never runs over it.
        memcpy(drain_spool_slot(spool, queue, queue->end), ring + slot, count * sizeof *ring);
        queue->end += count;
    }
    spool->held += queue->end - begin;
    if (spool->held > spool->held_max)
        spool->held_max = spool->held;
    return queue->end - begin;
}

void drain_spool_drop(struct drain_spool *spool, struct drain_queue *queue, uint64_t position) {
    spool->held -= position - queue->begin;
    queue->begin = position;
    uint64_t kept = position == queue->end ? UINT64_MAX : segment_of(position);
    while (queue->count > 0 && queue->first_segment < kept) {
        spool->free[spool->free_count++] = queue->segments[queue->first++];
        queue->first_segment++;
        queue->count--;
    }
    if (queue->count == 0)
        queue->first = queue->owner_first = queue->owner_count = 0;
}
