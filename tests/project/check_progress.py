"""Long commands show on a terminal how far they are, at which rate and how long still; not elsewhere, not with --quiet."""

import argparse
import os
import pty
import subprocess
import sys

import project_tree as tree

ALLOCATIONS = 500000  # of the first text to import; more where that is done too soon to be told of
TRIES = 3


def on_terminal(line):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 65536):
            said += part
    except OSError:
        pass  # the terminal's other end is closed
    process.wait()
    return said.decode()


def write_calls(path, count):
    """As Android's malloc_debug writes them."""
    with open(path, "w", encoding="ascii") as file:
        for i in range(count):
            file.write(f"1: malloc 0x{0x55550000 + 64 * i:x} 48\n")


def lines_of(binaries, root, size):
    """Tool → a line whose work grows with `size`, and what its progress must have."""
    scenario = os.path.join(root, "replayer/scenarios/hand-over.scn")
    write_calls("calls.txt", ALLOCATIONS * size)  # some reads of 2 MB
    path = {name: os.path.join(binaries, name) for name in ("haktrace", "hakreplay", "haksim")}
    return {
        "haktrace import": ([path["haktrace"], "import", "--force", "--format=android", "-o", "calls.zst", "calls.txt"], ["%", "MB/s", "left"]),
        "haksim run": ([path["haksim"], "run", "-o", "run.sim.json", f"--workload=larson,rounds={size}"], ["operations/s"]),
        "haksim seed-table": ([path["haksim"], "seed-table", "--seeds=4", f"--operations={2000 * size}", "--chunks=100", "-o", "seed.sim.json"], ["%", "runs/s", "left"]),
        "hakreplay explore": ([path["hakreplay"], "explore", f"--budget={size}s", scenario], ["schedules/s", "left"]),
    }


def violations(root, binaries):
    waiting, size = None, 1
    for _ in range(TRIES):
        lines = lines_of(binaries, root, size)
        for name in list(lines) if waiting is None else waiting:
            line, wanted = lines[name]
            said = on_terminal(line)
            if all(word in said for word in wanted):
                for quiet in (on_terminal([*line, "--quiet"]), subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True).stderr):
                    if "/s" in quiet:
                        yield f"{name}:1: tells its progress where nobody looks: {quiet[-200:]!r}"
                if not said.endswith("\r"):
                    yield f"{name}:1: leaves its progress on the terminal: {said[-200:]!r}"
                waiting = [other for other in (waiting or lines) if other != name]
        if not waiting:
            return
        size *= 3
    yield from (f"{name}:1: tells no progress" for name in waiting)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root")
    parser.add_argument("binaries")
    arguments = parser.parse_args()
    sys.exit(tree.report(list(violations(arguments.root, arguments.binaries)), "progress"))
