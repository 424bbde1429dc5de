# SPDX-License-Identifier: BSD-3-Clause
"""Unmodified programs, as servers and as clients."""

import hashlib
import json
import pathlib
import random
import time

from cases import ALL_WIRES, BOTH, COMPLETION, case
from harness import FAR, NEAR, PEER, PYTHON, Failure, children, cpu_seconds

REDIS = ["redis-server", "--port", "6379", "--protected-mode", "no", "--save", "",
         "--appendonly", "no"]


def redis_benchmark(host, requests, *more):
    return ["redis-benchmark", "-h", host, "-t", "set,get,lpush", "-c", "50", "--csv",
            "-n", str(requests), *more]


@case(wires=ALL_WIRES)
def redis_server(bed):
    server = bed.near(REDIS + ["--bind", NEAR])
    bed.until(bed.run_far, ["redis-cli", "-h", NEAR, "ping"], "PONG")
    value = bed.logs / "value"
    value.write_bytes(random.Random(1).randbytes(150000).hex().encode())
    with value.open("rb") as stdin:
        bed.run_far(["redis-cli", "-h", NEAR, "-x", "set", "large"], expect="OK", stdin=stdin)
    if value.read_text() not in bed.run_far(["redis-cli", "-h", NEAR, "get", "large"]):
        raise Failure("the large value came back changed")
    bed.run_far(redis_benchmark(NEAR, 20000), expect='"GET"')
    bed.run_far(redis_benchmark(NEAR, 20000, "-P", "16", "-d", "2000"), expect='"GET"')
    bed.accelerated(server, least=20000)


@case(wires=ALL_WIRES)
def low_power(bed):
    """An idle server sleeps, hears what comes after a pause, and its timers go on meanwhile."""
    options = ["--set", "low_power_mode=1"] if bed.wire != "kernel" else []
    server = bed.near(REDIS + ["--bind", NEAR, "--tcp-keepalive", "1"], *options)
    bed.until(bed.run_far, ["redis-cli", "-h", NEAR, "ping"], "PONG")
    bed.run_far([*PEER, "pauses", NEAR, "6379"], expect="ok")
    for _ in range(3):  # on the fast wire each one is a new peer of a sleeping wire
        time.sleep(0.3)
        bed.run_far(["redis-cli", "-h", NEAR, "ping"], timeout=10, expect="PONG")
    holder = bed.far([*PEER, "pauses", NEAR, "6379", "1", "6"])
    time.sleep(1.5)
    received = bed.counters(server.pid).get("rx", 0) if bed.wire != "kernel" else 0
    used = cpu_seconds(server.pid)
    time.sleep(3)
    used = cpu_seconds(server.pid) - used
    if used > 0.6:
        raise Failure(f"{used:.2f} s of CPU time in 3 idle seconds")
    # The kept connection is probed every second; its peer's answers are all that comes.
    if bed.wire != "kernel" and bed.counters(server.pid)["rx"] < received + 2:
        raise Failure("no keepalive probe was answered while the server slept")
    bed.finish(holder, expect="ok")
    bed.run_far(redis_benchmark(NEAR, 20000), expect='"GET"')


@case()
def redis_client(bed):
    bed.far(REDIS + ["--bind", "0.0.0.0"])
    bed.until(bed.run_near, ["redis-cli", "-h", FAR, "ping"], "PONG")
    bed.run_near(redis_benchmark(FAR, 20000), expect='"GET"')


@case(modes=(COMPLETION,))
def redis_daemon(bed):
    """A program that goes to the background attaches in the process that stays."""
    pidfile = bed.logs / "redis.pid"
    bed.near(REDIS + ["--bind", NEAR, "--daemonize", "yes", "--pidfile", str(pidfile),
                      "--logfile", str(bed.logs / "redis.log"), "--dir", str(bed.logs)])
    bed.until(bed.run_far, ["redis-cli", "-h", NEAR, "ping"], "PONG")
    if bed.wire != "kernel":
        bed.accelerated(None, pid=int(pidfile.read_text()))
    bed.run_far(["redis-cli", "-h", NEAR, "shutdown", "nosave"])


