# SPDX-License-Identifier: BSD-3-Clause
"""Behind ltran nobody harms others: forged packets, forged registrations, broken rings, greed."""

import re
import shutil
import time

from cases_ltran import ONE, THREE, TWO, ask_redis, ltran_case, redis, refused
from cases_programs import REDIS, redis_benchmark
from harness import FAR, PEER, PYTHON, Failure
from ltran_bed import FULL, LTRAN_PEER, Capture, Ltran, far_mac_entry, instance_addr

# Step of the guest -> the row that counts it. 60 packets each.
FORGERIES = (
    ("udp:count=60,smac=02:00:00:00:00:99,dip=" + FAR, "spoofed-mac"),
    (f"udp:count=60,sip={TWO},dip={FAR}", "spoofed-ip"),
    ("udp:count=60,sip=203.0.113.1,dip=" + FAR, "spoofed-ip"),
    ("udp:count=60,sip=0.0.0.0,dip=" + FAR, "spoofed-ip"),
    (f"tcp:count=60,sip={TWO},dip={FAR},dport=80", "spoofed-ip"),
    (f"arp:count=60,op=2,sip={TWO},dip={FAR}", "spoofed-arp"),
    (f"arp:count=60,op=1,sip={TWO},dip={TWO}", "spoofed-arp"),
    (f"arp:count=60,op=2,sha=02:00:00:00:00:99,dip={FAR}", "spoofed-arp"),
    ("raw:count=60,type=0x86dd,size=100", "bad-frame"),
    ("raw:count=60,type=0x8100,size=100", "bad-frame"),
    ("raw:count=60,size=13", "bad-frame"),
    ("raw:count=60,type=0x0800,size=20", "bad-frame"),
)


@ltran_case()
def ltran_spoofing(bed):
    """Another's MAC address, IP address or ARP: nothing gets out, and the drop has its name."""
    net = Ltran(bed)
    redis(net, TWO)
    ask_redis(bed, TWO)
    before = far_mac_entry(bed, TWO)
    with Capture(bed, f"not host {TWO} or arp[6:2] = 99") as capture:
        for step, row in FORGERIES:
            guest = net.guest_ready(ONE, step, "stall:5")
            net.wait_until(lambda r=row: net.drops(ONE).get(r) == 60,
                           f"{step}: not 60 {row}: {net.drops(ONE)}", 3)
            if net.member(ONE)["tx_pkts"]:
                raise Failure(f"{step}: let through: {net.member(ONE)}")
            guest.stop()
            net.wait_members(1)
        time.sleep(0.2)
        if capture.lines():
            raise Failure(f"on the wire: {capture.lines()[:3]}")
    if far_mac_entry(bed, TWO).split()[:5] != before.split()[:5]:
        raise Failure(f"far believes {far_mac_entry(bed, TWO)}, not {before}")
    net.run_guest(ONE, f"udp:count=60,dip={FAR}", "stall:0.3")
    ask_redis(bed, TWO)


@ltran_case()
def ltran_honest_guest(bed):
    """The same packets with the guest's own addresses do get out."""
    net = Ltran(bed)
    with Capture(bed, f"src host {ONE}") as capture:
        guest = net.guest_ready(ONE, f"udp:count=20,rate=200,dip={FAR}",
                                f"arp:count=1,op=1,dip={FAR}", "stall:5")
        net.wait_until(lambda: net.member(ONE)["tx_pkts"] == 21, "not 21 packets let through", 3)
        net.wait_until(lambda: len(capture.lines("UDP")) == 20, "not 20 packets on the wire", 3)
        if net.drops(ONE):
            raise Failure(f"dropped: {net.drops(ONE)}")
        guest.stop()


@ltran_case()
def ltran_address_taken(bed):
    """Another program's address is refused, with a text; the owner goes on undisturbed."""
    net = Ltran(bed)
    redis(net, ONE)
    ask_redis(bed, ONE)
    output = refused(net, ONE)
    if "EADDRINUSE" not in output or ONE not in output:
        raise Failure(output)
    second = net.instance(PEER + ["echo", "7000"], ONE)
    if second.wait(15) == 0 or ONE not in second.output():
        raise Failure(f"a second program says {second.output()!r}")
    bed.run_far(redis_benchmark(ONE, 5000), expect='"GET"')
    if len(net.members()) != 1:
        raise Failure(f"instances: {net.members()}")


