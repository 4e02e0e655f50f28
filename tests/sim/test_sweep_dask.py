"""A sweep on a real Dask scheduler with three workers on loopback, one of them killed on the way:
nothing is lost, and the same bytes come out as from one machine."""

import json
import os
import signal
import subprocess
import sys
import time

import simulating

SKIPPED = 77
SOURCE = os.environ["HAK_SOURCE_DIR"]
PYTHON = "/usr/bin/python3"
GRID = {"schema": "hak.grid", "version": 1, "routes": ["s2", "p", "best"],
        "workloads": ["pingpong,batch=200,exchanges=50"], "parameters": {"handed": [0, 50, 100]},
        "threads": [2], "seeds": 5}


def part_lines():
    try:
        with open("spread.json.part", "rb") as file:
            return file.read().count(b"\n")
    except FileNotFoundError:
        return 0


def start(*arguments):
    return subprocess.Popen([PYTHON, *arguments], stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def start_cluster():
    scheduler = start("-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0",
                      "--no-dashboard", "--scheduler-file", "scheduler.json")
    while not os.path.exists("scheduler.json"):
        assert scheduler.poll() is None
        time.sleep(0.05)
    workers = [start("-m", "distributed.cli.dask_worker", "--scheduler-file", "scheduler.json",
                     "--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1")
               for _ in range(3)]
    return scheduler, workers


def test_a_killed_worker_loses_nothing():
    with open("grid.json", "w", encoding="utf-8") as file:
        json.dump(GRID, file)
    done = simulating.haksim("sweep", "grid.json", "-o", "local.json", "--quiet")
    assert done.returncode == 0, done.stderr
    scheduler, workers = start_cluster()
    try:
        driver = subprocess.Popen(
            [PYTHON, os.path.join(SOURCE, "analysis", "sweep_dask.py"), "grid.json",
             "--scheduler-file=scheduler.json", "--chunk=2", "-o", "spread.json",
             f"--haksim={simulating.HAKSIM}"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True)
        while part_lines() < 4:
            assert driver.poll() is None, driver.stderr.read()
            time.sleep(0.02)
        workers[0].send_signal(signal.SIGKILL)
        assert part_lines() < 46, "the worker was killed too late to show anything"
        error = driver.communicate()[1]
        assert driver.returncode == 0, error
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()
    assert workers[0].returncode == -signal.SIGKILL
    with open("local.json", "rb") as local, open("spread.json", "rb") as spread:
        assert local.read() == spread.read()
    assert not os.path.exists("spread.json.part")


if __name__ == "__main__":
    if subprocess.run([PYTHON, "-c", "import distributed"], capture_output=True).returncode != 0:
        print("skipped: needs Dask (apt-get install python3-distributed)")
        sys.exit(SKIPPED)
    simulating.run_module()
