"""haksim seed-table: every row with a verdict that follows from its own figures, the same bytes
with any number of jobs, and common random numbers."""

import json
import os

import simulating

SMALL = ("--seeds=3", "--operations=4000", "--chunks=200")
ROWS = ["cda", "cda-claim", "cda-t4", "cda-t2", "cda-reenqueue", "s1", "s2", "s3", "p", "best"]


def seed_table(*arguments):
    done = simulating.haksim("seed-table", *SMALL, *arguments, "-o", "table.json")
    assert done.returncode == 0, f"{arguments}: exit {done.returncode}: {done.stderr}"
    with open("table.json", encoding="utf-8") as file:
        return json.load(file), done.stdout


def in_the_claim(figure):
    """The first part of the rule, a second time."""
    low, high = figure["seed"]
    if high is None:
        return 1.25 * figure["high"] >= low
    if low is None:
        return 0.75 * figure["low"] <= high
    return 0.75 * figure["low"] <= low and high <= 1.25 * figure["high"]


def test_every_row_has_a_verdict_by_the_rule():
    report, text = seed_table("--pace=modelled")
    assert report["schema"] == "hak.seed-table" and report["certainty"] == "modelled"
    assert [row["route"] for row in report["rows"]] == ROWS
    assert "modelled" in text.splitlines()[0]
    for row in report["rows"]:
        assert row["seeds"] == 3
        for key in ("reuse_over_new", "reuse_share", "new_pages_per_million"):
            figure = row["figures"][key]
            assert figure["low"] <= figure["mean"] <= figure["high"], (row["route"], figure)
            if figure["seed"] is None:
                assert figure["verdict"] == "-", (row["route"], key)
            else:
                assert (figure["verdict"] == "reproduced") == in_the_claim(figure), (row, key)
        assert row["verdict"] == row["figures"]["reuse_over_new"]["verdict"]
        assert row["figures"]["held_over_fewest"]["mean"] >= 1
    p = report["rows"][ROWS.index("p")]
    assert p["verdict"] == "-", "the seed has no figure for Route P"


def test_seed_figures_are_normalised_by_its_own_operations():
    report, _ = seed_table("--pace=modelled")
    figures = {row["route"]: row["figures"] for row in report["rows"]}
    assert figures["cda-reenqueue"]["reuse_over_new"]["seed"] == [6.2, 6.2]
    low, high = figures["cda-reenqueue"]["new_pages_per_million"]["seed"]
    assert low == high and abs(low - 230267 / (303770 + 200000) * 1e6) < 1
    low, high = figures["cda"]["new_pages_per_million"]["seed"]
    assert abs(low - 227000 / 0.78) < 1 and abs(high - 227000 / 0.64) < 1, (low, high)


def test_blocks_per_page_make_threshold_2_better_than_4():
    """A three-block page never reaches four remote frees."""
    report, text = seed_table("--pace=modelled")
    ratio = report["threshold_2_over_4"]["modelled"]
    assert ratio["low"] > 2, ratio
    assert "threshold 2 reuses" in text


def test_jobs_do_not_matter():
    seed_table("--jobs=1")
    with open("table.json", "rb") as file:
        alone = file.read()
    report, _ = seed_table("--jobs=3")
    with open("table.json", "rb") as file:
        assert file.read() == alone
    assert {row["pace"] for row in report["rows"]} == {"seed", "modelled"}


def test_figures_are_those_of_single_runs():
    """Also that every row has the same three seeds."""
    report, _ = seed_table("--pace=modelled", "--jobs=1")
    for row in (report["rows"][0], report["rows"][ROWS.index("s2")]):
        reuse = []
        for seed in range(12345, 12348):
            result = simulating.run(
                "--workload=larson,rounds=1,chunks=200,operations=4000,generations=7",
                "--threads=4", "--geometry=seed", f"--route={row['route']}", f"--seed={seed}")
            reuse.append(100 * result["measures"]["reuse_over_new"])
        mean = row["figures"]["reuse_over_new"]["mean"]
        assert abs(sum(reuse) / 3 - mean) < 1e-4, (row["route"], reuse, mean)


def test_phase_3_may_have_fewer_seeds_than_the_others():
    """Its figures are then those of a table of so many seeds, the others' are not touched."""
    full, _ = seed_table("--pace=modelled")
    fewer, text = seed_table("--pace=modelled", "--slow-seeds=2")
    two, _ = seed_table("--pace=modelled", "--seeds=2")
    place = ROWS.index("s3")
    assert [row["seeds"] for row in fewer["rows"]] == [2 if r == "s3" else 3 for r in ROWS]
    assert "phase 3: the first 2 seeds only" in text
    for i, row in enumerate(fewer["rows"]):
        other = two if i == place else full
        for key, figure in row["figures"].items():
            assert figure["mean"] == other["rows"][i]["figures"][key]["mean"], (ROWS[i], key)
    assert full["rows"][place]["figures"] != two["rows"][place]["figures"]


def test_a_failed_report_overwrites_nothing():
    os.makedirs("folder", exist_ok=True)
    done = simulating.haksim("seed-table", *SMALL, "--pace=modelled", "-o", "folder")
    assert done.returncode == 2 and "folder: cannot write" in done.stderr, done.stderr


if __name__ == "__main__":
    simulating.run_module()
