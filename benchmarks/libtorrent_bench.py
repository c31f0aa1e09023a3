#!/usr/bin/env python3
"""libtorrent as the peer of benchmarks. Prints one JSON line.

  make FILE [OUT]       makes the hybrid torrent of a flat file: seconds, CPU seconds, infohashes
  seed FOLDER TORRENT   seeds without checking, set up for throughput; ends with its stdin
"""
import json
import os
import resource
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "test", "helpers"))
import libtorrent as lt  # noqa: E402
from libtorrent_peer import describe, make  # noqa: E402


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def timed_make(path, out=None):
    cpu, begun = cpu_seconds(), time.perf_counter()
    metainfo = make(path)
    figures = {"seconds": time.perf_counter() - begun, "cpuSeconds": cpu_seconds() - cpu}
    if out:
        with open(out, "wb") as file:
            file.write(metainfo)
    print(json.dumps({"version": lt.__version__, **figures, **describe(metainfo)}))


def seed(folder, torrent):
    session = lt.session({
        "listen_interfaces": "127.0.0.1:0",
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "allow_multiple_connections_per_ip": True,
        "unchoke_slots_limit": -1,
        "connections_limit": 2000,
        "max_allowed_in_request_queue": 4000,
        "in_enc_policy": int(lt.enc_policy.disabled),
        "out_enc_policy": int(lt.enc_policy.disabled),
        "send_buffer_watermark": 3 << 20,
        "send_buffer_watermark_factor": 150,
        "aio_threads": 4,
        "alert_mask": 0,
    })
    offered = lt.load_torrent_file(torrent)
    offered.save_path = folder
    # Not queued: a torrent that waits for the queue's next round refuses peers.
    offered.flags = lt.torrent_flags.seed_mode
    handle = session.add_torrent(offered)
    while not handle.status().is_seeding:
        time.sleep(0.02)
    print(json.dumps({"port": session.listen_port()}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    {"make": timed_make, "seed": seed}[sys.argv[1]](*sys.argv[2:])
