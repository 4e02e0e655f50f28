"""Every corpus trace: one digest per route, over addresses fixed and not, machine idle and busy,
both optimisations. Usage: test_replay_corpus.py OTHER_BUILD REPLAYS ROUTES"""

import glob
import itertools
import os
import shutil
import subprocess
import sys

from replaying import HAKREPLAY, main, replay

OTHER_BUILD, REPLAYS, ROUTES = sys.argv[1], int(sys.argv[2]), sys.argv[3]
CORPUS = sorted(glob.glob(os.path.join(os.environ["HAK_SOURCE_DIR"], "traces/corpus/*.zst")))
FIXED = ("setarch", "-R")


def ways():
    """Ways to run: build, addresses, whether others run beside it; again and again."""
    can_fix = shutil.which("setarch") and subprocess.run([*FIXED, "true"],
                                                         capture_output=True).returncode == 0
    return itertools.islice(itertools.cycle(itertools.product(
        [False, True], [HAKREPLAY, OTHER_BUILD], [(), FIXED] if can_fix else [()])), REPLAYS)


def runs(trace, busy, program, prefix):
    others = [subprocess.Popen([HAKREPLAY, trace, "--quiet", "-o", "/dev/null"])
              for _ in range(2 if busy else 0)]
    found = replay(trace, f"--route={ROUTES}", program=program, prefix=prefix)
    assert all(other.wait() == 0 for other in others)
    return found


def test_one_digest_per_trace_and_route():
    assert CORPUS, "no trace in traces/corpus"
    for trace in CORPUS:
        digests = set()
        for busy, program, prefix in ways():
            found = runs(trace, busy, program, prefix)
            assert all(run["violations"] == [] for run in found), trace
            assert all(run["measures"]["failed_allocations"] == 0 for run in found), trace
            digests.add(tuple(run["digest"] for run in found))
        assert len(digests) == 1, f"{trace}: {len(digests)} different"
        print(f"     {os.path.basename(trace)}: {REPLAYS} replays of {len(found)} routes, one digest each")


def test_random_order_is_clean_and_the_same_again():
    for trace in CORPUS:
        first, again = (replay(trace, "--route=cda,best", "--order=dataflow", "--stamps", "--seed=1")
                        for _ in range(2))
        assert [run["digest"] for run in first] == [run["digest"] for run in again], trace
        assert all(run["violations"] == [] for run in first), trace


main([test_one_digest_per_trace_and_route, test_random_order_is_clean_and_the_same_again])
