"""That info --columns adds up, and that the second reader has what a repacked trace holds.

Reads NAME.small.zst, NAME.core.zst and their info --columns --json, which test_haktrace_repack.sh
has left in the folder.
"""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.environ["HAK_SOURCE_DIR"], "analysis"))
import trace_reader
for trace in "good", "git-grep", "mailbox":
    for form in "small", "core":
        name = f"{trace}.{form}"
        budget = json.load(open(name + ".json"))
        parts = ("META", "MODULES", "STACKS", "EVENTS", "END", "INFO", "RESIDENT", "PROCESS", "MAPS", "index", "core", "file")
        columns = {key: value for key, value in budget.items() if key not in parts}
        assert abs(sum(c["bytes"] for c in columns.values()) - budget["EVENTS"]["bytes"]) < 1
        whole = sum(budget[p]["bytes"] for p in parts[:-2] if p in budget)
        assert whole == budget["file"]["bytes"] == os.path.getsize(name + ".zst"), (whole, budget["file"])
        core = sum(c["bytes"] for key, c in columns.items() if key not in ("address", "entry", "other-entry"))
        assert abs(core + budget["index"]["bytes"] - budget["core"]["bytes"]) < 1
        assert {"op", "thread", "time", "rank", "size"} <= set(columns) and "object" not in columns
    # The second reader has the same objects and entry points.
    if trace == "git-grep":
        continue
    lines = [json.loads(line) for line in os.popen(f"{os.environ['HAK_BIN_DIR']}/haktrace dump --json {trace}.small.zst")]
    names = "- malloc calloc realloc reallocarray memalign posix_memalign aligned_alloc valloc pvalloc free free_sized free_aligned_sized cfree operator-new operator-delete".split()
    for event, line in zip(trace_reader.Trace(trace + ".small.zst").events(), lines, strict=True):
        assert event.object == line.get("object"), (event, line)
        assert (names[event.entry] if event.entry else None) == line.get("entry"), (event, line)
