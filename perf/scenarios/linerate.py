# SPDX-License-Identifier: BSD-3-Clause
"""RFC 2544 over the fast wire: throughput, latency and loss by frame size (perf/linerate_gen.c).

The generator has one end of the wire, the device under test the other, one core each:
  wire   every frame goes back as it came: what the wire and the generator can do
  graph  the product's nodes there and back, without lwIP and without a program
  udp    an accelerated UDP echo server with plain blocking sockets (perf/udp.c)
"""

import json

from fastwire import FastWire, Hosts, Hugepages, WireError, find_built, wait_for
from scenarios.base import Program

DUTS = ("wire", "graph", "udp")
SIZES = (64, 128, 256, 512, 1024, 1280, 1518)  # RFC 2544 9.1
TOLERANCE = 0.1  # percent
TRIALS = 45  # of one size, about: full speed, the search with repetitions, latency, loss curve
ECHO_PORT = "7"  # linerate_port.h
LIFETIME_S = 600  # of a device under test that nobody ends


class LineRate(Program):
    """Throughput, latency and loss of the bare wire, the graph, and a UDP echo server, by frame size."""

    def __init__(self, options, huge):
        super().__init__(options, huge)
        self.duts = getattr(options, "dut", DUTS)
        self.sizes = getattr(options, "sizes", SIZES)
        self.tolerance = getattr(options, "tolerance", TOLERANCE)
        # --seconds of perf/run are the time for one size.
        self.trial = getattr(options, "trial_seconds", None) or options.seconds / TRIALS

    @classmethod
    def hugepages(cls, options):
        """The packet memory of both ends."""
        return Hugepages(options.huge, 2 * cls.memory_mb + 16)

    def start_dut(self, dut, wire):
        """Start the device under test on its end of the wire."""
        if dut == "udp":
            return wire.start_server([str(find_built("udp", "perf", "GAZELLE_UDP")), "-s",
                                      "-p", ECHO_PORT])
        argv = [str(find_built("linerate_dut", "perf", "GAZELLE_LINERATE_DUT")), "--dut", dut,
                "--vdev", wire.gazelle.wire_vdev("server"), "--seconds", str(LIFETIME_S)]
        process = wire.hosts.start("server", argv + (["--huge"] if self.huge else []))
        wait_for(wire.gazelle.socket.exists, process, f"{dut}: no end of the wire")
        return process

    def generate(self, dut, wire):
        """Run the generator; the lines it printed."""
        argv = [str(find_built("linerate_gen", "perf", "GAZELLE_LINERATE_GEN")),
                "--vdev", wire.gazelle.wire_vdev("client"), "--tolerance", str(self.tolerance),
                "--sizes", ",".join(map(str, self.sizes)), "--seconds", str(self.trial)]
        argv += (["--huge"] if self.huge else []) + (["--arp"] if dut != "wire" else [])
        process = wire.hosts.start("client", argv, capture=True)
        out, code = process.wait(30 + 3 * TRIALS * len(self.sizes) * (self.trial + 0.03))
        if code != 0:
            raise WireError(f"generator, {dut}: ended with {code}\n{out}\n{process.tail()}")
        return out.splitlines()

    def measure(self, dut, say):
        """All sizes with one device under test."""
        with Hosts(realtime=True) as hosts:  # a ring lasts for 20 us: nobody may interrupt
            wire = FastWire(hosts, self.huge, self.options.mode,
                            dict(s.split("=", 1) for s in self.options.set),
                            self.options.vhost_side or "client")
            process = self.start_dut(dut, wire)
            lines = self.generate(dut, wire)
            process.stop()
            result = json.loads(lines[-1])
            say(f"--- {dut}")
            for line in lines[:-1]:
                say(line)
            if dut != "udp":
                far = json.loads(process.log.read_text().splitlines()[-1])
                say("cycles per packet at the far end, full vectors: "
                    + ", ".join(f"{size}: {cycles}" for size, cycles in far["cycles"].items())
                    + f"; core taken away {far['outage_percent']} % of the time")
                for row in result["sizes"]:
                    row["dut_cycles_per_packet"] = far["cycles"].get(str(row["frame"]))
        return result

    def result(self, say):
        say(f"linerate: {self.__doc__} Hugepages: {'yes' if self.huge else 'no'}; trials of "
            f"{self.trial:.2f} s, at most {self.tolerance} % of loss.")
        duts = {dut: self.measure(dut, say) for dut in self.duts}
        first = {dut: d["sizes"][0]["mpps"] for dut, d in duts.items()}
        return {"kernel": None, "gazelle": first.get("udp"), "ratio": None, "unit": "Mpps",
                **{f"{dut}_mpps": mpps for dut, mpps in first.items()},
                "tolerance_percent": self.tolerance, "trial_seconds": round(self.trial, 3),
                "duts": {dut: d["sizes"] for dut, d in duts.items()}}
