"""A trace as text: the same lines, byte for byte, as `haktrace dump [--stacks] FILE`.

A line is the event's number, its time in ticks, its thread, the name of its op, and then as key=value
what it has, of: object size align value peer stack address entry. The alignment is in bytes, and is
left out where none was asked for; stack, address and entry point are where they are 0, not known.
The second half of a realloc does not repeat size and stack of the first.
"""
import argparse
import os
import sys

from trace_reader import ACQUIRE, OPS, Trace, TraceError

ENTRIES = ("- malloc calloc realloc reallocarray memalign posix_memalign aligned_alloc valloc pvalloc free free_sized "
           "free_aligned_sized cfree operator-new operator-delete").split()
OP_WORDS = [name.lower().replace("_", "-") for name in OPS]


def line(event):
    """One event as haktrace dump prints it."""
    parts = [f"{event.number} {event.time} {event.thread} {OP_WORDS[event.op]}"]
    if event.object is not None:
        parts.append(f"object={event.object}")
    if event.size is not None and event.op != ACQUIRE:
        parts.append(f"size={event.size}")
    if event.align:
        parts.append(f"align={1 << event.align}")
    if event.value is not None:
        parts.append(f"value={event.value}")
    if event.peer is not None:
        parts.append(f"peer={event.peer}")
    if event.stack and event.op != ACQUIRE:
        parts.append(f"stack={event.stack}")
    if event.address:
        parts.append(f"address={event.address:#x}")
    if event.entry:
        parts.append(f"entry={ENTRIES[event.entry]}")
    return " ".join(parts)


def frames_text(trace, event, known):
    """The lines below an event, innermost frame first. `known` keeps what was said of a stack: few
    stacks have many events each."""
    if not event.stack or event.op == ACQUIRE:
        return ""
    if event.stack not in known:
        known[event.stack] = "".join(f"    #{depth} {_module_name(trace, module)}+{offset:#x}\n"
                                     for depth, (module, offset) in enumerate(trace.stack(event.stack)))
    return known[event.stack]


def _module_name(trace, module):
    """The name with '?' for control characters; a trace may say anything."""
    if not module:
        return "?"
    name = trace.modules[module - 1].get("name")
    return "".join("?" if ord(letter) < 32 or ord(letter) == 127 else letter for letter in name) if isinstance(name, str) else ""


def main():
    parser = argparse.ArgumentParser(prog="trace_reader.py", allow_abbrev=False,
                                     description="Print a trace, one event a line, as haktrace dump does; read by Python alone.")
    parser.error = lambda message: _fail(f"{message}; see --help")
    parser.add_argument("--stacks", action="store_true", help="follow each event by the frames of its stack")
    parser.add_argument("trace", metavar="FILE")
    options = parser.parse_args()
    sys.stdout.reconfigure(encoding="utf-8")
    try:
        trace = Trace(options.trace)
        known = {}
        for event in trace.events():
            sys.stdout.write(line(event) + "\n" + (frames_text(trace, event, known) if options.stacks else ""))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    except OSError as error:
        _fail(f"{options.trace}: {error.strerror}")
    except TraceError as error:
        _fail(str(error))


def _fail(text):
    sys.stderr.write(f"trace_reader.py: {text}\n")
    raise SystemExit(2)
