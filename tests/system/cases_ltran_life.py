# SPDX-License-Identifier: BSD-3-Clause
"""Behind ltran: kills, restarts, many instances. GAZELLE_FULL=1: the long forms."""

import os
import re
import resource
import signal
import time

from cases_ltran import (ONE, TWO, THREE, answers_by_worker, ask_redis, ltran_case, redis,
                         start_nginx)
from cases_ltran_safety import bystander, unharmed
from harness import CPUS, FAR, PEER, Failure, children
from ltran_bed import FULL, LTRAN_PEER, Ltran, instance_addr

KILLS = 1000 if FULL else 20
CONNECTIONS = 1000 if FULL else 100
INSTANCES = 100


def wait_for(client, text, seconds=15):
    deadline = time.monotonic() + seconds
    while text not in client.output():
        if not client.running() or time.monotonic() > deadline:
            raise Failure(f"no {text!r}: {client.output()[-400:]}")
        time.sleep(0.02)


def expect_reset(bed, client, killed_at):
    """The client's connections were all reset within a second, and what a busy machine adds."""
    output = bed.finish(client, 10, expect="ok")
    took = float(re.search(r"last ([\d.]+)", output).group(1)) - killed_at
    if took > 3:
        raise Failure(f"the last peer learnt it after {took:.2f} s")
    return took


@ltran_case()
def ltran_kill(bed):
    """Killed with -9: its peers are reset within a second, the others' connections go on."""
    net = Ltran(bed)
    victim = net.instance(PEER + ["echo", "7000"], ONE)
    net.instance(PEER + ["echo", "7000"], TWO)
    other = bed.far(LTRAN_PEER + ["hold-many", TWO, "7000", "20", "3", "1"])
    client = bed.far(LTRAN_PEER + ["expect-reset", ONE, "7000", "50", "5"])
    wait_for(client, "open")
    wait_for(other, "open")
    killed_at = time.time()
    victim.popen.send_signal(signal.SIGKILL)
    print(f"        resets after {expect_reset(bed, client, killed_at):.2f} s")
    bed.finish(other, expect="ok")
    if [m["addr"] for m in net.members().values()] != [TWO]:
        raise Failure(f"instances: {net.members()}")
    net.instance(PEER + ["echo", "7000"], ONE)
    bed.run_far(PEER + ["echo-many", ONE, "7000", "20"], expect="ok")


@ltran_case()
def ltran_kill_worker(bed):
    """One nginx worker of four is killed: its peers are reset, the address goes on with the rest."""
    net = Ltran(bed)
    server = start_nginx(bed, net)
    bed.until(bed.run_far, ["curl", "-sS", "-m", "5", f"http://{THREE}:8080/pid"], r"\d+")
    net.wait_members(4)
    victim = children(server.pid)[0]
    other = bed.far(["wrk", "-t", "1", "-c", "40", "-d", "3", f"http://{THREE}:8080/pid"])
    time.sleep(1)
    os.kill(victim, signal.SIGKILL)
    # nginx starts another one in its place.
    net.wait_until(lambda: victim not in net.members() and len(net.members()) == 4,
                   f"not four workers again: {list(net.members())}", 10)
    output = bed.finish(other, expect=r"[1-9]\d* requests in")
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    # The victim's connections break, about a quarter of 40; no other one does, and none hangs.
    if errors and (int(errors[2]) > 25 or errors[1] != "0" or errors[4] != "0"):
        raise Failure(errors[0])
    seen = answers_by_worker(bed, THREE, 100)
    if set(seen) != set(children(server.pid)):
        raise Failure(f"answers by worker: {seen}, workers {children(server.pid)}")


