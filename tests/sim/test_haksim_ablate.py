"""haksim ablate: its cells are those of single runs, its effects follow from its cells."""

import json
import math

import simulating

WORKLOAD = "adopters,batch=30,exchanges=12,adopters=3,hunger=20,idle=2"
COMMON = ("--threads=2", "--seeds=2", "--workload=" + WORKLOAD)


def ablate(*arguments):
    done = simulating.haksim("ablate", *COMMON, *arguments, "-o", "ablate.json")
    assert done.returncode == 0, f"{arguments}: exit {done.returncode}: {done.stderr}"
    with open("ablate.json", encoding="utf-8") as file:
        return json.load(file), done.stdout


def test_cells_are_single_runs():
    report, text = ablate()
    assert report["schema"] == "hak.ablation" and report["certainty"] == "modelled"
    assert "modelled" in text.splitlines()[0]
    figures = report["workloads"][0]["figures"]
    for cell, route in ((0, "s2,scan=mask,orphans=adopt,empty=recycle"),
                        (63, "cda-claim,scan=mask")):
        held = lines = owners = 0
        for seed in (12345, 12346):
            result = simulating.run("--workload=" + WORKLOAD, "--threads=2", "--geometry=seed",
                                    f"--route={route}", f"--seed={seed}")
            held += result["measures"]["held_over_fewest"] / 2
            lines += result["machine"]["line_moves"] / result["steps"] / 2
            owners += result["measures"]["owner_changes_per_page"] / 2
        assert abs(figures["held_over_fewest"]["cells"][cell] - held) < 1e-6
        assert abs(figures["line_moves_per_operation"]["cells"][cell] - lines) < 1e-6
        assert abs(figures["owner_changes_per_page"]["cells"][cell] - owners) < 1e-6


def test_effects_follow_from_cells():
    """The plain figure's effects are linear, so that those of the mean cells are their means."""
    report, _ = ablate()
    figure = report["workloads"][0]["figures"]["owner_changes_per_page"]
    cells, effects = figure["cells"], figure["effects"]
    assert len(cells) == 64 and len(effects) == 63
    for mask, effect in enumerate(effects, 1):
        assert len(effect["flaws"]) == bin(mask).count("1")
        mine = sum(-c if bin(mask & ~cell).count("1") % 2 else c for cell, c in enumerate(cells))
        assert abs(effect["mean"] - mine / 32) < 1e-6, (effect, mine / 32)
    for figure in report["workloads"][0]["figures"].values():
        total = sum(effect["share"] for effect in figure["effects"])
        assert math.isclose(total, 1, abs_tol=1e-6), total
        for effect in figure["effects"]:
            assert effect["low"] <= effect["mean"] <= effect["high"]
            if effect["low"] <= 0 <= effect["high"]:
                assert effect["undecided"], effect


def test_the_band_can_only_make_effects_undecided():
    plain, _ = ablate()
    band, text = ablate("--band")
    assert band["band"] and "costs halved or doubled" in text
    for before, after in zip(plain["workloads"][0]["figures"].values(),
                             band["workloads"][0]["figures"].values()):
        assert before["cells"] == after["cells"]
        for a, b in zip(before["effects"], after["effects"]):
            assert b["undecided"] or not a["undecided"], (a, b)


def test_refusals():
    for arguments, expected in ((("--seeds=1",), "--seeds"), (("--workload=trace:a",), "trace"),
                                (("--workload=nothing",), "'nothing'"),
                                (("--geometry=big",), "'big'")):
        done = simulating.haksim("ablate", *arguments)
        assert done.returncode == 2 and expected in done.stderr, done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr


if __name__ == "__main__":
    simulating.run_module()
