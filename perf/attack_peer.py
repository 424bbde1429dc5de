#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What perf/scenarios/attack.py starts on the client's side, against tests/system/memory_peer.py server.

    attack_peer.py probe HOST PORT BEFORE DURING    somebody honest: a ping-pong, and a new connection
                                                    every 20 ms; a JSON line
    attack_peer.py tiny HOST PORT SECONDS N         N segments of one byte that nobody reads
    attack_peer.py unread HOST PORT SECONDS N       N clients that read nothing
    attack_peer.py raw HOST PORT SECONDS PROGRAM [ARGUMENTS ...]
                                                    PROGRAM DEVICE MAC HOST with {seconds} and {port}
                                                    put in; HOST "nobody": to a host that is not there,
                                                    which {nobody} and {nobody_mac} are, too
"""

import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time

CONNECT_EVERY_S = 0.02
CONNECT_TIMEOUT_S = 1
NOBODY = ("198.18.0.99", "02:13:00:00:00:99")


class Probe:
    """Counts of two phases, before and during the attack."""

    def __init__(self, host, port):
        self.at = (host, port)
        self.over = False
        self.clear()

    def clear(self):
        self.echoes = self.connects = self.failed = 0
        self.pause = self.connect_max = 0.0
        self.started = time.monotonic()

    def figures(self):
        seconds = time.monotonic() - self.started
        return {"echoes_per_s": round(self.echoes / seconds, 1),
                "pause_ms": round(1000 * max(self.pause, time.monotonic() - self.sent), 3),
                "connects": self.connects, "connects_failed": self.failed,
                "connect_max_ms": round(1000 * self.connect_max, 3)}

    def ping_pong(self):
        sock = socket.create_connection(self.at)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while not self.over:
            self.sent = time.monotonic()
            sock.sendall(b"ping")
            if not sock.recv(4):
                return
            self.pause = max(self.pause, time.monotonic() - self.sent)
            self.echoes += 1

    def connect(self):
        while not self.over:
            started = time.monotonic()
            try:
                with socket.create_connection(self.at, CONNECT_TIMEOUT_S) as sock:
                    # No TIME_WAIT, which would fill the client's table.
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    sock.sendall(b"here")
                    self.failed += sock.recv(4) != b"here"
            except OSError:
                self.failed += 1
            self.connects += 1
            took = time.monotonic() - started
            self.connect_max = max(self.connect_max, took)
            time.sleep(max(0, CONNECT_EVERY_S - took))


def cmd_probe(host, port, before, during):
    probe = Probe(host, int(port))
    probe.sent = time.monotonic()
    for work in (probe.ping_pong, probe.connect):
        threading.Thread(target=work, daemon=True).start()
    time.sleep(0.5)
    probe.clear()
    time.sleep(float(before))
    first = probe.figures()
    print("before", flush=True)
    probe.clear()
    time.sleep(float(during))
    second = probe.figures()
    probe.over = True
    print(json.dumps({"before": first, "during": second}))


def cmd_tiny(host, port, seconds, count):
    end = time.monotonic() + float(seconds)
    sock = socket.create_connection((host, int(port) + 1))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sent = 0
    sock.settimeout(0.2)
    while sent < int(count) and time.monotonic() < end:
        try:
            sent += sock.send(b"x")
        except TimeoutError:
            pass  # the window is closed
    time.sleep(max(0, end - time.monotonic()))
    print(sent, "bytes")


def cmd_unread(host, port, seconds, count):
    end = time.monotonic() + float(seconds)
    socks = []
    for _ in range(int(count)):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(5)
        sock.connect((host, int(port) + 2))
        socks.append(sock)
    time.sleep(max(0, end - time.monotonic()))
    print(len(socks), "clients")


def cmd_raw(host, port, seconds, program, *arguments):
    def ip(*argv):
        return subprocess.run(["ip", *argv], check=True, capture_output=True, text=True).stdout

    device = re.search(r"dev (\S+)", ip("route", "get", "198.18.0.1")).group(1)
    mac = NOBODY[1]
    if host == "nobody":
        host = NOBODY[0]
    else:
        mac = re.search(r"lladdr (\S+)", ip("neigh", "show", host, "dev", device)).group(1)
    rest = [a.format(seconds=seconds, port=port, nobody=NOBODY[0], nobody_mac=NOBODY[1]) for a in arguments]
    os.execv(program, [program, device, mac, host, *rest])


def main():
    globals()["cmd_" + sys.argv[1]](*sys.argv[2:])


if __name__ == "__main__":
    main()
