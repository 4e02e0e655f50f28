"""The line that says how far a report is: on a terminal only, not at once, gone in the end."""
import io
import unittest

import testing
from progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Told(unittest.TestCase):
    def setUp(self):
        self.now = 100.0

    def progress(self, to, tells=True):
        return Progress("hakreport", "app.zst", "events", 1000, tells, lambda: self.now, to)

    def test_share_rate_and_time_left(self):
        to = Terminal()
        progress = self.progress(to)
        progress.reached(1)
        self.assertEqual(to.getvalue(), "")  # a short report stays silent
        self.now += 2
        progress.reached(250)
        self.assertEqual(to.getvalue(), "hakreport: app.zst: 25.0 %, 125 events/s, 6 s left")
        progress.reached(300)
        self.assertNotIn("30.0", to.getvalue())  # too soon after the last
        self.now += 0.3
        progress.reached(300)
        self.assertIn("30.0 %", to.getvalue())
        progress.clear()
        self.assertRegex(to.getvalue(), r"left\r {40,}\r$")

    def test_not_elsewhere_and_not_with_quiet(self):
        for to, tells in ((io.StringIO(), True), (Terminal(), False)):
            progress = self.progress(to, tells)
            self.now += 5
            progress.reached(500)
            progress.clear()
            self.assertEqual(to.getvalue(), "")


if __name__ == "__main__":
    testing.main()
