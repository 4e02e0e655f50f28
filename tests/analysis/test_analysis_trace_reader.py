"""The Python trace reader, on traces made by hand from traces/FORMAT.md."""
import os
import random
import unittest

import testing
from made_traces import *


def reader():
    import trace_reader
    return trace_reader


def write(content, name="made.zst"):
    with open(name, "wb") as file:
        file.write(content)
    return name


def read(content):
    """(trace, [event]) of a file with this content."""
    opened = reader().Trace(write(content))
    return opened, list(opened.events())


class Refusing(unittest.TestCase):
    def refused(self, content, *words):
        with self.assertRaises(reader().TraceError) as caught:
            read(content)
        text = str(caught.exception)
        self.assertNotIn("\n", text)
        for word in ("made.zst", "offset ", "expected") + words:
            self.assertIn(word, text)

    def chunks_refused(self, middle, *words, events_read=1, objects=1):
        self.refused(trace([meta(), *middle, end(events_read, objects)]), *words)


class Reading(Refusing):
    def test_every_op(self):
        _, found = read(trace(every_op()))
        self.assertEqual([event.number for event in found], list(range(20)))
        self.assertEqual([event.time for event in found],
                         [5, 6, 6, 9, 9, 11, 12, 142, 146, 147, 148, 149, 149, 149, 156, 157, 159, 160, 161, 162])
        self.assertEqual([event.thread for event in found], [0, 0, 1, 1, 1, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0])
        self.assertEqual([event.object for event in found],
                         [0, None, None, 1, 2, 0, 0, 1, 3, 3, None, None, None, None, None, None, None, None, 3, 2])
        self.assertEqual([event.size for event in found if event.size is not None], [100, 2**40, 48, 300, 300, 2**62, 2**63])
        self.assertEqual([event.address for event in found if event.address], [0x7F0000001000, 0x7E0000000010, 0x7F0000002040, 0x7F0000003000])
        self.assertEqual([event.value for event in found if event.value is not None], [112, 12, 25, 4321])
        self.assertEqual([(event.op, event.align) for event in found if event.align is not None], [(ALIGNED, 6), (ALLOC_FAIL, 0)])
        self.assertEqual([event.peer for event in found if event.peer is not None], [1, 1])
        self.assertEqual([event.entry for event in found if event.entry is not None], [1, 2, 6, 10, 3, 1, 10, 15, 10, 11])

    def test_a_realloc_spans_two_chunks(self):
        _, found = read(trace(every_op()))
        self.assertEqual((found[6].op, found[8].op), (RELEASE, ACQUIRE))
        self.assertEqual((found[8].size, found[8].stack), (found[6].size, found[6].stack))

    def test_meta_end_modules_and_stacks(self):
        opened, _ = read(trace(every_op()))
        self.assertEqual((opened.meta, opened.end["lost"], opened.cut_bytes), (META_KEYS, 25, 0))
        self.assertEqual([module["name"] for module in opened.modules], ["made", "libc.so.6"])
        self.assertEqual(opened.stack(4), [(1, 2**63 - 2**63 + 400), (2, 2**63), (1, 16)])
        self.assertEqual((opened.stack(3), opened.stack(0)), ([(0, 8)], []))

    def test_columns_agree_with_events(self):
        opened, found = read(trace(every_op()))
        chunks = list(opened.chunks())
        self.assertEqual([chunk.first for chunk in chunks], [0, 8])
        for name in reader().Event._fields[1:]:
            values = [value for chunk in chunks for value in getattr(chunk, name).tolist()]
            absent = -1 if name == "object" else 0
            self.assertEqual(values, [absent if getattr(event, name) is None else getattr(event, name) for event in found], name)

    def test_optional_columns_may_be_missing(self):
        _, found = read(trace([meta(), events([(MALLOC, 0, 1), (FREE, 0, 1)], size=[7], object=[0]), end(2, 1)]))
        self.assertEqual([(event.stack, event.address, event.entry) for event in found], [(0, 0, 0), (None, None, 0)])

    def test_the_unknown_is_passed_over(self):
        plain = events([(MALLOC, 0, 1)], size=[7])
        extra = chunk(EVENTS, [column(1, BYTES, [MALLOC], 1), column(2, RUNS, [(0, 1)], 1), column(3, UVARINT, [1], 1),
                               column(5, UVARINT, [7], 1), column(11, BYTES, [99]), column(77, 200, b"???", 0)], 1)
        for made in ([meta(), plain, end(1, 1)], [meta(), extra, end(1, 1)], [meta(), chunk(900, [column(1, 9, b"x")], 5, 3, flags=0), plain, end(1, 1)]):
            found = read(trace(made))[1]
            self.assertEqual([(event.size, event.entry) for event in found], [(7, 0)])
        frames = [frame(part) for part in (meta(), plain, end(1, 1))]
        self.assertEqual(len(read(identity(minor=9) + skippable(0x184D2A5F, b"x") + b"".join(frames))[1]), 1)

    def test_beside_the_events(self):
        names = {"RESIDENT": (7, "event object pages resident"), "PROCESS": (8, "event time rss anonymous minor_faults major_faults"),
                 "MAPS": (9, "event time thread op address bytes protection flags stack")}
        uvarints = "pages resident thread op bytes protection flags stack".split()

        def side(name, rows, first=0, flags=0):
            kind, fields = names[name]
            return chunk(kind, [column(number, UVARINT if field in uvarints else DELTA, [row[number - 1] for row in rows], 1)
                                for number, field in enumerate(fields.split(), 1)], len(rows), first, flags=flags)

        two = events([(MALLOC, 0, 1), (FREE, 0, 1)], size=[7], object=[0])
        mapping = [2, 5, 0, 1, 2**46, 4096, 3, 34, 0]
        opened, _ = read(trace([meta(), two, side("RESIDENT", [(1, 0, 9, 3), (1, 0, 1, 1)]), side("PROCESS", [(0, 4, 2**40, 5, 6, 7)]),
                                side("MAPS", [mapping]), side("RESIDENT", [(2, 0, 2, 0)], 2), end(2, 1)]))
        self.assertEqual([tuple(row) for row in opened.resident], [(1, 0, 9, 3), (1, 0, 1, 1), (2, 0, 2, 0)])
        self.assertEqual([tuple(row) for row in opened.process], [(0, 4, 2**40, 5, 6, 7)])
        self.assertEqual([list(row) for row in opened.maps], [mapping])
        for wrong in (side("RESIDENT", [(3, 0, 1, 1)]), side("RESIDENT", [(1, 1, 1, 1)]), side("RESIDENT", [(1, 0, 1, 2)]),
                      side("RESIDENT", [(1, 0, 0, 0)]), side("RESIDENT", [(1, 0, 1, 1)], 1), side("RESIDENT", [(2, 0, 1, 1), (1, 0, 1, 1)]),
                      side("MAPS", [mapping[:3] + [6] + mapping[4:]]), side("MAPS", [mapping[:8] + [1]]), side("PROCESS", []),
                      chunk(7, [column(1, DELTA, [1], 1)], 1, flags=0)):
            self.chunks_refused([two, wrong], events_read=2, objects=1)

    def test_no_index_no_end(self):
        self.assertEqual(len(read(trace(every_op(), indexed=False))[1]), 20)
        opened, found = read(trace(every_op()[:-1], indexed=False))
        self.assertIsNone(opened.end)
        self.assertEqual(len(found), 20)

    def test_numbers_of_every_length(self):
        chance = random.Random(1)
        sizes = [2**bits - less for bits in range(64) for less in (0, 1)] + [2**64 - 1] + [chance.getrandbits(64) for _ in range(100)]
        addresses = [chance.getrandbits(chance.randrange(65)) for _ in sizes]
        _, found = read(trace([meta(), events([(MALLOC, 3, 2**40)] * len(sizes), size=sizes, address=addresses), end(len(sizes), len(sizes))]))
        self.assertEqual([(event.size, event.address) for event in found], list(zip(sizes, addresses)))
        self.assertEqual(found[-1].time, len(sizes) * 2**40)


