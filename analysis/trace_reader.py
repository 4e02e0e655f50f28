#!/usr/bin/env python3
"""A second, independent reader of hak traces, written from traces/FORMAT.md alone.

Owns: the trace as Python sees it. Does not own: its text (trace_text.py, which runs when this file is
run), and the checks of `haktrace verify`: it refuses what it cannot decode, but judges no order.

    trace = Trace("trace.zst")
    trace.meta, trace.end          # dicts; end is None when the recording did not finish
    trace.cut_bytes                # bytes after the last whole frame
    for chunk in trace.chunks():   # EventChunk: numpy arrays, one value per event
    for event in trace.events():   # Event: a named tuple
    trace.resident, .process, .maps # rows beside the events seen so far: lists of Resident, Process, Mapping
    trace.stack(event.stack)       # [(module, offset)], innermost first; of the nodes seen so far

What an event does not have is None in an Event and 0 in the arrays (-1 for `object`). Times are in
ticks of meta["tick_ns"]. Both halves of a realloc carry its size and stack. Not thread-safe.
"""
import ctypes
import json
import os
import struct
from collections import namedtuple

import system_python

system_python.need("numpy")
import numpy as np
from mapped_file import MappedFile
from trace_columns import BYTES, DELTA, RUNS, SMALL_FORM_ENCODINGS, TEXT, UVARINT, decode_column, take_small_form

IDENTITY_MAGIC, INDEX_MAGIC, ZSTD_MAGIC = 0x184D2A50, 0x184D2A51, 0xFD2FB528
SKIPPABLE_MAGICS = range(0x184D2A51, 0x184D2A60)
CHUNK_BYTES_MAX, TEXT_BYTES_MAX, ROWS_MAX, COLUMNS_MAX = 64 << 20, 4 << 20, 1 << 20, 64
MAJOR, ENTRY_MAX = 1, 15
META, MODULES, STACKS, EVENTS, END, INFO, RESIDENT, PROCESS, MAPS = range(1, 10)
OPS = ("- MALLOC CALLOC ALIGNED FREE FREE_NULL REALLOC_RELEASE REALLOC_ACQUIRE REALLOC_FAIL ALLOC_FAIL USABLE "
       "THREAD_CREATE THREAD_START THREAD_EXIT THREAD_JOIN FREE_UNKNOWN FORK LOST").split()
OP = {name: number for number, name in enumerate(OPS)}
RELEASE, ACQUIRE, REALLOC_FAIL = OP["REALLOC_RELEASE"], OP["REALLOC_ACQUIRE"], OP["REALLOC_FAIL"]


def _ops(names):
    """A table over op numbers: True for those named."""
    return np.isin(np.arange(len(OPS)), [OP[name] for name in names.split()])


CREATES, REFERS = _ops("MALLOC CALLOC ALIGNED REALLOC_ACQUIRE"), _ops("FREE REALLOC_RELEASE USABLE")
EVERY, SIZED = _ops(" ".join(OPS)), _ops("MALLOC CALLOC ALIGNED REALLOC_RELEASE ALLOC_FAIL")
EVENT_COLUMNS = {  # id: (name, encoding, which events have a value, required)
    1: ("op", BYTES, EVERY, True), 2: ("thread", RUNS, EVERY, True), 3: ("time", UVARINT, EVERY, True),
    4: ("object", UVARINT, REFERS, True), 5: ("size", UVARINT, SIZED, True), 6: ("align", BYTES, _ops("ALIGNED ALLOC_FAIL"), True),
    7: ("stack", UVARINT, SIZED, False), 8: ("address", DELTA, CREATES, False),
    9: ("value", UVARINT, _ops("ALLOC_FAIL USABLE FORK LOST"), True), 10: ("peer", UVARINT, _ops("THREAD_CREATE THREAD_JOIN"), True),
    11: ("entry", BYTES, CREATES | _ops("ALLOC_FAIL FREE FREE_NULL FREE_UNKNOWN"), False)}
