# SPDX-License-Identifier: BSD-3-Clause
"""Bulk data over a path that loses packets: perf/lossy between two veth pairs.

    client ── veth ── lossy (own namespace, graph rx ─► loss ─► tx) ── veth ── server

Every point (stack, loss rate) has fresh hosts and the same seed, so that all senders meet the same
sequence of losses. The data direction loses packets, both are delayed by DELAY_US.

A round trip of 2 ms makes loss the limit, not the CPU: by the formula of Mathis et al. (1997) a
sender in the manner of Reno gets about 1.22 * MSS / (RTT * sqrt(p)), that is 220, 70 and 40 Mbit/s,
a few thousand packets per second. A longer one would leave fewer losses in a run, and more noise.
"""

import json
import math
import time

from fastwire import (CLIENT_ADDR, PREFIX_LEN, SERVER_ADDR, Gazelle, Hosts, WireError, find_built,
                      sh, wait_for)
from scenarios.base import Scenario

RATES = "0.1,1,3"  # percent
DELAY_US = 1000  # each way
PORT = "5201"


class LossyHosts(Hosts):
    """Two hosts, each on its own veth pair, and perf/lossy between the far ends.

    The near ends have tx, tso and gso off, whoever uses them: the wire must see complete frames.
    """

    def __init__(self, loss, delay_us, seed, addresses, realtime=False):
        super().__init__(realtime=realtime)
        self.loss, self.delay_us, self.seed, self.near = loss, delay_us, seed, addresses
        self.ns["wire"] = self.ns["server"][:-1] + "w"
        self.cpu["wire"] = self.cpu["server"]
        self.bridge, self.far = None, {}

    def __enter__(self):
        super().__enter__()
        try:
            self.far = {side: self.make_link(side) for side in ("client", "server")}
            # The wire sleeps unless there is something to do; then it must not wait for a slice.
            self.bridge = self.start("wire", ["chrt", "--rr", "3",
                                              str(find_built("lossy", "perf", "GAZELLE_LOSSY")),
                                              "--loss-ab", str(self.loss), "--seed", str(self.seed),
                                              "--delay-us", str(self.delay_us),
                                              self.far["client"], self.far["server"]])
            wait_for(lambda: "ready" in self.bridge.log.read_text(), self.bridge,
                     "the lossy wire did not come up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def make_link(self, side):
        """The veth pair of a host; returns the name of its far end."""
        near, far = self.dev[side], self.dev[side] + "w"
        sh("ip", "link", "add", near, "netns", self.ns[side], "type", "veth",
           "peer", "name", far, "netns", self.ns["wire"])
        self.plain_peer(side)
        for ns, dev in ((self.ns[side], near), (self.ns["wire"], far)):
            # Neighbour discovery would take losses that are meant for the data.
            sh("ip", "netns", "exec", ns, "sysctl", "-qw", f"net.ipv6.conf.{dev}.disable_ipv6=1")
            sh("ip", "-n", ns, "link", "set", dev, "up")
        if side in self.near:
            addr = SERVER_ADDR if side == "server" else CLIENT_ADDR
            sh("ip", "-n", self.ns[side], "addr", "add", f"{addr}/{PREFIX_LEN}", "dev", near)
        return far

    def counters(self):
        """End the wire: what it has seen and lost of the data, and what it has missed."""
        link = sh("ip", "-n", self.ns["wire"], "-j", "-s", "link", "show", self.far["client"])
        arrived = json.loads(link)[0]["stats64"]["rx"]["packets"]
        self.bridge.stop()
        data = json.loads(self.bridge.log.read_text().splitlines()[-1])["ab"]
        return {**data, "missed": max(0, arrived - data["in"])}


class Goodput(Scenario):
    """iperf3 through 0.1, 1 and 3 % loss to a kernel receiver, RTT 2 ms; the sender changes stacks."""

    unit, programs = "Mbit/s", ("iperf3",)
    wire = "perf/lossy between two veth pairs; tx, tso and gso off at both near ends"
    vhost_side = wire_options = None
    kernel_cc = ("cubic", "reno")
    gazelle_side = "client"

    def __init__(self, options, huge):
        super().__init__(options, huge)
        self.rates = options.loss.split(",")

    def server_argv(self):
        return ["iperf3", "-s", "-B", SERVER_ADDR, "-p", PORT, "-1", "--forceflush"]

    def point(self, rate, cc=None):
        """One transfer at one loss rate; `cc` is a kernel sender's congestion control."""
        gazelle = cc is None or self.gazelle_side == "server"
        kernel = {"client", "server"} - ({self.gazelle_side} if gazelle else set())
        with LossyHosts(rate, self.options.delay_us, self.options.seed, kernel,
                        self.realtime) as hosts:
            env = {}
            if gazelle:
                lstack = Gazelle(hosts.scratch, self.huge, self.mode, self.keys, hosts.cpu,
                                 self.memory_mb)
                dev = hosts.dev[self.gazelle_side]
                conf = lstack.write_conf(
                    self.gazelle_side, f"net_af_packet0,iface={dev},framesz=2048,framecnt=512")
                env[self.gazelle_side] = lstack.env(conf, ["iperf3"])
            server = hosts.start("server", self.server_argv(), env.get("server"))
            wait_for(lambda: "Server listening" in server.log.read_text(errors="replace"), server,
                     "iperf3 did not start")
            time.sleep(0.2)
            return self.transfer(hosts, env.get("client"), cc)

    def transfer(self, hosts, env, cc):
        """The client's part; its figures and the path's."""
        argv = ["iperf3", "-c", SERVER_ADDR, "-p", PORT, "-t", str(max(1, round(self.seconds))), "-J"]
        argv += ["-C", cc] if cc else []
        out = self.client(lambda a: hosts.start("client", a, env, capture=True), argv, env is not None)
        end = json.loads(out)["end"]
        data = hosts.counters()
        if data["queue_full"] + data["missed"] > 0.001 * data["in"] + 5:
            raise WireError(f"the path itself lost packets: {data}")
        return {"mbps": round(end["sum_received"]["bits_per_second"] / 1e6, 2),
                "retransmits": end["sum_sent"].get("retransmits"),
                "lost_percent": round(100 * data["lost"] / max(1, data["in"]), 3)}

    def run_kernel(self):
        figures = {}
        for rate in self.rates:
            for cc in self.kernel_cc:
                done = self.point(rate, cc)
                figures.update({f"{cc}_{rate}": done["mbps"],
                                f"{cc}_{rate}_lost_percent": done["lost_percent"]})
        best = [max(figures[f"{cc}_{r}"] for cc in self.kernel_cc) for r in self.rates]
        return {"value": geometric_mean(best), **figures}

    def run_gazelle(self):
        figures = {}
        for rate in self.rates:
            done = self.point(rate, self.kernel_cc[0] if self.gazelle_side == "server" else None)
            figures.update({rate: done["mbps"], f"{rate}_lost_percent": done["lost_percent"]})
            if done["retransmits"] is not None:
                figures[f"{rate}_retransmits"] = done["retransmits"]
        return {"value": geometric_mean([figures[r] for r in self.rates]), **figures}

    def headline(self, middle):
        """Per rate against the better one of the kernel's; `ratio` is the smallest."""
        rates = {}
        for rate in self.rates:
            kernel = {f"kernel_{cc}": middle["kernel"].get(f"{cc}_{rate}") for cc in self.kernel_cc}
            best, ours = max(v or 0 for v in kernel.values()), middle["gazelle"].get(rate)
            rates[rate] = {**kernel, "gazelle": ours,
                           "ratio": round(ours / best, 2) if ours and best else None}
        ratios = [r["ratio"] for r in rates.values()]
        return {"ratio": None if None in ratios else min(ratios), "rates": rates,
                "delay_us_each_way": self.options.delay_us, "seed": self.options.seed}


class GoodputReceiver(Goodput):
    """As goodput, but the receiver changes stacks; the sender is the kernel's CUBIC."""

    kernel_cc, gazelle_side = ("cubic",), "server"


def geometric_mean(values):
    """0 where one of them is."""
    return round(math.prod(values) ** (1 / len(values)), 2)
