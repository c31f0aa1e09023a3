#!/usr/bin/env python3
"""A DHT node of libtorrent (PyPI) on loopback; beside a node at HOST:PORT. Prints a JSON object a line, the first with its
port; ends with its stdin, of which each line is a command (values are text, all else is hex):

  put SEED KEY SALT SEQ VALUE puts a mutable item               {"taken": nodes}
  put-immutable VALUE         puts an immutable item            {"taken": nodes}
  get KEY SALT                finds a mutable item              {"value": text, "seq": number}
  get-immutable TARGET        finds an immutable item           {"value": text}
  announce INFOHASH PORT      says that it has peers there      {"taken": 0}
  peers INFOHASH              finds peers                       {"peers": ["host:port"]}

The same of anacrolix's node: dht-peer/main.go.
"""
import hashlib
import json
import sys
import time

import libtorrent as lt


def start(host, port):
    this = lt.session({
        "listen_interfaces": "127.0.0.1:0",
        "enable_dht": True,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "dht_bootstrap_nodes": f"{host}:{port}",
        # Its rules against many nodes of one network, and its limit of 5 questions a second, are not for loopback.
        "dht_restrict_routing_ips": False,
        "dht_restrict_search_ips": False,
        "dht_ignore_dark_internet": False,
        "dht_block_ratelimit": 1000,
        "alert_mask": int(lt.alert.category_t.dht_notification | lt.alert.category_t.dht_operation_notification),
    })
    this.add_dht_node((host, port))
    while this.status().dht_nodes == 0:
        time.sleep(0.02)
    return this


def private_key(seed):
    """The expanded key that libtorrent signs with."""
    key = bytearray(hashlib.sha512(seed).digest())
    key[0] &= 248
    key[31] = (key[31] & 63) | 64
    return bytes(key)


def wait(this, kind, is_it=lambda alert: True):
    while True:
        for alert in this.pop_alerts():
            if isinstance(alert, kind) and is_it(alert):
                return alert
        time.sleep(0.01)


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def run(this, command, *arguments):
    if command == "put":
        seed, key, salt, seq, value = arguments
        public = bytes.fromhex(key)
        # libtorrent counts on by itself from what it finds.
        this.dht_put_mutable_item(private_key(bytes.fromhex(seed)), public, value.encode(), bytes.fromhex(salt))
        return {"taken": wait(this, lt.dht_put_alert).num_success}
    if command == "put-immutable":
        this.dht_put_immutable_item(arguments[0])
        return {"taken": wait(this, lt.dht_put_alert).num_success}
    if command == "get":
        key, salt = (bytes.fromhex(each) for each in arguments)
        this.dht_get_mutable_item(key, salt)
        found = wait(this, lt.dht_mutable_item_alert, lambda alert: alert.authoritative)
        item = found.item
        return {"value": text(item["value"] if isinstance(item, dict) and "value" in item else item), "seq": found.seq}
    if command == "get-immutable":
        this.dht_get_immutable_item(lt.sha1_hash(bytes.fromhex(arguments[0])))
        item = wait(this, lt.dht_immutable_item_alert).item
        return {"value": text(item["value"] if isinstance(item, dict) and "value" in item else item)}
    if command == "announce":
        this.dht_announce(lt.sha1_hash(bytes.fromhex(arguments[0])), int(arguments[1]), 0)
        return {"taken": 0}
    if command == "peers":
        this.dht_get_peers(lt.sha1_hash(bytes.fromhex(arguments[0])))
        peers = wait(this, lt.dht_get_peers_reply_alert).peers()
        return {"peers": [f"{host}:{port}" for host, port in peers]}
    raise ValueError(command)


def main(address):
    host, port = address.rsplit(":", 1)
    this = start(host, int(port))
    print(json.dumps({"port": this.listen_port()}), flush=True)
    for line in sys.stdin:
        print(json.dumps(run(this, *line.rstrip("\n").split(" "))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
