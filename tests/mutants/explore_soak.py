"""Explores MF2 as it is for hours, in slices; the sums are kept in a file.

    explore_soak.py BUILD [--state=FILE] [--hours=H] [--slice=SECONDS] [--jobs=N] [--table]

BUILD is a release build with its tests built. A slice is so many schedules of one target: all
scenarios under one preset and the routes of suite.txt that are made from it, or the whole suite;
with sequentially consistent memory, or (c11) with weak memory and races. The target that is
furthest from its goal comes next, and no seed twice. After each slice FILE (explore-soak.json) is
written anew: a stopped run loses the slices under way, and the next one goes on behind them. Sums
belong to the hash of MF2's sources; those of other sources stay in the file and are not counted.

A violation is kept in FILE with the command that shows it, and its schedule beside FILE. --table
prints the table and does nothing. Exit status 1 if there is a violation of these sources in FILE.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SCENARIOS = f"{ROOT}/replayer/scenarios"
OPTIONS = {word[2:].partition("=")[0]: word.partition("=")[2] for word in sys.argv[1:]
           if word.startswith("--")}
BUILD = os.path.abspath(next(word for word in sys.argv[1:] if not word.startswith("--")))
STATE = os.path.abspath(OPTIONS.get("state", "explore-soak.json"))
HOURS = float(OPTIONS.get("hours", "1"))
SLICE_SECONDS = float(OPTIONS.get("slice", "20"))
JOBS = int(OPTIONS.get("jobs", "1"))
FIND, REPLAY = f"{BUILD}/tests/bin/mutants_find", f"{BUILD}/bin/hakreplay"
# Schedules wanted. Together 10^9.
PRESET_GOAL, SUITE_GOAL, C11_GOAL = 60_000_000, 240_000_000, 100_000_000
RATE_AT_FIRST = 20_000  # schedules a second, until a slice has told
FOUND = re.compile(r"found in (\d+) schedules: (\S+), route (\S+), seed (\d+): (.*)")
NOTHING = re.compile(r"nothing in (\d+) schedules")


def presets():
    text = subprocess.run([REPLAY, "--list-routes"], capture_output=True, text=True, check=True).stdout
    return re.findall(r"^  (\S+)", text.split("switches", 1)[0], re.M)


def pairs_of(target):
    """Lines of a suite."""
    with open(f"{HERE}/suite.txt", encoding="utf-8") as file:
        suite = [line.strip() for line in file if line.strip() and not line.startswith("#")]
    if target == "suite":
        return suite
    names = sorted(name[:-4] for name in os.listdir(SCENARIOS) if name.endswith(".scn"))
    return [f"{name} {target}" for name in names] + [
        line for line in suite if line.split()[1].split(",")[0] == target and "," in line.split()[1]]


def goals():
    """(target, memory) to schedules wanted."""
    wanted = {(preset, "sc"): PRESET_GOAL for preset in presets()}
    wanted["suite", "sc"] = SUITE_GOAL
    wanted["suite", "c11"] = C11_GOAL
    return wanted


def sources():
    return subprocess.run([FIND, "--sources"], capture_output=True, text=True, check=True).stdout.strip()


def read_state():
    if not os.path.exists(STATE):
        return {}
    with open(STATE, encoding="utf-8") as file:
        return json.load(file)


def write_state(state):
    with open(f"{STATE}.new", "w", encoding="utf-8") as file:
        json.dump(state, file, indent=1, sort_keys=True)
        file.write("\n")
    os.replace(f"{STATE}.new", STATE)


def entry_of(state, target, memory):
    return state.setdefault(sources(), {}).setdefault(
        f"{target} {memory}", {"schedules": 0, "seconds": 0, "next_seed": 1, "violations": []})


class Slice:
    def __init__(self, state, target, memory, folder):
        self.target, self.memory, self.begun = target, memory, time.monotonic()
        self.entry = entry_of(state, target, memory)
        rate = self.entry["schedules"] / self.entry["seconds"] if self.entry["seconds"] else RATE_AT_FIRST
        pairs = pairs_of(target)
        # Whole rounds of eight seeds of every pair, so that the next slice's seeds are others.
        rounds = max(1, round(rate * SLICE_SECONDS / (8 * len(pairs))))
        self.schedules = rounds * 8 * len(pairs)
        suite = f"{folder}/{target}-{memory}-{self.entry['next_seed']}"
        with open(suite, "w", encoding="utf-8") as file:
            file.write("\n".join(pairs) + "\n")
        self.process = subprocess.Popen(
            [FIND, f"--memory={memory}", f"--schedules={self.schedules}",
             f"--seed={self.entry['next_seed']}", suite, SCENARIOS],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.entry["next_seed"] += rounds * 8

    def finish(self):
        said = self.process.communicate()[0]
        found, nothing = FOUND.search(said), NOTHING.search(said)
        if not found and not nothing:
            sys.exit(f"{self.target} {self.memory}: {said.strip() or self.process.returncode}")
        self.entry["schedules"] += int((found or nothing).group(1))
        self.entry["seconds"] += time.monotonic() - self.begun
        if found:
            self.note(*found.group(2, 3, 4, 5))

    def note(self, scenario, route, seed, text):
        output = f"{os.path.splitext(STATE)[0]}-{scenario}-{self.memory}-{seed}.hks"
        command = [REPLAY, "explore", f"{SCENARIOS}/{scenario}.scn", f"--route={route}",
                   f"--memory={self.memory}", f"--seed={seed}", "--schedules=1", "-o", output]
        subprocess.run(command, capture_output=True, check=False)
        self.entry["violations"].append({"text": text, "command": " ".join(command)})
        print(f"violation: {self.target} {self.memory}: {scenario}, route {route}, seed {seed}: {text}",
              flush=True)


def table(state):
    done = state.get(sources(), {})
    print(f"sources {sources()}\n{'preset':<16} {'memory':<6} {'schedules':>14} {'wanted':>14} "
          f"{'schedules/s':>12} violations")
    sums = {"sc": 0, "c11": 0}
    for (target, memory), wanted in goals().items():
        entry = done.get(f"{target} {memory}", {"schedules": 0, "seconds": 0, "violations": []})
        rate = entry["schedules"] / entry["seconds"] if entry["seconds"] else 0
        sums[memory] += entry["schedules"]
        print(f"{target:<16} {memory:<6} {entry['schedules']:>14,} {wanted:>14,} {rate:>12,.0f} "
              f"{len(entry['violations'])}")
    print(f"in all {sums['sc'] + sums['c11']:,}, of them {sums['c11']:,} with c11")
    violations = [v for entry in done.values() for v in entry["violations"]]
    for violation in violations:
        print(f"{violation['text']}\n  {violation['command']}")
    return 1 if violations else 0


def next_target(state):
    wanted = goals()
    return min(wanted, key=lambda key: entry_of(state, *key)["next_seed"] * 1.0
               * len(pairs_of(key[0])) / wanted[key])


def soak(state):
    end, running = time.monotonic() + HOURS * 3600, []
    with tempfile.TemporaryDirectory() as folder:
        while running or time.monotonic() < end:
            while len(running) < JOBS and time.monotonic() < end:
                running.append(Slice(state, *next_target(state), folder))
            running.pop(0).finish()
            write_state(state)


def main():
    state = read_state()
    if "table" not in OPTIONS:
        soak(state)
    return table(state)


sys.exit(main())
