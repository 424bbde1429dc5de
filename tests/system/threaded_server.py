#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""threaded_server.py ADDRESS PORT: four kinds of echo server in one process, all ended by SIGTERM.

PORT: eight threads accept on one listener. PORT + 1: for each connection one thread receives and
another sends. PORT + 2: socketserver with a thread for each connection. PORT + 3: one thread with a
selector. PORT + 4: datagrams, four threads on one socket.
"""

import queue
import selectors
import signal
import socket
import socketserver
import sys
import threading

ACCEPTORS, RECEIVERS = 8, 4


def spawn(target, *args):
    threading.Thread(target=target, args=args, daemon=True).start()


def echo(conn):
    with conn:
        try:
            while data := conn.recv(65536):
                conn.sendall(data)
        except OSError:
            pass  # the client broke it


def accept_and_echo(server):
    while True:
        echo(server.accept()[0])


def send_all(conn, parts):
    with conn:
        try:
            while data := parts.get():
                conn.sendall(data)
        except OSError:
            pass


def echo_by_two(conn):
    """The other thread closes; this one may still be receiving."""
    parts = queue.Queue()
    spawn(send_all, conn, parts)
    try:
        while data := conn.recv(65536):
            parts.put(data)
    except OSError:
        pass
    parts.put(b"")


def accept_for_two(server):
    while True:
        spawn(echo_by_two, server.accept()[0])


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        echo(self.request)


class Threading(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128


class Selecting:
    """What cannot be sent at once waits; meanwhile nothing more is received."""

    def __init__(self, server):
        server.setblocking(False)
        self.server = server
        self.sel = selectors.DefaultSelector()
        self.waiting = {}

    def run(self):
        self.sel.register(self.server, selectors.EVENT_READ)
        while True:
            for key, _ in self.sel.select():
                if key.fileobj is self.server:
                    conn, _ = self.server.accept()
                    conn.setblocking(False)
                    self.sel.register(conn, selectors.EVENT_READ)
                    continue
                try:
                    self.serve(key.fileobj)
                except OSError:
                    self.drop(key.fileobj)

    def drop(self, conn):
        self.waiting.pop(conn, None)
        self.sel.unregister(conn)
        conn.close()

    def serve(self, conn):
        data = self.waiting.pop(conn, None) or conn.recv(65536)
        if not data:
            self.drop(conn)
            return
        try:
            data = data[conn.send(data):]
        except BlockingIOError:
            pass
        if data:
            self.waiting[conn] = data
        self.sel.modify(conn, selectors.EVENT_WRITE if data else selectors.EVENT_READ)


def echo_datagrams(sock):
    while True:
        data, peer = sock.recvfrom(65536)
        sock.sendto(data, peer)


def main():
    address, port = sys.argv[1], int(sys.argv[2])
    done = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: done.set())
    listener = socket.create_server((address, port), backlog=128)
    for _ in range(ACCEPTORS):
        spawn(accept_and_echo, listener)
    spawn(accept_for_two, socket.create_server((address, port + 1), backlog=128))
    spawn(Threading((address, port + 2), Handler).serve_forever)
    spawn(Selecting(socket.create_server((address, port + 3), backlog=128)).run)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind((address, port + 4))
    for _ in range(RECEIVERS):
        spawn(echo_datagrams, datagrams)
    while not done.wait(1):
        pass


if __name__ == "__main__":
    main()
