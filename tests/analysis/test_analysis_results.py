"""Result files: what is accepted, and that everything else is refused with file and expectation."""
import copy
import json
import os
import re
import unittest

import testing
import made_results
import results
from made_results import run, runs, save


class Loading(unittest.TestCase):
    def refused(self, document, *words):
        with self.assertRaises(results.ResultError) as caught:
            results.load_file(save("bad.replay.json", document))
        self.names(caught.exception, *words)

    def refused_text(self, text, *words):
        with open("bad.replay.json", "wb") as file:
            file.write(text)
        with self.assertRaises(results.ResultError) as caught:
            results.load_file("bad.replay.json")
        self.names(caught.exception, *words)

    def names(self, error, *words):
        text = str(error)
        self.assertNotIn("\n", text)
        for word in ("bad.replay.json", "expected") + words:
            self.assertIn(word, text)

    def test_one_run_and_several(self):
        self.assertEqual(len(results.load_file(save("one.replay.json", run()))), 1)
        several = results.load_file(save("many.replay.json", runs(run("a"), run("b"))))
        self.assertEqual([some.route for some in several], ["a", "b"])

    def test_unknown_keys_are_ignored(self):
        results.load_file(save("one.replay.json", run(of_the_future={"a": [1]})))

    def test_newer_version(self):
        self.refused(run(version=2), "version", "2")
        newer = runs(run())
        newer["version"] = 2
        self.refused(newer, "version")
        self.refused(runs(run(version=7)), "runs[0].version")

    def test_foreign_schema(self):
        self.refused({"schema": "mimalloc.stats", "version": 1}, "mimalloc.stats", "hak.run")
        self.refused({"name": "package"}, "schema")
        self.refused([1, 2], "object")

    def test_no_json(self):
        self.refused_text(b"", "empty")
        self.refused_text(b"  \n", "empty")
        self.refused_text(json.dumps(run()).encode()[:5000], "offset 5000")
        self.refused_text(b"\x28\xb5\x2f\xfd rest", "offset 1", "UTF-8")
        self.refused_text(b"\x50\x2a\x4d\x18 rest", "this is a trace: hakreplay it first")
        self.refused_text(b'{"schema": null}', 'found null, expected')
        self.refused_text(b"[" * 100000, "depth")

    def test_missing_file(self):
        with self.assertRaises(results.ResultError) as caught:
            results.load_file("bad.replay.json.not")
        self.names(caught.exception)

    def test_every_required_key_is_required(self):
        whole = run(rows=3)
        optional = {"tool_version", "workload", "machine", "points", "time_ns", "counters", "threads", "classes", "unreliable", "schema"}
        for key in set(whole) - optional:
            without = copy.deepcopy(whole)
            del without[key]
            self.refused(without, key)
        for part in ("measures", "remote_frees", "stranded"):
            for key in whole[part]:
                without = copy.deepcopy(whole)
                del without[part][key]
                self.refused(without, f"{part}.{key}")

    def test_types(self):
        for value in ("12", -1, True, 1.5, None, [], float("nan")):
            bad = run(rows=3)
            bad["measures"]["new_pages"] = value
            self.refused(bad, "measures.new_pages")
        self.refused(run(certainty="guessed"), "measured")
        self.refused(run(timeline=[]), "timeline")
        self.refused(run(trace={"path": "x"}), "trace.hash")
        self.refused(run(violations=["text"]), "violations[0]")
        self.refused(run(page_bytes=0), "page_bytes")
        self.refused(run(end="well"), "end")
        for key in ("failed_allocations", "unresolved"):
            bad = run(rows=3)
            bad["measures"][key] = -1
            self.refused(bad, f"measures.{key}")
        self.refused({"schema": "hak.runs", "version": 1, "runs": []}, "one run")
        self.refused({"schema": "hak.runs", "version": 1, "runs": [{"schema": "other"}]}, "runs[0].schema")

    def test_facts_stated_twice_agree(self):
        def broken(change):
            document = run(rows=5)
            change(document, {name: place for place, name in enumerate(document["timeline"]["columns"])})
            return document

        def states(document, at):
            document["timeline"]["rows"][2][at["full"]] += 1
        self.refused(broken(states), "rows[2]", "sum to held")

        def below(document, at):
            document["timeline"]["rows"][1][at["held_max"]] = 0
        self.refused(broken(below), "rows[1]", "held_max")

        def order(document, at):
            document["timeline"]["rows"][3][at["step"]] = 1
        self.refused(broken(order), "rows[3]", "later step")

        def peak(document, at):
            document["measures"]["held_max"] += 1
        self.refused(broken(peak), "measures.held_max")

        def total(document, at):
            document["stranded"]["total"] += 1
        self.refused(broken(total), "stranded.total")

    def test_timeline_shape(self):
        short = run(rows=3)
        short["timeline"]["rows"][1].pop()
        self.refused(short, "rows[1]", "integers")
        text = run(rows=3)
        text["timeline"]["rows"][2][0] = "0"
        self.refused(text, "rows[2]")
        unnamed = run(rows=3)
        unnamed["timeline"]["columns"][2] = "hold"
        self.refused(unnamed, '"held"')
        self.refused(run(rows=4097), "4096 rows")

    def test_columns_are_found_by_name(self):
        document = run(rows=4)
        straight = results.load_file(save("one.replay.json", document))[0].timeline
        document["timeline"]["columns"].reverse()
        document["timeline"]["columns"].append("of_the_future")
        document["timeline"]["rows"] = [line[::-1] + [9] for line in document["timeline"]["rows"]]
        self.assertEqual(results.load_file(save("one.replay.json", document))[0].timeline, straight)

    def test_page_bytes(self):
        load = lambda document: results.load_file(save("one.replay.json", document))[0].page_bytes
        self.assertEqual(load(run(page_bytes=4096)), 4096)
        self.assertEqual(load(run()), 65536)
        self.assertIsNone(load(run(peak=0)))


