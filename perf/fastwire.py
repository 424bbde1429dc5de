#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The fast wire: two Gazelle processes back to back over virtio-user and vhost-user.

As a program it runs one server and one client on it and ends with the client's exit code:

    perf/fastwire.py [options] --server 'redis-server --port 6379 ...' -- redis-cli -h 198.18.0.1 ping

As a module it gives perf/run and the system tests what they share: hosts (network namespaces),
lstack.conf, hugepages, pinned processes. Everything made here goes away at the end of `with`.

Choices, each measured with testpmd and 64-byte packets, one core per side, 2 cores in all:
  packed_vq=1,queue_size=256   20 Mpps echoed with hugepages, 15 without (split ring: 10 and 8).
                               Longer queues only cost cache. For one packet at a time the split
                               ring (WIRE_SPLIT) is better: vhost takes 32 packets from its pool
                               before it looks whether a packed ring is empty. rr 1.7 and 2.1 us.
  hugepages                    twice the packet rate of --no-huge. liblstack runs DPDK with --in-memory
                               (no files, so nothing stays after a SIGKILL) and
                               --single-file-segments: a vhost-user peer can map 8 memory regions,
                               and one per page is too many.
  server=1, client=1           the server owns the socket, and clients may come and go.
  tso=1                        vhost lets virtio-user hand over packets of up to 64 KB, and takes them
                               (iperf3 27 and 60 Gbit/s; the other way, where virtio-user receives,
                               22 and 58).
  vhost on the client's side   vhost copies every frame, both ways, on its own core.
