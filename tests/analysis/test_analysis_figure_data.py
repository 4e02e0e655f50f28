"""The data behind each figure: it must say what the results say, whatever their size."""
import unittest

import testing
import figure_data
import results
from made_results import run, runs, save


def load(*documents):
    return results.gather([save("data.replay.json", runs(*documents))])[0]


class Timeline(unittest.TestCase):
    def panel(self, document, points_max=100):
        return figure_data.timeline(load(document), points_max).panels[0]

    def test_few_rows_are_all_there(self):
        document = run(rows=7)
        panel = self.panel(document)
        table = load(document)[0].timeline
        self.assertEqual(panel.steps, table["step"])
        self.assertEqual(panel.fewest, table["fewest"])
        self.assertEqual(panel.held_max, table["held_max"])
        for state in results.PAGE_STATES:
            self.assertEqual(panel.states[state], table[state])

    def test_live_bytes_are_in_pages(self):
        document = run(rows=5, page_bytes=32768)
        live = load(document)[0].timeline["live_bytes"]
        self.assertEqual(self.panel(document).live, [value / 32768 for value in live])

    def test_many_rows_keep_the_peak_and_the_end(self):
        document = run(rows=4096)
        place = document["timeline"]["columns"].index("held_max")
        document["timeline"]["rows"][1234][place] = 99_999
        document["measures"]["held_max"] = 99_999
        panel = self.panel(document)
        self.assertLessEqual(len(panel.steps), 100)
        self.assertGreater(len(panel.steps), 20)
        self.assertEqual(max(panel.held_max), 99_999)
        self.assertEqual(panel.steps[-1], document["steps"])
        self.assertGreaterEqual(panel.pages_max, 99_999)

    def test_many_rows_keep_the_extremes_of_what_is_drawn(self):
        document = run(rows=4096)
        at = {name: place for place, name in enumerate(document["timeline"]["columns"])}
        rows = document["timeline"]["rows"]
        rows[1000][at["fewest"]] = 88_888
        rows[2001][at["full"]] -= rows[2001][at["full"]]  # a dip of one row
        rows[2001][at["held"]] = sum(rows[2001][at[state]] for state in results.PAGE_STATES)
        rows[3002][at["stranded_owner_idle"]] = 77_777
        panel = self.panel(document)
        self.assertEqual(max(panel.fewest), 88_888)
        self.assertIn(rows[2001][at["step"]], panel.steps)
        stranded = figure_data.causes(load(document), 100).panels[0]
        self.assertEqual(max(stranded.states["owner_idle"]), 77_777)
        self.assertLessEqual(len(stranded.steps), 100)

    def test_states_add_up_to_held_at_every_point(self):
        document = run(rows=1000)
        held = dict(zip(*(load(document)[0].timeline[name] for name in ("step", "held"))))
        panel = self.panel(document)
        for at, step in enumerate(panel.steps):
            self.assertEqual(sum(values[at] for values in panel.states.values()), held[step])

    def test_no_rows_one_row_and_zeros(self):
        self.assertEqual(self.panel(run(rows=0)).steps, [])
        self.assertEqual(len(self.panel(run(rows=1)).steps), 1)
        self.assertEqual(self.panel(run(rows=5, peak=0)).pages_max, 0)

    def test_scale_is_shared_by_one_subject_only(self):
        small, big, other = run("a", peak=100), run("b", peak=9000), run("c", peak=500, geometry="seed")
        panels = figure_data.timeline(load(big, small, other), 50).panels
        self.assertEqual(panels[0].pages_max, panels[1].pages_max)
        self.assertLess(panels[2].pages_max, panels[0].pages_max)

    def test_legend_names_the_states_that_occur(self):
        self.assertNotIn("large", figure_data.timeline(load(run()), 50).key_names)
        self.assertEqual(figure_data.timeline(load(run(peak=0)), 50).key_names, {})

    def test_note_says_how_certain(self):
        self.assertIn("sampled", self.panel(run(certainty="sampled")).note)


