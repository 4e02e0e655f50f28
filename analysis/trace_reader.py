#!/usr/bin/env python3
"""A second, independent reader of hak traces, written from traces/FORMAT.md alone.

Owns: the trace as Python sees it, and the text that `haktrace dump` prints. Does not own: the checks
of `haktrace verify` (it refuses what it cannot decode, it does not judge the order of events).

    trace = Trace("trace.zst")
    trace.meta, trace.end          # dicts; end is None when the recording did not finish
    trace.cut_bytes                # bytes after the last whole frame
    for chunk in trace.chunks():   # EventChunk: numpy arrays, one value per event
    for event in trace.events():   # Event: a named tuple
    trace.stack(event.stack)       # [(module, offset)], innermost first; of the nodes seen so far

What an event does not have is None in an Event and 0 in the arrays (-1 for `object`). Times are in
ticks of meta["tick_ns"]. The halves of a realloc carry its size and stack, as the format says.
Not thread-safe.
"""
import os
import sys

import system_python

system_python.need("numpy")

import ctypes
import json
import struct
from collections import namedtuple

import numpy as np

IDENTITY_MAGIC, INDEX_MAGIC, ZSTD_MAGIC = 0x184D2A50, 0x184D2A51, 0xFD2FB528
CHUNK_BYTES_MAX, ROWS_MAX, COLUMNS_MAX = 64 << 20, 1 << 20, 64
MAJOR = 1
META, MODULES, STACKS, EVENTS, END, INFO = range(1, 7)
TEXT = 5  # the last encoding known
OPS = ("- MALLOC CALLOC ALIGNED FREE FREE_NULL REALLOC_RELEASE REALLOC_ACQUIRE REALLOC_FAIL ALLOC_FAIL USABLE "
       "THREAD_CREATE THREAD_START THREAD_EXIT THREAD_JOIN FREE_UNKNOWN FORK LOST").split()
OP = {name: number for number, name in enumerate(OPS)}
RELEASE, ACQUIRE, REALLOC_FAIL = OP["REALLOC_RELEASE"], OP["REALLOC_ACQUIRE"], OP["REALLOC_FAIL"]


def _ops(names):
    """A table over op numbers: True for those named."""
    return np.isin(np.arange(len(OPS)), [OP[name] for name in names.split()])


CREATES = _ops("MALLOC CALLOC ALIGNED REALLOC_ACQUIRE")
REFERS = _ops("FREE REALLOC_RELEASE USABLE")
SIZED = _ops("MALLOC CALLOC ALIGNED REALLOC_RELEASE ALLOC_FAIL")
EVERY = _ops(" ".join(OPS))
# column id -> (name, which events have a value, required)
COLUMNS = {1: ("op", EVERY, True), 2: ("thread", EVERY, True), 3: ("time", EVERY, True),
           4: ("object", REFERS, True), 5: ("size", SIZED, True), 6: ("align", _ops("ALIGNED ALLOC_FAIL"), True),
           7: ("stack", SIZED, False), 8: ("address", CREATES, False),
           9: ("value", _ops("ALLOC_FAIL USABLE FORK LOST"), True),
           10: ("peer", _ops("THREAD_CREATE THREAD_JOIN"), True),
           11: ("entry", CREATES | _ops("ALLOC_FAIL FREE FREE_NULL FREE_UNKNOWN"), False)}
ABSENT = {name: ~table for name, table, _ in COLUMNS.values()}
ABSENT["object"] = ~(CREATES | REFERS)
for _carried in ("size", "stack"):
    ABSENT[_carried] = ABSENT[_carried] & (np.arange(len(OPS)) != ACQUIRE)

Event = namedtuple("Event", "number op thread time object size align stack address value peer entry")
EventChunk = namedtuple("EventChunk", "first op thread time object size align stack address value peer entry")
Header = namedtuple("Header", "magic kind flags columns rows first time0 object0 payload reserved")


class TraceError(Exception):
    """The file is not a trace, or is damaged; the text names file, offset and what was expected."""


