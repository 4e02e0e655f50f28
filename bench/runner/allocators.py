"""Which allocators there are on this machine, and which versions they are.

Owns: the names, libraries and Debian packages of the allocators measured. Does not run rows.
"""
import glob
import os
import subprocess

# name: library, Debian package. MF2 and glibc are added by `gather`.
DEBIAN = {
    "jemalloc": ("libjemalloc.so.2", "libjemalloc2"),
    "mimalloc": ("libmimalloc.so.2", "libmimalloc2.0"),
    "tcmalloc": ("libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
}
# Variables that change how an allocator behaves; stated with the results.
VARIABLES = ("MF2_", "MIMALLOC_", "MALLOC_", "TCMALLOC_", "GLIBC_TUNABLES", "SNMALLOC_", "LD_PRELOAD")


class Allocator:
    def __init__(self, name, path, version):
        self.name, self.path, self.version = name, path, version

    def environment(self):
        variables = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
        return {**variables, "LD_PRELOAD": self.path} if self.path else variables

    def described(self):
        set_variables = {k: v for k, v in os.environ.items()
                         if k.startswith(VARIABLES) and k != "LD_PRELOAD"}
        return {"name": self.name, "path": self.path, "version": self.version,
                "environment": set_variables}


def _output(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _debian(name):
    library, package = DEBIAN[name]
    found = sorted(glob.glob(f"/usr/lib/*/{library}"))
    if not found:
        return None
    version = _output("dpkg-query", "-W", "-f", "${Version}", package)
    return Allocator(name, found[0], f"Debian {version}" if version else "unknown")


def gather(mf2_path, commit, peers):
    """All allocators, MF2 first; names of Debian's that are not installed. `peers`: (name, path)."""
    glibc = _output("getconf", "GNU_LIBC_VERSION")
    allocators = [Allocator("mf2", mf2_path, commit), Allocator("glibc", "", glibc or "unknown")]
    debian = [_debian(name) for name in DEBIAN]
    allocators += [a for a in debian if a]
    allocators += [Allocator(name, path, "given by --peer") for name, path in peers]
    missing = [name for name, found in zip(DEBIAN, debian) if not found]
    return allocators, missing
