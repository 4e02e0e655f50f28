"""compare.py as CI runs it: what is paired, what trips, and the exit status."""
import json
import os
import subprocess
import sys
import unittest

import testing
from made_reports import measure
from made_results import run, runs, save

SCRIPT = os.path.join(testing.ANALYSIS, "compare.py")


def changed(document, **measures):
    return dict(document, measures=dict(document["measures"], **measures))


class Compare(unittest.TestCase):
    def compare(self, before, after, *arguments):
        a, b = save("a.replay.json", before), save("b.replay.json", after)
        return subprocess.run([sys.executable, SCRIPT, a, b, *arguments], capture_output=True, text=True, encoding="utf-8",
                              env=dict(os.environ, PYTHONIOENCODING="utf-8"))

    def status(self, *arguments):
        done = self.compare(*arguments)
        self.assertEqual(done.stderr, "")
        return done.returncode

    def test_equal_results(self):
        done = self.compare(run(), run(), "--fail-on", "new_pages+0", "--fail-on", "new_pages-0%")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("figures shown are equal", done.stdout)

    def test_thresholds(self):
        a = changed(run(), new_pages=1000)
        for new, threshold, status in ((1050, "new_pages+5%", 0), (1051, "new_pages+5%", 1), (900, "new_pages+5%", 0), (949, "new_pages-5%", 1),
                                       (950, "new_pages-5%", 0), (1010, "new_pages+10", 0), (1011, "new_pages+10", 1), (1001, "new_pages+0", 1)):
            self.assertEqual(self.status(a, changed(a, new_pages=new), "--fail-on", threshold), status, (new, threshold))

    def test_what_tripped_is_said(self):
        a = changed(run(), new_pages=1000)
        done = self.compare(a, changed(a, new_pages=2000), "--fail-on=new_pages+5%")
        self.assertIn("FAILED new_pages+5%: s2: 1,000 → 2,000 (+100.0 %)", done.stdout)

    def test_without_a_threshold_nothing_trips(self):
        self.assertEqual(self.status(run(), changed(run(), new_pages=10**6)), 0)

    def test_runs_are_paired_by_route_and_seed(self):
        a, b, c = run("a"), run("b"), run("c")
        done = self.compare(runs(a, b), runs(c, b), "--json")
        document = json.loads(done.stdout)
        self.assertEqual([pair["run"][-3] for pair in document["pairs"]], ["b"])
        self.assertEqual(([key[-3] for key in document["only_before"]], [key[-3] for key in document["only_after"]]), (["a"], ["c"]))
        self.assertEqual(self.status(runs(a, b), runs(changed(b, new_pages=10**6), changed(a)), "--fail-on=new_pages+1%"), 1)

    def test_counters_and_stranding_are_figures(self):
        a, b = run(counters={"slow_paths": 10}), run(counters={"slow_paths": 20})
        self.assertEqual(self.status(a, b, "--fail-on", "slow_paths+50%"), 1)
        self.assertEqual(self.status(a, b, "--fail-on", "stranded+0"), 0)

    def test_intervals_that_overlap_do_not_trip(self):
        a, b = measure(1), measure(1, factor=1.04)
        self.assertEqual(self.status(a, b, "--fail-on", "wall_ns+1%"), 0)
        self.assertEqual(self.status(a, measure(1, factor=1.5), "--fail-on", "wall_ns+1%"), 1)

    def test_quiet(self):
        done = self.compare(run(), run(), "-q")
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_refusals(self):
        for arguments, word in ((("--fail-on", "new_pages"), "new_pages+5%"), (("--fail-on", "no_such+5%"), "no figure no_such"), (("--colour",), "--help")):
            done = self.compare(run(), run(), *arguments)
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (2, 1))
            self.assertIn(word, done.stderr)
        done = self.compare(run("a"), run("b"))
        self.assertEqual(done.returncode, 2)
        self.assertIn("no run in common", done.stderr)

    def test_a_file_that_is_not_there(self):
        done = subprocess.run([sys.executable, SCRIPT, "no.json", "no.json"], capture_output=True, text=True)
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (2, 1))


if __name__ == "__main__":
    testing.main()
