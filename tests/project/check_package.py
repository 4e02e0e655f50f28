"""The Debian package: cpack makes it, lintian finds no error, it installs into a root of its own,
runs there, and leaves nothing behind when it is removed."""

import argparse
import glob
import os
import shutil
import subprocess
import sys

import project_tree as tree

SKIPPED = 77
COMMANDS = ("hakrec", "hakreplay", "haksim", "haktrace", "hakreport", "hakcompare")


def run(*command, **options):
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", **options)


def make(build):
    """The package's path, or what went wrong."""
    done = run("cpack", "-G", "DEB", "-B", os.path.abspath("package"), cwd=build)
    found = glob.glob("package/*.deb")
    return (found[0], []) if done.returncode == 0 and found else (None, ["cpack fails: " + (done.stdout + done.stderr)[-300:]])


def lintian_violations(package):
    if not shutil.which("lintian"):
        print("lintian is not installed: not asked")
        return []
    done = run("lintian", package)
    return [f"lintian: {line}" for line in done.stdout.splitlines() if line.startswith("E:")]


def dpkg(root, *arguments):
    return run("dpkg", f"--root={root}", "--force-depends", "--force-not-root", "--force-script-chrootless", "--log=/dev/null", *arguments,
               env=dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin"))


def files_of(root):
    return {os.path.relpath(os.path.join(folder, name), root) for folder, _, names in os.walk(root) for name in names
            if not folder.startswith(os.path.join(root, "var/lib/dpkg"))}


def install_violations(package):
    root = os.path.abspath("root")
    for folder in ("var/lib/dpkg/updates", "var/lib/dpkg/info", "etc"):
        os.makedirs(os.path.join(root, folder))
    for name in ("status", "available"):
        open(os.path.join(root, "var/lib/dpkg", name), "w").close()
    before = files_of(root)
    done = dpkg(root, "-i", package)
    if done.returncode != 0:
        yield f"dpkg -i fails: {done.stderr.strip()[-300:]}"
        return
    for name in COMMANDS:
        if run(os.path.join(root, "usr/bin", name), "--version").returncode != 0:
            yield f"the installed {name} does not run"
    recorded = run(os.path.join(root, "usr/bin/hakrec"), "-o", "packaged.zst", "true")
    if recorded.returncode != 0:
        yield f"the installed hakrec does not record: {recorded.stderr.strip()}"
    for path in ("usr/share/doc/hak/copyright", "usr/share/doc/hak/changelog.gz", "usr/share/man/man1/hakrec.1.gz", "usr/share/man/man7/mf2.7.gz",
                 "usr/share/bash-completion/completions/hakrec", "usr/lib/libmf2.so.0"):
        if not os.path.lexists(os.path.join(root, path)):
            yield f"{path} is not installed"
    removed = dpkg(root, "-r", "hak")
    if removed.returncode != 0:
        yield f"dpkg -r fails: {removed.stderr.strip()[-300:]}"
    left = {name for name in files_of(root) - before if "__pycache__" not in name}
    if left:
        yield f"the removed package leaves {', '.join(sorted(left)[:5])}"


def main(build):
    if not shutil.which("dpkg") or not shutil.which("cpack"):
        print("skipped: no dpkg or no cpack here")
        return SKIPPED
    package, found = make(build)
    if package:
        found += lintian_violations(package) + list(install_violations(package))
    return tree.report([f"cmake/hak_package.cmake:1: {text}" for text in found], "package")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build")
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # what runs from the root leaves nothing there
    sys.exit(main(parser.parse_args().build))