class Cut(unittest.TestCase):
    def test_at_every_byte_the_events_are_a_prefix(self):
        whole = trace(every_op())
        _, expected = read(whole)
        counts = set()
        for size in range(len(whole)):
            try:
                opened, found = read(whole[:size])
            except reader().TraceError as error:
                self.assertIn("offset", str(error))
                self.assertLess(size, 32 + len(frame(meta())))
                continue
            self.assertEqual(found, expected[:len(found)])
            counts.add(len(found))
        self.assertEqual(counts, {0, 8, 20})

    def test_what_is_missing_is_counted(self):
        frames = [frame(part) for part in every_op()]
        opened, _ = read(identity() + b"".join(frames[:4]) + frames[4][:20])
        self.assertEqual((opened.cut_bytes, opened.end), (20, None))

    def test_a_flipped_bit_is_never_believed(self):
        whole = trace(every_op())
        _, expected = read(whole)
        refused = 0
        for at in range(len(whole)):
            bent = bytearray(whole)
            bent[at] ^= 1 << at % 8
            try:
                found = read(bytes(bent))[1]
                self.assertEqual(found, expected[:len(found)], at)
            except reader().TraceError:
                refused += 1
        self.assertGreater(refused, len(whole) * 9 // 10)


class Refusals(Refusing):
    def test_no_trace(self):
        for content in (b"", b"#!/bin/sh\n", os.urandom(100), frame(meta()), identity()[:31], identity(name=b"HAKTRASH") + frame(meta())):
            self.refused(content, "offset 0")
        self.refused(identity(), "META")

    def test_newer_and_odd_identity(self):
        self.refused(identity(major=2) + frame(meta()), "2.0", "1.x")
        self.refused(identity(flags=1) + frame(meta()), "flags")

    def test_frames(self):
        start, rest = identity() + frame(meta()), frame(end(0, 0))
        self.refused(start + b"junk" + rest, "a chunk or the index")
        self.refused(start + frame(end(0, 0), checksum=0), "checksum")
        self.refused(start + frame(b"\0" * 47), "content size")
        self.refused(trace([meta(), end(0, 0)]) + rest, "index")
        self.refused(trace([meta(), events([(START, 1, 0)])]), "END")
        chunks = [meta(), end(0, 0)]
        frames = [frame(part) for part in chunks]
        self.refused(identity() + b"".join(frames) + index(chunks, frames, 40), "frames before it")

    def test_chunk_headers(self):
        for change in ({"magic": b"hkXX"}, {"reserved": 1}, {"flags": 2}, {"payload": 1}, {"rows": 2**20 + 1}):
            self.chunks_refused([chunk(EVENTS, [], **change)])
        self.chunks_refused([chunk(INFO, [column(number, BYTES, b"") for number in range(65)])], "limits")
        self.chunks_refused([chunk(900, [])], "900")
        self.chunks_refused([chunk(EVENTS, [])], "row")
        self.chunks_refused([meta()], "META first")
        self.refused(trace([events([(START, 1, 0)]), end(1, 0)]), "META")
        self.refused(trace([meta(), end(0, 0), end(0, 0)]), "END last")

    def test_columns(self):
        op, thread, time = column(1, BYTES, [START], 1), column(2, RUNS, [(0, 1)], 1), column(3, UVARINT, [0], 1)
        for columns, word in (
                ([thread, op, time], "ascending"), ([op, op, thread, time], "ascending"), ([op, thread], "time"),
                ([op, thread, column(3, UVARINT, [0, 0], 1)], "time"), ([op, thread, column(3, DELTA, [0], 1)], "encoding"),
                ([op, thread, time, column(77, BYTES, [1], 1)], "column 77"), ([op, thread, column(3, UVARINT, [0], 2)], "reserved"),
                ([column(1, BYTES, [0], 1), thread, time], "operations"), ([column(1, BYTES, [18], 1), thread, time], "operations"),
                ([op, column(2, RUNS, [(0, 2)], 1), time], "thread"), ([op, column(2, RUNS, [(2**24, 1)], 1), time], "range"),
                ([op, column(2, RUNS, [(0, 1), (1, 0)], 1), time], "runs"), ([op, thread, time, column(5, UVARINT, [1], 1)], "size")):
            self.chunks_refused([chunk(EVENTS, columns, 1)], word)

    def test_numbers(self):
        op, thread = column(1, BYTES, [START], 1), column(2, RUNS, [(0, 1)], 1)
        for data in (b"", b"\x80", b"\x80\x00", b"\xff" * 9 + b"\x02", b"\x80" * 10 + b"\x01", b"\x01\x01"):
            self.chunks_refused([chunk(EVENTS, [op, thread, (3, UVARINT, 1, 1, data)], 1)], "column 3")

    def test_continuity(self):
        one = events([(MALLOC, 0, 5)], size=[1])
        for after in (events([(MALLOC, 0, 5)], 2, 5, 1, size=[1]), events([(MALLOC, 0, 5)], 1, 4, 1, size=[1]), events([(MALLOC, 0, 5)], 1, 5, 0, size=[1])):
            self.chunks_refused([one, after], events_read=2, objects=2)
        self.chunks_refused([one], "1 events and 1 objects", events_read=2)
        self.chunks_refused([one], "1 events and 1 objects", objects=0)
        self.chunks_refused([events([(START, 0, 2**63), (EXIT, 0, 2**63)])], "64 bits")

    def test_references(self):
        self.chunks_refused([events([(FREE, 0, 0)], object=[0])], "range")
        self.chunks_refused([events([(MALLOC, 0, 0), (FREE, 0, 0)], size=[1], object=[1])], "range")
        self.chunks_refused([events([(MALLOC, 0, 0)], size=[1], stack=[1])], "range")
        self.chunks_refused([events([(ALIGNED, 0, 0)], size=[1], align=[41])], "range")
        self.chunks_refused([events([(CREATE, 0, 0)], peer=[2**24])], "range")
        self.chunks_refused([events([(ACQUIRE, 0, 0)])], "REALLOC_RELEASE")
        self.chunks_refused([events([(MALLOC, 0, 0), (RELEASE, 0, 0), (REALLOC_FAIL, 1, 0)], size=[1, 1], object=[0])], "REALLOC_RELEASE")

    def test_stacks_and_modules(self):
        stacks = lambda parent, module, first=1: chunk(STACKS, [column(1, UVARINT, [parent], 1), column(2, UVARINT, [module], 1), column(3, DELTA, [1], 1)], 1, first)
        self.chunks_refused([stacks(0, 0)], "parents")
        self.chunks_refused([stacks(2, 0)], "parents")
        self.chunks_refused([stacks(1, 1)], "modules")
        self.chunks_refused([stacks(1, 0, 2)], "first = 1")
        self.chunks_refused([chunk(STACKS, [column(1, UVARINT, [1], 1)], 1, 1)], "3 columns")
        self.chunks_refused([text_chunk(MODULES, [{}], 2, 1)], "modules")
        self.chunks_refused([text_chunk(MODULES, {}, 1, 1)], "array")
        self.chunks_refused([text_chunk(MODULES, [1], 1, 1)], "array")

    def test_text(self):
        self.refused(trace([text_chunk(META, [])]), "JSON object")
        self.refused(trace([chunk(META, [column(1, TEXT, b"{")])]), "JSON object")
        self.refused(trace([chunk(META, [column(1, TEXT, b"[" * 100000)])]), "JSON object")
        self.refused(trace([chunk(META, [])]), "JSON object")
        for wrong in ({"format": "other"}, {"tick_ns": 0}, {"tick_ns": "1"}):
            self.refused(trace([text_chunk(META, META_KEYS | wrong), end(0, 0)]), "tick_ns")
        for wrong in (0, "1", None):
            self.refused(trace([text_chunk(META, META_KEYS | {"stamp_ticks_max": wrong}), end(0, 0)]), "stamp_ticks_max")


class Size(unittest.TestCase):
    def test_it_stays_small(self):
        with open(os.path.join(testing.ANALYSIS, "trace_reader.py"), encoding="utf-8") as file:
            lines = file.readlines()
        self.assertLessEqual(len(lines), 300)
        self.assertLessEqual(max(map(len, lines)), 141)


if __name__ == "__main__":
    testing.main("numpy")
