# SPDX-License-Identifier: BSD-3-Clause
"""The programs of tests/sanitized: how each is started, what is done to it, how it ends.

drive(run) has a program at run.addr, starts it with run.start() and asks it with run.client() and
run.beside(), which return the output of a client in the far namespace and the client itself.
"""

import contextlib
import hashlib
import random
import signal
import subprocess
import time

from harness import PEER, PYTHON, ROOT, Failure, children

BREAKING = [PYTHON, str(ROOT / "tests" / "system" / "breaking_peer.py")]
LARGE = 4 << 20


def breaks(run, port, request, number=60):
    run.client(BREAKING + ["breaks", run.addr, str(port), request, str(number)], expect="ok")


def killed(run, argv):
    """A client that is killed while it is busy."""
    proc = run.beside(argv)
    time.sleep(0.7)
    proc.signal_group(signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        proc.popen.wait(5)


def make_file(run):
    """(path, SHA-256) of a large file."""
    path = run.bed.scratch / "large.bin"
    data = random.Random(2).randbytes(LARGE)
    path.write_bytes(data)
    return path, hashlib.sha256(data).hexdigest()


def no_errors(output):
    if "Socket errors" in output or "Non-2xx" in output:
        raise Failure(output[-300:])


# --- redis -----------------------------------------------------------------------------------------

def redis(run, program="redis-server", more=()):
    def cli(*argv, expect=None, stdin=None):
        return run.client(["redis-cli", "-h", run.addr, *argv], expect=expect, stdin=stdin)

    def bench(*argv):
        return ["redis-benchmark", "-h", run.addr, "--csv", *argv]

    server = run.start([program, "--bind", run.addr, "--port", "6379", "--protected-mode", "no",
                        "--save", "", "--appendonly", "no", "--enable-debug-command", "yes",
                        "--dir", run.bed.scratch, "--tcp-keepalive", "1", *more])
    run.until(["redis-cli", "-h", run.addr, "ping"], "PONG")
    run.client(bench("-t", "set,get,lpush,mset", "-c", "50", "-n", run.amount(20000)), expect='"GET"')
    run.client(bench("-t", "get", "-c", "500", "-n", run.amount(10000)), expect='"GET"')
    run.client(bench("-t", "set,get", "-P", "16", "-d", "2000", "-n", run.amount(20000)),
               expect='"GET"')
    value = run.bed.scratch / "value"
    value.write_bytes(random.Random(1).randbytes(300000).hex().encode())
    with value.open("rb") as stdin:
        cli("-x", "set", "large", stdin=stdin, expect="OK")
    if value.read_text() not in cli("get", "large"):
        raise Failure("the large value came back changed")
    script = run.bed.scratch / "multi"
    script.write_text("MULTI\nINCR n\nLPUSH l a b c\nGET large\nEXEC\n" * 20 + "GET n\n")
    with script.open("rb") as stdin:
        cli(stdin=stdin, expect="20")
    cli("config", "set", "maxclients", "200", expect="OK")
    cli("config", "set", "timeout", "1", expect="OK")
    cli("debug", "reload", expect="OK")
    cli("bgsave", expect="started")  # a child of fork()
    cli("debug", "sleep", "0.3", expect="OK")
    breaks(run, 6379, "SET k v\\r\\nGET large\\r\\n")
    killed(run, bench("-t", "get", "-c", "50", "-n", "10000000"))
    cli("client", "kill", "type", "normal", "skipme", "yes")
    cli("get", "n", expect="20")
    run.accelerated(server.pid)
    cli("shutdown", "nosave")
    run.ended(server, 0)


# --- nginx -----------------------------------------------------------------------------------------

NGINX = """daemon off; worker_processes {workers}; user root; pid {dir}/nginx.pid; error_log stderr warn;
events {{ worker_connections 1024; }}
http {{ access_log off; sendfile on; tcp_nopush on;
  client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
  uwsgi_temp_path {dir}; scgi_temp_path {dir};
  server {{ listen {host}:80; root {dir};
    location /line {{ return 200 "Gazelle\\n"; }}
    location /close {{ keepalive_timeout 0; return 200 "Gazelle\\n"; }} }} }}
"""


def nginx(run):
    """Two workers behind ltran; without it one process owns the device."""
    _, digest = make_file(run)
    conf = run.bed.scratch / "nginx.conf"
    conf.write_text(NGINX.format(workers=2 if run.behind_ltran else 1, dir=run.bed.scratch,
                                 host=run.addr))
    server = run.start(["nginx", "-e", "stderr", "-c", conf])
    url = f"http://{run.addr}/"
    run.until(["curl", "-sS", "-m", "5", url + "line"], "Gazelle")

    def wrk(path, connections, seconds):
        return ["wrk", "-t", "1", "-c", str(connections), "-d", str(seconds), url + path]

    def fetch():
        run.client(PEER + ["fetch", url + "large.bin", digest], expect="ok")

    no_errors(run.client(wrk("line", 100, 2), expect=r"[1-9]\d* requests in"))
    run.client(wrk("close", 50, 2), expect=r"[1-9]\d* requests in")
    fetch()
    run.client(wrk("large.bin", 4, 3), expect=r"[1-9]\d* requests in")
    breaks(run, 80, "GET /large.bin HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n", 30)
    killed(run, wrk("large.bin", 20, 30))
    for pid in children(server.pid):
        run.accelerated(pid)
    load = run.beside(wrk("line", 20, 3))
    time.sleep(0.5)
    server.popen.send_signal(signal.SIGHUP)
    run.bed.finish(load, 30)
    run.until(["curl", "-sS", "-m", "5", url + "line"], "Gazelle")
    fetch()
    server.popen.send_signal(signal.SIGQUIT)
    run.ended(server, 0)


# --- memcached -------------------------------------------------------------------------------------

def memcached(run, program="memcached"):
    server = run.start([program, "-u", "root", "-l", run.addr, "-p", "11211", "-U", "11211", "-t", "4"])
    run.until(PEER + ["memcached", run.addr, "11211"], "ok")

    def many(count):
        return BREAKING + ["memcached-many", run.addr, "11211", count]

    run.client(many("200"), expect="ok")
    load = [run.beside(many("100")) for _ in range(2)]
    run.client(BREAKING + ["memcached-udp", run.addr, "11211", run.amount(300)], expect="ok")
    for proc in load:
        run.bed.finish(proc, 60, "ok")
    breaks(run, 11211, "set k 0 0 4\\r\\nabcd\\r\\nget k\\r\\n")
    breaks(run, 11211, "set b 0 0 100000\\r\\nabcd", 20)
    killed(run, many("400"))
    run.client(PEER + ["memcached", run.addr, "11211"], expect="ok")
    run.accelerated(server.pid)
    server.popen.terminate()
    run.ended(server, 0)


# --- Python ----------------------------------------------------------------------------------------

def python(run):
    server = run.start([PYTHON, str(ROOT / "tests" / "system" / "threaded_server.py"), run.addr, "7000"])
    run.until(PEER + ["echo-many", run.addr, "7000", "1"], "ok")
    run.client(PEER + ["echo-many", run.addr, "7003", "100"], expect="ok")
    run.client(PEER + ["echo-many", run.addr, "7002", "50"], expect="ok")
    run.client(BREAKING + ["duplex", run.addr, "7000", run.amount(500000), "8"], expect="ok")
    load = [run.beside(BREAKING + ["duplex", run.addr, port, run.amount(2000000), "4"])
            for port in ("7001", "7002", "7003")]
    run.client(PEER + ["udp-sizes", run.addr, "7004", "1", "1400", "9000", "30000", "64"], expect="ok")
    for proc in load:
        run.bed.finish(proc, 90, "ok")
    for port in (7000, 7001, 7002, 7003):
        breaks(run, port, "x" * 3000, 40)
    killed(run, BREAKING + ["duplex", run.addr, "7001", "50000000", "4"])
    run.client(PEER + ["echo-many", run.addr, "7000", "5"], expect="ok")
    run.accelerated(server.pid)
    server.popen.terminate()
    run.ended(server, 0)


# --- node ------------------------------------------------------------------------------------------

def node(run):
    path, digest = make_file(run)
    server = run.start(["node", str(ROOT / "tests" / "system" / "http_server.js"), run.addr, "8000", path])
    url = f"http://{run.addr}:8000/"
    run.until(["curl", "-sS", "-m", "5", url], "Gazelle", 60)
    no_errors(run.client(["wrk", "-t", "1", "-c", "50", "-d", "2", url],
                         expect=r"[1-9]\d* requests in"))
    run.client(PEER + ["fetch", url + "file", digest], expect="ok")
    run.client(["wrk", "-t", "1", "-c", "5", "-d", "2", url + "file"], expect="requests in")
    run.client(["wrk", "-t", "1", "-c", "20", "-d", "2", url + "destroy"], expect="requests in")
    run.client(["curl", "-sS", "--data-binary", f"@{path}", url], expect=f"{LARGE} bytes")
    breaks(run, 8000, "GET /file HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n", 30)
    killed(run, ["wrk", "-t", "1", "-c", "20", "-d", "30", url + "file"])
    run.client(PEER + ["fetch", url + "file", digest], expect="ok")
    run.accelerated(server.pid)
    server.popen.terminate()
    run.ended(server, 0)


ADDRESS = {"redis": redis, "nginx": nginx, "memcached": memcached, "python": python, "node": node}


def threads(binaries):
    """{name: drive} of the programs that were built with the thread sanitizer."""
    return {"redis": lambda run: redis(run, binaries["redis"],
                                       ("--io-threads", "4", "--io-threads-do-reads", "yes")),
            "memcached": lambda run: memcached(run, binaries["memcached"])}