# A daemon that asks the network for something before it becomes one. argv: NEAR, FAR, the daemon's command.
LATE_DAEMON = """
import errno, os, socket, sys
near, far, *command = sys.argv[1:]
socket.create_connection((far, 7001), 10).close()
if os.fork():
    os._exit(0)
for what, call in (("bind", lambda: socket.socket().bind((near, 7000))),
                   ("connect", lambda: socket.socket().connect((far, 7001)))):
    try:
        call()
        print(what, "works", flush=True)
    except OSError as err:
        print(what, errno.errorcode[err.errno], flush=True)
os.execv(command[0], command)
"""


@case(modes=BOTH, kernel=False)
def late_daemon(bed):
    """A child of a program that has used the stack has no network; the program that it starts has."""
    bed.far(PEER + ["serve", "7001"])
    daemon = bed.near([PYTHON, "-c", LATE_DAEMON, NEAR, FAR, *PEER, "echo", "7000"])
    bed.until(bed.run_far, PEER + ["echo-many", NEAR, "7000", "8"], "ok")
    for line in ("bind EADDRNOTAVAIL", "connect ENETUNREACH"):
        if line not in daemon.output().splitlines():
            raise Failure(daemon.output())


NGINX = """daemon off; worker_processes 1; user root; pid {dir}/nginx.pid;
error_log {dir}/error.log warn;
events {{ worker_connections 1024; }}
http {{ access_log off; sendfile on; keepalive_requests 1000000;
  client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
  uwsgi_temp_path {dir}; scgi_temp_path {dir};
  server {{ listen {host}:8080; root {dir}/www; }} }}
"""


def make_site(directory, size):
    """A small and a large file; returns the large one's SHA-256."""
    site = directory / "www"
    site.mkdir()
    (site / "small.html").write_text("<p>small</p>\n" * 20)
    large = random.Random(2).randbytes(size)
    (site / "large.bin").write_bytes(large)
    return hashlib.sha256(large).hexdigest()


@case(wires=ALL_WIRES)
def nginx(bed):
    digest = make_site(bed.logs, 10 << 20)
    conf = bed.logs / "nginx.conf"
    conf.write_text(NGINX.format(dir=bed.logs, host=NEAR))
    server = bed.near(["nginx", "-e", str(bed.logs / "error.log"), "-c", str(conf)])
    url = f"http://{NEAR}:8080/"
    bed.until(bed.run_far, ["curl", "-sS", "-m", "5", url + "small.html"], "small")
    fetched = bed.logs / "fetched"
    bed.run_far(["curl", "-sS", "-m", "20", "-o", str(fetched), url + "large.bin"])
    if hashlib.sha256(fetched.read_bytes()).hexdigest() != digest:
        raise Failure("curl: SHA-256 differs")
    output = bed.run_far(["wrk", "-t", "1", "-c", "50", "-d", "2", url + "small.html"],
                         expect=r"[1-9]\d* requests in")
    if "Socket errors" in output or "Non-2xx" in output:
        raise Failure(output)
    if bed.wire != "kernel":
        bed.accelerated(server, pid=children(server.pid)[0], least=1000)


@case(wires=ALL_WIRES)
def memcached(bed):
    server = bed.near(["memcached", "-u", "root", "-l", NEAR, "-p", "11211", "-U", "0", "-t", "1"])
    bed.run_far(PEER + ["memcached", NEAR, "11211"], expect="ok")
    bed.accelerated(server, least=100)


@case()
def memcached_threads(bed):
    """Its default of four worker threads shares the sockets of one stack."""
    server = bed.near(["memcached", "-u", "root", "-l", NEAR, "-p", "11211", "-U", "0"])
    bed.run_far(PEER + ["memcached", NEAR, "11211"], expect="ok")
    bed.accelerated(server, least=100)


