#!/usr/bin/env python3
"""recorder_test.py NAME: one test of hakrec; runs in an empty folder of its own.

Owns: recording small programs (subject.c) and real ones, and judging their traces by what haktrace
says of them. Exit 0: passed, 77: skipped (says why), else failed. Words: a *trace* here is the path
of a .zst file; its *rows* are what `haktrace dump --json` writes, one dict an event.
"""
import collections
import contextlib
import glob
import json
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time

BUILD = os.environ["HAK_BUILD_DIR"]
HAKREC = os.environ["HAK_BIN_DIR"] + "/hakrec"
HAKTRACE = os.environ["HAK_BIN_DIR"] + "/haktrace"
SUBJECT = BUILD + "/tests/bin/recorder_subject"
STACKS = BUILD + "/tests/bin/recorder_stacks"
HARD = BUILD + "/tests/bin/recorder_hard_cases"
STATIC = BUILD + "/tests/bin/recorder_static"
LIBRARIES = BUILD + "/tests/lib/librecorder_"


class Skip(Exception):
    pass


def check(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(part) for part in what))


def run(*command, **keywords):
    keywords.setdefault("stdin", subprocess.DEVNULL)
    environment = dict(os.environ, **keywords.pop("environment", {}))
    return subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          env=environment, **keywords)


def record(*command, options=(), **keywords):
    """Records to t.zst."""
    return run(HAKREC, "-o", "t.zst", *options, *command, **keywords)


def subject(*arguments, **keywords):
    return record(SUBJECT, *arguments, **keywords)


def rows(trace="t.zst"):
    result = run(HAKTRACE, "dump", "--json", trace)
    check(result.returncode == 0, "haktrace dump", trace, result.stderr)
    return [json.loads(line) for line in result.stdout.splitlines()]


def info(trace="t.zst"):
    result = run(HAKTRACE, "info", "--json", trace)
    check(result.returncode == 0, "haktrace info", trace, result.stderr)
    return json.loads(result.stdout)


def end_of(trace="t.zst"):
    """The trace's END, which `zstd -dc` shows as the last JSON text of the file."""
    data = subprocess.run(["zstd", "-dcq", trace], capture_output=True).stdout
    start = data.rindex(b'{"events"')
    return json.loads(data[start:data.rindex(b"}") + 1])


def meta_of(trace="t.zst"):
    """The trace's META, which `zstd -dc` shows as the first JSON text of the file."""
    data = subprocess.run(["zstd", "-dcq", trace], capture_output=True).stdout
    return json.JSONDecoder().raw_decode(data[data.index(b'{"format"'):].decode("utf-8", "ignore"))[0]


def verified(trace="t.zst", lost=0):
    result = run(HAKTRACE, "verify", trace)
    check(result.returncode == 0, "haktrace verify", trace, result.stdout, result.stderr)
    end = end_of(trace)
    check(end["lost"] == lost, "lost", end["lost"])
    check(end["recorder"]["unseen_frees"] == 0, "unseen frees", end)
    return end


def ops(trace="t.zst"):
    return collections.Counter(row["op"] for row in rows(trace))


def children():
    return sorted(glob.glob("t.*.zst"))


def sizes(trace="t.zst"):
    return collections.Counter(row["size"] for row in rows(trace) if row["op"] == "malloc")


# ---------------------------------------------------------------- what is recorded


def same_behaviour():
    """Output, errno and exit status are as without hakrec."""
    plain = run(SUBJECT, "calls")
    recorded = subject("calls", options=["-q"])
    check(plain.returncode == 42 == recorded.returncode, recorded.returncode, recorded.stderr)
    check(plain.stdout == recorded.stdout, plain.stdout, "but recorded", recorded.stdout)
    check(recorded.stderr == "", recorded.stderr)
    check(end_of()["exit"] == "exited" and end_of()["status"] == 42, end_of())


def every_entry_point():
    """Each call of `subject calls` is in its trace, as what FORMAT.md says."""
    subject("calls")
    verified()
    found = collections.Counter((row["op"], row.get("entry")) for row in rows())
    for op, entry in [("malloc", "malloc"), ("calloc", "calloc"), ("free", "realloc"),
                      ("malloc", "realloc"), ("realloc-acquire", "realloc"),
                      ("realloc-acquire", "reallocarray"), ("realloc-fail", None), ("usable", None),
                      ("free-null", "free"), ("alloc-fail", "reallocarray"),
                      ("alloc-fail", "malloc"), ("alloc-fail", "calloc"),
                      ("aligned", "memalign"), ("aligned", "aligned_alloc"),
                      ("aligned", "posix_memalign"), ("aligned", "valloc"),
                      ("aligned", "pvalloc"), ("alloc-fail", "posix_memalign")]:
        names = {(o, (e or "").replace("-", "_") or None) for o, e in found}
        check((op, entry) in names, op, entry, "not among", sorted(map(str, found)))
    failed = [row for row in rows() if row["op"] == "alloc-fail"]
    check(all(row["value"] in (12, 22) for row in failed), failed)


def counts_of(trace):
    """Calls by entry point, as the counting shim names them."""
    found = collections.Counter()
    for row in rows(trace):
        entry = row.get("entry")
        if row["op"] == "realloc-release" or (entry == "realloc" and
                                              not row["op"].startswith("realloc")):
            found["realloc"] += 1
        elif row["op"] in ("malloc", "calloc", "aligned"):
            found[row["op"]] += 1
        elif row["op"].startswith("free"):
            found["free"] += 1
    return dict(found)


def counted_program(*command):
    """As many events as an independent counter sees calls: all, none twice."""
    shim = LIBRARIES + "count_shim.so"
    plain = run(*command, environment={"LD_PRELOAD": shim, "HAK_COUNT_FILE": "counts"})
    counts = struct.unpack("5Q", open("counts", "rb").read())
    expected = dict(zip(("malloc", "free", "calloc", "realloc", "aligned"), counts))
    expected = {kind: count for kind, count in expected.items() if count}
    check(sum(counts) > 100, "the shim counted", expected, plain.stderr)
    result = record(*command)
    check(result.returncode == 0, result.stderr)
    verified()
    check(counts_of("t.zst") == expected, "recorded", counts_of("t.zst"), "counted", expected)


def counted():
    counted_program(SUBJECT, "churn", "200000")


def count_perl():
    if not shutil.which("perl"):
        raise Skip("no perl")
    os.environ["PERL_HASH_SEED"] = "0"
    counted_program("perl", "-e", "my %h; $h{$_ x 3} = [1..$_ % 50] for 1..3000; print %h ? 1 : 0")


def count_git():
    if not shutil.which("git"):
        raise Skip("no git")
    run("git", "init", "-q", "repository")
    open("repository/file", "w").write("text\n" * 1000)
    # --no-ext-diff and no pager: one process
    counted_program("git", "-C", "repository", "hash-object", "file")


def options():
    """Stacks, addresses, ticks and usage errors."""
    subject("churn", "1000", options=["--stacks=none"])
    check(all(row.get("stack", 0) == 0 for row in rows()), "stacks")
    os.remove("t.zst")
    subject("churn", "1000", options=["--stacks=caller", "--addresses", "--tick=1us"])
    verified()
    check(info()["stacks"] != 0, info())
    check(any(row.get("address", 0) for row in rows()), "addresses")
    for wrong in ("--stacks=some", "--tick=0us", "--tick=3", "--nonsense"):
        check(run(HAKREC, wrong, "true").returncode == 2, wrong)
    check(run(HAKREC).returncode == 2, "no program")
    check(run(HAKREC, "--version").stdout.startswith("hakrec "), "version")
    check("--stacks" in run(HAKREC, "--help").stdout, "help")