ENCODINGS = {kind: {1: TEXT} for kind in (META, MODULES, END, INFO)}  # of the columns known, by kind of chunk
ENCODINGS.update({STACKS: {1: UVARINT, 2: UVARINT, 3: DELTA}, EVENTS: {number: row[1] for number, row in EVENT_COLUMNS.items()}})
ENCODINGS[EVENTS].update(SMALL_FORM_ENCODINGS)
SIDE_COLUMNS = {  # beside the events, by kind of chunk: the fields of a row, columns 1, 2, ... in this order
    RESIDENT: namedtuple("Resident", "event object pages resident"),
    PROCESS: namedtuple("Process", "event time rss anonymous minor_faults major_faults"),
    MAPS: namedtuple("Mapping", "event time thread op address bytes protection flags stack")}
SIDE_DELTAS = ("event", "object", "time", "rss", "anonymous", "minor_faults", "major_faults", "address")
ENCODINGS.update({kind: {number: DELTA if name in SIDE_DELTAS else UVARINT for number, name in enumerate(row._fields, 1)}
                  for kind, row in SIDE_COLUMNS.items()})
PRESENT = {name: table for name, _, table, _ in EVENT_COLUMNS.values()}
PRESENT.update(object=CREATES | REFERS, size=SIZED | _ops("REALLOC_ACQUIRE"), stack=SIZED | _ops("REALLOC_ACQUIRE"))

Event = namedtuple("Event", "number op thread time object size align stack address value peer entry")
EventChunk = namedtuple("EventChunk", ("first",) + Event._fields[1:])
Header = namedtuple("Header", "magic kind flags columns rows first time0 object0 payload reserved")


class TraceError(Exception):
    """Not a trace, or a damaged one; the text names file, offset and what was expected."""


def _c_function(library, name, result, arguments):
    function = getattr(ctypes.CDLL(library), name)
    function.restype, function.argtypes = result, [{"p": ctypes.c_void_p, "s": ctypes.c_size_t}[each] for each in arguments]
    return function


_frame_bytes = _c_function("libzstd.so.1", "ZSTD_findFrameCompressedSize", ctypes.c_size_t, "ps")
_content_bytes = _c_function("libzstd.so.1", "ZSTD_getFrameContentSize", ctypes.c_uint64, "ps")
_decompress = _c_function("libzstd.so.1", "ZSTD_decompress", ctypes.c_size_t, "psps")
_is_error = _c_function("libzstd.so.1", "ZSTD_isError", ctypes.c_uint, "s")
_xxh64 = _c_function("libxxhash.so.0", "XXH64", ctypes.c_uint64, "pss")
_SOURCE_TOO_SHORT = 2**64 - 72  # ZSTD_error_srcSize_wrong as a size_t