class Finding(unittest.TestCase):
    def setUp(self):
        self.folder, self.before = self.id(), os.getcwd()
        os.makedirs(self.folder)
        os.chdir(self.folder)

    def tearDown(self):
        os.chdir(self.before)

    def found(self, *paths):
        runs, note, _ = results.gather(list(paths))
        return [some.path for some in runs], note

    def saved(self, name, age, document):
        save(name, document)
        os.utime(name, (1e9 - age, 1e9 - age))

    def test_the_newest_here_and_what_belongs_to_it(self):
        other = dict(made_results.TRACE, hash="1")
        self.saved("s2.sim.json", 0, run("s2"))
        self.saved("s1.sim.json", 5, run("s1"))
        self.saved("s2-before.replay.json", 10, run("s2"))
        self.saved("other.replay.json", 20, run("s3", trace=other))
        self.saved("sources.replay.json", 30, run("p", commit="other"))
        self.saved("foreign.replay.json", 40, {})
        self.saved("name.json", -10, {})
        paths, note = self.found()
        self.assertEqual(paths, ["s1.sim.json", "s2.sim.json"])
        self.assertIn("4 other results", note)

    def test_a_simulation_and_a_replay_of_one_trace_belong_together(self):
        self.saved("a.sim.json", 0, run("s2", certainty="modelled", workload={"name": "trace"}))
        self.saved("a.replay.json", 5, run("s2"))
        self.assertEqual(self.found(), (["a.replay.json", "a.sim.json"], None))

    def test_counts_of_a_workload_do_not_part_its_routes(self):
        for age, route in enumerate(("s1", "s2")):
            workload = {"name": "larson", "threads": 4, "counts": {"frees": age}}
            self.saved(f"larson.{route}.sim.json", age, run(route, certainty="modelled", trace=None, workload=workload))
        self.assertEqual(self.found(), (["larson.s2.sim.json", "larson.s1.sim.json"], None))

    def test_the_newest_must_be_good(self):
        self.saved("good.replay.json", 10, run())
        self.saved("bad.replay.json", 0, {})
        with self.assertRaisesRegex(results.ResultError, "bad.replay.json"):
            results.gather([])

    def test_one_here_needs_no_note(self):
        save("a.sim.json", run())
        self.assertEqual(self.found(), (["a.sim.json"], None))

    def test_none_here(self):
        with self.assertRaisesRegex(results.ResultError, "no result here"):
            results.gather([])

    def test_what_no_figure_shows_is_left_out_of_a_folder_only(self):
        os.mkdir("mixed")
        save("mixed/a.replay.json", run("a"))
        save("mixed/b.sim.json", {"schema": "hak.seed_table", "version": 1})
        paths, note = self.found("mixed")
        self.assertEqual(paths, ["mixed/a.replay.json"])
        self.assertIn("b.sim.json (hak.seed_table)", note)
        for asked in (["mixed/b.sim.json"], ["mixed", "mixed/b.sim.json"]):
            with self.assertRaises(results.ResultError) as caught:
                results.gather(asked)
            self.assertIn("hak.seed_table", str(caught.exception))

    def test_folders_and_files(self):
        os.mkdir("some")
        for name in ("b.replay.json", "a.sim.json", "no.json"):
            save("some/" + name, run(name))
        save("x.json", run())
        self.assertEqual(self.found("some", "some/b.replay.json", "x.json"), (["some/a.sim.json", "some/b.replay.json", "x.json"], None))
        os.mkdir("empty")
        with self.assertRaisesRegex(results.ResultError, "empty: .* expected"):
            results.gather(["empty"])


