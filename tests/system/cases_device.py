# SPDX-License-Identifier: BSD-3-Clause
"""A device or a peer that goes and comes back: no core is burnt meanwhile, one line each way.

GAZELLE_FULL=1: taps and peers in both modes."""

import os
import re
import signal
import time

from cases import BOTH, COMPLETION, case
from cases_run import SECOND
from harness import FAR, NEAR, PEER, PYTHON, ROOT, WAKEUP, Failure, cpu_seconds, sh
from ltran_bed import FULL

IDLE_PERCENT = 1.0
LOW_POWER = ("--set", "low_power_mode=1")
SECONDS = 3
TRIES = 3  # something may be under way in one of them; who burns a core burns it in all


def idle_percent(pid):
    """Of one core, over some seconds."""
    time.sleep(2)  # what is under way is given up
    before, started = cpu_seconds(pid), time.monotonic()
    time.sleep(SECONDS)
    return 100 * (cpu_seconds(pid) - before) / (time.monotonic() - started)


def expect_idle(server, when):
    for _ in range(TRIES):
        percent = idle_percent(server.pid)
        print(f"        {when}: {percent:.1f} %", flush=True)
        if not server.running():
            raise Failure(f"{when}: ended: {server.output()[-500:]}")
        if percent <= IDLE_PERCENT:
            break
    else:
        raise Failure(f"{when}: {percent:.1f} % of a core, {IDLE_PERCENT} % are allowed")


def serves(bed, seconds=20):
    bed.until(bed.run_far, PEER + ["echo-many", NEAR, "7000", "4"], "ok", seconds=seconds)


def expect_lines(server, gone, back):
    """So many lines of each kind."""
    text = server.output()
    found = (len(re.findall(r"has gone|is down", text)), len(re.findall(r"is back|is up", text)))
    if found != (gone, back) or len(text.splitlines()) > 12:
        raise Failure(f"{found} lines of what went and came, {(gone, back)} expected: {text!r}")


def said(server, words, times):
    """Within seconds the server has said so, so often and not oftener."""
    deadline = time.monotonic() + 20
    while server.output().count(words) < times and time.monotonic() < deadline:
        time.sleep(0.1)
    if server.output().count(words) != times:
        raise Failure(f"{words!r} expected {times} times: {server.output()!r}")


def make_wire(bed, mac=None):
    more = ["address", mac] if mac else []
    sh("ip", "link", "add", bed.near_dev, "netns", bed.near_ns, *more, "type", "veth", "peer",
       "name", bed.far_dev, "netns", bed.far_ns)
    for space, dev in ((bed.near_ns, bed.near_dev), (bed.far_ns, bed.far_dev)):
        sh("ip", "netns", "exec", space, "ethtool", "-K", dev, "tx", "off", "tso", "off", "gso", "off",
           "gro", "off")
        sh("ip", "-n", space, "link", "set", dev, "up")
    sh("ip", "-n", bed.far_ns, "addr", "add", FAR + "/24", "dev", bed.far_dev)


@case(modes=BOTH if FULL else (COMPLETION,), kernel=False)
def threads_wait(bed):
    """Thirty threads, blocking calls, poll() and epoll: idle again after traffic, with the clients there and
    without."""
    server = bed.near([PYTHON, str(ROOT / "tests" / "system" / "threaded_server.py"), NEAR, "7000"],
                      *LOW_POWER)
    for kind in range(4):
        bed.until(bed.run_far, PEER + ["echo-many", NEAR, str(7000 + kind), "5"], "ok")
    clients = [bed.far(PEER + ["echo-many", NEAR, str(7000 + kind), "5", "3600"]) for kind in range(4)]
    expect_idle(server, "clients are silent")
    for client in clients:
        if not client.running() or client.output() != "ok\n":
            raise Failure(f"a client has not stayed: {client.output()[-400:]}")
        client.stop()
    expect_idle(server, "clients have gone")


@case(modes=BOTH if FULL else (COMPLETION,), kernel=False, seconds=60)
def device_has_one_program(bed):
    """A second program with the device and the address is refused and says who has it, the first notices
    nothing; with another address it runs. After SIGKILL of the first the next start works."""
    first = bed.near(PEER + ["serve", "7000"])
    bed.until(bed.run_far, PEER + ["upload", NEAR, "7000", "1000"], "ok")
    second = bed.near(PEER + ["serve", "7001"], "--set", 'on_error="exit"')
    while second.running():
        bed.run_far(PEER + ["upload", NEAR, "7000", "1000"], timeout=5, expect="ok")
    said = rf"cannot start: process {first.pid} \(.+\) has device {bed.near_dev} with address {NEAR},.*ltran"
    if second.wait(0) != 2 or not re.search(said, second.output()):
        raise Failure(f"ended with {second.wait(0)}: {second.output()!r}")
    third = bed.near(PEER + ["serve", "7001"], "--addr", SECOND + "/24")
    bed.until(bed.run_far, PEER + ["upload", SECOND, "7001", "1000"], "ok")
    bed.run_far(PEER + ["upload", NEAR, "7000", "1000"], timeout=5, expect="ok")
    third.stop()
    first.popen.kill()
    bed.near(PEER + ["serve", "7001"])
    bed.until(bed.run_far, PEER + ["upload", NEAR, "7001", "1000"], "ok")


