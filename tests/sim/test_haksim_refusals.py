"""Bad input: one line, exit 2, and nothing written or overwritten."""

import json
import os

import simulating

SMALL = ("--workload=larson,chunks=50,generations=1", "--threads=1")


def refused(arguments, expected):
    done = simulating.haksim(*arguments)
    lines = done.stderr.splitlines()
    assert done.returncode == 2, f"{arguments}: exit {done.returncode}: {done.stderr}"
    assert len(lines) == 1, f"{arguments}: {len(lines)} lines: {done.stderr}"
    assert lines[0].startswith("haksim: "), lines[0]
    assert expected in lines[0], f"{arguments}: '{expected}' is not in: {lines[0]}"
    assert done.stdout == "", f"{arguments}: prints {done.stdout}"


def test_commands():
    refused([], "expected a command")
    refused(["walk"], "unknown command 'walk'")
    refused(["--walk"], "--walk")


def test_options():
    refused(["run"], "--workload")
    refused(["run", *SMALL, "--walk"], "--walk")
    refused(["run", "--worklod=larson"], "did you mean --workload?")
    refused(["run", *SMALL, "-z"], "-z")
    refused(["run", *SMALL, "--seed"], "--seed: its value is missing")
    refused(["run", *SMALL, "more"], "'more'")
    refused(["run", *SMALL, "--route=cdb"], "cdb")
    refused(["run", *SMALL, "--route="], "")
    refused(["run", *SMALL, "--route=cda,notify=0"], "notify")
    refused(["run", *SMALL, "--route=cda,,best"], "")
    refused(["run", *SMALL, "--geometry=big"], "'big'")
    for bad in ("0", "-1", "4097", "two", "", "4x"):
        refused(["run", *SMALL, f"--threads={bad}"], "--threads: expected a number from 1 to 4096")
    refused(["run", *SMALL, "--cores=0"], "--cores")
    refused(["run", *SMALL, "--seed=-1"], "--seed")


def test_an_output_that_cannot_be_written_is_refused_before_the_work():
    """The workload has more operations than any computer can do."""
    endless = ["--workload=larson,rounds=1000000,chunks=1000000,operations=1000000000000"]
    refused(["run", *endless, "-o", "no/such/folder/x"], "no/such/folder/x: cannot write")
    refused(["domino", *endless, "--output=/dev/full/x"], "/dev/full/x")


def test_seed_table_options():
    for bad in ("1", "0", "many"):
        refused(["seed-table", f"--seeds={bad}"], "--seeds: expected a number from 2")
    refused(["seed-table", "--pace=fast"], "--pace: expected seed, modelled")
    refused(["seed-table", "--chunks=0"], "--chunks")
    refused(["seed-table", "--machine=abacus"], "abacus")
    refused(["seed-table", "now"], "'now'")


def test_workloads():
    refused(["run", "--workload=lawson"], "'lawson'")
    refused(["run", "--workload=larson,round=1"], "no parameter 'round'")
    refused(["run", "--workload=larson,rounds"], "key=value")
    refused(["run", "--workload=larson,rounds=0"], "rounds")
    refused(["run", "--workload=larson,rounds="], "rounds")
    refused(["run", "--workload=larson,min=9,max=8"], "min")
    refused(["run", "--workload=larson,chunks=99999999999999999999999"], "chunks")
    refused(["run", "--workload=larson,generations=1000000"], "threads in all")


def test_machines():
    refused(["run", *SMALL, "--machine=toaster"], "toaster: no such machine")
    refused(["run", *SMALL, "--machine=./none.json"], "./none.json: No such file")
    with open("empty.json", "w", encoding="utf-8"):
        pass
    refused(["run", *SMALL, "--machine=empty.json"], "empty.json: line 1, offset 0")
    source = os.path.join(os.environ["HAK_SOURCE_DIR"], "sim/machines/desktop.json")
    with open(source, encoding="utf-8") as file:
        machine = json.load(file)
    del machine["costs"]["pause"]
    with open("short.json", "w", encoding="utf-8") as file:
        json.dump(machine, file)
    refused(["run", *SMALL, "--machine=short.json"], "short.json: costs: expected 'pause'")


def test_traces():
    refused(["run", "--workload=trace:none.zst"], "none.zst")
    with open("foreign.zst", "w", encoding="utf-8") as file:
        file.write("this is no trace, but a text that is long enough to be read as one\n")
    refused(["run", "--workload=trace:foreign.zst"], "foreign.zst")
    refused(["run", "--workload=trace:foreign.zst", "--threads=2"], "--threads")


def test_outputs():
    refused(["run", *SMALL, "--quiet", "-o", "no/such/folder.json"], "no/such/folder.json")
    os.mkdir("folder")
    refused(["run", *SMALL, "--quiet", "-o", "folder"], "folder")
    with open("kept.json", "w", encoding="utf-8") as file:
        file.write("old")
    refused(["run", *SMALL, "--route=cdb", "-o", "kept.json"], "cdb")
    with open("kept.json", encoding="utf-8") as file:
        assert file.read() == "old"
    assert not [name for name in os.listdir(".") if name.startswith("kept.json.")]


if __name__ == "__main__":
    simulating.run_module()
