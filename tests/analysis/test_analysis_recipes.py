"""doc/recipes.md and doc/viewers.md do what they say: each command is run, and says in the same words what stands there."""
import json
import os
import re
import unittest

import testing
import recipes


class Recipes(unittest.TestCase):
    def test_each(self):
        recipes.prepare()
        for page in recipes.PAGES:
            _, found = recipes.blocks(page)
            self.assertGreaterEqual(len(found), 5)
            for _, _, steps in found:
                for command, expected in steps:
                    with self.subTest(command):
                        said = recipes.run(command)
                        self.assertEqual(recipes.words(said), recipes.words(expected), f"\n{said}\n-- is not what {page} has; tests/analysis/recipes.py --write")
        self.exports_are_what_they_are_called()

    def exports_are_what_they_are_called(self):
        """What the viewers look at first; that the content is right is test_haktrace_exchange's."""
        def begin(name, length):
            with open(name, "rb") as file:
                return file.read(length)
        self.assertTrue(begin("redis.heaptrack", 10).startswith(b"v 10400 3\n"))
        self.assertEqual(begin("redis.pprof", 1)[0], 6 << 3 | 2)  # string_table, of a Profile
        self.assertIn("traceEvents", json.loads(begin("redis.json", 1 << 24)))
        self.assertRegex(begin("redis.collapsed", 1 << 16).split(b"\n")[0], rb"^[^ ].* [0-9]+$")

    def test_pictures(self):
        """Each is there, and small; no picture is there that no page shows."""
        folder = os.path.join(recipes.SOURCE, "doc/viewers")
        with open(recipes.PAGES[1], encoding="utf-8") as file:
            shown = re.findall(r"\]\(viewers/(\w+\.png)\)", file.read())
        self.assertEqual(sorted(shown), sorted(name for name in os.listdir(folder) if name.endswith(".png")))
        for name in shown:
            self.assertLess(os.path.getsize(os.path.join(folder, name)), 150 << 10, name)

    def test_what_counts_as_the_same(self):
        self.assertEqual(recipes.words("best held 1,234 pages (1.04×), in 3 ms"), recipes.words("best held 9 pages (12.00×), in\n1.5 µs"))
        self.assertNotEqual(recipes.words("best held 5 pages"), recipes.words("cda held 5 pages"))
        self.assertNotEqual(recipes.words("5 pages"), recipes.words("5 pages\n[exit status 1]"))


if __name__ == "__main__":
    if not os.access(os.path.join(recipes.BIN, "hakreplay"), os.X_OK):
        print("skipped: no hakreplay here; HAK_BIN_DIR names its folder")
        raise SystemExit(testing.SKIPPED)
    testing.main("matplotlib", "numpy")
