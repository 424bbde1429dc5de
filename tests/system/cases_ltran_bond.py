# SPDX-License-Identifier: BSD-3-Clause
"""ltran on a bond of two wires, and on one that vanishes."""

import time

from cases import case
from cases_bond import BOND_PEER, GAP_MS, MIIMON_MS, NOISE_MS, Links, Stalls, cut, expect_short, silence
from harness import COMPLETION, FAR, Failure
from ltran_bed import Ltran, instance_addr

RTO_MS = 400
SERVER = instance_addr(0)


def ltran_case(seconds=90):
    return case(wires=("af_packet",), modes=(COMPLETION,), seconds=seconds, kernel=False)


def ltran_on(bed, links, mode):
    """ltran on both of near's ends."""
    net = Ltran(bed, start=False, bond_mode=mode, bond_miimon=MIIMON_MS, bond_ports="0x3")
    net.keys["forward_kit_args"] += f" --vdev=net_af_packet1,iface={links.near[1]}"
    net.start()
    return net


def read(bed, seconds, wait=40):
    client = bed.far(BOND_PEER + ["read", SERVER, "7000", str(seconds)])
    return bed.finish(client, wait, expect="silence")


def stream(bed, break_link):
    """A stream during which something happens; its silence must be short."""
    with Stalls() as stalls:
        client = bed.far(BOND_PEER + ["read", SERVER, "7000", "6"])
        break_link()
        gap, total = silence(bed.finish(client, 30))
    # An instance's TCP does not hear of the link: its timer may have to find out what was lost.
    expect_short("a link fails", gap, total, GAP_MS + NOISE_MS + RTO_MS, stalls)


@ltran_case()
def ltran_bond_failover(bed):
    """Instances survive the loss of the active link."""
    links = Links(bed)
    net = ltran_on(bed, links, 1)
    net.instance(BOND_PEER + ["source", "7000"], SERVER)
    read(bed, 0.2)
    stream(bed, lambda: cut(links, 0))
    stream(bed, lambda: cut(links, 1))
    net.alive()


@ltran_case(seconds=120)
def ltran_bond_lacp(bed):
    """Mode 4 between two ltrans, an instance behind each."""
    links = Links(bed, bridge=False)
    near = ltran_on(bed, links, 4)
    near.instance(BOND_PEER + ["source", "7000"], SERVER)
    far = Ltran(bed, start=False, bond_mode=4, bond_miimon=MIIMON_MS, bond_ports="0x3",
                unix_prefix=bed.prefix + "-far-", dev=links.far[0])
    far.keys["forward_kit_args"] += f" --vdev=net_af_packet1,iface={links.far[1]}"
    far.space = bed.far_ns
    far.start()
    client = far.instance(BOND_PEER + ["read", SERVER, "7000", "1", "16"], FAR)
    bed.finish(client, 60, expect="silence")
    before = [links.near_received(i) for i in (0, 1)]
    client = far.instance(BOND_PEER + ["read", SERVER, "7000", "2", "16"], FAR)
    bed.finish(client, 60, expect="silence")
    after = [links.near_received(i) for i in (0, 1)]
    if min(b - a for a, b in zip(before, after)) < 100:
        raise Failure(f"one link carried all: {before} {after}")
    with Stalls() as stalls:
        client = far.instance(BOND_PEER + ["read", SERVER, "7000", "6"], FAR)
        time.sleep(3)
        links.down(0)
        gap, total = silence(bed.finish(client, 30))
    expect_short("a link fails", gap, total, GAP_MS + NOISE_MS + RTO_MS, stalls)
    near.alive()
    far.alive()


@ltran_case()
def ltran_unplug(bed):
    """The only device vanishes: ltran and its instances live on, and use it when it is back."""
    links = Links(bed)
    net = Ltran(bed)
    server = net.instance(BOND_PEER + ["source", "7000"], SERVER)
    read(bed, 0.2)
    for _ in range(2):
        links.unplug(0)
        time.sleep(1.0)
        net.alive()
        links.plug(0)
        read(bed, 0.5)
    if not server.running():
        raise Failure("the instance ended")
