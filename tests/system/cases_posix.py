# SPDX-License-Identifier: BSD-3-Clause
"""POSIX behaviour: what a program sees of its sockets is what it sees on the kernel."""

import difflib
import time

from cases import BOTH, COMPLETION, case
from harness import FAR, NEAR, PEER, Failure, sh


def compare(bed, program, least, *args):
    """A probe prints the same on the kernel and on the stack; on the kernel `least` lines or more."""
    probe = str(bed.build / "tests" / program)
    kernel = sh("ip", "netns", "exec", bed.far_ns, probe, FAR, *args, timeout=60).splitlines()
    stack = bed.run_near([probe, NEAR, *args], timeout=60).splitlines()
    stack = [line for line in stack if not line.startswith(("gazelle:", "==>"))]
    if len(kernel) < least:
        raise Failure(f"the probe says only {len(kernel)} lines on the kernel")
    different = list(difflib.unified_diff(kernel, stack, "kernel", "stack", lineterm="", n=0))
    if different:
        raise Failure("\n".join(different[:20]))


@case(modes=BOTH, kernel=False, seconds=90)
def posix_probe(bed):
    """The probe's observations, server and client threads in one process, line by line."""
    compare(bed, "posix_probe", 100)


@case(modes=BOTH, kernel=False, seconds=60)
def ready_probe(bed):
    """What epoll, poll and select say of a connection."""
    compare(bed, "ready_probe", 30)


@case(modes=BOTH, kernel=False, seconds=90)
def cancel_probe(bed):
    """Cancelled threads and handlers that jump out of calls leave nothing behind."""
    compare(bed, "cancel_probe", 400, "30")


@case(modes=BOTH, kernel=False, seconds=60)
def fault_probe(bed):
    """Pointers that lead nowhere are EFAULT, and nothing is lost."""
    compare(bed, "fault_probe", 120)


@case(modes=BOTH, kernel=False, seconds=60)
def number_probe(bed):
    """Without a number left, and in threads and children with a table of their own."""
    compare(bed, "number_probe", 80, str(bed.scratch / "file"))


@case(modes=BOTH, kernel=False, seconds=90)
def wait_probe(bed):
    """What ends each call that waits: handlers with SA_RESTART and without, time limits, data."""
    compare(bed, "wait_probe", 100)


@case(modes=BOTH, kernel=False, seconds=60)
def stream_probe(bed):
    """Streams of sockets: every function of stdio, bytes and wide characters, ends and errors."""
    compare(bed, "stream_probe", 320)
    compare(bed, "wide_probe", 180)


@case(modes=BOTH, kernel=False, seconds=60)
def state_probe(bed):
    """What calls and events say of a socket in each state; messages and datagrams."""
    compare(bed, "state_probe", 300)


@case(modes=BOTH, kernel=False, seconds=60)
def gone_probe(bed):
    """Every call, first and second time, on connections that are reset, closed or refused."""
    compare(bed, "gone_probe", 5000)


@case(modes=BOTH, kernel=False, seconds=60)
def descriptor_probe(bed):
    """Numbers, limits, lists, files and pipes; copies by pidfd; a child with the same memory."""
    compare(bed, "descriptor_probe", 120)


@case(modes=BOTH, kernel=False, seconds=60)
def copy_probe(bed):
    """Children made past fork(), by clone(), _Fork() and system calls, leave their parent alone."""
    compare(bed, "copy_probe", 10)


@case(modes=BOTH, kernel=False, seconds=60)
def leave_probe(bed):
    """A program whose first thread has ended by pthread_exit() ends with its last thread, or by a signal."""
    compare(bed, "leave_probe", 20)


@case(modes=BOTH, kernel=False, seconds=60)
def bounds_probe(bed):
    """Receiving no bytes, in each state and with each flag; what epoll checks of events, numbers and room."""
    compare(bed, "bounds_probe", 4000)


@case(modes=BOTH, kernel=False, seconds=60)
def race_probe(bed):
    """Calls at the moment of a refusal, and two threads that use a new socket at once."""
    compare(bed, "race_probe", 16)


@case(modes=BOTH, kernel=False, seconds=60)
def threads_probe(bed):
    """Two threads on one connection, one number or one set at the same time."""
    compare(bed, "threads_probe", 20)


@case(modes=BOTH, kernel=False, seconds=60)
def stack_probe(bed):
    """Calls in the smallest threads and in a handler on an alternate stack of 8 KB, also the first of all."""
    compare(bed, "stack_probe", 140, "handler")
    if bed.mode == COMPLETION:  # the start and the end of the library are the same in both
        compare(bed, "stack_probe", 15, "made")


SLOW_READER = """
import socket, time
listener = socket.create_server(("", 7000))
print("listening", flush=True)
connection, _ = listener.accept()
time.sleep(0.5)
total = 0
while data := connection.recv(65536):
    total += len(data)
print("received", total)
"""

SENDER = """
import os, socket, sys
connection = socket.create_connection((sys.argv[1], 7000))
connection.sendall(bytes(1000000))
(os._exit if sys.argv[2] == "_exit" else sys.exit)(0)
"""


@case(modes=BOTH, seconds=60)
def exit_delivers(bed):
    """What a program has sent arrives although it ends at once, by exit() and by _exit()."""
    for way in ("exit", "_exit"):
        reader = bed.far([PEER[0], "-c", SLOW_READER])
        while "listening" not in reader.output() and reader.running():
            time.sleep(0.05)
        bed.run_near([PEER[0], "-c", SENDER, FAR, way])
        bed.finish(reader, expect="received 1000000")


NUMBERS = """
import socket, sys
listener = socket.create_server((sys.argv[1], 7001))
accepted = []
for i in range(3):
    accepted.append(listener.accept()[0])
    accepted[-1].sendall(b"x")
print("highest", max(c.fileno() for c in accepted))
"""

KNOCK = """
import socket, sys
connections = []
for i in range(3):
    connections.append(socket.create_connection((sys.argv[1], 7001)))
    connections[-1].recv(1)
"""


@case(modes=BOTH)
def low_numbers(bed):
    """What the library opens for itself lies above the numbers that a program expects."""
    server = bed.near([PEER[0], "-c", NUMBERS, NEAR])
    bed.until(bed.run_far, [PEER[0], "-c", KNOCK, NEAR], "")
    bed.finish(server, expect=r"highest \d\b")
