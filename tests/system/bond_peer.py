#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A stream that notices when it stands still: ordinary sockets, nothing of Gazelle.

    bond_peer.py source PORT            serves: sends without end
    bond_peer.py sink PORT              serves: reads, and says the longest silence at the end
    bond_peer.py read HOST PORT SECONDS [COUNT [FROM]] reads what a source sends over COUNT
                                        connections, says the longest silence of the first
    bond_peer.py write HOST PORT SECONDS sends to a sink, says what that says

Silences are in milliseconds, after the first second.
"""

import select
import socket
import sys
import threading
import time

BLOCK = bytes(65536)
WARM_S = 1.0


def connect(host, port, own=""):
    deadline = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection((host, port), timeout=20, source_address=(own, 0))
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def listen(port):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("0.0.0.0", port))
    sock.listen(8)
    return sock


def read_all(sock, seconds):
    """Reads until the end or for `seconds`; returns the longest silence and the bytes."""
    start = last = time.monotonic()
    longest, at, total = 0.0, 0.0, 0
    while seconds is None or last - start < seconds:
        data = sock.recv(1 << 18)
        now = time.monotonic()
        if not data:
            break
        total += len(data)
        if now - start > WARM_S and now - last > longest:
            longest, at = now - last, last - start
        last = now
    return longest * 1000, at, total


def report(longest, at, total):
    return f"silence {longest:.1f} ms after {at:.2f} s, {total} bytes"


def feed(conn):
    try:
        while True:
            conn.sendall(BLOCK)
    except OSError:
        conn.close()


def source(port):
    server = listen(port)
    while True:
        threading.Thread(target=feed, args=(server.accept()[0],), daemon=True).start()


def sink(port):
    server = listen(port)
    while True:
        conn, _ = server.accept()
        conn.sendall(report(*read_all(conn, None)).encode())
        conn.close()


def read(host, port, seconds, count="1", own=""):
    conns = [connect(host, port, own) for _ in range(int(count))]
    others = [threading.Thread(target=read_all, args=(c, seconds), daemon=True) for c in conns[1:]]
    for thread in others:
        thread.start()
    print(report(*read_all(conns[0], seconds)))
    for thread in others:
        thread.join()


def write(host, port, seconds):
    conn = connect(host, port)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        select.select([], [conn], [], 1)
        conn.send(BLOCK)
    conn.shutdown(socket.SHUT_WR)
    print(conn.recv(1000).decode())


def main():
    command, args = sys.argv[1], sys.argv[2:]
    if command == "source":
        source(int(args[0]))
    elif command == "sink":
        sink(int(args[0]))
    elif command == "read":
        read(args[0], int(args[1]), float(args[2]), *args[3:])
    elif command == "write":
        write(args[0], int(args[1]), float(args[2]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
