# SPDX-License-Identifier: BSD-3-Clause
"""Behind ltran: what a hostile instance can think of costs itself its port, and nobody else anything."""

import contextlib
import os
import pathlib
import re
import signal
import statistics
import time

from cases_ltran import ONE, TWO, ask_redis, ltran_case, redis
from cases_ltran_safety import bystander, unharmed
from harness import CPUS, FAR, Failure, Skip, sh
from ltran_bed import FULL, LTRAN_PEER, Ltran, instance_addr

# Steps of tests/ltran_guest -> what ltran says when it cuts the instance off; None: nothing need happen.
BEHAVIOURS = (
    ("table:giant", "impossible size"),
    ("table:overlap", None),
    ("table:many", None),
    ("table:wrap", "beyond all addresses"),
    ("table:none", "cannot be"),
    ("table:pipe", "memfd"),
    ("table:short", "ends before it says"),
    ("table:sealed", "sealed against writing"),
    ("table:holes", "memory has holes"),
    ("table:punched", "memory has holes|pages of its memory"),
    ("rings:misaligned", None),
    ("rings:straddle", None),
    ("rings:outside", None),
    ("tables:0.5,0", None),
    ("enables:0.5,0", None),
    ("reconnects:0.5", None),
    ("asks:0.5", None),
    ("connects:0.5", None),
    ("again:0.5,1000", None),
    ("squat:40", None),
    ("drip:0.5", None),
    # The second where the user is ltran's, too, and the first of them are not read yet.
    ("fds:100", "descriptors where there are none|descriptors of ltran's user"),
    ("giant:2", "packets larger than IP's largest"),
    ("punch", None),
)


def stop_in_time(net, seconds=1):
    """SIGTERM ends ltran, whoever is there."""
    started = time.monotonic()
    net.proc.popen.terminate()
    net.proc.wait(10)
    took = time.monotonic() - started
    net.proc.on_gazelle = False
    if took > seconds:
        raise Failure(f"ltran took {took:.1f} s to end")


@ltran_case(seconds=120)
def ltran_hostile_front_ends(bed):
    """Everything a vhost-user front end or a registration can say wrong: named in the log, or harmless."""
    net = Ltran(bed)
    client = bystander(bed, net)
    for number, (step, reason) in enumerate(BEHAVIOURS):
        addr = instance_addr(20 + number)
        guest = net.guest_ready(addr, f"udp:count=10,dip={FAR}", step, f"udp:count=100,dip={FAR}", "stall:9")
        bed.run_far(LTRAN_PEER + ["flood-udp", addr, "9", "0.1", "3000"], expect="ok")
        if reason:
            net.wait_until(lambda r=reason: re.search(r, net.proc.output()), f"{step}: not cut off", 8)
        else:
            net.wait_until(lambda g=guest: "sent 100" in g.output() or not g.running(), f"{step}: hangs", 10)
        net.alive()
        guest.stop()
        net.run_guest(ONE, f"udp:count=10,dip={FAR}", expect="sent 10")  # a newcomer gets its ring
    unharmed(client)
    net.wait_members(1, 5)
    stop_in_time(net)


@ltran_case()
def ltran_stopped_instance(bed):
    """An instance that is stopped (SIGSTOP) with full rings holds up neither neighbours nor the end."""
    net = Ltran(bed)
    client = bystander(bed, net)
    guest = net.guest_ready(ONE, f"udp:seconds=20,dip={TWO}")
    time.sleep(0.3)
    guest.popen.send_signal(signal.SIGSTOP)
    bed.run_far(LTRAN_PEER + ["flood-udp", ONE, "9", "0.5", "10000"], expect="ok")
    net.run_guest(instance_addr(5), f"udp:count=10,dip={FAR}", expect="sent 10")
    unharmed(client)
    stop_in_time(net)
    guest.popen.send_signal(signal.SIGCONT)


@ltran_case()
def ltran_closers_wait(bed):
    """Descriptors whose close() waits for ever: few are taken, others go on, a kill -9 leaves nothing."""
    net = Ltran(bed)
    client = bystander(bed, net)
    files = net.open_files()
    guest = net.guest_ready(ONE, "fuse-fds:300", "stall:30")
    net.wait_until(lambda: "sent" in guest.output() or "no fuse" in guest.output(), "no answer", 20)
    if "no fuse" in guest.output():
        raise Skip("this kernel lets nobody mount FUSE: " + guest.output())
    if not re.search(r"sent [1-9]", guest.output()):
        raise Failure(guest.output())
    if net.open_files() > files + 64 + 20:
        raise Failure(f"{net.open_files()} descriptors, {files} before")
    net.alive()
    unharmed(client)
    net.kill()  # the processes that wait still share its descriptors
    killed = time.monotonic()
    net.start()
    net.wait_until(lambda: any(m["addr"] == TWO for m in net.members().values()), "the neighbour is not back", 5)
    print(f"        the neighbour is back {time.monotonic() - killed:.2f} s after the kill")
    stop_in_time(net)


def requests_a_second(bed, seconds=0.8):
    """Of redis on TWO, from far."""
    bench = bed.far(["timeout", str(seconds), "redis-benchmark", "-h", TWO, "-t", "get", "-c", "20", "-n",
                     "100000000", "-q"])
    bench.popen.wait(10)
    bed.procs.remove(bench)
    seen = re.findall(r"rps=([\d.]+) \(overall", bench.output())
    return statistics.median(map(float, seen)) if seen else 0.0


