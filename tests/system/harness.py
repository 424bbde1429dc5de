# SPDX-License-Identifier: BSD-3-Clause
"""Test beds: two hosts in network namespaces, one of them on Gazelle.

    near 198.18.0.1  the end under test, always on Gazelle
    far  198.18.0.2  its peer: the kernel, or Gazelle too on the fast wire

Wires:
    af_packet  veth pair; near opens its end with DPDK's af_packet driver, far is the kernel
    tap        near makes a tap device; the kernel's side of it is far, in the same namespace
    lossy      as af_packet, with perf/lossy in between: 1 % of the packets of both directions get
               lost, and the round trip is 1 ms
    fast       near is virtio-user, far is vhost-user: both on Gazelle, no kernel in between
    fast-plain the same with a far end that offers no TSO
    kernel     veth pair with the kernel on both ends, to test the tests (GAZELLE_OFF=1)

Nowhere does near's kernel own near's address, so a program that reaches its peer from near, or is
reached there, has been accelerated; counters() shows the same from inside.
"""

import contextlib
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else "python3"
RUN_DIR = pathlib.Path("/var/run/gazelle")
PEER = [PYTHON, str(ROOT / "tests" / "system" / "peer.py")]
NEAR, FAR = "198.18.0.1", "198.18.0.2"
NEAR_KERNEL = "198.18.0.3"  # where near's kernel has an address too
COMPLETION, WAKEUP, KERNEL = "run-to-completion", "run-to-wakeup", "kernel"
CPUS = sorted(os.sched_getaffinity(0))


class Failure(Exception):
    """What a test found wrong."""


class Skip(Exception):
    """Why a test cannot run on this host."""


def sh(*argv, check=True, timeout=20, **more):
    """Runs a helper command, returns its standard output."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=timeout, check=False, **more)
    if check and done.returncode:
        raise Failure(f"{shlex.join(argv)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


class Proc:
    """A program started by a bed; its output goes to a file. `pid` is the program's own."""

    def __init__(self, argv, log, on_gazelle, stdin=None):
        self.argv = [str(a) for a in argv]
        self.log = log
        self.on_gazelle = on_gazelle
        with open(log, "wb") as out:
            out.write(("$ " + shlex.join(self.argv) + "\n").encode())
            out.flush()
            self.skip = out.tell()
            # A session of its own: stop() reaches the program's children and nobody else.
            self.popen = subprocess.Popen(self.argv, stdout=out, stderr=subprocess.STDOUT,
                                          stdin=stdin or subprocess.DEVNULL,
                                          start_new_session=True)
        self.pid = self.popen.pid

    def output(self):
        with open(self.log, "rb") as log:
            log.seek(self.skip)
            return log.read().decode(errors="replace")

    def running(self):
        return self.popen.poll() is None

    def wait(self, timeout):
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f"still running after {timeout} s: {self.argv[-6:]}") from None

    def signal_group(self, number):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def stop(self, grace=5):
        """Ends the program; False where it had to be killed."""
        graceful = True
        if self.running():
            self.popen.terminate()
            try:
                self.popen.wait(grace)
            except subprocess.TimeoutExpired:
                graceful = False
        self.signal_group(signal.SIGKILL)
        self.popen.wait()
        return graceful


