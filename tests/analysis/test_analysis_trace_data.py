"""Figures made from a trace: sizes, lifetimes, hand-overs, and the code behind stranded pages."""
import os
import subprocess
import unittest

import testing
from made_traces import CREATE, FREE, MALLOC, START, STACKS, UVARINT, DELTA, chunk, column, end, events, meta, text_chunk, trace, MODULES

TICK_NS = 100


def made(path="t.zst", modules=({"name": "made", "build_id": "ab01", "size": 4096},)):
    """Two threads, three objects: 0 of 100 bytes freed by its own thread after 1,000 ticks, 1 of 3
    bytes freed by thread 1 after 50, 2 of 1 MiB never freed. Stacks 1 <- 2 and 1."""
    chunks = [meta(), text_chunk(MODULES, list(modules), len(modules), 1),
              chunk(STACKS, [column(1, UVARINT, [1, 1], 1), column(2, UVARINT, [1, 1], 1), column(3, DELTA, [16, 400], 1)], 2, 1),
              events([(MALLOC, 0, 0), (CREATE, 0, 0), (START, 1, 0), (MALLOC, 0, 950), (FREE, 1, 50), (FREE, 0, 0), (MALLOC, 1, 0)],
                     size=[100, 3, 2**20], peer=[1], stack=[2, 1, 2], object=[0, 1]),
              end(7, 3, 2)]
    with open(path, "wb") as file:
        file.write(trace(chunks))
    return path


def bins(panel, key):
    return {name: value for name, value in zip(panel.bins, panel.layers[key]) if value}


class Pass(unittest.TestCase):
    def setUp(self):
        import trace_data
        self.module = trace_data
        self.facts = trace_data.Facts(made(), {0, 2})

    def test_sizes_by_who_freed(self):
        size, _ = self.module.histograms(self.facts, "made").panels
        self.assertEqual([bins(size, key) for key in ("own", "other", "never")], [{"128": 1}, {"4": 1}, {"1M": 1}])

    def test_bins_end_at_powers_of_two(self):
        import numpy
        self.assertEqual(self.module.size_bin(numpy.array([0, 1, 2, 3, 4, 5, 8, 9, 1024, 1025])).tolist(), [0, 1, 2, 3, 3, 4, 4, 5, 11, 12])

    def test_lifetimes(self):
        _, life = self.module.histograms(self.facts, "made").panels
        self.assertEqual(bins(life, "own"), {"100\u00a0µs": 1})  # 1,000 ticks of 100 ns
        self.assertEqual(bins(life, "other"), {"3.16\u00a0µs": 1})  # 50 ticks: 5 µs lie in the bin from 3.16
        self.assertEqual(sum(life.layers["never"]), 1)

    def test_hand_overs(self):
        panel = self.module.hand_overs(self.facts, "made").panels[0]
        self.assertEqual((panel.y_labels, panel.values), (["0", "1"], [[0, 1], [0, 0]]))
        self.assertIn("50.0", panel.note)

    def test_stacks_of_the_wanted_only(self):
        self.assertEqual(self.facts.stack_of, {0: 2, 2: 2})

    def test_a_long_trace_is_read_in_part_and_says_so(self):
        before = self.module.EVENTS_MAX
        self.module.EVENTS_MAX = 3
        try:
            facts = self.module.Facts(made())
        finally:
            self.module.EVENTS_MAX = before
        self.assertIn("The first 7 events", facts.note)

    def test_progress_is_told(self):
        told = []
        self.module.Facts(made(), (), told.append)
        self.assertEqual(told, [self.facts.events])

    def test_the_largest_block_is_told_though_not_followed(self):
        before = self.module.OBJECTS_MAX
        self.module.OBJECTS_MAX = 1
        try:
            facts = self.module.Facts(made())
        finally:
            self.module.OBJECTS_MAX = before
        self.assertGreater(facts.stride, 1)
        self.assertEqual(facts.size_max, self.facts.size_max)
        self.assertIn("largest block " + "1.0\u00a0MiB", self.module.histograms(facts, "made").panels[0].note)

    def test_many_objects_are_sampled_and_said_so(self):
        before = self.module.OBJECTS_MAX
        self.module.OBJECTS_MAX = 2
        try:
            facts = self.module.Facts(made())
        finally:
            self.module.OBJECTS_MAX = before
        self.assertEqual(facts.stride, 2)
        self.assertEqual(sum(int(values.sum()) for values in facts.sizes.values()), 2)  # objects 0 and 2
        self.assertIn("One in 2", facts.note)

    def test_a_trace_is_found_by_name_and_hash(self):
        from made_results import TRACE, run, save
        import results
        document = run(trace=dict(TRACE, path="t.zst", hash=self.module.file_hash("t.zst")))
        some = results.gather([save("a.replay.json", document)]).runs[0]
        self.assertEqual(self.module.find(some, ["no", "."]), "./t.zst")
        document["trace"]["hash"] = "0" * 16
        self.assertIsNone(self.module.find(results.gather([save("a.replay.json", document)]).runs[0], ["."]))

    def test_hashes_are_the_recorders(self):
        tool = os.path.join(os.environ.get("HAK_BIN_DIR", ""), "hakreplay")
        if not os.access(tool, os.X_OK):
            self.skipTest("no hakreplay here; HAK_BIN_DIR names its folder")
        path = os.path.join(testing.SOURCE, "traces/corpus/mailbox.zst")
        subprocess.run([tool, path, "--quiet", "-o", "m.replay.json"], check=True)
        import results
        self.assertEqual(self.module.file_hash(path), results.gather(["m.replay.json"]).runs[0].trace["hash"])


