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
        self.assertEqual(len(panel.steps), 100)
        self.assertEqual(max(panel.held_max), 99_999)
        self.assertEqual(panel.steps[-1], document["steps"])
        self.assertGreaterEqual(panel.pages_max, 99_999)

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
        for figure, numbers, keys in ((figure_data.stranded(loaded), "stranded", results.CAUSES),
                                      (figure_data.remote_frees(loaded), "remote_frees", results.OWNER_STATES)):
            for some, row in zip(loaded, figure.panels[0].rows):
                self.assertEqual(row.segments, [(key, some.document[numbers][key]) for key in keys])
                self.assertEqual(row.text, f"{sum(value for _, value in row.segments):,}")
            self.assertTrue(set(figure.key_names) >= {key for row in figure.panels[0].rows for key, value in row.segments if value})

    def test_five_figures_with_names_of_their_own(self):
        figures = figure_data.all_figures(load(run()), 10)
        self.assertEqual(len({figure.name for figure in figures}), 5)


if __name__ == "__main__":
    testing.main()
