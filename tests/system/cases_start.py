# SPDX-License-Identifier: BSD-3-Clause
"""How programs start and end: settings, who is accelerated, kills, what is left behind."""

import contextlib
import os
import pathlib
import re
import signal
import time

from cases import BOTH, COMPLETION, case
from cases_programs import REDIS, redis_benchmark
from harness import NEAR, NEAR_KERNEL, PEER, Failure, Skip, sh


@case(modes=(COMPLETION,), kernel=False)
def other_program(bed):
    """A program that GAZELLE_BIND_PROCNAME does not name is left alone."""
    bed.give_kernel_address()
    conf = write_conf(bed)
    server = bed.near(PEER + ["echo", "7000"], "--procname", "somebody-else", "-c", conf)
    bed.run_far(PEER + ["echo-many", NEAR, "7000", "8"], expect="ok")
    if len(list(pathlib.Path(f"/proc/{server.pid}/task").iterdir())) != 1:
        raise Failure("it has threads of ours")
    if bed.ctl("graph", "show", server.pid, check=False):
        raise Failure("it has a graph")


LISTEN = """
import socket, sys
listener = socket.create_server((sys.argv[1], 7000))
print("listening", flush=True)
listener.accept()
print("accepted")
"""


@case(modes=BOTH, kernel=False)
def no_deaf_program(bed):
    """The stack cannot start and the kernel does not have the address: the program says so and ends.
    On every address the kernel serves it."""
    conf = write_conf(bed)
    path = pathlib.Path(conf)
    path.write_text(path.read_text().replace(f"iface={bed.near_dev}", "iface=nosuch0"))
    deaf = bed.near([PEER[0], "-c", LISTEN, NEAR], "-c", conf)
    if deaf.wait(20) != 2 or "the program ends: " not in deaf.output():
        raise Failure("it does not say why it ends:\n" + deaf.output())
    bed.give_kernel_address(NEAR_KERNEL)
    server = bed.near([PEER[0], "-c", LISTEN, ""], "-c", conf)
    bed.until(bed.run_far, [PEER[0], "-c", "import socket, sys\n"
                            "socket.create_connection((sys.argv[1], 7000))", NEAR_KERNEL], "")
    bed.finish(server, expect="accepted")


@case(modes=BOTH, kernel=False)
def both_worlds(bed):
    """A socket bound to any address is reached through the stack, the kernel and loopback."""
    bed.give_kernel_address(NEAR_KERNEL)
    server = bed.near(PEER + ["echo", "7000"])
    for host in (NEAR, NEAR_KERNEL):
        bed.run_far(PEER + ["echo-many", host, "7000", "8"], expect="ok")
    sh("ip", "netns", "exec", bed.near_ns, *PEER, "echo-many", "127.0.0.1", "7000", "8")
    bed.accelerated(server, least=8)


@case(modes=(COMPLETION,), kernel=False)
def thread_name(bed):
    """GAZELLE_THREAD_NAME: only sockets of threads with that name are accelerated."""
    bed.give_kernel_address(NEAR_KERNEL)
    os.environ["GAZELLE_THREAD_NAME"] = "fast-one"
    try:
        bed.near(PEER + ["named-echo", "fast-one", "7000", "7001"])
    finally:
        del os.environ["GAZELLE_THREAD_NAME"]
    bed.run_far(PEER + ["echo-many", NEAR, "7000", "8"], expect="ok")
    bed.run_far(PEER + ["echo-many", NEAR_KERNEL, "7001", "8"], expect="ok")
    bed.run_far(PEER + ["refused", NEAR, "7001"], expect="ok")


def write_conf(bed, *lines):
    """A configuration for near's veth, with `lines` added."""
    path = bed.logs / "lstack.conf"
    path.write_text("\n".join((
        'dpdk_args=["--no-huge", "--no-pci", "--vdev", "net_af_packet0,iface=%s"]' % bed.near_dev,
        f'host_addr="{NEAR}"', 'mask_addr="255.255.255.0"') + lines) + "\n")
    return str(path)


@case(modes=(COMPLETION,), kernel=False)
def wrong_setting(bed):
    """A bad value is named with file, line, key and range; the program runs on the kernel."""
    bed.give_kernel_address()
    conf = write_conf(bed, "nic_read_num=0")
    server = bed.near(PEER + ["echo", "7000"], "-c", conf)
    bed.run_far(PEER + ["echo-many", NEAR, "7000", "8"], expect="ok")
    if not re.search(r"lstack\.conf:4: nic_read_num.*0", server.output()):
        raise Failure(f"says: {server.output()!r}")


@case(modes=(COMPLETION,), kernel=False)
def wrong_device(bed):
    """What only DPDK can find out has the same effect as a wrong setting."""
    bed.give_kernel_address()
    conf = pathlib.Path(write_conf(bed))
    conf.write_text(conf.read_text().replace(bed.near_dev, "nosuchdev"))
    server = bed.near(PEER + ["echo", "7000"], "-c", str(conf))
    bed.run_far(PEER + ["echo-many", NEAR, "7000", "8"], expect="ok")
    if "azelle" not in server.output():
        raise Failure(f"says: {server.output()!r}")


