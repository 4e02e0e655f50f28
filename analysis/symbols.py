"""Names for the frames of a trace: from the files that it names, if they are here and are the same.

A trace has a file's base name and build id. A file is looked for by that id among separate debug
files, then by name where libraries and programs lie and in folders that the user names; one with
another build id is not used. Without a file, or without a symbol, a frame reads `module+0x12ab`.
Names are those of ELF's symbol tables, C++ ones demangled by c++filt where it is installed.
"""
import bisect
import os
import re
import shutil
import struct
import subprocess

FOLDERS = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/local/lib", "/usr/lib",
           "/usr/lib/gcc/x86_64-linux-gnu/12", "/usr/lib/git-core")
DEBUG_FOLDER = "/usr/lib/debug/.build-id"
NAME_MAX = 80  # letters of a C++ name; from there on template arguments are left out
STRING = re.compile(r"std::(?:__cxx11::)?basic_string<char, std::char_traits<char>, std::allocator<char> ?>")
SHT_SYMTAB, SHT_DYNSYM, SHT_NOTE, STT_FUNC, STT_GNU_IFUNC, NT_GNU_BUILD_ID = 2, 11, 7, 2, 10, 3


def _plainness(named):
    """Orders the names of one function: malloc before __libc_malloc before __GI___libc_malloc."""
    name = named[1]
    return len(name) - len(name.lstrip("_")) + 4 * name.startswith("__GI_"), len(name), name


class Elf:
    """The functions and the build id of a 64-bit little-endian ELF file. Raises OSError or ValueError."""

    def __init__(self, path):
        with open(path, "rb") as file:
            data = file.read()
        if data[:6] != b"\x7fELF\x02\x01":
            raise ValueError("not a 64-bit ELF file")
        try:
            self._read(data)
        except (struct.error, IndexError) as error:
            raise ValueError(f"a damaged ELF file: {error}")

    def _read(self, data):
        at, size, count = struct.unpack_from("<Q", data, 40)[0], *struct.unpack_from("<HH", data, 58)
        sections = [struct.unpack_from("<IIQQQQIIQQ", data, at + size * number) for number in range(count)]
        self.build_id, found = "", {}
        for _, kind, _, _, offset, length, link, _, _, entry in sections:
            if kind == SHT_NOTE:
                self._note(data[offset:offset + length])
            elif kind in (SHT_SYMTAB, SHT_DYNSYM) and entry == 24:
                names = sections[link][4]
                for place in range(offset, offset + length, 24):
                    name, info, _, section, value, bytes_ = struct.unpack_from("<IBBHQQ", data, place)
                    if info & 15 in (STT_FUNC, STT_GNU_IFUNC) and section and value:
                        text = data[names + name:data.index(b"\0", names + name)].decode(errors="replace")
                        named = (bytes_, text.split("@")[0])
                        found[value] = min(found.get(value, named), named, key=_plainness)
        self._starts = sorted(found)
        self._functions = found

    def _note(self, note):
        while len(note) >= 12:
            name, length, kind = struct.unpack_from("<III", note)
            start = 12 + (name + 3) // 4 * 4
            if kind == NT_GNU_BUILD_ID and note[12:16] == b"GNU\0":
                self.build_id = note[start:start + length].hex()
            note = note[start + (length + 3) // 4 * 4:]

    def function(self, address):
        """The name of the function that covers the address, or None."""
        place = bisect.bisect_right(self._starts, address) - 1
        if place < 0:
            return None
        length, name = self._functions[self._starts[place]]
        return name if address < self._starts[place] + max(length, 1) else None


def readable(name):
    """A demangled name as one would say it: std::string by its name, without parameters, template arguments cut where they are long."""
    name = STRING.sub("std::string", name)
    name = _without_parameters(name)
    while len(name) > NAME_MAX:
        at, end = _longest_arguments(name)
        if end - at <= len("<…>"):
            break
        name = f"{name[:at]}<…>{name[end:]}"
    return name


def _without_parameters(name):
    """Up to the list of parameters that ends it."""
    end = len(name) - len(" const") if name.endswith(") const") else len(name)
    depth = 0
    for at in range(end - 1, -1, -1) if name[:end].endswith(")") else ():
        depth += (name[at] == ")") - (name[at] == "(")
        if depth == 0:
            return name[:at] if at and not name[:at].endswith("operator") else name
    return name


def _longest_arguments(name):
    """(start, end) of the longest outermost <...> that is not cut yet."""
    depth, start, found = 0, 0, (0, 0)
    for at, letter in enumerate(name):
        if letter == "<" and not name[:at].endswith("operator"):
            start = at if depth == 0 else start
            depth += 1
        elif letter == ">" and depth:
            depth -= 1
            if depth == 0 and at + 1 - start > found[1] - found[0]:
                found = (start, at + 1)
    return found


class Symbols:
    """Names for (module, offset) of one trace; `modules` as trace_reader.Trace has them."""

    def __init__(self, modules, folders=()):
        self._modules, self._folders, self._elves, self._plain, self._nameless = modules, tuple(folders) + FOLDERS, {}, {}, set()

    def module_name(self, module):
        return str(self._modules[module - 1].get("name") or "?") if module else "?"

    def name(self, module, offset):
        """What the frame is called."""
        if not module:
            return f"{offset:#x}" if offset else "[further callers]"
        found = self._elf(module)
        name = found.function(offset) if found else None
        if not name:
            self._nameless.add(module)
        return self._demangled(name) if name else f"{self.module_name(module)}+{offset:#x}"

    @property
    def unresolved(self):
        """Names of modules some of whose frames have no name: not here as recorded, or stripped."""
        return sorted({self.module_name(module) for module in self._nameless})

    def _elf(self, module):
        if module not in self._elves:
            self._elves[module] = self._find(self._modules[module - 1])
        return self._elves[module]

    def _find(self, module):
        build_id, name = str(module.get("build_id") or ""), os.path.basename(str(module.get("name") or ""))
        paths = [os.path.join(DEBUG_FOLDER, build_id[:2], build_id[2:] + ".debug")] if build_id else []
        paths += [module["path"]] if isinstance(module.get("path"), str) else []
        paths += [os.path.join(folder, name) for folder in self._folders] if name else []
        for path in paths:
            try:
                elf = Elf(path)
            except (OSError, ValueError):
                continue
            if elf.build_id == build_id and build_id:
                return elf
        return None

    def _demangled(self, name):
        if not name.startswith("_Z"):
            return name
        if name not in self._plain:
            tool = shutil.which("c++filt")
            done = subprocess.run([tool, name], capture_output=True, text=True) if tool else None
            self._plain[name] = readable(done.stdout.strip()) if done and done.returncode == 0 and done.stdout.strip() else name
        return self._plain[name]
