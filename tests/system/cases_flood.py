# SPDX-License-Identifier: BSD-3-Clause
"""Floods of SYNs from addresses that do not exist, and clients in between."""

import json
import re

from cases import KERNEL_PEER, case
from harness import NEAR, PEER, Failure


def flood(bed, kind, rate, seconds):
    """tests/flood.c from far, which has talked to near before."""
    return bed.far([bed.build / "tests" / "flood", bed.far_dev, bed.mac_of(NEAR), NEAR, str(rate),
                    str(seconds), kind, "7000"])


@case(wires=KERNEL_PEER, kernel=False)
def syn_flood(bed):
    """Everybody who asks is served, and what a stranger may take is not more than the backlog."""
    server = bed.near(PEER + ["echo", "7000"])
    bed.until(bed.run_far, PEER + ["echo-many", NEAR, "7000", "1"], "ok")
    syns = flood(bed, "syn", 5000, 6)
    for _ in range(4):
        bed.run_far(PEER + ["echo-many", NEAR, "7000", "50"], expect="ok")
    if int(re.search(r"(\d+) frames", bed.finish(syns, 60)).group(1)) < 5000:
        raise Failure(f"no flood: {syns.output()}")
    counts = dict(re.findall(r"(\w+): (\d+)", bed.ctl("lstack", "show", server.pid, "-s")))
    if int(counts["syncookies_sent"]) < 1000 or int(counts["syncookies_recv"]) < 50:
        raise Failure(f"no cookies: {counts}")
    bed.accelerated(server, least=200)


@case(wires=KERNEL_PEER, kernel=True)
def crowd(bed):
    """6,000 clients, 1,500 at once: what the wire or the backlog loses of them comes again soon."""
    server = bed.near(PEER + ["echo", "7000"])
    bed.until(bed.run_far, PEER + ["echo-many", NEAR, "7000", "1"], "ok")
    output = bed.run_far([str(bed.build / "tests" / "conn_storm"), NEAR, "7000", "6000", "1500"],
                         timeout=60)
    result = json.loads(output.splitlines()[-1])
    if result["errors"] or result["longest_s"] > 16:
        raise Failure(output)
    bed.accelerated(server, least=20000)
