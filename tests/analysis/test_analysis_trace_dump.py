"""`trace_reader.py FILE` and `haktrace dump FILE`: two readers of one text, the same bytes out.

They are compared on hand-made and random traces, on every flipped byte and every cut of one of them,
and on all golden and corpus traces of the tree."""
import glob
import os
import random
import subprocess
import sys
import unittest

import testing
from made_traces import *

HAKTRACE = os.path.join(os.environ.get("HAK_BIN_DIR", ""), "haktrace")
READER = os.path.join(testing.ANALYSIS, "trace_reader.py")


def by_c(path, *options):
    done = subprocess.run([HAKTRACE, "dump", *options, path], capture_output=True)
    return done.returncode, done.stdout


def by_python(path, *options):
    done = subprocess.run([sys.executable, READER, *options, path], capture_output=True)
    return done.returncode, done.stdout


def in_process(path):
    """As by_python, without a new interpreter: for thousands of files."""
    import trace_reader
    import trace_text
    try:
        return 0, "".join(trace_text.line(event) + "\n" for event in trace_reader.Trace(path).events()).encode()
    except trace_reader.TraceError:
        return 2, b""


def write(content, name="dump.zst"):
    with open(name, "wb") as file:
        file.write(content)
    return name


class Dump(unittest.TestCase):
    def same(self, path, *options):
        theirs, ours = by_c(path, *options), by_python(path, *options)
        self.assertEqual(ours[0], theirs[0], path)
        if ours[1] != theirs[1]:  # a corpus trace is tens of megabytes of text: show where, not all
            pairs = zip(ours[1].splitlines(), theirs[1].splitlines())
            self.fail(f"{path}: " + next((f"{one} is not {other}" for one, other in pairs if one != other), "one is shorter"))
        return theirs

    def test_every_op(self):
        path = write(trace(every_op()))
        self.assertEqual(self.same(path)[1].count(b"\n"), 20)
        self.assertIn(b"libc.so.6+0x", self.same(path, "--stacks")[1])

    def test_odd_names_of_modules(self):
        rows = [{}, {"name": 5}, {"name": "é\n\x7fx y"}]
        stacks = chunk(STACKS, [column(1, UVARINT, [1, 1, 1, 1], 1), column(2, UVARINT, [1, 2, 3, 0], 1), column(3, DELTA, [9] * 4, 1)], 4, 1)
        path = write(trace([meta(), text_chunk(MODULES, rows, 3, 1), stacks, events([(MALLOC, 0, 1)], size=[1], stack=[4]), end(1, 1)]))
        self.assertIn("é??x y+0x9".encode(), self.same(path, "--stacks")[1])

    def test_random_traces(self):
        for seed in range(12):
            path = write(random_trace(random.Random(seed)), f"random{seed}.zst")
            self.assertEqual(self.same(path, "--stacks")[0], 0)

    def test_a_trace_that_is_cut_or_bent(self):
        whole = trace(every_op())
        step = 9 if os.environ.get("HAK_SANITIZE") else 2
        bent = [whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1:] for at in range(0, len(whole), step)]
        for number, content in enumerate(bent + [whole[:size] for size in range(0, len(whole), step)]):
            path = write(content)
            theirs, ours = by_c(path), in_process(path)
            self.assertEqual(ours[0], theirs[0], number)
            if ours[0] == 0:
                self.assertEqual(ours[1], theirs[1], number)

    def test_golden_and_corpus(self):
        paths = glob.glob(os.path.join(testing.SOURCE, "tests", "traces", "golden", "*.zst")) + \
            glob.glob(os.path.join(testing.SOURCE, "traces", "corpus", "*.zst"))
        if not paths:
            self.skipTest("no golden and no corpus trace in the tree yet")
        for path in paths:
            self.assertEqual(self.same(path, "--stacks")[0], 0)

    def test_bad_use(self):
        for arguments in (["no such file"], [], ["--colour", "x"], [write(b"junk")]):
            done = subprocess.run([sys.executable, READER, *arguments], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout, len(done.stderr.splitlines())), (2, "", 1), done.stderr)
            self.assertTrue(done.stderr.startswith("trace_reader.py: "))

    def test_a_reader_that_goes_away(self):
        path = write(random_trace(random.Random(1)))
        done = subprocess.run(["sh", "-c", f"{sys.executable} {READER} {path} | head -1"], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


def random_trace(chance):
    """A trace of several chunks that keeps the rules of the format, with every op and random numbers."""
    chunks, made, nodes = [meta()], 0, 0
    total = time = 0
    addresses = iter(range(0x10000, 2**62, 0x10000000))
    live, halves, threads = [], {}, 2
    for _ in range(chance.randrange(1, 5)):
        if chance.random() < .7:
            count = chance.randrange(1, 30)
            chunks.append(chunk(STACKS, [column(1, UVARINT, [chance.choice((1, nodes + row)) for row in range(1, count + 1)], 1),
                                         column(2, UVARINT, [0] * count, 1),
                                         column(3, DELTA, [chance.getrandbits(chance.randrange(1, 65)) for _ in range(count)], 1)], count, nodes + 1))
            nodes += count
        operations, columns, before = [], {name: [] for name in ("object", "size", "align", "stack", "address", "value", "peer", "entry")}, (time, made)
        for _ in range(chance.randrange(1, 400)):
            thread, ticks = chance.randrange(2), chance.choice((0, 1, 127, 128, chance.getrandbits(20)))
            op = chance.choice((ACQUIRE, ACQUIRE, REALLOC_FAIL)) if thread in halves else chance.choice(
                (MALLOC, MALLOC, CALLOC, ALIGNED, FREE, FREE, RELEASE, ALLOC_FAIL, USABLE, FREE_NULL, FREE_UNKNOWN, CREATE, LOST, FORK))
            if op in (FREE, RELEASE, USABLE):
                if not live:
                    continue
                which = live[-1] if op == USABLE else live.pop(chance.randrange(len(live)))
                columns["object"].append(made - 1 - which)
            if op == RELEASE:
                halves[thread] = which
            elif op == REALLOC_FAIL:
                live.append(halves.pop(thread))
            elif op == ACQUIRE:
                del halves[thread]
            if op in (MALLOC, CALLOC, ALIGNED, RELEASE, ALLOC_FAIL):
                columns["size"].append(chance.getrandbits(chance.randrange(1, 25)))
                columns["stack"].append(chance.randrange(nodes + 1))
            if op in (ALIGNED, ALLOC_FAIL):
                columns["align"].append(chance.randrange(13))
            if op in (MALLOC, CALLOC, ALIGNED, ACQUIRE):
                columns["address"].append(next(addresses))
                live.append(made)
                made += 1
            if op in (ALLOC_FAIL, USABLE, LOST, FORK):
                columns["value"].append(chance.getrandbits(30))
            if op == CREATE:
                columns["peer"].append(threads)
                threads += 1
            if op in (MALLOC, CALLOC, ALIGNED, ACQUIRE, ALLOC_FAIL, FREE, FREE_NULL, FREE_UNKNOWN):
                columns["entry"].append(chance.randrange(16))
            operations.append((op, thread, ticks))
            time += ticks
        if not operations:
            continue
        present = {name: values for name, values in columns.items() if values}
        for name in ("stack", "address", "entry"):
            if chance.random() < .2:
                present.pop(name, None)
        chunks.append(events(operations, total, *before, **present))
        total += len(operations)
    return trace(chunks + [end(total, made, threads)], indexed=chance.random() < .5)


if __name__ == "__main__":
    if not os.access(HAKTRACE, os.X_OK):
        print("skipped: no haktrace here; HAK_BIN_DIR names its folder")
        raise SystemExit(testing.SKIPPED)
    testing.main("numpy")
