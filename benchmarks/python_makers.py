#!/usr/bin/env python3
"""Makers of torrents from PyPI as peers of benchmarks; each prints its seconds and CPU seconds as one JSON line.

  torf KIND PIECE_LENGTH PATH OUT           as many hashing threads as the machine has cores (its default)
  torrentfile KIND PIECE_LENGTH PATH OUT    what its command line does
"""
import contextlib
import io
import json
import resource
import sys
import time

import torf
from torrentfile.cli import execute


def with_torf(_kind, piece_length, path, out):
    torrent = torf.Torrent(path, piece_size=piece_length)
    torrent.generate()
    torrent.write(out)


def with_torrentfile(kind, piece_length, path, out):
    version = {"v1": "1", "v2": "2", "hybrid": "3"}[kind]
    exponent = str(piece_length.bit_length() - 1)
    with contextlib.redirect_stdout(io.StringIO()):
        execute(["create", "--prog", "0", "--meta-version", version, "--piece-length", exponent, "-o", out, path])


name, kind, piece_length, path, out = sys.argv[1:]
work = {"torf": with_torf, "torrentfile": with_torrentfile}[name]
began = resource.getrusage(resource.RUSAGE_SELF)
begun = time.perf_counter()
work(kind, int(piece_length), path, out)
seconds = time.perf_counter() - begun
ended = resource.getrusage(resource.RUSAGE_SELF)
cpu = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
print(json.dumps({"seconds": seconds, "cpuSeconds": cpu}))
