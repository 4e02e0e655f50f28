"""Owns one decision: which interpreter runs the scripts of this folder.

A `python3` on a user's path is often one without numpy and matplotlib, while the distribution's own
has them. A script that misses a module therefore starts itself again, once, under that interpreter.
"""
import importlib.util
import os
import sys

SYSTEM_PYTHON = "/usr/bin/python3"
GUARD = "HAK_SYSTEM_PYTHON"  # set in the environment of the second start, so that there is no third
PACKAGE_OF = {"numpy": "python3-numpy", "matplotlib": "python3-matplotlib"}


def need(*modules):
    """Return when all modules can be imported; otherwise start again or end with exit status 2."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if not missing:
        os.environ.pop(GUARD, None)  # children of ours decide for themselves
        return
    if GUARD not in os.environ and os.access(SYSTEM_PYTHON, os.X_OK):
        sys.stdout.flush()
        os.execve(SYSTEM_PYTHON, [SYSTEM_PYTHON] + sys.argv, dict(os.environ, **{GUARD: "1"}))
    script = os.path.basename(sys.argv[0])
    packages = " ".join(PACKAGE_OF[name] for name in missing)
    sys.stderr.write(f"{script}: {', '.join(missing)} is not installed for {sys.executable}: apt-get install {packages}\n")
    raise SystemExit(2)
