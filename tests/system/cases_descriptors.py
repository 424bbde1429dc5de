# SPDX-License-Identifier: BSD-3-Clause
"""Descriptor numbers: whoever closes, opens or inherits them, data reaches the right end."""

import hashlib
import os
import time

from cases import BOTH, COMPLETION, case
from harness import FAR, NEAR, PEER, Failure, Skip

# libuv closes sockets with syscall(SYS_close): the numbers come back for files and connections.
NODE_SERVER = """
const http = require("http"), fs = require("fs"), net = require("net");
const [address, scratch] = process.argv.slice(2);
net.createServer(s => { s.on("data", () => s.destroy()); s.on("error", () => {}); })
    .listen(7001, address);
http.createServer((request, reply) => {
    if (request.url === "/file") {
        fs.createReadStream(scratch + "/large").pipe(reply);
        return;
    }
    const name = scratch + "/written", fd = fs.openSync(name, "w");
    let n;
    try { n = fs.writeSync(fd, "SECRET FILE CONTENT\\n"); } catch (e) { n = String(e); }
    fs.closeSync(fd);
    reply.end("wrote " + n + ", the file has " + fs.statSync(name).size + "\\n");
}).listen(7000, address, () => console.log("listening"));
"""

NODE_CLIENT = """
import hashlib, socket, sys, time, urllib.request
host, scratch = sys.argv[1:3]
base = "http://%s:7000/" % host
whole = 0
for i in range(40):
    first = socket.create_connection((host, 7001), timeout=5)
    first.sendall(b"x")
    started = time.monotonic()
    first_got = first.recv(1000)
    if first_got or time.monotonic() - started > 1:
        print("the closed connection got", first_got, time.monotonic() - started)
    answer = urllib.request.urlopen(base + "write", timeout=5).read()
    whole += answer == b"wrote 20, the file has 20\\n"
    first.close()
print("right bodies", whole)
data = urllib.request.urlopen(base + "file", timeout=10).read()
print("file", len(data), hashlib.sha256(data).hexdigest())
"""


def serve_and_ask(bed):
    large = os.urandom(3_000_000)
    (bed.scratch / "large").write_bytes(large)
    script = bed.scratch / "server.js"
    script.write_text(NODE_SERVER, encoding="ascii")
    server = bed.near(["node", str(script), NEAR, str(bed.scratch)])
    bed.until(bed.run_far, ["curl", "-sf", f"http://{NEAR}:7000/write"], "file has 20")
    out = bed.run_far([PEER[0], "-c", NODE_CLIENT, NEAR, str(bed.scratch)], timeout=40)
    for wanted in ("right bodies 40", f"file 3000000 {hashlib.sha256(large).hexdigest()}"):
        if wanted not in out:
            raise Failure(f"no {wanted!r} in {out[-600:]!r}")
    if "the closed connection got" in out:
        raise Failure(out[-600:])
    bed.accelerated(server, least=300)


@case(modes=BOTH, seconds=90)
def node_http(bed):
    """40 bodies of a server that opens a file per request, a stream, and a FIN per destroy()."""
    serve_and_ask(bed)


@case(modes=(COMPLETION,), seconds=90)
def node_ring(bed):
    """The same where libuv would put its files and its epoll set behind io_uring."""
    os.environ["UV_USE_IO_URING"] = "1"
    try:
        serve_and_ask(bed)
    finally:
        del os.environ["UV_USE_IO_URING"]


# A daemon of the old kind, twice: by close() and by syscall(SYS_close); then by close_range().
CLOSE_ALL = """
import ctypes, os, socket, sys
near, far, way = sys.argv[1:4]
libc = ctypes.CDLL(None, use_errno=True)
listener = socket.create_server((near, 7000))
client = socket.create_connection((near, 7000))
server = listener.accept()[0]
keep = sorted(s.fileno() for s in (listener, client, server))
if way == "range":
    for first, last in zip([2] + keep, keep + [1 << 20]):
        if last - first > 1:
            assert libc.close_range(first + 1, last - 1, 0) == 0
else:
    for fd in range(3, 65536):
        if fd not in keep:
            libc.syscall(3, fd) if way == "syscall" else libc.close(fd)
client.sendall(b"still")
print("own", server.recv(10))
outside = socket.create_connection((far, 7001), timeout=10)
outside.sendall(b"here")
print("far", outside.recv(10))
"""