class Sites(unittest.TestCase):
    def setUp(self):
        import trace_data
        from made_results import TRACE, run, save
        import results
        self.module = trace_data
        rows = [[0, "owner_idle", 750_000], [2, "owner_exited", 1_500_000], [1, "owner_idle", 250_000], [77, "owner_idle", 500_000]]
        objects = {"at_step": 5, "stranded": 9, "without_objects": 6, "objects": 4, "stride": 1, "columns": ["object", "cause", "page_millionths"], "rows": rows}
        self.run = results.gather([save("s.replay.json", run(trace=dict(TRACE, path="t.zst"), stranded_objects=objects))]).runs[0]
        self.facts = trace_data.Facts(made(), {row[0] for row in rows})

    def test_pages_by_stack_and_cause(self):
        found, unknown = self.module.sites(self.run, self.facts)
        self.assertEqual([(site.frames, round(site.pages, 6)) for site in found], [(((1, 400), (1, 16)), 2.25), (((1, 16),), 0.25)])
        self.assertEqual((found[0].causes["owner_idle"], found[0].causes["owner_exited"]), (.75, 1.5))
        self.assertEqual(sum(unknown.values()), .5)  # object 77 is not in the trace
        self.assertEqual(unknown["owner_idle"], .5)

    def test_a_sample_stands_for_all(self):
        self.run.stranded_objects["stride"] = 3  # of three pages that blocks hold, by the rows' 3.0 millionths of a third
        self.run.stranded_objects["stranded"] = 12
        found, unknown = self.module.sites(self.run, self.facts)
        self.assertAlmostEqual(sum(site.pages for site in found) + sum(unknown.values()), 12 - 6)
        self.assertAlmostEqual(found[0].pages, 2.25 * 2)

    def test_what_was_not_read_is_a_row_of_its_own(self):
        from symbols import Symbols
        import verdict
        self.run.stranded_objects["rows"][3][2] = 2_000_000
        rows, _ = self.module.site_figures(self.run, self.facts, Symbols(self.facts.trace.modules))
        last = rows.panels[0].rows[-1]
        self.assertEqual((last.label, sum(value for _, value in last.segments)), (self.module.NOT_READ, 2))
        said = " ".join(sentence for part in verdict.paragraphs([self.run], sites=[rows]) for sentence in part.sentences)
        self.assertIn("50.0\u00a0% are held by blocks from made+0x190", said)  # 2.25 of 4.5, not of what was met

    def test_rows_and_boxes_carry_all_pages(self):
        from symbols import Symbols
        rows, flame = self.module.site_figures(self.run, self.facts, Symbols(self.facts.trace.modules))
        bars = rows.panels[0].rows
        self.assertEqual([row.label for row in bars], ["made+0x190 ← made+0x10", "made+0x10"])
        self.assertAlmostEqual(sum(value for row in bars for _, value in row.segments), 2.5)
        self.assertIn("Without symbols here: made", rows.caption)
        boxes = {(box.name, box.depth): (box.start, box.width) for box in flame.panels[0].boxes}
        self.assertEqual(boxes, {("made+0x10", 0): (0, 2.5), ("made+0x190", 1): (0, 2.25)})

    def test_many_sites_are_summed_up(self):
        from symbols import Symbols
        before = self.module.SITES_MAX
        self.module.SITES_MAX = 1
        try:
            rows = self.module.site_figures(self.run, self.facts, Symbols(self.facts.trace.modules))[0].panels[0].rows
        finally:
            self.module.SITES_MAX = before
        self.assertEqual([row.label for row in rows], ["made+0x190 ← made+0x10", "1 other site"])
        self.assertAlmostEqual(sum(value for row in rows for _, value in row.segments), 2.5)


