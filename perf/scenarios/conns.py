# SPDX-License-Identifier: BSD-3-Clause
"""Many open connections: what a request costs among them, and what idle ones cost (perf/conns.c)."""

import json
import resource

from fastwire import SERVER_ADDR, find_built
from scenarios.base import Scenario

CONNECTIONS_PER_PORT = 10000  # of the server: a client address has one local port for each
SPARE_DESCRIPTORS = 300
OPENING_PER_S = 5000          # slower is a failure


class Conns(Scenario):
    """Requests on random ones of 100,000 open TCP connections, 32 at a time; requests per second."""

    unit = "req/s"
    connections, base = 100000, 100
    client_options = server_options = ()
    ratios = {"cost_ratio": True}

    def __init__(self, options, huge):
        super().__init__(options, huge)
        self.connections = options.connections or self.connections
        self.keys = {"tcp_conn_count": str(self.connections + 10000),
                     "descriptor_limit": "1048576", **self.keys}
        self.ports = -(-self.connections // CONNECTIONS_PER_PORT)

    def program(self):
        """The program of both ends, and how many ports the server has."""
        return [str(find_built("conns", "perf", "GAZELLE_CONNS")), "-P", str(self.ports)]

    def server_argv(self):
        return self.program() + ["-s", *self.server_options]

    def tune_kernel(self, hosts):
        """The client's kernel may use every port, as Gazelle's does."""
        hosts.sysctl("client", "net.ipv4.ip_local_port_range", "1024 65535")

    def ask(self, start_client, on_kernel):
        """One client; its figures, the phases' as PHASE_FIGURE."""
        connections = self.connections
        if on_kernel:
            # Without CAP_SYS_RESOURCE the hard limit stays, and so do the kernel's connections.
            limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            connections = min(connections, limit - SPARE_DESCRIPTORS)
        argv = self.program() + ["-c", SERVER_ADDR, "-n", str(connections), "-m", str(self.base),
                                 "-t", str(self.seconds / 2), *self.client_options]
        slack = 40 + 3 * self.seconds + self.connections / OPENING_PER_S
        figures = {}
        for key, value in json.loads(self.client(start_client, argv, True, slack)).items():
            if isinstance(value, dict):
                figures.update({f"{key}_{k}": v for k, v in value.items()})
            else:
                figures[key] = value
        return figures

    def measure(self, start_client, server):
        self.profile_server()
        figures = self.ask(start_client, server.conf is None)
        return {"value": figures["full_rate"], **figures}

    @staticmethod
    def headline(middle):
        """Keys without a stack's name: Gazelle's."""
        return {"cost_ratio": middle["gazelle"].get("cost_ratio")}


class ConnsIdle(Conns):
    """1,000,000 idle TCP connections in one process, one of them at ping-pong; bytes of memory each.

    On Gazelle the growth of the server's resident memory and hugepages, on the kernel half of what
    both ends took from the machine (system_bytes_per_connection, which is there for Gazelle, too).
    """

    unit, lower_is_better = "bytes", True
    connections = 1000000
    client_options, server_options = ("-i", "-b"), ("-b",)
    ratios = {}
    runs_max = 1

    def measure(self, start_client, server):
        self.profile_server()
        figures = self.ask(start_client, server.conf is None)
        key = "server" if server.conf else "system"
        for name, gap in (("stall_ms", "gap_cpu_max_us"), ("stall_wall_ms", "gap_max_us")):
            figures[name] = max(figures[f"idle_{side}_{gap}"] for side in ("server", "client")) / 1e3
        return {"value": figures[f"{key}_bytes_per_connection"], **figures}

    @staticmethod
    def headline(middle):
        return {"stall_ms": middle["gazelle"].get("stall_ms")}