@ltran_case()
def ltran_port_taken(bed):
    """The same program may share the address, but not a port that it has not asked to share."""
    net = Ltran(bed)
    redis(net, ONE)
    ask_redis(bed, ONE)
    second = redis(net, ONE)
    net.wait_until(lambda: "already in use" in second.output(), "a taken port was not refused", 10)
    second.stop()
    net.instance(REDIS[:1] + ["--port", "6380"] + REDIS[3:] + ["--bind", ONE], ONE)
    bed.until(bed.run_far, ["redis-cli", "-h", ONE, "-p", "6380", "ping"], "PONG")
    bed.run_far(["redis-cli", "-h", ONE, "-p", "6380", "set", "a", "other"], expect="OK")
    if "other" in bed.run_far(["redis-cli", "-h", ONE, "get", "a"]):
        raise Failure("the wrong server got it")


@ltran_case()
def ltran_port_taken_late(bed):
    """listen() itself says so to a process that is an instance already."""
    net = Ltran(bed)
    bed.far(PEER + ["echo", "7000"])
    net.instance(PEER + ["echo", "7001"], ONE)
    bed.run_far(PEER + ["echo-many", ONE, "7001", "2"], expect="ok")
    for local in (ONE, "0.0.0.0"):
        late = net.instance(LTRAN_PEER + ["listen-late", FAR, "7000", local, "7001"], ONE)
        bed.finish(late, expect="EADDRINUSE")


BOUND_TWICE = """
import socket, sys
first = socket.socket()
first.bind((sys.argv[2], 5000))
first.connect((sys.argv[1], 7000))
second = socket.socket()
second.bind(("", 5000))
second.connect((sys.argv[1], 7000))
"""


@ltran_case()
def ltran_port_taken_ends(bed):
    """on_error="exit" ends a process that is an instance already."""
    net = Ltran(bed)
    bed.far(PEER + ["echo", "7000"])
    late = net.instance([PEER[0], "-c", BOUND_TWICE, FAR, ONE], ONE)
    if late.wait(15) != 2 or "already in use" not in late.output():
        raise Failure(f"{late.popen.poll()}: {late.output()}")
    net.wait_members(0, 5)


@ltran_case()
def ltran_malformed(bed):
    """Registrations that are wrong in one way each are refused, and cost nothing."""
    net = Ltran(bed)
    redis(net, TWO)
    ask_redis(bed, TWO)
    net.run_guest(ONE, options=("--malformed", "flood"))
    files = net.open_files()
    output = net.run_guest(ONE, options=("--malformed", "all"), timeout=40)
    for line in output.splitlines():
        if not re.search(r": (refused|closed)", line) and \
                line.split(":")[0] not in ("tiny-mtu", "path-empty", "wrong-mac"):
            raise Failure(f"not refused: {line}")
    net.wait_members(1, 3)
    net.wait_until(lambda: net.open_files() <= files, f"{net.open_files()} open files, not {files}", 3)
    ask_redis(bed, TWO)
    net.run_guest(ONE, expect="ready")


def bystander(bed, net):
    """Another instance with connections that are in use; its client."""
    net.instance(PEER + ["echo", "7000"], TWO)
    client = bed.far(LTRAN_PEER + ["hold-many", TWO, "7000", "5", "3600", "1"])
    net.wait_until(lambda: "open" in client.output(), "no connections of the bystander")
    return client


def unharmed(client):
    """Its connections have gone on all the time."""
    client.stop()
    if not client.output().endswith("ok\n"):
        raise Failure(f"another's connections: {client.output()[-300:]}")


def corrupt_kinds(bed):
    """What the guest can do to its ring."""
    guest = bed.build / "tests" / "ltran_guest"
    if not shutil.which(str(guest)):
        raise Failure(f"{guest} is not built")
    done = bed.far([str(guest)])
    done.wait(5)
    return done.output().split("kinds of corrupt:")[-1].split()


