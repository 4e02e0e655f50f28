"""How far a long report is: one line on standard error, written over and over, in the form and with
the delays of traces/progress.h. Only on a terminal, and not with --quiet."""
import sys
import time

FIRST_S, EVERY_S = 0.5, 0.2


class Progress:
    """One task of `total` units. The clock may be another one, for tests."""

    def __init__(self, tool, what, unit, total, tells, clock=time.monotonic, to=None):
        self._to = to or sys.stderr
        self._head, self._unit, self._total, self._clock = f"{tool[:16]}: {what[:36]}: ", unit, total, clock
        self._tells, self._began, self._told, self._width = tells and self._to.isatty(), clock(), None, 0

    def reached(self, done):
        """So many units are done."""
        now = self._clock()
        due = now - self._began >= FIRST_S if self._told is None else now - self._told >= EVERY_S
        if not self._tells or not due:
            return
        rate = done / (now - self._began)
        text = self._head + (f"{100 * done / self._total:.1f} %, " if self._total else "") + \
            (f"{rate / 1e6:.1f} M {self._unit}/s" if rate >= 1e6 else f"{rate:.0f} {self._unit}/s")
        if self._total and rate:
            left = max(self._total - done, 0) / rate
            text += f", {left:.0f} s left" if left < 100 else f", {left / 60:.0f} min left"
        self.clear()
        self._to.write(text)
        self._to.flush()
        self._width, self._told = len(text), now

    def clear(self):
        """Nothing is left of it."""
        if self._width:
            self._to.write("\r" + " " * self._width + "\r")
            self._to.flush()
        self._width = 0
