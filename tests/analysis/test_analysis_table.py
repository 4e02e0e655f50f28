"""The table: every figure of every run, at any width of the terminal."""
import unittest

import testing
import results
import table
from made_results import run, runs, save


def load(*documents):
    return results.gather([save("table.replay.json", runs(*documents))])[0]


class Table(unittest.TestCase):
    def test_every_row_has_a_value_per_run(self):
        loaded = load(run("a"), run("b", peak=0), run("c", rows=0))
        for section in table.sections(loaded):
            for row in section.rows:
                self.assertEqual(len(row.values), 3)
                self.assertTrue(all(row.values))

    def test_the_figures_are_the_runs(self):
        document = run("a")
        document["measures"].update(held_max=document["measures"]["held_max"], reuse_over_new=.0621, owner_changes_per_page=1.5, new_pages=1234567)
        values = {row.name: row.values[0] for section in table.sections(load(document)) for row in section.rows}
        self.assertEqual(values["max held (H)"], f"{document['measures']['held_max']:,}")
        self.assertEqual(values["reused / new"], "6.2\u00a0%")
        self.assertEqual(values["new (without large blocks)"], "1,234,567")
        self.assertEqual(values["owner changes per page"], "1.50")
        self.assertEqual(values["digest"], document["digest"])

    def test_an_undefined_ratio_is_a_dash(self):
        values = {row.name: row.values[0] for section in table.sections(load(run("a", peak=0))) for row in section.rows}
        self.assertEqual(values["max H / max F"], "–")
        self.assertEqual(values["reused / new"], "–")

    def test_a_run_that_is_not_the_programs_is_warned_of(self):
        self.assertEqual(table.warnings(load(run("a"), run("b", end="done"))), [])
        bad = [run("a", end="livelock"), run("b"), run("c"), run("d"), run("e", end="done")]
        bad[1]["measures"]["failed_allocations"] = 1
        bad[2]["measures"]["unresolved"] = 1234
        loaded = load(*bad)
        text = table.warnings(loaded)
        self.assertEqual(len(text), 3)
        for line, words in zip(text, ("a: it ended in livelock;", "b: 1 allocation found no memory;", "c: 1,234 operations had no living object;")):
            self.assertIn("Warning: " + words, line)
        for width in (60, 200):
            shown = table.terminal(loaded, width)
            self.assertEqual(shown.count("Warning: "), 3)
            self.assertLessEqual(max(map(len, shown.splitlines())), width)

    def test_it_fits_the_width(self):
        loaded = load(*(run(f"route{number}") for number in range(10)))
        for width in (60, 80, 200):
            text = table.terminal(loaded, width)
            self.assertLessEqual(max(map(len, text.splitlines())), width)
            self.assertEqual(text.count("max held (H)"), text.count("digest"))
            for some in loaded:
                self.assertEqual(text.count(some.digest), 1)

    def test_a_narrow_terminal_still_gets_one_run_a_block(self):
        self.assertEqual(table.terminal(load(run("a"), run("b")), 10).count("digest"), 2)


if __name__ == "__main__":
    testing.main()
