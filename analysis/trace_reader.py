#!/usr/bin/env python3
"""A second, independent reader of hak traces, written from traces/FORMAT.md alone.

Owns: the trace as Python sees it, and the text that `haktrace dump` prints. Does not own: the checks
of `haktrace verify` (it refuses what it cannot decode, it does not judge the order of events).

    with Trace("trace.zst") as trace:
        trace.meta, trace.end          # dicts; end is None when the recording did not finish
        trace.cut_bytes                # bytes after the last whole frame
        for chunk in trace.chunks():   # EventChunk: numpy arrays, one value per event
        for event in trace.events():   # Event: a named tuple
        trace.stack(event.stack)       # [(module, offset)], innermost first; nodes seen so far

Objects, addresses and so on that an event does not have are None in an Event and 0 in the arrays
(-1 for `object`). Times are in ticks of meta["tick_ns"]. Not thread-safe.
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
OPS = ("", "MALLOC", "CALLOC", "ALIGNED", "FREE", "FREE_NULL", "REALLOC_RELEASE", "REALLOC_ACQUIRE",
       "REALLOC_FAIL", "ALLOC_FAIL", "USABLE", "THREAD_CREATE", "THREAD_START", "THREAD_EXIT",
       "THREAD_JOIN", "FREE_UNKNOWN", "FORK", "LOST")
OP = {name: number for number, name in enumerate(OPS) if name}
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
HAS = {name: table for name, table, _ in COLUMNS.values()}
HAS["object"] = CREATES | REFERS

Event = namedtuple("Event", "number op thread time object size align stack address value peer entry")
EventChunk = namedtuple("EventChunk", "first op thread time object size align stack address value peer entry")
Header = namedtuple("Header", "magic kind flags columns rows first time0 object0 payload reserved")


class TraceError(Exception):
    """The file is not a trace, or is damaged; the text names file, offset and what was expected."""


# --- zstd, by its stable C interface -----------------------------------------------------------
_zstd = ctypes.CDLL("libzstd.so.1")
for _name, _result, _arguments in (("findFrameCompressedSize", ctypes.c_size_t, "ps"), ("isError", ctypes.c_uint, "s"),
                                   ("getFrameContentSize", ctypes.c_uint64, "ps"),
                                   ("getErrorName", ctypes.c_char_p, "s"), ("decompress", ctypes.c_size_t, "psps")):
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
        if not self._frames:
            self._fail(0, "a META chunk expected, the file ends before its first whole chunk")
        kind, self.meta = self._text_chunk(self._frames[0])
        if kind != META:
            self._fail(self._frames[0][0], "META expected as the first chunk")
        kind, self.end = self._text_chunk(self._frames[-1])
        self.end = self.end if kind == END else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._data = None

    def _fail(self, offset, text):
        raise TraceError(f"{self.path}: offset {offset}: {text}")

    def _walk_frames(self):
        """[(offset, bytes)] of the zstd frames, and the bytes after the last whole frame."""
        size, base = len(self._data), self._data.ctypes.data
        identity = self._data[:32].tobytes()
        if len(identity) < 32 or identity[:16] != struct.pack("<II", IDENTITY_MAGIC, 24) + b"HAKTRACE":
            self._fail(0, "not a hak trace: an identity frame with HAKTRACE expected")
        major, minor, flags = struct.unpack_from("<HHI", identity, 16)
        if major != MAJOR:
            self._fail(16, f"format version {major}.{minor}, this reader knows {MAJOR}.x")
        if flags:
            self._fail(20, f"identity flags 0 expected, found {flags:#x}")
        offset, frames, indexed = 32, [], False
        while offset + 4 <= size:
            magic = int.from_bytes(self._data[offset:offset + 4].tobytes(), "little")
            if indexed or magic not in (ZSTD_MAGIC, INDEX_MAGIC):
                self._fail(offset, "end of file expected after the index" if indexed else "a chunk or the index expected")
            length = _zstd.ZSTD_findFrameCompressedSize(base + offset, size - offset)
            if length == _SOURCE_TOO_SHORT and self._data[-4:].tobytes() != b"HKIX":
                break
            if _zstd.ZSTD_isError(length):
                self._fail(offset, f"a whole frame expected: {_zstd.ZSTD_getErrorName(length).decode()}")
            if magic == ZSTD_MAGIC:
                frames.append((offset, length))
            indexed = magic == INDEX_MAGIC
            offset += length
        return frames, size - offset

    def _decompress(self, offset, length):
        source = self._data.ctypes.data + offset
        size = _zstd.ZSTD_getFrameContentSize(source, length)
        if not 48 <= size <= CHUNK_BYTES_MAX or not self._data[offset + 4] & 4:
            self._fail(offset, "a frame with checksum and a content size of 48 bytes to 64 MiB expected")
        chunk = np.empty(size, np.uint8)
        done = _zstd.ZSTD_decompress(chunk.ctypes.data, size, source, length)
        if done != size:
            self._fail(offset, f"the frame does not decompress: {_zstd.ZSTD_getErrorName(done).decode()}")
        return chunk

    def _chunk(self, frame):
        """(Header, {column id: values}) of one frame; columns that may be skipped are skipped."""
        offset, chunk = frame[0], self._decompress(*frame)
        header = Header(*struct.unpack_from("<4sHHIIQQQII", chunk))
        body = 48 + 16 * header.columns
        if header.magic != b"hkCH" or header.reserved or header.flags & ~1:
            self._fail(offset, "a chunk header hkCH with zero reserved fields expected")
        if header.columns > COLUMNS_MAX or header.rows > ROWS_MAX or len(chunk) != body + header.payload:
            self._fail(offset, f"a chunk of {body + header.payload} bytes within the limits expected")
        if header.flags & 1 and not META <= header.kind <= INFO:
            self._fail(offset, f"required chunk kind {header.kind} is not known to this reader")
        columns, previous, known = {}, -1, self._known_columns(header.kind)
        for place in range(48, body, 16):
            number, encoding, flags, count, length, reserved = struct.unpack_from("<HBBIII", chunk, place)
            if number <= previous or reserved or flags & ~1 or body + length > len(chunk):
                self._fail(offset, f"column {number}: ascending ids, zero reserved fields and bytes inside the chunk expected")
            if number in known and encoding <= 5:
                if count > ROWS_MAX and encoding != 5:
                    self._fail(offset, f"column {number}: at most {ROWS_MAX} values expected")
                try:
                    columns[number] = decode_column(encoding, chunk[body:body + length], count)
                except ValueError as error:
                    self._fail(offset, f"column {number}: {error}")
            elif flags & 1:
                self._fail(offset, f"required column {number}, encoding {encoding}, is not known to this reader")
            previous, body = number, body + length
        if body != len(chunk):
            self._fail(offset, "columns that fill the chunk expected")
        return header, columns

    @staticmethod
    def _known_columns(kind):
        return COLUMNS if kind == EVENTS else (1, 2, 3) if kind == STACKS else (1,) if META <= kind <= INFO else ()

    def _text_chunk(self, frame):
        header, columns = self._chunk(frame)
        return header.kind, self._json(frame[0], header.kind, columns)

    def _json(self, offset, kind, columns):
        if kind not in (META, MODULES, END, INFO):
            return None
        try:
            value = json.loads(bytes(columns.get(1, b"")).decode())
        except ValueError:
            value = None
        if not isinstance(value, list if kind == MODULES else dict):
            self._fail(offset, f"JSON {'array' if kind == MODULES else 'object'} expected in column 1")
        return value

    def chunks(self):
        """Every EVENTS chunk in order; modules and stacks grow on the way."""
        self.modules, self._nodes = [], []
        released = {}  # thread -> (size, stack, object) of its REALLOC_RELEASE
        events = objects = time = 0
        for number, frame in enumerate(self._frames):
            offset, (header, columns) = frame[0], self._chunk(frame)
            if (header.kind == META) != (number == 0) or header.kind == END and number != len(self._frames) - 1:
                self._fail(offset, "META first and END last expected, once each")
            expected = {EVENTS: events, STACKS: len(self._nodes) + 1, MODULES: len(self.modules) + 1}.get(header.kind, 0)
            if header.first != expected and META <= header.kind <= INFO:
                self._fail(offset, f"first = {expected} expected, found {header.first}")
            if header.kind == MODULES:
                self.modules += self._json(offset, MODULES, columns)
            elif header.kind == STACKS:
                self._add_stacks(offset, header, columns)
            elif header.kind == EVENTS:
                if header.object0 != objects or header.time0 < time:
                    self._fail(offset, f"object0 = {objects} and time0 >= {time} expected")
                chunk = self._events(offset, header, columns, released)
                events += header.rows
                objects += int(CREATES[chunk.op].sum())
                time = int(chunk.time[-1]) if header.rows else header.time0
                yield chunk
        if self.end is not None and (self.end.get("events"), self.end.get("objects")) != (events, objects):
            self._fail(self._frames[-1][0], f"END with {events} events and {objects} objects expected")

    def _add_stacks(self, offset, header, columns):
        try:
            parent, module, place = (columns[number].tolist() for number in (1, 2, 3))
        except KeyError as missing:
            self._fail(offset, f"required column {missing} of STACKS is missing")
        if not len(parent) == len(module) == len(place) == header.rows:
            self._fail(offset, f"{header.rows} values a column expected")
        for node, row in enumerate(zip(parent, module, place), header.first):
            if not 1 <= row[0] <= node or row[1] > len(self.modules):
                self._fail(offset, f"node {node}: an earlier parent and a known module expected")
            self._nodes.append((node - row[0], row[1], row[2]))

    def _events(self, offset, header, columns, released):
        """Decode one EVENTS chunk; released carries halves of a realloc across chunks."""
        rows = header.rows
        op = columns.get(1, np.zeros(0, np.uint8))
        if len(op) != rows or rows and not 1 <= op.min() <= op.max() < len(OPS):
            self._fail(offset, f"{rows} known operations expected in column 1")
        full = {}
        for number, (name, table, required) in COLUMNS.items():
            where = table[op]
            values = columns.get(number)
            if values is None and required and where.any() or values is not None and len(values) != where.sum():
                self._fail(offset, f"column {number} ({name}): {where.sum()} values expected")
            full[name] = np.zeros(rows, np.uint64)
            if values is not None:
                full[name][where] = values
        creates, refers = CREATES[op], REFERS[op]
        following = header.object0 + np.cumsum(creates) - creates  # the number the next object will get
        back = full["object"]
        if np.any(back[refers] >= following[refers]) or rows and (full["thread"].max() >= 1 << 24 or full["align"].max() > 40) \
                or full["stack"].max(initial=0) > len(self._nodes):
            self._fail(offset, "an object, thread, alignment or stack number is out of range")
        full["object"] = np.where(creates, following, np.where(refers, following - 1 - back.astype(np.int64), -1))
        full["time"] = header.time0 + np.cumsum(full["time"], dtype=np.uint64)
        full["op"] = op
        for at in np.flatnonzero((op == RELEASE) | (op == ACQUIRE) | (op == REALLOC_FAIL)).tolist():
            thread = int(full["thread"][at])
            if op[at] == RELEASE:
                released[thread] = full["size"][at], full["stack"][at]
            elif thread not in released:
                self._fail(offset, f"event {header.first + at}: an earlier REALLOC_RELEASE of thread {thread} expected")
            elif op[at] == ACQUIRE:
                full["size"][at], full["stack"][at] = released.pop(thread)
            else:
                del released[thread]
        return EventChunk(header.first, **full)
