"""hakreplay measure: what it plays, what it says of allocators that fail, what it refuses."""

import json
import os
import re
import subprocess
import sys

HAKREPLAY = os.path.join(os.environ["HAK_BIN_DIR"], "hakreplay")
MAKE_TRACE = os.path.join(os.environ["HAK_BUILD_DIR"], "tests/bin/make_trace")
CORPUS = os.path.join(os.environ["HAK_SOURCE_DIR"], "traces/corpus")
FAULTY = sys.argv[1]
OK, FOUND, USAGE = 0, 1, 2


class Run:
    def __init__(self, trace, *arguments, fault="", after=0, digest="", **variables):
        environment = dict(os.environ, FAULT=fault, FAULT_AFTER=str(after), DIGEST_FILE=digest,
                           **variables)
        if os.path.exists("out.json"):
            os.remove("out.json")
        done = subprocess.run([HAKREPLAY, "measure", "--idle=0", "--reps=1", "--quiet", "-o",
                               "out.json", *arguments, trace], capture_output=True, text=True,
                              env=environment)
        self.status, self.err = done.returncode, done.stderr
        self.result = None
        if os.path.exists("out.json"):
            with open("out.json") as file:
                self.result = json.load(file)

    def subject(self, name):
        return next(s for s in self.result["subjects"] if s["name"] == name)


def make_trace(kind, operations=6000, tweak=""):
    path = f"{kind}{operations}{tweak}.zst"
    subprocess.run([MAKE_TRACE, kind, path, str(operations), "1", tweak], check=True)
    return path


def check(condition, what):
    assert condition, what


def test_every_workload_plays():
    for kind in "hand-over", "ping-pong", "larson", "mixed", "single":
        trace = make_trace(kind, 2500)
        ways = [["--threads=1"], ["--threads=2"], ["--hold=0"], ["--touch=none"], ["--touch=30%"]]
        for extra in [[], *(ways if kind in ("larson", "mixed") else [])]:
            run = Run(trace, "--allocator=glibc,mf2", *extra)
            check(run.status == OK and run.err == "", f"{kind} {extra}: {run.status}: {run.err}")
            for name in "null", "glibc", "mf2":
                subject = run.subject(name)
                check(subject["failure"] is None and len(subject["repetitions"]) == 1,
                      f"{kind} {extra} {name}: {subject['failure']}")
                check(subject["repetitions"][0]["wall_ns"] > 0, "no time was taken")


def test_corpus_plays():
    for name in "git-grep", "larson", "mailbox", "python-queue":
        run = Run(os.path.join(CORPUS, name + ".zst"), "--allocator=glibc,mf2")
        check(run.status == OK and run.err == "", f"{name}: {run.status}: {run.err}")
        check(run.result["settings"]["left_out"] == 0, f"{name}: operations were left out")


def test_all_plays_make_the_same_calls():
    """The play that checks contents, the one for time and the one that times calls."""
    seen = set()
    for kind, tweak in (("single", ""), ("mixed", ""), ("single", "wide"), ("larson", "size")):
        trace = make_trace(kind, 2500, tweak)
        for extra in ["--touch=none"], ["--touch=none", "--hold=0"], ["--touch=1%"]:
            prefix = "digest"
            run = Run(trace, f"--allocator=d={FAULTY}", "--threads=1", *extra, fault="digest",
                      digest=prefix)
            check(run.status == OK, f"{kind}{tweak} {extra}: {run.err}")
            files = [f for f in os.listdir(".") if f.startswith(prefix + ".")]
            digests = {open(f, "rb").read() for f in files}
            check(len(files) == 3, f"{kind}{tweak} {extra}: {len(files)} plays")
            check(len(digests) == 1, f"{kind}{tweak} {extra}: plays differ in their calls")
            seen |= digests
            for f in files:
                os.remove(f)
    check(len(seen) == 4, f"{len(seen)} digests of four traces")


def test_memory_is_the_programs():
    """An allocator that never frees holds what was ever asked for; glibc at least what lives."""
    run = Run(os.path.join(CORPUS, "perl.zst"), f"--allocator=glibc,bump={FAULTY}")
    live = run.result["trace"]["live_bytes_max"]
    peak = {n: run.subject(n)["metrics"]["peak_bytes"]["median"] for n in ("glibc", "bump")}
    check(live < peak["glibc"] < 1.5 * live, f"glibc holds {peak['glibc']} for {live} live bytes")
    check(peak["bump"] > peak["glibc"], f"never freeing takes no more: {peak}")
    untouched = Run(os.path.join(CORPUS, "larson.zst"), "--allocator=glibc", "--touch=none")
    touched = Run(os.path.join(CORPUS, "larson.zst"), "--allocator=glibc", "--touch=all")
    halves = [r.subject("glibc")["metrics"]["peak_bytes"]["median"] for r in (untouched, touched)]
    check(halves[0] < 0.6 * halves[1], f"touching makes no difference: {halves}")


