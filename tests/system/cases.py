# SPDX-License-Identifier: BSD-3-Clause
"""The register of system tests."""

import dataclasses
from typing import Callable

from harness import COMPLETION, WAKEUP

BOTH = (COMPLETION, WAKEUP)
ALL_WIRES = ("af_packet", "tap", "fast")
KERNEL_PEER = ("af_packet", "tap")  # wires whose far end is the kernel

CASES = []


@dataclasses.dataclass(frozen=True)
class Case:
    """One test function and the settings it runs in."""

    name: str
    run: Callable
    wires: tuple
    modes: tuple
    seconds: int   # after which it has failed
    kernel: bool   # makes sense with the kernel on both ends


def case(wires=("af_packet",), modes=BOTH, seconds=60, kernel=True):
    def register(function):
        CASES.append(Case(function.__name__, function, tuple(wires), tuple(modes), seconds, kernel))
        return function
    return register
