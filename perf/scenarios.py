# SPDX-License-Identifier: BSD-3-Clause
"""The scenarios of perf/run: one class each, with one method per stack that makes one run.

A run returns a dict of figures; `value` is the one that counts, `lower_is_better` tells which way.
Every run starts its own hosts and programs, so runs do not inherit each other's state.
"""

import csv
import io
import json
import re
import shutil
import subprocess
import time

from fastwire import (SERVER_ADDR, WIRE_OPTIONS, WIRE_SPLIT, FastWire, Gazelle, Hosts,
                      WireError, find_built, wait_for)

REDIS_PORT = "6379"
REDIS_CONNECTIONS = "50"
WARMUP_REQUESTS = 20000
RUN_SLACK_S = 40  # beyond the measured time: start of the data path, warm-up, slow machines


class Scenario:
    """What the scenarios share: how both ends run on the kernel, and on the fast wire."""

    unit, lower_is_better, wire = "", False, "fast wire (virtio-user to vhost-user)"
    programs = ()  # for the versions in the result
    vhost_side, wire_options = "client", WIRE_OPTIONS

    def __init__(self, options, huge):
        self.seconds, self.mode, self.huge = options.seconds, options.mode, huge
        self.keys = dict(s.split("=", 1) for s in options.set)
        self.profiler, self.realtime = options.profiler, options.realtime
        self.vhost_side = options.vhost_side or self.vhost_side
        self.wire_options = options.wire or self.wire_options

    def server_argv(self):
        """Command line of the server."""
        raise NotImplementedError

    def measure(self, start_client, server):
        """Drive `server`; start_client(argv) starts a captured client. Returns the figures."""
        raise NotImplementedError

    def client(self, start_client, argv, profile=False):
        """Run one client to its end; returns what it printed."""
        process = start_client(argv)
        if profile and self.profiler:
            self.profiler.attach("client", process)
        out, code = process.wait(self.seconds + RUN_SLACK_S)
        if code != 0:
            raise WireError(f"{argv[0]} ended with {code}\n{out}\n{process.tail()}")
        return out

    def run_kernel(self):
        """Both ends on the kernel, in two namespaces on a veth pair with default offloads."""
        with Hosts(veth=True, addresses=("server", "client"), realtime=self.realtime) as hosts:
            server = hosts.start("server", self.server_argv())
            time.sleep(0.5)
            return self.measure(lambda argv: hosts.start("client", argv, capture=True), server)

    def run_gazelle(self):
        """Both ends on Gazelle over the fast wire."""
        with Hosts(realtime=self.realtime) as hosts:
            wire = FastWire(hosts, self.huge, self.mode, self.keys, self.vhost_side,
                            self.wire_options)
            server = wire.start_server(self.server_argv())
            if self.profiler:
                self.profiler.server = server
            return self.measure(wire.start_client, server)


def idle_us(server):
    """CPU time an accelerated server has spent polling in vain; 0 for one on the kernel."""
    if server.conf is None:
        return 0
    prefix = re.search(r'^unix_prefix="(.*)"', server.conf.read_text(), re.M).group(1)
    done = subprocess.run([str(find_built("gazellectl", "ctl", "GAZELLE_CTL")), "lstack", "show",
                           str(server.pid), "-u", prefix, "--yaml"],
                          capture_output=True, text=True, check=False)
    return sum(int(n) for n in re.findall(r"^\s*idle_us: (\d+)", done.stdout, re.M))


