# SPDX-License-Identifier: BSD-3-Clause
"""Bonds: two wires between the ends; far's two are ports of one Linux bridge, as of a switch."""

import json
import os
import re
import threading
import time

from cases import BOTH, case
from harness import COMPLETION, CPUS, FAR, NEAR, PYTHON, ROOT, WAKEUP, Failure, Proc, sh

BOND_PEER = [PYTHON, str(ROOT / "tests" / "system" / "bond_peer.py")]
MIIMON_MS = 10
GAP_MS = 2 * MIIMON_MS + 100
KERNEL_RTO_MS = 200  # when everything in flight was lost, a kernel's TCP waits at least so long
NOISE_MS = 60  # two cores, shared with everything else


class Stalls:
    """How long the machine has stood still: a thread on each core sleeps and looks how late it wakes. A core
    that its host takes away, or a kernel that is busy, silences a stream as well. With a core that is only
    used by others it is a few milliseconds. Use as a context manager; `ms` is the longest so far."""

    def __init__(self):
        self.ms = 0.0
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.watch, args=(cpu,), daemon=True)
                        for cpu in {CPUS[0], CPUS[-1]}]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def watch(self, cpu):
        os.sched_setaffinity(0, {cpu})  # of this thread
        while not self.over.is_set():
            slept = time.monotonic()
            time.sleep(0.005)
            self.ms = max(self.ms, (time.monotonic() - slept) * 1000 - 5)


def expect_short(what, gap, total, allowed, stalls, least=5_000_000):
    """A stream has been silent for `allowed` ms at most, beside the time in which nobody could do anything."""
    text = f"{what}: {total} bytes, silent for {gap:.0f} ms; {allowed} ms are allowed, and the machine " \
           f"stood still for {stalls.ms:.0f} ms"
    print(f"        {text}", flush=True)
    if total < least or gap > allowed + stalls.ms:
        raise Failure(text)


class Links:
    """The second wire, and what makes of two wires a bond."""

    def __init__(self, bed, bridge=True, peers=0):
        self.bed = bed
        self.bridge = bridge
        # Near's kernel shall say nothing on its own: with a port's address, at the wrong port.
        sh("ip", "netns", "exec", bed.near_ns, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1",
           "net.ipv6.conf.default.disable_ipv6=1")
        self.far = (bed.far_dev, bed.far_dev + "b")
        self.near = (bed.near_dev, bed.near_dev + "b")
        sh("ip", "link", "add", self.near[1], "netns", bed.near_ns, "type", "veth", "peer", "name",
           self.far[1], "netns", bed.far_ns)
        self.in_far("addr", "flush", "dev", self.far[0])
        if bridge:
            # An address of its own: else it would have that of a port, and change with its ports.
            self.in_far("link", "add", "br0", "address", "02:00:00:00:0f:01", "type", "bridge",
                        "forward_delay", "0")
            self.in_far("link", "set", "br0", "up")
            self.plain(bed.far_ns, "br0")
            self.in_far("addr", "add", FAR + "/24", "dev", "br0")
        self.peers = [self.add_peer(number) for number in range(peers)]
        for link in (0, 1):
            self.connect(link)
        self.macs = [self.mac(bed.near_ns, dev) for dev in self.near]

    def add_peer(self, number):
        """Another host at the bridge; its namespace."""
        space, dev = f"{self.bed.prefix}p{number}", f"p{number}"
        sh("ip", "netns", "add", space)
        sh("ip", "link", "add", dev, "netns", space, "type", "veth", "peer", "name", dev, "netns",
           self.bed.far_ns)
        self.plain(space, dev)
        self.in_far("link", "set", dev, "master", "br0", "up")
        sh("ip", "-n", space, "addr", "add", f"198.18.0.{100 + number}/24", "dev", dev)
        sh("ip", "-n", space, "link", "set", dev, "up")
        return space

    def close(self):
        for space in self.peers:
            sh("ip", "netns", "del", space, check=False)

    def connect(self, link):
        near, far = self.near[link], self.far[link]
        sh("ip", "-n", self.bed.near_ns, "link", "set", near, "up")
        self.plain(self.bed.near_ns, near)
        self.plain(self.bed.far_ns, far)
        if self.bridge:
            self.in_far("link", "set", far, "master", "br0")
        self.in_far("link", "set", far, "up")

    def unplug(self, link):
        sh("ip", "-n", self.bed.near_ns, "link", "del", self.near[link])

    def plug(self, link):
        sh("ip", "link", "add", self.near[link], "netns", self.bed.near_ns, "address",
           self.macs[link], "type", "veth", "peer", "name", self.far[link], "netns",
           self.bed.far_ns)
        self.connect(link)

    @staticmethod
    def plain(space, dev):
        sh("ip", "netns", "exec", space, "ethtool", "-K", dev, "tx", "off", "tso", "off", "gso",
           "off", "gro", "off", check=False)

    def in_far(self, *argv):
        sh("ip", "-n", self.bed.far_ns, *argv)

    @staticmethod
    def mac(space, dev):
        return json.loads(sh("ip", "-n", space, "-j", "link", "show", dev))[0]["address"]

    def down(self, link):
        self.in_far("link", "set", self.far[link], "down")

    def up(self, link):
        self.in_far("link", "set", self.far[link], "up")

    def options(self, mode):
        return ["--dpdk-arg", "--vdev", "--dpdk-arg", f"net_af_packet1,iface={self.near[1]}",
                "--set", f"bond_mode={mode}", "--set", f"bond_miimon={MIIMON_MS}",
                "--set", 'bond_slave_mac="' + ";".join(self.macs) + '"']

    @staticmethod
    def count(space, dev, way):
        return json.loads(sh("ip", "-n", space, "-s", "-j", "link", "show",
                             dev))[0]["stats64"][way]["packets"]

    def received(self, link):
        """Packets far has received over a link."""
        return self.count(self.bed.far_ns, self.far[link], "rx")

    def near_received(self, link):
        return self.count(self.bed.near_ns, self.near[link], "rx")

    def far_counts(self):
        """Packets sent and received by far's ends of both links."""
        return [[self.count(self.bed.far_ns, dev, way) for dev in self.far] for way in ("tx", "rx")]