# ---------------------------------------------------------------- order


def handoff():
    """Blocks handed from thread to thread: not one stamp is inverted."""
    subject("handoff", "100000", options=["--addresses", "--stacks=none"])
    end = verified()
    check(end["recorder"]["skewed"] == 0 and end["unknown_frees"] == 0, end)
    check(sizes()[64] >= 100000, "hand-offs", sizes()[64])


def stamps():
    """The reason for rdtscp: it is never inverted. How often rdtsc is, is reported, not judged."""
    rdtscp = run(BUILD + "/tests/bin/recorder_stamp_order")
    rdtsc = run(BUILD + "/tests/bin/recorder_stamp_order_rdtsc")
    print("rdtscp:", rdtscp.stdout, "rdtsc:", rdtsc.stdout)
    check(rdtscp.returncode == 0 and rdtsc.returncode == 0, rdtscp.stderr, rdtsc.stderr)
    check(int(rdtscp.stdout.split()[0]) == 0, "inverted", rdtscp.stdout)


def handoff_monotonic():
    """The other clock orders as well."""
    subject("handoff", "30000", environment={"HAKREC_CLOCK": "monotonic"})
    end = verified()
    check(end["recorder"]["skewed"] == 0 and end["unknown_frees"] == 0, end)
    check(b'"clock":"monotonic"' in subprocess.run(["zstd", "-dcq", "t.zst"],
                                                    capture_output=True).stdout, "clock")


def stamp_uncertainty():
    """META tells how far times of two threads may deceive, in ticks of the trace."""
    for tick, ticks in (("10us", range(2, 4)), ("1ns", range(3, 20002))):
        subject("calls", options=[f"--tick={tick}", "-f"])
        check(meta_of()["stamp_ticks_max"] in ticks, meta_of())


def cross_thread():
    """Four threads that free and realloc each other's blocks: every block's life is whole."""
    subject("exchange", "100000", options=["--addresses"])
    end = verified()
    check(end["unknown_frees"] == 0 and end["threads"] == 5, end)
    check(info()["cross_thread_frees"] > 100000, info()["cross_thread_frees"])


def thread_edges():
    """CREATE before START, START first, EXIT before JOIN, one number a thread."""
    subject("threads", "64")
    # What libunwind and the linker keep for a thread is freed with it, and is not the program's.
    check(verified()["unknown_frees"] == 0, end_of())
    place = collections.defaultdict(dict)
    first = {}
    for number, row in enumerate(rows()):
        first.setdefault(row["thread"], row["op"])
        if row["op"] in ("thread-create", "thread-join"):
            place[row["peer"]][row["op"]] = number
        elif row["op"] in ("thread-start", "thread-exit"):
            place[row["thread"]][row["op"]] = number
    check(sorted(place) == list(range(1, 65)), "threads", sorted(place))
    for thread, at in place.items():
        order = [at[op] for op in ("thread-create", "thread-start", "thread-exit", "thread-join")]
        check(order == sorted(order) and first[thread] == "thread-start", thread, at)


def memory_rows(trace="t.zst"):
    """The rows beside the events, by kind."""
    result = run(HAKTRACE, "dump", "--memory", "--json", trace)
    check(result.returncode == 0, "haktrace dump --memory", trace, result.stderr)
    found = collections.defaultdict(list)
    for line in result.stdout.splitlines():
        row = json.loads(line)
        found[row["kind"]].append(row)
    return found


def resident():
    """Of blocks of a page or more, one in so many is looked at before it is given up."""
    # Written in part, each in a mapping of its own: what is resident is what was written.
    own_mapping = {"MALLOC_MMAP_THRESHOLD_": "65536"}
    subject("memory", "2000", options=["--resident=4"], environment=own_mapping)
    end, looked_at = verified(), memory_rows()["resident"]
    check(meta_of()["resident_every"] == 4, meta_of())
    check(350 < len(looked_at) < 650, len(looked_at), "of 2000, one in four wanted")
    check(end["recorder"]["resident_calls"] == len(looked_at), end["recorder"])
    found = collections.Counter((row["pages"], row["resident"]) for row in looked_at)
    # The first page has the allocator's header before it, the one behind the last was not written.
    check(found == {(64, 16): len(looked_at)}, found)
    events = rows()
    for row in looked_at:
        free = events[row["event"]]
        check(free["op"] == "free" and free["object"] == row["object"], row, free)
    run("rm", "t.zst")
    subject("memory", "2000", options=["--resident=0"], environment=own_mapping)
    check(verified()["recorder"]["resident_calls"] == 0 and not memory_rows()["resident"], "asked for none")


def process_samples():
    """The process's memory and faults are looked at now and then, and rise as they do."""
    code = "import time\nx = []\nfor i in range(20): x.append(bytearray(b'x' * 4000000)); time.sleep(0.02)\ntime.sleep(0.2)"
    record("/usr/bin/python3", "-S", "-c", code, options=["--samples=10ms"])
    verified()
    found = memory_rows()["process"]
    check(len(found) >= 5, found)
    check(max(row["rss"] for row in found) - found[0]["rss"] > 60e6, "80 MB were written", found)
    check(all(0 < row["anonymous"] < row["rss"] for row in found), found)
    for key in ("event", "time", "minor_faults", "major_faults"):
        values = [row[key] for row in found]
        check(values == sorted(values), key, values)
    check(info()["memory"]["rss_bytes_max"] == max(row["rss"] for row in found), info()["memory"])
    run("rm", "t.zst")
    record("/usr/bin/python3", "-S", "-c", code, options=["--samples=0"])
    check(not memory_rows()["process"], "asked for none")


def maps():
    """Memory that the program maps itself, if asked for; its calls are as they were."""
    plain = run(SUBJECT, "memory", "3")
    check(subject("memory", "3").stdout == plain.stdout, plain.stdout)
    check(not memory_rows()["maps"] and meta_of()["maps"] is False, "not asked for")
    run("rm", "t.zst")
    check(subject("memory", "3", options=["--maps"]).stdout == plain.stdout, plain.stdout)
    verified()
    found = memory_rows()["maps"]
    told = [(row["op"], row["bytes"]) for row in found]
    check(told == [("map", 32768), ("map", 4096), ("move-from", 32768), ("move-to", 1024 * 4096),
                   ("unmap", 1024 * 4096), ("unmap", 1), ("unmap", 4096), ("kept", 4096)], told)
    check(found[0]["address"] == found[2]["address"] and found[3]["address"] == found[4]["address"], found)
    check(found[0]["protection"] == 3 and found[0]["flags"] == 0x22, found[0])
    check(all(row["stack"] > 0 for row in found), "who called", found)


def thread_churn():
    """More threads than there are rings."""
    subject("threads", "12000", options=["--stacks=none"])
    end = verified()
    check(end["threads"] == 12001, end["threads"])
    check(end["recorder"]["rings"] < 4096, "rings are used again", end["recorder"]["rings"])


def thread_c11():
    subject("threads-c11")
    verified()
    found = ops()
    for op in ("thread-create", "thread-start", "thread-exit", "thread-join"):
        check(found[op] == 1, op, found)


def destructor():
    """What a thread's destructors free comes before its EXIT."""
    subject("destructor")
    verified()
    trace = rows()
    created = [row["object"] for row in trace if row.get("size") == 77]
    freed = [i for i, row in enumerate(trace) if row["op"] == "free" and row["object"] in created]
    ended = [i for i, row in enumerate(trace) if row["op"] == "thread-exit"]
    check(len(freed) == 1 and freed[0] < ended[0], freed, ended)


