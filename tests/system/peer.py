#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Small programs for the system tests: ordinary sockets, nothing of Gazelle.

    peer.py SERVER-COMMAND PORT        serve, echo, udp-echo, named-echo
    peer.py CLIENT-COMMAND HOST PORT   upload, download, echo-many, udp-sizes, memcached, ...

A client ends with "ok" and exit code 0, or says what went wrong.
"""

import hashlib
import random
import select
import socket
import struct
import sys
import threading
import time
import urllib.request

MEGABYTE = 1 << 20
TRANSFER = 100 * MEGABYTE


def pattern(seed, size):
    """`size` reproducible bytes, cheap to make; no two megabytes are alike."""
    block = random.Random(seed).randbytes(MEGABYTE)
    for number in range((size + MEGABYTE - 1) // MEGABYTE):
        part = struct.pack("!Q", number) + block[8:]
        yield part[:size - number * MEGABYTE]


def receive_exactly(sock, size):
    parts = []
    while size > 0:
        part = sock.recv(min(size, 65536))
        if not part:
            raise EOFError(f"stream ended {size} bytes early")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def connect(host, port, seconds=15):
    """A server that is still starting refuses: try again for a while."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return socket.create_connection((host, port), timeout=20)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def listen(port, backlog=128):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("0.0.0.0", port))
    sock.listen(backlog)
    return sock


# --- servers ---------------------------------------------------------------------------------------

def serve_transfer(conn):
    """One request: b"U" + size + bytes, answered by their SHA-256; b"D" + size, answered by bytes."""
    with conn:
        kind, size = struct.unpack("!cQ", receive_exactly(conn, 9))
        if kind == b"D":
            for part in pattern(7, size):
                conn.sendall(part)
            return
        digest = hashlib.sha256()
        while size > 0:
            part = conn.recv(min(size, 262144))
            if not part:
                return
            digest.update(part)
            size -= len(part)
        conn.sendall(digest.digest())


def cmd_serve(port):
    """Transfers, one thread per connection, blocking calls."""
    server = listen(int(port))
    while True:
        conn, _ = server.accept()
        threading.Thread(target=serve_transfer, args=(conn,), daemon=True).start()


def cmd_echo(port):
    """Echo for any number of connections: epoll, non-blocking."""
    server = listen(int(port), 1024)
    server.setblocking(False)
    poll = select.epoll()
    poll.register(server, select.EPOLLIN)
    conns = {}
    while True:
        for fd, _ in poll.poll():
            if fd == server.fileno():
                conn, _ = server.accept()
                conn.setblocking(False)
                conns[conn.fileno()] = conn
                poll.register(conn, select.EPOLLIN)
                continue
            try:
                data = conns[fd].recv(65536)
            except BlockingIOError:
                continue
            except ConnectionError:
                data = b""
            if data:
                conns[fd].sendall(data)
            else:
                poll.unregister(fd)
                conns.pop(fd).close()


def cmd_named_echo(name, port, other_port):
    """Two echo servers: one in a thread with the given name, one in a thread without."""
    def named():
        with open(f"/proc/self/task/{threading.get_native_id()}/comm", "w", encoding="ascii") as f:
            f.write(name)
        cmd_echo(port)
    threading.Thread(target=named, daemon=True).start()
    cmd_echo(other_port)


def cmd_udp_echo(port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("0.0.0.0", int(port)))
    while True:
        data, peer = sock.recvfrom(65536)
        sock.sendto(data, peer)


# --- clients ---------------------------------------------------------------------------------------

def cmd_upload(host, port, size=TRANSFER):
    digest = hashlib.sha256()
    with connect(host, port) as sock:
        sock.sendall(struct.pack("!cQ", b"U", int(size)))
        for part in pattern(3, int(size)):
            digest.update(part)
            sock.sendall(part)
        if receive_exactly(sock, 32) != digest.digest():
            raise ValueError("SHA-256 differs")


def cmd_download(host, port, size=TRANSFER):
    wanted, got = hashlib.sha256(), hashlib.sha256()
    for part in pattern(7, int(size)):
        wanted.update(part)
    with connect(host, port) as sock:
        sock.sendall(struct.pack("!cQ", b"D", int(size)))
        left = int(size)
        while left > 0:
            part = sock.recv(min(left, 262144))
            if not part:
                raise EOFError(f"stream ended {left} bytes early")
            got.update(part)
            left -= len(part)
        if sock.recv(1):
            raise ValueError("bytes after the end")
    if got.digest() != wanted.digest():
        raise ValueError("SHA-256 differs")


