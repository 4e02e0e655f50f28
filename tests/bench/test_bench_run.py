"""Every row of hakbench runs, checks its blocks and counts right, under glibc and MF2; bench/run
writes what its schema says. No time is judged.

In builds with a sanitizer nothing can be preloaded: hakbench then runs on the sanitizer's malloc,
which finds the harness's own mistakes.
"""
import json
import os
import subprocess
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor

SOURCE, BUILD = os.environ["HAK_SOURCE_DIR"], os.environ["HAK_BUILD_DIR"]
HAKBENCH = os.path.join(os.environ["HAK_BIN_DIR"], "hakbench")
LIBRARY = os.path.join(os.environ["HAK_LIB_DIR"], "libmf2.so")
SANITIZED = bool(os.environ.get("HAK_SANITIZE"))


def hakbench(*arguments, library=""):
    environment = {**os.environ, "LD_PRELOAD": library} if library else os.environ
    return subprocess.run([HAKBENCH, *arguments], env=environment, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True)


def rows():
    for line in hakbench("--list").stdout.splitlines():
        name, threads, modes, _ = line.split("\t")
        yield name, int(threads), modes.split(",")


class Rows(unittest.TestCase):
    libraries = [""] if SANITIZED else ["", LIBRARY]

    def outcome(self, *arguments, library):
        done = hakbench(*arguments, library=library)
        self.assertEqual((done.returncode, done.stderr), (0, ""), arguments)
        return json.loads(done.stdout)

    def same_work(self, name):
        """A row's outcomes under all libraries, which are judged in the main thread."""
        return name, [self.outcome(name, "--mode=memory", "--quick", library=library)
                      for library in self.libraries]

    def test_memory_mode_does_the_same_work_everywhere(self):
        with_memory = [name for name, _, modes in rows() if "memory" in modes]
        self.assertGreater(len(with_memory), 20)
        # A row's last second is sleep, so many run at a time.
        with ThreadPoolExecutor(8) as pool:
            for name, outcomes in pool.map(self.same_work, with_memory):
                with self.subTest(name):
                    for outcome in outcomes:
                        self.judge(outcome, outcomes[0])

    def judge(self, outcome, first):
        self.assertEqual(outcome["checksum"], first["checksum"])
        self.assertEqual(outcome["operations"], first["operations"])
        self.assertGreater(outcome["peak_live_bytes"], 20e6)
        self.assertGreater(outcome["peak_rss_bytes"], outcome["peak_live_bytes"])
        self.assertLess(outcome["idle_live_bytes"], 0.05 * outcome["peak_live_bytes"])
        self.assertGreater(outcome["checked"], 0)

    def test_speed_mode_counts(self):
        for name, threads, _ in rows():
            with self.subTest(name):
                for library in self.libraries:
                    outcome = self.outcome(name, "--seconds=0.02", library=library)
                    self.assertEqual(outcome["threads"], threads)
                    self.assertGreater(outcome["seconds"], 0)

    def test_wrong_arguments_are_refused(self):
        for arguments in (["no-such-row"], ["pairs", "--mode=memory"], ["pairs", "--seconds=0"], []):
            done = hakbench(*arguments)
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (2, 1), arguments)


@unittest.skipIf(SANITIZED, "nothing can be preloaded into a program with a sanitizer")
class Runner(unittest.TestCase):
    def run_bench(self, *arguments):
        return subprocess.run([sys.executable, os.path.join(SOURCE, "bench/run"), f"--build={BUILD}",
                               *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def test_json_holds_what_its_schema_says(self):
        done = self.run_bench("--quick", "--reps=1", "--rows=stack", "--allocators=glibc",
                              "--thp=off", "--json=bench.json")
        self.assertEqual(done.returncode, 0, done.stderr)
        with open("bench.json", encoding="utf-8") as file:
            report = json.load(file)
        self.assertEqual((report["schema"], report["version"]), ("hak.bench", 1))
        for key in ("commit", "command", "machine", "repetitions", "summary", "interrupted"):
            self.assertIn(key, report)
        self.assertEqual([a["name"] for a in report["allocators"]], ["mf2", "glibc"])
        self.assertEqual([(r["row"], r["mode"]) for r in report["rows"]],
                         [("stack", "speed"), ("stack", "memory")])
        speed, memory = (r["results"] for r in report["rows"])
        for name in ("mf2", "glibc"):
            self.assertGreater(speed[name]["operations_per_second"]["median"], 0)
            self.assertGreater(memory[name]["ratio"]["median"], 0.9)

    def test_a_broken_allocator_is_a_failed_row(self):
        source = ("#include <stddef.h>\n#include <stdlib.h>\nvoid free(void *p) { if (p) abort(); }\n")
        with open("broken.c", "w", encoding="ascii") as file:
            file.write(source)
        subprocess.run(["cc", "-shared", "-fPIC", "-fno-builtin", "-o", "broken.so", "broken.c"],
                       check=True)
        done = self.run_bench("--quick", "--reps=1", "--rows=stack", "--mode=speed",
                              "--peer=broken=broken.so", "--allocators=broken", "--json=bench.json")
        self.assertEqual(done.returncode, 0, done.stderr)
        with open("bench.json", encoding="utf-8") as file:
            results = json.load(file)["rows"][0]["results"]
        self.assertEqual(results["broken"], {"failure": "SIGABRT"})

    def test_wrong_arguments_are_refused(self):
        for arguments in (["--rows=nothing"], ["--peer=x"], ["--reps=0"], ["--allocators=x"]):
            done = self.run_bench(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    unittest.main()
