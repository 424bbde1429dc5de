# SPDX-License-Identifier: BSD-3-Clause
"""Packet pools that the machine, or what the settings give DPDK, cannot hold."""

import pathlib
import re

from cases import COMPLETION, case
from harness import NEAR, PEER, Failure


def said(bed, *options):
    """What a program with these settings says when it starts; it serves all the same."""
    bed.give_kernel_address("198.18.0.3")
    server = bed.near(PEER + ["echo", "7000"], *options)
    bed.until(bed.run_far, PEER + ["echo-many", NEAR, "7000", "4"], "ok", seconds=15)
    return server, server.output()


def free_mb():
    text = pathlib.Path("/proc/meminfo").read_text()
    return int(re.search(r"MemAvailable: +(\d+)", text).group(1)) // 1024


@case(modes=(COMPLETION,), kernel=False, seconds=40)
def pool_too_large(bed):
    """Refused with key, value and what would fit, before a page of it is taken."""
    before = free_mb()
    packets = before * 1024 // 2  # of 2 KB and more each
    for options, key in ((("--set", f"mbuf_pool_size={packets}"), f"mbuf_pool_size = {packets}"),
                         (("--dpdk-arg", "-m", "--dpdk-arg", str(2 * before)), "dpdk_args")):
        server = bed.near(PEER + ["echo", "7000"], "--set", 'on_error="exit"', *options)
        if server.wait(15) == 0:
            raise Failure("ended as if nothing were wrong")
        if not re.search(rf"cannot start: {key}: .* MB .* leaves", server.output()):
            raise Failure(f"says: {server.output()!r}")
        if key != "dpdk_args" and not re.search(r"about \d+ fit", server.output()):
            raise Failure(f"does not say what fits: {server.output()!r}")


@case(modes=(COMPLETION,), kernel=False, seconds=40)
def pool_smaller_than_asked(bed):
    """-m contradicts mbuf_pool_size: what was asked for and what was made."""
    _, text = said(bed, "--set", "mbuf_pool_size=1024000", "--dpdk-arg", "-m", "--dpdk-arg", "256")
    match = re.search(r"mbuf_pool_size = 1024000: made (\d+) packets, .*-m or --socket-mem", text)
    if not match or not 4096 <= int(match.group(1)) < 200000:
        raise Failure(f"says: {text!r}")


@case(modes=(COMPLETION,), kernel=False, seconds=40)
def pool_as_asked(bed):
    """A size that fits is made, also beyond what DPDK is given by default, and nothing is said."""
    server, text = said(bed, "--set", "mbuf_pool_size=200000")
    if "made" in text:
        raise Failure(f"says: {text!r}")
    shown = bed.ctl("lstack", "show", server.pid, "--yaml")
    if "200000" not in shown:
        raise Failure(f"gazellectl shows: {shown}")
