#!/usr/bin/env python3
"""Writes trees.json: infohashes of folders and files as libtorrent (PyPI, 2.1.1) makes them.

A file's bytes are its place in the list plus one, over and over. Usage: make-trees.py > trees.json
"""
import json, os, sys, tempfile
import libtorrent as lt

F, C = lt.file_storage, lt.create_torrent
FLAGS = {"v1": C.v1_only, "v2": C.v2_only, "hybrid": 0}
LEAF = 16384

def file(path, length=0, **more):
    return {"path": path, "lengthBytes": length, **more}

TREES = [
    ("file", False, LEAF, False, [file("file", 5 * LEAF + 7)]),
    ("short.sh", False, 4 * LEAF, True, [file("short.sh", 9, executable=True, hidden=True)]),
    ("größe ₿", True, 2 * LEAF, False, [
        file(".hidden", 2, hidden=True), file("Z", 1), file("a/b/c", 3 * LEAF), file("a/x", 40000),
        file("b10", 10), file("b20"), file("c", 2 * LEAF), file("e", 1), file("run", 7, executable=True),
        file("to-c", symlinkTarget="c"), file("to-x", symlinkTarget="a/x", executable=True),
        file("z"), file("ä", 4 * LEAF + 1), file("日本", 5),
    ]),
    ("one", True, LEAF, False, [file("inside", LEAF + 1)]),
    ("whole", True, LEAF, True, [file("a", LEAF), file("b", 2 * LEAF), file("c")]),
    ("same", True, LEAF, False, [file("same", 3)]),
]

def make(name, multi, piece_length, private, files, kind):
    fs = F()
    with tempfile.TemporaryDirectory() as top:
        for i, f in enumerate(files):
            path = name + "/" + f["path"] if multi else name
            flags = (F.flag_executable if f.get("executable") else 0) | (F.flag_hidden if f.get("hidden") else 0)
            if "symlinkTarget" in f:
                fs.add_file(path, 0, flags | F.flag_symlink, 0, f["symlinkTarget"])
                continue
            os.makedirs(os.path.join(top, os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(top, path), "wb") as out:
                out.write(bytes([i + 1]) * f["lengthBytes"])
            fs.add_file(path, f["lengthBytes"], flags)
        ct = C(fs, piece_length, FLAGS[kind] | C.symlinks)
        ct.set_priv(private)
        lt.set_piece_hashes(ct, top)
        ti = lt.torrent_info(lt.bencode(ct.generate()))
    hashes = ti.info_hashes()
    return {
        "kind": kind,
        "infoHashV1": str(hashes.v1) if hashes.has_v1() else None,
        "infoHashV2": str(hashes.v2) if hashes.has_v2() else None,
    }

trees = [
    {"name": name, "multiFile": multi, "pieceLengthBytes": length, "private": private, "files": files,
     "torrents": [make(name, multi, length, private, files, kind) for kind in FLAGS]}
    for name, multi, length, private, files in TREES
]
json.dump({"maker": f"libtorrent {lt.__version__}, make-trees.py", "trees": trees}, sys.stdout, indent=1, ensure_ascii=False)
print()