class Names(unittest.TestCase):
    """Symbols from a file that is the same, and from none that is not."""

    def setUp(self):
        import symbols
        self.symbols = symbols
        with open("x.c", "w") as file:
            file.write("int first_function(int a) { return a + 1; }\nint second_function(int a) { return a * first_function(a); }\n")
        compiler = os.environ.get("CC", "cc")
        try:
            subprocess.run([compiler, "-shared", "-fPIC", "-O0", "-Wl,--build-id=sha1", "-o", "libx.so", "x.c"], check=True)
        except OSError:
            self.skipTest(f"no {compiler}")
        self.elf = symbols.Elf("libx.so")
        self.address = next(start for start, (_, name) in self.elf._functions.items() if name == "second_function")

    def test_functions_by_address(self):
        self.assertEqual(self.elf.function(self.address), "second_function")
        self.assertEqual(self.elf.function(self.address + 4), "second_function")
        self.assertIsNone(self.elf.function(1))
        self.assertRegex(self.elf.build_id, "^[0-9a-f]{40}$")

    def test_the_same_file_only(self):
        there = self.symbols.Symbols([{"name": "libx.so", "build_id": self.elf.build_id}], ["."])
        self.assertEqual(there.name(1, self.address + 2), "second_function")
        self.assertEqual(there.unresolved, [])
        other = self.symbols.Symbols([{"name": "libx.so", "build_id": "00" * 20}], ["."])
        self.assertEqual(other.name(1, self.address + 2), f"libx.so+{self.address + 2:#x}")
        self.assertEqual(other.unresolved, ["libx.so"])

    def test_long_names_are_shortened(self):
        string = "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >"
        for whole, short in ((f"void std::vector<{string}, std::allocator<{string} > >::_M_realloc_insert<{string} const&>(int*, {string} const&)",
                              "void std::vector<…>::_M_realloc_insert<std::string const&>"),
                             ("std::basic_filebuf<char, std::char_traits<char> >::open(char const*, std::_Ios_Openmode)", "std::basic_filebuf<char, std::char_traits<char> >::open"),
                             ("a::b() const", "a::b"), ("operator new(unsigned long)", "operator new"), ("a::operator()", "a::operator()"),
                             ("main", "main"), ("(anonymous namespace)::f(int)", "(anonymous namespace)::f")):
            self.assertEqual(self.symbols.readable(whole), short)

    def test_odd_modules(self):
        for module in ({}, {"name": 5, "build_id": None}, {"name": "../../etc/passwd", "build_id": "zz"}):
            self.assertTrue(self.symbols.Symbols([module], ["."]).name(1, 16).endswith("+0x10"))
        self.assertEqual(self.symbols.Symbols([]).name(0, 0), "[further callers]")

    def test_what_is_no_elf_file(self):
        with open("libx.so", "rb") as file:
            whole = file.read()
        for content in (b"", b"text", whole[:100], whole[:-200]):
            with open("bent.so", "wb") as file:
                file.write(content)
            with self.assertRaises(ValueError):
                self.symbols.Elf("bent.so")


if __name__ == "__main__":
    testing.main("numpy", "matplotlib")
