"""A publisher of libzmq's: zmq_publisher.py PUB|XPUB. Prints its port.

PUB tells of blocks again and again until it is ended, as nobody says when a subscription has come. XPUB prints what it
is asked for, and then tells of a block for each line on its standard input, with other things around it.
"""

import json
import struct
import sys
import time

import zmq


def tell(socket, number, topic=b"hashblock"):
    socket.send_multipart([topic, bytes(32), struct.pack("<I", number)])


def main():
    kind = sys.argv[1]
    socket = zmq.Context().socket(getattr(zmq, kind))
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    print(json.dumps({"port": port}), flush=True)
    if kind == "PUB":
        for number in range(sys.maxsize):
            tell(socket, number)
            time.sleep(0.02)
    print(json.dumps({"asked": socket.recv().hex()}), flush=True)
    for number, _ in enumerate(sys.stdin):
        tell(socket, number, b"hashtx")
        tell(socket, number, b"hashblocks")
        socket.send_multipart([b"hashblock" + bytes(5000), bytes(2_000_000)])
        tell(socket, number)


main()
