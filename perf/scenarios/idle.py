# SPDX-License-Identifier: BSD-3-Clause
"""An idle redis with low_power_mode=1: what it costs, and how fast it wakes."""

import json
import pathlib
import time

from fastwire import SERVER_ADDR, find_built
from scenarios.base import Scenario
from scenarios.redis import PORT, RedisServerOnly

PAUSE_MS = 200
SETTLE_S = 1.5


def run_time_s(pid):
    """CPU time of all threads, to the nanosecond."""
    tasks = pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(t.read_text(encoding="ascii").split()[0]) for t in tasks) / 1e9


class Idle(RedisServerOnly):
    """An idle redis with low_power_mode=1, client on the kernel: CPU of it, in percent of a core.

    `first_request_cost` is the latency of a request after 200 ms of silence (median), Gazelle's by
    the kernel's. Only the server changes stacks (af_packet), so that it alone has to wake up
    differently; idle-fast has both ends on Gazelle.
    """

    unit, lower_is_better, programs = "% of a core", True, ("redis-server",)
    ratios = {"first_p50_us": True}

    def measure(self, start_client, server):
        rr = [str(find_built("rr", "perf", "GAZELLE_RR")), "-c", SERVER_ADDR, "-p", PORT, "-r"]
        self.client(start_client, rr + ["-t", "0.2"])
        time.sleep(SETTLE_S)
        self.profile_server()
        before, started = run_time_s(server.pid), time.monotonic()
        time.sleep(self.seconds)
        used = (run_time_s(server.pid) - before) / (time.monotonic() - started)
        out = self.client(start_client, rr + ["-g", str(PAUSE_MS), "-t", str(self.seconds)])
        figures = json.loads(out)
        return {"value": round(100 * used, 4), "first_requests": figures["n"],
                **{f"first_{k}": figures[k] for k in ("p50_us", "p90_us", "max_us")}}

    @staticmethod
    def headline(middle):
        """The latency as the target has it: how much longer than the kernel's."""
        first = [middle[s].get("first_p50_us") for s in ("gazelle", "kernel")]
        return {"first_request_cost": round(first[0] / first[1], 2) if all(first) else None}


class IdleFast(Idle):
    """As idle, with both ends on Gazelle over the fast wire, both with low_power_mode=1."""

    wire, vhost_side = Scenario.wire, Scenario.vhost_side
    wire_options = Scenario.wire_options
    run_gazelle = Scenario.run_gazelle
