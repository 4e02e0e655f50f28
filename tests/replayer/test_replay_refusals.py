"""Bad input and bad lines: one clear line, status 2, and what stood there before stays."""

import os
import struct

from replaying import SCENARIOS, Run, main, make_trace


def refused(*arguments, says, status=2):
    run = Run(*arguments)
    assert run.status == status, f"{run.line}: status {run.status}, not {status}: {run.err}"
    assert run.err.startswith("hakreplay: "), run.err
    assert run.err.count("\n") == 1, f"{run.line}: not one line: {run.err}"
    for text in [says] if isinstance(says, str) else says:
        assert text in run.err, f"{run.line}: expected \"{text}\" in: {run.err}"


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)
    return path


def read(path):
    with open(path, "rb") as file:
        return file.read()


def test_bad_traces():
    data = read(make_trace("mixed", "good.zst", 2000))
    refused("missing.zst", says=["missing.zst", "No such file"])
    refused(write("empty.zst", b""), says="empty.zst")
    refused(write("foreign.zst", b"GIF89a, not a trace at all" * 10), says="foreign.zst")
    refused(write("short.zst", data[:20]), says="short.zst")
    newer = bytearray(data)
    newer[16:18] = struct.pack("<H", 2)
    refused(write("newer.zst", newer), says=["newer.zst", "2"])
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 0x10
    refused(write("flipped.zst", flipped), says=["flipped.zst", "offset"])
    refused(".", says=".")


def test_an_anomalous_trace_is_refused_unless_told():
    trace = make_trace("hand-over", "anomaly.zst", 2000, tweak="anomaly")
    refused(trace, says=["anomaly.zst", "anomal"])
    for order in ["strict", "dataflow"]:
        run = Run(trace, "--allow-anomalies", f"--order={order}", "--quiet")
        assert run.status == 0 and "1 operations on objects that do not live" in run.err, run.err


def test_a_failed_run_leaves_the_old_result():
    write("kept.json", b"old")
    make_trace("mixed", "good.zst", 2000)
    refused("missing.zst", "-o", "kept.json", says="missing.zst")
    refused("good.zst", "-o", "kept.json", "--route=nonsense", says="nonsense")
    assert read("kept.json") == b"old"
    assert [name for name in os.listdir(".") if name.startswith("kept.json.")] == []


def test_unwritable_outputs():
    make_trace("mixed", "good.zst", 2000)
    refused("good.zst", "-o", "no/such/folder/x.json", says="no/such/folder/x.json")
    refused("good.zst", "-o", ".", says="directory")
    refused("good.zst", "-o", "/dev/full", says=["/dev/full", "No space"])
    assert Run("good.zst", "-o", "/dev/null", "--quiet").status == 0
    if os.geteuid() != 0:
        os.makedirs("closed", exist_ok=True)
        os.chmod("closed", 0o500)
        refused("good.zst", "-o", "closed/x.json", says="closed/x.json")


def test_bad_lines():
    make_trace("mixed", "good.zst", 500)
    refused("good.zst", "--route=cdb", says=["cdb", "cda"])
    refused("good.zst", "--route=s2,orphan=adopt", says=["orphan", "orphans"])
    refused("good.zst", "--route=s2,orphans=eat", says=["orphans", "strand|adopt|reclaim"])
    refused("good.zst", "--route=", says="--route=")
    refused("good.zst", "--route=best,reenqueue=on", says="reenqueue")
    refused("good.zst", "--order=backwards", says="backwards")
    refused("good.zst", "--order=window", says="window")
    refused("good.zst", "--order=dataflow", "--strategy=clever", says="clever")
    refused("good.zst", "--strategy=random", says="dataflow")
    refused("good.zst", "--strategy=schedule", "--order=dataflow", says="--schedule=FILE")
    refused("good.zst", "--seed=-1", says="--seed")
    refused("good.zst", "--seed=1x", says="1x")
    refused("good.zst", "--geometry=round", says="round")
    refused("good.zst", "--no-such-option", says="--no-such-option")
    refused("good.zst", "--route", says="--route")
    refused("good.zst", "also.zst", says="also.zst")
    refused("--quiet", says="expected")
    refused("explore", "--quiet", says="expected")
    refused("explore", f"{SCENARIOS}/hand-over.scn", "--route=s1,s2", says="one route")
    refused("explore", f"{SCENARIOS}/hand-over.scn", "--schedules=0", says="--schedules")
    refused("repro", "missing.hks", says="missing.hks")
    refused("repro", write("foreign.hks", b"no schedule\n"), says="foreign.hks")
    assert not os.path.exists("good.replay.json")


def test_helps_and_lists():
    for arguments, text in [(["--help"], "Exit status"), (["--version"], "hakreplay "),
                            (["--list-routes"], "strand|adopt|reclaim"),
                            (["--help"], "order strict: recorded; dataflow: random (default)"),
                            (["explore", "--help"], "--schedules"),
                            (["explore", "--help"], "one preset"), (["repro", "--help"], "FAIL.hks")]:
        run = Run(*arguments)
        assert run.status == 0 and text in run.out and not run.err, run.line
    assert Run().status == 2


main([test_bad_traces, test_an_anomalous_trace_is_refused_unless_told,
      test_a_failed_run_leaves_the_old_result, test_unwritable_outputs, test_bad_lines,
      test_helps_and_lists])
