"""Results: the same run gives the same bytes, wherever it is loaded; what they say holds together;
a trace is a workload; several routes come side by side."""

import json
import os
import re
import signal
import subprocess

import simulating

LARSON = ("--workload=larson,chunks=200,generations=3", "--threads=3", "--geometry=seed")

# doc/results.md, "One run".
KEYS = """schema version tool tool_version commit world certainty trace workload machine order
    strategy seed memory geometry route switches digest steps points time_ns counters threads
    measures remote_frees stranded classes timeline violations unreliable""".split()


def test_the_result_has_every_key():
    result = simulating.run(*LARSON, "--route=s2,orphans=strand")
    missing = [key for key in KEYS if key not in result]
    assert not missing, missing
    assert (result["schema"], result["version"], result["tool"]) == ("hak.run", 1, "haksim")
    assert (result["world"], result["certainty"]) == ("simulated", "modelled")
    assert result["route"] == "s2,orphans=strand" and result["switches"]["orphans"] == "strand"
    assert result["trace"] is None and result["workload"]["name"] == "larson"
    assert result["machine"]["name"] == "desktop" and result["machine"]["cores"] == 8
    assert len(result["machine"]["cost_table"]["hash"]) == 16
    assert result["strategy"] == "virtual-time" and result["seed"] == 12345
    assert result["time_ns"] <= result["machine"]["end_ns"] <= result["time_ns"] + 100000


def test_time_never_goes_back():
    result = simulating.run(*LARSON, "--cores=2")
    column = result["timeline"]["columns"].index("time_ns")
    times = [row[column] for row in result["timeline"]["rows"]]
    assert times == sorted(times) and times[-1] > 0


def test_same_run_same_bytes():
    for workload in (LARSON, ("--workload=mailbox,batch=64,batches=10,queue=2", "--cores=3")):
        runs = [simulating.reliable(simulating.run(*workload)) for _ in range(2)]
        # Without the random placement of memory, where that can be switched off.
        if subprocess.run(["setarch", "-R", "true"], capture_output=True).returncode == 0:
            runs.append(simulating.reliable(simulating.run(*workload, before=["setarch", "-R"])))
        texts = {json.dumps(run) for run in runs}
        assert len(texts) == 1, f"{workload}: {len(texts)} different results"


def test_what_matters_changes_the_digest():
    base = simulating.run(*LARSON)
    for change in (["--seed=1"], ["--route=cda"], ["--cores=1"], ["--geometry=default"]):
        changed = simulating.run(*LARSON, *change)
        assert changed["digest"] != base["digest"], change


def test_every_key_of_the_simulator_is_documented():
    with open(os.path.join(os.environ["HAK_SOURCE_DIR"], "doc/results.md"), encoding="utf-8") as file:
        named = set(re.findall(r"`(\w+)`", file.read()))
    result = simulating.run(*LARSON)
    parameters = {"rounds", "min", "max", "chunks", "generations", "operations"}
    keys = set(result) | set(result["machine"]) | set(result["machine"]["cost_table"]) | \
        set(result["unreliable"]) | set(result["workload"]) - parameters
    assert not keys - named, keys - named


def test_each_route_has_its_file():
    done = simulating.haksim("run", *LARSON, "--route=cda,s2,orphans=strand,best")
    assert done.returncode == 0, done.stderr
    for route in ("cda", "s2,orphans=strand", "best"):
        with open(f"larson.{route}.sim.json", encoding="utf-8") as file:
            assert json.load(file)["route"] == route
        assert f"\n{route} " in done.stdout, done.stdout
    assert "modelled" in done.stdout.splitlines()[0]


def test_several_routes_in_one_file():
    result = simulating.run(*LARSON, "--route=all")
    assert (result["schema"], result["version"]) == ("hak.runs", 1)
    routes = [run["route"] for run in result["runs"]]
    assert routes[0] == "cda" and "best" in routes and len(routes) == len(set(routes))
    # All of them see the same program.
    assert len({json.dumps(run["workload"]) for run in result["runs"]}) == 1
    assert len({run["measures"]["allocations"] for run in result["runs"]}) == 1
    assert all(run["violations"] == [] for run in result["runs"])


def test_all_routes_with_an_override():
    result = simulating.run(*LARSON, "--route=all,orphans=strand,s2")
    routes = [run["route"] for run in result["runs"]]
    assert routes[0] == "cda,orphans=strand" and routes[-1] == "s2", routes
    assert all(r.endswith(",orphans=strand") for r in routes[:-1]), routes


def test_json_on_standard_output():
    done = simulating.haksim("run", *LARSON, "--json", "-o", "/dev/null")
    assert done.returncode == 0 and json.loads(done.stdout)["schema"] == "hak.run"
    assert os.path.exists("/dev/null") and not os.path.isfile("/dev/null")