# ---------------------------------------------------------------- processes


def fork():
    """A fork child has a trace of its own, from its first event, and the parent's is unharmed."""
    result = subject("fork")
    check(result.returncode == 0, result.stderr)
    end = verified()
    check(end["unknown_frees"] == 0 and ops()["fork"] == 1, end)
    check(len(children()) == 1, children())
    child = verified(children()[0])
    check(sizes(children()[0])[2000] == 10 and sizes()[2000] == 0, sizes(children()[0]))
    check(child["unknown_frees"] == 1 and child["exit"] == "exited" and child["status"] == 5, child)
    fork_row = [row for row in rows() if row["op"] == "fork"][0]
    check(f"t.{fork_row['value']}.zst" == children()[0], fork_row)


def fork_threads():
    """Forks while another thread is in the middle of everything."""
    result = subject("fork-threads", "100")
    check(result.returncode == 0, result.returncode, result.stderr)
    verified()
    check(len(children()) == 100, len(children()))
    for child in children():
        verified(child)
        check(sizes(child)[3000] == 1, child, sizes(child))


def fork_background():
    """The launcher does not wait for a descendant; the drainer does."""
    result = subject("fork-background", "500")
    check("still running" in result.stderr, result.stderr)
    verified()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (children() and info(children()[0])["complete"]):
        time.sleep(0.1)
    verified(children()[0])
    check(sizes(children()[0])[50] == 500, sizes(children()[0])[50])


def fork_silent():
    """A child that has not allocated anything yet when its parent ends is waited for too."""
    result = subject("fork-silent")
    check("1 process is still running" in result.stderr, result.stderr)
    verified()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (children() and info(children()[0])["complete"]):
        time.sleep(0.1)
    verified(children()[0])
    check(sizes(children()[0])[51] == 1, rows(children()[0]))


def exec():
    """The image before an exec is whole, the one after it has a trace of its own."""
    result = subject("exec", SUBJECT)
    check(result.returncode == 0, result.stderr)
    check(verified()["exit"] == "exec" and sizes()[3001] == 1, end_of())
    check(len(children()) == 1, children())
    check(f"it then ran another program by exec: see {children()[0]})" in result.stderr,
          result.stderr)
    check(f"{children()[0]}: recorder_subject: " in result.stderr, result.stderr)
    check(verified(children()[0])["exit"] == "exited", end_of(children()[0]))


def vfork():
    result = subject("vfork", SUBJECT)
    check(result.returncode == 0, result.stderr)
    verified()
    check(sizes()[3002] == 1 and len(children()) == 1, children())
    verified(children()[0])


def scripts():
    """A script is recorded as its interpreter; many children make one line."""
    with open("script", "w") as script:
        script.write("#!/bin/sh\n" + f"{SUBJECT} churn 100 | cat >/dev/null\n" * 4)
    os.chmod("script", 0o755)
    result = record("./script")
    check(result.returncode == 0, result.stderr)
    for trace in ["t.zst"] + children():
        verified(trace)
    check(len(children()) >= 8 and "in all" in result.stderr, children(), result.stderr)


# ---------------------------------------------------------------- ends


def killed():
    """kill -9 at random moments: the trace is complete but for what no thread had published."""
    for i in range(5):
        process = subprocess.Popen([HAKREC, "-o", "t.zst", "-f", SUBJECT, "forever", "count"],
                                   stderr=subprocess.PIPE, text=True)
        while not os.path.exists("count") or os.path.getsize("count") == 0:
            time.sleep(0.001)
        time.sleep(random.uniform(0.02, 0.3))
        program = next(iter(descendants(process.pid, "recorder_subjec")))
        os.kill(program, signal.SIGKILL)
        check(process.wait() == -signal.SIGKILL, process.returncode)
        counted_calls = struct.unpack("Q", open("count", "rb").read(8))[0]
        end = verified()
        check(end["exit"] == "killed", end)
        found = info()["by_op"]
        recorded = found["malloc"] + found["free"]
        print("round", i, "calls", counted_calls, "events", end["events"])
        # The C library's start makes a few calls of its own; none of the program's may miss.
        check(recorded >= counted_calls > 0, "recorded", recorded, "of", counted_calls)
        os.remove("count")


def descendants(pid, name):
    """Processes whose parent is `pid` and whose short name is `name`."""
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            text = open(path).read()
        except OSError:
            continue
        if text[text.index("(") + 1:text.rindex(")")] == name and \
                int(text[text.rindex(")") + 2:].split()[1]) == pid:
            yield int(text.split()[0])


def crash():
    result = subject("crash")
    check(result.returncode == -signal.SIGABRT, result.returncode)
    end = verified()
    check(end["exit"] == "signalled" and end["status"] == signal.SIGABRT, end)
    check(sizes()[3004] == 1, "the last calls")


def quick_exit():
    check(subject("quick").returncode == 6, "status")
    check(sizes()[3003] == 1 and verified()["status"] == 6, "the last calls")


def close_all():
    """A program that closes every descriptor."""
    check(subject("close-all", "20000").returncode == 9, "status")
    verified()
    check(sizes()[100] == 20000, sizes()[100])


def signal_handler():
    """Handlers that allocate while the recorder is at work: every call is there, in order."""
    shim = LIBRARIES + "safe_malloc.so"
    # Not through the launcher's own environment: it may be built with a sanitizer.
    result = record("sh", "-c", f'LD_PRELOAD="$LD_PRELOAD:{shim}" exec {SUBJECT} signals 400000')
    check(result.returncode == 0, result.stderr)
    runs = int(result.stdout)
    trace = children()[0]
    end = verified(trace)
    found = sizes(trace)
    print("handler runs", runs, "deferred", end["recorder"]["deferred"], "guarded",
          end["recorder"]["guarded"])
    check(runs > 100, "the handler hardly ran:", runs)
    check(found[4000] == found[4001] == runs and found[100] == 400000, runs, found[4000],
          found[4001], found[100])
    check(end["unknown_frees"] == 0, end)


# ---------------------------------------------------------------- hard cases


def wait_until(holds, seconds=60):
    """Waits for what must come; the time is only to end a test that has failed."""
    deadline = time.monotonic() + seconds
    while not holds():
        check(time.monotonic() < deadline, "it did not come")
        time.sleep(0.02)


def is_complete(trace):
    return run(HAKTRACE, "info", "--json", trace).returncode == 0 and info(trace)["complete"]


def spawn():
    """A posix_spawn is an image of its own; the parent's events are as before."""
    result = record(HARD, "spawn")
    check(result.returncode == 0, result.stderr)
    verified()
    check(sizes()[3101] == 5 and sizes()[3100] == 0, sizes())
    check(len(children()) == 1, children())
    verified(children()[0])
    check(sizes(children()[0])[3100] == 7, sizes(children()[0]))


def daemonise():
    """Forked twice, without a terminal, an open file or its folder: recorded to its end."""
    result = record(HARD, "daemonise", "50")
    check(result.returncode == 0, result.returncode, result.stderr)
    check(verified()["unknown_frees"] == 0 and sizes()[3102] == 3, sizes())
    wait_until(lambda: any(is_complete(child) and sizes(child)[3103] for child in children()))
    daemon = [child for child in children() if sizes(child)[3103]]
    check(len(daemon) == 1 and sizes(daemon[0])[3103] == 50, daemon)
    verified(daemon[0])


