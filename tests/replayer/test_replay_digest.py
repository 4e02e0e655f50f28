"""One trace, route, order and seed: one digest, however often, wherever in memory, however the
build was optimised, however busy the machine. And the control: a changed event, size, route or seed
changes it."""

import shutil
import subprocess
import sys

from replaying import HAKREPLAY, ROUTES, main, make_trace, replay

OTHER_BUILD = sys.argv[1]  # hakreplay, otherwise optimised
KINDS = ["hand-over", "ping-pong", "larson", "mixed"]
ORDERS = {"strict": [], "random": ["--order=dataflow", "--seed=5", "--stamps"],
          "round-robin": ["--order=dataflow", "--strategy=round-robin"]}


def digests(trace, *arguments, **how):
    return [run["digest"] for run in replay(trace, "--route=all", *arguments, **how)]


def fixed_addresses():
    """How to run a program without address space randomisation, where that is allowed."""
    prefix = ("setarch", "-R")
    if shutil.which("setarch") and subprocess.run([*prefix, "true"], capture_output=True).returncode == 0:
        return prefix
    return None


def test_equal_runs_have_equal_digests():
    prefix = fixed_addresses()
    if prefix is None:
        print("     (setarch -R is not allowed here: fixed addresses are left out)")
    for kind in KINDS:
        trace = make_trace(kind, f"{kind}.zst", 800)
        for name, arguments in ORDERS.items():
            first = digests(trace, *arguments)
            assert len(first) == len(ROUTES)
            assert digests(trace, *arguments) == first, f"{kind} {name}: again"
            assert digests(trace, *arguments, program=OTHER_BUILD) == first, \
                f"{kind} {name}: other optimisation"
            if prefix:
                assert digests(trace, *arguments, prefix=prefix) == first, \
                    f"{kind} {name}: fixed addresses"


def test_a_busy_machine_changes_nothing():
    trace = make_trace("mixed", "busy.zst", 1500)
    alone = digests(trace)
    others = [subprocess.Popen([HAKREPLAY, trace, "--route=all", "--quiet", "-o", f"busy-{i}.json"])
              for i in range(3)]
    beside = digests(trace)
    assert [other.wait() for other in others] == [0, 0, 0]
    assert beside == alone


def test_whole_results_are_equal_but_for_unreliable():
    trace = make_trace("larson", "whole.zst")
    first, second = (replay(trace, "--route=all", output=f"{i}.json") for i in "ab")
    for a, b in zip(first, second):
        assert a.pop("unreliable") and b.pop("unreliable")
        assert a == b
        assert list(a) == list(b), "keys in another order"


def test_equal_bytes_but_for_unreliable():
    """The text, not only its meaning."""
    trace = make_trace("ping-pong", "bytes.zst")
    texts = []
    for name in "ab":
        replay(trace, output=f"{name}.json")
        with open(f"{name}.json", "rb") as file:
            texts.append(file.read().split(b'"unreliable"')[0])
    assert texts[0] == texts[1] and len(texts[0]) > 1000


def test_strict_order_is_dataflow_in_recorded_order():
    for kind in KINDS:
        trace = make_trace(kind, f"{kind}.zst", 800)
        assert digests(trace) == digests(trace, "--order=dataflow", "--strategy=recorded"), kind


def test_a_changed_program_changes_the_digest():
    for tweak in ["size", "event"]:
        for kind in ["hand-over", "mixed"]:
            plain = make_trace(kind, "plain.zst", 1000)
            changed = make_trace(kind, "changed.zst", 1000, tweak=tweak)
            with open(plain, "rb") as a, open(changed, "rb") as b:
                assert a.read() != b.read()
            for name, arguments in ORDERS.items():
                for route, a, b in zip(ROUTES, digests(plain, *arguments),
                                       digests(changed, *arguments)):
                    assert a != b, f"{kind} {name} {route}: {tweak}"


def test_a_changed_route_changes_the_digest():
    trace = make_trace("larson", "routes.zst")
    assert len(set(digests(trace))) == len(ROUTES)
    behaviours = {run["route"]: run["behaviour"] for run in replay(trace, "--route=all")}
    # What these do differs on this program, not only their names.
    assert len({behaviours[name] for name in ["cda", "cda-t2", "cda-t4", "s1", "s2", "best"]}) == 6
    assert digests(trace, "--geometry=seed")[0] != digests(trace)[0]


def test_a_changed_seed_changes_the_digest():
    trace = make_trace("mixed", "seeds.zst", 800)
    found = {replay(trace, "--order=dataflow", f"--seed={seed}")[0]["behaviour"]
             for seed in range(1, 9)}
    assert len(found) == 8


main([test_equal_runs_have_equal_digests, test_a_busy_machine_changes_nothing,
      test_whole_results_are_equal_but_for_unreliable, test_equal_bytes_but_for_unreliable,
      test_strict_order_is_dataflow_in_recorded_order, test_a_changed_program_changes_the_digest,
      test_a_changed_route_changes_the_digest, test_a_changed_seed_changes_the_digest])