# Two workers, each a child of fork() that first needs packets itself.
WORKERS = """
import os, socket, sys
listener = socket.create_server((sys.argv[1], 7000))
for _ in range(2):
    if os.fork() == 0:
        while True:
            client, _ = listener.accept()
            client.sendall(b"%d" % os.getpid())
            client.close()
os.wait()
os.wait()
"""
ASK = ("import socket, sys; s = socket.create_connection((sys.argv[1], 7000), 3); s.settimeout(3); "
       "print('worker', int(s.recv(16)))")


def worker_that_answers(bed):
    said = bed.until(bed.run_far, [PYTHON, "-c", ASK, NEAR], r"worker \d+", seconds=30)
    return int(re.search(r"worker (\d+)", said)[1])


@case(modes=(COMPLETION,), kernel=False, seconds=60)
def device_waits_for_worker(bed):
    """Of two workers of one master, one serves; the other says that it waits, and takes over."""
    master = bed.near([PYTHON, "-c", WORKERS, NEAR])
    first = worker_that_answers(bed)
    said(master, f"gazelle: waiting for process {first} (", 1)
    for _ in range(5):
        if worker_that_answers(bed) != first:
            raise Failure("both workers answer")
    os.kill(first, signal.SIGKILL)
    if worker_that_answers(bed) == first:
        raise Failure("the killed worker answers")


@case(modes=BOTH, kernel=False, seconds=100)
def device_goes(bed):
    """A kernel device is set down, and deleted and made again with its name and another address."""
    server = bed.near(PEER + ["echo", "7000"], *LOW_POWER)
    serves(bed)
    expect_idle(server, "device up")
    sh("ip", "-n", bed.near_ns, "link", "set", bed.near_dev, "down")
    expect_idle(server, "device down")
    sh("ip", "-n", bed.near_ns, "link", "set", bed.near_dev, "up")
    serves(bed)
    expect_lines(server, 1, 1)
    sh("ip", "-n", bed.near_ns, "link", "del", bed.near_dev)
    expect_idle(server, "device deleted")
    make_wire(bed, "02:00:00:00:0a:01")
    serves(bed)
    expect_idle(server, "device back")
    expect_lines(server, 2, 2)


@case(wires=("tap",), modes=BOTH if FULL else (WAKEUP,), kernel=False, seconds=100)
def tap_goes(bed):
    """The tap device is set down, and deleted for good."""
    server = bed.near(PEER + ["echo", "7000"], *LOW_POWER)
    serves(bed)
    bed.closing.set()
    bed.watcher.join()
    expect_idle(server, "tap as it is")
    sh("ip", "-n", bed.near_ns, "link", "set", bed.far_dev, "down")
    expect_idle(server, "tap down")
    sh("ip", "-n", bed.near_ns, "link", "set", bed.far_dev, "up")
    serves(bed)
    expect_idle(server, "tap up")
    sh("ip", "-n", bed.near_ns, "link", "del", bed.far_dev)
    expect_idle(server, "tap deleted")


@case(wires=("fast",), modes=BOTH if FULL else (COMPLETION,), kernel=False, seconds=100)
def peer_goes(bed):
    """The peer of a virtual wire ends, and another comes; both sides."""
    near = bed.near(PEER + ["echo", "7000"], *LOW_POWER)
    far = bed.far(PEER + ["echo", "7001"], *LOW_POWER)
    time.sleep(3)
    expect_idle(near, "with a peer")
    near.popen.kill()
    near.wait(5)
    expect_idle(far, "virtio-user peer gone")
    expect_lines(far, 1, 0)
    far.popen.kill()
    far.wait(5)
    near = bed.near(PEER + ["echo", "7000"], *LOW_POWER)
    serves(bed)
    expect_idle(near, "vhost peer gone")
    far = bed.far(PEER + ["echo", "7001"], *LOW_POWER)  # a client would end before it is told
    said(near, "is back", 1)
    far.popen.kill()
    far.wait(5)
    said(near, "has gone", 2)