class Redis(Scenario):
    """GET, 50 connections, no pipelining; requests per second."""

    unit, programs = "req/s", ("redis-server", "redis-benchmark")

    def server_argv(self):
        return ["redis-server", "--bind", SERVER_ADDR, "--port", REDIS_PORT, "--save", "",
                "--appendonly", "no", "--protected-mode", "no"]

    def benchmark(self, start_client, test, requests, profile=False):
        """One redis-benchmark; the row of its CSV."""
        out = self.client(start_client, [
            "redis-benchmark", "-h", SERVER_ADDR, "-p", REDIS_PORT, "-t", test, "-c",
            REDIS_CONNECTIONS, "-n", str(requests), "--csv"], profile)
        rows = [r for r in csv.DictReader(io.StringIO(out)) if r.get("rps")]
        if not rows:
            raise WireError(f"redis-benchmark printed no figures:\n{out}")
        return {k: float(v) for k, v in rows[-1].items() if k != "test"}

    def measure(self, start_client, server):
        # SET makes the key that GET asks for; its rate tells how many requests fill the time.
        rate = self.benchmark(start_client, "set", WARMUP_REQUESTS)["rps"]
        requests = max(WARMUP_REQUESTS, int(rate * self.seconds))
        if self.profiler:
            self.profiler.attach("server", self.profiler.server)
        before, idle_before = server.cpu_seconds(), idle_us(server)
        row = self.benchmark(start_client, "get", requests, profile=True)
        used = (server.cpu_seconds() - before) * 1e6
        idle = idle_us(server) - idle_before
        return {"value": row["rps"], "requests": requests,
                "p50_ms": row["p50_latency_ms"], "p99_ms": row["p99_latency_ms"],
                "max_ms": row["max_latency_ms"],
                "server_cpu_us_per_request": round(used / requests, 3),
                "server_busy_us_per_request": round(max(0, used - idle) / requests, 3)}


class RedisServerOnly(Redis):
    """As redis, but only the server changes stacks: af_packet on a veth to a kernel client."""

    wire = "af_packet on a veth; the client's veth end has tx, tso and gso off"
    vhost_side = wire_options = None

    def run_gazelle(self):
        with Hosts(veth=True, addresses=("client",), realtime=self.realtime) as hosts:
            hosts.plain_peer("client")
            argv = self.server_argv()
            gazelle = Gazelle(hosts.scratch, self.huge, self.mode, self.keys, hosts.cpu)
            conf = gazelle.write_conf(
                "server", f"net_af_packet0,iface={hosts.dev['server']},framesz=2048,framecnt=512")
            server = hosts.start("server", argv, gazelle.env(conf, argv))
            if self.profiler:
                self.profiler.server = server
            wait_for(lambda: "Ready to accept" in server.log.read_text(errors="replace"), server,
                     "redis-server did not start")
            time.sleep(1)
            return self.measure(lambda a: hosts.start("client", a, capture=True), server)


class RoundTrip(Scenario):
    """64 bytes there and back on one TCP connection, blocking sockets; p50 in microseconds."""

    unit, lower_is_better, wire_options = "us", True, WIRE_SPLIT

    def server_argv(self):
        return [str(find_built("rr", "perf", "GAZELLE_RR")), "-s"]

    def measure(self, start_client, server):
        if self.profiler:
            self.profiler.attach("server", self.profiler.server)
        argv = [self.server_argv()[0], "-c", SERVER_ADDR, "-t", str(self.seconds)]
        figures = json.loads(self.client(start_client, argv, profile=True))
        return {"value": figures["p50_us"], **figures}


class Stream(Scenario):
    """iperf3, one stream from client to server; bits per second as the receiver saw them."""

    unit, programs = "Gbit/s", ("iperf3",)
    vhost_side = "server"  # data flows from virtio-user to vhost, see fastwire.py

    def server_argv(self):
        return ["iperf3", "-s", "-B", SERVER_ADDR, "-1"]

    def measure(self, start_client, server):
        if self.profiler:
            self.profiler.attach("server", self.profiler.server)
        out = self.client(start_client, ["iperf3", "-c", SERVER_ADDR, "-t",
                                         str(max(1, round(self.seconds))), "-J"], profile=True)
        end = json.loads(out)["end"]
        return {"value": round(end["sum_received"]["bits_per_second"] / 1e9, 3),
                "retransmits": end["sum_sent"].get("retransmits"),
                "sent_gbps": round(end["sum_sent"]["bits_per_second"] / 1e9, 3)}


SCENARIOS = {"redis": Redis, "redis-server-only": RedisServerOnly, "rr": RoundTrip,
             "stream": Stream}


def versions(programs):
    """What was compared with what."""
    found = {}
    packages = {"redis-server": "redis-server", "redis-benchmark": "redis-tools",
                "iperf3": "iperf3"}
    for name in ("librte-eal23",) + tuple(packages[p] for p in programs):
        if shutil.which("dpkg-query") is None:
            break
        done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name],
                              capture_output=True, text=True, check=False)
        if done.returncode == 0:
            found["dpdk" if name.startswith("librte") else name] = done.stdout
    return found
