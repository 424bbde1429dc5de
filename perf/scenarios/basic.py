# SPDX-License-Identifier: BSD-3-Clause
"""Ping-pong, a bulk stream, both at once, datagrams; and the packet path without any."""

import json

from fastwire import MEMORY_MB, SERVER_ADDR, WIRE_SPLIT, find_built
from scenarios.base import Program, Scenario


class RoundTrip(Scenario):
    """64 bytes there and back on one TCP connection, blocking sockets; p50 in microseconds."""

    unit, lower_is_better, wire_options = "us", True, WIRE_SPLIT
    ratios = {"p99_us": True}

    def server_argv(self):
        return [str(find_built("rr", "perf", "GAZELLE_RR")), "-s"]

    def measure(self, start_client, server):
        self.profile_server()
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
        self.profile_server()
        out = self.client(start_client, ["iperf3", "-c", SERVER_ADDR, "-t",
                                         str(max(1, round(self.seconds))), "-J"], profile=True)
        end = json.loads(out)["end"]
        return {"value": round(end["sum_received"]["bits_per_second"] / 1e9, 3),
                "retransmits": end["sum_sent"].get("retransmits"),
                "sent_gbps": round(end["sum_sent"]["bits_per_second"] / 1e9, 3)}


class Mixed(Scenario):
    """A bulk stream and a ping-pong in one event loop: the smaller share of its figure alone.

    perf/mixed.c measures the stream alone, the ping-pong alone, and both at once.
    """

    unit, wire_options = "of alone", WIRE_SPLIT
    vhost_side = "server"  # as for stream
    ratios = {"both_gbps": False, "both_pings_per_s": False}

    def server_argv(self):
        return [str(find_built("mixed", "perf", "GAZELLE_MIXED")), "-s"]

    def measure(self, start_client, server):
        self.profile_server()
        argv = [self.server_argv()[0], "-c", SERVER_ADDR, "-t", str(self.seconds / 3)]
        figures = json.loads(self.client(start_client, argv, profile=True))
        return {"value": figures["share"], **figures}


class Udp(Scenario):
    """Datagrams of 64 bytes there and back, 32 on their way at a time; echoed per second."""

    unit = "echoes/s"
    ratios = {"p50_us": True, "p99_us": True}

    def server_argv(self):
        return [str(find_built("udp", "perf", "GAZELLE_UDP")), "-s"]

    def measure(self, start_client, server):
        self.profile_server()
        argv = [self.server_argv()[0], "-c", SERVER_ADDR, "-t", str(self.seconds)]
        figures = json.loads(self.client(start_client, argv, profile=True))
        return {"value": figures["rate"], **figures}


class Graph(Program):
    """Cycles per packet of each node, and of rx to tcp-to-lwip without lwIP."""

    lower_is_better = True

    def argv(self):
        return [str(find_built("graph_bench", "perf", "GAZELLE_GRAPH_BENCH")),
                "--seconds", str(self.options.seconds), "--runs", str(self.options.runs),
                "--memory", str(MEMORY_MB)] + (["--huge"] if self.huge else [])
