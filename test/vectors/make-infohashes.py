#!/usr/bin/env python3
"""Makes infohashes.json without a line of blockswarm: it reads Bitcoin Core's own files, cuts the flat files of
DESIGN §1 out of them, and lets libtorrent make the torrents.

  make-infohashes.py MAINNET_BLOCKS REGTEST_BLOCKS > infohashes.json

Both arguments are a `blocks` folder as Core left it (blk*.dat, rev*.dat, xor.dat). The committed numbers come from
  mainnet  ../shared/data/chain-mainnet/core-blocksdir-0-14131-xor.tar.zst, unpacked
  regtest  cargo run --release -p chaingen -- --out chain.dat
           bitcoind -regtest -datadir=D -networkactive=0 -listen=0 -loadblock=chain.dat -stopatheight=599

The synthetic files are cut from one stream: SHA-256 of the numbers 0, 1, 2 … as 8 little-endian bytes.
"""
import hashlib
import json
import os
import struct
import sys
import tempfile
from glob import glob

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "helpers"))
import libtorrent as lt  # noqa: E402
from libtorrent_peer import describe, make  # noqa: E402

SEALING_DEPTH = 144
PIECE = 4 << 20
LEAF = 16384
NETWORKS = {"mainnet": (bytes.fromhex("f9beb4d9"), 2016), "regtest": (bytes.fromhex("fabfb5da"), 144)}
SYNTHETIC = {
    "one-byte.dat": 1,
    "under-one-leaf.dat": LEAF - 1,
    "one-piece.dat": PIECE,
    "one-piece-and-a-byte.dat": PIECE + 1,
    "last-piece-of-one-leaf.dat": PIECE + LEAF,
}


def sha256d(data):
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def plain(path, key):
    """A file of the blocks folder with the XOR undone."""
    data = open(path, "rb").read()
    mask = (key * (len(data) // 8 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(mask, "big")).to_bytes(len(data), "big")


def records(data, magic, trailer):
    """The records `magic | size | payload | trailer` of a file up to its padding."""
    offset = 0
    while data[offset : offset + 4] == magic:
        (size,) = struct.unpack_from("<I", data, offset + 4)
        end = offset + 8 + size + trailer
        yield data[offset:end]
        offset = end


def sealed_by(previous, undo_record):
    return sha256d(previous + undo_record[8:-32]) == undo_record[-32:]


def work(bits):
    target = (bits & 0x7FFFFF) << (8 * ((bits >> 24) - 3))
    return (1 << 256) // (target + 1)


def read_chain(folder, magic):
    """The most-work chain of a blocks folder, genesis first: (block record, undo record or None)."""
    key_path = os.path.join(folder, "xor.dat")
    key = open(key_path, "rb").read() if os.path.exists(key_path) else bytes(8)
    blocks, children, undo = {}, {}, {}
    for path in sorted(glob(os.path.join(folder, "blk*.dat"))):
        number = os.path.basename(path)[3:8]
        for record in records(plain(path, key), magic, 0):
            header = record[8:88]
            blocks[sha256d(header)] = (record, number)
            children.setdefault(header[4:36], []).append(sha256d(header))
        undo[number] = iter(list(records(plain(os.path.join(folder, f"rev{number}.dat"), key), magic, 32)))
    total, queue = {bytes(32): 0}, [bytes(32)]
    for parent in queue:
        for child in children.get(parent, []):
            total[child] = total[parent] + work(struct.unpack_from("<I", blocks[child][0], 80)[0])
            queue.append(child)
    path = [max(total, key=total.get)]
    while (parent := blocks[path[-1]][0][12:44]) != bytes(32):
        path.append(parent)
    chain = []
    for block_hash in reversed(path):
        record, number = blocks[block_hash]
        previous = record[12:44]
        mine = None
        if chain:
            # In a rev file records come in the order of connection: ours is the first that our parent's hash seals.
            mine = next(undo_record for undo_record in undo[number] if sealed_by(previous, undo_record))
        chain.append((record, mine))
    return chain


def torrent_of(folder, name, data):
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write(data)
    metainfo = make(path)
    os.remove(path)
    return metainfo, describe(metainfo)


def network_vectors(folder, network, blocks_folder):
    magic, interval = NETWORKS[network]
    chain = read_chain(blocks_folder, magic)
    sealed = (len(chain) - SEALING_DEPTH) // interval
    found = {"tipHeight": len(chain) - 1, "sealed": sealed, "blocks": [], "spent": [], "catalogues": []}
    catalogue = b"bswarm1\n" + magic
    for k in range(sealed):
        heights = chain[k * interval : (k + 1) * interval]
        catalogue += b"".join(block[8:88] for block, _ in heights)
        for kind, part in (("blocks", 0), ("spent", 1)):
            data = b"".join(pair[part] or b"" for pair in heights)
            metainfo, vector = torrent_of(folder, f"bitcoin-{network}-{kind}-{k:05}.dat", data)
            catalogue += struct.pack("<I", len(metainfo)) + metainfo
            found[kind].append(vector)
        found["catalogues"].append(torrent_of(folder, f"bitcoin-{network}-catalogue-{k + 1:05}.dat", catalogue)[1])
    return found


def stream(length):
    parts = (hashlib.sha256(struct.pack("<Q", n)).digest() for n in range(length // 32 + 1))
    return b"".join(parts)[:length]


def lines(value, indent=""):
    """JSON with one line for each torrent."""
    if isinstance(value, dict) and "infoHashV1" not in value:
        inner = [f'{indent}  "{key}": {lines(item, indent + "  ")}' for key, item in value.items()]
        return "{\n" + ",\n".join(inner) + f"\n{indent}}}"
    if isinstance(value, list):
        return "[\n" + ",\n".join(f"{indent}  {lines(item)}" for item in value) + f"\n{indent}]"
    return json.dumps(value)


def main(mainnet, regtest):
    with tempfile.TemporaryDirectory() as folder:
        longest = stream(max(SYNTHETIC.values()))
        print(lines({
            "maker": f"libtorrent {lt.__version__}, make-infohashes.py",
            "mainnet": network_vectors(folder, "mainnet", mainnet),
            "regtest": network_vectors(folder, "regtest", regtest),
            "synthetic": [torrent_of(folder, name, longest[:size])[1] for name, size in SYNTHETIC.items()],
        }))


if __name__ == "__main__":
    main(*sys.argv[1:])