class Bed:
    """One test's network and processes. Use as a context manager."""

    serial = 0

    def __init__(self, wire, mode, build, logs, seconds=600):
        """`seconds`: how long the bed is needed at most. What it runs for itself ends then."""
        Bed.serial += 1
        self.seconds = seconds
        self.wire, self.mode, self.build, self.logs = wire, mode, pathlib.Path(build), logs
        self.prefix = f"gz{os.getpid()}x{Bed.serial}"
        self.near_ns, self.far_ns = self.prefix + "n", self.prefix + "f"
        self.lossy_ns = self.prefix + "l"
        self.near_dev, self.far_dev = f"gz{Bed.serial}n", f"gz{Bed.serial}f"
        self.no_huge = True
        self.procs = []
        self.complaints = []
        self.lossy_path = None
        self.closing = threading.Event()
        self.watcher = None
        # A directory of its own: socket paths are short.
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix=self.prefix))
        self.socket = str(self.scratch / "wire.sock")

    # --- network -------------------------------------------------------------------------------

    def __enter__(self):
        self.logs.mkdir(parents=True, exist_ok=True)
        try:
            self.make_network()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind, value, trace):
        self.close()
        if kind is None and self.complaints:
            raise Failure("; ".join(self.complaints))

    def make_network(self):
        for name in (self.near_ns, self.far_ns):
            sh("ip", "netns", "add", name)
            sh("ip", "-n", name, "link", "set", "lo", "up")
        if self.wire in ("af_packet", "kernel"):
            sh("ip", "link", "add", self.near_dev, "netns", self.near_ns, "type", "veth", "peer",
               "name", self.far_dev, "netns", self.far_ns)
            sh("ip", "-n", self.near_ns, "link", "set", self.near_dev, "up")
            sh("ip", "-n", self.far_ns, "link", "set", self.far_dev, "up")
            sh("ip", "-n", self.far_ns, "addr", "add", FAR + "/24", "dev", self.far_dev)
            if self.wire == "kernel":
                self.give_kernel_address()
            else:
                sh("ip", "netns", "exec", self.far_ns, "ethtool", "-K", self.far_dev,
                   "tx", "off", "tso", "off", "gso", "off", "gro", "off")
        elif self.wire == "lossy":
            self.make_lossy_path()
        elif self.wire == "tap":
            self.watcher = threading.Thread(target=self.watch_tap, daemon=True)
            self.watcher.start()

    def make_lossy_path(self):
        sh("ip", "netns", "add", self.lossy_ns)
        ends = ((self.near_ns, self.near_dev), (self.far_ns, self.far_dev))
        for space, dev in ends:
            sh("ip", "link", "add", dev, "netns", space, "type", "veth", "peer", "name", dev + "l",
               "netns", self.lossy_ns)
            sh("ip", "netns", "exec", space, "ethtool", "-K", dev, "tx", "off", "tso", "off",
               "gso", "off", "gro", "off")
            sh("ip", "-n", space, "link", "set", dev, "up")
            sh("ip", "-n", self.lossy_ns, "link", "set", dev + "l", "up")
        sh("ip", "-n", self.far_ns, "addr", "add", FAR + "/24", "dev", self.far_dev)
        argv = ["ip", "netns", "exec", self.lossy_ns, str(self.build / "perf" / "lossy"),
                "--loss-ab", "1", "--loss-ba", "1", "--delay-us", "500",
                "--seconds", str(int(self.seconds))]
        path = Proc(argv + [dev + "l" for _, dev in ends], self.logs / "lossy.log", False)
        self.lossy_path = path
        self.procs.append(path)
        deadline = time.monotonic() + 20
        while "ready" not in path.output():
            if not path.running() or time.monotonic() > deadline:
                raise Failure(f"the lossy path did not come up: {path.output()[-400:]}")
            time.sleep(0.05)

    def give_kernel_address(self, address=NEAR):
        """Near's kernel gets near's address, for tests of what must stay in the kernel, or one of
        its own beside it."""
        sh("ip", "-n", self.near_ns, "addr", "add", address + "/24", "dev", self.near_dev)

    def watch_tap(self):
        """The tap device comes and goes with near's process: give it far's address each time."""
        while not self.closing.wait(0.1):
            if sh("ip", "-n", self.near_ns, "-o", "link", "show", "dev", self.far_dev, check=False):
                if FAR not in sh("ip", "-n", self.near_ns, "-o", "addr", "show", "dev",
                                 self.far_dev, check=False):
                    sh("ip", "-n", self.near_ns, "addr", "add", FAR + "/24", "dev", self.far_dev,
                       check=False)
                    sh("ip", "-n", self.near_ns, "link", "set", self.far_dev, "up", check=False)

    def close(self):
        self.closing.set()
        if self.watcher:
            self.watcher.join()
        if self.lossy_path and not self.lossy_path.running():
            self.complaints.append("the lossy path ended before the test")
        for proc in reversed(self.procs):
            if not proc.stop() and proc.on_gazelle:
                self.complaints.append(f"SIGTERM did not end {proc.argv[-1]}")
        for name in (self.near_ns, self.far_ns, self.lossy_ns):
            sh("ip", "netns", "del", name, check=False)
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.clear_run_dir()

    def clear_run_dir(self):
        """Killed programs leave names behind, which the next start with their prefix would clear; a
        bed's prefix has no next start."""
        for path in RUN_DIR.glob(f"{self.prefix}[!0-9]*"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    # --- programs ------------------------------------------------------------------------------

    def gazelle_run(self, far, cpu, options):
        argv = [str(ROOT / "gazelle"), "run", "--mode", self.mode]
        if self.no_huge:
            argv += ["--dpdk-arg", "--no-huge"]
        argv += ["--addr", (FAR if far else NEAR) + "/24"]
        argv += ["--netns", self.far_ns if far else self.near_ns]
        if self.mode == WAKEUP and "--cpus" not in options:
            argv += ["--cpus", str(cpu)]
        if self.wire in ("af_packet", "lossy"):
            argv += ["--device", self.near_dev]
        elif self.wire == "tap":
            argv += ["--vdev", f"net_tap0,iface={self.far_dev}"]
        elif far:
            tso = ",tso=1" if self.wire == "fast" else ""
            argv += ["--vdev", f"net_vhost0,iface={self.socket},client=1{tso}"]
        else:
            argv += ["--vdev", "net_virtio_user0,mac=02:00:00:00:00:01,"
                     f"path={self.socket},server=1,queues=1"]
        return argv + list(options) + ["--"]

    def start(self, argv, far, options=(), stdin=None):
        """Starts a program on one end. Both ends keep to a core of their own where there are two,
        except that a stack's polling thread must not share its core with the program."""
        cpu = CPUS[-1] if far else CPUS[0]
        on_gazelle = self.wire != "kernel" and (not far or self.wire.startswith("fast"))
        pin = ["taskset", "-c", str(cpu)]
        if on_gazelle:
            full = self.gazelle_run(far, cpu, list(options)) + list(argv)
            if self.mode == COMPLETION and "--stacks" not in options:
                full = pin + full
        else:
            space = self.far_ns if far and self.wire != "tap" else self.near_ns
            full = pin + ["ip", "netns", "exec", space] + list(argv)
        number = len(self.procs)
        name = pathlib.Path(str(argv[0])).name
        proc = Proc(full, self.logs / f"{number:02d}-{'far' if far else 'near'}-{name}.log",
                    on_gazelle, stdin)
        self.procs.append(proc)
        return proc

    def plain(self, argv):
        """A program in near's namespace as it is, without `gazelle run`."""
        full = ["ip", "netns", "exec", self.near_ns, *argv]
        proc = Proc(full, self.logs / f"{len(self.procs):02d}-plain.log", False)
        self.procs.append(proc)
        return proc

    def near(self, argv, *options, stdin=None):
        return self.start(argv, False, options, stdin)

    def far(self, argv, *options, stdin=None):
        return self.start(argv, True, options, stdin)

    def finish(self, proc, timeout=30, expect=None):
        """Waits for a good end; returns the output."""
        code = proc.wait(timeout)
        output = proc.output()
        if code:
            raise Failure(f"{shlex.join(proc.argv[-8:])} ended with {code}: {output[-400:]}")
        if expect is not None and not re.search(expect, output):
            raise Failure(f"{shlex.join(proc.argv[-8:])}: no {expect!r} in {output[-400:]!r}")
        return output

    def run_far(self, argv, timeout=30, expect=None, stdin=None):
        return self.finish(self.far(argv, stdin=stdin), timeout, expect)

    def run_near(self, argv, timeout=30, expect=None, stdin=None):
        return self.finish(self.near(argv, stdin=stdin), timeout, expect)

    def until(self, run, argv, expect, seconds=20):
        """Repeats a short client until it succeeds: its server may still be starting."""
        deadline = time.monotonic() + seconds
        servers = [p for p in self.procs if p.running()] + self.procs[-1:]
        while True:
            try:
                return run(argv, timeout=seconds, expect=expect)
            except Failure:
                for proc in servers:
                    if proc.popen.poll() not in (None, 0):
                        raise Failure(f"{shlex.join(proc.argv[-6:])} ended: "
                                      f"{proc.output()[-600:]}") from None
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def mac_of(self, addr):
        """The MAC address behind an address, as far has learnt it."""
        space = self.near_ns if self.wire == "tap" else self.far_ns
        entry = sh("ip", "-n", space, "neigh", "show", addr, "dev", self.far_dev)
        found = re.search(r"lladdr (\S+)", entry)
        if found is None:
            raise Failure(f"far does not know {addr}: {entry!r}")
        return found.group(1)

    # --- what Gazelle says of itself -------------------------------------------------------------

    def ctl(self, *argv, check=True):
        return sh(str(self.build / "ctl" / "gazellectl"), *[str(a) for a in argv], check=check)

    def counters(self, pid):
        """Packets per node of the graph, all cores of the process added up."""
        packets = {}
        for line in self.ctl("graph", "show", pid).splitlines():
            match = re.match(r"\s*(?:\d+\s+)?([a-z][\w.-]*)\s+(\d+)\s+(\d+)\b", line)
            if match:
                name = match.group(1)
                packets[name] = packets.get(name, 0) + int(match.group(3))
        return packets

    def accelerated(self, proc, pid=None, least=1):
        """The program's packets are in its graph's counters."""
        if self.wire == "kernel":
            return
        packets = self.counters(pid or proc.pid)
        if packets.get("rx", 0) < least:
            raise Failure(f"the graph has seen {packets.get('rx', 0)} packets: {packets}")


def cpu_seconds(pid):
    """CPU time of a process so far, all threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children(pid):
    """Process ids of the children of a process."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(p) for p in task.read_text().split()]
    return found
