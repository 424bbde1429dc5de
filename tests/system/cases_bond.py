# SPDX-License-Identifier: BSD-3-Clause
"""Bonds: two wires between the ends; far's two are ports of one Linux bridge, as of a switch."""

import json
import re
import time

from cases import BOTH, case
from harness import CPUS, FAR, NEAR, PYTHON, ROOT, Failure, sh

BOND_PEER = [PYTHON, str(ROOT / "tests" / "system" / "bond_peer.py")]
MIIMON_MS = 10
GAP_MS = 2 * MIIMON_MS + 100
NOISE_MS = 60  # two cores, shared with everything else


class Links:
    """The second wire, and what makes of two wires a bond."""

    def __init__(self, bed):
        self.bed = bed
        self.far = (bed.far_dev, bed.far_dev + "b")
        self.near = (bed.near_dev, bed.near_dev + "b")
        sh("ip", "link", "add", self.near[1], "netns", bed.near_ns, "type", "veth", "peer", "name",
           self.far[1], "netns", bed.far_ns)
        self.in_far("addr", "flush", "dev", self.far[0])
        self.in_far("link", "add", "br0", "type", "bridge", "forward_delay", "0")
        for near, far in zip(self.near, self.far):
            sh("ip", "-n", bed.near_ns, "link", "set", near, "up")
            self.plain(bed.near_ns, near)
            self.plain(bed.far_ns, far)
            self.in_far("link", "set", far, "master", "br0", "up")
        self.in_far("link", "set", "br0", "up")
        self.plain(bed.far_ns, "br0")
        self.in_far("addr", "add", FAR + "/24", "dev", "br0")
        self.macs = [self.mac(dev) for dev in self.near]

    @staticmethod
    def plain(space, dev):
        sh("ip", "netns", "exec", space, "ethtool", "-K", dev, "tx", "off", "tso", "off", "gso",
           "off", "gro", "off", check=False)

    def in_far(self, *argv):
        sh("ip", "-n", self.bed.far_ns, *argv)

    def mac(self, dev):
        return json.loads(sh("ip", "-n", self.bed.near_ns, "-j", "link", "show",
                             dev))[0]["address"]

    def down(self, link):
        self.in_far("link", "set", self.far[link], "down")

    def up(self, link):
        self.in_far("link", "set", self.far[link], "up")

    def options(self, mode):
        return ["--dpdk-arg", "--vdev", "--dpdk-arg", f"net_af_packet1,iface={self.near[1]}",
                "--set", f"bond_mode={mode}", "--set", f"bond_miimon={MIIMON_MS}",
                "--set", 'bond_slave_mac="' + ";".join(self.macs) + '"']

    def received(self, link):
        """Packets far has received over a link."""
        return json.loads(sh("ip", "-n", self.bed.far_ns, "-s", "-j", "link", "show",
                             self.far[link]))[0]["stats64"]["rx"]["packets"]


def drops(bed, pid, symbol):
    """The count of an error row."""
    match = re.search(rf"{symbol}\D+(\d+)|(\d+)\s+{symbol}", bed.ctl("graph", "show", pid))
    return int(next(g for g in match.groups() if g)) if match else 0


def silence(output):
    match = re.search(r"silence ([\d.]+) ms, (\d+) bytes", output)
    if not match:
        raise Failure(f"no report: {output[-300:]}")
    return float(match.group(1)), int(match.group(2))


def cut(links, link, seconds=1.5):
    """In the middle of a stream: a link fails, and comes back."""
    time.sleep(2.0)
    links.down(link)
    time.sleep(seconds)
    links.up(link)


def stream(bed, links, command, port, link):
    """A stream of 6 s during which a link fails; its longest silence."""
    client = bed.far(BOND_PEER + [command, NEAR, str(port), "6"])
    cut(links, link)
    gap, total = silence(bed.finish(client, 30))
    if total < 5_000_000:
        raise Failure(f"{command}: {total} bytes in 6 s")
    if gap > GAP_MS + NOISE_MS:
        raise Failure(f"{command}: nothing for {gap:.0f} ms while a link failed; "
                      f"{GAP_MS} ms are allowed")
    return gap


def wait_for(bed, port):
    bed.until(bed.run_far, BOND_PEER + ["read", NEAR, str(port), "0.1"], "silence")


@case(modes=BOTH, seconds=90, kernel=False)
def bond_failover(bed):
    """Mode 1: streams in both directions and iperf3 survive the loss of the active link."""
    links = Links(bed)
    server = bed.near(BOND_PEER + ["source", "7000"], *links.options(1))
    wait_for(bed, 7000)
    first = stream(bed, links, "read", 7000, 0)
    if links.received(1) < 1000:
        raise Failure("nothing came over the second link")
    # It stays there (no primary); back to the first.
    second = stream(bed, links, "read", 7000, 1)
    print(f"        silence {first:.0f} and {second:.0f} ms")
    bed.accelerated(server, least=1000)
