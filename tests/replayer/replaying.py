"""What the replayer's script tests share: programs, traces, runs, and a list of checks."""

import json
import os
import subprocess
import sys

BIN = os.environ["HAK_BIN_DIR"]
HAKREPLAY = os.path.join(BIN, "hakreplay")
MAKE_TRACE = os.path.join(os.environ["HAK_BUILD_DIR"], "tests/bin/make_trace")
SCENARIOS = os.path.join(os.environ["HAK_SOURCE_DIR"], "replayer/scenarios")
ROUTES = "cda cda-claim cda-t2 cda-t4 cda-reenqueue s1 s2 s3 p home best".split()


class Run:
    def __init__(self, *arguments, program=HAKREPLAY, prefix=()):
        done = subprocess.run([*prefix, program, *arguments], capture_output=True, text=True)
        self.line = " ".join(arguments)
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr


def make_trace(kind, path, operations=6000, seed=1, tweak=""):
    subprocess.run([MAKE_TRACE, kind, path, str(operations), str(seed), tweak], check=True)
    return path


def replay(trace, *arguments, program=HAKREPLAY, prefix=(), output="out.json"):
    """The hak.run objects of a replay that must succeed."""
    run = Run(trace, *arguments, "-o", output, "--quiet", program=program, prefix=prefix)
    assert run.status == 0, f"{run.line}: status {run.status}: {run.err}"
    with open(output) as file:
        result = json.load(file)
    return result["runs"] if result["schema"] == "hak.runs" else [result]


def main(tests):
    """Runs every function, prints what failed; the exit status says whether any did."""
    failed = 0
    for test in tests:
        try:
            test()
            print(f"ok   {test.__name__}")
        except AssertionError as error:
            failed += 1
            print(f"FAIL {test.__name__}: {error}")
    sys.exit(1 if failed else 0)