class Bars(unittest.TestCase):
    def test_origins(self):
        loaded = load(run("a", surplus=.1), run("b", surplus=.5))
        figure = figure_data.origins(loaded)
        self.assertEqual([panel.title for panel in figure.panels], ["new", "recycled", "reused"])
        for panel, key in zip(figure.panels, ("new_pages", "recycled_pages", "page_reuses")):
            self.assertEqual([row.label for row in panel.rows], ["a", "b"])
            self.assertEqual([row.segments for row in panel.rows], [[(key, some.measures[key])] for some in loaded])

    def test_rates_are_per_cent_and_may_be_undefined(self):
        document = run("a")
        document["measures"].update(reuse_over_new=0.0621, reuse_share=0.0585)
        first, second = figure_data.rates(load(document, run("b", peak=0))).panels
        self.assertAlmostEqual(first.rows[0].segments[0][1], 6.21)
        self.assertEqual(first.rows[0].text, "6.2\u00a0%")
        self.assertAlmostEqual(second.rows[0].segments[0][1], 5.85)
        self.assertEqual(second.rows[1].segments, [("reuse_share", 0)])
        self.assertIn("not defined", second.rows[1].text)

    def test_stranded_and_remote_frees_keep_every_segment(self):
        loaded = load(run("a"), run("b", peak=0))
        numbers = [lambda some: some.stranded_means, lambda some: some.stranded_at_peak, lambda some: some.remote_frees]
        panels = figure_data.stranded(loaded).panels + figure_data.remote_frees(loaded).panels
        for panel, of, keys in zip(panels, numbers, (results.CAUSES, results.CAUSES, results.OWNER_STATES)):
            for some, row in zip(loaded, panel.rows):
                self.assertEqual(row.segments, [(key, of(some)[key]) for key in keys])
                self.assertEqual(row.text, f"{round(sum(value for _, value in row.segments)):,}")
        for figure in (figure_data.stranded(loaded), figure_data.remote_frees(loaded)):
            self.assertTrue(set(figure.key_names) >= {key for panel in figure.panels for row in panel.rows for key, value in row.segments if value})

    def test_stranding_is_taken_where_most_is_held_not_where_it_is_greatest(self):
        document = run(rows=10)
        at = {name: place for place, name in enumerate(document["timeline"]["columns"])}
        rows = document["timeline"]["rows"]
        peak = max(range(10), key=lambda row: rows[row][at["held_max"]])
        other = (peak + 1) % 10
        rows[other][at["stranded_full_forgotten"]] = 10**6
        rows[peak][at["stranded_owner_idle"]] = 4321
        some = load(document)[0]
        self.assertEqual(some.stranded_at_peak["owner_idle"], 4321)
        self.assertEqual(some.stranded_at_peak["full_forgotten"], rows[peak][at["stranded_full_forgotten"]])
        self.assertAlmostEqual(some.stranded_means["full_forgotten"], sum(row[at["stranded_full_forgotten"]] for row in rows) / 10)

    def test_figures_have_names_of_their_own(self):
        figures = figure_data.all_figures(load(run(), run("b")), 10)
        self.assertEqual(len({figure.name for figure in figures}), len(figures))
        self.assertGreaterEqual({figure.name for figure in figures}, {"timeline", "causes", "routes", "origins", "rates", "stranded", "remote"})

    def test_nothing_to_show_is_no_figure(self):
        names = {figure.name for figure in figure_data.all_figures(load(run(peak=0)), 10)}
        self.assertEqual(names & {"causes", "stranded", "routes", "threads", "migrations"}, set())

    def test_many_runs_are_drawn_in_part_and_the_extremes_among_them(self):
        loaded = load(*(run(f"r{number}", peak=100 * number + 100, rows=5) for number in range(60)))
        figure = figure_data.timeline(loaded, 50)
        self.assertEqual(len(figure.panels), figure_data.PANELS_MAX)
        self.assertIn("48 other runs", figure.caption)
        held = [some.measures["held_max"] for some in loaded]
        for extreme in (max, min):
            self.assertIn(loaded[held.index(extreme(held))].label, [panel.label for panel in figure.panels])
        self.assertEqual(len(figure_data.origins(loaded).panels[0].rows), figure_data.ROWS_MAX)


