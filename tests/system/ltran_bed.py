# SPDX-License-Identifier: BSD-3-Clause
"""ltran in a test bed: on near's veth end, with instances behind it; far is a kernel.

Instances have the addresses instance_addr(0), ... of 198.18.0.0/24; FAR is no instance's.
"""

import os
import pathlib
import re
import shutil
import signal
import socket
import time

from harness import COMPLETION, CPUS, FAR, PYTHON, ROOT, RUN_DIR, WAKEUP, Failure, Proc, sh

LTRAN_PEER = [PYTHON, str(ROOT / "tests" / "system" / "ltran_peer.py")]
SUBNET, HOST_BITS = "198.18.0.0", 8
FULL = os.environ.get("GAZELLE_FULL") == "1"  # the long forms of tests that have a short one
MEMORY_MB = 128  # of packet memory of ltran
START_S = 15


def instance_addr(number):
    return f"198.18.0.{10 + number}"


def value(text):
    """A value of a configuration file."""
    return str(text) if isinstance(text, (int, float)) else \
        str(text) if str(text).startswith(("[", "(", '"')) else f'"{text}"'


class Ltran:
    """One ltran, and what is started behind it. Its processes belong to the bed."""

    def __init__(self, bed, start=True, dev=None, memory_mb=MEMORY_MB, limits=(), stderr=None, **keys):
        self.bed = bed
        self.limits = limits  # what prlimit(1) shall set for ltran
        self.stderr = stderr  # in place of the bed's log
        self.space = bed.near_ns
        self.prefix = keys.get("unix_prefix", bed.prefix + "-")
        self.proc = None
        args = ["-l", str(CPUS[0]), "--no-huge", "-m", str(memory_mb), "--no-pci",
                f"--vdev=net_af_packet0,iface={dev or bed.near_dev}"]
        self.keys = {"forward_kit_args": " ".join(args), "dispatch_subnet": SUBNET,
                     "dispatch_subnet_length": HOST_BITS, "dispatch_max_clients": 128,
                     "low_power_mode": 1, "unix_prefix": self.prefix, **keys}
        self.conf = bed.scratch / f"{self.prefix}ltran.conf"
        # Near's kernel shall say nothing on its own.
        sh("ip", "netns", "exec", bed.near_ns, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        self.instances = []
        if start:
            self.start()

    # --- the process -----------------------------------------------------------------------------

    def start(self, wait=True):
        """Starts ltran, again after a kill or stop."""
        self.conf.write_text("".join(f"{k}={value(v)}\n" for k, v in self.keys.items()))
        argv = ["prlimit", *self.limits] if self.limits else []
        if self.stderr:
            argv += ["sh", "-c", 'exec "$@" 2>"$0"', self.stderr]
        argv += ["ip", "netns", "exec", self.space, str(self.bed.build / "dispatcher" / "ltran"),
                "--config-file", str(self.conf)]
        self.proc = Proc(argv, self.bed.logs / f"{len(self.bed.procs):02d}-ltran.log", True)
        # Stopped last, whatever has been started before it.
        self.bed.procs.insert(0, self.proc)
        if wait:
            self.wait_until(self.answers, "ltran did not start")
        return self.proc

    def answers(self):
        """It has its control socket, and somebody listens on its registration socket."""
        if not (RUN_DIR / f"{self.prefix}ltran_{self.proc.pid}.sock").exists():
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            return sock.connect_ex(str(RUN_DIR / f"{self.prefix}ltran_client.sock")) == 0

    def wait_until(self, condition, what, seconds=START_S):
        """Until condition() is true while ltran lives; the seconds it took."""
        started = time.monotonic()
        while not condition():
            if not self.proc.running():
                raise Failure(f"{what}: ltran ended with {self.proc.popen.poll()}: "
                              + self.proc.output()[-600:])
            if time.monotonic() - started > seconds:
                raise Failure(f"{what} within {seconds} s")
            time.sleep(0.02)
        return time.monotonic() - started

    def kill(self):
        self.proc.popen.send_signal(signal.SIGKILL)
        self.proc.popen.wait(5)
        self.proc.on_gazelle = False  # it need not end by SIGTERM any more

    def alive(self):
        """It runs, and has said nothing that looks like a crash."""
        if not self.proc.running():
            raise Failure(f"ltran ended with {self.proc.popen.poll()}: {self.proc.output()[-600:]}")

    def resident_kb(self):
        """Its memory but for DPDK's, of which packets use more and more as they take turns; a leak
        there ends in a full heap, see packets_missing()."""
        total, counts = 0, True
        for line in pathlib.Path(f"/proc/{self.proc.pid}/smaps").read_text().splitlines():
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                counts = "nohuge" not in line
            elif counts and line.startswith("Rss:"):
                total += int(line.split()[1])
        return total

    def packets_missing(self):
        """Packet buffers that are in use."""
        free, total = re.search(r"mbuf_pool_freecnt: (\d+) of (\d+)", self.ctl("ltran", "show")).groups()
        return int(total) - int(free)

    def open_files(self):
        return len(list(pathlib.Path(f"/proc/{self.proc.pid}/fd").iterdir()))

    # --- what it says of itself -------------------------------------------------------------------

    def ctl(self, *argv, check=True):
        return self.bed.ctl(*argv, "-u", self.prefix, check=check)

    def members(self):
        """`ltran show -i`: a dict of figures for each instance, by pid; "drops" is a dict of its own."""
        found = {}
        for block in re.split(r"^- ", self.ctl("ltran", "show", "-i", "--yaml"), flags=re.M)[1:]:
            head, _, drops = block.partition("drops:")
            row = {k: int(v) if v.isdigit() else v
                   for k, v in re.findall(r"^ *(\w+): *(.+?) *$", head, re.M)}
            row["drops"] = {name: int(n) for name, n in
                            re.findall(r"name: *([\w-]+)\s+packets: *(\d+)", drops)}
            found[row["pid"]] = row
        return found

    def has(self, addr):
        """An instance of the address is registered; there may be several."""
        return any(m.get("addr") == addr for m in self.members().values())

    def member(self, addr):
        """The only instance of an address; None: there is none."""
        rows = [m for m in self.members().values() if m.get("addr") == addr]
        if len(rows) > 1:
            raise Failure(f"{len(rows)} instances of {addr}")
        return rows[0] if rows else None

    def wait_members(self, count, seconds=START_S):
        """Until so many instances are registered."""
        return self.wait_until(lambda: len(self.members()) == count,
                               f"not {count} instances", seconds)

    def drops(self, addr):
        """Drops of the only instance of an address, by name; those that are not 0."""
        return {k: n for k, n in (self.member(addr) or {"drops": {}})["drops"].items() if n}

    # --- instances -------------------------------------------------------------------------------

    def instance_conf(self, addr, memory_mb, keys):
        keys = {"dpdk_args": f'["--no-huge", "-m", "{memory_mb}"]', "use_ltran": 1,
                "host_addr": addr, "mask_addr": "255.255.255.0", "unix_prefix": self.prefix,
                "stack_thread_mode": self.bed.mode, "udp_enable": 1, "low_power_mode": 1,
                "on_error": "exit", **keys}
        if self.bed.mode == WAKEUP and "num_cpus" not in keys:
            keys["num_cpus"] = str(CPUS[0])
        path = self.bed.scratch / f"{addr}-{len(self.bed.procs)}.conf"
        path.write_text("".join(f"{k}={value(v)}\n" for k, v in keys.items()))
        return path

    def instance(self, argv, addr, memory_mb=64, cpu=CPUS[-1], preload=None, **keys):
        """Starts a program on the address; it may come up before ltran does. `preload`: in place of the
        build's library."""
        program = shutil.which(str(argv[0]))
        if program is None:
            raise Failure(f"no {argv[0]}")
        library = self.bed.build / "preload" / "liblstack.so"
        env = {"LD_PRELOAD": library if preload is None else preload,
               "LSTACK_CONF_PATH": self.instance_conf(addr, memory_mb, keys),
               "GAZELLE_BIND_PROCNAME": os.path.basename(os.path.realpath(program))}
        pin = ["taskset", "-c", str(cpu)] if self.bed.mode == COMPLETION else []
        # A namespace each: a socket bound to any address is one of the kernel's as well.
        full = pin + ["unshare", "-n", "env"]
        full += [f"{k}={v}" for k, v in env.items()] + [str(a) for a in argv]
        name = f"{len(self.bed.procs):02d}-{addr}-{pathlib.Path(str(argv[0])).name}.log"
        proc = Proc(full, self.bed.logs / name, True)
        self.bed.procs.append(proc)
        return proc

    def guest(self, addr, *steps, options=()):
        """tests/ltran_guest: an instance without a stack, which does what the steps say."""
        argv = [self.bed.build / "tests" / "ltran_guest", "--dir", RUN_DIR, "--prefix", self.prefix,
                *options, addr, *steps]
        name = f"{len(self.bed.procs):02d}-{addr}-guest.log"
        proc = Proc(argv, self.bed.logs / name, False)
        self.bed.procs.append(proc)
        return proc

    def guest_ready(self, addr, *steps, options=()):
        """The same, as soon as its ring is open."""
        proc = self.guest(addr, *steps, options=options)
        self.wait_until(lambda: "ready" in proc.output() or not proc.running(), "no guest")
        if "ready" not in proc.output():
            raise Failure(f"guest: {proc.output()}")
        self.tell_far_of(addr, proc)
        return proc

    def tell_far_of(self, addr, proc):
        """A guest answers no ARP."""
        mac = re.search(r"mac=(\S+)", proc.output()).group(1)
        sh("ip", "-n", self.bed.far_ns, "neigh", "replace", addr, "lladdr", mac, "dev",
           self.bed.far_dev, "nud", "permanent")

    def run_guest(self, addr, *steps, options=(), expect=None, timeout=20):
        """The same, to its end; its output."""
        return self.bed.finish(self.guest(addr, *steps, options=options), timeout, expect)


class Capture:
    """tcpdump on far's end of the wire: what has left ltran. Use as a context manager."""

    def __init__(self, bed, expression=""):
        self.argv = ["ip", "netns", "exec", bed.far_ns, "tcpdump", "-i", bed.far_dev, "-Q", "in", "-n",
                     "-e", "-l", "-U", "--immediate-mode"] + expression.split()
        self.bed = bed
        self.proc = None

    def __enter__(self):
        self.proc = Proc(self.argv, self.bed.logs / f"{len(self.bed.procs):02d}-tcpdump.log", False)
        self.bed.procs.append(self.proc)
        deadline = time.monotonic() + 5
        while "listening on" not in self.proc.output():
            if time.monotonic() > deadline:
                raise Failure(f"tcpdump: {self.proc.output()}")
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        self.proc.stop()

    def lines(self, text=""):
        """The packets so far whose line contains `text`."""
        return [line for line in self.proc.output().splitlines()
                if re.match(r"\d\d:\d\d:\d\d\.", line) and text in line]


def far_mac_entry(bed, addr):
    """What far's neighbour table says of an address."""
    return sh("ip", "-n", bed.far_ns, "neigh", "show", addr)


__all__ = ["Capture", "FAR", "FULL", "LTRAN_PEER", "Ltran", "far_mac_entry", "instance_addr"]