def cmd_echo_many(host, port, count=32, hold_seconds=0):
    """`count` connections at once, each echoes a message of its own; then holds them open."""
    socks = [connect(host, port) for _ in range(int(count))]
    for number, sock in enumerate(socks):
        sock.sendall(b"connection %06d" % number)
    for number, sock in enumerate(socks):
        if receive_exactly(sock, 17) != b"connection %06d" % number:
            raise ValueError(f"connection {number} got another one's bytes")
    print("ok", flush=True)
    time.sleep(float(hold_seconds))
    for sock in socks:
        sock.close()


def cmd_pauses(host, port, count=20, hold_seconds=0):
    """redis: one PING at a time, with pauses in which the server may fall asleep."""
    sock = connect(host, port)
    for number in range(int(count)):
        time.sleep(0.001 * (1 + number * number))
        sent = time.monotonic()
        sock.sendall(b"PING\r\n")
        if receive_exactly(sock, 7) != b"+PONG\r\n":
            raise ValueError("not the answer to PING")
        if time.monotonic() - sent > 1:
            raise ValueError(f"answer {number} took {time.monotonic() - sent:.1f} s")
    time.sleep(float(hold_seconds))


def cmd_udp_sizes(host, port, *sizes):
    """Echo of datagrams of each size; a lost one is sent again, a changed one is an error."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    earlier = set()
    for number, size in enumerate(int(s) for s in sizes):
        sent = random.Random(number).randbytes(size)
        for _ in range(20):
            deadline = time.monotonic() + 0.5
            try:
                sock.sendto(sent, (host, int(port)))
                while (left := deadline - time.monotonic()) > 0:
                    sock.settimeout(left)
                    got, peer = sock.recvfrom(65536)
                    if got == sent and peer == (host, int(port)):
                        break
                    if got not in earlier:
                        raise ValueError(f"{size} bytes came back as {len(got)} others from {peer}")
                else:
                    continue
                break
            except OSError:
                time.sleep(max(0, deadline - time.monotonic()))
        else:
            raise ValueError(f"no echo of {size} bytes")
        earlier.add(sent)


def cmd_memcached(host, port):
    """Small and large values over several connections, set and read back, pipelined."""
    socks = [connect(host, port) for _ in range(8)]
    for number, sock in enumerate(socks):
        lines = sock.makefile("rwb")
        for key in range(200):
            lines.write(b"set k%d.%d 0 0 64 noreply\r\n%064d\r\n" % (number, key, key))
        big = random.Random(number).randbytes(500000)
        lines.write(b"set big%d 0 0 %d\r\n" % (number, len(big)) + big + b"\r\n")
        lines.flush()
        if lines.readline() != b"STORED\r\n":
            raise ValueError("the large value was not stored")
        for key in range(200):
            lines.write(b"get k%d.%d\r\n" % (number, key))
        lines.write(b"get big%d\r\n" % number)
        lines.flush()
        for key in range(200):
            answer = [lines.readline() for _ in range(3)]
            if answer[1] != b"%064d\r\n" % key:
                raise ValueError(f"key {key}: {answer}")
        lines.readline()
        if lines.read(len(big)) != big:
            raise ValueError("the large value came back changed")
        lines.read(7)


def cmd_fetch(url, sha256):
    """urllib against an HTTP server that may still be starting."""
    deadline = time.monotonic() + 15
    while True:
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                body = answer.read()
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    if hashlib.sha256(body).hexdigest() != sha256:
        raise ValueError("SHA-256 differs")


def cmd_self(host, port, size=5 * MEGABYTE):
    """Server and client threads of one process talk through the process's own address."""
    server = listen(int(port))
    threading.Thread(target=lambda: [serve_transfer(server.accept()[0]) for _ in range(2)],
                     daemon=True).start()
    cmd_upload(host, port, size)
    cmd_download(host, port, size)


def cmd_refused(host, port):
    """Nobody listens there."""
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except ConnectionRefusedError:
        return
    raise ValueError("somebody listens")


def cmd_loopback():
    """A connection to ourselves over 127.0.0.1."""
    server = socket.create_server(("127.0.0.1", 0))
    with socket.create_connection(server.getsockname()) as client:
        conn, _ = server.accept()
        client.sendall(b"over loopback")
        if receive_exactly(conn, 13) != b"over loopback":
            raise ValueError("loopback is broken")


def run_command(commands):
    """`PROGRAM COMMAND ARGUMENTS...` by a module's functions cmd_COMMAND; "ok", or what went wrong."""
    command = commands["cmd_" + sys.argv[1].replace("-", "_")]
    try:
        command(*sys.argv[2:])
    except (OSError, ValueError, EOFError) as error:
        sys.exit(f"{sys.argv[1]}: {type(error).__name__}: {error}")
    print("ok")


if __name__ == "__main__":
    run_command(globals())
