"""The checkers of this folder see the violations that they are for, and nothing in a good tree.

Each case writes a small tree with one violation and expects the line that names it.
"""

import os
import subprocess
import tempfile
import unittest

import check_counters
import check_floors
import check_install
import check_readme
import check_static_state
import check_system_calls
import check_text
import check_tools
import project_tree


class Tree(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = self.folder.name

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def script(self, name, text):
        return self.write(name, "#!/bin/sh\n" + text, 0o755)


class SourceText(unittest.TestCase):
    def test_comments_and_literals_are_no_code(self):
        code = project_tree.code_of('a(); // b();\n/* c();\n d(); */ e("f(\\"g()"); \'"\'; h();')
        self.assertEqual(code.count("\n"), 2)
        for gone in "bcdfg":
            self.assertNotIn(gone + "(", code)
        for kept in "aeh":
            self.assertIn(kept + "(", code)

    def test_commented_include_is_none(self):
        found = list(project_tree.includes('// #include "a.h"\n#include "b.h" // x\n/*\n#include <c.h>\n*/'))
        self.assertEqual(found, [(2, '"', "b.h")])


class Floors(Tree):
    def good(self):
        self.write("traces/trace.h", "")
        self.write("alloc/mf2.h", "")
        self.write("world/world.h", '#include "mf2.h"\n')
        self.write("replayer/replay.c", '#include <stdio.h>\n#include "trace.h"\n'
                   '#include "../alloc/mf2.h"\n#include "world.h"\n#include "hak_version.h"\n')
        self.write("tests/alloc/any.c", '#include "replay.h"\n#include "trace.h"\n')

    def test_good_tree(self):
        self.good()
        self.assertEqual(check_floors.violations(self.root), [])

    def expect(self, name, text, part):
        self.good()
        self.write(name, text)
        found = check_floors.violations(self.root)
        self.assertEqual(len(found), 1, found)
        self.assertIn(part, found[0])

    def test_allocator_includes_trace(self):
        self.expect("alloc/page.c", 'int a;\n#include "trace.h"\n', "alloc/page.c:2: alloc includes")

    def test_world_includes_its_user(self):
        self.write("sim/cost.h", "")
        self.expect("world/fiber.c", '#include "cost.h"\n', "world includes sim/cost.h")

    def test_recorder_includes_allocator_by_path(self):
        self.expect("recorder/rec.c", '#include "../alloc/mf2.h"\n', "recorder includes alloc/mf2.h")

    def test_angle_brackets_hide_nothing(self):
        self.expect("recorder/rec.c", "#include <mf2.h>\n", "recorder includes alloc/mf2.h")

    def test_lower_floor_includes_higher(self):
        self.expect("traces/up.c", '#include "world.h"\n', "traces includes world/world.h")

    def test_c_in_analysis(self):
        self.expect("analysis/fast.c", "", "analysis/fast.c:1: C code in 'analysis'")

    def test_c_in_the_root(self):
        self.expect("main.c", "", "which is no floor")

    def test_unknown_header(self):
        self.expect("sim/a.c", '#include "gone.h"\n', '"gone.h" is not in the tree')

    def test_taken_base_name(self):
        self.expect("sim/replay.c", "", "sim/replay.c:1: the base name is taken by replayer/replay.c")


class SystemCalls(Tree):
    def found(self, name, text):
        self.write(name, text)
        return check_system_calls.violations(self.root)

    def test_good_tree(self):
        self.write("alloc/platform_real.c", "#include <sys/mman.h>\nvoid *p(void) { return mmap(); }\n")
        self.write("recorder/hakrec.c", "#include <unistd.h>\nint f(void) { return fork(); }\n")
        self.write("tests/alloc/t.c", "#include <unistd.h>\n")
        self.assertEqual(self.found("alloc/page.c",
                                    '#include <stdint.h>\n// mmap()\nint mf2_mmap(void);\nvoid f(s *t) { t->read(); }\n'), [])

    def test_header_in_the_allocator(self):
        self.assertEqual(self.found("alloc/page.c", "\n#include <pthread.h>\n"),
                         ["alloc/page.c:2: includes the OS header <pthread.h>"])

    def test_call_in_the_allocator(self):
        self.assertEqual(self.found("alloc/page.c", "void f(void)\n{ munmap (p, 1); }\n"),
                         ["alloc/page.c:2: calls munmap()"])

    def test_call_in_another_floor(self):
        self.assertEqual(self.found("sim/cost.c", "long f(void) { return clock_gettime(0, 0); }\n"),
                         ["sim/cost.c:1: calls clock_gettime()"])

    def test_every_pattern_names_a_file(self):
        self.assertEqual(check_system_calls.unused_patterns(os.environ["HAK_SOURCE_DIR"]), [])


class StaticState(Tree):
    def found(self, text):
        source = self.write("page.c", text)
        subprocess.run(["cc", "-std=c11", "-fPIC", "-c", "-o", source + ".o", source], check=True)
        return check_static_state.violations_of_object("alloc/page.c", source + ".o")

    def test_good_object(self):
        self.assertEqual(self.found(
            "static const int a[] = {1};\nstatic const char *const names[] = {\"x\"};\nextern int e;\n"
            "int f(int i) { static const int k = 3; return a[i] + e + k + names[0][0]; }\n"), [])

    def expect(self, text, part):
        found = self.found(text)
        self.assertEqual(len(found), 1, found)
        self.assertIn(part, found[0])

    def test_zeroed(self):
        self.expect("static int count; int f(void) { return count++; }\n", "count is mutable")

    def test_initialised(self):
        self.expect("int seed = 3;\n", "seed is mutable")

    def test_inside_a_function(self):
        self.expect("int f(void) { static int last; return ++last; }\n", "last")

    def test_per_thread(self):
        self.expect("_Thread_local int mine;\n", "mine is mutable")

    def test_common(self):
        source = self.write("page.c", "int shared;\n")
        subprocess.run(["cc", "-fcommon", "-c", "-o", source + ".o", source], check=True)
        self.assertEqual(len(check_static_state.violations_of_object("alloc/page.c", source + ".o")), 1)

    def test_nothing_built(self):
        self.write("compile_commands.json", "[]")
        self.assertIn("no object", check_static_state.violations(self.root, self.root)[0])


class Text(Tree):
    def setUp(self):
        super().setUp()
        self.write("LICENSE", "MIT License\n")

    def test_good_tree(self):
        self.write("a.md", "see /usr/include, ../tests/work/x and $HOME/root/y, /home/user/x\n")
        self.assertEqual(check_text.violations(self.root), [])

    def test_home(self):
        self.write("a.md", "\nrun /home/" + "bob/x\n")
        self.assertEqual(len(check_text.violations(self.root)), 1)
        self.assertIn("a.md:2:", check_text.violations(self.root)[0])

    def test_inside_a_trace(self):
        source = self.write("a.txt", "module /ro" + "ot/app\n")
        subprocess.run(["zstd", "-q", "--rm", source, "-o", source[:-4] + ".zst"], check=True)
        self.assertEqual(len(check_text.violations(self.root)), 1)

    def test_no_licence(self):
        os.remove(os.path.join(self.root, "LICENSE"))
        self.assertEqual(check_text.violations(self.root), ["LICENSE:1: missing"])

    def test_other_licence(self):
        self.write("LICENSE", "All rights reserved\n")
        self.assertEqual(len(check_text.violations(self.root)), 1)


GOOD_TOOL = """name=haktrace
case $1 in
--color=always) name=$(printf '\\033[1;31mhaktrace\\033[m'); shift ;;
--color=never) shift ;;
--color=*) echo "haktrace: $1: expected auto, always or never" >&2; exit 2 ;;
esac
case $1 in
--help) echo "Usage: haktrace [--json] info FILE" ;;
--version) echo "haktrace 1.2.3" ;;
info) echo "Usage: haktrace info --json FILE" ;;
--vresion) echo "haktrace: $1; did you mean --version?" >&2; exit 2 ;;
*) echo "$name: unknown option $1" >&2; exit 2 ;;
esac
"""


class Tools(Tree):
    def setUp(self):
        super().setUp()
        self.write("traces/CMakeLists.txt", "")
        self.write("doc/man/haktrace.1", "")

    def found(self, script):
        if script is not None:
            self.script("bin/haktrace", script)
        return check_tools.violations(self.root, os.path.join(self.root, "bin"), "python3", "1.2.3")

    def expect(self, script, part):
        found = self.found(script)
        self.assertEqual(len(found), 1, found)
        self.assertIn(part, found[0])

    def test_good_tool(self):
        self.assertEqual(self.found(GOOD_TOOL), [])

    def test_not_built(self):
        self.expect(None, "builds no haktrace")

    def test_old_version(self):
        self.expect(GOOD_TOOL.replace("1.2.3", "1.2.2"), "does not print '1.2.3'")

    def test_failing_help(self):
        self.expect(GOOD_TOOL.replace('FILE" ;;', 'FILE"; exit 1 ;;', 1), "--help exits 1")

    def test_accepting_anything(self):
        self.assertEqual(len(self.found(GOOD_TOOL.replace('unknown option $1" >&2; exit 2', 'unknown option $1" >&2; exit 0'))), 1)

    def test_no_color(self):
        self.expect(GOOD_TOOL.replace("\\033[1;31mhaktrace\\033[m", "haktrace"), "--color=always with {}")
        self.assertEqual(len(self.found(GOOD_TOOL.replace("expected auto", "what"))), 1)

    def test_no_suggestion(self):
        self.expect(GOOD_TOOL.replace("did you mean --version?", "what?"), "--vresion is not taken for --version")

    def test_long_refusal(self):
        self.expect(GOOD_TOOL.replace('$1" >&2; exit 2 ;;\nesac', '$1" >&2; echo more >&2; exit 2 ;;\nesac'), "2 line(s)")

    def test_no_manual(self):
        os.remove(os.path.join(self.root, "doc/man/haktrace.1"))
        self.expect(GOOD_TOOL, "doc/man/haktrace.1:1: missing")


class Counters(Tree):
    def test_every_counter_has_its_row_and_a_change_is_seen(self):
        header = self.write("alloc/counters.h", '#define T(X) \\\n  X(a, "pages", "one") \\\n  X(b, "times", "two " \\\n  "three")\n')
        with open(header, encoding="utf-8") as file:
            page = check_counters.document(file.read())
        self.assertTrue(page.endswith("| `a` | pages | one |\n| `b` | times | two three |\n"), page)
        self.write("doc/counters.md", page)
        self.assertEqual(check_counters.violations(self.root), [])
        self.write("doc/counters.md", page.replace("one", "eins"))
        self.assertEqual(len(check_counters.violations(self.root)), 1)
        os.remove(os.path.join(self.root, "doc/counters.md"))
        self.assertEqual(len(check_counters.violations(self.root)), 1)


class Install(Tree):
    def setUp(self):
        super().setUp()
        self.write("traces/CMakeLists.txt", "")
        self.write("alloc/CMakeLists.txt", "")
        self.script("prefix/bin/haktrace", GOOD_TOOL)
        self.write("prefix/share/man/man1/haktrace.1", "")
        self.write("prefix/lib/x86_64-linux-gnu/libmf2.so", "")

    def found(self):
        return check_install.violations(self.root, os.path.join(self.root, "prefix"))

    def test_good_prefix(self):
        self.assertEqual(self.found(), [])

    def expect_without(self, name, part):
        os.remove(os.path.join(self.root, "prefix", name))
        found = self.found()
        self.assertEqual(len(found), 1, found)
        self.assertIn(part, found[0])

    def test_no_library(self):
        self.expect_without("lib/x86_64-linux-gnu/libmf2.so", "libmf2.so is not installed")

    def test_no_manual(self):
        self.expect_without("share/man/man1/haktrace.1", "haktrace.1 is not installed")

    def test_no_tool(self):
        self.expect_without("bin/haktrace", "haktrace is not installed")

    def test_broken_tool(self):
        self.script("prefix/bin/haktrace", "exit 127\n")
        self.assertIn("does not run", self.found()[0])

    def test_recorder_without_its_library(self):
        self.script("prefix/bin/hakrec", "echo 'hakrec: no libhakrec.so' >&2; exit 125\n")
        found = list(check_install.recording_violations(os.path.join(self.root, "prefix")))
        self.assertIn("no libhakrec.so", found[0])


class Readme(Tree):
    def setUp(self):
        super().setUp()
        self.script("bin/haktrace", GOOD_TOOL)
        self.script("dev", "printf '  test [--quick]\\n  build\\n'\n")

    def found(self, text):
        self.write("README.md", text)
        return check_readme.violations(self.root, os.path.join(self.root, "bin"))

    def test_good_text(self):
        self.assertEqual(self.found(
            "a\n\n    ./dev test --quick   # all\n    haktrace info --json x → y --z\n[dev](dev)\n"), [])

    def expect(self, line, part):
        found = self.found(line + "\n")
        self.assertEqual(len(found), 1, found)
        self.assertIn(part, found[0])

    def test_unknown_command(self):
        self.expect("    haktrace frobnicate x", "haktrace has no command frobnicate")

    def test_unknown_option(self):
        self.expect("    haktrace info --yaml x", "haktrace has no option --yaml")

    def test_fenced(self):
        self.expect("```\n$ ./dev test --slow\n```", "README.md:2: ./dev test has no option --slow")

    def test_unknown_dev_command(self):
        self.expect("    ./dev frob", "./dev has no command frob")

    def test_missing_file(self):
        self.expect("    python3 analysis/gone.py", "analysis/gone.py does not exist")

    def test_missing_tool(self):
        self.expect("    haksim run", "haksim is not built")

    def test_dead_link(self):
        self.expect("see [it](doc/gone.md)", "doc/gone.md does not exist")

    def test_recorded_programs_options_are_its_own(self):
        self.script("bin/hakrec", "echo '-o FILE'\n")
        self.assertEqual(self.found("    hakrec -o FILE ./app --own\n"), [])

    def test_missing_readme(self):
        self.assertIn("README.md:1: missing",
                      check_readme.violations(self.root, os.path.join(self.root, "bin")))


if __name__ == "__main__":
    unittest.main()
