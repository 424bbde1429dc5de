#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Peers that take a host's packet memory, a server that lets them, and one who measures.

    memory_peer.py server PORT            PORT echoes; what PORT + 1 gets waits until "drain" comes to
                                          PORT; PORT + 2 sends GIVEN bytes to whoever connects, and
                                          so does PORT + 3, which then closes; PORT + 4 reads at
                                          once and says so after every TOLD bytes
    memory_peer.py tiny HOST PORT N       N segments of one byte that nobody reads
    memory_peer.py unread HOST PORT N     N clients that do not read what is sent to them
    memory_peer.py keep HOST PORT N       N clients that never close what the server has closed
    memory_peer.py meanwhile HOST PORT    nothing: somebody else attacks from now on
    memory_peer.py upload HOST PORT N     N clients that do not read, and N whose data nobody reads,
                                          while one uploads to PORT + 4

"tiny", "unread" and "meanwhile" print how others fared meanwhile: "before ECHOES/s during ECHOES/s
pause MILLISECONDS"; "upload" prints "before RATE during RATE KB/s". A client ends with "ok" when no
byte was lost.
"""

import contextlib
import selectors
import socket
import threading
import time

from peer import connect, listen, receive_exactly, run_command

GIVEN = 256 * 1024
TOLD = 256 * 1024
BEFORE_S = DURING_S = 2
PAUSE_S = 0.5  # as PAUSE_MS of cases_memory.py
TRIES = 3  # a busy machine is busy for a while, a pool that is taken stays taken
CHECKED = 8  # one of so many clients reads in the end
PATTERN = bytes(i * 7 & 255 for i in range(GIVEN))


class Server:
    """One thread, five ports."""

    def __init__(self, port):
        self.sel = selectors.DefaultSelector()
        self.unread = []
        for offset, accepted in enumerate((self.echo, self.unread.append, self.give,
                                               self.give_and_close, self.sink)):
            server = listen(port + offset, 1024)
            server.setblocking(False)
            self.sel.register(server, selectors.EVENT_READ,
                              lambda s, a=accepted: self.accept(s, a))

    def run(self):
        while True:
            for key, _ in self.sel.select():
                try:
                    key.data(key.fileobj)
                except ConnectionError:
                    self.sel.unregister(key.fileobj)
                    key.fileobj.close()

    @staticmethod
    def accept(server, accepted):
        conn, _ = server.accept()
        conn.setblocking(False)
        accepted(conn)

    def sink(self, conn):
        read = told = 0

        def more(sock):
            nonlocal read, told
            data = sock.recv(65536)
            if not data:
                self.sel.unregister(sock)
                sock.close()
                return
            read += len(data)
            if read // TOLD > told:
                with contextlib.suppress(BlockingIOError):  # it is told with what comes next
                    told += sock.send(b"k" * (read // TOLD - told))

        self.sel.register(conn, selectors.EVENT_READ, more)

    def echo(self, conn):
        self.sel.register(conn, selectors.EVENT_READ, self.answer)

    def answer(self, conn):
        data = conn.recv(65536)
        if not data:
            self.sel.unregister(conn)
            conn.close()
        elif data == b"drain":
            conn.sendall(b"%8d" % sum(self.drain(c) for c in self.unread))
        else:
            conn.sendall(data)

    @staticmethod
    def drain(conn):
        total = 0
        while True:
            try:
                data = conn.recv(65536)
            except (BlockingIOError, ConnectionError):
                return total
            if not data:
                return total
            total += len(data)

    def give_and_close(self, conn):
        self.give(conn, socket.socket.close)

    def give(self, conn, then=None):
        left = [memoryview(PATTERN)]

        def more(sock):
            try:
                left[0] = left[0][sock.send(left[0]):]
            except BlockingIOError:  # another of this round has taken the memory
                return
            if not left[0]:
                self.sel.unregister(sock)
                (then or self.unread.append)(sock)

        self.sel.register(conn, selectors.EVENT_WRITE, more)


class Others(threading.Thread):
    """Somebody else's ping-pong: echoes so far, and the longest pause."""

    def __init__(self, host, port):
        super().__init__(daemon=True)
        self.sock = connect(host, port)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.echoes, self.pause = 0, 0.0

    def run(self):
        while True:
            started = time.monotonic()
            self.sock.sendall(b"ping")
            receive_exactly(self.sock, 4)
            self.pause = max(self.pause, time.monotonic() - started)
            self.echoes += 1

    def rate(self, seconds):
        before = self.echoes
        time.sleep(seconds)
        return (self.echoes - before) / seconds


def under_attack(host, port, attack):
    """What `attack` returns, after a look at how others fare."""
    others = Others(host, port)
    others.start()
    before = others.rate(BEFORE_S)
    result = attack()
    for _ in range(TRIES):
        others.pause = 0.0
        during = others.rate(DURING_S)
        if during > before / 3 and others.pause < PAUSE_S:
            break
    print(f"before {before:.0f}/s during {during:.0f}/s pause {others.pause * 1000:.0f} ms",
          flush=True)
    return result


def cmd_server(port):
    Server(int(port)).run()


def cmd_tiny(host, port, count):
    sock = connect(host, int(port) + 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def attack():
        for _ in range(int(count)):
            sock.send(b"x")

    under_attack(host, int(port), attack)
    with connect(host, int(port)) as ask:
        ask.sendall(b"drain")
        got = int(receive_exactly(ask, 8))
    if got != int(count):
        raise ValueError(f"{got} of {count} bytes arrived")


def cmd_unread(host, port, count):
    def attack():
        socks = []
        for _ in range(int(count)):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.settimeout(20)
            sock.connect((host, int(port) + 2))
            socks.append(sock)
        return socks

    for number, sock in enumerate(under_attack(host, int(port), attack)[::CHECKED]):
        if receive_exactly(sock, GIVEN) != PATTERN:
            raise ValueError(f"client {number} got other bytes")


def download(host, port):
    """From a port that closes; the socket, which is not closed here."""
    sock = connect(host, port)
    if receive_exactly(sock, GIVEN) != PATTERN or sock.recv(1):
        raise ValueError("other bytes, or too many")
    return sock


def cmd_keep(host, port, count):
    kept = [download(host, int(port) + 3) for _ in range(int(count))]
    time.sleep(0.5)  # the last ACKs, of the server's FINs, are delayed by up to 200 ms
    for _ in range(CHECKED):
        download(host, int(port) + 3).close()
    kept.clear()


def upload_rate(host, port):
    """KB a second that the server says it has read."""
    with connect(host, port) as sock, selectors.DefaultSelector() as sel:
        sock.setblocking(False)
        sel.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
        end, told = time.monotonic() + DURING_S, 0
        while time.monotonic() < end:
            for _, events in sel.select(0.1):
                if events & selectors.EVENT_READ:
                    told += len(sock.recv(4096))
                if events & selectors.EVENT_WRITE:
                    sock.send(PATTERN)
    return told * TOLD // 1024 // DURING_S


def cmd_upload(host, port, count):
    port = int(port)
    before, during, held = upload_rate(host, port + 4), 0, []
    for _ in range(int(count)):
        for offset in (1, 2):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.settimeout(20)
            sock.connect((host, port + offset))
            sock.setblocking(False)
            if offset == 1:
                sock.send(PATTERN)
            held.append(sock)
    time.sleep(1)
    for _ in range(TRIES):
        during = max(during, upload_rate(host, port + 4))
        if during > before / 2:
            break
    print(f"before {before} during {during} KB/s")


def cmd_meanwhile(host, port):
    under_attack(host, int(port), lambda: None)


if __name__ == "__main__":
    run_command(globals())
