"""Makes traces by hand, byte by byte as traces/FORMAT.md says and without any code of the reader, so
that a mistake shared by writer and reader cannot hide. Every part can be bent for the tests of refusals."""
import ctypes
import json
import struct

_zstd = ctypes.CDLL("libzstd.so.1")
_zstd.ZSTD_createCCtx.restype = ctypes.c_void_p
_zstd.ZSTD_compressBound.restype = _zstd.ZSTD_compress2.restype = ctypes.c_size_t
_CHECKSUM = 201  # ZSTD_c_checksumFlag

BYTES, UVARINT, SVARINT, DELTA, RUNS, TEXT = range(6)
META, MODULES, STACKS, EVENTS, END, INFO = range(1, 7)
(MALLOC, CALLOC, ALIGNED, FREE, FREE_NULL, RELEASE, ACQUIRE, REALLOC_FAIL, ALLOC_FAIL, USABLE, CREATE, START, EXIT, JOIN,
 FREE_UNKNOWN, FORK, LOST) = range(1, 18)

META_KEYS = {"format": "hak-trace", "tool": "test", "version": "0", "program": "made", "command": ["made", "--by", "hand"], "pid": 1,
             "parent_pid": 0, "start_time": "2025-01-01T00:00:00Z", "tick_ns": 100, "clock": "counter", "stacks": "full",
             "addresses": True, "page_size": 4096, "cores": 2}


def uvarint(value):
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def zigzag(value):
    return uvarint((value << 1 ^ value >> 63) & 2**64 - 1)


def column(number, encoding, values, flags=0, count=None):
    """(id, encoding, flags, how many values, bytes)."""
    if encoding == BYTES:
        data = bytes(values)
    elif encoding == UVARINT:
        data = b"".join(map(uvarint, values))
    elif encoding == DELTA:
        differences = [(now - before + 2**63) % 2**64 - 2**63 for before, now in zip([0] + values[:-1], values)]
        data = b"".join(map(zigzag, differences))
    elif encoding == RUNS:
        data = b"".join(uvarint(value) + uvarint(length) for value, length in values)
        count = sum(length for _, length in values) if count is None else count
    else:
        data = values
    return number, encoding, flags, len(values) if count is None else count, data


def chunk(kind, columns, rows=0, first=0, time0=0, object0=0, flags=1, magic=b"hkCH", reserved=0, payload=None):
    data = b"".join(each[4] for each in columns)
    head = struct.pack("<4sHHIIQQQII", magic, kind, flags, len(columns), rows, first, time0, object0,
                       len(data) if payload is None else payload, reserved)
    return head + b"".join(struct.pack("<HBBIII", number, encoding, bits, count, len(content), 0)
                           for number, encoding, bits, count, content in columns) + data


def text_chunk(kind, value, rows=0, first=0, **changes):
    return chunk(kind, [column(1, TEXT, json.dumps(value).encode(), 1)], rows, first, **changes)


def frame(data, checksum=1):
    context = ctypes.c_void_p(_zstd.ZSTD_createCCtx())
    _zstd.ZSTD_CCtx_setParameter(context, _CHECKSUM, checksum)
    room = ctypes.create_string_buffer(_zstd.ZSTD_compressBound(ctypes.c_size_t(len(data))))
    size = _zstd.ZSTD_compress2(context, room, ctypes.c_size_t(len(room)), data, ctypes.c_size_t(len(data)))
    _zstd.ZSTD_freeCCtx(context)
    return room.raw[:size]


def skippable(magic, payload):
    return struct.pack("<II", magic, len(payload)) + payload


def identity(major=1, minor=0, flags=0, name=b"HAKTRACE"):
    return skippable(0x184D2A50, struct.pack("<8sHHIQ", name, major, minor, flags, 0x1122334455667788))


