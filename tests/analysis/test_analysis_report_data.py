"""Results of the other schemas: what is taken, what is refused, and the data behind their figures."""
import copy
import unittest

import testing
import report_data
import results
from checking import ResultError
from made_reports import ablation, domino, measure, reports, sweep
from made_results import run, save


def figure(name, *documents):
    return next(each for each in report_data.all_figures(reports(*documents)) if each.name == name)


class Loading(unittest.TestCase):
    def refused(self, document, *words):
        with self.assertRaises(ResultError) as caught:
            results.load_file(save("bad.json", document))
        for word in ("bad.json", "expected") + words:
            self.assertIn(word, str(caught.exception))

    def test_runs_and_reports_together(self):
        gathered = results.gather([save("a.replay.json", run()), save("b.measure.json", measure()), save("c.sim.json", domino()), save("d.sim.json", sweep())])
        self.assertEqual(len(gathered.runs), 1)
        self.assertEqual([report.schema for report in gathered.reports], ["hak.measure", "hak.domino", "hak.sweep"])

    def test_what_lacks_is_named(self):
        for document, path, word in ((measure(), ("settings", "calls"), "settings.calls"), (measure(), ("subjects", 1, "metrics"), "subjects[1].metrics"),
                                     (measure(), ("trace", "hash"), "trace.hash"), (domino(), ("routes", 0, "links"), "routes[0].links"),
                                     (domino(), ("routes", 0, "longest_chains", 0, "links", 2, "fresh_ns"), "links[2].fresh_ns"), (sweep(), ("cells",), "cells")):
            bent = copy.deepcopy(document)
            part = bent
            for key in path[:-1]:
                part = part[key]
            del part[path[-1]]
            self.refused(bent, word)

    def test_values(self):
        bent = measure()
        bent["subjects"][1]["metrics"]["wall_ns"] = 5
        self.refused(bent, "subjects[1].metrics.wall_ns")
        bent = measure()
        bent["subjects"][1]["series"]["rows"][3] = [1, -2, 3]
        self.refused(bent, "series.rows[3]")
        self.refused(dict(measure(), version=2), "version")
        self.refused(dict(sweep(), cells=[5]), "cells")


class Allocators(unittest.TestCase):
    def test_speed_is_calls_over_time(self):
        rows = figure("speeds", measure()).panels[0].rows
        self.assertEqual([row.label for row in rows], ["mf2", "glibc", "jemalloc"])
        self.assertAlmostEqual(rows[0].segments[0][1], 10**7 / 2.0 / 1e6)  # 10 million calls in two seconds
        low, high = rows[0].interval
        self.assertLess(low, rows[0].segments[0][1])
        self.assertAlmostEqual(low, 10**7 / (2.0 * 1.05) / 1e6)
        self.assertGreater(high, rows[0].segments[0][1])

    def test_an_allocator_that_failed_says_so(self):
        document = measure()
        document["subjects"][2].update(failure="killed by signal 9", metrics=dict.fromkeys(document["subjects"][2]["metrics"]), repetitions=[])
        self.assertEqual(figure("speeds", document).panels[0].rows[1].text, "killed by signal 9")
        self.assertEqual(figure("tails", document).panels[0].rows[1].text, "not measured")

    def test_resident_over_live_is_left_out_where_little_lives(self):
        name, times, ratios = figure("resident", measure()).panels[0].lines[0]
        self.assertEqual(name, "mf2")
        self.assertEqual(times[0], 0.01)  # at 0 nothing lives
        self.assertLessEqual(len(times), report_data.POINTS_MAX)
        self.assertEqual((max(ratios), min(ratios)), (16 / 8, 10 / 8))

    def test_resident_over_live_ends_where_the_program_rests(self):
        document = measure(subjects=1)
        rows = document["subjects"][1]["series"]["rows"] = [[time * 10**6, 2**20 * 30, 2**20 * (time + 1)] for time in range(20)]
        rows += [[time * 10**6, 2**20 * 5, 2**20] for time in range(20, 1000)] + [[10**9, 0, 2**20]]
        panel = figure("resident", document).panels[0]
        self.assertEqual((panel.lines[0][1][-1], panel.top), (0.019, 6))
        rows[:] = [[time, 2**20 * 30, 2**20 + time] for time in range(20)]
        self.assertEqual(figure("resident", document).panels[0].top, 33)  # half of the line at least is seen

    def test_thinning_keeps_extremes_and_the_end(self):
        points = [(at, 1.0) for at in range(10_000)]
        points[4321] = (4321, 99.0)
        points[7654] = (7654, 0.1)
        kept = report_data.thinned(points, 100)
        self.assertLessEqual(len(kept), 100)
        self.assertTrue({points[4321], points[7654], points[-1]} <= set(kept))
        self.assertEqual(kept, sorted(kept))
        self.assertEqual(report_data.thinned(points[:50], 100), points[:50])

    def test_tails(self):
        row = figure("tails", measure()).panels[0].rows[1]
        self.assertEqual(dict(row.segments), {"p50": 40, "p99": 600, "p999": 8000, "max": 10**6})

    def test_two_files_keep_their_figures_apart(self):
        names = [each.name for each in report_data.all_figures(reports(measure(), measure()))]
        self.assertEqual(len(set(names)), len(names))