"""

import argparse
import contextlib
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SERVER_ADDR = "198.18.0.1"
CLIENT_ADDR = "198.18.0.2"
PREFIX_LEN = 24
MASK = "255.255.255.0"
MEMORY_MB = 256  # of each side
HUGEPAGE_KB = 2048
NR_HUGEPAGES = pathlib.Path("/proc/sys/vm/nr_hugepages")
WIRE_OPTIONS = "packed_vq=1,queue_size=256"
WIRE_SPLIT = "queue_size=256"
START_TIMEOUT_S = 15
STOP_TIMEOUT_S = 5
COMMAND_TIMEOUT_S = 20
END_SIGNALS = (signal.SIGALRM, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class WireError(Exception):
    """Something of the set-up failed; the text is for people."""


def sh(*args):
    """Run a command of the set-up."""
    try:
        done = subprocess.run(args, capture_output=True, text=True, check=False,
                              timeout=COMMAND_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise WireError(f"{shlex.join(args)}: no end after {COMMAND_TIMEOUT_S} s") from None
    if done.returncode != 0:
        raise WireError(f"{shlex.join(args)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def find_built(name, folder, override):
    """A file of the build: from the environment, else from build/, else the newest build*/."""
    if os.environ.get(override):
        return pathlib.Path(os.environ[override])
    builds = sorted(ROOT.glob(f"build*/{folder}/{name}"), key=lambda p: -p.stat().st_mtime)
    main = ROOT / "build" / folder / name
    if main.exists():
        return main
    if builds:
        return builds[0]
    raise WireError(f"{name} is not built (meson setup build && ninja -C build)")


class Hugepages:
    """Makes room for `needed_mb` of 2 MB pages; the old number comes back at the end."""

    def __init__(self, wish, needed_mb):
        self.wish, self.needed, self.used, self.old = wish, needed_mb * 1024 // HUGEPAGE_KB, False, None

    @staticmethod
    def meminfo(key):
        """Number of pages behind a HugePages_ key."""
        for line in open("/proc/meminfo", encoding="ascii"):
            if line.startswith(key + ":"):
                return int(line.split()[1])
        return 0

    def __enter__(self):
        if self.wish == "no":
            return self
        missing = self.needed - self.meminfo("HugePages_Free")
        try:
            if missing > 0:
                old = int(NR_HUGEPAGES.read_text())
                NR_HUGEPAGES.write_text(str(old + missing))
                self.old = old
        except OSError:
            pass
        self.used = self.meminfo("HugePages_Free") >= self.needed
        if not self.used:
            self.__exit__()
            if self.wish == "yes":
                raise WireError(f"{self.needed} hugepages of 2 MB cannot be had "
                                f"(echo {self.needed} > {NR_HUGEPAGES})")
        return self

    def __exit__(self, *_):
        if self.old is not None:
            NR_HUGEPAGES.write_text(str(self.old))
            self.old = None


class Process:
    """One program of a host, with its output in a file."""

    def __init__(self, argv, name, directory, stdout=None, stdin=subprocess.DEVNULL):
        self.log = directory / f"{name}.log"
        self.argv, self.conf = argv, None
        with open(self.log, "ab") as log:
            self.popen = subprocess.Popen(
                argv, stdin=stdin, stdout=log if stdout is None else stdout,
                stderr=log, text=True)
        self.pid = self.popen.pid

    def tail(self, lines=25):
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def alive(self):
        """Still running?"""
        return self.popen.poll() is None

    def wait(self, timeout):
        """Its output and exit code; killed when it takes too long."""
        try:
            out, _ = self.popen.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.stop()
            raise WireError(f"{shlex.join(self.argv)}: no end after {timeout:.0f} s\n"
                            + self.tail()) from None
        return out, self.popen.returncode

    def stop(self):
        """End it, politely first."""
        for sig in (signal.SIGTERM, signal.SIGKILL):
            if not self.alive():
                return
            self.popen.send_signal(sig)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(STOP_TIMEOUT_S)

    def cpu_seconds(self):
        """CPU time used so far, all threads, user and system."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii")
        fields = fields.rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Hosts:
    """Two network namespaces, "server" and "client", joined by a veth pair or by nothing.

    `addresses` names the sides whose kernel gets its address. Processes started here are stopped
    and namespaces removed at the end; `scratch` is a directory for logs, sockets and settings.
    """

    def __init__(self, veth=False, addresses=(), cpus=(0, 1), realtime=False):
        self.veth, self.addresses, self.realtime = veth, addresses, realtime
        self.cpu = {"server": cpus[0] % os.cpu_count(), "client": cpus[1] % os.cpu_count()}
        self.ns = {side: f"gzF{os.getpid()}{side[0]}" for side in ("server", "client")}
        self.dev = {side: f"gzF{os.getpid()}v{side[0]}" for side in self.ns}
        self.processes, self.counter = [], 0
        self.scratch = None

    def __enter__(self):
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="gazelle-wire-"))
        try:
            for side, ns in self.ns.items():
                sh("ip", "netns", "add", ns)
                sh("ip", "-n", ns, "link", "set", "lo", "up")
            if self.veth:
                sh("ip", "link", "add", self.dev["server"], "netns", self.ns["server"], "type",
                   "veth", "peer", "name", self.dev["client"], "netns", self.ns["client"])
            for side, ns in self.ns.items():
                if self.veth:
                    sh("ip", "-n", ns, "link", "set", self.dev[side], "up")
                if side in self.addresses:
                    addr = SERVER_ADDR if side == "server" else CLIENT_ADDR
                    sh("ip", "-n", ns, "addr", "add", f"{addr}/{PREFIX_LEN}", "dev", self.dev[side])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        # Nothing may interrupt this, neither a time limit nor an impatient user.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, END_SIGNALS)
        try:
            self.clean_up()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def clean_up(self):
        """Stop what runs, remove what was made."""
        for process in reversed(self.processes):
            process.stop()
        for ns in self.ns.values():
            subprocess.run(["ip", "netns", "del", ns], stderr=subprocess.DEVNULL, check=False)
        if os.environ.get("GAZELLE_KEEP_LOGS"):
            print(f"logs: {self.scratch}", file=sys.stderr)
        else:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def plain_peer(self, side):
        """Let the kernel of `side` finish its frames: an af_packet peer needs checksums and no GSO."""
        sh("ip", "netns", "exec", self.ns[side], "ethtool", "-K", self.dev[side],
           "tx", "off", "tso", "off", "gso", "off")

    def sysctl(self, side, key, value):
        """A setting of the kernel that is the namespace's own."""
        sh("ip", "netns", "exec", self.ns[side], "sysctl", "-qw", f"{key}={value}")

    def start(self, side, argv, env=None, capture=False, stdin=subprocess.DEVNULL):
        """Start a program on a host, pinned to the host's core."""
        self.counter += 1
        # `ip netns exec` and taskset exec the next program: the pid stays the program's own.
        # The preload is set last, by env, so that none of the others sees it.
        full = ["ip", "netns", "exec", self.ns[side], "taskset", "-c", str(self.cpu[side])]
        full += (["chrt", "--rr", "1"] if self.realtime else []) + ["env"]
        full += [f"{k}={v}" for k, v in (env or {}).items()] + argv
        process = Process(full, f"{self.counter}-{side}-{pathlib.Path(argv[0]).name}", self.scratch,
                          stdout=subprocess.PIPE if capture else None, stdin=stdin)
        process.conf = pathlib.Path(env["LSTACK_CONF_PATH"]) if env else None
        self.processes.append(process)
        return process