def iperf3(bed, run, host, *more):
    """One short run; returns bits per second as received."""
    output = bed.until(run, ["iperf3", "-c", host, "-t", "2", "-J", *more],
                       '"sum_received"')
    result = json.loads(output[output.index("{"):])
    if "error" in result:
        raise Failure(f"iperf3: {result['error']}")
    rate = result["end"]["sum_received"]["bits_per_second"]
    if rate < 1e6:
        raise Failure(f"iperf3 {' '.join(more)}: {rate:.0f} bit/s")
    return rate


@case(wires=ALL_WIRES)
def iperf3_server(bed):
    server = bed.near(["iperf3", "-s", "-B", NEAR])
    for more in ((), ("-R",), ("-P", "4")):
        iperf3(bed, bed.run_far, NEAR, *more)
    bed.accelerated(server, least=100)  # large packets, where the wire has them


@case(wires=("af_packet", "tap"))
def iperf3_client(bed):
    bed.far(["iperf3", "-s"])
    for more in ((), ("-R",)):
        iperf3(bed, bed.run_near, FAR, *more)


@case(wires=ALL_WIRES)
def http_server(bed):
    digest = make_site(bed.logs, 20 << 20)
    server = bed.near([PYTHON, "-m", "http.server", "-d", str(bed.logs / "www"), "8000"])
    bed.run_far(PEER + ["fetch", f"http://{NEAR}:8000/large.bin", digest], expect="ok")
    bed.accelerated(server, least=100)  # 20 MB in large packets


@case(modes=BOTH)
def http_client(bed):
    digest = make_site(bed.logs, 20 << 20)
    bed.far([PYTHON, "-m", "http.server", "-d", str(bed.logs / "www"), "8000"])
    bed.run_near(PEER + ["fetch", f"http://{FAR}:8000/large.bin", digest], expect="ok")
    bed.run_near(["curl", "-sS", "-m", "20", "-o", str(pathlib.Path("/dev/null")),
                  f"http://{FAR}:8000/large.bin"])


@case(wires=ALL_WIRES + ("fast-plain",), seconds=90)
def transfer_server(bed):
    """100 MB each way, SHA-256 compared at the receiver."""
    server = bed.near(PEER + ["serve", "9000"])
    bed.run_far(PEER + ["upload", NEAR, "9000"], 60, expect="ok")
    bed.run_far(PEER + ["download", NEAR, "9000"], 60, expect="ok")
    bed.accelerated(server, least=100)  # large packets, where the wire has them
    if bed.wire.startswith("fast"):
        packets = bed.counters(server.pid)
        large = {way: packets[way] < (100 << 20) / 1460 for way in ("rx", "tx")}
        # Without TSO at the far end the near one must not send what nobody cuts.
        if large != {"rx": True, "tx": bed.wire == "fast"}:
            raise Failure(f"large packets: {large}, {packets}")


@case(wires=("lossy",), seconds=90, kernel=False)
def loss(bed):
    """10 MB each way between Gazelle and a kernel, as client and as server, where 1 % gets lost."""
    size = str(10 << 20)
    for serve, client, host in ((bed.near, bed.run_far, NEAR), (bed.far, bed.run_near, FAR)):
        server = serve(PEER + ["serve", "9000"])
        client(PEER + ["upload", host, "9000", size], 30, expect="ok")
        client(PEER + ["download", host, "9000", size], 30, expect="ok")
        server.stop()


@case(wires=("af_packet", "tap"), seconds=90)
def transfer_client(bed):
    bed.far(PEER + ["serve", "9000"])
    bed.run_near(PEER + ["upload", FAR, "9000"], 60, expect="ok")
    bed.run_near(PEER + ["download", FAR, "9000"], 60, expect="ok")


@case(kernel=False)
def program_with_names(bed):
    """A program that exports names which the library's own libraries have: each keeps to its own."""
    probe = bed.near([bed.build / "tests" / "names_probe", NEAR])
    bed.until(bed.run_far, PEER + ["echo-many", NEAR, "7000", "1"], "ok")
    if "tcp-to-lwip" not in bed.ctl("graph", "show", probe.pid):
        raise Failure("no graph")
    if "was called" in probe.output():
        raise Failure(probe.output())