# --- zstd, by its stable C interface -----------------------------------------------------------
_zstd = ctypes.CDLL("libzstd.so.1")
for _name, _result, _arguments in (("findFrameCompressedSize", ctypes.c_size_t, "ps"), ("isError", ctypes.c_uint, "s"),
                                   ("getFrameContentSize", ctypes.c_uint64, "ps"),
                                   ("decompress", ctypes.c_size_t, "psps")):
    _function = getattr(_zstd, "ZSTD_" + _name)
    _function.restype = _result
    _function.argtypes = [{"p": ctypes.c_void_p, "s": ctypes.c_size_t}[letter] for letter in _arguments]
_SOURCE_TOO_SHORT = 2**64 - 72  # ZSTD_error_srcSize_wrong as a size_t


# --- columns -----------------------------------------------------------------------------------
def decode_uvarints(data):
    """uint64 array of the unsigned LEB128 numbers in a uint8 array."""
    if not len(data):
        return np.zeros(0, np.uint64)
    ends = np.flatnonzero(data < 0x80)
    if not len(ends) or ends[-1] != len(data) - 1:
        raise ValueError("the last number is cut off")
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > 10 or np.any(data[ends[lengths == 10]] > 1):
        raise ValueError("a number exceeds 64 bits")
    if np.any(data[ends[lengths > 1]] == 0):
        raise ValueError("a number has a superfluous zero byte")
    place = np.arange(len(data), dtype=np.uint64) - np.repeat(starts, lengths).astype(np.uint64)
    return np.bitwise_or.reduceat((data & 0x7F).astype(np.uint64) << (place * np.uint64(7)), starts)


def decode_column(encoding, data, count):
    """The values of one column: an array, or bytes for text. Raises ValueError."""
    if encoding == 0:
        values = data
    elif encoding in (1, 2, 3):
        values = decode_uvarints(data)
        if encoding != 1:
            values = (values >> np.uint64(1)) ^ (np.uint64(0) - (values & np.uint64(1)))
            values = np.cumsum(values, dtype=np.uint64) if encoding == 3 else values.view(np.int64)
    elif encoding == 4:
        pairs = decode_uvarints(data)
        values, lengths = pairs[0::2], pairs[1::2]
        if len(pairs) % 2 or np.any(lengths == 0) or np.any(lengths > count) or lengths.sum() != count:
            raise ValueError(f"{count} values expected of the runs")
        values = np.repeat(values, lengths.astype(np.int64))
    else:
        values = data.tobytes()
    if len(values) != count:
        raise ValueError(f"{count} values expected, {len(values)} found")
    return values