@ltran_case(seconds=90)
def ltran_broken_ring(bed):
    """Nonsense in a ring costs its instance, not ltran and not the others."""
    net = Ltran(bed)
    client = bystander(bed, net)
    kinds = corrupt_kinds(bed)
    if len(kinds) < 10:
        raise Failure(f"kinds: {kinds}")
    for ring in ("corrupt", "corrupt-rx"):
        guests = {}
        for number, kind in enumerate(kinds):
            addr = instance_addr(10 + number)
            guests[addr] = net.guest_ready(addr, f"udp:count=10,dip={FAR}", f"{ring}:{kind}",
                                           f"udp:count=300,dip={FAR}", "stall:20")
        for addr in guests:
            bed.run_far(LTRAN_PEER + ["flood-udp", addr, "9", "0.05", "3000"], expect="ok")
        net.alive()
        for guest in guests.values():
            guest.stop()
        net.wait_members(1, 5)
    net.run_guest(ONE, f"udp:count=10,dip={FAR}", expect="sent 10")
    unharmed(client)


@ltran_case()
def ltran_memory_taken_away(bed):
    """An instance that truncates its memory under the ring loses its port, nobody else anything."""
    net = Ltran(bed)
    client = bystander(bed, net)
    for _ in range(3):
        guest = net.guest_ready(ONE, f"udp:count=10,dip={FAR}", "truncate", "stall:3")
        bed.run_far(LTRAN_PEER + ["flood-udp", ONE, "9", "0.3", "1000"], expect="ok")
        net.alive()
        guest.stop()
        net.wait_members(1, 5)
    # Whoever touches a page while it is taken out of a file waits as long as that call lasts: it cannot be, or,
    # where the kernel has no way to keep it from being, costs the port.
    guest = net.guest_ready(ONE, "punch", f"udp:count=10,dip={FAR}", "stall:3")
    net.wait_until(lambda: "punch Operation not permitted" in guest.output()
                   or re.search("pages of its memory have gone|memory has holes", net.proc.output()), "its pages are gone", 5)
    guest.stop()
    net.wait_members(1, 5)
    net.run_guest(ONE, f"udp:count=10,dip={FAR}", expect="sent 10")
    unharmed(client)


# What an instance does -> what ltran says of it; None: it only harms itself.
HOSTILE = (
    ((), "call-full", None),
    ((), "kicks:2", None),
    ((), "half", None),
    ((), "grow", "a size of a ring"),
    (("--memory", "fuse"), "stall:0", "memfd"),
    (("--doorbell", "fuse"), "stall:0", "doorbell"),
)


@ltran_case(seconds=60)
def ltran_hostile(bed):
    """Doorbells that block or never rest, memory that never comes, half messages: ltran waits for none."""
    net = Ltran(bed)
    client = bystander(bed, net)
    for number, (options, step, reason) in enumerate(HOSTILE):
        addr = instance_addr(20 + number)
        guest = net.guest(addr, f"udp:count=10,dip={FAR}", step, f"udp:count=300,dip={FAR}", "stall:20",
                          options=options)
        net.wait_until(lambda g=guest: "ready" in g.output() or "no " in g.output()
                       or not g.running(), f"{step}: no guest", 10)
        if "no fuse" in guest.output():
            print(f"        {step} is not tried: this kernel lets nobody mount FUSE")
            guest.stop()
            continue
        net.tell_far_of(addr, guest)
        bed.run_far(LTRAN_PEER + ["flood-udp", addr, "9", "0.3", "3000"], expect="ok")
        if reason:
            net.wait_until(lambda r=reason: r in net.proc.output(), f"{step}: not cut off", 5)
        net.run_guest(ONE, f"udp:count=10,dip={FAR}", expect="sent 10")  # a newcomer gets its ring
        net.alive()
    unharmed(client)
    started = time.monotonic()
    net.proc.stop()  # with all of them still there
    if time.monotonic() - started > 1:
        raise Failure(f"ltran took {time.monotonic() - started:.1f} s to end")