@ltran_case(seconds=3000 if FULL else 90)
def ltran_kills(bed):
    """After many kills of connected instances ltran has no more memory and files than before."""
    net = Ltran(bed)
    other = bystander(bed, net)
    sizes = []
    for number in range(KILLS):
        guest = net.guest_ready(ONE, f"udp:count=10,dip={TWO}", "echo:60")
        guest.popen.send_signal(signal.SIGKILL)
        guest.popen.wait(5)
        bed.procs.remove(guest)
        if number in (KILLS // 2, KILLS - 1):
            net.wait_members(1, 5)
            sizes.append((net.resident_kb(), net.open_files()))
    unharmed(other)
    (kb, files), (kb_after, files_after) = sizes
    print(f"        {KILLS} kills: {kb} kB and {files} files at half, {kb_after} kB and "
          f"{files_after} files at the end")
    # Of the last one something may be open still.
    net.wait_until(lambda: net.resident_kb() <= kb + 256, "ltran grows", 5)
    # A control connection may have been open in one of the two moments only.
    net.wait_until(lambda: net.open_files() <= files, "ltran has more files", 5)
    net.wait_until(lambda: net.packets_missing() < 64, f"{net.packets_missing()} packets lost", 3)


@ltran_case(seconds=240 if FULL else 90)
def ltran_kills_programs(bed):
    """The same with real programs that have connections."""
    net = Ltran(bed)
    sizes = []
    for number in range(KILLS // 4):
        server = net.instance(PEER + ["echo", "7000"], ONE)
        client = bed.far(LTRAN_PEER + ["expect-reset", ONE, "7000", "10", "5"])
        wait_for(client, "open")
        killed_at = time.time()
        server.popen.send_signal(signal.SIGKILL)
        expect_reset(bed, client, killed_at)
        server.popen.wait(5)
        net.wait_members(0, 5)
        sizes.append((net.resident_kb(), net.open_files()))
    kb, files = sizes[1]
    net.wait_until(lambda: net.open_files() <= files + 1 and net.resident_kb() <= kb + 256,
                   f"ltran grows: {sizes}", 5)


@ltran_case(seconds=120)
def ltran_restart(bed):
    """ltran is killed and started again: connections go on within two seconds, none is lost."""
    net = Ltran(bed)
    net.instance(PEER + ["echo", "7000"], ONE, memory_mb=192, tcp_conn_count=CONNECTIONS + 100,
                 mbuf_pool_size=16384)
    server = start_nginx(bed, net)
    bed.until(bed.run_far, ["curl", "-sS", "-m", "5", f"http://{THREE}:8080/pid"], r"\d+")
    client = bed.far(LTRAN_PEER + ["hold-many", ONE, "7000", str(CONNECTIONS), "12", "10"])
    wait_for(client, "open", 30)
    time.sleep(1)
    net.kill()
    killed = time.monotonic()
    net.start()
    took = net.wait_members(5, 10)
    away = time.monotonic() - killed
    print(f"        all instances back {away:.2f} s after the kill, "
          f"{took:.2f} s after the start")
    output = bed.finish(client, 30, expect="ok")
    longest = float(re.search(r"longest ([\d.]+)", output).group(1))
    print(f"        {CONNECTIONS} connections: longest wait for an answer {longest:.2f} s")
    # Each try of a client comes twice as late as the one before: the next one after ltran is back.
    if longest > max(2, 2 * away + 0.6):
        raise Failure(f"connections went on after {longest:.2f} s")
    seen = answers_by_worker(bed, THREE, 100)
    if set(seen) != set(children(server.pid)):
        raise Failure(f"answers by worker: {seen}")


@ltran_case()
def ltran_restart_without_numbers(bed):
    """A program that has taken every descriptor it may have: its connections go on after ltran's restart."""
    net = Ltran(bed)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limits = {ONE: ("512", "512", "0"), TWO: ("512", hard, "0"), THREE: ("512", "512", "1")}
    servers = {addr: net.instance(LTRAN_PEER + ["full-echo", "7000", "5", *limits[addr]], addr) for addr in limits}
    clients = [bed.far(LTRAN_PEER + ["hold-many", addr, "7000", "5", "9", "8"]) for addr in limits]
    for addr, client in zip(limits, clients):
        wait_for(client, "open", 15)
        wait_for(servers[addr], "EMFILE")
    for _ in range(2):
        net.kill()
        net.start()
        net.wait_members(len(limits), 10)
        time.sleep(0.5)
    for client in clients:
        bed.finish(client, 20, expect="ok")


@ltran_case()
def ltran_quit(bed):
    """SIGTERM ends it at once, files and all; a new one finds the instances again, which then have as
    many descriptors as before."""
    net = Ltran(bed)
    server = redis(net, ONE)
    ask_redis(bed, ONE)
    before = len(os.listdir(f"/proc/{server.pid}/fd"))
    for _ in range(2):
        net.proc.popen.terminate()
        if net.proc.wait(5) != 0:
            raise Failure(f"ended with {net.proc.popen.poll()}: {net.proc.output()[-300:]}")
        net.proc.on_gazelle = False
        net.start()
        net.wait_members(1, 10)
        ask_redis(bed, ONE)
    # A control connection may be open in one of the two moments.
    after = len(os.listdir(f"/proc/{server.pid}/fd"))
    if after > before + 1:
        raise Failure(f"{before} descriptors, {after} after two restarts of ltran")


@ltran_case(seconds=180)
def ltran_hundred(bed):
    """A hundred small instances without hugepages, all with a connection at the same time."""
    net = Ltran(bed)
    addrs = [instance_addr(n) for n in range(INSTANCES)]
    for number, addr in enumerate(addrs):
        net.instance(PEER + ["echo", "7000"], addr, memory_mb=24, cpu=CPUS[number % len(CPUS)],
                     mbuf_pool_size=4096, tcp_conn_count=16)
        if number % 4 == 3:  # as many start at a time
            net.wait_members(number + 1, 20)
    net.wait_members(INSTANCES, 30)
    bed.run_far(LTRAN_PEER + ["ask-all", "7000", *addrs], 60, expect="ok")
    total = sum(net.member(a)["rx_pkts"] > 3 for a in (addrs[0], addrs[-1]))
    if total != 2:
        raise Failure("their packets were not counted")


# A child of a program that has attached starts another, while its parent goes on. argv: FAR, the command.
STARTER = """
import os, socket, sys
far, *command = sys.argv[1:]
kept = socket.create_connection((far, 7001), 10)
if os.fork() == 0:
    os.execv(command[0], command)
while True:
    kept.send(b"x")
    os.waitpid(-1, 0)
"""


@ltran_case()
def ltran_child_starts_program(bed):
    """The program that a child starts by exec has the address beside its parent, which keeps its own."""
    net = Ltran(bed)
    bed.far(PEER + ["echo", "7001"])
    bed.run_far(PEER + ["echo-many", FAR, "7001", "1"], expect="ok")  # the parent connects once
    parent = net.instance([PEER[0], "-c", STARTER, FAR, *PEER, "echo", "7000"], ONE)
    bed.until(bed.run_far, PEER + ["echo-many", ONE, "7000", "8"], "ok")
    if len(net.members()) != 2 or not parent.running():
        raise Failure(f"instances: {net.members()}: {parent.output()}")
