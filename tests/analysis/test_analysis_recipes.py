"""doc/recipes.md does what it says: each command is run, and says in the same words what stands there."""
import os
import unittest

import testing
import recipes


class Recipes(unittest.TestCase):
    def test_each(self):
        recipes.prepare()
        _, found = recipes.blocks()
        self.assertGreaterEqual(len(found), 5)
        for _, _, steps in found:
            for command, expected in steps:
                with self.subTest(command):
                    said = recipes.run(command)
                    self.assertEqual(recipes.words(said), recipes.words(expected), f"\n{said}\n-- is not what doc/recipes.md has; tests/analysis/recipes.py --write")

    def test_what_counts_as_the_same(self):
        self.assertEqual(recipes.words("best held 1,234 pages (1.04×), in 3 ms"), recipes.words("best held 9 pages (12.00×), in\n1.5 µs"))
        self.assertNotEqual(recipes.words("best held 5 pages"), recipes.words("cda held 5 pages"))
        self.assertNotEqual(recipes.words("5 pages"), recipes.words("5 pages\n[exit status 1]"))


if __name__ == "__main__":
    if not os.access(os.path.join(recipes.BIN, "hakreplay"), os.X_OK):
        print("skipped: no hakreplay here; HAK_BIN_DIR names its folder")
        raise SystemExit(testing.SKIPPED)
    testing.main("matplotlib", "numpy")
