"""Every MF2_* variable that libmf2.so reads stands in the table that MF2_HELP prints and in mf2(7),
and neither names one that nobody reads."""

import glob
import os
import re
import sys

import project_tree as tree

TABLE = "alloc/entry_settings.c"
PAGE = "doc/man/mf2.7"
READ = re.compile(r'(?:mf2_environment|option|getenv|secure_getenv)\("(MF2_\w+)"')


def violations(root):
    read = set()
    for path in glob.glob(os.path.join(root, "alloc", "*.c")):
        read |= set(READ.findall(tree.text_of(root, os.path.relpath(path, root))))
    table = set(re.findall(r'X\("(MF2_\w+)"', tree.text_of(root, TABLE)))
    page = set(re.findall(r"^\.B (MF2_\w+)$", tree.text_of(root, PAGE), re.MULTILINE))
    for place, named in ((TABLE, table), (PAGE, page)):
        for name in sorted(read - named):
            yield f"{place}:1: {name} is missing, which alloc/ reads"
        for name in sorted(named - read):
            yield f"{place}:1: {name} is read by nobody"
    if not read:
        yield f"{TABLE}:1: no variable is read anywhere: does this check still see them?"


if __name__ == "__main__":
    sys.exit(tree.report(list(violations(sys.argv[1])), "MF2_* variables"))
