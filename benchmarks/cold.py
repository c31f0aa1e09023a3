#!/usr/bin/env python3
"""Drops files from the page cache and prints the share of them that is still there, as one JSON line.

  cold.py PATH…     files, and all files below folders
"""
import ctypes
import json
import mmap
import os
import sys

libc = ctypes.CDLL(None, use_errno=True)


def files(paths):
    for path in paths:
        if os.path.isdir(path):
            for folder, _, names in os.walk(path):
                yield from (os.path.join(folder, name) for name in names)
        else:
            yield path


def drop(path):
    """Drops one file; (its pages, those that are still there)."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())  # a page that is not written yet stays
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        length = os.fstat(file.fileno()).st_size
        if length == 0:
            return 0, 0
        # Reading without waiting would not do to look: it starts to read ahead.
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
            pages = -(-length // mmap.PAGESIZE)
            present = (ctypes.c_ubyte * pages)()
            start = ctypes.c_ubyte.from_buffer(mapped)
            failed = libc.mincore(ctypes.byref(start), ctypes.c_size_t(length), present)
            del start
            if failed:
                raise OSError(ctypes.get_errno(), "mincore", path)
            return pages, sum(page & 1 for page in bytes(present))


pages, cached = map(sum, zip(*(drop(path) for path in files(sys.argv[1:]))))
print(json.dumps({"cachedShare": cached / max(pages, 1)}))
