"""Each branch of the verdict, on invented numbers."""
import unittest

import testing
import made_results
import results
import verdict
from made_results import run, runs, save


def words(*documents):
    """{title: text} of the verdict on these runs."""
    loaded = results.gather([save("verdict.replay.json", runs(*documents))])[0]
    return {part.title: " ".join(part.sentences).replace("\u00a0", " ") for part in verdict.paragraphs(loaded)}


def holding(held, fewest=1000, constant=40, route="s2", **state):
    """A run of one timeline row that holds `held` pages: all full but for the given states and stranded_* numbers."""
    line = dict.fromkeys(results.TIMELINE_COLUMNS, 0)
    line.update(step=1000, held=held, held_max=held, fewest=fewest, **state)
    line["full"] = held - sum(line[name] for name in results.PAGE_STATES)
    document = run(route, rows=1)
    document["timeline"]["rows"] = [[line[name] for name in results.TIMELINE_COLUMNS]]
    document["measures"].update(held_max=held, fewest_max=fewest, constant_pages=constant, held_mean=held * .9, live_pages_max=fewest * .9,
                                held_over_fewest=held / fewest if fewest else None, reuse_share=.5)
    document["digest"] = route
    return document


class WhatHolds(unittest.TestCase):
    def text(self, **numbers):
        return words(holding(**numbers))["What holds the pages"]

    def test_nothing(self):
        self.assertIn("held no page", self.text(held=0, fewest=0))

    def test_within_the_constant(self):
        self.assertIn("C = 40", self.text(held=1040))
        self.assertNotIn("C = 40", self.text(held=1041))

    def test_no_rest(self):
        self.assertIn("nothing to save", self.text(held=1000))
        self.assertNotIn("The rest", self.text(held=1000))
        self.assertNotIn("nothing to save", self.text(held=1001))

    def test_what_is_true_of_several_runs_is_said_once(self):
        text = words(holding(1040, route="a"), dict(holding(1040, route="b"), order="dataflow"))["What holds the pages"]
        self.assertEqual((text.count("C = 40"), text.count("In each of these, the rest is no more than")), (1, 1))
        self.assertEqual(text.count("held 1,040 pages"), 2)

    def test_close_to_the_fewest(self):
        self.assertIn("within 10.0 % of the fewest", self.text(held=1100))
        self.assertNotIn("within 10.0 %", self.text(held=1102))

    def test_each_stranding(self):
        for cause, phrase in verdict.STRANDED_BECAUSE.items():
            text = self.text(held=2000, orphan=700, **{"stranded_" + cause: 600})
            self.assertIn(f"600 pages (30.0 % of those held), was {phrase}", text)

    def test_cached_empties_and_partial_pages(self):
        self.assertIn("empty and kept", self.text(held=2000, empty=900))
        self.assertIn("partly filled", self.text(held=2000, partial=900, empty=100))

    def test_no_group_stands_out(self):
        self.assertIn("neither stranded", self.text(held=2000, empty=199))

    def test_large_blocks(self):
        self.assertIn("large blocks, which no route governs", self.text(held=2000, large=1000))

    def test_price_of_the_classes(self):
        document = holding(1000)
        document["measures"]["live_pages_max"] = 500
        self.assertIn("price of their own", words(document)["What holds the pages"])
        other = document | {"route": "other", "measures": document["measures"] | {"held_max": 1000}}
        self.assertEqual(words(document, other)["What holds the pages"].count("price of their own"), 1)
        self.assertNotIn("price of their own", self.text(held=1000))

    def test_most_and_fewest_only(self):
        text = words(*(holding(held, route=f"r{held}") for held in (3000, 2000, 4000)))["What holds the pages"]
        self.assertIn("r4000 held", text)
        self.assertIn("r2000 held", text)
        self.assertNotIn("r3000 held", text)