class Labels(unittest.TestCase):
    def labels(self, *documents):
        return [some.label for some in results.gather([save("labels.replay.json", runs(*documents))])[0]]

    def test_routes_suffice(self):
        self.assertEqual(self.labels(run("s1"), run("s2")), ["s1", "s2"])

    def test_what_differs_is_added(self):
        self.assertEqual(self.labels(run("s1", seed=1), run("s1", seed=2), run("s2")), ["s1, seed 1", "s1, seed 2", "s2"])
        self.assertEqual(self.labels(run("s1", order="strict"), run("s1", order="dataflow")), ["s1, strict", "s1, dataflow"])

    def test_other_programs_come_first(self):
        other = dict(made_results.TRACE, program="git", hash="1")
        self.assertEqual(self.labels(run("s1"), run("s1", trace=other)), ["larson s1", "git s1"])

    def test_equal_runs_are_numbered(self):
        self.assertEqual(self.labels(run("s1"), run("s1", geometry="seed")), ["s1, default geometry", "s1, seed geometry"])
        self.assertEqual(self.labels(run("s1"), run("s1")), ["s1 #1", "s1 #2"])


class Version(unittest.TestCase):
    def test_it_is_the_projects(self):
        with open(os.path.join(testing.SOURCE, "CMakeLists.txt"), encoding="utf-8") as file:
            stated = re.search(r"project\(hak VERSION ([\d.]+)", file.read()).group(1)
        self.assertEqual(results.VERSION, stated)

    def test_keys_are_those_of_the_document(self):
        with open(os.path.join(testing.SOURCE, "doc", "results.md"), encoding="utf-8") as file:
            text = file.read()
        for key in results.TIMELINE_COLUMNS + results.COUNTS + results.RATIOS + results.OWNER_STATES + results.CAUSES:
            self.assertIn(f"`{key}`", text)
        columns = re.search(r"`timeline.columns`, in this order: (.*?)\n\n?", text).group(1)
        self.assertEqual(tuple(name for name in re.findall(r"`(\w+)`", columns) if name in results.TIMELINE_COLUMNS)[:21], results.TIMELINE_COLUMNS)


if __name__ == "__main__":
    testing.main()
