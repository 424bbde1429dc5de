#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Clients for the system tests of ltran: ordinary sockets, nothing of Gazelle.

    ltran_peer.py COMMAND ARGUMENTS    hold-many, expect-reset, spread, ask-all, flood-udp, ...

A client ends with "ok" and exit code 0, or says what went wrong.
"""

import errno
import os
import resource
import select
import signal
import socket
import struct
import time

import peer

ROUND_S = 0.1


def open_many(host, port, count):
    socks = [peer.connect(host, port) for _ in range(int(count))]
    for sock in socks:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return socks


def exchange_rounds(socks, until, on_error):
    """An echo on every connection in every round, until until() says so; the longest wait for an
    answer. Every byte has to come back in order; an error of a connection goes to on_error()."""
    poll = select.epoll()
    waits = {}  # descriptor -> (socket, bytes still missing, since)
    for sock in socks:
        sock.setblocking(False)
        poll.register(sock, select.EPOLLIN)
        waits[sock.fileno()] = [sock, b"", 0.0]
    longest, number = 0.0, 0
    while not until() and waits:
        started = time.monotonic()
        number += 1
        message = struct.pack("!I", number) * 8
        for fd, row in list(waits.items()):
            try:
                if not row[1]:
                    row[0].send(message)
                    row[1], row[2] = message, started
            except OSError as error:
                del waits[fd]
                on_error(row[0], error)
        while (left := started + ROUND_S - time.monotonic()) > 0:
            for fd, _ in poll.poll(left):
                if fd not in waits:
                    poll.unregister(fd)
                    continue
                row = waits[fd]
                try:
                    data = row[0].recv(4096)
                    if not data:
                        raise ConnectionResetError(errno.ECONNRESET, "end of stream")
                except OSError as error:
                    del waits[fd]
                    poll.unregister(fd)
                    on_error(row[0], error)
                    continue
                if not row[1].startswith(data):
                    raise ValueError("an answer came back changed")
                row[1] = row[1][len(data):]
                if not row[1]:
                    longest = max(longest, time.monotonic() - row[2])
    late = [time.monotonic() - row[2] for row in waits.values() if row[1]]
    return max([longest] + late)


def cmd_hold_many(host, port, count, seconds, longest_s):
    """Connections that are all used ten times a second, until SIGTERM at the latest; none may fail or
    wait longer than that."""
    socks = open_many(host, port, count)
    print("open", flush=True)
    end = time.monotonic() + float(seconds)

    def fail(_sock, error):
        raise ValueError(f"a connection failed: {error}")
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    longest = exchange_rounds(socks, lambda: stop or time.monotonic() > end, fail)
    print(f"longest {longest:.3f}")
    if longest > float(longest_s):
        raise ValueError(f"an answer took {longest:.2f} s")


def cmd_full_echo(port, count, soft, hard, spare):
    """Echo for so many connections, then all descriptors that there are are taken, but for some."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(soft), int(hard)))
    server = peer.listen(int(port))
    poll = select.epoll()
    conns = {}
    while len(conns) < int(count):
        conn, _ = server.accept()
        conn.setblocking(False)
        conns[conn.fileno()] = conn
        poll.register(conn, select.EPOLLIN)
    taken = []
    try:
        while True:
            taken.append(os.dup(0))
    except OSError as error:
        for fd in taken[len(taken) - int(spare):]:
            os.close(fd)
        print(f"full after {len(taken)}: {errno.errorcode[error.errno]}", flush=True)
    while True:
        for fd, _ in poll.poll():
            data = conns[fd].recv(65536)
            if not data:
                return
            conns[fd].sendall(data)


def cmd_listen_late(host, port, local, local_port):
    """Has a connection, and listens then on a port that another instance of its address has."""
    sock = peer.connect(host, port)
    late = socket.socket()
    try:
        late.bind((local, int(local_port)))
        late.listen()
    except OSError as error:
        print(errno.errorcode[error.errno])
    else:
        raise ValueError("it listens")
    sock.close()


def cmd_expect_reset(host, port, count, seconds):
    """Idle connections; all must be reset, and it says when the last one was."""
    socks = open_many(host, port, count)
    for sock in socks:
        sock.sendall(b"x")
        peer.receive_exactly(sock, 1)
    print("open", flush=True)
    poll = select.epoll()
    alive = {}
    for sock in socks:
        poll.register(sock, select.EPOLLIN | select.EPOLLRDHUP)
        alive[sock.fileno()] = sock
    end = time.monotonic() + float(seconds)
    while alive and (left := end - time.monotonic()) > 0:
        for fd, _ in poll.poll(left):
            try:
                if not alive[fd].recv(1):
                    raise ValueError("closed, not reset")
            except ConnectionResetError:
                poll.unregister(fd)
                del alive[fd]
    print(f"last {time.clock_gettime(time.CLOCK_REALTIME):.3f}")
    if alive:
        raise ValueError(f"{len(alive)} of {count} not reset after {seconds} s")