class WhichHoldsFewer(unittest.TestCase):
    def text(self, *documents):
        return words(*documents)["Which route holds fewer"]

    def test_one_route(self):
        self.assertIn("Only one route", self.text(holding(100)))

    def test_ranking(self):
        text = self.text(holding(2000, route="cda"), holding(1000, route="s2"))
        self.assertIn("s2 holds the fewest: 1,000 pages at most, 50.0 % fewer than cda (2,000)", text)
        self.assertNotIn("chance", text)

    def test_all_that_hold_most_are_named(self):
        self.assertIn("fewer than b and c (2,000)", self.text(holding(1000, route="a"), holding(2000, route="b"), holding(2000, route="c")))

    def test_a_model_is_called_one(self):
        text = self.text(*(holding(held, route=f"r{held}") | {"certainty": "modelled"} for held in (1000, 2000)))
        self.assertIn("what the model says", text)
        self.assertNotIn("the model", self.text(holding(1000, route="a"), holding(2000, route="b")))

    def test_no_difference(self):
        self.assertIn("No difference worth naming: all 2 routes hold 1,000 to 1,009", self.text(holding(1000, route="a"), holding(1009, route="b")))

    def test_a_near_second(self):
        self.assertIn("b is within 1.0 %", self.text(holding(1000, route="a"), holding(1005, route="b"), holding(1500, route="c")))

    def sampled(self, route, *counts):
        return [dict(holding(held, route=route), certainty="sampled", seed=seed, digest=f"{route}{seed}") for seed, held in enumerate(counts)]

    def test_single_samples_may_be_chance(self):
        self.assertIn("may be chance", self.text(*self.sampled("a", 1000), *self.sampled("b", 2000)))

    def test_samples_that_do_not_overlap(self):
        text = self.text(*self.sampled("a", 1000, 1100), *self.sampled("b", 2000, 2200), *self.sampled("c", 1900, 2500))
        self.assertIn("Every sampled interleaving of it (2 seeds) held fewer pages than any of the next best, b (2 seeds)", text)
        self.assertIn("1,000 to 1,100 pages", text)

    def test_samples_that_overlap_the_next_only(self):
        text = self.text(*self.sampled("a", 1000, 1100), *self.sampled("b", 1050, 1250), *self.sampled("c", 1900, 2500))
        self.assertIn("any of the worst, c", text)

    def test_samples_that_overlap(self):
        self.assertIn("not settled", self.text(*self.sampled("a", 1000, 2100), *self.sampled("b", 1500, 2200)))

    def test_the_mean_disagrees(self):
        other = holding(2000, route="b")
        other["measures"]["held_mean"] = 300
        self.assertIn("By the mean over the run b holds fewer (300 against 900)", self.text(holding(1000, route="a"), other))

    def test_a_high_reuse_rate_is_not_few_pages(self):
        busy = holding(2000, route="b")
        busy["measures"]["reuse_share"] = .9
        self.assertIn("highest reuse rate, 90.0 % of b, does not make", self.text(holding(1000, route="a"), busy))
        self.assertNotIn("highest reuse rate", self.text(holding(1000, route="a"), holding(2000, route="b")))

    def test_equal_digests(self):
        a, b = holding(1000, route="a"), holding(1000, route="b")
        b["digest"] = a["digest"]
        self.assertIn("a and b did exactly the same here", self.text(a, b))

    def test_other_subjects_and_conditions_are_not_ranked(self):
        for change in ({"trace": dict(made_results.TRACE, hash="1")}, {"geometry": "seed"}, {"order": "dataflow"}, {"certainty": "sampled"}):
            text = self.text(holding(2000, route="a"), dict(holding(1000, route="b"), **change))
            self.assertIn("not ranked", text)
            self.assertNotIn("holds the fewest", text)


class Uncertain(unittest.TestCase):
    def text(self, *documents):
        return words(*documents)["What is uncertain"]

    def test_each_certainty_is_named(self):
        self.assertIn("All figures are measured: counted", self.text(holding(100)))
        self.assertIn("All figures are sampled: counted", self.text(holding(100) | {"certainty": "sampled"}))
        self.assertIn("All figures are modelled: only as good", self.text(holding(100) | {"certainty": "modelled"}))
        self.assertIn("The figures of a are measured", self.text(holding(100, route="a"), holding(100, route="b") | {"certainty": "sampled"}))

    def test_an_incomplete_trace(self):
        self.assertIn("lacks 3 lost events", self.text(run(trace=dict(made_results.TRACE, lost=3))))
        self.assertIn("has no end", self.text(run(trace=dict(made_results.TRACE, complete=False))))
        self.assertNotIn("The trace", self.text(run()))

    def test_an_interrupted_run(self):
        stopped = holding(1000, route="b") | {"interrupted": True}
        self.assertIn("b was interrupted", self.text(holding(2000, route="a"), stopped))
        self.assertNotIn("interrupted", self.text(holding(2000)))
        self.assertNotIn("holds the fewest", words(holding(2000, route="a"), stopped)["Which route holds fewer"])

    def test_sources(self):
        self.assertIn("different versions", self.text(run(commit="a"), run(commit="b")))
        self.assertIn("uncommitted changes", self.text(run(commit="abc-dirty")))
        self.assertNotIn("versions", self.text(run(), run()))

    def test_few_pages(self):
        self.assertIn("granularity", self.text(holding(63)))
        self.assertNotIn("granularity", self.text(holding(64)))
        self.assertNotIn("granularity", self.text(holding(0, fewest=0)))