class LacpClient:
    """A program on Gazelle at the far end, with a bond of its own."""

    def __init__(self, bed, links):
        self.bed = bed
        macs = ";".join(links.mac(bed.far_ns, dev) for dev in links.far)
        self.options = ["--vdev", f"net_af_packet0,iface={links.far[0]}", "--dpdk-arg", "--vdev",
                        "--dpdk-arg", f"net_af_packet1,iface={links.far[1]}",
                        "--set", "bond_mode=4", "--set", f"bond_miimon={MIIMON_MS}",
                        "--set", f'bond_slave_mac="{macs}"']

    def start(self, argv):
        full = [str(ROOT / "gazelle"), "run", "--mode", COMPLETION, "--dpdk-arg", "--no-huge",
                "--addr", FAR + "/24", "--netns", self.bed.far_ns, *self.options, "--",
                *BOND_PEER, *argv]
        proc = Proc(full, self.bed.logs / f"{len(self.bed.procs):02d}-far-lacp.log", True)
        self.bed.procs.append(proc)
        return proc

    def run(self, argv):
        return self.bed.finish(self.start(argv), 40, expect="silence")


def drops(bed, pid, symbol):
    """The count of an error row."""
    match = re.search(rf"(\d+)\s+\w+\s+{symbol}\s", bed.ctl("graph", "show", pid))
    return int(match.group(1)) if match else 0


def silence(output):
    match = re.search(r"silence ([\d.]+) ms after [\d.]+ s, (\d+) bytes", output)
    if not match:
        raise Failure(f"no report: {output[-300:]}")
    return float(match.group(1)), int(match.group(2))


def cut(links, link, seconds=1.5):
    """In the middle of a stream: a link fails, and comes back."""
    time.sleep(2.0)
    links.down(link)
    time.sleep(seconds)
    links.up(link)


def stream(bed, links, command, port, link, noise=NOISE_MS):
    """A stream of 6 s during which a link fails; its longest silence is short."""
    with Stalls() as stalls:
        client = bed.far(BOND_PEER + [command, NEAR, str(port), "6"])
        cut(links, link)
        gap, total = silence(bed.finish(client, 30))
    expect_short(command, gap, total, GAP_MS + noise, stalls)


def wait_for(bed, port):
    bed.until(bed.run_far, BOND_PEER + ["read", NEAR, str(port), "0.1"], "silence")


def near_source(bed, links, mode, *more):
    server = bed.near(BOND_PEER + ["source", "7000"], *links.options(mode), *more)
    wait_for(bed, 7000)
    return server


@case(modes=BOTH, seconds=90, kernel=False)
def bond_failover(bed):
    """Mode 1: a stream survives the loss of the active link, and of the next one."""
    links = Links(bed)
    server = near_source(bed, links, 1)
    stream(bed, links, "read", 7000, 0)
    if links.received(1) < 1000:
        raise Failure("nothing came over the second link")
    stream(bed, links, "read", 7000, 1)  # there is no primary: it had stayed there
    bed.accelerated(server, least=1000)


@case(modes=(WAKEUP,), seconds=90, kernel=False)
def bond_failover_in(bed):
    """The same with a stream to us, and back to the primary."""
    links = Links(bed)
    bed.near(BOND_PEER + ["sink", "7000"], *links.options(1), "--set", f'devices="{links.macs[0]}"')
    bed.until(bed.run_far, BOND_PEER + ["write", NEAR, "7000", "0.1"], "silence")
    stream(bed, links, "write", 7000, 0, NOISE_MS + KERNEL_RTO_MS)
    before = links.received(1)
    bed.run_far(BOND_PEER + ["write", NEAR, "7000", "1"], expect="silence")
    if links.received(1) - before > 20:
        raise Failure("it did not return to the primary")


