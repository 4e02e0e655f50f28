"""Exploring finds what recorded order does not, and what it found plays again from its file."""

import os
import re
import sys

from replaying import ROUTES, SCENARIOS, Run, main, make_trace

BROKEN = sys.argv[1]  # hakreplay with an MF2 that loses a push now and then
TAKERS = f"{SCENARIOS}/three-takers.scn"
STRATEGIES = "portfolio random pct pos urw surw bounded starving adversarial".split()
SEARCH = ["explore", TAKERS, "--route=s2", "--strategy=random", "--schedules=5000", "--seed=1",
          "--minimise=off"]


def broken(*arguments):
    return Run(*arguments, program=BROKEN)


def found_file(name="found.hks"):
    run = broken(*SEARCH, "-o", name)
    assert run.status == 1, f"{run.status}: {run.out}{run.err}"
    assert f"hakreplay repro {name}" in run.out and "; violation found\n" in run.out
    return name, re.search(r"violation: (.*)", run.out).group(1)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def test_recorded_order_misses_it():
    for arguments in [[], ["--order=dataflow", "--strategy=recorded"]]:
        run = broken(TAKERS, "--route=s2", "--stamps", "--quiet", *arguments)
        assert run.status == 0, run.err


def test_exploring_finds_it_and_the_file_plays_again():
    name, violation = found_file()
    for _ in range(2):
        run = broken("repro", name)
        assert run.status == 1, f"{run.status}: {run.err}"
        assert f"violation: {violation}" in run.out
        assert "protocol_counted" in run.out and "fiber" in run.out
        assert 10 <= len([line for line in run.out.splitlines() if re.match(r" +\d+  ", line)]) <= 40


def test_the_file_needs_nothing_else():
    name, violation = found_file("moved.hks")
    os.makedirs("elsewhere", exist_ok=True)
    os.rename(name, "elsewhere/moved.hks")
    os.chdir("elsewhere")
    try:
        run = broken("repro", "moved.hks", "--quiet")
    finally:
        os.chdir("..")
    assert run.status == 1 and violation in run.out


def test_the_same_seed_finds_the_same():
    found_file("first.hks")
    found_file("second.hks")
    assert read("first.hks") == read("second.hks")


def test_a_schedule_plays_in_a_replay():
    name, violation = found_file()
    run = broken(TAKERS, "--route=s2", "--order=dataflow", "--strategy=schedule",
                 f"--schedule={name}", "--stamps", "--quiet", "-o", "played.json")
    assert run.status == 1 and violation.split(": ", 1)[1] in run.err, run.err


def test_other_sources_are_refused():
    name, _ = found_file()
    run = Run("repro", name)
    assert run.status == 2 and "sources" in run.err and run.err.count("\n") == 1, run.err
    run = Run("repro", name, "--allow-other-sources")
    assert run.status == 3, f"{run.status}: {run.out}{run.err}"