class Trace:
    """An open trace. Raises OSError, and TraceError for anything that is not a readable trace."""

    def __init__(self, path):
        self.path = os.fspath(path)
        self._file, self._data = (file := MappedFile(self.path)), file.data
        self.modules, self._nodes = [], []
        self.resident, self.process, self.maps = [], [], []
        self._frames, indexed, self.cut_bytes = self._walk_frames()
        self._expect(self._frames, 32, "a whole META chunk")
        self.meta, self.end = self._text(self._frames[0], META), self._text(self._frames[-1], END)
        ticks = [m.get("tick_ns"), m.get("stamp_ticks_max", 1)] if (m := self.meta) and m.get("format") == "hak-trace" else [0]
        self._expect(all(isinstance(n, int) and n >= 1 for n in ticks), 32, "META first, of a hak-trace, tick_ns and stamp_ticks_max >= 1")
        self._expect(self.end is not None or not indexed, self._frames[-1][0], "END as the last chunk before the index")

    def _expect(self, holds, offset, what):
        if not holds:
            raise TraceError(f"{self.path}: offset {offset}: {what} expected")

    def _walk_frames(self):
        """[(offset, bytes)] of the zstd frames, whether an index ends the file, bytes after the last whole frame."""
        size, base, identity = len(self._data), self._data.ctypes.data, self._data[:32].tobytes()
        self._expect(len(identity) == 32 and identity[:16] == struct.pack("<II", IDENTITY_MAGIC, 24) + b"HAKTRACE", 0,
                     "the identity frame of a hak trace")
        major, minor, flags = struct.unpack_from("<HHI", identity, 16)
        self._expect(major == MAJOR, 16, f"format version {major}.{minor} found, {MAJOR}.x")
        self._expect(not flags, 20, "identity flags of 0")
        offset, frames, index = 32, [], self._index_at()
        while offset + 4 <= size:
            magic = int.from_bytes(self._data[offset:offset + 4].tobytes(), "little")
            self._expect(magic == ZSTD_MAGIC or magic in SKIPPABLE_MAGICS, offset, "a chunk or the index")
            length = _frame_bytes(base + offset, size - offset)
            if length == _SOURCE_TOO_SHORT and index is None:
                break
            self._expect(not _is_error(length), offset, "a whole, undamaged frame")
            if magic == INDEX_MAGIC:
                self._expect(offset == index, offset, "an undamaged index as the end of the file")
                entries = struct.iter_unpack("<QIHHQQII", self._data[offset + 24:-16].tobytes())
                self._expect([entry[:2] for entry in entries] == frames, offset, "an index of the frames before it")
            elif magic == ZSTD_MAGIC:
                frames.append((offset, length))
            offset += length
            self._file.passed(offset)
        return frames, index is not None, size - offset

    def _index_at(self):
        """The offset of a valid index at the end of the file, or None."""
        length, mark = struct.unpack("<I4s", self._data[-8:].tobytes())
        frame = self._data[-length:].tobytes() if mark == b"HKIX" and 40 <= length <= len(self._data) else b""
        head = struct.pack("<II8sII", INDEX_MAGIC, length - 8, b"HAKINDEX", (length - 40) // 40, 0) if frame else None
        valid = frame[:24] == head and length % 40 == 0 and _xxh64(frame[8:], length - 24, 0) == int.from_bytes(frame[-16:-8], "little")
        return len(self._data) - length if valid else None

    def _decompress(self, offset, length):
        source = self._data.ctypes.data + offset
        size = _content_bytes(source, length)
        self._expect(48 <= size <= CHUNK_BYTES_MAX and self._data[offset + 4] & 4, offset,
                     "a frame with checksum and a content size of 48 bytes to 64 MiB")
        chunk = np.empty(size, np.uint8)
        self._expect(_decompress(chunk.ctypes.data, size, source, length) == size, offset, f"{size} undamaged bytes")
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
        self._expect(META <= header.kind <= MAPS or not header.flags & 1, offset, f"a reader of chunk kind {header.kind}")
        columns, previous, encodings = {}, -1, ENCODINGS.get(header.kind, {})
        for place in range(48, start, 16):
            number, encoding, flags, count, length, reserved = struct.unpack_from("<HBBIII", chunk, place)
            self._expect(number > previous and not reserved and not flags & ~1 and start + length <= len(chunk), offset,
                         f"column {number}: ascending ids, zero reserved fields and bytes inside the chunk")
            self._expect(encodings.get(number, encoding) == encoding and (number in encodings or not flags & 1), offset,
                         f"column {number}: a column and an encoding that this reader knows")
            if number in encodings:
                self._expect(count <= (TEXT_BYTES_MAX if encoding == TEXT else ROWS_MAX), offset, f"column {number}: fewer values")
                try:
                    columns[number] = decode_column(encoding, chunk[start:start + length], count)
                except ValueError as error:
                    self._expect(False, offset, f"column {number}: {error}")
            previous, start = number, start + length
        self._expect(start == len(chunk), offset, "columns that fill the chunk")
        return header, columns

    def _text(self, frame, kind):
        """The JSON of a chunk of this kind; None if it is of another kind."""
        header, columns = self._chunk(frame)
        return self._json(frame[0], header, columns) if header.kind == kind else None

    def _json(self, offset, header, columns):
        value, form = None, list if header.kind == MODULES else dict
        try:
            value = json.loads(bytes(columns.get(1, b"")).decode())
        except (ValueError, RecursionError):
            pass
        rows = value if form is list and isinstance(value, list) else []
        self._expect(isinstance(value, form) and header.rows == len(rows) and all(isinstance(row, dict) for row in rows), offset,
                     f"a JSON {'array of as many modules as rows' if form is list else 'object'} in column 1")
        return value

    def chunks(self):
        """Every EventChunk in order; modules and stacks grow on the way."""
        self.resident, self.process, self.maps = [], [], []
        sides = {RESIDENT: self.resident, PROCESS: self.process, MAPS: self.maps}
        self.modules, self._nodes, released = [], [], {}  # released: thread -> (size, stack) of its REALLOC_RELEASE
        events = objects = time = 0
        for number, frame in enumerate(self._frames):
            offset, (header, columns) = frame[0], self._chunk(frame)
            self._file.passed(offset)
            self._expect((header.kind == META) == (number == 0) and (header.kind != END or self.end is not None
                         and number == len(self._frames) - 1), offset, "META first and END last, once each,")
            first = {EVENTS: events, STACKS: len(self._nodes) + 1, MODULES: len(self.modules) + 1,
                     **{kind: len(rows) for kind, rows in sides.items()}}.get(header.kind, 0)
            self._expect(header.first == first or header.kind > MAPS, offset, f"first = {first}, not {header.first},")
            self._expect(header.rows or header.kind in (META, END, INFO) or header.kind > MAPS, offset, "one row at least")
            if header.kind in sides:
                sides[header.kind] += self._sides(offset, header, columns, events, objects)
            if header.kind == MODULES:
                self.modules += self._json(offset, header, columns)
            elif header.kind == STACKS:
                self._add_stacks(offset, header, columns)
            elif header.kind == EVENTS:
                self._expect((header.object0, header.time0) == (objects, time), offset, f"object0 = {objects}, time0 = {time}")
                chunk = self._events(offset, header, columns, released)
                events += header.rows
                objects += int(CREATES[chunk.op].sum())
                time = int(chunk.time[-1])
                yield chunk
        self._expect(self.end is None or (self.end.get("events"), self.end.get("objects")) == (events, objects),
                     self._frames[-1][0], f"END with {events} events and {objects} objects")

    def events(self):
        """Every Event in order."""
        for chunk in self.chunks():
            columns = (np.where(PRESENT[name][chunk.op], getattr(chunk, name), None).tolist() for name in Event._fields[1:])
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

    def _sides(self, offset, header, columns, events, objects):
        """Rows beside the events of one chunk."""
        row = SIDE_COLUMNS[header.kind]
        values = [columns[number].tolist() if number in columns else [] for number in range(1, len(row._fields) + 1)]
        self._expect(all(len(column) == header.rows for column in values), offset, f"{header.rows} values in each of {len(values)} columns")
        rows = [row(*fields) for fields in zip(*values)]
        numbers = [each.event for each in rows]
        self._expect(numbers == sorted(numbers) and numbers[-1] <= events, offset, "ascending numbers of events before")
        if header.kind == RESIDENT:
            self._expect(all(each.object < objects and each.resident <= each.pages and each.pages for each in rows), offset,
                         "objects created before, and pages of which some are resident")
        if header.kind == MAPS:
            self._expect(all(1 <= each.op <= 5 and each.thread < 1 << 24 and each.stack <= len(self._nodes) for each in rows), offset,
                         "operation, thread and stack numbers in range")
        return rows

    def _events(self, offset, header, columns, released):
        """Decode one EVENTS chunk; released carries halves of a realloc across chunks."""
        rows, op, full = header.rows, columns.get(1, np.zeros(0, np.uint8)), {}
        self._expect(len(op) == rows and 1 <= op.min() and op.max() < len(OPS), offset, f"{rows} known operations")
        take_small_form(columns, header.object0, OPS, CREATES, REFERS, PRESENT, lambda holds, what: self._expect(holds, offset, what))
        for number, (name, _, table, required) in EVENT_COLUMNS.items():
            where, values = table[op], columns.get(number)
            present = np.count_nonzero(where)
            self._expect(len(values) == present if values is not None else not required or not present, offset,
                         f"column {number} ({name}): {present} values")
            full[name] = np.zeros(rows, np.uint64)
            if values is not None and present:
                full[name][slice(None) if present == rows else where] = values
        creates, refers, back = CREATES[op], REFERS[op], full["object"]
        following = header.object0 + np.cumsum(creates) - creates  # the number that the next object gets
        self._expect(np.all(back[refers] < following[refers]) and max(full["thread"].max(), full["peer"].max()) < 1 << 24
                     and full["align"].max() <= 40 and full["stack"].max() <= len(self._nodes), offset,
                     "object, thread, alignment and stack numbers in range")
        full["object"] = np.where(creates, following, np.where(refers, following - 1 - back.astype(np.int64), -1))
        full["time"] = time = header.time0 + np.cumsum(full["time"], dtype=np.uint64)
        self._expect(time[0] >= header.time0 and np.all(time[1:] >= time[:-1]), offset, "time that fits 64 bits")
        full["op"], full["entry"] = op, np.where(full["entry"] > ENTRY_MAX, 0, full["entry"])
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


if __name__ == "__main__":
    import trace_text
    trace_text.main()
