#!/usr/bin/env python3
"""Hosts of a network of their own: each runs one program, and may be behind a firewall. Run by `unshare -rn`.

  {"NAME": {"address": "80.0.0.1", "firewall": true, "command": [...]}, ...}

A firewall lets in only answers: UDP from where the host sent something to, and TCP of connections that the host began;
others are told that nobody listens. What a program says on stdout is printed behind its name. All end with stdin.
"""
import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys

CLONE_NEWNET = 0x40000000
TUNSETIFF, SIOCSIFADDR, SIOCSIFNETMASK, SIOCSIFFLAGS = 0x400454CA, 0x8916, 0x891C, 0x8914
IFF_TUN_NO_PI, IFF_UP_RUNNING = 0x1001, 0x41
TCP, UDP = 6, 17
SYN, ACK = 0x02, 0x10


def enter(address):
    """Makes a network of this process's own, with a way to the router; returns the router's end of it."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", b"tun0", IFF_TUN_NO_PI))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        def set_address(request, text):
            fcntl.ioctl(any_socket, request, struct.pack("16sHH4s8x", b"tun0", socket.AF_INET, 0, socket.inet_aton(text)))
        set_address(SIOCSIFADDR, address)
        set_address(SIOCSIFNETMASK, "255.255.255.0")
        for name in (b"lo", b"tun0"):
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH", name, IFF_UP_RUNNING))
    return tun


def start(address, command):
    """Starts a program on a host of its own; returns its way to the router and its output."""
    here, there = socket.socketpair()
    output, into = os.pipe()
    if os.fork() == 0:
        tun = enter(address)
        socket.send_fds(there, [b"tun"], [tun])
        os.close(tun)
        os.dup2(into, 1)
        os.execvp(command[0], command)
    os.close(into)
    _, [tun], _, _ = socket.recv_fds(here, 3, 1)
    return tun, output


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def refusal(packet, length):
    """ICMP: nobody listens at this port."""
    quoted = packet[:length + 8]
    body = struct.pack("!BBHI", 3, 3, 0, 0) + quoted + b"\0" * (len(quoted) % 2)
    body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 0, 0, 64, 1, 0, packet[16:20], packet[12:16])
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


class Router:
    def __init__(self, hosts):
        self.by_address = {socket.inet_aton(host["address"]): host for host in hosts.values()}
        # Who sent UDP to whom: (address, port) twice.
        self.spoken = set()

    def take(self, packet):
        """Passes a packet on, answers it, or drops it."""
        if packet[0] >> 4 != 4:
            return
        length = (packet[0] & 15) * 4
        source, target, protocol = packet[12:16], packet[16:20], packet[9]
        host = self.by_address.get(target)
        if host is None:
            return
        here, there = (source, packet[length:length + 2]), (target, packet[length + 2:length + 4])
        if protocol == UDP:
            self.spoken.add((here, there))
            if host["firewall"] and (there, here) not in self.spoken:
                return
        is_first = protocol == TCP and packet[length + 13] & (SYN | ACK) == SYN
        if is_first and host["firewall"]:
            os.write(self.by_address[source]["tun"], refusal(packet, length))
        else:
            os.write(host["tun"], packet)


def main(text):
    hosts = json.loads(text)
    names = {}
    for name, host in hosts.items():
        host["tun"], output = start(host["address"], host["command"])
        names[output] = (name, [b""])
    router = Router(hosts)
    tuns = [host["tun"] for host in hosts.values()]
    while True:
        ready, _, _ = select.select([0, *tuns, *names], [], [])
        for each in ready:
            if each in tuns:
                router.take(os.read(each, 65536))
            elif each == 0:
                return
            else:
                name, [rest] = names[each]
                data = os.read(each, 65536)
                *lines, rest = (rest + data).split(b"\n")
                names[each] = (name, [rest])
                for line in lines:
                    print(name, line.decode(), flush=True)
                if data == b"":
                    del names[each]


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    finally:
        # The programs are of the same process group.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)
