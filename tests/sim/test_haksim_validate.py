"""haksim validate: what it reads from real runs and what it makes of it. The real runs are told by a
stand-in for hakload, so that every figure is known."""

import json
import os
import stat

import simulating

WORKLOAD = "mailbox,batch=32,batches=10,queue=2"

# Says what the model says (given by FACTOR, as the factor between them), whatever is asked.
STAND_IN = """#!/bin/sh
case "$*" in "{workload} --threads=1 --seed="*" --pinned") ;; *) exit 1 ;; esac
case "$MF2_ROUTE" in s2|best) ;; *) exit 1 ;; esac
[ "$MF2_STATS" = json ] && [ "$MF2_GEOMETRY" = seed ] && [ "$LD_PRELOAD" = "" ] || exit 1
printf 'allocations 320\\nfrees 320\\nhost_pages 3\\nseconds {seconds}\\n'
printf '{{"counters":{{"new_page_count":{pages},"large_new_pages":0,"remote_frees":320,"owner_changes":{owners}}}}}' > "$MF2_STATS_FILE"
"""


def stand_in(name, **figures):
    with open(name, "w", encoding="ascii") as file:
        file.write(STAND_IN.format(workload=WORKLOAD, **figures))
    os.chmod(name, stat.S_IRWXU)
    return os.path.abspath(name)


def validate(hakload, route="s2", *more):
    return simulating.haksim("validate", "--machine=desktop", "-w", WORKLOAD, f"--route={route}",
                             "--geometry=seed", "--threads=1", "--seeds=2", "--repeats=1", "-o", "v.json",
                             f"--hakload={hakload}", "--malloc=", *more)


def report_of(done):
    assert done.returncode == 0, done.stderr
    with open("v.json", encoding="utf-8") as file:
        return json.load(file)


def modelled():
    """The model's mean pages and seconds over the two seeds."""
    pages = seconds = 0
    for seed in (12345, 12346):
        result = simulating.run(f"--workload={WORKLOAD}", "--route=s2", "--threads=1",
                                "--geometry=seed", "--pinned", f"--seed={seed}")
        pages += result["counters"]["new_page_count"] / 2
        seconds += result["machine"]["end_ns"] / 2e9
    return pages, seconds


def test_figures_are_compared_as_they_are():
    pages, seconds = modelled()
    report = report_of(validate(stand_in("twice", pages=int(2 * pages) + 3, owners=0,
                                         seconds=f"{seconds:.9f}")))
    assert report["schema"] == "hak.validation"
    row, = report["rows"]
    assert (row["threads"], row["route"], row["workload"]) == (1, "s2", WORKLOAD)
    assert row["pages"]["real"]["mean"] == int(2 * pages), row
    assert row["pages"]["modelled"]["mean"] == pages
    assert abs(row["pages"]["error"] + 50) < 1, row["pages"]
    assert row["remote_share"]["real"]["mean"] == 100 and row["owner_changes"]["error"] == 0
    assert abs(row["throughput"]["error"]) < 1, row["throughput"]
    summary = report["summary"]
    assert summary["pages"]["met"] is False and summary["pages"]["beyond"] == 1
    assert summary["owner_changes"]["met"] is summary["throughput"]["met"] is True
    assert summary["pages"]["limit"] == 5 and summary["throughput"]["limit"] == 15


def test_the_table_marks_what_is_beyond():
    done = validate(stand_in("far", pages=100000, owners=7, seconds=1), "s2,best")
    text = done.stdout
    assert len(report_of(done)["rows"]) == 2
    assert "NOT MET" in text and "*" in text and "worst" in text, text
    assert "separate pairs agrees" in text


def test_real_runs_can_be_kept():
    hakload = stand_in("kept", pages=10, owners=0, seconds=0.25)
    if os.path.exists("v.json"):
        os.remove("v.json")
    first = validate(hakload, "s2", "--real=real.txt")
    assert first.returncode == 0 and not os.path.exists("v.json"), first.stderr
    kept = report_of(validate("absent", "s2", "--real=real.txt"))
    assert kept["rows"] == report_of(validate(hakload))["rows"]
    with open("real.txt", encoding="ascii") as file:
        lines = file.readlines()
    with open("real.txt", "w", encoding="ascii") as file:
        file.writelines(lines[:-1]) # as if it had been cut
    cut = validate(hakload, "s2", "--real=real.txt")
    with open("real.txt", encoding="ascii") as file:
        assert cut.returncode == 0 and file.readlines() == lines, cut.stderr
    other = validate("absent", "best", "--real=real.txt")
    assert other.returncode == 2 and "other runs" in other.stderr, other.stderr


def test_refusals():
    hakload = stand_in("good", pages=10, owners=0, seconds=1)
    for done, expected in ((simulating.haksim("validate"), "--machine"),
                           (validate("absent"), "absent"),
                           (validate("/bin/false"), "status"),
                           (validate("/bin/true"), "counters"),
                           (validate(hakload, "cda"), "status"),
                           (validate(hakload, "cdb"), "cdb"),
                           (validate(hakload, "s2", "-w", "walk"), "walk")):
        assert done.returncode == 2 and expected in done.stderr, (expected, done.stderr)
        assert len(done.stderr.splitlines()) == 1, done.stderr


if __name__ == "__main__":
    simulating.run_module()
