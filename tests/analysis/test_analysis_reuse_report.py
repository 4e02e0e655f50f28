"""The command as a user runs it: outputs, exit status, and that a failed run leaves everything alone."""
import html.parser
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import unittest

import testing
from made_results import run, runs, save

SCRIPT = os.path.join(testing.ANALYSIS, "reuse_report.py")


def content(path):
    with open(path, "rb") as file:
        return file.read()


class Command(unittest.TestCase):
    def setUp(self):
        self.folder, self.before = os.path.abspath(self.id()), os.getcwd()
        os.makedirs(self.folder)
        os.chdir(self.folder)

    def tearDown(self):
        os.chdir(self.before)

    def report(self, *arguments, python=sys.executable, **environment):
        variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run([python, SCRIPT, *arguments], capture_output=True, text=True, encoding="utf-8",
                              env=dict(variables, PYTHONIOENCODING="utf-8", **environment))

    def refused(self, done, *words):
        self.assertEqual(done.returncode, 2)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        for word in ("reuse_report.py: ",) + words:
            self.assertIn(word, done.stderr)


class Outputs(Command):
    def test_the_newest_result_here(self):
        save("old.replay.json", run("old", commit="of old"))
        os.utime("old.replay.json", (1, 1))
        save("new.sim.json", run("new", certainty="modelled"))
        done = self.report()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("new", done.stdout)
        self.assertIn("Left out: 1 other result here", done.stdout.splitlines()[0])
        self.assertIn("Which route holds fewer. ", done.stdout)
        self.assertEqual(sorted(os.listdir()), ["new.sim.json", "old.replay.json", "reuse_report.html", "reuse_report.png", "reuse_report_figures"])
        self.assertEqual(content("reuse_report.png")[:8], b"\x89PNG\r\n\x1a\n")

    def test_folders_and_names(self):
        os.mkdir("some")
        save("some/a.replay.json", run("s1"))
        save("some/b.replay.json", run("s2"))
        done = self.report("some", "-o", "both")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(os.listdir()), ["both.html", "both.png", "both_figures", "some"])
        self.assertIn("wrote both.png, both.html and both_figures/", done.stdout)
        names = {"causes", "origins", "rates", "remote", "routes", "stranded", "timeline"}
        self.assertEqual(set(os.listdir("both_figures")), {f"{name}.{kind}" for name in names for kind in ("png", "svg")})

    def test_no_html(self):
        save("a.replay.json", run())
        done = self.report("--no-html", "--no-figures", "--quiet")
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        self.assertEqual(sorted(os.listdir()), ["a.replay.json", "reuse_report.png"])

    def test_older_figures_go_and_other_files_stay(self):
        save("a.replay.json", run())
        os.mkdir("x_figures")
        for name in ("dominoes-2.svg", "mine.svg", "notes.txt"):
            open("x_figures/" + name, "w").close()
        self.assertEqual(self.report("-o", "x").returncode, 0)
        self.assertEqual({"mine.svg", "notes.txt", "dominoes-2.svg"} & set(os.listdir("x_figures")), {"mine.svg", "notes.txt"})

    def test_results_of_other_schemas_alone(self):
        from made_reports import ablation, measure, sweep
        for name, document in (("s.sim.json", sweep()), ("a.sim.json", ablation()), ("m.measure.json", measure())):
            save(name, document)
            done = self.report(name, "-o", "x", "--no-figures")
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)
            with open("x.html", encoding="utf-8") as file:
                self.assertIn("<svg", file.read())

    def test_json_says_what_the_table_says(self):
        save("a.replay.json", runs(run("a", surplus=.1), run("b", surplus=.5)))
        done = self.report("--json", "--no-html", "--no-figures")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        said = json.loads(done.stdout)
        self.assertEqual([each["label"] for each in said["runs"]], ["a", "b"])
        self.assertEqual(said["written"], ["reuse_report.png"])
        self.assertIn("a holds the fewest", " ".join(part["text"] for part in said["verdict"]))

    def test_same_input_same_bytes(self):
        save("a.replay.json", runs(run("a"), run("b")))
        contents = []
        for name in ("x", "y"):
            self.assertEqual(self.report("-o", name).returncode, 0)
            contents.append([content(f"{name}.{kind}") for kind in ("html", "png")])
        self.assertEqual(contents[0], contents[1])

    def test_the_page_needs_nothing_else(self):
        hostile = "<script>alert(1)</script>&\"'"
        save("a.replay.json", runs(run("a", end="violation", violations=[{"oracle": hostile, "step": 1, "text": hostile}]), run(hostile)))
        done = self.report()
        self.assertEqual(done.returncode, 0)
        self.assertIn("Warning: a: it ended in violation;", done.stdout)
        with open("reuse_report.html", encoding="utf-8") as file:
            page = file.read()
        reader = PageReader()
        reader.feed(page)
        self.assertEqual(reader.outside, [])
        self.assertNotIn("<script", page)
        self.assertEqual(reader.count["svg"], 2 * reader.count["figure"])
        self.assertGreaterEqual(reader.count["figure"], 6)
        self.assertEqual(reader.open, [])
        for wanted in ("prefers-color-scheme:dark", "Rules broken", "Warning: a: it ended in violation;", "width=device-width"):
            self.assertIn(wanted, page)

    def test_a_reader_that_goes_away(self):
        save("a.replay.json", run())
        done = subprocess.run(["sh", "-c", f"{sys.executable} {SCRIPT} | head -1"], capture_output=True, text=True)
        self.assertEqual(done.stderr, "")
        self.assertIn("reuse_report.html", os.listdir())

    def test_an_interrupt_is_one_line(self):
        os.mkfifo("a.replay.json")
        process = subprocess.Popen([sys.executable, SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        with open("a.replay.json", "w"):  # returns when the report reads
            process.send_signal(signal.SIGINT)
            said = process.communicate()
        self.assertEqual((process.returncode, said), (130, ("", "reuse_report.py: interrupted\n")))

    def test_help_and_version(self):
        self.assertIn("-o", self.report("--help").stdout)
        self.assertIn("hak", self.report("--version").stdout)


class PageReader(html.parser.HTMLParser):
    """Counts elements, notes references to the outside and elements left open."""
    VOID = {"meta", "br", "use", "path", "img", "link"}

    def __init__(self):
        super().__init__()
        self.outside, self.open, self.count = [], [], {}

    def handle_starttag(self, tag, attributes):
        self.count[tag] = self.count.get(tag, 0) + 1
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "srcset", "action") and not value.startswith("#"):
                self.outside.append(value)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID and self.open.pop() != tag:
            raise AssertionError(f"</{tag}> closes nothing")


class Refusals(Command):
    def test_nothing_here(self):
        self.refused(self.report(), "no result here")

    def test_usage(self):
        save("a.replay.json", run())
        self.refused(self.report("--colour"), "--colour", "--help")

    def test_bad_files_leave_the_last_report_alone(self):
        save("a.replay.json", run())
        self.assertEqual(self.report().returncode, 0)
        before = self.everything()
        save("../newer.replay.json", run(version=99))
        with open("../cut.replay.json", "w") as file:
            file.write('{"schema": "hak.run", ')
        for path, word in (("../newer.replay.json", "version"), ("../cut.replay.json", "offset"), ("../gone.json", "No such file")):
            self.refused(self.report("a.replay.json", path), path, word)
        self.assertEqual(self.everything(), before)

    def everything(self):
        return {os.path.join(folder, name): content(os.path.join(folder, name)) for folder, _, names in os.walk(".") for name in names}

    def test_an_unwritable_output(self):
        save("a.replay.json", run())
        self.refused(self.report("-o", "no/such/folder/x"), "no/such/folder/x", "cannot be written")

    def test_an_unwritable_output_is_found_before_the_work(self):
        os.mkfifo("a.replay.json")  # nobody writes into it: reading would wait for ever
        self.refused(self.report("a.replay.json", "-o", "no/such/folder/x"), "no/such/folder/x", "cannot be written")

    def test_an_output_whose_name_is_taken(self):
        save("a.replay.json", run())
        os.mkdir("x.html")
        self.refused(self.report("-o", "x"), "x.html", "a folder")
        self.assertEqual(sorted(os.listdir()), ["a.replay.json", "x.html"])

    def test_a_full_device(self):
        save("a.replay.json", run())
        limited = f"ulimit -f 1; trap '' XFSZ; exec {sys.executable} {SCRIPT} -o x"
        done = subprocess.run(["sh", "-c", limited], capture_output=True, text=True)
        self.refused(done, "x: cannot be written", "File too large")
        self.assertEqual(os.listdir(), ["a.replay.json"])

    def test_a_device_that_is_full_after_the_picture(self):
        save("a.replay.json", run(violations=[{"oracle": "x", "step": 1, "text": "x" * 4_000_000}]))
        limited = f"ulimit -f 6000; trap '' XFSZ; exec {sys.executable} {SCRIPT} -o x"
        done = subprocess.run(["sh", "-c", limited], capture_output=True, text=True)
        self.refused(done, "x: cannot be written", "File too large")
        self.assertEqual(os.listdir(), ["a.replay.json"])


class OtherPython(Command):
    """A python without matplotlib on the path: made by hiding the module from the usual one."""

    def setUp(self):
        super().setUp()
        save("a.replay.json", run())
        os.mkdir("hidden")
        with open("hidden/sitecustomize.py", "w") as file:
            file.write("import importlib.util as u\nfound = u.find_spec\n"
                       "u.find_spec = lambda name, *rest: None if name in ('matplotlib', 'numpy') else found(name, *rest)\n")

    def test_the_systems_own_is_used(self):
        system = "/usr/bin/python3"
        if not os.access(system, os.X_OK) or subprocess.run([system, "-c", "import matplotlib"], capture_output=True).returncode:
            self.skipTest(f"{system} has no matplotlib")
        shutil.copy("hidden/sitecustomize.py", "sitecustomize.py")
        # hidden in the first start only: the second one finds the guard set
        with open("hidden/sitecustomize.py", "a") as file:
            file.write("import os\nif 'HAK_SYSTEM_PYTHON' in os.environ: u.find_spec = found\n")
        done = self.report(PYTHONPATH="hidden")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("reuse_report.html", os.listdir())

    def test_there_is_no_third_start(self):
        self.refused(self.report(PYTHONPATH="hidden"), "matplotlib is not installed", "apt-get install python3-matplotlib")
        self.refused(self.report(PYTHONPATH="hidden", HAK_SYSTEM_PYTHON="1"), "apt-get install python3-matplotlib")
        self.assertNotIn("reuse_report.html", os.listdir())

    def test_the_trace_reader_too(self):
        variables = dict(os.environ, PYTHONPATH="hidden")
        done = subprocess.run([sys.executable, os.path.join(testing.ANALYSIS, "trace_reader.py"), "x"], capture_output=True, text=True, env=variables)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("apt-get install python3-numpy", done.stderr)


if __name__ == "__main__":
    testing.main("matplotlib")