def index(chunks, frames, offset=32):
    """The index frame of frames that begin at offset."""
    payload = struct.pack("<8sII", b"HAKINDEX", len(frames), 0)
    for data, packed in zip(chunks, frames):
        _, kind, _, _, rows, first, time0 = struct.unpack_from("<4sHHIIQQ", data)
        payload += struct.pack("<QIHHQQII", offset, len(packed), kind, 0, first, time0, rows, 0)
        offset += len(packed)
    hashed = ctypes.CDLL("libxxhash.so.0").XXH64
    hashed.restype, hashed.argtypes = ctypes.c_uint64, [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]
    payload += struct.pack("<QI4s", hashed(payload, len(payload), 0), 8 + len(payload) + 16, b"HKIX")
    return skippable(0x184D2A51, payload)


def trace(chunks, indexed=True, head=None):
    """A file of these chunks."""
    frames = [frame(each) for each in chunks]
    return (identity() if head is None else head) + b"".join(frames) + (index(chunks, frames) if indexed else b"")


def meta():
    return text_chunk(META, META_KEYS)


def end(events, objects, threads=1, **keys):
    return text_chunk(END, dict({"events": events, "objects": objects, "threads": threads, "lost": 0, "late": 0, "unknown_frees": 0,
                                 "exit": "exited", "status": 0}, **keys))


def events(operations, first=0, time0=0, object0=0, **columns):
    """An EVENTS chunk: operations is [(op, thread, ticks)], columns what the ops ask for, by name."""
    numbers = {"object": (4, UVARINT), "size": (5, UVARINT), "align": (6, BYTES), "stack": (7, UVARINT), "address": (8, DELTA),
               "value": (9, UVARINT), "peer": (10, UVARINT), "entry": (11, BYTES)}
    parts = [column(1, BYTES, [op for op, _, _ in operations], 1), column(2, RUNS, [(thread, 1) for _, thread, _ in operations], 1),
             column(3, UVARINT, [ticks for _, _, ticks in operations], 1)]
    for name, (number, encoding) in numbers.items():
        if name in columns:
            parts.append(column(number, encoding, columns[name], 0 if name in ("stack", "address", "entry") else 1))
    return chunk(EVENTS, parts, len(operations), first, time0, object0)


def every_op():
    """Chunks with every operation once at least, stacks and modules, and a realloc that spans two chunks."""
    first = [(MALLOC, 0, 5), (CREATE, 0, 1), (START, 1, 0), (CALLOC, 1, 3), (ALIGNED, 1, 0), (USABLE, 0, 2), (RELEASE, 0, 1), (FREE, 1, 130)]
    second = [(ACQUIRE, 0, 4), (RELEASE, 0, 1), (REALLOC_FAIL, 0, 1), (ALLOC_FAIL, 1, 1), (FREE_NULL, 1, 0), (FREE_UNKNOWN, 1, 0),
              (LOST, 1, 7), (EXIT, 1, 1), (JOIN, 0, 2), (FORK, 0, 1), (FREE, 0, 1), (FREE, 0, 1)]
    return [
        meta(),
        text_chunk(MODULES, [{"name": "made", "build_id": "ab01", "size": 4096}, {"name": "libc.so.6", "build_id": "", "size": 9}], 2, 1),
        chunk(STACKS, [column(1, UVARINT, [1, 1, 3, 2], 1), column(2, UVARINT, [1, 2, 0, 1], 1), column(3, DELTA, [16, 2**63, 8, 400], 1)], 4, 1),
        text_chunk(INFO, {"threads": [{"thread": 1, "name": "worker", "os_id": 77}]}, flags=0),
        # objects 0 malloc, 1 calloc, 2 aligned; usable of 0: 2 - 0; release of 0; free of 1: 2 - 1
        events(first, size=[100, 2**40, 48, 300], align=[6], stack=[1, 2, 0, 4], object=[2, 2, 1], value=[112], peer=[1],
               address=[0x7F0000001000, 0x7E0000000010, 0x7F0000002040], entry=[1, 2, 6, 10]),
        # object 3 is the new block; it is released and stays; at the end 3 and 2 are freed
        events(second, 8, 142, 3, size=[2**62, 2**63], stack=[3, 2], object=[0, 0, 1], align=[0], value=[12, 25, 4321], peer=[1],
               address=[0x7F0000003000], entry=[3, 1, 10, 15, 10, 11]),
        end(20, 4, 2, lost=25),
    ]
