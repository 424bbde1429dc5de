# SPDX-License-Identifier: BSD-3-Clause
"""redis-benchmark: GET and SET, by number of connections and with pipelining."""

import csv
import io

from fastwire import SERVER_ADDR, WireError
from scenarios.base import Scenario, ServerOnly, idle_us

PORT = "6379"
WARMUP_REQUESTS = 20000


class Redis(Scenario):
    """redis-benchmark GET and SET, 50 connections, no pipelining; requests per second of GET."""

    unit, programs = "req/s", ("redis-server", "redis-benchmark")
    connections, pipeline = 50, 1
    ratios = {"set": False}

    def server_argv(self):
        return ["redis-server", "--bind", SERVER_ADDR, "--port", PORT, "--save", "",
                "--appendonly", "no", "--protected-mode", "no", "--tcp-backlog", "4096"]

    def benchmark(self, start_client, test, requests, profile=False):
        """One redis-benchmark; the row of its CSV."""
        out = self.client(start_client, [
            "redis-benchmark", "-h", SERVER_ADDR, "-p", PORT, "-t", test,
            "-c", str(self.connections), "-P", str(self.pipeline), "-n", str(requests), "--csv"],
            profile)
        rows = [r for r in csv.DictReader(io.StringIO(out)) if r.get("rps")]
        if not rows:
            raise WireError(f"redis-benchmark printed no figures:\n{out}")
        return {k: float(v) for k, v in rows[-1].items() if k != "test"}

    def measure(self, start_client, server):
        # This SET makes the key that GET asks for; its rate tells how many requests fill the time.
        warmup = max(WARMUP_REQUESTS, 20 * self.connections * self.pipeline)
        rate = self.benchmark(start_client, "set", warmup)["rps"]
        requests = max(warmup, int(rate * self.seconds))
        self.profile_server()
        before, idle_before = server.cpu_seconds(), idle_us(server)
        row = self.benchmark(start_client, "get", requests, profile=True)
        used = (server.cpu_seconds() - before) * 1e6
        idle = idle_us(server) - idle_before
        figures = {"value": row["rps"], "requests": requests,
                   "p50_ms": row["p50_latency_ms"], "p99_ms": row["p99_latency_ms"],
                   "max_ms": row["max_latency_ms"],
                   "server_cpu_us_per_request": round(used / requests, 3),
                   "server_busy_us_per_request": round(max(0, used - idle) / requests, 3)}
        if not self.options.get_only:
            row = self.benchmark(start_client, "set", requests)
            figures.update({"set": row["rps"], "set_p99_ms": row["p99_latency_ms"],
                            "set_max_ms": row["max_latency_ms"]})
        return figures


class Redis500(Redis):
    """As redis with 500 connections."""

    connections = 500


class Redis3000(Redis):
    """As redis with 3000 connections."""

    connections = 3000
    keys = {"tcp_conn_count": "8000"}


class RedisPipeline(Redis):
    """As redis with 16 requests in flight on each of its 50 connections."""

    pipeline = 16


class RedisServerOnly(ServerOnly, Redis):
    """As redis, but only the server changes stacks: af_packet on a veth to a kernel client.

    With low_power_mode=1: what it costs counts, so nothing polls in vain.
    """

    keys = {"low_power_mode": "1"}
    ratios = {"set": False, "server_cpu_us_per_request": True, "server_busy_us_per_request": True}

    def listening(self, server):
        return "Ready to accept" in server.log.read_text(errors="replace")


class RedisServerOnlyXdp(RedisServerOnly):
    """As redis-server-only, with af_xdp instead of af_packet."""

    wire = "af_xdp on a veth; the client's veth end has tx, tso and gso off"
    vdev = "net_af_xdp0,iface={dev},busy_budget=0"
