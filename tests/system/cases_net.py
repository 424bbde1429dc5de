# SPDX-License-Identifier: BSD-3-Clause
"""The network itself: ARP, ICMP, UDP, fragments, several stacks, the process's own address."""

import re

from cases import ALL_WIRES, KERNEL_PEER, case
from harness import CPUS, COMPLETION, NEAR, PEER, Failure


def pings_for_five(bed, size):
    """With a deadline ping goes on until it has five answers; without, it gives up on one that takes
    longer than twice the others, as happens on a busy machine."""
    output = bed.run_far(["ping", "-c", "5", "-i", "0.05", "-w", "5", "-s", str(size), NEAR],
                         expect=r"5 received")
    return int(re.search(r"(\d+) packets transmitted", output).group(1))


@case(wires=KERNEL_PEER)
def ping(bed):
    server = bed.near(PEER + ["echo", "7000"])
    bed.until(bed.run_far, ["ping", "-c", "1", "-W", "1", NEAR], " 0% packet loss")
    for size in (56, 1472, 1473, 14790):
        # A machine that stands still for a moment loses none, but ping goes on asking meanwhile.
        if all(pings_for_five(bed, size) > 7 for _ in range(3)):
            raise Failure(f"size {size}: more than 7 requests for 5 answers, three times")
    bed.accelerated(server, least=16)


@case(wires=KERNEL_PEER)
def arping(bed):
    bed.near(PEER + ["echo", "7000"])
    bed.until(bed.run_far, ["arping", "-c", "3", "-w", "3", "-I", bed.far_dev, NEAR],
              r"Received [1-3] response")


@case(wires=ALL_WIRES)
def udp_echo(bed):
    server = bed.near(PEER + ["udp-echo", "7001"], "--set", "udp_enable=1")
    bed.run_far(PEER + ["udp-sizes", NEAR, "7001", "1", "64", "1472", "1473", "9000", "9000",
                        "9000"], expect="ok")
    bed.accelerated(server, least=10)


@case()
def connections(bed):
    """Many at once, opened and closed in rounds."""
    server = bed.near(PEER + ["echo", "7000"])
    for _ in range(3):
        bed.run_far(PEER + ["echo-many", NEAR, "7000", "500"], expect="ok")
    bed.accelerated(server, least=4500)


@case(kernel=True)
def own_address(bed):
    """Server and client threads in one process, through the stack's own address."""
    bed.run_near(PEER + ["self", NEAR, "7002"], expect="ok")


@case(kernel=False)
def two_stacks(bed):
    """Two stacks serve one port: connections on both, and the right bytes on each."""
    if bed.mode == COMPLETION:
        options = ("--stacks", "2")
    else:
        options = ("--cpus", ",".join(str(c) for c in (CPUS * 2)[:2]))
    server = bed.near(PEER + ["echo", "7000"], *options, "--set", "listen_shadow=1")
    client = bed.far(PEER + ["echo-many", NEAR, "7000", "64", "3"])
    bed.until(lambda _argv, timeout, expect: check_both(bed, server), None, None, seconds=15)
    bed.finish(client, expect="ok")


def check_both(bed, server):
    """Established connections per stack, from gazellectl."""
    counts = []
    for line in bed.ctl("lstack", "show", server.pid, "-c").splitlines():
        if line.startswith("------ stack"):
            counts.append(0)
        elif re.search(r"\bESTABLISHED\b", line):
            counts[-1] += 1
    if len(counts) != 2 or sum(counts) < 60 or min(counts) < 5:
        raise Failure(f"established connections per stack: {counts}")