def test_failures_are_the_allocators():
    trace = make_trace("larson")
    mixed = make_trace("mixed")
    for fault, expected in (("dirty", "calloc must give zeros"), ("crooked", "expected a multiple of")):
        run = Run(mixed, f"--allocator=bad={FAULTY},glibc", fault=fault, after=500)
        failure = run.subject("bad")["failure"]
        check(run.status == OK and failure is not None and expected in failure, f"{fault}: {failure}")
        check(re.search(r"at operation \d+ of the trace", failure), f"{fault}: no place in: {failure}")
    for fault, expected in (("crash", "crashed: Segmentation fault"), ("null", "no memory for"),
                            ("twice", "is not what the program wrote"),
                            ("overlap", "is not what the program wrote"), ("hang", "hangs")):
        run = Run(trace, f"--allocator=bad={FAULTY},glibc", "--stall=2", fault=fault, after=1000)
        failure = run.subject("bad")["failure"]
        check(run.status == OK, f"{fault}: status {run.status}, though glibc was measured")
        check(failure is not None and expected in failure, f"{fault}: {failure}")
        number = re.search(r"at operation (\d+) of the trace", failure)
        check(number and 500 < int(number.group(1)) < 6000, f"{fault}: no place in: {failure}")
        check("bad: " in run.err and run.err.count("\n") == 1, f"{fault}: not one line: {run.err}")
        check(run.subject("glibc")["failure"] is None, f"{fault}: glibc was not measured")
    alone = Run(trace, f"--allocator=bad={FAULTY}", fault="crash", after=1000)
    check(alone.status == FOUND, f"nothing could be measured, and the status is {alone.status}")


def test_what_a_result_holds():
    """Latencies, the series, memory after idling, faults, and what may explain a figure later."""
    run = Run(os.path.join(CORPUS, "mailbox.zst"), "--allocator=glibc,mf2", "--time=recorded",
              "--idle=0.1", MALLOC_ARENA_MAX="3")
    for name in "glibc", "mf2":
        subject = run.subject(name)
        metrics = {k: v and v["median"] for k, v in subject["metrics"].items()}
        for call in "malloc", "free":
            steps = [metrics[f"{call}_ns_{p}"] for p in ("p50", "p99", "p999")]
            steps.append(subject["repetitions"][0][f"{call}_ns_max"])
            check(steps == sorted(steps) and steps[0] > 0, f"{name}: {call}: {steps}")
        check(metrics["call_ns_mean"] > 0 and metrics["page_faults"] > 0, f"{name}: {metrics}")
        check(0 < metrics["idle_bytes"] <= metrics["peak_bytes"] + 65536, f"{name}: {metrics}")
        rows = subject["series"]["rows"]
        check(len(rows) > 10 and max(r[1] for r in rows) > 0 and max(r[2] for r in rows) > 0,
              f"{name}: {len(rows)} samples")
        check([r[0] for r in rows] == sorted(r[0] for r in rows), "the series is not in order")
        # Its last samples are from the rest, and so is memory after idling.
        check(rows[-1][0] - rows[0][0] > 0.1e9, f"{name}: the series ends before the rest")
    check(run.subject("glibc")["allocator_version"].startswith("glibc 2"), "no version")
    environment = run.result["environment"]
    for key in "kernel", "processor", "cores", "memory_bytes", "huge_pages":
        check(environment.get(key), f"the environment does not say {key}")
    check("MALLOC_ARENA_MAX=3" in environment["allocator_options"], "options are not told")


def test_latencies_are_those_of_calls():
    """A slow allocator is slow in the quantile that its slow calls are in."""
    trace = make_trace("single", 20000)
    run = Run(trace, f"--allocator=slow={FAULTY},glibc", fault="slow", after=0)
    slow = run.subject("slow")["metrics"]
    # The clock's own cost is taken off a latency, so that a call of 20 us is told as less.
    check(slow["malloc_ns_p50"]["median"] < 10000 < slow["malloc_ns_p99"]["median"],
          f"one call in 50 takes 20 us or more, and: {slow}")
    share = run.subject("slow")["metrics"]["net_wall_ns"]["median"]
    check(share > 20000 * 20000 / 2 / 50, f"that is not in its time: {share}")