class Trace:
    """An open trace. Raises OSError, and TraceError for anything that is not a readable trace."""

    def __init__(self, path):
        self.path = os.fspath(path)
        with open(self.path, "rb") as file:
            self._data = np.memmap(file, np.uint8, "r") if os.fstat(file.fileno()).st_size else np.zeros(0, np.uint8)
        self.modules, self._nodes = [], []
        self._frames, self.cut_bytes = self._walk_frames()
        self._expect(self._frames, 32, "a whole META chunk")
        self.meta, self.end = self._text(self._frames[0], META), self._text(self._frames[-1], END)
        self._expect(self.meta is not None, self._frames[0][0], "META as the first chunk")

    def _expect(self, holds, offset, what):
        if not holds:
            raise TraceError(f"{self.path}: offset {offset}: {what} expected")

    def _walk_frames(self):
        """[(offset, bytes)] of the zstd frames, and the bytes after the last whole frame."""
        size, base, identity = len(self._data), self._data.ctypes.data, self._data[:32].tobytes()
        self._expect(len(identity) == 32 and identity[:16] == struct.pack("<II", IDENTITY_MAGIC, 24) + b"HAKTRACE", 0,
                     "the identity frame of a hak trace")
        major, minor, flags = struct.unpack_from("<HHI", identity, 16)
        self._expect(major == MAJOR, 16, f"format version {major}.{minor} found, {MAJOR}.x")
        self._expect(not flags, 20, "identity flags of 0")
        offset, frames, indexed = 32, [], False
        while offset + 4 <= size:
            magic = int.from_bytes(self._data[offset:offset + 4].tobytes(), "little")
            self._expect(not indexed, offset, "the end of the file after the index")
            self._expect(magic in (ZSTD_MAGIC, INDEX_MAGIC), offset, "a chunk or the index")
            length = _zstd.ZSTD_findFrameCompressedSize(base + offset, size - offset)
            if length == _SOURCE_TOO_SHORT and self._data[-4:].tobytes() != b"HKIX":
                break
            self._expect(not _zstd.ZSTD_isError(length), offset, "a whole, undamaged frame")
            if magic == ZSTD_MAGIC:
                frames.append((offset, length))
            indexed = magic == INDEX_MAGIC
            offset += length
        return frames, size - offset

    def _decompress(self, offset, length):
        source = self._data.ctypes.data + offset
        size = _zstd.ZSTD_getFrameContentSize(source, length)
        self._expect(48 <= size <= CHUNK_BYTES_MAX and self._data[offset + 4] & 4, offset,
                     "a frame with checksum and a content size of 48 bytes to 64 MiB")
        chunk = np.empty(size, np.uint8)
        done = _zstd.ZSTD_decompress(chunk.ctypes.data, size, source, length)
        self._expect(done == size, offset, f"{size} undamaged bytes with their checksum")
        return chunk

    def _chunk(self, frame):
        """(Header, {column id: values}) of one frame; columns that may be skipped are skipped."""
        offset, chunk = frame[0], self._decompress(*frame)
        header = Header(*struct.unpack_from("<4sHHIIQQQII", chunk))
        start = 48 + 16 * header.columns
        self._expect(header.magic == b"hkCH" and not header.reserved and not header.flags & ~1, offset,
                     "a chunk header hkCH with zero reserved fields")
        self._expect(header.columns <= COLUMNS_MAX and header.rows <= ROWS_MAX and len(chunk) == start + header.payload,
                     offset, f"a chunk of {start + header.payload} bytes within the limits")
        self._expect(META <= header.kind <= INFO or not header.flags & 1, offset, f"a reader of chunk kind {header.kind}")
        known = {STACKS: (1, 2, 3), EVENTS: COLUMNS}.get(header.kind, (1,) if META <= header.kind <= INFO else ())
        columns, previous = {}, -1
        for place in range(48, 48 + 16 * header.columns, 16):
            number, encoding, flags, count, length, reserved = struct.unpack_from("<HBBIII", chunk, place)
            self._expect(number > previous and not reserved and not flags & ~1 and start + length <= len(chunk), offset,
                         f"column {number}: ascending ids, zero reserved fields and bytes inside the chunk")
            if number in known and encoding <= TEXT:
                self._expect(count <= ROWS_MAX or encoding == TEXT, offset, f"column {number}: at most {ROWS_MAX} values")
                try:
                    columns[number] = decode_column(encoding, chunk[start:start + length], count)
                except ValueError as error:
                    self._expect(False, offset, f"column {number}: {error}")
            else:
                self._expect(not flags & 1, offset, f"a reader of required column {number} in encoding {encoding}")
            previous, start = number, start + length
        self._expect(start == len(chunk), offset, "columns that fill the chunk")
        return header, columns

    def _text(self, frame, kind):
        """The JSON of a chunk of this kind; None if it is of another kind."""
        header, columns = self._chunk(frame)
        return self._json(frame[0], kind, columns) if header.kind == kind else None

    def _json(self, offset, kind, columns):
        value, form = None, list if kind == MODULES else dict
        try:
            value = json.loads(bytes(columns.get(1, b"")).decode())
        except ValueError:
            pass
        self._expect(isinstance(value, form), offset, f"a JSON {'array' if form is list else 'object'} in column 1")
        return value

    def chunks(self):
        """Every EventChunk in order; modules and stacks grow on the way."""
        self.modules, self._nodes = [], []
        released = {}  # thread -> (size, stack) of its REALLOC_RELEASE
        events = objects = time = 0
        for number, frame in enumerate(self._frames):
            offset, (header, columns) = frame[0], self._chunk(frame)
            self._expect((header.kind == META) == (number == 0) and (header.kind != END or self.end is not None
                         and number == len(self._frames) - 1), offset, "META first and END last, once each,")
            first = {EVENTS: events, STACKS: len(self._nodes) + 1, MODULES: len(self.modules) + 1}.get(header.kind, 0)
            self._expect(header.first == first or header.kind > INFO, offset, f"first = {first}, not {header.first},")
            if header.kind == MODULES:
                self.modules += self._json(offset, MODULES, columns)
            elif header.kind == STACKS:
                self._add_stacks(offset, header, columns)
            elif header.kind == EVENTS:
                self._expect(header.object0 == objects and header.time0 >= time, offset, f"object0 = {objects}, time0 >= {time}")
                chunk = self._events(offset, header, columns, released)
                events += header.rows
                objects += int(CREATES[chunk.op].sum())
                time = int(chunk.time[-1]) if header.rows else header.time0
                yield chunk
        self._expect(self.end is None or (self.end.get("events"), self.end.get("objects")) == (events, objects),
                     self._frames[-1][0], f"END with {events} events and {objects} objects")

    def events(self):
        """Every Event in order."""
        for chunk in self.chunks():
            columns = []
            for name in Event._fields[1:]:
                values = getattr(chunk, name).tolist()
                for at in np.flatnonzero(ABSENT[name][chunk.op]).tolist():
                    values[at] = None
                columns.append(values)
            yield from map(Event, range(chunk.first, chunk.first + len(chunk.op)), *columns)

    def stack(self, node):
        """[(module number, offset)] of a stack, innermost frame first."""
        frames = []
        while node:
            node, module, place = self._nodes[node - 1]
            frames.append((module, place))
        return frames

    def _add_stacks(self, offset, header, columns):
        values = [columns[number].tolist() if number in columns else [] for number in (1, 2, 3)]
        self._expect(all(len(column) == header.rows for column in values), offset, f"{header.rows} values in each of 3 columns")
        for node, (back, module, place) in enumerate(zip(*values), header.first):
            self._expect(1 <= back <= node and module <= len(self.modules), offset, "earlier parents and known modules")
            self._nodes.append((node - back, module, place))

    def _events(self, offset, header, columns, released):
        """Decode one EVENTS chunk; released carries halves of a realloc across chunks."""
        rows, op, full = header.rows, columns.get(1, np.zeros(0, np.uint8)), {}
        self._expect(len(op) == rows and (not rows or 1 <= op.min() and op.max() < len(OPS)), offset, f"{rows} known operations")
        for number, (name, table, required) in COLUMNS.items():
            where = table[op]
            values = columns.get(number)
            self._expect(len(values) == where.sum() if values is not None else not required or not where.any(), offset,
                         f"column {number} ({name}): {where.sum()} values")
            full[name] = np.zeros(rows, np.uint64)
            if values is not None:
                full[name][where] = values
        creates, refers, back = CREATES[op], REFERS[op], full["object"]
        following = header.object0 + np.cumsum(creates) - creates  # the number that the next object gets
        self._expect(np.all(back[refers] < following[refers]) and full["thread"].max(initial=0) < 1 << 24
                     and full["align"].max(initial=0) <= 40 and full["stack"].max(initial=0) <= len(self._nodes), offset,
                     "object, thread, alignment and stack numbers in range")
        full["object"] = np.where(creates, following, np.where(refers, following - 1 - back.astype(np.int64), -1))
        full["time"] = header.time0 + np.cumsum(full["time"], dtype=np.uint64)
        full["op"] = op
        for at in np.flatnonzero((op == RELEASE) | (op == ACQUIRE) | (op == REALLOC_FAIL)).tolist():
            thread = int(full["thread"][at])
            if op[at] == RELEASE:
                released[thread] = full["size"][at], full["stack"][at]
                continue
            self._expect(thread in released, offset, f"event {header.first + at}: a REALLOC_RELEASE of its thread before it")
            half = released.pop(thread)
            if op[at] == ACQUIRE:
                full["size"][at], full["stack"][at] = half
        return EventChunk(header.first, **full)