class Intervals(unittest.TestCase):
    def test_of_one_two_and_more(self):
        self.assertEqual(figure_data.interval([5]), (5, 5))
        self.assertEqual(figure_data.interval([5, 9]), (5, 9))
        low, high = figure_data.interval([10, 12, 14])  # mean 12, deviation 2, t = 4.30
        self.assertAlmostEqual(low, 12 - 4.30 * 2 / 3 ** .5)
        self.assertAlmostEqual(high, 12 + 4.30 * 2 / 3 ** .5)

    def test_routes_are_means_over_seeds(self):
        documents = [dict(run(route, rows=3, seed=seed), certainty="sampled") for route in "ab" for seed in (1, 2, 3)]
        for number, document in enumerate(documents):
            peak = document["timeline"]["columns"].index("held_max")
            for row in document["timeline"]["rows"]:
                row[peak] = 20_000 + number
            document["measures"]["held_max"] = 20_000 + number
        figure = figure_data.routes(load(*documents))
        rows = figure.panels[0].rows
        self.assertEqual([row.label for row in rows], ["a", "b"])
        self.assertEqual([row.segments for row in rows], [[("held_max", 20_001)], [("held_max", 20_004)]])
        self.assertLess(rows[0].interval[0], 20_000)
        self.assertIn("±", rows[0].text)

    def test_one_route_is_nothing_to_compare(self):
        self.assertIsNone(figure_data.routes(load(run())))


def thread(number, new=0, recycled=0, reused=0):
    return {"id": number, "operations": 9, "new_pages": new, "recycled_pages": recycled, "page_reuses": reused}


class Threads(unittest.TestCase):
    def test_pages_and_both_rates(self):
        figure = figure_data.threads(load(run("a", threads=[thread(0, 100, 5, 50), thread(7, 0, 0, 20)])))
        rows = figure.panels[0].rows
        self.assertEqual([row.label for row in rows], ["thread 0", "thread 7", "total"])
        self.assertEqual(rows[0].segments, [("new_pages", 100), ("recycled_pages", 5), ("page_reuses", 50)])
        self.assertEqual(rows[0].text.replace("\u00a0", " "), "50.0 % | 33.3 %")
        self.assertEqual(rows[1].text.replace("\u00a0", " "), "– | 100.0 %")
        self.assertEqual(rows[2].segments, [("new_pages", 100), ("recycled_pages", 5), ("page_reuses", 70)])

    def test_many_threads_lose_nothing(self):
        threads = [thread(number, new=number) for number in range(100)]
        rows = figure_data.threads(load(run("a", threads=threads))).panels[0].rows
        self.assertEqual(len(rows), figure_data.THREADS_MAX + 2)
        self.assertEqual(rows[-2].label, "84 others")
        self.assertEqual(sum(value for row in rows[:-1] for _, value in row.segments), sum(range(100)))
        self.assertEqual(rows[0].label, "thread 84")

    def test_one_thread_needs_no_figure(self):
        self.assertIsNone(figure_data.threads(load(run("a", threads=[thread(0, 5)]))))


class Migrations(unittest.TestCase):
    def test_cells(self):
        figure = figure_data.migrations(load(run("a", migrations=[[0, 3, 7], [3, 0, 2], [5, 3, 1]]), run("b", migrations=[])))
        panel = figure.panels[0]
        self.assertEqual(panel.y_labels, ["0", "3", "5"])
        self.assertEqual(panel.values, [[0, 7, 0], [2, 0, 0], [0, 1, 0]])
        self.assertIn("None in b", figure.caption)

    def test_many_threads_lose_nothing(self):
        pairs = [[source, source + 1, source + 1] for source in range(200)]
        panel = figure_data.migrations(load(run("a", migrations=pairs))).panels[0]
        self.assertEqual(panel.x_labels[-1], "rest")
        self.assertEqual(len(panel.values), figure_data.GRID_MAX + 1)
        self.assertEqual(sum(map(sum, panel.values)), sum(range(1, 201)))

    def test_older_results_have_none(self):
        self.assertIsNone(figure_data.migrations(load(run("a"))))


if __name__ == "__main__":
    testing.main()