def write_machine(path, cores, **costs):
    source = os.path.join(os.environ["HAK_SOURCE_DIR"], "sim/machines/desktop.json")
    with open(source, encoding="utf-8") as file:
        machine = json.load(file)
    machine.update(name="slow", cores=cores)
    for name, value in costs.items():
        machine["costs"][name]["value"] = value
    with open(path, "w", encoding="utf-8") as file:
        json.dump(machine, file)


def test_every_operation_is_paid_for():
    """One chain: everything happens one after the other, so that times add up exactly. Main draws a
    number for each of 50 chunks and two for each of 200 replacements, the chain two for each of
    50."""
    one = ("--workload=larson,chunks=50,generations=1", "--threads=1", "--route=s2")
    base = simulating.run(*one)
    draws = 50 + 2 * 200 + 2 * 50
    for cost, ns, before_ns, times in (("operation", 1006, 6, base["steps"]),
                                       ("program", 1020, 20, draws)):
        write_machine("dear.json", 8, **{cost: ns})
        dear = simulating.run(*one, "--machine=dear.json")
        grown_ns = dear["machine"]["end_ns"] - base["machine"]["end_ns"]
        assert grown_ns == (ns - before_ns) * times, (cost, grown_ns, times)


def test_a_machine_in_a_file():
    write_machine("slow.json", 2, line_other_core=500)
    slow = simulating.run(*LARSON, "--machine=slow.json")
    quick = simulating.run(*LARSON, "--cores=2")
    assert slow["machine"]["name"] == "slow" and slow["machine"]["cores"] == 2
    assert slow["machine"]["end_ns"] > quick["machine"]["end_ns"]
    assert slow["machine"]["cost_table"]["hash"] != quick["machine"]["cost_table"]["hash"]


def test_a_trace_is_a_workload():
    maker = os.path.join(os.environ["HAK_BUILD_DIR"], "tests/bin/make_trace")
    assert subprocess.run([maker, "hand-over", "some.zst"]).returncode == 0
    result = simulating.run("--workload=trace:some.zst", "--route=best")
    assert result["trace"]["path"] == "some.zst" and result["workload"]["name"] == "trace"
    assert result["order"] == "dataflow" and result["violations"] == []
    assert result["steps"] > 0 and result["time_ns"] > 0
    again = simulating.run("--workload=trace:some.zst", "--route=best")
    assert again["digest"] == result["digest"]
    both = simulating.run("--workload=trace:some.zst", "--route=best,cda")
    assert both["trace"] == result["trace"] and len(both["runs"]) == 2
    done = simulating.haksim("run", "--workload=trace:some.zst", "--quiet")
    assert done.returncode == 0 and os.path.exists("some.best.sim.json")


def test_a_trace_with_more_threads():
    """Copies side by side do what one does, each for itself."""
    maker = os.path.join(os.environ["HAK_BUILD_DIR"], "tests/bin/make_trace")
    assert subprocess.run([maker, "hand-over", "some.zst"]).returncode == 0
    one = simulating.run("--workload=trace:some.zst", "--route=s2")
    three = simulating.run("--workload=trace:some.zst", "--route=s2", "--scale=3")
    assert three["workload"] == {"name": "trace", "scale": 3} and three["violations"] == []
    assert three["steps"] == 3 * one["steps"] and three["trace"]["hash"] == one["trace"]["hash"]
    assert three["measures"]["allocations"] == 3 * one["measures"]["allocations"]
    assert three["measures"]["live_bytes_max"] > one["measures"]["live_bytes_max"]
    assert len(three["threads"]) > len(one["threads"])
    same = simulating.run("--workload=trace:some.zst", "--route=s2", "--scale=1")
    assert same["behaviour"] == one["behaviour"]
    refused = simulating.haksim("run", "--workload=larson", "--scale=2")
    assert refused.returncode == 2 and "--scale" in refused.stderr, refused.stderr


def test_an_interrupt_leaves_what_there_is():
    endless = ("--workload=larson,chunks=500,generations=20000", "--route=best,cda")
    process = subprocess.Popen([simulating.HAKSIM, "run", *endless, "-o", "cut.json"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()  # the head is printed when the first run begins
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate()
    assert process.returncode == 130, (process.returncode, errors)
    with open("cut.json", encoding="utf-8") as file:
        result = json.load(file)
    assert result["schema"] == "hak.run" and result["route"] == "best"
    assert result["interrupted"] is True and errors == "", errors
    assert result["end"] == "interrupted" and " interrupted\n" in printed, printed


if __name__ == "__main__":
    simulating.run_module()
