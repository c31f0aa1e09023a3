#!/usr/bin/env python3
"""One libtorrent peer of a swarm: checks what it has of a torrent, connects, and tells of itself five times a second.

  FOLDER TORRENT plain|super [HOST:PORT…]

The first line names its port; the others say whether it has everything, whom it is connected to and how many pieces these have, and what it uploaded.
It ends with its stdin. With `--no-pex` it hears of nobody from its peers;
`--slow`: it downloads no more than 200 kB a second; `--dht`: it has a node in the DHT that knows nobody.
"""
import json
import select
import sys

import libtorrent as lt
from libtorrent_peer import FLAGS, params, session


def main(folder, torrent, mode, *peers):
    this = session()
    # Seeds stay connected: they are whom the others are told of.
    this.apply_settings({"close_redundant_connections": False})
    if "--dht" in FLAGS:
        this.apply_settings({
            "enable_dht": True,
            "dht_bootstrap_nodes": "",
            "dht_restrict_routing_ips": False,
            "dht_ignore_dark_internet": False,
        })
    wanted = params(torrent, folder)
    if mode == "super":
        wanted.flags |= lt.torrent_flags.super_seeding
    if "--no-pex" in FLAGS:
        wanted.flags |= lt.torrent_flags.disable_pex
    if "--slow" in FLAGS:
        wanted.download_limit = 200_000
    handle = this.add_torrent(wanted)
    checking = (lt.torrent_status.states.checking_files, lt.torrent_status.states.checking_resume_data)
    while handle.status().state in checking:
        select.select([], [], [], 0.02)
    print(json.dumps({"port": this.listen_port()}), flush=True)
    asked = 0
    while not select.select([sys.stdin], [], [], 0.2)[0]:
        # A peer that refused at first is asked again.
        if asked % 10 == 0 and handle.status().num_peers < len(peers):
            for host, port in (peer.rsplit(":", 1) for peer in peers):
                handle.connect_peer((host, int(port)))
        asked += 1
        status = handle.status()
        infos = handle.get_peer_info()
        connected = [":".join(map(str, peer.ip)) for peer in infos]
        print(json.dumps({
            "seeding": status.is_seeding,
            "peers": connected,
            "theirPieces": [sum(peer.pieces) for peer in infos],
            "dhtNodes": this.status().dht_nodes,
            "uploadedBytes": status.total_payload_upload,
        }), flush=True)


if __name__ == "__main__":
    main(*(argument for argument in sys.argv[1:] if argument not in FLAGS))
