"""large_trace.py KIND OPERATIONS MIB: a trace of so many events is measured within so much memory.

The plan is read block by block, by the threads that play: what the tool and the player take must not
grow with the trace but by a few bits an event, nor with the threads that have ended. `single` is one
thread; `larson` is three at a time, and a new one every 400 events.
"""
import json
import os
import resource
import subprocess
import sys

HAKREPLAY = os.path.join(os.environ["HAK_BIN_DIR"], "hakreplay")
MAKE_TRACE = os.path.join(os.environ["HAK_BUILD_DIR"], "tests/bin/make_trace")


def peak_mib():
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main():
    kind, operations, most = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    if os.environ["HAK_SANITIZE"]:
        most *= 4  # what the sanitizer keeps of memory that was freed
    # Its peak must not be this process's children's greatest: a process of its own makes the trace.
    subprocess.run(["sh", "-c", f"'{MAKE_TRACE}' {kind} large.zst {operations} 1"], check=True)
    made = peak_mib()
    subprocess.run([HAKREPLAY, "measure", "large.zst", "--allocator=glibc", "--reps=1", "--idle=0",
                    "--hold=0", "--touch=none", "--quiet", "-o", "large.json"], check=True)
    with open("large.json") as file:
        result = json.load(file)
    subject = result["subjects"][1]
    print(f"{kind}: {result['trace']['events']} events, {result['settings']['streams']} streams, "
          f"{os.path.getsize('large.zst') >> 20} MiB of trace; making it took {made:.0f} MiB, measuring "
          f"it {peak_mib():.0f} MiB; {subject['repetitions'][0]['wall_ns'] / 1e9:.2f} s a play")
    os.remove("large.zst")
    assert subject["failure"] is None, subject["failure"]
    assert result["trace"]["events"] >= operations
    assert not result["settings"]["plan_held"]
    assert peak_mib() < most, f"{peak_mib():.0f} MiB; expected less than {most:.0f}"


main()
