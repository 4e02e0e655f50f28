"""A result has every key of doc/results.md, and its figures agree with each other."""

import json
import os
import re
import signal
import subprocess

from replaying import HAKREPLAY, ROUTES, SCENARIOS, Run, main, make_trace, replay

KINDS = ["hand-over", "ping-pong", "larson", "mixed"]
STATES = ["active", "partial", "full", "pending", "orphan", "empty", "large"]


def documented_keys():
    """The first cells of the tables of doc/results.md's section on one run."""
    with open(os.path.join(os.environ["HAK_SOURCE_DIR"], "doc/results.md")) as file:
        section = file.read().split("## One run")[1].split("\n## ")[0]
    keys = []
    for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE):
        keys += re.findall(r"`(\w+)`", row)
    assert "timeline" in keys and len(keys) > 20
    measures = re.search(r"^`measures`: (.*)$", section, re.MULTILINE).group(1)
    columns = re.search(r"^`timeline.columns`, in this order: (.*)$", section, re.MULTILINE).group(1)
    columns = re.sub(r"\([^)]*\)", "", columns).split(" The page states")[0]
    measures = measures.replace("`null`", "")
    return keys, re.findall(r"`(\w+)`", measures), re.findall(r"`(\w+)`", columns)


def keys_of(value):
    """Every key of an object and of what is in it, but for names that are somebody else's."""
    if isinstance(value, list):
        return set().union(*map(keys_of, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    inner = [keys_of(value[key]) for key in value if key not in ("switches", "counters")]
    return set(value).union(*inner)


def test_every_key_is_documented():
    with open(os.path.join(os.environ["HAK_SOURCE_DIR"], "doc/results.md")) as file:
        named = set(re.findall(r"`(\w+)`", file.read()))
    trace = make_trace("mixed", "named.zst", 2000)
    scenario = os.path.join(SCENARIOS, "hand-over.scn")
    for arguments in [[trace, "--route=cda,best"], [scenario, "--route=cda,best"]]:
        assert Run(*arguments, "-o", "named.json", "--quiet").status == 0
        with open("named.json") as file:
            keys = keys_of(json.load(file))
        assert "failed_allocations" in keys and not keys - named, keys - named


PAGE_BYTES = 1 << 16


def check_timeline(run):
    columns = run["timeline"]["columns"]
    rows = [dict(zip(columns, row)) for row in run["timeline"]["rows"]]
    assert 1 <= len(rows) <= 4096
    assert rows[-1]["step"] == run["steps"]
    assert max(row["held_max"] for row in rows) == run["measures"]["held_max"]
    if run["order"] == "strict" and len(rows) == run["steps"]:
        assert all(row["held_max"] == row["held"] for row in rows)
    for before, row in zip([None] + rows, rows):
        assert sum(row[state] for state in STATES) == row["held"], row
        assert row["held"] <= row["held_max"]
        assert row["fewest"] <= run["measures"]["fewest_max"]
        if run["switches"]["borrow"]:  # blocks may stand in pages of a larger class
            assert row["live_bytes"] <= row["held"] * PAGE_BYTES, row
        else:
            assert row["fewest"] <= row["held"], row
        if before:
            assert row["step"] > before["step"] and row["time_ns"] >= before["time_ns"]
            for name in ["new_pages", "recycled_pages", "page_reuses"]:
                assert row[name] >= before[name]


def check_sums(run):
    counters, measures = run["counters"], run["measures"]
    assert counters["new_page_count"] == measures["new_pages"] == \
        sum(row["new_pages"] for row in run["classes"])
    assert measures["recycled_pages"] == sum(row["recycled_pages"] for row in run["classes"])
    assert measures["page_reuses"] == sum(row["page_reuses"] for row in run["classes"])
    assert sum(thread["operations"] for thread in run["threads"]) == run["steps"]
    assert sum(thread["allocations"] for thread in run["threads"]) == measures["allocations"]
    for name, counter in [("new_pages", "new_page_count"), ("recycled_pages", "recycled_pages"),
                          ("page_reuses", "page_reuses")]:
        assert sum(thread[name] for thread in run["threads"]) == counters[counter], name
    # Frees after a thread's exit are nobody's.
    assert sum(thread["remote_frees"] for thread in run["threads"]) <= counters["remote_frees"]
    assert sum(run["remote_frees"].values()) == counters["remote_frees"]
    assert run["stranded"]["total"] == sum(
        run["stranded"][cause] for cause in ["owner_exited", "owner_idle", "full_forgotten",
                                             "below_threshold", "pending_undrained"])
    new, reuses = measures["new_pages"], measures["page_reuses"]
    assert abs(measures["reuse_over_new"] - reuses / new) < 1e-6
    assert abs(measures["reuse_share"] - reuses / (reuses + new)) < 1e-6
    assert abs(measures["held_over_fewest"] - measures["held_max"] / measures["fewest_max"]) < 1e-6
    for row in run["classes"]:
        assert row["peak_fewest_pages"] == -(-row["peak_live_blocks"] // row["blocks_per_page"])
        assert row["peak_pages"] <= row["new_pages"] + row["recycled_pages"] + row["page_reuses"]


def test_every_documented_key_is_there():
    keys, measures, columns = documented_keys()
    run = replay(make_trace("mixed", "keys.zst", 2000))[0]
    assert not [key for key in keys if key not in run]
    assert not [key for key in measures if key not in run["measures"]]
    assert run["timeline"]["columns"] == columns
    for key in ["path", "hash", "program", "events", "objects", "threads", "lost", "complete", "tick_ns"]:
        assert key in run["trace"], key
    assert run["trace"]["program"] == "made" and run["trace"]["tick_ns"] == 100
    assert re.fullmatch("[0-9a-f]{16}", run["digest"]) and re.fullmatch("[0-9a-f]{16}", run["behaviour"])


def test_every_route_runs_clean_and_adds_up():
    for kind in KINDS:
        trace = make_trace(kind, f"{kind}.zst", 1500)
        for arguments in [["--stamps"], ["--order=dataflow", "--stamps", "--seed=1"],
                          ["--order=dataflow", "--stamps", "--seed=2"],
                          ["--order=dataflow", "--strategy=round-robin", "--stamps"]]:
            runs = replay(trace, "--route=all", *arguments)
            assert [run["route"] for run in runs] == ROUTES
            for run in runs:
                assert run["violations"] == [] and run["end"] == "done", (kind, run["route"])
                assert run["measures"]["failed_allocations"] == 0
                assert run["measures"]["unresolved"] == 0
                check_timeline(run)
                check_sums(run)


def test_migrations_are_the_owner_changes():
    run = replay(make_trace("larson", "migrations.zst"), "--route=cda")[0]
    moved = run["migrations"]
    assert moved == sorted(moved) and len({(source, to) for source, to, _ in moved}) == len(moved) > 1
    assert all(source != to and pages > 0 for source, to, pages in moved)
    assert sum(pages for _, _, pages in moved) == run["counters"]["owner_changes"]
    for thread in run["threads"]:
        assert sum(pages for _, to, pages in moved if to == thread["id"]) == thread["pages_it_adopted"], thread
    alone = replay(make_trace("larson", "migrations.zst"), "--route=s2,orphans=strand")[0]
    assert alone["counters"]["owner_changes"] == 0 and alone["migrations"] == []


def live_after(trace, step):
    """The objects that live after so many events, of a trace without realloc."""
    dump = Run("dump", trace, program=os.path.join(os.path.dirname(HAKREPLAY), "haktrace"))
    live = set()
    for line in dump.out.splitlines()[:step]:
        fields = line.split()
        assert not fields[3].startswith("realloc")
        if fields[3] in ("malloc", "calloc", "aligned"):
            live.add(int(fields[4].split("=")[1]))
        elif fields[3] == "free":
            live.remove(int(fields[4].split("=")[1]))
    return live


def test_the_objects_of_stranded_pages_live_in_them():
    trace = make_trace("larson", "sites.zst")
    for route in ["cda", "s2,orphans=strand", "best"]:
        run = replay(trace, f"--route={route}")[0]
        found = run["stranded_objects"]
        names = [objects for objects, _, _ in found["rows"]]
        assert found["stride"] == 1 and len(set(names)) == len(names) == found["objects"] > 0
        assert set(names) <= live_after(trace, found["at_step"])
        assert {cause for _, cause, _ in found["rows"]} <= set(run["stranded"])
        pages = sum(part for _, _, part in found["rows"]) / 1e6
        assert abs(pages - (found["stranded"] - found["without_objects"])) < 1e-3 * pages + 0.01
        column = run["timeline"]["columns"].index("stranded_in_use")
        worst = max(row[column] for row in run["timeline"]["rows"])
        at = next(row for row in run["timeline"]["rows"] if row[0] == found["at_step"])
        assert worst / 1.06 - 1 <= at[column] <= worst, (worst, at[column])


def test_the_fewest_pages_do_not_depend_on_the_route():
    """F is the program's, in a given order."""
    runs = replay(make_trace("larson", "fewest.zst"), "--route=all")
    assert len({run["measures"]["fewest_max"] for run in runs}) == 1
    assert len({tuple(row[4] for row in run["timeline"]["rows"]) for run in runs}) == 1


def test_several_routes_make_one_file_in_their_order():
    runs = replay(make_trace("ping-pong", "several.zst", 1000), "--route=s2,orphans=adopt,best,cda")
    assert [run["route"] for run in runs] == ["s2,orphans=adopt", "best", "cda"]
    assert runs[0]["switches"]["orphans"] == "adopt"


def test_an_incomplete_trace_says_so():
    trace = make_trace("mixed", "unfinished.zst", 2000, tweak="unfinished")
    run = replay(trace)[0]
    assert run["trace"]["complete"] is False
    with open(make_trace("hand-over", "cut.zst", 200000), "rb") as file:
        data = file.read()
    with open("cut.zst", "wb") as file:
        file.write(data[:len(data) * 2 // 3])
    cut = replay("cut.zst")[0]
    assert cut["trace"]["complete"] is False and 65536 <= cut["steps"] < 200000


def test_long_programs_keep_few_rows():
    run = replay(make_trace("hand-over", "long.zst", 50000))[0]
    assert 2048 <= len(run["timeline"]["rows"]) <= 4096


def catches_interrupts(process):
    with open(f"/proc/{process.pid}/status") as file:
        caught = re.search(r"^SigCgt:\s*(\w+)", file.read(), re.MULTILINE).group(1)
    return int(caught, 16) >> (signal.SIGINT - 1) & 1


def test_an_interrupted_run_writes_what_there_is():
    trace = make_trace("hand-over", "interrupted.zst", 400000)
    for order in ["strict", "dataflow"]:
        process = subprocess.Popen([HAKREPLAY, trace, "--route=all", f"--order={order}", "--quiet",
                                    "-o", "interrupted.json"])
        while not catches_interrupts(process):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130, order
        with open("interrupted.json") as file:
            runs = json.load(file)["runs"]
        last = runs[-1]
        assert last["interrupted"] is True and last["violations"] == [], order
        assert last["steps"] < 400000 and last["end"] == "interrupted"
        assert all(run["interrupted"] is False for run in runs[:-1])


main([test_every_documented_key_is_there, test_every_key_is_documented,
      test_every_route_runs_clean_and_adds_up,
      test_the_fewest_pages_do_not_depend_on_the_route,
      test_migrations_are_the_owner_changes, test_the_objects_of_stranded_pages_live_in_them,
      test_several_routes_make_one_file_in_their_order, test_an_incomplete_trace_says_so,
      test_long_programs_keep_few_rows,
      test_an_interrupted_run_writes_what_there_is])