def test_touch_file():
    """libhaktouch.so tells what a program uses of its blocks, and measure goes by it."""
    touch = os.path.join(os.environ["HAK_LIB_DIR"], "libhaktouch.so")
    code = "x = [bytes(1 << 16) for i in range(200)]; y = [bytearray(b'x' * 40000) for i in range(200)]"
    subprocess.run(["/usr/bin/python3", "-S", "-c", code], check=True,
                   env=dict(os.environ, LD_PRELOAD=touch, HAK_TOUCH="app.json", PYTHONMALLOC="malloc"))
    with open("app.json") as file:
        classes = {c["log2"]: c["used_bytes"] / c["bytes"] for c in json.load(file)["classes"]}
    check(classes[16] < 0.1, f"zeros that nobody wrote count as used: {classes}")
    check(classes[15] > 0.9, f"bytes written do not count as used: {classes}")
    trace = make_trace("larson")
    peaks = []
    for part in 0, 0.5, 1:
        with open("parts.json", "w") as file:
            json.dump({"schema": "hak.touch", "version": 1, "classes": [
                {"log2": n, "bytes": 100, "used_bytes": int(100 * part)} for n in range(12, 16)]}, file)
        run = Run(trace, "--allocator=glibc", "--touch=./parts.json")
        check(run.status == OK and "parts.json" in run.result["settings"]["touch"], run.err)
        peaks.append(run.subject("glibc")["metrics"]["peak_bytes"]["median"])
    check(peaks[0] < 0.7 * peaks[1] < 0.7 * peaks[2], f"the parts make no difference: {peaks}")


def test_pace():
    trace = os.path.join(CORPUS, "mailbox.zst")
    info = subprocess.run([os.path.join(os.environ["HAK_BIN_DIR"], "haktrace"), "info", "--json",
                           trace], capture_output=True, text=True, check=True)
    seconds = json.loads(info.stdout)["duration_seconds"]
    run = Run(trace, "--allocator=glibc", "--time=recorded")
    wall = run.subject("glibc")["repetitions"][0]["wall_ns"] / 1e9
    check(run.status == OK and wall > 0.9 * seconds, f"played in {wall} s what took {seconds} s")


def test_sweep():
    run = Run(make_trace("single"), "--allocator=glibc", "--sweep-env=MALLOC_ARENA_MAX=1,2")
    names = [s["name"] for s in run.result["subjects"]]
    check(names == ["null", "glibc 1", "glibc 2"], names)
    check(run.subject("glibc 2")["variable"] == "MALLOC_ARENA_MAX=2", "the variable is not named")


def test_refusals():
    trace = make_trace("single")
    no_allocator = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True,
                                  env=dict(os.environ, PATH="/sbin:/usr/sbin:" + os.environ["PATH"]))
    libm = re.search(r"libm\.so\.6 .*x86-64.* => (\S+)", no_allocator.stdout).group(1)
    anomalous = make_trace("mixed", tweak="anomaly")
    huge, glibc = make_trace("single", tweak="huge"), "--allocator=glibc"
    with open("text.zst", "w") as file:
        file.write("this is no trace\n")
    for arguments, expected in (([f"--allocator=m={libm}", trace], "expected an allocator"),
                                (["--allocator=nobody", trace], "unknown allocator"),
                                (["--allocator=x=missing.so", trace], "missing.so"),
                                (["--allocator=glibc,glibc", trace], "twice"),
                                (["--threads=0", trace], "--threads"),
                                (["--touch=some", trace], "--touch"),
                                (["--touch=./missing.json", trace], "missing.json"),
                                (["--touch=./text.zst", trace], "text.zst"),
                                ([glibc, huge], "MiB of memory are available"),
                                (["--sweep-env=A=1,2", "--allocator=glibc,mf2", trace], "VAR="),
                                (["--allocator=glibc", anomalous], "anomal"),
                                (["--allocator=glibc", "text.zst"], "text.zst"),
                                (["--allocator=glibc", "missing.zst"], "missing.zst")):
        run = Run(arguments[-1], *arguments[:-1])
        check(run.status == USAGE, f"{arguments}: status {run.status}")
        check(expected in run.err and run.err.count("\n") == 1, f"{arguments}: {run.err}")
    run = Run(trace, glibc, TMPDIR="/missing")
    check(run.status == USAGE and "/missing" in run.err and run.err.count("\n") == 1, run.err)
    run = Run(huge, glibc, "--touch=none")
    check(run.status == FOUND and "no memory for 11258999068" in run.err and
          "at operation " in run.err and run.err.count("\n") == 1, f"huge: {run.err}")


def main():
    failed = 0
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            try:
                test()
                print(f"ok   {name}", flush=True)
            except AssertionError as error:
                failed += 1
                print(f"FAIL {name}: {error}", flush=True)
    sys.exit(1 if failed else 0)


main()
