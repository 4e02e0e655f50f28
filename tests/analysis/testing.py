"""What the tests of analysis/ share: the skip code, and where things are."""
import importlib.util
import os
import sys
import unittest

SOURCE = os.environ.get("HAK_SOURCE_DIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ANALYSIS = os.path.join(SOURCE, "analysis")
SKIPPED = 77
sys.path.insert(0, ANALYSIS)


def main(*modules):
    """Run the tests of the calling file, or skip them all when a module is not installed."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        print(f"skipped: {sys.executable} has no {', '.join(missing)}")
        raise SystemExit(SKIPPED)
    unittest.main(module="__main__")
