"""A file in memory that may be larger than memory: what has been read is let go from time to time."""
import mmap
import os

import system_python

system_python.need("numpy")
import numpy as np

FORGET_BYTES = 64 << 20  # behind the reader, before they are let go


class MappedFile:
    """`data`: the bytes, as an array."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if os.fstat(file.fileno()).st_size else b""
        self.data, self._forgotten = np.frombuffer(self._map, np.uint8), 0

    def passed(self, offset):
        """Bytes before this offset have been read; they are there again when they are needed again."""
        if not 0 <= offset - self._forgotten < FORGET_BYTES:
            self._forgotten = offset
            if offset >= mmap.PAGESIZE:
                self._map.madvise(mmap.MADV_DONTNEED, 0, offset // mmap.PAGESIZE * mmap.PAGESIZE)
