"""malloc and free of libmf2.so, as far as they serve without a call: what the compiler made of them.

Every way through the function that returns without leaving it is a fast path. It has no call, no
locked instruction, no frame, no loop, and no more loads, stores and instructions than are recorded
here. A change that makes one of them grow is seen before it is measured.

    real_fast_path.py LIBRARY
"""

import argparse
import re
import subprocess
import sys

# Function: the most on any fast path. What they load: alloc/fast.h.
MALLOC = {"loads": 6, "stores": 3, "instructions": 20}
FREE = {"loads": 10, "stores": 4, "instructions": 28}
LIMITS = {"malloc": MALLOC, "_Znwm": MALLOC, "_Znam": MALLOC, "free": FREE, "_ZdlPv": FREE,
          "_ZdlPvm": FREE}

INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+(.*?)\s*(?:#.*)?$")
JUMP = re.compile(r"^(?:bnd |notrack )*(j\w+)\s+([0-9a-f]+)")
ONLY_STORES = re.compile(r"^(mov|set|vmov|cvt)")
NO_ACCESS = re.compile(r"^(lea|nop|prefetch|endbr)")


def symbols(library):
    """Address of every exported function."""
    listing = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True,
                             text=True, check=True).stdout
    return {name: int(address, 16) for address, _, name in map(str.split, listing.splitlines())}


def instructions(library, start):
    """{address: (text, next address)} from a function's start to where the next one begins."""
    listing = subprocess.run(["objdump", "-d", "--no-show-raw-insn", f"--start-address={start:#x}",
                              f"--stop-address={start + 1024:#x}", library],
                             capture_output=True, text=True, check=True).stdout
    found = []
    for line in listing.splitlines():
        if re.match(r"^[0-9a-f]+ <.*>:$", line) and found:
            break
        match = INSTRUCTION.match(line)
        if match:
            found.append((int(match.group(1), 16), match.group(2)))
    return {address: (text, found[i + 1][0] if i + 1 < len(found) else None)
            for i, (address, text) in enumerate(found)}


def paths(code, address, so_far=()):
    """Every sequence of instructions from `address` to a return, without those that leave."""
    if address not in code:
        return  # a jump to another function: no fast path
    assert address not in [step[0] for step in so_far], f"a loop at {address:#x}"
    text, following = code[address]
    so_far += ((address, text),)
    jump = JUMP.match(text)
    if text.startswith(("ret", "bnd ret", "repz ret", "rep ret")):
        yield [step[1] for step in so_far]
    elif jump and jump.group(1) == "jmp":
        yield from paths(code, int(jump.group(2), 16), so_far)
    elif jump:
        yield from paths(code, int(jump.group(2), 16), so_far)
        yield from paths(code, following, so_far)
    elif not text.startswith(("jmp", "notrack jmp", "bnd jmp", "call", "bnd call")):
        yield from paths(code, following, so_far)
    elif "call" in text:
        yield from paths(code, following, so_far)  # comes back: it is on the path, and counted


def operands(text):
    """Operands of an instruction; commas within parentheses do not separate."""
    rest = text.split(None, 1)[1] if " " in text else ""
    return [part.strip() for part in re.split(r",(?![^()]*\))", rest)] if rest else []


def is_memory(operand):
    return "(" in operand or re.match(r"^%[a-z]s:", operand) is not None


def accesses(text):
    """(loads, stores) of one instruction."""
    name, parts = text.split()[0], operands(text)
    if NO_ACCESS.match(name) or not any(map(is_memory, parts)):
        return 0, 0
    if name.startswith(("cmp", "test")) or not is_memory(parts[-1]):
        return 1, 0
    return (0, 1) if ONLY_STORES.match(name) else (1, 1)


def complaints(name, steps):
    """What is wrong with one fast path, and what it amounts to."""
    found = []
    for text in steps:
        if text.startswith("lock") or (text.startswith("xchg") and "(" in text):
            found.append(f"{name}: a locked instruction: {text}")
        if "call" in text.split()[0:2]:
            found.append(f"{name}: a call: {text}")
        if text.startswith(("push", "pop", "leave")):
            found.append(f"{name}: a frame: {text}")
    counted = {"loads": sum(accesses(text)[0] for text in steps),
               "stores": sum(accesses(text)[1] for text in steps),
               "instructions": len(steps)}
    for what, limit in LIMITS[name].items():
        if counted[what] > limit:
            found.append(f"{name}: {counted[what]} {what}, recorded are {limit}")
    return found, counted


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library")
    library = parser.parse_args().library
    known = symbols(library)
    wrong = []
    for name in LIMITS:
        ways = list(paths(instructions(library, known[name]), known[name]))
        if not ways:
            wrong.append(f"{name}: no way through it returns without a call")
        for steps in ways:
            found, counted = complaints(name, steps)
            print(name, counted)
            wrong += [*found, *("    " + text for text in steps)] if found else []
    print("\n".join(wrong), file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
