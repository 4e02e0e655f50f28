"""Shared libraries export what programs call, and nothing else."""

import argparse
import os
import re
import subprocess
import sys

import project_tree as tree

MALLOC = ("malloc calloc realloc reallocarray free free_sized free_aligned_sized cfree memalign aligned_alloc posix_memalign "
          "valloc pvalloc malloc_usable_size")
# Whole names, as patterns.
PUBLIC = {
    "libmf2.so": MALLOC.split() + ["mallinfo2?", "malloc_info", "malloc_stats", "malloc_trim", "mallopt", "mf2_stats_json",
                                   "__libc_(malloc|calloc|realloc|free|memalign|valloc|pvalloc)", "__posix_memalign",
                                   "_Z(nw|na|dl|da)[mP].*"],  # C++'s operators new and delete
    "libhakrec.so": MALLOC.split() + ["fork", "_Fork", "_exit", "_Exit", "dlclose", "pthread_(create|join|clockjoin_np|timedjoin_np|tryjoin_np)",
                                      "thrd_(create|join)", "v?fork", "exec(l|le|lp|v|ve|vp|vpe)|fexecve|execveat", "posix_spawnp?", "quick_exit", "prctl", "syscall",
                                      "mmap(64)?", "mremap", "munmap"],
}


def exported(path):
    done = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True)
    return [line.split()[-1].split("@")[0] for line in done.stdout.splitlines()]


def name_violations(library, names):
    public = re.compile("|".join(f"(?:{name})" for name in PUBLIC[library]))
    return [f"{library}:1: exports {name}, which is no public name" for name in names if not public.fullmatch(name)]


def violations(folder):
    found = []
    for library in PUBLIC:
        path = os.path.join(folder, library)
        if os.path.exists(path):
            names = exported(path)
            found += name_violations(library, names) or ([] if "malloc" in names else [f"{library}:1: exports no malloc"])
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("libraries")
    sys.exit(tree.report(violations(parser.parse_args().libraries), "exported names"))
