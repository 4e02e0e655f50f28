"""That no text of a trace remains in its anonymous form, beyond the words of the format itself.

Usage: check_anonymous.py ORIGINAL PLAIN...
"""

import os
import re
import subprocess
import sys

# Keys and values that every trace of the kind has, and that say nothing about the program.
OWN = set("""format hak-trace tool haktrace command addresses anonymous tick_ns stamp_ticks_max clock tsc monotonic
    counter stacks full caller none page_size cores window from to first_event live_at_start exit exited signalled
    exec killed detached unknown status lost late unknown_frees events objects threads name build_id size module
    null true false""".split())


def texts(path):
    """The JSON texts of a trace: META, END, INFO, MODULES."""
    sys.path.insert(0, os.path.join(os.environ["HAK_SOURCE_DIR"], "analysis"))
    import trace_reader
    trace = trace_reader.Trace(path)
    for _ in trace.chunks():
        pass
    found = [str(trace.meta), str(trace.end), str(trace.modules)]
    data = subprocess.run([os.path.join(os.environ["HAK_BIN_DIR"], "haktrace"), "info", "--json", path],
                          capture_output=True, check=True).stdout
    return trace, found, data


def offsets(trace):
    return {place for node in range(1, len(trace._nodes) + 1) for _, place in trace.stack(node)[:1]}


for original, plain in zip(sys.argv[1::2], sys.argv[2::2]):
    before, before_texts, _ = texts(original)
    after, after_texts, _ = texts(plain)
    words = set(re.findall(r"[A-Za-z_][\w./-]*", " ".join(after_texts)))
    strange = {word for word in words if word.strip("'").lower() not in OWN and not re.fullmatch(r"module-\d+", word)}
    assert not strange - {"None", "True", "False"}, strange
    secret = set(re.findall(r"[A-Za-z_][\w./-]{3,}", " ".join(before_texts))) - OWN
    assert secret, "the original has nothing to hide: the test shows nothing"
    raw = b"".join(bytes(after._decompress(*frame)) for frame in after._frames)
    for word in secret - {"None", "True", "False"}:
        assert word.encode() not in raw, word
    assert all(module["name"].startswith("module-") and not module["build_id"] for module in after.modules)
    assert offsets(after) <= set(range(len(after._nodes) + 1)), "places are not numbered"
    assert len(after._nodes) <= len(before._nodes)
