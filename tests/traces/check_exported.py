"""Exports of `haktrace export` against the trace's own figures (info --json, dump --json [--memory]).

Usage: check_exported.py NAME...   with NAME.info, NAME.dump NAME.memory and NAME.{csv,chrome,...} in the folder.
"""

import collections
import csv
import json
import sys


def lives_of(events):
    """(begin or end, object, size, stack node, frames) as haktrace(1) counts them."""
    live, released = {}, {}
    for event in events:
        op, thread = event["op"], event["thread"]
        if op in ("malloc", "calloc", "aligned"):
            live[event["object"]] = event["size"], event.get("stack", 0), event.get("frames", [])
            yield True, event["object"], live[event["object"]]
        elif op == "realloc-release":
            released[thread] = event["object"], event["size"], event.get("stack", 0), event.get("frames", [])
        elif op == "realloc-acquire":
            old, *new = released.pop(thread)
            yield False, old, live.pop(old)
            live[event["object"]] = tuple(new)
            yield True, event["object"], live[event["object"]]
        elif op == "free":
            yield False, event["object"], live.pop(event["object"])


def place_name(frame):
    name = frame["module"] or ("" if frame["offset"] else "[cut]")
    return f"{name}+0x{frame['offset']:x}" if frame["module"] else (name or f"?+0x{frame['offset']:x}")


class Sums:
    def __init__(self, events):
        self.bytes_by_stack, self.frames = collections.Counter(), {}
        self.begun = self.begun_bytes = self.live = self.live_bytes = self.peak = 0
        for begins, _, (size, stack, frames) in lives_of(events):
            sign = 1 if begins else -1
            self.live += sign
            self.live_bytes += sign * size
            self.peak = max(self.peak, self.live_bytes)
            if begins:
                self.begun += 1
                self.begun_bytes += size
                self.bytes_by_stack[stack] += size
                self.frames[stack] = [place_name(frame) for frame in frames]


def check_csv(name, events):
    rows = list(csv.DictReader(open(name + ".csv", newline="")))
    assert len(rows) == len(events)
    for row, event in zip(rows, events):
        assert row["op"] == event["op"] and int(row["number"]) == event["number"]
        for key in ("thread", "object", "size", "align", "value", "peer", "stack", "address"):
            assert row[key] == str(event.get(key, "")), (row, event, key)
        assert row["entry"] == event.get("entry", "")


def check_collapsed(name, sums):
    found = collections.Counter()
    for line in open(name + ".collapsed"):
        stack, _, size = line.rpartition(" ")
        found[stack] += int(size)
    wanted = collections.Counter()
    for stack, size in sums.bytes_by_stack.items():
        if size:
            wanted[";".join(reversed(sums.frames[stack])) if stack else "[no_stack]"] += size
    assert found == wanted, (found - wanted, wanted - found)


def check_chrome(name, info, sums, threads):
    events = json.load(open(name + ".chrome"))["traceEvents"]
    peak = max(event["args"]["bytes"] for event in events if event["name"] == "live")
    assert peak == sums.peak == info["peak_live_bytes"], (peak, sums.peak)
    assert max(event["args"]["bytes"] for event in events if event["name"] == "allocated") == sums.begun_bytes
    objects = max(event["args"]["objects"] for event in events if event["name"] == "live objects")
    assert objects == info["peak_live_objects"]
    assert {event["tid"] for event in events if event["ph"] == "X"} == threads
    named = [event["tid"] for event in events if event["name"] == "thread_name"]
    assert set(named) >= threads and len(named) == len(set(named)), named


def resident_pages(name):
    samples = [json.loads(line) for line in open(name + ".memory")]
    return [sample["rss"] // 4096 for sample in samples if sample["kind"] == "process"]


def check_heaptrack(name, info, sums, resident):
    kinds, live, peak, begun, pages = [], 0, 0, 0, []
    for line in open(name + ".heaptrack"):
        mode, *fields = line.split()
        if mode == "a":
            kinds.append(int(fields[0], 16))
        elif mode == "+":
            live += kinds[int(fields[0], 16)]
            begun += 1
        elif mode == "-":
            live -= kinds[int(fields[0], 16)]
        elif mode == "R":
            pages.append(int(fields[0], 16))
        peak = max(peak, live)
    assert (live, peak, begun) == (sums.live_bytes, info["peak_live_bytes"], sums.begun)
    assert pages == resident, (pages, resident)


def fields_of(message):
    """(field number, value) of a protocol buffer: integers, and bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = varint()
        assert key & 7 in (0, 2), key
        value = varint()
        if key & 7 == 2:
            at += value
            value = message[at - value:at]
            assert at <= len(message)
        yield key >> 3, value


def varints(data):
    value, shift = 0, 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            yield value
            value = shift = 0


def check_pprof(name, info, sums):
    messages = collections.defaultdict(list)
    for field, value in fields_of(open(name + ".pprof", "rb").read()):
        messages[field].append(value)
    strings = [value.decode() for value in messages[6]]
    assert strings[0] == ""
    functions = {(fields := dict(fields_of(message)))[1]: strings[fields[2]] for message in messages[5]}
    places = {(fields := dict(fields_of(message)))[1]: functions[dict(fields_of(fields[4]))[1]] for message in messages[4]}
    mappings = {dict(fields_of(message))[1] for message in messages[3]}
    modules = [strings[dict(fields_of(message))[5]] for message in messages[3]]
    assert info["program"] not in modules or modules[0] == info["program"], modules
    assert all(dict(fields_of(message)).get(2) in mappings | {None} for message in messages[4])
    totals, found = [0] * 4, collections.Counter()
    for message in messages[2]:
        fields = dict(fields_of(message))
        values = list(varints(fields[2]))
        totals = [a + b for a, b in zip(totals, values)]
        found[tuple(places[number] for number in varints(fields[1]))] += values[1]
    assert totals == [sums.begun, sums.begun_bytes, sums.live, sums.live_bytes], totals
    wanted = collections.Counter()
    for stack, size in sums.bytes_by_stack.items():
        wanted[tuple(sums.frames[stack]) if stack else ()] += size
    assert +found == +wanted


for trace in sys.argv[1:]:
    info = json.load(open(trace + ".info"))
    events = [json.loads(line) for line in open(trace + ".dump")]
    sums = Sums(events)
    check_csv(trace, events)
    check_collapsed(trace, sums)
    check_chrome(trace, info, sums, {event["thread"] for event in events})
    check_heaptrack(trace, info, sums, resident_pages(trace))
    check_pprof(trace, info, sums)
