#!/usr/bin/env python3
"""libtorrent as the peer and the judge of benchmarks. Prints one JSON line.

  make KIND PIECE_LENGTH PATH OUT     makes a v1, v2 or hybrid torrent: seconds, CPU seconds. Its own maker hashes with
                                      one thread beside those that read; Python is given no setting for that
  verify THREADS FOLDER TORRENT       checks data with so many hashing threads: seconds, CPU seconds, the wrong pieces
  digest TORRENT…                     infohashes, and digests of what stands for the content, of each torrent
  get TORRENT FOLDER PEER…            downloads from peers (host:port), set up for throughput
  seed FOLDER TORRENT                 seeds without checking, set up for throughput; ends with its stdin
  get-rc4, seed-rc4                   the same, and every byte is encrypted
  get-utp, seed-utp                   the same over uTP, in no other way
"""
import hashlib
import json
import os
import resource
import sys
import time
from functools import partial

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "test", "helpers"))
import libtorrent as lt  # noqa: E402
from libtorrent_peer import describe, read  # noqa: E402


quiet = {
    "listen_interfaces": "127.0.0.1:0",
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
}


plain = {"in_enc_policy": int(lt.enc_policy.disabled), "out_enc_policy": int(lt.enc_policy.disabled)}
rc4 = {
    "in_enc_policy": int(lt.enc_policy.forced),
    "out_enc_policy": int(lt.enc_policy.forced),
    "allowed_enc_level": int(lt.enc_level.rc4),
    "prefer_rc4": True,
}
utp = {
    **plain,
    "enable_outgoing_utp": True,
    "enable_incoming_utp": True,
    "enable_outgoing_tcp": False,
    "enable_incoming_tcp": False,
}


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def timed(work):
    """What `work` gave, with its seconds and CPU seconds: a person's clock without Python's own start."""
    cpu, begun = cpu_seconds(), time.perf_counter()
    result = work()
    return {"seconds": time.perf_counter() - begun, "cpuSeconds": cpu_seconds() - cpu, **result}


def in_order(path):
    """A file, or the files below a folder, sorted by their paths as most makers do."""
    if not os.path.isdir(path):
        return [path]
    below = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    return sorted(below, key=lambda name: name.split(os.sep))


def make(kind, piece_length, path, out):
    folder = os.path.dirname(path)

    def work():
        files = lt.file_storage()
        for name in in_order(path):
            files.add_file(os.path.relpath(name, folder), os.path.getsize(name))
        flags = {"v1": lt.create_torrent.v1_only, "v2": lt.create_torrent.v2_only, "hybrid": 0}[kind]
        torrent = lt.create_torrent(files, int(piece_length), flags)
        lt.set_piece_hashes(torrent, folder)
        with open(out, "wb") as file:
            file.write(lt.bencode(torrent.generate()))
        return {}

    print(json.dumps(timed(work)))


def verify(threads, folder, torrent):
    session = lt.session({
        **quiet,
        "hashing_threads": int(threads),
        "alert_mask": int(lt.alert.category_t.status_notification),
    })
    given = lt.load_torrent_file(torrent)
    given.save_path = folder
    given.flags = lt.torrent_flags.upload_mode  # nothing is written where a piece is wrong
    handles = []

    def work():
        handles.append(session.add_torrent(given))
        while True:
            session.wait_for_alert(1000)
            if any(isinstance(alert, lt.torrent_checked_alert) for alert in session.pop_alerts()):
                return {}

    figures = timed(work)
    wrong = [piece for piece, good in enumerate(handles[0].status(lt.status_flags_t.query_pieces).pieces) if not good]
    print(json.dumps({**figures, "wrongPieces": wrong}))


def digest(*torrents):
    for path in torrents:
        info = lt.bdecode(read(path))[b"info"]
        described = describe(read(path))
        print(json.dumps({
            **described,
            "pieceLengthBytes": info[b"piece length"],
            "pieces": hashlib.sha256(info[b"pieces"]).hexdigest() if b"pieces" in info else None,
            "fileTree": hashlib.sha256(lt.bencode(info[b"file tree"])).hexdigest() if b"file tree" in info else None,
        }))


def get(torrent, folder, *peers, carriage=plain):
    session = lt.session({
        **quiet,
        "allow_multiple_connections_per_ip": True,
        "enable_outgoing_utp": False,
        **carriage,
        "max_out_request_queue": 1500,
        "aio_threads": 4,
        "hashing_threads": 2,
        "alert_mask": 0,
    })
    wanted = lt.load_torrent_file(torrent)
    wanted.save_path = folder
    handle = session.add_torrent(wanted)
    for peer in peers:
        host, port = peer.split(":")
        handle.connect_peer((host, int(port)))
    while not handle.status().is_seeding:
        time.sleep(0.02)
    handle.flush_cache()


def seed(folder, torrent, carriage=plain):
    session = lt.session({
        **quiet,
        **carriage,
        "allow_multiple_connections_per_ip": True,
        "unchoke_slots_limit": -1,
        "connections_limit": 8000,
        "listen_queue_size": 3000,
        "max_allowed_in_request_queue": 4000,
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
    commands = {
        "make": make,
        "verify": verify,
        "digest": digest,
        "get": get,
        "seed": seed,
        "get-rc4": partial(get, carriage=rc4),
        "seed-rc4": partial(seed, carriage=rc4),
        "get-utp": partial(get, carriage=utp),
        "seed-utp": partial(seed, carriage=utp),
    }
    commands[sys.argv[1]](*sys.argv[2:])
