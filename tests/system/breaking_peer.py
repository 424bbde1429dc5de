#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Clients that do not end as they should, and clients of what no other peer speaks.

    breaking_peer.py breaks HOST PORT REQUEST N     N connections that send REQUEST (C escapes) and end
                                                    by a reset, a half-close, a close without reading, or
                                                    with a part of the request only, in turn
    breaking_peer.py duplex HOST PORT BYTES N       N connections that echo BYTES, both ways at once
    breaking_peer.py memcached-udp HOST PORT N      N questions of memcached's UDP protocol
    breaking_peer.py memcached-many HOST PORT N     N connections at once, each with values of its own

Each ends with "ok", or says what went wrong.
"""

import contextlib
import random
import socket
import struct
import threading

from peer import connect, receive_exactly, run_command

TIMEOUT_S = 30


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def half_close(sock):
    """The server gets our end and may still answer; it has to end as well."""
    sock.shutdown(socket.SHUT_WR)
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError:
        pass  # it had unread bytes of ours
    sock.close()


def cmd_breaks(host, port, request, number):
    data = request.encode().decode("unicode_escape").encode("latin-1")
    for turn in range(int(number)):
        sock = connect(host, port)
        kind = turn % 6
        sock.sendall(data[:len(data) // 2] if kind == 5 else data * (1 + turn % 3))
        if kind == 1:  # in the midst of the answer, if there is one
            sock.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                sock.recv(1)
        if kind == 2:
            half_close(sock)
        elif kind == 3:
            sock.shutdown(socket.SHUT_WR)
            reset(sock)
        elif kind == 4:
            sock.close()
        else:
            reset(sock)


def duplex(host, port, size, failures):
    try:
        with connect(host, port) as sock:
            sock.settimeout(TIMEOUT_S)
            sent = random.Random(size).randbytes(size)
            writer = threading.Thread(target=sock.sendall, args=(sent,))
            writer.start()
            if receive_exactly(sock, size) != sent:
                raise ValueError("the echo is not what was sent")
            writer.join()
    except (OSError, ValueError, EOFError) as error:
        failures.append(error)


def together(number, run):
    """`number` threads; the first failure is raised."""
    failures = []
    threads = [threading.Thread(target=run, args=(n, failures)) for n in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def cmd_duplex(host, port, size, number):
    together(int(number), lambda n, failures: duplex(host, port, int(size) + n, failures))


def cmd_memcached_udp(host, port, number):
    """A lost datagram is asked for again. The frame: id, sequence, datagrams, reserved."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((host, int(port)))
    sock.settimeout(0.5)
    wanted = 0
    for turn in range(int(number) * 5):
        key = b"udp%d" % (wanted % 50)
        ask = b"set %s 0 0 8\r\n%08d\r\n" % (key, wanted) if turn % 2 else b"get %s\r\n" % key
        sock.send(struct.pack("!HHHH", turn & 0xffff, 0, 1, 0) + ask)
        try:
            answer = sock.recv(2000)
        except (TimeoutError, ConnectionRefusedError):
            continue
        if struct.unpack("!H", answer[:2])[0] != turn & 0xffff:
            continue  # late
        if not answer[8:].startswith((b"STORED", b"VALUE", b"END")):
            raise ValueError(f"answer {answer!r}")
        wanted += 1
        if wanted == int(number):
            return
    raise ValueError(f"{wanted} answers of {number}")


def cmd_memcached_many(host, port, number):
    socks = [connect(host, port) for _ in range(int(number))]

    def one(first, failures):
        try:
            for sock in socks[first::8]:
                sock.settimeout(TIMEOUT_S)
                name = b"%d" % sock.fileno()
                value = random.Random(sock.fileno()).randbytes(3000)
                sock.sendall(b"set %s 0 0 3000\r\n%s\r\nget %s\r\n" % (name, value, name))
                want = b"STORED\r\nVALUE %s 0 3000\r\n%s\r\nEND\r\n" % (name, value)
                if receive_exactly(sock, len(want)) != want:
                    raise ValueError(f"connection {name!r}: the value came back changed")
        except (OSError, ValueError, EOFError) as error:
            failures.append(error)

    together(8, one)
    for sock in socks:
        sock.close()


if __name__ == "__main__":
    run_command(globals())
