"""haksim sweep: one results file, whatever was run when; recommendations that flip are undecided."""

import json
import os
import signal
import subprocess
import time

import simulating

GRID = {"schema": "hak.grid", "version": 1, "routes": ["s2", "p", "best"],
        "workloads": ["pingpong,batch=50,exchanges=10"], "parameters": {"handed": [0, 100]},
        "switches": {"budget": [1, 4]}, "threads": [2], "costs": [50, 100, 200], "seeds": 2}
POINTS = 3 * 2 * 2 * 3 * 2


def write_grid(name="grid.json", **changes):
    with open(name, "w", encoding="utf-8") as file:
        json.dump({**GRID, **changes}, file)
    return name


def sweep(*arguments):
    done = simulating.haksim("sweep", *arguments)
    assert done.returncode == 0, f"{arguments}: exit {done.returncode}: {done.stderr}"
    return done.stdout


def content(path):
    with open(path, "rb") as file:
        return file.read()


def test_the_order_of_completion_does_not_matter():
    grid = write_grid()
    assert sweep(grid, "--count") == f"{POINTS}\n"
    sweep(grid, "-o", "whole.json", "--quiet", "--jobs=2")
    assert not os.path.exists("whole.json.part")
    # The second half first, by other hands, a line that was cut, a point twice.
    later = sweep(grid, f"--points={POINTS // 2}-{POINTS - 1}")
    with open("parts.json.part", "w", encoding="ascii") as file:
        file.write(later + later.splitlines()[-1] + "\n" + "3 1.5 2.5")
    sweep(grid, "-o", "parts.json", "--quiet", "--jobs=1")
    assert content("whole.json") == content("parts.json")
    report = json.loads(content("whole.json"))
    assert report["schema"] == "hak.sweep" and report["certainty"] == "modelled"
    assert len(report["cells"]) == POINTS // 2
    cell = report["cells"][0]
    assert (cell["handed"], cell["budget"], cell["route"], cell["costs"]) == (0, 1, "s2", 50), cell
    assert cell["held_over_fewest"]["low"] <= cell["held_over_fewest"]["mean"]


def test_a_cell_is_what_run_says():
    report_path = "cell.json"
    sweep(write_grid(), "-o", report_path, "--quiet")
    cell = next(c for c in json.loads(content(report_path))["cells"]
                if (c["route"], c["handed"], c["budget"], c["costs"]) == ("p", 100, 1, 200))
    values = []
    for seed in (12345, 12346):
        result = simulating.run("--workload=pingpong,batch=50,exchanges=10,handed=100",
                                "--route=p,budget=1", "--threads=2", "--geometry=seed",
                                "--costs=200", f"--seed={seed}")
        values.append(result["measures"]["held_max"] / result["measures"]["fewest_max"])
    assert abs(cell["held_over_fewest"]["mean"] - sum(values) / 2) < 1e-8, (cell, values)


def test_interrupted_and_gone_on():
    grid = write_grid("long.json", workloads=["pingpong,batch=200,exchanges=60"])
    process = subprocess.Popen([simulating.HAKSIM, "sweep", grid, "-o", "again.json", "--quiet",
                                "--jobs=1"])
    while not (os.path.exists("again.json.part") and content("again.json.part").count(b"\n") > 3):
        assert process.poll() is None or os.path.exists("again.json")
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait() in (130, 0)
    if process.returncode == 130:
        assert not os.path.exists("again.json")
    sweep(grid, "-o", "again.json", "--quiet")
    sweep(grid, "-o", "at_once.json", "--quiet")
    assert content("again.json") == content("at_once.json")


def recommendations(lines):
    """Of a sweep in which every point's figures are what lines(costs, route, seed) says."""
    grid = write_grid("made.json", parameters={}, switches={}, routes=["s2", "best"])
    head = sweep(grid, "--points=0-0").splitlines()[0]
    count = len(sweep(grid, "--points=0-0").splitlines()[1].split()) - 1
    with open("made.out.part", "w", encoding="ascii") as file:
        file.write(head + "\n")
        for point in range(12):
            costs, route, seed = point // 4, point // 2 % 2, point % 2
            file.write(f"{point} " + " ".join([str(lines(costs, route, seed))] * count) + "\n")
    text = sweep(grid, "-o", "made.out")
    found = json.loads(content("made.out"))["recommendations"]
    assert {each["figure"] for each in found} == {
        "held_over_fewest", "time_per_operation_ns", "line_moves_per_operation"}
    return found[0], text


def test_recommendations_are_decided_by_interval_and_band():
    clear, text = recommendations(lambda costs, route, seed: 10 - 5 * route + 0.01 * seed)
    assert clear["least"] == "best" and clear["undecided"] is False and "UNDECIDED" not in text
    flips, text = recommendations(
        lambda costs, route, seed: (5 if (costs == 2) == (route == 0) else 10) + 0.01 * seed)
    assert flips["least"] == "best" and flips["undecided"] and "band" in flips["why"], flips
    assert "UNDECIDED" in text
    tie, _ = recommendations(lambda costs, route, seed: 10 - 0.001 * route + seed)
    assert tie["undecided"] and tie["why"] == "tie", tie


def test_refusals():
    for changes, expected in (({"routes": []}, "route"), ({"routes": ["cdb"]}, "cdb"),
                              ({"shoes": 1}, "shoes"), ({"seeds": 1}, "seeds"),
                              ({"parameters": {"handed": [101]}}, "handed"),
                              ({"machines": ["abacus"]}, "abacus"), ({"threads": [0]}, "threads"),
                              ({"schema": "hak.run"}, "hak.grid")):
        done = simulating.haksim("sweep", write_grid("bad.json", **changes), "-o", "bad.out")
        assert done.returncode == 2 and expected in done.stderr, (changes, done.stderr)
        assert len(done.stderr.splitlines()) == 1 and not os.path.exists("bad.out"), done.stderr
    grid = write_grid()
    for points in ("1", "5-2", f"0-{POINTS}", "a-b"):
        assert simulating.haksim("sweep", grid, f"--points={points}").returncode == 2, points
    with open("other.json.part", "w", encoding="ascii") as file:
        file.write("hak.sweep-part 1 0 0\n")
    done = simulating.haksim("sweep", grid, "-o", "other.json")
    assert done.returncode == 2 and "another grid" in done.stderr, done.stderr


if __name__ == "__main__":
    simulating.run_module()
