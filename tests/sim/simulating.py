"""What the tests of haksim share: calling it, and reading what it has written."""

import json
import os
import subprocess
import sys

HAKSIM = os.path.join(os.environ["HAK_BIN_DIR"], "haksim")


def haksim(*arguments, before=()):
    return subprocess.run([*before, HAKSIM, *arguments], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True)


def run(*arguments, before=()):
    """A run that must go well; its result, a hak.run or hak.runs object."""
    done = haksim("run", *arguments, "--quiet", "-o", "out.json", before=before)
    assert done.returncode == 0, f"{arguments}: exit {done.returncode}: {done.stderr}"
    assert done.stderr == "" and done.stdout == "", f"{arguments}: {done.stdout}{done.stderr}"
    with open("out.json", encoding="utf-8") as file:
        return json.load(file)


def reliable(result):
    """A run without what may differ between two of them."""
    assert result.pop("unreliable")["seconds"] > 0
    return result


def main(module):
    """Runs every test_ function of a module."""
    failed = 0
    for name, test in list(vars(module).items()):
        if name.startswith("test_") and callable(test):
            try:
                test()
                print(f"ok    {name}")
            except (AssertionError, OSError) as error:
                failed += 1
                print(f"FAIL  {name}: {error!r}")
    return 1 if failed else 0


def run_module():
    sys.exit(main(sys.modules["__main__"]))
