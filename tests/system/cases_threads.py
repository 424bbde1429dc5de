# SPDX-License-Identifier: BSD-3-Clause
"""Many threads of one program that talk to each other, where others compute on the same cores.

GAZELLE_FULL=1: in run-to-wakeup, too, whose stack would rather have a core of its own."""

import contextlib
import re

from cases import BOTH, COMPLETION, case
from harness import CPUS, FAR, NEAR, Failure
from ltran_bed import FULL

SECONDS = "2"
BUSY_LOOPS = 2         # on a core
WORST_US = 500000      # nobody was woken, and a timer has helped
TRIES = 3
SHARE = 6              # of the kernel's connections a sixth must be there
# servers, clients, threads that poll
FEW, MANY = ("1", "1", "1"), ("4", "14", "0")


@contextlib.contextmanager
def busy_cores(bed):
    loops = [bed.plain(["taskset", "-c", str(cpu), "timeout", "120", "sh", "-c", "while :; do :; done"])
             for cpu in {CPUS[0], CPUS[-1]} for _ in range(BUSY_LOOPS)]
    try:
        yield
    finally:
        for loop in loops:
            loop.stop(0)


def talk(bed, run, address, threads, *options):
    """Returns the number of connections and the longest."""
    churn = str(bed.build / "tests" / "thread_churn")
    output = bed.finish(run([churn, address, "7000", *threads, SECONDS], *options), 40)
    found = re.search(r"connections (\d+) errors 0 .* longest (\d+) us", output)
    if not found:
        raise Failure(f"no answer without errors: {output[-400:]!r}")
    return int(found[1]), int(found[2])


def compare(bed, name, threads, options):
    """Beside the kernel at the same time; a machine that stands still for a moment does so once or twice."""
    for _ in range(TRIES):
        kernel, _longest = talk(bed, bed.far, FAR, threads)
        ours, longest = talk(bed, bed.near, NEAR, threads, *options)
        text = f"{name}, threads {' '.join(threads)}: {ours} connections, the longest " \
               f"{longest / 1000:.0f} ms, kernel {kernel}"
        print(f"        {text}", flush=True)
        if ours * SHARE >= kernel and longest <= WORST_US:
            return
    raise Failure(text)


@case(modes=BOTH if FULL else (COMPLETION,), kernel=False, seconds=120)
def threads_share_busy_cores(bed):
    """Threads connect to their own program's listener, beside busy loops and beside a thread that polls:
    at least a sixth of the connections that the kernel makes, none of them waits for a timer."""
    settings = {"low_power_mode": ("--set", "low_power_mode=1")}
    if bed.mode == COMPLETION:  # a stack's thread that never sleeps needs a core of its own
        settings["polling"] = ()
    with busy_cores(bed):
        for threads in (FEW, MANY) if bed.mode == COMPLETION else (MANY,):
            for name, options in settings.items():
                compare(bed, name, threads, options)