ECHO = """
import socket
listener = socket.create_server(("", 7001))
print("listening", flush=True)
for i in range(3):
    connection, _ = listener.accept()
    connection.sendall(connection.recv(100))
    connection.close()
"""


@case(modes=BOTH, seconds=90)
def closing_every_number(bed):
    """The wire of a program that closes every number but its own goes on, and its exit is in time."""
    echo = bed.far([PEER[0], "-c", ECHO])
    while "listening" not in echo.output() and echo.running():
        time.sleep(0.05)
    for way in ("close", "syscall", "range"):
        out = bed.run_near([PEER[0], "-c", CLOSE_ALL, NEAR, FAR, way])
        if "own b'still'" not in out or "far b'here'" not in out:
            raise Failure(f"{way}: {out[-400:]}")
    bed.finish(echo)


LISTENER = """
import socket
listener = socket.create_server(("", 7001))
print("listening", flush=True)
connection = listener.accept()[0]
got = connection.recv(100)
if got:
    connection.sendall(got)
print("got", got, "then", connection.recv(100))
"""


def probe_past_libc(bed, *options, more=()):
    listener = bed.far([PEER[0], "-c", LISTENER])
    while "listening" not in listener.output() and listener.running():
        time.sleep(0.05)
    probe = bed.near([bed.build / "tests" / "raw_probe", FAR, "7001", bed.scratch / "file", *more],
                     *options)
    return bed.finish(probe), listener


@case(modes=BOTH, kernel=False)
def calls_past_libc(bed):
    """System calls in the program's own code move no data of a connection, and get none; what it then
    writes into a file that was opened under the same number, by libc or past it, is in the file."""
    for more in [], ["all"]:
        look_past_libc(bed, more)


def look_past_libc(bed, more):
    out, listener = probe_past_libc(bed, more=more)
    if "raw_probe makes system calls past libc" not in out:
        raise Failure(f"no warning in {out!r}")
    for line in ("write -107", "read -107", "close 0", "file 20", "size 20"):
        if line + "\n" not in out:
            raise Failure(f"no {line!r} in {out!r}")
    bed.finish(listener, expect="got b'' then b''")


@case(modes=BOTH, kernel=False)
def calls_past_libc_under_guard(bed):
    """With syscall_guard=1 they are served, and the number that they close is free."""
    out, listener = probe_past_libc(bed, "--set", "syscall_guard=1", more=["all"])
    if "syscall_guard does nothing here" in out:
        raise Skip(out)
    for line in ("write 1", "read 1", "close 0", "file 20", "size 20"):
        if line + "\n" not in out:
            raise Failure(f"no {line!r} in {out!r}")
    bed.finish(listener, expect="got b'x' then b''")


# A daemon without standard descriptors: 0 to 2 are its sockets and files.
NO_STANDARD = """
import os, socket, sys
near, far, data = sys.argv[1:4]
report = os.dup(1)
for fd in range(3):
    os.close(fd)
listener = socket.create_server((near, 7000))
client = socket.create_connection((near, 7000))
data = os.open(data, os.O_RDWR | os.O_CREAT)
server = listener.accept()[0]
numbers = listener.fileno(), client.fileno(), data
try:
    server.setsockopt(socket.IPPROTO_TCP, 77, 1)  # the library has something to say about it
except OSError:
    pass
server.sendall(b"data")
text = "numbers %d %d %d got %s file %d" % (*numbers, client.recv(100), os.fstat(data).st_size)
os.write(report, text.encode())
"""


@case(modes=BOTH)
def sockets_on_low_numbers(bed):
    """Numbers 0 to 2 go where the kernel would give them, and no message is written into them."""
    data = bed.scratch / "data"
    bed.run_near([PEER[0], "-c", NO_STANDARD, NEAR, FAR, str(data)],
                 expect=r"numbers 0 1 2 got b'data' file 0")
