"""The columns of a chunk, for trace_reader.py: their encodings, and the small form (FORMAT.md §2, §3)."""
import bisect

import system_python

system_python.need("numpy")
import numpy as np

BYTES, UVARINT, SVARINT, DELTA, RUNS, TEXT = range(6)
OP, THREAD, OBJECT, ENTRY, RANK, DISTANCE, OTHER_ENTRY = 1, 2, 4, 11, 12, 13, 14
SMALL_FORM_ENCODINGS = {RANK: BYTES, DISTANCE: SVARINT, OTHER_ENTRY: BYTES}
RANKS, NEWER, NEWEST, OLDER, FINGERS = 64, 1, 65, 129, 256
USUAL_ENTRIES = dict(MALLOC=1, CALLOC=2, ALIGNED=6, FREE=10, FREE_NULL=10, REALLOC_ACQUIRE=3, ALLOC_FAIL=1, FREE_UNKNOWN=10)


def decode_uvarints(data):
    """uint64 array of the unsigned LEB128 numbers in a uint8 array."""
    if not len(data):
        return np.zeros(0, np.uint64)
    ends = np.flatnonzero(data < 0x80)
    if not len(ends) or ends[-1] != len(data) - 1:
        raise ValueError("a whole last number")
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > 10 or np.any(data[ends[lengths == 10]] > 1):
        raise ValueError("numbers of 64 bits at most")
    if np.any(data[ends[lengths > 1]] == 0):
        raise ValueError("numbers without a superfluous zero byte")
    if len(starts) == len(data):
        return data.astype(np.uint64)
    values = (data[starts] & 0x7F).astype(np.uint64)
    longer = np.flatnonzero(lengths > 1)
    for place in range(1, int(lengths.max())):  # most numbers are short: few are left for the later bytes
        values[longer] |= (data[starts[longer] + place] & 0x7F).astype(np.uint64) << np.uint64(7 * place)
        longer = longer[lengths[longer] > place + 1]
    return values


def decode_column(encoding, data, count):
    """The values of one column: an array, or bytes for text. Raises ValueError."""
    if encoding in (BYTES, TEXT):
        values = data
    else:
        values = decode_uvarints(data)
        if encoding == SVARINT:
            values = ((values >> np.uint64(1)) ^ (np.uint64(0) - (values & np.uint64(1)))).astype(np.int64)
        if encoding == DELTA:  # differences in zigzag form, mod 2^64
            values = np.cumsum((values >> np.uint64(1)) ^ (np.uint64(0) - (values & np.uint64(1))), dtype=np.uint64)
        elif encoding == RUNS:
            values, lengths = values[0::2], values[1::2]
            if len(values) != len(lengths) or np.any((lengths == 0) | (lengths > count)) or lengths.sum() != count:
                raise ValueError(f"runs of {count} values")
            values = np.repeat(values, lengths.astype(np.int64))
    if len(values) != count:
        raise ValueError(f"{count} values, not {len(values)},")
    return values


def ranked_objects(object0, creates, refers, ends, threads, ranks, distances):
    """What OBJECT would hold, for the referring events of a chunk; tables are over events. Raises ValueError."""
    live, fingers, created, found = [], [object0 - 1] * FINGERS, object0, []
    ranks, distances = iter(ranks.tolist()), iter(distances.tolist())
    for creating, referring, ending, thread in zip(creates.tolist(), refers.tolist(), ends.tolist(), threads.tolist()):
        if referring:
            rank, finger = next(ranks), fingers[thread % FINGERS]
            at = (bisect.bisect_right(live, finger) + rank - NEWER if rank < NEWEST else
                  len(live) - 1 - (rank - NEWEST) if rank < OLDER else bisect.bisect_left(live, finger) - 1 - (rank - OLDER))
            if rank and not (rank < OLDER + RANKS and 0 <= at < len(live)):
                raise ValueError(f"ranks among the live objects, not rank {rank},")
            number = live[at] if rank else finger + next(distances)
            if not 0 <= number < created:
                raise ValueError("references to objects created before")
            found.append(created - 1 - number)
            if ending:
                place = bisect.bisect_left(live, number)
                if place < len(live) and live[place] == number:
                    del live[place]
                fingers[thread % FINGERS] = number
        if creating:
            live.append(created)
            created += 1
    return np.array(found, np.uint64)


def take_small_form(columns, object0, names, creates, refers, present, expect):
    """Puts OBJECT and ENTRY in the place of RANK, DISTANCE and OTHER_ENTRY. names, creates, refers: by op; expect(holds, what)."""
    rank, distance, other = (columns.pop(number, None) for number in (RANK, DISTANCE, OTHER_ENTRY))
    op, thread = columns[OP], columns.get(THREAD, ())
    expect(rank is not None or distance is None, "no DISTANCE without RANK")
    if rank is not None:
        distance = np.zeros(0, np.int64) if distance is None else distance
        expect(OBJECT not in columns and len(rank) == refers[op].sum() and len(distance) == (rank == 0).sum()
               and len(thread) == len(op), "RANK and DISTANCE for what refers, and no OBJECT,")
        try:
            ends = refers[op] & (op != names.index("USABLE"))
            columns[OBJECT] = ranked_objects(object0, creates[op], refers[op], ends, thread, rank, distance)
        except ValueError as error:
            expect(False, str(error))
    if other is not None:
        usual = np.array([USUAL_ENTRIES.get(name, 0) for name in names], np.uint8)[op][present["entry"][op]]
        expect(ENTRY not in columns and len(other) == len(usual), "OTHER_ENTRY for what has one, and no ENTRY,")
        columns[ENTRY] = other ^ usual