class Gazelle:
    """Settings of accelerated programs: writes lstack.conf and gives the environment for it."""

    def __init__(self, scratch, huge, mode="run-to-completion", keys=None, cpus=None,
                 memory_mb=MEMORY_MB):
        self.scratch, self.huge, self.mode = pathlib.Path(scratch), huge, mode
        self.memory_mb = memory_mb
        self.wire_options = WIRE_OPTIONS
        self.vhost_side = "client"
        self.keys, self.cpus = keys or {}, cpus or {"server": 0, "client": 1}
        self.socket = self.scratch / "wire.sock"
        self.lib = find_built("liblstack.so", "preload", "GAZELLE_LIB")

    def memory_args(self):
        """EAL options for packet memory; liblstack adds what the wire needs on hugepages."""
        return ([] if self.huge else ["--no-huge"]) + ["-m", str(self.memory_mb)]

    def wire_vdev(self, side):
        """The virtual device of one end of the fast wire; the server's end owns the socket."""
        is_server = side == "server"
        if side == self.vhost_side:
            return f"net_vhost0,iface={self.socket},tso=1" + ("" if is_server else ",client=1")
        return (f"net_virtio_user0,path={self.socket},{self.wire_options}"
                + (",server=1" if is_server else ""))

    def write_conf(self, side, vdev, name=None):
        """lstack.conf of one side; returns its path."""
        args = (["--vdev", vdev] if vdev else []) + self.memory_args()
        keys = {
            "dpdk_args": "[" + ", ".join(f'"{a}"' for a in args) + "]",
            "host_addr": f'"{SERVER_ADDR if side == "server" else CLIENT_ADDR}"',
            "mask_addr": f'"{MASK}"',
            "stack_thread_mode": f'"{self.mode}"',
            "tcp_conn_count": "2000",
            "mbuf_pool_size": "16384",
            "unix_prefix": f'"gz{os.getpid()}{side}"',
            "on_error": '"exit"',
        }
        if self.mode == "run-to-wakeup":
            keys["num_cpus"] = f'"{self.cpus[side]}"'
        keys.update(self.keys)
        path = self.scratch / f"{name or side}.conf"
        path.write_text("".join(f"{k}={v}\n" for k, v in keys.items()))
        return path

    def env(self, conf, argv):
        """Environment that accelerates the program `argv`, and nothing it starts."""
        exe = shutil.which(argv[0])
        if exe is None:
            raise WireError(f"no such program: {argv[0]}")
        return {"LD_PRELOAD": str(self.lib), "LSTACK_CONF_PATH": str(conf),
                "GAZELLE_BIND_PROCNAME": os.path.basename(os.path.realpath(exe))}


def wait_for(condition, process, what):
    """Until condition() holds while `process` lives."""
    end = time.monotonic() + START_TIMEOUT_S
    while not condition():
        if not process.alive() or time.monotonic() > end:
            raise WireError(f"{what}\n{process.tail()}")
        time.sleep(0.02)


class FastWire:
    """A pair of accelerated hosts. start_server() first: its end of the wire owns the socket."""

    def __init__(self, hosts, huge, mode="run-to-completion", keys=None, vhost_side="client",
                 options=WIRE_OPTIONS, memory_mb=MEMORY_MB):
        self.hosts = hosts
        self.gazelle = Gazelle(hosts.scratch, huge, mode, keys, hosts.cpu, memory_mb)
        self.gazelle.vhost_side, self.gazelle.wire_options = vhost_side, options
        self.conf = {side: self.gazelle.write_conf(side, self.gazelle.wire_vdev(side))
                     for side in ("server", "client")}

    def start_server(self, argv):
        """Start the server and wait for its end of the wire."""
        self.gazelle.socket.unlink(missing_ok=True)
        server = self.hosts.start("server", argv, self.gazelle.env(self.conf["server"], argv))
        wait_for(self.gazelle.socket.exists, server, "the server's end of the wire did not come up")
        time.sleep(0.2)
        return server

    def start_client(self, argv):
        """Start a client; its output is captured."""
        return self.hosts.start("client", argv, self.gazelle.env(self.conf["client"], argv),
                                capture=True)


def main():
    """Run one server and one client."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--huge", choices=("auto", "yes", "no"), default="auto")
    parser.add_argument("--mode", choices=("run-to-completion", "run-to-wakeup"),
                        default="run-to-completion")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help="a line for both lstack.conf files; strings with their quotes")
    parser.add_argument("--timeout", type=float, default=60, help="seconds for the client")
    parser.add_argument("--server", required=True, help="command line of the server")
    parser.add_argument("client", nargs="+", help="the client and its arguments")
    args = parser.parse_args()
    try:
        with Hugepages(args.huge, 2 * MEMORY_MB + 16) as huge, Hosts() as hosts:
            wire = FastWire(hosts, huge.used, args.mode, dict(s.split("=", 1) for s in args.set))
            server = wire.start_server(shlex.split(args.server))
            client = wire.start_client(args.client)
            out, code = client.wait(args.timeout)
            sys.stdout.write(out)
            if code != 0:
                print(f"--- client:\n{client.tail()}\n--- server:\n{server.tail()}", file=sys.stderr)
            return code
    except WireError as error:
        print(f"fastwire: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