@case(modes=(COMPLETION,), kernel=False)
def on_error_exit(bed):
    bed.give_kernel_address()
    conf = write_conf(bed, 'on_error="exit"', "nic_read_num=0")
    server = bed.near(PEER + ["echo", "7000"], "-c", conf)
    if server.wait(15) == 0:
        raise Failure("ended as if nothing were wrong")
    if "nic_read_num" not in server.output():
        raise Failure(f"says: {server.output()!r}")


@case(modes=(COMPLETION,), kernel=False)
def unknown_key(bed):
    """A warning with the nearest known key; the instance starts."""
    server = bed.near(PEER + ["echo", "7000"], "-c", write_conf(bed, "nic_read_nmu=64"))
    bed.run_far(PEER + ["echo-many", NEAR, "7000", "8"], expect="ok")
    if not re.search(r"nic_read_nmu.*nic_read_num", server.output()):
        raise Failure(f"says: {server.output()!r}")
    bed.accelerated(server, least=8)


class RuntimeFiles:
    """What appears where DPDK and Gazelle keep their files, from now on."""

    def __init__(self):
        self.before = self.now()

    @staticmethod
    def now():
        return {str(path) for directory in ("/run/gazelle", "/run/dpdk", "/var/run/dpdk",
                                            "/dev/hugepages", "/dev/shm")
                for path in pathlib.Path(directory).glob("*")}

    def of(self, pid):
        """New ones that carry the process's id; not as a part of a longer number."""
        return sorted(path for path in self.now() - self.before
                      if re.search(rf"(?<!\d){pid}(?!\d)", pathlib.Path(path).name))


def kill_in_traffic(bed, number):
    files, pids = RuntimeFiles(), []
    for _ in range(2):
        server = bed.near(REDIS + ["--bind", NEAR])
        bed.until(bed.run_far, ["redis-cli", "-h", NEAR, "ping"], "PONG", seconds=10)
        client = bed.far(redis_benchmark(NEAR, 10000000))
        time.sleep(1)
        if not client.running():
            raise Failure(f"no traffic: {client.output()[-300:]}")
        server.popen.send_signal(number)
        server.wait(5)
        client.stop()
        pids.append(server.pid)
    if bed.wire == "kernel":
        return
    if files.of(pids[0]):
        raise Failure(f"left behind after the next start: {files.of(pids[0])}")
    if number == signal.SIGTERM and files.of(pids[1]):
        raise Failure(f"left behind: {files.of(pids[1])}")


@case(modes=BOTH)
def sigkill(bed):
    """Killed in the middle of traffic; the next start works and clears what the first left."""
    kill_in_traffic(bed, signal.SIGKILL)


@case(modes=BOTH)
def sigterm(bed):
    kill_in_traffic(bed, signal.SIGTERM)


NR_HUGEPAGES = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")


def free_hugepages():
    return int((NR_HUGEPAGES.parent / "free_hugepages").read_text())


@contextlib.contextmanager
def reserved_hugepages(count):
    """At least `count` free hugepages; as many as before afterwards."""
    if not NR_HUGEPAGES.exists():
        raise Skip("this kernel has no 2 MB hugepages")
    before = NR_HUGEPAGES.read_text()
    try:
        NR_HUGEPAGES.write_text(str(int(before) + max(0, count - free_hugepages())))
        if free_hugepages() < count:
            raise Skip(f"the kernel could free {free_hugepages()} hugepages of {count}")
        yield
    finally:
        NR_HUGEPAGES.write_text(before)


def hugetlb_kb(pid):
    """Memory of a process that lies on hugepages."""
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(n) for n in re.findall(r"_Hugetlb:\s+(\d+) kB", rollup))


@case(wires=("af_packet", "fast"), modes=(COMPLETION,), kernel=False)
def hugepages(bed):
    """On hugepages: used; after SIGKILL the next start works and no page file stays."""
    bed.no_huge = False
    files, servers = RuntimeFiles(), []
    with reserved_hugepages(800):
        for _ in range(2):
            servers.append(bed.near(REDIS + ["--bind", NEAR]))
            bed.until(bed.run_far, ["redis-cli", "-h", NEAR, "ping"], "PONG")
            if hugetlb_kb(servers[-1].pid) == 0:
                raise Failure(f"runs without hugepages: {servers[-1].output()}")
            bed.run_far(redis_benchmark(NEAR, 20000), expect='"GET"')
            servers[-1].popen.kill()
            servers[-1].wait(5)
        if files.of(servers[0].pid):
            raise Failure(f"left behind after the next start: {files.of(servers[0].pid)}")


@case(modes=BOTH, kernel=False)
def address_of_another_station(bed):
    """Who has our address is named, once, and the program goes on."""
    sh("ip", "-n", bed.far_ns, "addr", "add", NEAR + "/24", "dev", bed.far_dev)
    mac = sh("ip", "netns", "exec", bed.far_ns, "cat", f"/sys/class/net/{bed.far_dev}/address")
    server = bed.near([PEER[0], "-c", LISTEN, NEAR])
    deadline = time.monotonic() + 20
    while "another station" not in server.output():
        if time.monotonic() > deadline or not server.running():
            raise Failure(f"nothing is said: {server.output()[-400:]}")
        time.sleep(0.05)
    time.sleep(3)  # the second announcement
    said = [line for line in server.output().splitlines() if "another station" in line]
    if len(said) != 1 or mac.strip().upper() not in said[0] or NEAR not in said[0]:
        raise Failure(f"{said} with {mac.strip()}")
    if not server.running():
        raise Failure(f"it has ended: {server.output()[-400:]}")