def cmd_spread(host, port, count):
    """HTTP requests on connections of their own; who answered (header Server-Pid) how often."""
    seen = {}
    for _ in range(int(count)):
        with peer.connect(host, port) as sock:
            sock.sendall(b"GET /pid HTTP/1.0\r\n\r\n")
            answer = b""
            while part := sock.recv(4096):
                answer += part
        who = answer.split(b"\r\n\r\n", 1)[-1].strip().decode()
        seen[who] = seen.get(who, 0) + 1
    print("seen " + " ".join(f"{who}={n}" for who, n in sorted(seen.items())))


def cmd_ask_all(port, *hosts):
    """One connection to each host, all open at once; every one echoes its own message."""
    socks = [peer.connect(host, port, 40) for host in hosts]
    for host, sock in zip(hosts, socks):
        sock.sendall(f"{host:>32}".encode())
    for host, sock in zip(hosts, socks):
        if peer.receive_exactly(sock, 32) != f"{host:>32}".encode():
            raise ValueError(f"{host} got another one's bytes")


def cmd_udp_everyone(group, port, expected, dev):
    """One datagram to a broadcast or multicast address; who answers."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, dev.encode())
    who = set()
    for _ in range(5):
        sock.sendto(b"everyone?", (group, int(port)))
        end = time.monotonic() + 1
        while (left := end - time.monotonic()) > 0 and len(who) < int(expected):
            sock.settimeout(left)
            try:
                who.add(sock.recvfrom(100)[1][0])
            except TimeoutError:
                break
        if len(who) >= int(expected):
            break
    print("answers " + " ".join(sorted(who)))
    if len(who) != int(expected):
        raise ValueError(f"{len(who)} answers")


def cmd_udp_count(port, seconds):
    """Receives; packets and bytes of payload in the time after the first."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    sock.bind(("0.0.0.0", int(port)))
    print("bound", flush=True)
    sock.settimeout(float(seconds) + 10)
    sock.recv(65536)
    started, packets, size = time.monotonic(), 0, 0
    while (left := started + float(seconds) - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            size += len(sock.recv(65536))
            packets += 1
        except TimeoutError:
            break
    print(f"packets {packets} bytes {size}")


def cmd_flood_udp(host, port, seconds, rate, size=64):
    """Datagrams at a rate to somebody who may not listen."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    started, sent = time.monotonic(), 0
    while (now := time.monotonic() - started) < float(seconds):
        while sent < now * float(rate):
            sock.sendto(bytes(int(size)), (host, int(port)))
            sent += 1
        time.sleep(0.001)
    print(f"sent {sent}")


def cmd_visit(host, port, seconds):
    """A request on a new connection, again and again; how many were refused and reset, and the longest."""
    until = time.monotonic() + float(seconds)
    visits, refused, reset, longest = 0, 0, 0, 0.0
    while (began := time.monotonic()) < until or visits == 0:
        visits += 1
        try:
            with socket.create_connection((host, int(port)), timeout=20) as sock:
                sock.sendall(b"GET /pid HTTP/1.0\r\n\r\n")
                if not sock.recv(1000):
                    raise ValueError("a connection without an answer")
        except ConnectionRefusedError:
            refused += 1
        except (ConnectionResetError, BrokenPipeError):
            reset += 1
        longest = max(longest, time.monotonic() - began)
        time.sleep(0.002)
    print(f"{visits} visits, {refused} refused, {reset} reset, longest {longest:.2f} s")


def cmd_udp_group(group, port):
    """An echo server that belongs to a multicast group."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("0.0.0.0", int(port)))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                    socket.inet_aton(group) + socket.inet_aton("0.0.0.0"))
    while True:
        data, who = sock.recvfrom(65536)
        sock.sendto(data, who)


def cmd_clients_at_once(host, port, processes, connections):
    """Several processes, each with many outgoing connections at the same time."""
    ready, go = os.pipe(), os.pipe()
    children = []
    for number in range(int(processes)):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                socks = open_many(host, port, connections)
                os.write(ready[1], b"r")
                os.read(go[0], 1)
                for index, sock in enumerate(socks):
                    text = b"%08d%08d" % (number, index)
                    sock.sendall(text)
                    if peer.receive_exactly(sock, 16) != text:
                        raise ValueError("another one's bytes")
                code = 0
            finally:
                os._exit(code)
        children.append(pid)
    for _ in children:
        if not select.select([ready[0]], [], [], 30)[0]:
            raise ValueError("not every process has its connections")
        os.read(ready[0], 1)
    os.write(go[1], b"g" * len(children))
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    if any(codes):
        raise ValueError(f"exit codes {codes}")


if __name__ == "__main__":
    peer.run_command(globals())