@ltran_case(seconds=420 if FULL else 40)
def ltran_comings_and_goings(bed):
    """Instances come and go, 100 times a second, while workers sleep and wake."""
    net = Ltran(bed)
    client = bystander(bed, net)
    started, number, refused = time.monotonic(), 0, 0
    while time.monotonic() < started + (300 if FULL else 6):
        time.sleep(max(0, started + number / 95 - time.monotonic()))  # 100 is what one user may
        guests = [net.guest(instance_addr(20 + (number + i) % 100), f"udp:count=3,dip={FAR}")
                  for i in range(10)]
        for guest in guests:
            guest.wait(10)
            bed.procs.remove(guest)
            if "registers too often" in guest.output():
                refused += 1
            elif "sent 3" not in guest.output():
                raise Failure(f"a guest says {guest.output()!r}")
        number += len(guests)
        net.alive()
    print(f"        {number - refused} instances came and went, {refused} were too many for one user")
    if number < 10 * refused:
        raise Failure("many were refused")
    net.wait_members(1, 5)
    unharmed(client)


@ltran_case()
def ltran_stalled_reader(bed):
    """Who does not read its ring loses its own packets only."""
    net = Ltran(bed)
    net.instance(PEER + ["echo", "7000"], TWO)
    net.wait_members(1)
    net.guest_ready(ONE, "stall:30")
    flood = bed.far(LTRAN_PEER + ["flood-udp", ONE, "9", "3", "10000"])
    time.sleep(0.3)
    bed.run_far(LTRAN_PEER + ["hold-many", TWO, "7000", "20", "2", "1"], expect="ok")
    bed.finish(flood)
    if not net.drops(ONE).get("ring-full"):
        raise Failure(f"drops of the stalled one: {net.drops(ONE)}")
    if net.drops(TWO):
        raise Failure(f"drops of the other one: {net.drops(TWO)}")


# Counters and clock in one process: starting one for each figure takes a part of the time between them.
COUNT = """
import sys, time
def look():
    files = [f"/sys/class/net/{sys.argv[1]}/statistics/rx_{what}" for what in ("packets", "bytes")]
    return [int(open(name).read()) for name in files] + [time.monotonic()]
before = look()
time.sleep(float(sys.argv[2]))
*counts, taken = [b - a for a, b in zip(before, look())]
print(*[n / taken for n in counts])
"""


def measured(bed, net, step, seconds):
    """Packets and frame bytes a second that a guest gets through to far."""
    guest = net.guest_ready(ONE, "stall:0.5", step, "stall:1")
    time.sleep(1.5)  # the bucket is empty
    output = bed.run_far([PYTHON, "-c", COUNT, bed.far_dev, str(seconds)])
    guest.stop()
    net.wait_members(0, 5)
    return [float(n) for n in output.split()]


@ltran_case()
def ltran_rate_limit(bed):
    """rate_limit holds within 10 %, for packets and for bytes; who is not named has none."""
    limit = f'( {{ addr = "{ONE}"; packets = 5000; bytes = 2000000L; }} )'
    net = Ltran(bed, rate_limit=limit)
    packets, _ = measured(bed, net, f"udp:seconds=10,rate=20000,size=60,dip={FAR}", 2)
    if not 4500 < packets < 5500:
        raise Failure(f"{packets:.0f} packets a second instead of 5000")
    _, size = measured(bed, net, f"udp:seconds=10,rate=10000,size=1400,dip={FAR}", 2)
    if not 1800000 < size < 2200000:
        raise Failure(f"{size:.0f} bytes a second instead of 2000000")
    guest = net.guest_ready(ONE, f"udp:count=20000,size=60,dip={FAR}", "stall:5")
    net.wait_until(lambda: net.drops(ONE).get("rate", 0) > 10000, "the drops have no name", 3)
    guest.stop()
    net.guest_ready(THREE, f"udp:count=20000,rate=20000,size=60,dip={FAR}", "stall:5")
    net.wait_until(lambda: net.member(THREE)["tx_pkts"] == 20000, "not all of another's packets", 5)
