"""haksim calibrate: the file it writes is a machine, and says of each figure where it is from."""

import json
import os

import simulating

SMALL = ("--workload=larson,chunks=50,generations=1", "--threads=2")


def calibrated(*arguments):
    done = simulating.haksim("calibrate", "--quick", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_file_is_a_machine():
    text = calibrated("-o", "here.json", "--name=here")
    with open("here.json", encoding="utf-8") as file:
        machine = json.load(file)
    assert machine["name"] == "here" and machine["cores"] == len(os.sched_getaffinity(0)), machine
    for name, figure in machine["costs"].items():
        assert name in text and figure["source"] in text, name
        from_here = figure["source"].startswith("measured here")
        assert from_here or "machine desktop" in figure["source"] or "; as line_" in (
            figure["source"]), (name, figure)
    # What every machine lets one measure is measured, and takes time.
    for name in ("line_same_core", "line_memory", "pause", "clock_read", "commit_call",
                 "page_fault", "context_switch", "time_slice", "wake_own", "thread_create_call"):
        figure = machine["costs"][name]
        assert figure["source"].startswith("measured here") and figure["value"] > 0, (name, figure)
    for name in ("operation", "slow_operation", "program"): # they need MF2's library
        assert "machine desktop" in machine["costs"][name]["source"], name
    result = simulating.run(*SMALL, "--machine=./here.json")
    assert result["machine"]["name"] == "here" and result["certainty"] == "modelled"


def test_a_quick_file_says_that_it_is_no_good():
    printed = calibrated("--json", "-o", "quick.json")
    machine = json.loads(printed)
    assert "--quick" in machine["note"] and machine["name"] == "calibrated", machine["note"]


def test_refusals():
    for arguments, expected in ((["--malloc=absent.so"], "absent.so"),
                                (["--base=abacus"], "abacus"), (["--name="], "--name")):
        done = simulating.haksim("calibrate", "--quick", "-o", "not.json", *arguments)
        assert done.returncode == 2 and expected in done.stderr, (arguments, done.stderr)
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert not os.path.exists("not.json")


if __name__ == "__main__":
    simulating.run_module()
