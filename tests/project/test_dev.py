"""./dev and .ci/run: packages, order of steps, statuses passed on. CMake, CTest, apt-get and the
tools are played by scripts that write down how they were called."""

import os
import shutil
import subprocess
import tempfile
import unittest

SOURCE = os.environ["HAK_SOURCE_DIR"]

PLAYED = {
    "cmake": 'case " $* " in *" $FAIL_CMAKE "*) exit 7 ;; esac',
    "ctest": 'echo "100% tests passed, 0 tests failed out of 3"; case " $* " in *" $FAIL_CTEST "*) exit 8 ;; esac',
    "apt-get": 'case $1 in update) touch updated ;; install) [ -z "$NEEDS_UPDATE" ] || [ -e updated ] ;; esac',
    "dpkg-query": 'for last; do :; done; case " $MISSING " in *" $last "*) exit 1 ;; esac; echo install ok installed',
    "id": 'echo "${USER_ID-0}"',
    "git": "exit 0",
    "python3": "exit 0",
    "hakrec": "exit 0",
    "haktrace": "exit 0",
    "hakreplay": 'exit "${REPLAY_STATUS-0}"',
}
QUIET = {"dpkg-query", "id"}


class Dev(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name
        self.log = os.path.join(self.root, "calls.log")
        os.makedirs(os.path.join(self.root, "build/release/bin"))
        os.makedirs(os.path.join(self.root, "played"))
        os.makedirs(os.path.join(self.root, ".ci"))
        for name in ("dev", ".ci/run"):
            shutil.copy(os.path.join(SOURCE, name), os.path.join(self.root, name))
        for name, body in PLAYED.items():
            where = "build/release/bin" if name.startswith("hak") else "played"
            note = "" if name in QUIET else 'echo "${0##*/} $*" >>"$CALLS"\n'
            path = os.path.join(self.root, where, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(f"#!/bin/sh\n{note}{body}\n")
            os.chmod(path, 0o755)

    def run_dev(self, *arguments, program="./dev", **environment):
        path = os.path.join(self.root, "played") + ":" + os.environ["PATH"]
        done = subprocess.run([program, *arguments], cwd=self.root, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL,
                              env={**os.environ, "PATH": path, "CALLS": self.log,
                                   "FAIL_CMAKE": "-", "FAIL_CTEST": "-", **environment})
        return done.returncode, done.stdout, done.stderr

    def calls(self, *programs):
        try:
            with open(self.log, encoding="utf-8") as file:
                return [c for c in file.read().splitlines() if c.split()[0] in programs]
        except FileNotFoundError:
            return []

    def test_help(self):
        status, out, _ = self.run_dev("help")
        self.assertEqual(status, 0)
        for command in ("demo", "build", "test", "bench", "install", "clean"):
            self.assertIn(f"\n  {command}", out)

    def test_usage_errors_are_one_line(self):
        for arguments in (["frob"], ["test", "--slow"], ["test", "--all", "--quick"],
                          ["build", "x"], ["clean", "x"], ["install", "x"],
                          ["install", "--prefix"], ["demo", "--fast"], ["demo", "a", "b"]):
            status, _, error = self.run_dev(*arguments)
            self.assertEqual(status, 2, arguments)
            self.assertEqual(len(error.splitlines()), 1, error)
        self.assertEqual(self.calls(*PLAYED), [])

    def test_without_root_the_apt_line_is_printed(self):
        status, _, error = self.run_dev("build", MISSING="cmake libdw-dev", USER_ID="1000")
        self.assertEqual(status, 2)
        self.assertIn("apt-get install -y --no-install-recommends cmake libdw-dev\n", error)
        self.assertEqual(self.calls("apt-get", "cmake"), [])

    def test_root_installs_what_is_missing_only(self):
        status, _, _ = self.run_dev("build", MISSING="cmake")
        self.assertEqual(status, 0)
        self.assertEqual([c.split()[-1] for c in self.calls("apt-get")], ["cmake"])

    def test_package_lists_are_updated_when_needed(self):
        status, _, _ = self.run_dev("build", MISSING="cmake", NEEDS_UPDATE="1")
        self.assertEqual(status, 0)
        self.assertEqual([c.split()[1] for c in self.calls("apt-get")],
                         ["install", "update", "install"])

    def test_build_needs_no_test_package(self):
        status, _, _ = self.run_dev("build", MISSING="check python3-matplotlib git gdb")
        self.assertEqual(status, 0)
        self.assertEqual(self.calls("apt-get"), [])

    def test_new_build_leaves_tests_out_and_an_older_one_as_it_is(self):
        self.run_dev("build")
        open(os.path.join(self.root, "build/release/CMakeCache.txt"), "w").close()
        self.run_dev("build")
        self.assertEqual([c for c in self.calls("cmake") if "--preset release" in c],
                         ["cmake --preset release -DHAK_TESTS=OFF", "cmake --build --preset release",
                          "cmake --preset release", "cmake --build --preset release"])

    def test_failed_step_is_named_last_and_its_status_passed_on(self):
        status, out, error = self.run_dev("build", FAIL_CMAKE="--build")
        self.assertEqual(status, 7)
        self.assertEqual(error.splitlines()[-1], "dev: failed: build release (exit status 7)")

    def test_test_runs_three_presets(self):
        status, out, _ = self.run_dev("test")
        self.assertEqual(status, 0)
        calls = self.calls("ctest")
        self.assertEqual([c.split()[2] for c in calls], ["release", "asan", "tsan"])
        for call in calls:
            self.assertIn("--no-tests=error", call)
            self.assertIn("-LE ^(long|foreign)$", call)
            self.assertEqual("-L ^tsan$" in call, " tsan " in call)
        self.assertEqual(out.count("100% tests passed, 0 tests failed out of 3\n-- "), 2)
        self.assertEqual(len([c for c in self.calls("cmake") if "-DHAK_TESTS=ON" in c]), 3)

    def test_quick_is_release_only(self):
        self.run_dev("test", "--quick")
        self.assertEqual([c.split()[2] for c in self.calls("ctest")], ["release"])

    def test_all_leaves_nothing_out(self):
        self.run_dev("test", "--all")
        self.assertEqual(len(self.calls("ctest")), 3)
        self.assertFalse([c for c in self.calls("ctest") if "-LE" in c])

    def test_failed_tests_stop_the_run(self):
        status, _, error = self.run_dev("test", FAIL_CTEST="asan")
        self.assertEqual(status, 8)
        self.assertEqual(error.splitlines()[-1], "dev: failed: test asan (exit status 8)")
        self.assertEqual(len(self.calls("ctest")), 2)

    def test_ci_runs_the_tests(self):
        status, _, _ = self.run_dev(program=".ci/run", FAIL_CTEST="tsan")
        self.assertEqual(status, 8)
        self.assertEqual(len(self.calls("ctest")), 3)

    def test_demo_joins_the_tools(self):
        status, out, _ = self.run_dev("demo", "out")
        self.assertEqual(status, 0)
        self.assertEqual([c.split()[0] for c in self.calls("hakrec", "haktrace", "hakreplay", "python3")],
                         ["hakrec", "haktrace"] + 2 * ["hakreplay", "python3"])
        self.assertIn("traces/corpus/larson.zst", self.calls("hakreplay")[1])
        for page in ("reuse_report.html", "larson_report.html"):
            self.assertIn(page, out)

    def test_demo_stops_where_it_fails(self):
        status, out, error = self.run_dev("demo", "out", REPLAY_STATUS="3")
        self.assertEqual(status, 3)
        self.assertIn("failed: replay under every route", error.splitlines()[-1])
        self.assertEqual(self.calls("python3"), [])
        self.assertNotIn("reuse_report.html", out)

    def test_install_passes_the_prefix(self):
        for arguments in (["--prefix", "/opt/hak"], ["--prefix=/opt/hak"]):
            self.assertEqual(self.run_dev("install", *arguments)[0], 0)
            self.assertEqual(self.calls("cmake")[-1],
                             "cmake --install build/release --prefix /opt/hak")

    def test_bench_says_that_there_is_none(self):
        status, _, error = self.run_dev("bench")
        self.assertEqual(status, 2)
        self.assertIn("no benchmarks yet", error)

    def test_clean(self):
        self.assertEqual(self.run_dev("clean")[0], 0)
        self.assertFalse(os.path.exists(os.path.join(self.root, "build")))


if __name__ == "__main__":
    unittest.main()