def chroot():
    """After chroot, in the process and in a child that it forks there."""
    if os.geteuid() != 0:
        raise Skip("it takes root to change the root")
    result = record(HARD, "chroot", "5000")
    check(result.returncode == 0, result.returncode, result.stderr)
    check(verified()["unknown_frees"] == 0 and sizes()[3105] == 5000, sizes())
    check(len(children()) == 1 and sizes(children()[0])[3106] == 5000, children())
    verified(children()[0])


def sandbox():
    """A seccomp filter that kills for whatever malloc and free do not need themselves."""
    plain = run(HARD, "sandbox", "10")
    if plain.returncode == 77:
        raise Skip("no seccomp filters here")
    check(plain.returncode == 0, plain.returncode)
    result = record(HARD, "sandbox", "50000")
    check(result.returncode == 0, result.returncode, result.stderr)
    verified()
    check(sizes()[3107] == 50000, sizes()[3107])


def out_of_memory():
    """Calls that fail are events; the recorder itself takes nothing of what is left."""
    result = record(HARD, "out-of-memory")
    check(result.returncode == 0, result.returncode, result.stderr)
    verified()
    found = ops()
    check(found["alloc-fail"] == 1 and found["realloc-fail"] == 10, found)
    check(sizes()[3108] == 3 and sizes()[100000] > 50, sizes())


def many_threads():
    """1,000 threads at one time, each with a ring of its own."""
    result = record(HARD, "many-threads", "1000")
    if result.returncode == 1:
        raise Skip("the system allows no 1,000 threads")
    end = verified()
    check(end["threads"] == 1001 and end["recorder"]["rings"] >= 1001, end)
    check(sizes()[3109] == 4000 and ops()["thread-exit"] == 1000, sizes()[3109])


def resident_kilobytes(pid, name):
    """What a process has in memory of the mappings whose line in smaps ends so."""
    total, counts = 0, False
    for line in open(f"/proc/{pid}/smaps"):
        head = line.split()[0]
        if "-" in head and not head.endswith(":"):
            counts = name in line
        elif counts and head == "Rss:":
            total += int(line.split()[1])
    return total