def test_a_damaged_file_is_refused_or_diverges():
    name, _ = found_file()
    data = read(name)
    for cut in [0, 10, len(data) // 2, len(data) - 3]:
        with open("cut.hks", "wb") as file:
            file.write(data[:cut])
        run = broken("repro", "cut.hks")
        assert run.status in (2, 3) and "cut.hks" in run.err, f"cut at {cut}: {run.status} {run.err}"


def with_older_store(name, place):
    """A copy in which the choice at this place reads the store before the newest."""
    head, counted, rest = read(name).decode().partition("\nchoices ")
    count, _, choices = rest.partition("\n")
    tokens = choices.partition("end ")[0].split()
    fiber, _, times = tokens[place].partition("*")
    tokens[place] = f"{fiber}~1" + (f"*{times}" if times else "")
    text = f"{head}{counted}{count}\n{' '.join(tokens)}\n"
    write("older.hks", f"{text}end 0\n")
    wanted = re.search(r"expected the hash (\w+)", broken("repro", "older.hks").err).group(1)
    write("older.hks", f"{text}end {wanted}\n")
    return "older.hks"


def test_an_older_store_diverges():
    name, _ = found_file()
    for place in [0, -1]:
        run = broken("repro", with_older_store(name, place))
        assert run.status == 3 and run.err.count("\n") == 1, f"{run.status}: {run.out}{run.err}"
        assert "older.hks" in run.err and "diverged" in run.err, run.err
        assert "a store of age 1" in run.err, run.err


def test_a_schedule_of_a_trace_knows_its_trace():
    trace = make_trace("hand-over", "small.zst", 400)
    run = broken("explore", trace, "--route=s2", "--schedules=2000", "-o", "trace.hks")
    assert run.status == 1, run.out + run.err
    assert broken("repro", "trace.hks", "--quiet").status == 1
    make_trace("hand-over", "small.zst", 400, seed=9)
    run = broken("repro", "trace.hks")
    assert run.status == 2 and "hash" in run.err, run.err


def test_the_real_mf2_runs_clean():
    for scenario in sorted(os.listdir(SCENARIOS)):
        for route in ROUTES:
            run = Run("explore", f"{SCENARIOS}/{scenario}", f"--route={route}", "--schedules=40")
            assert run.status == 0, f"{scenario} {route}: {run.out}{run.err}"
            assert "40 schedules, " in run.out and "; no violation found\n" in run.out


def test_a_failure_is_made_smaller():
    for seed in range(1, 4):
        for scenario in ["three-takers", "ping-pong", "small-crowd"]:
            run = broken("explore", f"{SCENARIOS}/{scenario}.scn", "--route=s2", f"--seed={seed}", "-o", "large.hks")
            assert run.status == 1, run.out + run.err
            operations, preemptions = map(int, re.search(r"(\d+) operations, (\d+) preemptions", run.out).groups())
            assert operations <= 12 and preemptions <= 3, run.out
            again = broken("repro", "large-small.hks")
            assert again.status == 1, again.err
            assert re.search(r"made smaller: .*?, \d.*?\), (.*)", run.out).group(1) in again.out, again.out
    first = read("large-small.hks")
    broken("explore", f"{SCENARIOS}/small-crowd.scn", "--route=s2", "--seed=3", "-o", "large.hks")
    assert read("large-small.hks") == first
    os.remove("large-small.hks")
    broken("explore", f"{SCENARIOS}/small-crowd.scn", "--route=s2", "--seed=3", "--minimise=off", "-o", "large.hks")
    assert not os.path.exists("large-small.hks")


def test_a_failure_of_a_trace_becomes_a_scenario():
    trace = make_trace("hand-over", "long.zst", 400)
    run = broken("explore", trace, "--route=s2", "--schedules=2000", "-o", "long.hks")
    assert run.status == 1 and "made smaller" in run.out, run.out + run.err
    os.remove(trace)
    assert broken("repro", "long-small.hks", "--quiet").status == 1
    assert b"\nscenario ; thread " in read("long-small.hks")


def test_weak_memory_is_explored():
    for scenario in ["small-exit", "three-takers"]:
        for route in ROUTES:
            run = Run("explore", f"{SCENARIOS}/{scenario}.scn", f"--route={route}", "--memory=c11", "--schedules=100")
            assert run.status == 0, f"{scenario} {route}: {run.out}{run.err}"
    run = broken(*SEARCH, "--memory=c11", "--seed=20", "-o", "weak.hks")
    assert run.status == 1 and b"\nmemory c11\n" in read("weak.hks"), run.out
    assert broken("repro", "weak.hks", "--quiet").status == 1
    found = b""
    for seed in range(1, 30):
        broken(*SEARCH, "--memory=c11", f"--seed={seed}", "-o", "weak.hks")
        assert broken("repro", "weak.hks", "--quiet").status == 1
        found += read("weak.hks")
    assert b"~1" in found
    run = Run("explore", TAKERS, "--memory=tso")
    assert run.status == 2 and "sc or c11" in run.err, run.err


def every_order(scenario, *arguments):
    """Schedules tried until there was no other."""
    run = Run("explore", scenario, "--strategy=exhaustive", *arguments)
    assert run.status == 0 and "; every order tried; no violation found\n" in run.out, run.out + run.err
    schedules = int(re.search(r"strategy exhaustive: (\d+) schedules", run.out).group(1))
    classes = int(re.search(r"; (\d+) classes", run.out).group(1))
    assert classes == schedules, run.out  # no two of them are the same
    return schedules


def test_every_order_of_a_small_program():
    write("alone.scn", "thread a; x = malloc 512; free x\n")
    assert every_order("alone.scn", "--route=s2") == 1
    write("apart.scn", "thread a; x = malloc 2048; free x; thread b; y = malloc 2048; free y\n")
    write("tiny.scn", "thread a; x = malloc 2048; free y; thread b; y = malloc 2048; free x\n")
    few = every_order("apart.scn", "--route=s2")
    many = every_order("tiny.scn", "--route=s2")
    assert 1 < few < many < 4096, (few, many)
    # A long random search finds no class more, and comes near to all.
    for name, all_orders in [("apart.scn", few), ("tiny.scn", many)]:
        run = Run("explore", name, "--route=s2", "--environment=off", "--schedules=20000")
        found = int(re.search(r"; (\d+) classes", run.out).group(1))
        assert all_orders / 3 < found <= all_orders, (name, all_orders, found)


def test_every_order_finds_the_bug():
    write("push.scn", "thread a; x = malloc 2048; y = malloc 2048; z = malloc 2048; thread b; free x; thread c; free y\n")
    run = broken("explore", "push.scn", "--route=s2", "--strategy=exhaustive", "-o", "push.hks")
    assert run.status == 1, run.out + run.err
    assert broken("repro", "push.hks", "--quiet").status == 1
    run = Run("explore", "push.scn", "--strategy=exhaustive", "--memory=c11")
    assert run.status == 2 and "exhaustive" in run.err and run.err.count("\n") == 1, run.err


def test_windows_of_time():
    trace = make_trace("mixed", "window.zst", 400, tweak="window")
    run = Run("explore", trace, "--order=window", "--route=s2", "--schedules=50")
    assert run.status == 0, run.out + run.err
    run = Run(trace, "--order=window", "--strategy=random", "--quiet", "-o", "window.json")
    assert run.status == 0, run.err
    trace = make_trace("hand-over", "window.zst", 400, tweak="window")
    run = broken("explore", trace, "--order=window", "--route=s2", "--schedules=3000", "-o", "window.hks")
    assert run.status == 1 and b"\norder window\n" in read("window.hks"), run.out + run.err
    assert broken("repro", "window.hks", "--quiet").status == 1
    for name, status in [(make_trace("hand-over", "unknown.zst", 400), 2), (TAKERS, 2)]:
        run = Run("explore", name, "--order=window", "--schedules=2")
        assert run.status == status and "window" in run.err and run.err.count("\n") == 1, run.err


def coverage(*arguments):
    """Meetings, classes, and the schedule that had the last new meeting."""
    run = Run("explore", TAKERS, "--route=home", *arguments)
    assert run.status == 0, run.err
    numbers = re.search(r"(\d+) meetings, the last new one in schedule (\d+).*; (\d+) classes", run.out)
    return int(numbers.group(1)), int(numbers.group(3)), int(numbers.group(2))


def test_coverage_tells_what_was_seen():
    meetings, classes, last = coverage("--strategy=recorded", "--schedules=50")
    assert classes == 1 and last == 1, (meetings, classes, last)
    few, few_classes, _ = coverage("--strategy=random", "--schedules=50")
    assert few > meetings and few_classes == 50, (few, few_classes)
    more, more_classes, last = coverage("--strategy=random", "--schedules=1000")
    assert more > few and more_classes > 900 and 50 < last <= 1000, (more, more_classes, last)


def test_every_strategy_finds_it():
    for strategy in STRATEGIES:
        run = broken(*SEARCH, f"--strategy={strategy}", "-o", f"{strategy}.hks")
        assert run.status == 1, f"{strategy}: {run.status}: {run.out}{run.err}"
        assert broken("repro", f"{strategy}.hks", "--quiet").status == 1, strategy
        broken(*SEARCH, f"--strategy={strategy}", "-o", "again.hks")
        assert read(f"{strategy}.hks") == read("again.hks"), strategy


def outcomes(*arguments):
    """The environment's choices in a failing schedule of a late seed."""
    files = []
    for seed in range(1, 40):
        run = broken("explore", TAKERS, "--route=s2", f"--seed={seed}", "--minimise=off",
                     "-o", "env.hks", *arguments)
        assert run.status == 1, run.out + run.err
        assert broken("repro", "env.hks", "--quiet").status == 1
        files.append(read("env.hks").decode())
    return set(re.findall(r"!(\w+)", "".join(files)))


def test_the_environment_is_explored():
    assert "fail" in outcomes("--strategy=random")
    assert outcomes("--strategy=random", "--environment=off") == set()


def test_a_budget_ends_it():
    run = Run("explore", TAKERS, "--budget=1s", "--schedules=7")
    assert run.status == 0 and " 7 schedules, " in run.out, run.out
    run = Run("explore", TAKERS, "--budget=1s")
    assert run.status == 0 and int(re.search(r"(\d+) schedules, ", run.out).group(1)) >= 64, run.out
    for wrong in ["--budget=1", "--budget=0s", "--budget=-1s", "--budget=5d", "--environment=maybe"]:
        run = Run("explore", TAKERS, wrong)
        assert run.status == 2 and run.err.count("\n") == 1, run.err


main([test_recorded_order_misses_it, test_exploring_finds_it_and_the_file_plays_again,
      test_the_file_needs_nothing_else, test_the_same_seed_finds_the_same,
      test_a_schedule_plays_in_a_replay, test_other_sources_are_refused,
      test_a_damaged_file_is_refused_or_diverges, test_an_older_store_diverges,
      test_a_schedule_of_a_trace_knows_its_trace, test_a_failure_is_made_smaller,
      test_every_order_of_a_small_program, test_every_order_finds_the_bug, test_windows_of_time,
      test_a_failure_of_a_trace_becomes_a_scenario, test_weak_memory_is_explored,
      test_the_real_mf2_runs_clean, test_coverage_tells_what_was_seen, test_every_strategy_finds_it,
      test_the_environment_is_explored, test_a_budget_ends_it])