@case(modes=(COMPLETION,), seconds=90, kernel=False)
def bond_iperf3(bed):
    """iperf3 goes on while the active link fails: no silence of two intervals of 100 ms."""
    links = Links(bed)
    bed.near(["iperf3", "-s", "-B", NEAR], *links.options(1))
    bed.until(bed.run_far, ["iperf3", "-c", NEAR, "-t", "1"], "receiver")
    with Stalls() as stalls:
        client = bed.far(["iperf3", "-c", NEAR, "-R", "-t", "6", "-i", "0.1", "-J"])
        cut(links, 0)
        output = bed.finish(client, 30)
    rates = [i["sum"]["bits_per_second"] for i in json.loads(output[output.index("{"):])["intervals"]]
    allowed = 1 + round(stalls.ms / 100)
    silent = [n for n in range(len(rates) - allowed) if not any(rates[n:n + allowed + 1])]
    if len(rates) < 50 or silent:
        raise Failure(f"{len(rates)} intervals, more than {allowed} silent from {silent}")


@case(modes=(COMPLETION,), seconds=60, kernel=False)
def bond_passive(bed):
    """What a switch sends to both links is heard once."""
    links = Links(bed)
    server = near_source(bed, links, 1)
    before = [drops(bed, server.pid, row) for row in ("passive-group", "not-for-us")]
    bed.far(["arping", "-c", "6", "-w", "6", "-I", "br0", "198.18.0.77"]).wait(20)
    after = [drops(bed, server.pid, row) for row in ("passive-group", "not-for-us")]
    dropped, heard = (b - a for a, b in zip(before, after))
    if heard != 6 or dropped < 6:
        raise Failure(f"6 broadcasts: {heard} heard, {dropped} dropped on the passive link")


@case(modes=BOTH, seconds=90, kernel=False)
def bond_lacp(bed):
    """Mode 4 between two programs on Gazelle: it comes up, spreads flows, survives a link."""
    links = Links(bed, bridge=False)
    server = bed.near(BOND_PEER + ["source", "7000"], *links.options(4))
    client = LacpClient(bed, links)
    client.run(["read", NEAR, "7000", "1"])  # waits for LACP by connecting again and again
    before = [links.near_received(i) for i in (0, 1)]
    # Long enough for LACP to settle first: the client is a new program, its partner has to notice.
    many = client.start(["read", NEAR, "7000", "8", "8"])
    bed.finish(many, 40, expect="silence")
    after = [links.near_received(i) for i in (0, 1)]
    if min(b - a for a, b in zip(before, after)) < 100:
        raise Failure(f"one link carried all: {before} {after}")
    with Stalls() as stalls:
        reader = client.start(["read", NEAR, "7000", "9"])
        time.sleep(6.0)  # it connects when its LACP is up
        links.down(0)
        gap, total = silence(bed.finish(reader, 40))
    expect_short("a link fails", gap, total, GAP_MS + NOISE_MS, stalls)
    if drops(bed, server.pid, "lacp-taken") < 10:
        raise Failure("no LACP was heard")


@case(modes=(COMPLETION,), seconds=120, kernel=False)
def bond_alb(bed):
    """Mode 6 and kernels: both links carry both directions; either may fail."""
    links = Links(bed, peers=8)
    try:
        balance(bed, links)
    finally:
        links.close()


def balance(bed, links):
    near_source(bed, links, 6)
    before = links.far_counts()
    for space in links.peers:
        sh("ip", "netns", "exec", space, *BOND_PEER, "read", NEAR, "7000", "0.3")
    sent, heard = ([b - a for a, b in zip(x, y)] for x, y in zip(before, links.far_counts()))
    if min(sent) < 100 or min(heard) < 100:
        raise Failure(f"packets of the links: to far {heard}, to near {sent}")
    for link in (0, 1):
        stream(bed, links, "read", 7000, link, NOISE_MS)
        time.sleep(2)


@case(modes=BOTH, seconds=90, kernel=False)
def bond_unplug(bed):
    """A device vanishes and comes back; so does the other one. The program goes on."""
    links = Links(bed)
    server = near_source(bed, links, 1)
    for link in (0, 1):
        with Stalls() as stalls:
            reader = bed.far(BOND_PEER + ["read", NEAR, "7000", "4"])
            time.sleep(2)
            links.unplug(link)
            gap, total = silence(bed.finish(reader, 30))
        expect_short(f"device {link} vanishes", gap, total, GAP_MS + NOISE_MS, stalls, 1_000_000)
        links.plug(link)
        time.sleep(1)  # it is looked for every 100 ms
    bed.run_far(BOND_PEER + ["read", NEAR, "7000", "1"], expect="silence")
    if not server.running():
        raise Failure("the program ended")
