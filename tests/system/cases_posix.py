# SPDX-License-Identifier: BSD-3-Clause
"""POSIX behaviour: what a program sees of its sockets is what it sees on the kernel."""

import difflib

from cases import BOTH, case
from harness import FAR, NEAR, Failure, sh


@case(modes=BOTH, kernel=False, seconds=90)
def posix_probe(bed):
    """The probe's observations, server and client threads in one process, line by line."""
    probe = str(bed.build / "tests" / "posix_probe")
    kernel = sh("ip", "netns", "exec", bed.far_ns, probe, FAR).splitlines()
    stack = bed.run_near([probe, NEAR], timeout=60).splitlines()
    stack = [line for line in stack if not line.startswith(("gazelle:", "==>"))]
    if len(kernel) < 100:
        raise Failure(f"the probe says only {len(kernel)} lines on the kernel")
    different = list(difflib.unified_diff(kernel, stack, "kernel", "stack", lineterm="", n=0))
    if different:
        raise Failure("\n".join(different[:20]))
