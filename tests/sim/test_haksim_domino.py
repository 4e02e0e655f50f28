"""haksim domino: what it finds agrees with MF2's own counters, and its chains hold together."""

import json
import os

import simulating

ADOPTERS = ("--workload=adopters,batch=100,exchanges=40,adopters=4,hunger=60", "--threads=2",
            "--geometry=seed")


def domino(*arguments):
    done = simulating.haksim("domino", *arguments, "-o", "domino.json")
    assert done.returncode == 0, f"{arguments}: exit {done.returncode}: {done.stderr}"
    with open("domino.json", encoding="utf-8") as file:
        return json.load(file), done.stdout


def test_counts_are_mf2_s():
    report, _ = domino(*ADOPTERS, "--route=cda,p,s2,best")
    assert report["schema"] == "hak.domino" and report["certainty"] == "modelled"
    for found in report["routes"]:
        result = simulating.run(*ADOPTERS, f"--route={found['route']}")
        counters = result["counters"]
        assert found["new_pages"] == counters["new_page_count"], found["route"]
        assert found["recycled_pages"] == counters["recycled_pages"], found["route"]
        assert found["held_max"] == result["measures"]["held_max"]
        thefts = found["thefts_running"] + found["thefts_exited"]
        # A page that was claimed and found full, or of another class, changed hands unseen.
        assert 0.98 * counters["owner_changes"] <= thefts <= counters["owner_changes"], (
            found["route"], thefts, counters["owner_changes"])
        fresh = sum(thread["fresh"] for thread in found["threads"])
        assert fresh == found["new_pages"] + found["recycled_pages"]
        assert sum(thread["links"] for thread in found["threads"]) == found["links"]
        assert sum(thread["thefts_by_it"] for thread in found["threads"]) == thefts
        assert found["links"] <= min(fresh, found["thefts_running"])


def test_the_domino_is_there_under_cda_and_not_under_route_s():
    report, text = domino(*ADOPTERS, "--route=cda,s2", "--chains=3")
    cda, s2 = report["routes"]
    assert cda["thefts_running"] > 0 and cda["links"] > 0, cda
    assert s2["thefts_running"] == s2["links"] == 0 and s2["longest_chains"] == []
    assert "stolen from thread" in text and "takes a fresh page" in text, text


def test_chains_hold_together():
    report, _ = domino(*ADOPTERS, "--route=cda", "--chains=5")
    found = report["routes"][0]
    chains = found["longest_chains"]
    assert len(chains) == 5 and chains[0]["length"] == found["longest"]
    assert [c["length"] for c in chains] == sorted((c["length"] for c in chains), reverse=True)
    for chain in chains:
        links = chain["links"]
        assert len(links) == chain["length"] and chain["bytes"] == 65536 * chain["length"]
        assert len({link["victim"] for link in links}) == 1
        for before, after in zip(links, links[1:]):
            assert before["fresh_page"] == after["stolen_page"], (before, after)
        for link in links:
            assert link["mapped_ns"] <= link["stolen_ns"] <= link["fresh_ns"], link
            assert link["thief"] != link["victim"]


def test_steady_and_transient_make_the_whole():
    report, _ = domino(*ADOPTERS, "--route=cda")
    found = report["routes"][0]
    parts = (found["transient"], found["steady"])
    assert sum(part["operations"] for part in parts) == found["operations"]
    links = sum(part["links_per_million"] * part["operations"] / 1e6 for part in parts)
    assert abs(links - found["links"]) < 0.5, (links, found["links"])


def test_traces_too():
    """A recorded program has its chains as well, if it has any."""
    trace = os.path.join(os.environ["HAK_SOURCE_DIR"], "traces", "corpus", "larson.zst")
    report, _ = domino(f"--workload=trace:{trace}", "--route=cda")
    result = simulating.run(f"--workload=trace:{trace}", "--route=cda")
    assert report["routes"][0]["new_pages"] == result["counters"]["new_page_count"] > 0
    done = simulating.haksim("domino", "--workload=trace:absent.zst")
    assert done.returncode == 2 and "absent.zst" in done.stderr


if __name__ == "__main__":
    simulating.run_module()
