# SPDX-License-Identifier: BSD-3-Clause
"""ltran: packets per second through it (perf/ltran_load.c), and redis behind it."""

import contextlib
import json
import os
import pathlib
import re
import select
import subprocess
import time

from fastwire import (CLIENT_ADDR, SERVER_ADDR, WIRE_OPTIONS, Gazelle, Hosts, Hugepages,
                      WireError, find_built, sh, wait_for)
from scenarios.base import Program
from scenarios.redis import Redis

RUN_DIR = "/var/run/gazelle"
SUBNET, HOST_BITS = "198.18.0.0", 8
INSTANCES = ("198.18.0.10", "198.18.0.11")
DIRECTIONS = {"in": "wire to instance", "out": "instance to wire", "local": "instance to instance"}
SIZES = (64, 1518)
LOSS_MAX = 0.1  # percent
SEARCH_STEPS = 7
RING_OPTIONS = "mrg_rxbuf=1,packed_vq=0"  # as instances open their rings (nodes/instance_ltran.c)
LTRAN_MB, LOAD_MB = 512, 256
ANSWER_S = 40
GRAPH_FIGURES = ("calls", "packets", "cycles")


class LtranProcess:
    """A running ltran of a host, and what it says of itself."""

    def __init__(self, hosts, side, vdev, huge, memory_mb=LTRAN_MB, cpu=None, **keys):
        self.prefix = f"gz{os.getpid()}-"
        args = f"-l {hosts.cpu[side] if cpu is None else cpu} -m {memory_mb} --no-pci --vdev={vdev}"
        args += "" if huge else " --no-huge"
        keys = {"forward_kit_args": args, "dispatch_subnet": SUBNET,
                "dispatch_subnet_length": HOST_BITS, "unix_prefix": self.prefix,
                "low_power_mode": 0, **keys}
        conf = hosts.scratch / "ltran.conf"
        conf.write_text("".join(f"{k}={v}\n" if isinstance(v, int) else f'{k}="{v}"\n'
                                for k, v in keys.items()))
        self.process = hosts.start(side, [str(find_built("ltran", "dispatcher", "GAZELLE_LTRAN")),
                                          "--config-file", str(conf)])
        self.socket = pathlib.Path(RUN_DIR) / f"{self.prefix}ltran_client.sock"

    def wait(self):
        """Until instances may come."""
        wait_for(self.socket.exists, self.process, "ltran did not start")

    def nodes(self):
        """Counters of its graph, all cores together: node -> figures."""
        done = subprocess.run([str(find_built("gazellectl", "ctl", "GAZELLE_CTL")), "graph", "show",
                               str(self.process.pid), "-u", self.prefix, "--yaml"],
                              capture_output=True, text=True, check=False, timeout=10)
        found = {}
        for block in re.split(r"^\s*- name: ", done.stdout, flags=re.M)[1:]:
            row = found.setdefault(block.split()[0].strip("\"'"), dict.fromkeys(GRAPH_FIGURES, 0))
            for key in GRAPH_FIGURES:
                match = re.search(rf"^\s*{key}: (\d+)", block, re.M)
                row[key] += int(match.group(1)) if match else 0
        if not found:
            raise WireError(f"no counters of ltran: {done.stderr.strip() or done.stdout[:200]}")
        return found


def cycles(before, after):
    """Cycles per packet of each node that had packets in between."""
    rows = {}
    for name, row in after.items():
        packets, used = (row[k] - before.get(name, {}).get(k, 0) for k in ("packets", "cycles"))
        if packets > 0:
            rows[name] = {"packets": packets, "cycles_per_packet": round(used / packets, 1)}
    return rows


class Load:
    """perf/ltran_load: commands in, lines of JSON out."""

    def __init__(self, hosts, side, wire, prefix, huge, ring):
        argv = [str(find_built("ltran_load", "perf", "GAZELLE_LTRAN_LOAD")), "--wire", wire,
                "--dir", RUN_DIR, "--prefix", prefix, "--ring", ring, "--memory", str(LOAD_MB)]
        self.process = hosts.start(side, argv + (["--huge"] if huge else []), capture=True,
                                   stdin=subprocess.PIPE)

    def answer(self):
        """The next line."""
        out = self.process.popen.stdout
        if not select.select([out], [], [], ANSWER_S)[0]:
            raise WireError(f"ltran_load says nothing\n{self.process.tail()}")
        line = out.readline()
        if not line:
            raise WireError(f"ltran_load ended\n{self.process.tail()}")
        said = json.loads(line)
        if "error" in said:
            raise WireError(f"ltran_load: {said['error']}\n{self.process.tail()}")
        return said

    def ask(self, command):
        """A command and its answer."""
        self.process.popen.stdin.write(command + "\n")
        self.process.popen.stdin.flush()
        return self.answer()


