#!/usr/bin/env python3
"""Runs a command and writes what it cost as one JSON line to file descriptor 3.

  measure.py [--until TEXT] COMMAND…

Its time, its CPU time with that of its children, and the most memory that one of its processes had resident (mapped
parts of files count; never less than this interpreter's own 9 MiB). With --until a command that would go on is ended
at the first line of its output that holds TEXT.
"""
import json
import os
import signal
import sys
import time

figures_fd = 3
os.set_inheritable(figures_fd, False)
command = sys.argv[1:]
until = None
if command[0] == "--until":
    until, command = command[1].encode(), command[2:]
reader, writer = os.pipe()
actions = [(os.POSIX_SPAWN_DUP2, writer, 1)] if until else []
begun = time.perf_counter()
child = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
os.close(writer)
if until:
    for line in os.fdopen(reader, "rb"):
        sys.stdout.buffer.write(line)
        if until in line:
            break
    ended = time.perf_counter()
    os.kill(child, signal.SIGKILL)
_, status, usage = os.wait4(child, 0)
os.write(figures_fd, json.dumps({
    "status": os.waitstatus_to_exitcode(status),
    "seconds": (ended if until else time.perf_counter()) - begun,
    "cpuSeconds": usage.ru_utime + usage.ru_stime,
    "peakMiB": usage.ru_maxrss / 1024,
}).encode())