class Dominoes(unittest.TestCase):
    def test_links_in_milliseconds(self):
        panel = figure("dominoes", domino(links=3)).panels[0]
        self.assertEqual([(link.mapped, link.freed, link.stolen, link.fresh) for link in panel.links], [(at, at + .5, at + .7, at + 1) for at in range(3)])
        self.assertEqual(panel.links[0].text, "page 0 → 1")

    def test_a_long_chain_keeps_both_ends(self):
        panel = figure("dominoes", domino(links=100)).panels[0]
        self.assertEqual(len(panel.links), report_data.LINKS_MAX + 1)
        self.assertEqual((panel.links[0].text, panel.links[-1].text, panel.gap), ("page 0 → 1", "page 99 → 100", "… 84 links more …"))

    def test_none(self):
        document = domino()
        document["routes"] = document["routes"][1:]
        self.assertEqual(report_data.all_figures(reports(document)), [])


class Flaws(unittest.TestCase):
    def test_factors_are_per_cent_and_differences_are_themselves(self):
        held, changes = figure("flaws", ablation()).panels[:2]
        self.assertEqual([row.label for row in held.rows], ["adoption", "orphans-stranded"])
        self.assertAlmostEqual(held.rows[0].segments[0][1], 100)  # twice as many
        self.assertEqual(held.rows[0].text, "+100")
        self.assertEqual(held.rows[1].text, "-18.1 ?")
        self.assertEqual((changes.rows[0].segments, changes.rows[0].interval), ([("effect", .5)], (.4, .6)))

    def test_what_lacks_is_named(self):
        bent = ablation()
        del bent["workloads"][0]["figures"]["held"]["effects"][1]["low"]
        with self.assertRaises(ResultError) as caught:
            reports(bent)
        self.assertIn("workloads[0].figures.held.effects[1]", str(caught.exception))


class Sweeps(unittest.TestCase):
    def test_the_winner_of_each_cell(self):
        panel = figure("phases", sweep(columns=3, rows=2)).panels[0]
        self.assertEqual((panel.x_labels, panel.y_labels, panel.x_title), (["1", "2", "4"], ["0", "10"], "threads"))
        winners = [[cell[1].removesuffix(" ?") for cell in row] for row in panel.values]
        self.assertEqual(winners[0][1:], ["best", "best"])  # the first cell is a tie
        self.assertEqual(winners[1], ["cda", "best", "best"])  # 101 against 104; 108 against 107; 115 against 110

    def test_intervals_that_meet_leave_a_cell_undecided(self):
        def cell(route, mean, half):
            return {"route": route, "workload": "w", "threads": 4, "cores": 8, "held_over_fewest": {"mean": mean, "low": mean - half, "high": mean + half}}
        for half, said in ((.05, "b"), (.2, "b ?")):
            document = dict(sweep(), cells=[cell("a", 1.5, half), cell("b", 1.2, half), dict(cell("a", 9, half), threads=2)])
            self.assertEqual(figure("phases", document).panels[0].values[0][1][1], said)

    def test_programs_have_panels_of_their_own(self):
        cells = [{"route": route, "workload": workload, "threads": threads, "held_max": held + threads} for workload in ("x", "y") for threads in (1, 2)
                 for route, held in (("a", 5 if workload == "x" else 9), ("b", 7))]
        panels = figure("phases", dict(sweep(), cells=cells)).panels
        self.assertEqual([(panel.label, [cell[1] for cell in panel.values[0]]) for panel in panels], [("x", ["a", "a"]), ("y", ["b", "b"])])

    def test_the_front(self):
        points = {point.name: point for point in figure("pareto", sweep()).panels[0].points}
        self.assertEqual(set(points), {"cda", "best"})
        self.assertTrue(all(point.best for point in points.values()))  # fewer pages, or less time
        worse = sweep()
        for cell in worse["cells"]:
            if cell["route"] == "best":
                cell["figures"]["held_max"]["mean"] = 10**6
        self.assertEqual({point.name: point.best for point in figure("pareto", worse).panels[0].points}, {"cda": True, "best": False})

    def test_other_forms_of_the_same(self):
        flat = {"schema": "hak.sweep", "version": 1, "points": [{"route": "s1", "threads": threads, "held_max": held} for threads, held in ((1, 5), (2, 9))], "axes": ["threads"]}
        panel = figure("phases", flat).panels[0]
        self.assertEqual([[cell[1] for cell in row] for row in panel.values], [["s1", "s1"]])

    def test_nothing_to_compare(self):
        self.assertEqual(report_data.all_figures(reports({"schema": "hak.sweep", "version": 1, "cells": [{"x": 1}]})), [])


if __name__ == "__main__":
    testing.main()
