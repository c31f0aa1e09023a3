#!/usr/bin/env python3
"""libtorrent (PyPI) as an independent maker, judge, leecher and seeder. Prints one JSON object a line.

  make FILE…                              the hybrid torrent of each flat file, made by libtorrent alone
  tree KIND PIECE_LENGTH PATH             the torrent (v1, v2, hybrid) of a file or folder with its links
  load TORRENT…                           what libtorrent finds in each .torrent (piece layers are checked)
  get OUT HOST:PORT[,…] TORRENT|MAGNET    downloads to OUT to the last byte, then ends
  seed FOLDER TORRENT…                    checks and seeds; the first line names the port; ends with its stdin

Before the command: `--encrypted` for nothing but RC4, `--utp` for no TCP, `--tcp-and-utp`, `--listen=HOST:PORT` for
another place than a free port of loopback, `--sam=HOST:PORT` for I2P by a SAM bridge, and `--lsd` for local service
discovery (then HOST:PORT may be `-`).

Not called libtorrent.py: Python would import this file instead of the library.
"""
import json
import os
import sys
import time

import libtorrent as lt

PIECE_LENGTH = 4 << 20


def make(path):
    """The metainfo of a flat file by DESIGN §1: hybrid, 4 MiB pieces, only `info` and `piece layers`."""
    files = lt.file_storage()
    files.add_file(os.path.basename(path), os.path.getsize(path))
    torrent = lt.create_torrent(files, PIECE_LENGTH)
    lt.set_piece_hashes(torrent, os.path.dirname(os.path.abspath(path)))
    entry = torrent.generate()
    return lt.bencode({b"info": entry[b"info"], b"piece layers": entry.get(b"piece layers", {})})


def tree(kind, piece_length, path):
    """The torrent of a file or folder. In v1 libtorrent keeps the system's order: here it is that of v2 as well."""
    create = lt.create_torrent
    flags = create.symlinks | {"v1": create.v1_only, "v2": create.v2_only, "hybrid": 0}[kind]
    files = lt.file_storage()
    lt.add_files(files, path, lambda _: True, flags)
    if kind == "v1":
        listed, files = files, lt.file_storage()
        for n in sorted(range(listed.num_files()), key=lambda n: listed.file_path(n).encode().split(b"/")):
            # The path of a link's target begins with the torrent's name, but is to be given without.
            target = listed.symlink(n).partition("/")[2]
            files.add_file(listed.file_path(n), listed.file_size(n), listed.file_flags(n), 0, target)
    torrent = create(files, piece_length, flags)
    lt.set_piece_hashes(torrent, os.path.dirname(path))
    return lt.bencode(torrent.generate())


def describe(metainfo):
    """Name, length and both infohashes of a .torrent; raises when a piece layer contradicts its root."""
    info = lt.load_torrent_buffer(metainfo).ti
    hashes = info.info_hashes()
    return {
        "name": info.name(),
        "lengthBytes": info.total_size(),
        "infoHashV1": str(hashes.v1) if hashes.has_v1() else None,
        "infoHashV2": str(hashes.v2) if hashes.has_v2() else None,
    }


def read(path):
    with open(path, "rb") as file:
        return file.read()


def session():
    """A session that speaks to nobody by itself."""
    encrypted, utp, lsd = (flag in FLAGS for flag in ("--encrypted", "--utp", "--lsd"))
    both = "--tcp-and-utp" in FLAGS
    policy = int(lt.enc_policy.forced if encrypted else lt.enc_policy.disabled)
    sam_host, _, sam_port = SAM.rpartition(":")
    i2p = {"i2p_hostname": sam_host, "i2p_port": int(sam_port)} if SAM else {}
    return lt.session({
        **i2p,
        "listen_interfaces": LISTEN,
        "enable_dht": False,
        "enable_lsd": lsd,
        "enable_upnp": False,
        "enable_natpmp": False,
        "allow_multiple_connections_per_ip": True,
        "enable_outgoing_utp": utp or both,
        "enable_incoming_utp": utp or both,
        "enable_outgoing_tcp": not utp,
        "enable_incoming_tcp": not utp,
        "in_enc_policy": policy,
        "out_enc_policy": policy,
        "allowed_enc_level": int(lt.enc_level.rc4 if encrypted else lt.enc_level.both),
        "alert_mask": int(lt.alert.category_t.error_notification | lt.alert.category_t.status_notification),
    })


def params(source, folder):
    wanted = lt.parse_magnet_uri(source) if source.startswith("magnet:") else lt.load_torrent_file(source)
    wanted.save_path = folder
    # Not queued: a torrent that waits for the queue's next round refuses peers.
    wanted.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    return wanted


def get(out, peers, source):
    this = session()
    handle = this.add_torrent(params(source, out))
    addresses = [(host, int(port)) for host, port in (peer.rsplit(":", 1) for peer in peers.split(",") if peer != "-")]
    asked = 0
    while not handle.status().is_seeding:
        for alert in this.pop_alerts():
            print(alert, file=sys.stderr)
        # A peer that refused at first is asked again: the seed may still be starting.
        if time.monotonic() > asked + 1 and handle.status().num_peers == 0:
            asked = time.monotonic()
            for address in addresses:
                handle.connect_peer(address)
        time.sleep(0.02)
    # Every piece is checked, but the disk threads may still be writing: they are done when the torrent is gone.
    this.remove_torrent(handle)
    while not any(isinstance(alert, lt.torrent_removed_alert) for alert in this.pop_alerts()):
        time.sleep(0.02)
    print(json.dumps({"done": True}), flush=True)


def seed(folder, *sources):
    this = session()
    handles = [this.add_torrent(params(source, folder)) for source in sources]
    while not all(handle.status().is_seeding for handle in handles):
        time.sleep(0.02)
    print(json.dumps({"port": this.listen_port()}), flush=True)
    sys.stdin.read()


def main(command, *arguments):
    if command == "make":
        for path in arguments:
            print(json.dumps(describe(make(path))))
    elif command == "tree":
        kind, piece_length, path = arguments
        print(json.dumps(describe(tree(kind, int(piece_length), path))))
    elif command == "load":
        for path in arguments:
            print(json.dumps(describe(read(path))))
    elif command == "get":
        get(*arguments)
    elif command == "seed":
        seed(*arguments)
    else:
        sys.exit(__doc__)


FLAGS = {argument for argument in sys.argv[1:] if argument.startswith("--")}
LISTEN = next((flag.partition("=")[2] for flag in FLAGS if flag.startswith("--listen=")), "127.0.0.1:0")
SAM = next((flag.partition("=")[2] for flag in FLAGS if flag.startswith("--sam=")), "")

if __name__ == "__main__":
    main(*(argument for argument in sys.argv[1:] if argument not in FLAGS))