def thread_memory():
    """The shared mapping is at most 16 MB and 128 KB a thread, however long the program runs."""
    process = subprocess.Popen([HAKREC, "-q", "-o", "t.zst", HARD, "phases", "20000"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for _ in range(5):
        process.stdin.write("on\n")
        process.stdin.flush()
        process.stdout.readline()
    program = next(iter(descendants(process.pid, "recorder_hard_c")))
    shared = resident_kilobytes(program, "memfd:hakrec")
    process.communicate()
    print("one thread's mapping:", shared, "KiB")
    check(64 <= shared <= (16 << 10) + 128, shared)
    check(info()["by_op"]["malloc"] >= 100000, info())


def realloc_race():
    """Blocks that other threads have just had are grown, moved, shrunk, failed and freed."""
    result = record(HARD, "realloc-race", "30000")
    check(result.returncode == 0, result.stderr)
    end = verified()
    check(end["unknown_frees"] == 0 and end["recorder"]["skewed"] == 0, end)
    found = ops()
    check(found["realloc-acquire"] > 10000 and found["realloc-fail"] > 1000, found)


def stopped_threads():
    """A thread that stands still, wherever it is, holds up neither the others nor the order."""
    result = record(HARD, "stopped-threads", "60")
    check(result.returncode == 0, result.stderr)
    end = verified()
    check(end["unknown_frees"] == 0, end)
    print("late", end["late"], "events", end["events"])


def stopped_process():
    """SIGSTOP and SIGCONT at any moment."""
    process = subprocess.Popen([HAKREC, "-q", "-o", "t.zst", SUBJECT, "exchange", "20000"])
    wait_until(lambda: list(descendants(process.pid, "recorder_subjec")) or
               process.poll() is not None)
    for _ in range(20):
        for program in descendants(process.pid, "recorder_subjec"):
            with contextlib.suppress(ProcessLookupError): # it may end on the way
                os.kill(program, signal.SIGSTOP)
                time.sleep(0.01)
                os.kill(program, signal.SIGCONT)
        time.sleep(0.005)
    check(process.wait() == 0, process.returncode)
    check(verified()["unknown_frees"] == 0, end_of())


def slow_disk():
    """A drainer that cannot write for a while: the program waits, which is counted, and nothing
    is lost."""
    process = subprocess.Popen([HAKREC, "-q", "-o", "t.zst", HARD, "steady", "5000"])
    wait_until(lambda: [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
                        if is_drainer_here(pid)] and os.path.exists("t.zst") and
               os.path.getsize("t.zst") > 0)
    drainer = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
               if is_drainer_here(pid)][0]
    os.kill(drainer, signal.SIGSTOP)
    time.sleep(1)
    os.kill(drainer, signal.SIGCONT)
    check(process.wait() == 4, process.returncode)
    end = verified()
    check(end["recorder"]["stalled_ns"] > 500_000_000, end)


def file_limit():
    """RLIMIT_FSIZE: one line, the program goes on, what was written is readable."""
    limit = 200_000
    result = record(SUBJECT, "churn", "2000000",
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    if "cannot set up the recording" in result.stderr:
        limit = 1 << 30 # the mapping itself is a file: it has to fit
        print("the shared mapping does not fit the limit")
    check(result.returncode == 0, result.returncode, result.stderr)
    check(result.stderr.count("\n") <= 2 and
          ("are lost" in result.stderr or "cannot set up" in result.stderr), result.stderr)
    if os.path.exists("t.zst"):
        check(run(HAKTRACE, "info", "t.zst").returncode == 0, "readable")
        os.remove("t.zst")
    # The shared mapping is a file as well: with fewer rings it fits this one.
    limit = 12 << 20
    result = record(SUBJECT, "threads", "8",
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    check(result.returncode == 0 and verified()["threads"] == 9, result.stderr)


def closed_pipe():
    """Nobody reads what hakrec says: it still ends as the program does."""
    reader, writer = os.pipe()
    process = subprocess.Popen([HAKREC, "-o", "t.zst", SUBJECT, "quick"], stderr=writer)
    os.close(writer)
    os.close(reader)
    check(process.wait() == 6, process.returncode)
    verified()


def drainers_here():
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
            if is_drainer_here(pid)]


def calls_counted():
    try:
        return struct.unpack("Q", open("count", "rb").read(8))[0]
    except (OSError, struct.error):
        return 0


def calls_recorded():
    """Calls in the trace so far, which must open; None if the file has nothing yet."""
    if not os.path.exists("t.zst") or os.path.getsize("t.zst") == 0:
        return None
    found = info()["by_op"]
    return found.get("malloc", 0) + found.get("free", 0)


def kill_program(launcher, program):
    os.kill(program, signal.SIGKILL)
    check(launcher.wait() == -signal.SIGKILL, launcher.returncode)
    recorded, counted = calls_recorded(), calls_counted()
    check(recorded is not None or counted == 0, "no trace, but calls:", counted)
    if recorded is not None:
        verified()
        check(recorded >= counted, "recorded", recorded, "of", counted)
    return max(0, counted - (recorded or 0))


def kill_launcher(launcher, program):
    os.kill(launcher.pid, signal.SIGKILL)
    launcher.wait()
    before = calls_counted()
    wait_until(lambda: calls_counted() > before + 1000)
    os.kill(program, signal.SIGKILL)
    wait_until(lambda: not drainers_here() or is_complete("t.zst"))
    verified()
    check(calls_recorded() >= calls_counted(), calls_recorded(), calls_counted())
    return 0


def kill_drainer(launcher, program):
    """Its file holds what was done up to 100 ms before; the program goes on."""
    drainers = drainers_here()
    before = calls_counted()
    time.sleep(0.1)
    for drainer in drainers:
        os.kill(drainer, signal.SIGKILL)
    after = calls_counted()
    wait_until(lambda: calls_counted() > after + 1000)
    recorded = calls_recorded()
    os.kill(program, signal.SIGKILL)
    launcher.wait()
    check(recorded is not None or before == 0, "no trace, but calls:", before)
    return max(0, before - (recorded or 0))


def kill_soak():
    """kill -9 of the program, the launcher or the drainer at a random moment, again and again
    (HAK_KILLS rounds): every file opens, and what was done is in it."""
    kinds = [kill_program, kill_launcher, kill_drainer]
    missing, rounds = collections.Counter(), collections.Counter()
    seed = int(os.environ.get("HAK_SEED", time.time_ns() % 1000000))
    chance = random.Random(seed)
    for i in range(int(os.environ.get("HAK_KILLS", 30))):
        for path in ["count", *glob.glob("t*.zst")]:
            if os.path.exists(path):
                os.remove(path)
        kind = chance.choice(kinds)
        launcher = subprocess.Popen([HAKREC, "-q", "-o", "t.zst", SUBJECT, "forever", "count"],
                                    stderr=subprocess.DEVNULL)
        wait_until(lambda: list(descendants(launcher.pid, "recorder_subjec")))
        program = next(iter(descendants(launcher.pid, "recorder_subjec")))
        if kind is not kill_program: # before, there is nothing to go on or to be told of
            wait_until(lambda: calls_counted() > 0)
        time.sleep(chance.uniform(0, 0.2))
        missing[kind.__name__] += kind(launcher, program) > 0
        rounds[kind.__name__] += 1
        wait_until(lambda: not drainers_here())
    print("seed", seed, "rounds", dict(rounds), "with something missing", dict(missing))
    check(missing["kill_program"] == missing["kill_launcher"] == 0, missing)


def event_soak():
    """Hand-offs, realloc races and thread churn, HAK_EVENTS of each: not one anomaly."""
    events = int(os.environ.get("HAK_EVENTS", 1_000_000))
    total = 0
    for command in ([SUBJECT, "exchange", events // 14], [HARD, "realloc-race", events // 16],
                    [SUBJECT, "handoff", events // 2], [SUBJECT, "threads", events // 50],
                    [SUBJECT, "fork-threads", events // 5000]):
        result = record(*command, options=["-f", "--stacks=none"])
        check(result.returncode == 0, command, result.stderr)
        for trace in ["t.zst"] + children():
            end = verified(trace)
            check(end["recorder"]["skewed"] == 0, end)
            check(end["unknown_frees"] == 0 or trace != "t.zst", end)
            total += end["events"]
            os.remove(trace)
        print(command[1], "so far", total, "events", flush=True)


# ---------------------------------------------------------------- parts of a run


def call_seconds():
    """When the first and the last call of malloc were, after the program's start."""
    times = [row["time"] for row in rows() if row["op"] == "malloc"]
    return times[0] * 1e-5, times[-1] * 1e-5


def delay():
    """What comes before --delay is not recorded, what comes after is."""
    record(HARD, "timed", "30", options=["--delay=700ms"])
    check(verified()["threads"] == 1, end_of())
    check(call_seconds()[0] > 0.6 and sizes()[3230] == 10, call_seconds(), sizes())


def duration():
    record(HARD, "timed", "30", options=["--duration=700ms"])
    verified()
    check(sizes()[3201] == 10 and sizes()[3230] == 0, call_seconds(), sizes())
    os.remove("t.zst")
    record(HARD, "timed", "40", options=["--delay=500ms", "--duration=1s"])
    verified()
    check(call_seconds()[0] > 0.4 and sizes()[3240] == 0 and sum(sizes().values()) > 10,
          call_seconds(), sizes())
    for wrong in (["--delay=0s"], ["--duration=never"], ["--switch=KILL"], ["--paused"],
                  ["--paused", "--switch=USR1", "--delay=1s"]):
        check(run(HAKREC, *wrong, "true").returncode == 2, wrong)


def switch():
    """--switch's signal pauses and goes on; the program does not get it."""
    process = subprocess.Popen([HAKREC, "-q", "--paused", "--switch=USR1", "-o", "t.zst", HARD,
                                "phases", "1000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               text=True)

    def phase():
        process.stdin.write("on\n")
        process.stdin.flush()
        process.stdout.readline()

    phase()
    for _ in range(3):
        process.send_signal(signal.SIGUSR1)
        time.sleep(1) # ten times as long as it takes on a machine with time to spare
        phase()
    process.communicate()
    check(process.returncode == 0, process.returncode)
    end = verified()
    found = sizes()
    check([found[size] for size in range(3110, 3114)] == [0, 1000, 0, 1000], found, end)


def on_terminal(command, lines=30, columns=200, **keywords):
    """What is said on a terminal of that size that is standard error, and the exit status."""
    import fcntl
    import pty
    import termios
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    process = subprocess.Popen(command, stderr=theirs, **keywords)
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 4096):
            said += part
    except OSError:
        pass # the terminal's other end is closed
    return said, process.wait()


def live_view():
    """--live draws while the program runs, and comes to the figures that haktrace top has."""
    run(HAKREC, "-f", "-o", "t.zst", "true") # another trace under that name must not be shown
    for command in (["sh", "-c", "sleep 1.2; exit 7"], [HARD, "steady", "2000"], [SUBJECT, "handoff", "20000"]):
        said, status = on_terminal([HAKREC, "-f", "-o", "t.zst", "--live", *command])
        check(command[0] != "sh" or status == 7, command, status, said)
        drawn, ended = said.rsplit(b"\033[r", 1) # from here on the terminal scrolls as a whole
        check(b"\033[1;18r" in drawn and b"\033[1;" not in ended, "given back", said)
        figures = run(HAKTRACE, "top", "t.zst").stdout.splitlines()[1]
        check(f"hakrec: {figures}".encode() in ended, figures, ended)
        check(b" M/s, 0 lost" in drawn, drawn)
        if "steady" in command:
            views = [int(part.split()[-1]) for part in drawn.split(b" events, ")[:-1]]
            check(len(views) >= 3 and views == sorted(views) and 0 < views[-1] <= info()["events"], views)
    top = run(HAKTRACE, "top", "t.zst").stdout
    found = info()
    share = 100 * found["cross_thread_frees"] / found["frees"]
    check(share > 10 and f", {share:.1f} % of frees by another thread" in top, share, top)
    said, status = on_terminal([HAKREC, "-f", "-o", "t.zst", "--live", "true"], lines=12)
    check(status == 2 and b"16 lines" in said, "a small terminal", status, said)
    check(run(HAKREC, "-f", "-o", "t.zst", "--live", "true").returncode == 2, "no terminal")
    check(on_terminal([HAKREC, "--live", "-q", "true"])[1] == 2, "--live --quiet")


def status_line():
    """On a terminal, and not with --quiet."""
    for options, expected in (([], True), (["-q"], False)):
        said, _ = on_terminal([HAKREC, "-f", "-o", "t.zst", *options, HARD, "steady", "2000"])
        found = b" M/s, " in said and b" bits/event, " in said and b" s stalled" in said
        check(found == expected, options, said)
    check(b"M/s" not in subprocess.run([HAKREC, "-f", "-o", "t.zst", HARD, "steady", "1500"],
                                       capture_output=True).stderr, "not a terminal")


# ---------------------------------------------------------------- modules and unwinders


def modules():
    """Modules that stand at the same addresses one after the other are told apart."""
    first, second = LIBRARIES + "module.so", LIBRARIES + "other_module.so"
    result = subject("modules", first + "," + second)
    check(result.returncode == 0, result.stderr)
    check(len(set(result.stdout.split())) == 1, "not at the same place", result.stdout)
    verified()
    text = run(HAKTRACE, "dump", "--stacks", "t.zst").stdout
    innermost = [block.splitlines()[1] for block in text.split(" size=5000 ")[1:]]
    found = [line.split()[-1].split("+")[0] for line in innermost]
    check(found == ["librecorder_module.so", "librecorder_other_module.so",
                    "librecorder_module.so"], found)


def stacks_named():
    """A full stack leads from the call through main into libc."""
    subject("calls")
    text = run(HAKTRACE, "dump", "--stacks", "t.zst").stdout
    block = text[text.index("size=100 "):]
    block = block[:block.index("free")]
    check("recorder_subject" in block and "libc.so.6" in block, block)
    check("libhakrec" not in text, "own frames are dropped")


def no_unwinder():
    """Without libunwind stacks are full all the same; only nobody checks them."""
    os.mkdir("libraries")
    open("libraries/libunwind.so.8", "w").close()
    subject("calls")
    usual = sorted((row["size"], frames_of(row["size"])) for row in rows()
                   if row["op"] == "malloc" and row["size"] in (100, 0))
    result = record("env", f"HAK=1", SUBJECT, "calls", options=["-f"],
                    environment={"LD_LIBRARY_PATH": os.getcwd() + "/libraries",
                                 "HAKREC_STACK_CHECK": "1"})
    check(result.returncode == 42, result.stderr)
    trace = "t.zst" if info()["program"] == "recorder_subject" else children()[0]
    end = verified(trace)
    check(end["recorder"]["stacks_checked"] == 0, end)
    found = sorted((row["size"], frames_of(row["size"], trace)) for row in rows(trace)
                   if row["op"] == "malloc" and row["size"] in (100, 0))
    check(found == usual and all(len(frames) > 3 for _, frames in found), usual, found)


# ---------------------------------------------------------------- stacks, each taken twice


def checked_stacks(*command, least, shorter=0, options=(), environment=None):
    """Every stack is also taken by the full unwinder: not one may differ."""
    result = record(*command, options=["-f", *options],
                    environment=dict(environment or {}, HAKREC_STACK_CHECK="1"))
    check(result.returncode == 0, command, result.returncode, result.stderr)
    for trace in ["t.zst"] + children():
        said = verified(trace)["recorder"]
        print(command[0], trace, {key: said[key] for key in said if "stack" in key or "frame" in key})
        check(said["stacks_wrong"] == 0 and said["stacks_shorter"] <= shorter, command, said)
        least -= said["stacks_checked"]
    check(least <= 0, command, "stacks that were not checked:", least)
    return end_of()["recorder"]


def stack_shapes():
    said = checked_stacks(STACKS, "shapes", "20000", least=20000)
    check(said["stacks_unwound"] == 0, "left to the full unwinder", said)


def stack_callers():
    """Callers that differ in one saved frame pointer are told apart."""
    checked_stacks(STACKS, "one-place", "8000", least=7990)
    found = collections.Counter(str(frames) for frames in stacks_of())
    check(sorted(found.values())[-4] > 1000, found)


def stack_threads():
    checked_stacks(STACKS, "threads", "40", least=40 * 51)


def stack_handlers():
    checked_stacks(STACKS, "handlers", "500", least=1000)


def stack_fibers():
    """Stacks that are unmapped and mapped again: nothing is read that is not there."""
    checked_stacks(STACKS, "fibers", "300", least=1800)


def stack_generated():
    """Code made at run time: its frame pointer is followed if it has one; if not, the stack says
    that it ends there."""
    result = record(STACKS, "generated", "1")
    check(result.returncode == 0, result.returncode, result.stderr)
    verified()
    framed, junk = frames_of(6000), frames_of(7000)
    named = [module for module, _ in framed]
    check(named[1] == 0 and named[0] == named[2] == named[3] != 0 and framed[-1] != (0, 0), framed)
    check(junk[-1] == (0, 0) and len(junk) == 3, junk)


def stack_unloading():
    """While a module is being unloaded nothing is taken from a cache."""
    said = checked_stacks(STACKS, "unloading", "200", LIBRARIES + "module.so", least=300)
    check(said["frames_spelled"] > 0, "no stack was taken meanwhile", said)


def stack_spelled():
    """Stacks that the table of places has no room for are as whole as others."""
    command = [STACKS, "shapes", "2000"]
    record(*command)
    usual = collections.Counter(str(frames) for frames in stacks_of())
    said = checked_stacks(*command, least=2000, environment={"HAKREC_STACK_PLACES": "10"})
    check(said["frames_spelled"] > 1000 and said["stack_places"] <= 10, said)
    found = collections.Counter(str(frames) for frames in stacks_of())
    check(found == usual, len(found), "stacks, expected", len(usual))


def stack_programs():
    """Real programs: every stack of theirs."""
    if shutil.which("perl"):
        checked_stacks("perl", "-e", "my %h; $h{$_ x 3} = [1..$_ % 50] for 1..2000", least=5000)
    if os.path.exists("/usr/bin/python3"):
        checked_stacks("/usr/bin/python3", "-c", "import json; json.dumps([{}] * 1000)",
                       environment={"PYTHONMALLOC": "malloc"}, least=5000)
    if shutil.which("g++"):
        with open("program.cc", "w") as source:
            source.write("#include <map>\nint main() { std::map<int, int> m; return m[1]; }\n")
        checked_stacks("g++", "-c", "program.cc", least=20000)


def throwing_plugin():
    """A C program's C++ plugin throws, and its unwinder is still libgcc's."""
    compiler = shutil.which("g++") or shutil.which("c++")
    if not compiler:
        raise Skip("no C++ compiler")
    with open("plugin.cc", "w") as source:
        source.write("""#include <dlfcn.h>
#include <stdexcept>
#include <string>
#include <unwind.h>
extern "C" int plugin_throws() {
    try { throw std::runtime_error(std::string(100, 'x')); }
    catch (const std::exception &e) { return std::string(e.what()).size() == 100; }
}
extern "C" const char *plugin_unwinder() {
    static Dl_info where;
    dladdr((void *)&_Unwind_RaiseException, &where);
    return where.dli_fname;
}
""")
    built = run(compiler, "-shared", "-fPIC", "-o", "plugin.so", "plugin.cc")
    check(built.returncode == 0, built.stderr)
    plain = run(SUBJECT, "plugin", "./plugin.so")
    recorded = subject("plugin", "./plugin.so")
    check(plain.stdout.startswith("1 ") and "libgcc_s" in plain.stdout, plain.stdout)
    check(recorded.stdout == plain.stdout, plain.stdout, "but recorded", recorded.stdout)
    verified()


# ---------------------------------------------------------------- bad input


def refused(exit_code, text, *command, **keywords):
    before = sorted(os.listdir("."))
    result = run(HAKREC, *command, **keywords)
    check(result.returncode == exit_code, command, result.returncode, result.stderr)
    check(text in result.stderr and result.stderr.count("\n") == 1, command, result.stderr)
    check(sorted(os.listdir(".")) == before, "files left behind", os.listdir("."))


def refused_programs():
    refused(127, "no such program", "./missing")
    refused(127, "no such program", "surely-no-such-program")
    open("text", "w").write("text")
    refused(126, "executable", "./text")
    refused(126, "executable", "/")
    refused(125, "statically linked", STATIC, "calls")
    with open("static-script", "w") as script:
        script.write(f"#!{STATIC}\n")
    os.chmod("static-script", 0o755)
    refused(125, "statically linked", "./static-script")
    open("empty", "w").close()
    os.chmod("empty", 0o755)
    refused(126, "cannot be run", "./empty")
    shutil.copy(SUBJECT, "setuid")
    if os.geteuid() != 0:
        print("set-uid not tested: it takes root to make such a file")
        return
    os.chown("setuid", 65534, 65534)
    os.chmod("setuid", 0o4755)
    refused(125, "set-uid", "./setuid", "calls")
    os.chmod("setuid", 0o2755)
    refused(125, "set-gid", "./setuid", "calls")


def refused_outputs():
    refused(125, "cannot be written", "-o", "missing/t.zst", SUBJECT, "calls")
    refused(125, "cannot be written", "-o", "/proc/t.zst", SUBJECT, "calls")
    open("t.zst", "w").write("precious")
    refused(125, "exists already", "-o", "t.zst", SUBJECT, "calls")
    check(open("t.zst").read() == "precious", "the file was touched")
    refused(127, "no such program", "-f", "-o", "t.zst", "./missing")
    check(open("t.zst").read() == "precious", "the file was touched")
    check(run(HAKREC, "-f", "-o", "t.zst", SUBJECT, "calls").returncode == 42, "--force")
    verified()
    refused(125, "regular file", "-f", "-o", "/dev/null", SUBJECT, "calls")


def refused_options():
    """One line that names the option, says what was expected, and nothing is run."""
    refused(2, "hakrec: --bogus: unknown option (see hakrec --help)", "--bogus", SUBJECT)
    refused(2, "hakrec: -x: unknown option (see hakrec --help)", "-qx", SUBJECT)
    refused(2, "hakrec: --quiet=1: it takes no value", "--quiet=1", SUBJECT)
    refused(2, "hakrec: --tick: its value is missing", "--tick")
    refused(2, "hakrec: -x: unknown option", "--quiet", "-xq", SUBJECT)
    refused(2, "hakrec: -qo: its value is missing", "-qo")
    refused(2, "--tick=2s: expected a time from 1ns to 1s", "--tick=2s", SUBJECT)
    refused(2, "--flush=0s: expected a time from 1ns to 3600s", "--flush=0s", SUBJECT)
    refused(125, "--library=missing: No such file", "--library=missing", SUBJECT)
    for other in ("/etc/passwd", SUBJECT, HAKREC, LIBRARIES + "module.so", "/"):
        refused(125, f"--library={other}: expected a libhakrec.so", f"--library={other}", SUBJECT)
    library = os.environ["HAK_BIN_DIR"] + "/../lib/libhakrec.so"
    check(run(HAKREC, f"--library={library}", SUBJECT, "calls").returncode == 42, "--library")


def refused_set_up():
    """Trouble that shows once the program runs is told, once, and does not change its end."""
    if os.environ["HAK_SANITIZE"]:
        raise Skip("the launcher's sanitizer does not start without room for files of its own")
    result = subject("calls", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)))
    check(result.returncode == 42, result.returncode, result.stderr)
    check("cannot set up the recording" in result.stderr, result.stderr)
    check(result.stderr.count("\n") == 1 and not os.path.exists("t.zst"), result.stderr)


def default_name():
    for expected in ("trace.zst", "trace.1.zst", "trace.2.zst"):
        result = run(HAKREC, SUBJECT, "calls")
        check(expected in result.stderr and os.path.exists(expected), result.stderr)
        verified(expected)
    quiet = run(HAKREC, "-q", SUBJECT, "calls")
    check(quiet.stderr == "hakrec: trace.zst exists: writing trace.3.zst\n", quiet.stderr)


def full_disk():
    """The program neither notices nor waits; the user gets one line."""
    if os.geteuid() != 0:
        raise Skip("it takes root to mount a small disk")
    os.mkdir("small")
    if run("mount", "-t", "tmpfs", "-o", "size=64k", "none", "small").returncode != 0:
        raise Skip("cannot mount a small disk")
    try:
        result = run(HAKREC, "-o", "small/t.zst", SUBJECT, "churn", "2000000")
        check(result.returncode == 0, result.returncode, result.stderr)
        check(result.stderr.count("are lost") == 1, result.stderr)
        check("small/t.zst" in result.stderr, result.stderr)
        check(run(HAKTRACE, "info", "small/t.zst").returncode == 0, "what was written is readable")
    finally:
        run("umount", "small")


def drainer_killed():
    """Killing the drainer ends the recording and nothing else."""
    process = subprocess.Popen([HAKREC, "-o", "t.zst", SUBJECT, "slow", "1000"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(0.3)
    drainers = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
                if is_drainer_here(pid)]
    check(len(drainers) == 1, drainers)
    os.kill(drainers[0], signal.SIGKILL)
    output, errors = process.communicate()
    check(output == "finished\n" and process.returncode == 3, output, process.returncode)
    check("drainer was killed" in errors, errors)
    found = info()
    check(not found["complete"] and found["events"] > 1000, found)


def is_drainer_here(pid):
    try:
        return open(f"/proc/{pid}/comm").read() == "hakrec-drain\n" and \
            os.readlink(f"/proc/{pid}/cwd") == os.getcwd()
    except OSError:
        return False


def signals_to_launcher():
    """SIGTERM to hakrec reaches the program, and hakrec ends as it does."""
    process = subprocess.Popen([HAKREC, "-o", "t.zst", SUBJECT, "forever", "count"],
                               stderr=subprocess.PIPE)
    while not os.path.exists("count") or os.path.getsize("count") == 0:
        time.sleep(0.01)
    process.terminate()
    check(process.wait() == -signal.SIGTERM, process.returncode)
    end = verified()
    check(end["exit"] == "signalled" and end["status"] == signal.SIGTERM, end)


def other_preload():
    """Another preloaded allocator serves the program, and is recorded."""
    if os.environ["HAK_SANITIZE"]:
        raise Skip("the launcher's sanitizer does not bear another preloaded library")
    shim = LIBRARIES + "count_shim.so"
    result = subject("churn", "1000", environment={"LD_PRELOAD": shim, "HAK_COUNT_FILE": "counts"})
    check(result.returncode == 0, result.stderr)
    verified()
    check(sum(struct.unpack("5Q", open("counts", "rb").read())) > 1000, "not served by it")
    check(sum(ops().values()) > 1000, "not recorded")


def own_malloc():
    """A program with a malloc of its own is named."""
    with open("own.c", "w") as source:
        source.write("""#include <stddef.h>
static char memory[1 << 20];
static size_t used;
void *malloc(size_t n) { char *p = memory + used; used += (n + 31) & ~15ul; return p; }
void free(void *p) { (void)p; }
int main(void) { return malloc(10) == NULL; }
""")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise Skip("no C compiler")
    built = run(compiler, "-fno-builtin", "-rdynamic", "-o", "own", "own.c")
    check(built.returncode == 0, built.stderr)
    result = record("./own")
    check(result.returncode == 0 and "its own malloc" in result.stderr, result.stderr)
    check(end_of()["recorder"]["own_malloc"] == "own", end_of())
    note = "the program brings its own malloc (own): its calls are not in this trace"
    for command in ("info", "verify"):
        shown = run(HAKTRACE, command, "t.zst")
        check(shown.returncode == 0 and note in shown.stdout, shown.stdout)
        check(json.loads(run(HAKTRACE, command, "--json", "t.zst").stdout)["note"] == note, command)
    check("own malloc" not in subject("calls", options=["-f"]).stderr, "a false alarm")
    check(info()["note"] is None, info())


def own_operator_new():
    """An allocator's own operator new is named where a module calls it, and only there."""
    compiler = shutil.which("g++")
    if not compiler:
        raise Skip("no C++ compiler")
    with open("allocator.cc", "w") as source:
        source.write("""#include <cstddef>
static char memory[1 << 20];
static size_t used;
static void *take(size_t n) { char *p = memory + used; used += (n + 31) & ~15ul; return p; }
extern "C" void *malloc(size_t n) { return take(n); }
extern "C" void free(void *) {}
void *operator new(size_t n) { return take(n); }
void operator delete(void *) noexcept {}
void operator delete(void *, size_t) noexcept {}
""")
    with open("c.cc", "w") as source:
        source.write("#include <cstdlib>\nint main() { std::free(std::malloc(10)); }\n")
    with open("cxx.cc", "w") as source:
        source.write("int main() { delete new int; }\n")
    built = run(compiler, "-fno-builtin", "-shared", "-fPIC", "-o", "liballocator.so",
                "allocator.cc")
    check(built.returncode == 0, built.stderr)
    for name in ("c", "cxx"):
        built = run(compiler, "-O0", "-fno-builtin", "-o", name, name + ".cc", "-L.",
                    "-Wl,--no-as-needed,-rpath,$ORIGIN", "-lallocator")
        check(built.returncode == 0, built.stderr)
    result = record("./c")
    check(result.returncode == 0 and "not seen" not in result.stderr, result.stderr)
    check(sizes()[10] == 1, sizes())
    result = record("./cxx", options=["-f"])
    check("C++ operator new of liballocator.so is not seen" in result.stderr, result.stderr)
    check(info()["note"] == "C++ operator new of liballocator.so is not in this trace", info())


def address_limit():
    """A program with little address space is recorded with fewer rings."""
    result = run("sh", "-c", f"ulimit -v 400000; exec {SUBJECT} exchange 20000")
    if result.returncode != 0:
        raise Skip("the program itself does not run within the limit")
    result = record("sh", "-c", f"ulimit -v 400000; exec {SUBJECT} exchange 20000")
    check(result.returncode == 0 and len(children()) == 1, result.stderr)
    end = verified(children()[0])
    check(end["threads"] == 5 and end["unknown_frees"] == 0, end)


def redaction():
    """No environment, no paths, unless asked for."""
    os.environ["SECRET_OF_THE_USER"] = "surely-not-stored"
    subject("calls", "/home/somebody/file", "--file=/home/somebody/other")
    text = subprocess.run(["zstd", "-dcq", "t.zst"], capture_output=True).stdout
    for secret in (b"surely-not-stored", b"somebody", BUILD.encode()):
        check(secret not in text, secret)
    check(b'"--file=other"' in text and b'"recorder_subject"' in text, "names")
    os.remove("t.zst")
    subject("calls", "/home/somebody/file", options=["--no-redact"])
    text = subprocess.run(["zstd", "-dcq", "t.zst"], capture_output=True).stdout
    check(b"/home/somebody/file" in text and BUILD.encode() in text, "--no-redact")


def read_trace(trace):
    sys.path.insert(0, os.environ["HAK_SOURCE_DIR"] + "/analysis")
    try:
        import trace_reader
    except ImportError:
        raise Skip("no numpy for the trace reader in Python")
    return trace_reader.Trace(trace)


def frames_of(size, trace="t.zst"):
    """[(module, offset)], innermost first, of the allocation of this size."""
    trace = read_trace(trace)
    nodes = [event.stack for event in trace.events() if event.size == size and event.op == 1]
    check(len(nodes) == 1, "allocations of", size, nodes)
    return trace.stack(nodes[0])


def stacks_of():
    """The stack of every allocation, in order."""
    trace = read_trace("t.zst")
    return [trace.stack(event.stack) for event in trace.events() if event.op == 1]


def deep_stacks():
    """A stack is whole up to 192 frames, and a deeper one says that it was cut."""
    subject("deep", "100")
    verified()
    whole = frames_of(6000)
    check(101 < len(whole) < 192 and (0, 0) not in whole, whole)
    subject("deep", "1000", options=["-f"])
    verified()
    cut = frames_of(6000)
    check(len(cut) == 193 and cut[-1] == (0, 0) and (0, 0) not in cut[:-1], cut)


# ---------------------------------------------------------------- real programs


def python3():
    if not os.path.exists("/usr/bin/python3"):
        raise Skip("no /usr/bin/python3")
    program = """
import json, threading, subprocess
def work():
    for i in range(300):
        json.loads(json.dumps({"a": [str(j) for j in range(i)]}))
threads = [threading.Thread(target=work) for _ in range(3)]
[t.start() for t in threads]
[t.join() for t in threads]
print(subprocess.run(["/bin/echo", "child"], capture_output=True).stdout)
"""
    result = record("/usr/bin/python3", "-c", program, environment={"PYTHONMALLOC": "malloc"})
    check(result.returncode == 0 and "child" in result.stdout, result.stderr)
    end = verified()
    check(end["unknown_frees"] == 0 and end["threads"] >= 4, end)
    check(any("echo" == info(child)["program"] for child in children()), children())


def compiler():
    if not shutil.which("g++"):
        raise Skip("no g++")
    with open("program.cc", "w") as source:
        source.write("#include <map>\n#include <string>\nint main() {"
                     " std::map<std::string, int> m; m[\"a\"] = 1; return m.size() - 1; }\n")
    result = record("g++", "-O1", "-o", "program", "program.cc")
    check(result.returncode == 0, result.stderr)
    check(run("./program").returncode == 0, "the compiled program")
    programs = [info(trace)["program"] for trace in ["t.zst"] + children()]
    check("cc1plus" in programs and "collect2" in programs, programs)
    for trace in ["t.zst"] + children():
        end = verified(trace)
        check(end["unknown_frees"] == 0 or len(rows(trace)) < 100, trace, end)


def bench():
    """bench/recorder measures, and its figures are of the runs that it made."""
    if os.environ["HAK_SANITIZE"]:
        raise Skip("figures of a build with sanitizers mean nothing")
    script = os.environ["HAK_SOURCE_DIR"] + "/bench/recorder"
    result = run(script, "--build", os.path.dirname(os.environ["HAK_BIN_DIR"]), "--runs", "1", "--rows", "calls",
                 "--no-heaptrack", "--json", "bench.json")
    check(result.returncode == 0, result.stdout, result.stderr)
    found = json.load(open("bench.json"))["rows"]["calls"]
    check(list(found) == ["plain", "none", "full"], found)
    check(found["full"]["events"] >= 6_000_000 and found["full"]["lost"] == 0, found)
    check(found["full"]["cpu_seconds"] > found["plain"]["cpu_seconds"] > 0, found)
    check(run(script, "--rows", "nonsense").returncode == 2, "a wrong row")


def main():
    test = globals().get(sys.argv[1])
    if test is None:
        sys.exit(f"no such test: {sys.argv[1]}")
    if not shutil.which("zstd"):
        print("skipped: no zstd program to look into traces with")
        sys.exit(77)
    # The drainer has no terminal: what a sanitizer says of it goes to files.
    for name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"):
        os.environ[name] = "log_path=" + os.path.abspath("sanitizer")
    try:
        test()
        reports = "".join(open(path).read() for path in glob.glob("sanitizer.*"))
        check(not reports, reports[:5000])
    except Skip as reason:
        print("skipped:", reason)
        sys.exit(77)


if __name__ == "__main__":
    main()