class ManyResults(unittest.TestCase):
    """More programs than one can read about are counted, not told one by one."""

    def loaded(self, programs, best_in):
        documents = []
        for number in range(programs):
            trace = dict(made_results.TRACE, hash=f"{number:016x}", program=f"p{number}")
            held = (1000, 2000) if number < best_in else (2000, 1000)
            documents += [holding(pages, route=route) | {"trace": trace, "digest": f"{number}{route}"} for route, pages in zip(("best", "cda"), held)]
        return documents

    def test_counts(self):
        text = words(*self.loaded(20, 17))
        self.assertIn("best holds the fewest pages, or within 1.0 % of them, in 17 of 20", text["Which route holds fewer"])
        self.assertIn("cda: 3 of 20.", text["Which route holds fewer"])
        self.assertIn("40 runs of 20 programs or conditions held 1.00× to 2.00×", text["What holds the pages"])
        self.assertLess(sum(map(len, text.values())), 1500)

    def test_few_are_told_one_by_one(self):
        self.assertIn("best holds the fewest: 1,000 pages", words(*self.loaded(3, 3))["Which route holds fewer"])


class OtherResults(unittest.TestCase):
    def words(self, *documents):
        from made_reports import reports
        return {part.title: " ".join(part.sentences).replace("\u00a0", " ") for part in verdict.paragraphs([], reports(*documents))}

    def test_allocators_say_what_their_intervals_allow(self):
        from made_reports import measure
        self.assertEqual(self.words(measure()), {"Which allocator": "mf2 is faster than glibc."})

    def test_what_allocators_do_not_differ_in_is_one_sentence(self):
        from made_reports import measure
        document = measure() | {"verdicts": ["time: no difference shown (few)", "peak memory: mf2 is least", "memory after idling: no difference shown (few)"]}
        self.assertEqual(self.words(document)["Which allocator"], "peak memory: mf2 is least. No difference is shown in time and memory after idling (few).")

    def test_sweeps(self):
        from made_reports import sweep
        text = self.words(sweep())["Which route where"]  # cda grows by 7 with the threads, best by 3; by 1 and by 4 with the handed
        self.assertIn("of 12 points of the grid the least pages held at most is that of", text)
        self.assertIn("best at 8 (8 undecided) and cda at 4 (4 undecided)", text)
        self.assertIn("The mean over the grid: best 108 and cda 112.", text)

    def test_flaws(self):
        from made_reports import ablation
        self.assertEqual(self.words(ablation()), {"What the flaws cost": "In the model (stop) the flaw that adds most to pages held / fewest is adoption: 100.0 %."})

    def test_dominoes(self):
        from made_reports import domino
        text = self.words(domino(links=5))["Dominoes"]
        self.assertIn("5 of the 1,010 fresh pages of cda answer a theft, 0.5 % at most; the longest chain has 5 links", text)
        self.assertIn("under s2", text)

    def test_code_of_stranded_pages(self):
        from figure_data import BarPanel, BarRow, Figure
        rows = [BarRow("grow ← add", [("owner_idle", 30), ("owner_exited", 45)], ""), BarRow("other", [("owner_idle", 25)], "")]
        loaded = results.gather([save("verdict.replay.json", holding(100))]).runs
        text = verdict.paragraphs(loaded, [], [Figure("sites", "", "", [BarPanel("", "", rows)], {})])[0].sentences[-1]
        self.assertEqual(text.replace("\u00a0", " "), "Of the stranded pages that living blocks hold, 75.0 % are held by blocks from grow.")


class Rules(unittest.TestCase):
    def test_violations_come_first(self):
        broken = run("s2", violations=[{"oracle": "double owner", "step": 12, "text": "…"}, {"oracle": "x", "step": 13, "text": ""}])
        self.assertEqual(list(words(broken))[0], "Rules broken")
        self.assertIn("s2: 2 violations of the allocator's rules, the first by double owner at step 12", words(broken)["Rules broken"])
        self.assertNotIn("Rules broken", words(run()))

    def test_a_simulated_workload_needs_no_trace(self):
        self.assertIn("modelled", words(run(certainty="modelled", trace=None, workload={"name": "mailbox", "threads": 8}))["What is uncertain"])


if __name__ == "__main__":
    testing.main()