class Ltran(Program):
    """Packets per second through ltran on one core, without loss; the other core is wire and instances.

    The generator waits for room (closed loop), so that what counts is what ltran can do; what it has
    taken must arrive. With a rate, as a real wire would send it, the highest without loss.
    """

    memory_mb = LTRAN_MB + LOAD_MB + 64

    def __init__(self, options, huge):
        super().__init__(options, huge)
        self.runs = options.runs
        self.trial = options.seconds / 10
        self.sizes = SIZES
        self.ring = options.wire or RING_OPTIONS

    def wire(self, hosts):
        """Both ends: (ltran's, the load's). ltran's own part of the work is least with virtio-user;
        the generator copies."""
        path = hosts.scratch / "wire.sock"
        ltran, load = (f"net_virtio_user0,path={path},{WIRE_OPTIONS},server=1",
                       f"net_vhost0,iface={path},client=1")
        if (self.options.vhost_side or "client") == "client":
            return ltran, load
        return (f"net_vhost0,iface={path},client=1",
                f"net_virtio_user0,path={path},{WIRE_OPTIONS},server=1")

    def one(self, ltran, load, direction, size):
        """One run with its cycles per node."""
        before = ltran.nodes()
        row = load.ask(f"run {direction} {size} {self.trial} 0")
        row["nodes"] = cycles(before, ltran.nodes())
        if row["strange"] > row["received"] / 1000:
            raise WireError(f"{direction}, {size} bytes: {row['strange']} strange packets")
        return row

    def rounds(self, ltran, load, directions):
        """Runs in turns, so that what disturbs the machine disturbs all; (direction, size) -> the
        median one without loss."""
        rows = {(d, s): [] for d in directions for s in self.sizes}
        for _ in range(self.runs):
            for (direction, size), found in rows.items():
                found.append(self.one(ltran, load, direction, size))
        for key, found in rows.items():
            good = [r for r in found if r["lost_percent"] <= LOSS_MAX] or found
            good.sort(key=lambda r: r["mpps"])
            rows[key] = {**good[len(good) // 2], "runs": [r["mpps"] for r in found]}
        return rows

    def paced(self, load, direction, size, first):
        """The highest rate, in Mpps, at which no more than LOSS_MAX gets lost."""
        passed, failed = 0.0, first * 1.02
        for _ in range(SEARCH_STEPS):
            rate = (passed + failed) / 2 if passed else failed * 0.9
            best = min((load.ask(f"run {direction} {size} {self.trial / 2} {rate * 1e6:.0f}")
                        for _ in range(3)), key=lambda r: r["lost_percent"])
            if best["lost_percent"] <= LOSS_MAX:
                passed = max(passed, rate)
            else:
                failed = min(failed, rate)
        return round(passed, 3)

    def measure(self, say):
        """Everything; (direction, size) -> figures."""
        found = {}
        with Hosts(realtime=True) as hosts:
            ltran_vdev, load_vdev = self.wire(hosts)
            ltran = LtranProcess(hosts, "server", ltran_vdev, self.huge)
            load = Load(hosts, "client", load_vdev, ltran.prefix, self.huge, self.ring)
            load.answer()
            ltran.wait()
            say(f"ltran's wire: {ltran_vdev.split(',')[0]}")
            for number, directions in enumerate((("in", "out"), ("local",))):
                say(load.ask(f"instance {INSTANCES[number]}")["device"])
                for (direction, size), row in self.rounds(ltran, load, directions).items():
                    row["paced_mpps"] = self.paced(load, direction, size, row["mpps"])
                    found[direction, size] = row
                    say_row(say, direction, size, row)
            with contextlib.suppress(OSError):
                load.process.popen.stdin.close()
        return found

    def result(self, say):
        say(f"ltran: {self.__doc__.splitlines()[0]} Hugepages: {'yes' if self.huge else 'no'}.")
        found = self.measure(say)
        main = found["in", 64]
        flat = {f"{direction}_{size}_{key}": row[key] for (direction, size), row in found.items()
                for key in ("mpps", "paced_mpps", "lost_percent", "runs")}
        return {"kernel": None, "gazelle": main["mpps"], "ratio": None, "unit": "Mpps",
                "mpps": main["mpps"], **flat,
                "dispatcher_cycles_per_packet": dispatcher_cycles(main),
                "nodes": {f"{d} {s}": row["nodes"] for (d, s), row in found.items()}}


def dispatcher_cycles(row):
    """Cycles of all nodes for each packet that went through."""
    return round(sum(n["packets"] * n["cycles_per_packet"] for n in row["nodes"].values())
                 / max(1, row["received"]), 1)


def say_row(say, direction, size, row):
    """Figures of one direction and size, for people."""
    refused = row["refused"] / max(1, row["refused"] + row["sent"])
    say(f"{DIRECTIONS[direction]:22} {size:5} B {row['mpps']:8.3f} Mpps  lost {row['lost_percent']:.4f} %  "
        f"paced {row['paced_mpps']:.3f} Mpps  {dispatcher_cycles(row):6.1f} cycles/packet  "
        f"refused {100 * refused:.0f} %")
    say("    " + ", ".join(f"{name} {n['cycles_per_packet']}" for name, n in
                           sorted(row["nodes"].items(), key=lambda i: -i[1]["cycles_per_packet"]
                                  * i[1]["packets"])))


# --- redis -----------------------------------------------------------------------------------------

class BridgedHosts(Hosts):
    """Server and client in namespaces of their own, on ports of a bridge in a third."""

    def __init__(self, **more):
        super().__init__(**more)
        self.ns["bridge"] = f"gzF{os.getpid()}b"
        self.dev["bridge"] = "br0"

    def __enter__(self):
        super().__enter__()
        try:
            ns = self.ns["bridge"]
            sh("ip", "-n", ns, "link", "add", "br0", "type", "bridge")
            sh("ip", "-n", ns, "link", "set", "br0", "up")
            for side, addr in (("server", SERVER_ADDR), ("client", CLIENT_ADDR)):
                sh("ip", "link", "add", self.dev[side], "netns", self.ns[side], "type", "veth",
                   "peer", "name", side[0], "netns", ns)
                sh("ip", "-n", ns, "link", "set", side[0], "master", "br0", "up")
                sh("ip", "-n", self.ns[side], "addr", "add", f"{addr}/24", "dev", self.dev[side])
                sh("ip", "-n", self.ns[side], "link", "set", self.dev[side], "up")
            time.sleep(0.5)
        except BaseException:
            self.__exit__()
            raise
        return self


class LtranRedis(Redis):
    """As redis through ltran: two instances of one ltran; the kernel: two namespaces on a bridge.

    Server and ltran share a core, the client has the other.
    """

    wire = "rings of one ltran, no NIC in between; kernel: a bridge between two veth pairs"
    vhost_side = wire_options = None
    keys = {"low_power_mode": "1"}

    @classmethod
    def hugepages(cls, options):
        return Hugepages(options.huge, 2 * cls.memory_mb + LTRAN_MB + 64)

    def run_kernel(self):
        with BridgedHosts(realtime=self.realtime) as hosts:
            server = hosts.start("server", self.server_argv())
            time.sleep(0.5)
            return self.measure(lambda argv: hosts.start("client", argv, capture=True), server)

    def start_ltran(self, hosts):
        """ltran on the server's end of a veth pair."""
        ltran = LtranProcess(hosts, "server", "net_af_packet0,iface=" + hosts.dev["server"],
                             self.huge, low_power_mode=int(self.keys.get("low_power_mode", "1")))
        ltran.wait()
        return ltran

    def instance(self, hosts, ltran, side, argv, capture=False):
        """A program behind ltran."""
        gazelle = Gazelle(hosts.scratch, self.huge, self.mode, {
            **self.keys, "use_ltran": "1", "unix_prefix": f'"{ltran.prefix}"'}, hosts.cpu,
            self.memory_mb)
        conf = gazelle.write_conf(side, None, f"{side}{hosts.counter}")
        return hosts.start(side, argv, gazelle.env(conf, argv), capture=capture)

    def run_gazelle(self):
        with Hosts(veth=True, realtime=self.realtime) as hosts:  # nobody talks on it
            ltran = self.start_ltran(hosts)
            server = self.instance(hosts, ltran, "server", self.server_argv())
            if self.profiler:
                self.profiler.server = server
            wait_for(lambda: "Ready to accept" in server.log.read_text(errors="replace"), server,
                     "redis did not start")
            time.sleep(1)
            return self.measure(lambda argv: self.instance(hosts, ltran, "client", argv, True), server)


class LtranRedisWire(LtranRedis):
    """As redis through ltran's NIC: only the server is an instance, af_packet on a veth to a kernel
    client; the kernel: two namespaces on a bridge."""

    wire = "af_packet on a veth; the client's veth end has tx, tso and gso off"

    def run_gazelle(self):
        with Hosts(veth=True, addresses=("client",), realtime=self.realtime) as hosts:
            hosts.plain_peer("client")
            ltran = self.start_ltran(hosts)
            server = self.instance(hosts, ltran, "server", self.server_argv())
            if self.profiler:
                self.profiler.server = server
            wait_for(lambda: "Ready to accept" in server.log.read_text(errors="replace"), server,
                     "redis did not start")
            time.sleep(1)
            return self.measure(lambda a: hosts.start("client", a, capture=True), server)
