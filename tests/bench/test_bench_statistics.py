"""Intervals of medians, shares of the best peer and what follows from them."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.environ["HAK_SOURCE_DIR"], "bench", "runner"))

import statistics_of_rows as statistics  # noqa: E402
import verdict_of_rows as verdict  # noqa: E402


def row(**speeds):
    return {"row": "r", "mode": "speed", "results": {
        name: {"operations_per_second": statistics.summary(values)} if values
        else {"failure": "SIGSEGV"} for name, values in speeds.items()}}


class Statistics(unittest.TestCase):
    def test_intervals_are_order_statistics(self):
        self.assertEqual(statistics.interval(list(range(7)))[:2], (0, 6))
        self.assertEqual(statistics.interval(list(range(11)))[:2], (1, 9))
        self.assertAlmostEqual(statistics.interval(list(range(7)))[2], 1 - 2 / 128)
        self.assertAlmostEqual(statistics.interval(list(range(11)))[2], 1 - 2 * 12 / 2048)

    def test_a_single_value(self):
        self.assertEqual(statistics.interval([5]), (5, 5, 0))

    def test_median(self):
        self.assertEqual(statistics.median([3, 1, 2]), 2)
        self.assertEqual(statistics.median([4, 1, 2, 3]), 2.5)

    def test_geometric_mean(self):
        self.assertAlmostEqual(statistics.geometric_mean([1, 4]), 2)
        self.assertIsNone(statistics.geometric_mean([]))


class Verdict(unittest.TestCase):
    def test_the_best_peer_is_never_mf2(self):
        self.assertEqual(verdict.best_peer(row(mf2=[9], a=[5], b=[6])), "b")

    def test_shares_and_lost_rows(self):
        slow, fast = row(mf2=[5], a=[10]), row(mf2=[9], a=[10])
        self.assertEqual(verdict.share(slow, "mf2"), 0.5)
        self.assertEqual(len(verdict.lost([slow, fast])), 1)

    def test_a_failed_allocator_has_no_share(self):
        failed = row(mf2=[], a=[10])
        self.assertIsNone(verdict.share(failed, "mf2"))
        self.assertEqual(verdict.lost([failed]), ["r"])

    def test_ties(self):
        self.assertTrue(verdict.is_tie(row(mf2=[1, 3], a=[2, 4])))
        self.assertFalse(verdict.is_tie(row(mf2=[1, 2], a=[3, 4])))


if __name__ == "__main__":
    unittest.main()