def rate_beside(bed, net, step):
    """The neighbour's rate beside a guest that takes the step."""
    guest = net.guest(instance_addr(20), step)
    sh("taskset", "-a", "-p", "-c", str(CPUS[-1]), str(guest.pid))
    time.sleep(0.3)
    rate = requests_a_second(bed)
    guest.popen.kill()
    guest.stop()
    bed.procs.remove(guest)
    time.sleep(0.2)
    return rate


def rates_beside(bed, net, step, rounds, least):
    """The neighbour's rates beside a guest that computes and beside one that takes the step: medians of
    `rounds` turns. A turn lasts two seconds, and what else this machine has to do may fall into half of one: where
    the second rate is too low, four turns more decide."""
    turns = []
    for most in (rounds, rounds + 4):
        while len(turns) < most:
            turns.append((rate_beside(bed, net, "burn:9"), rate_beside(bed, net, step)))
        without, beside = (statistics.median(column) for column in zip(*turns))
        if beside >= least * without:
            break
    return without, beside


BUSY = ("connects:9", "giant:9", "reconnects:9", "enables:9", "asks:9", "tables:9", "again:9,1000", "kicks:9", "drip:9")


@ltran_case(seconds=300 if FULL else 90)
def ltran_neighbour_keeps_rate(bed):
    """A neighbour keeps 90 % of its rate beside an instance that talks to ltran without end, compared with
    one that computes as long on the same core. Short form: less of it, and 60 %."""
    rounds, least = (5, 0.9) if FULL else (1, 0.6)
    net = Ltran(bed)
    redis(net, TWO)
    ask_redis(bed, TWO)
    requests_a_second(bed)
    for step in BUSY if FULL else BUSY[:4]:
        without, beside = rates_beside(bed, net, step, rounds, least)
        print(f"        {step}: {beside:.0f} requests a second, {without:.0f} beside a program that computes")
        if beside < least * without:
            raise Failure(f"{step}: {beside:.0f} requests a second instead of {without:.0f}")
    stop_in_time(net)


def others_register(net):
    """Another instance of the hog's user comes in as soon as that user's rate allows it."""
    def comes_in():
        guest = net.guest(instance_addr(5), f"udp:count=10,dip={FAR}")
        guest.wait(10)
        net.bed.procs.remove(guest)
        if "sent 10" not in guest.output() and "registers too often" not in guest.output():
            raise Failure(f"a guest says {guest.output()!r}")
        return "sent 10" in guest.output()
    net.wait_until(comes_in, "nobody else comes in", 5)


@ltran_case()
def ltran_descriptors_on_their_way(bed):
    """Who reads no answers, or fills the kernel's count of descriptors on their way, has nobody else refused."""
    net = Ltran(bed, limits=["--nofile=1024:1024"])
    client = bystander(bed, net)
    files = net.open_files()
    hog = net.guest(instance_addr(20), "unread:600", "stall:9")
    net.wait_until(lambda: "unread" in hog.output(), "the hog hangs", 20)
    others_register(net)
    if net.open_files() > files + 40:
        raise Failure(f"{net.open_files()} descriptors, {files} before")
    hog.stop()
    net.wait_until(lambda: net.open_files() <= files + 2, "connections are kept", 5)
    hog = net.guest(instance_addr(20), "fly:2000,2", "stall:9")
    net.wait_until(lambda: "flying 2" in hog.output(), "nothing flies", 10)
    others_register(net)
    if "landed" not in hog.output():
        raise Failure("the kernel did not count them")
    net.alive()
    unharmed(client)
    stop_in_time(net)


def fill(pipe):
    """Nobody reads it, and it has no room any more."""
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe, b"x" * 4096)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe, b"x")


def helper_of(pid):
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if pathlib.Path(f"/proc/{child}/comm").read_text().strip() == "ltran-helper":
            return int(child)
    raise Failure("no helper")


def end_beside(bed, steps, seconds=1):
    """SIGTERM for an ltran with a guest for each step, a stopped helper, and a log that nobody reads."""
    log = bed.scratch / "log"
    os.mkfifo(log)
    pipe = os.open(log, os.O_RDWR | os.O_NONBLOCK)
    net = Ltran(bed, limits=["--nofile=4096:4096"], stderr=log)
    for number, step in enumerate(steps):
        net.guest(instance_addr(20 + number), re.sub(r":0\.5\b", ":9", step), "stall:9")
    time.sleep(1)
    fill(pipe)
    time.sleep(0.3)
    os.kill(helper_of(net.proc.pid), signal.SIGSTOP)
    time.sleep(0.1)
    stop_in_time(net, seconds)
    os.close(pipe)
    log.unlink()
    for proc in bed.procs[1:]:
        proc.popen.kill()
        proc.popen.wait()
    bed.procs.clear()


@ltran_case(seconds=600 if FULL else 60)
def ltran_ends_beside_hostile_instances(bed):
    """Within a second: hostile instances of every kind at once; long form: 20 of each kind, too."""
    kinds = [step for step, _ in BEHAVIOURS] + [*BUSY, "unread:100", "fly:2000,9"]
    end_beside(bed, kinds)
    for step in kinds if FULL else []:
        try:
            # The end takes 0.1 s of a core; 20 guests that compute leave ltran a share of the cores.
            end_beside(bed, [step] * 20, 1 + 0.1 * 20 / os.cpu_count())
        except Failure as reason:
            raise Failure(f"20 times {step}: {reason}") from reason
