# SPDX-License-Identifier: BSD-3-Clause
"""What the scenarios share: the two kinds of them, and how a run on either stack is set up."""

import json
import re
import subprocess
import time

from fastwire import (MEMORY_MB, WIRE_OPTIONS, FastWire, Gazelle, Hosts, Hugepages, WireError,
                      find_built, wait_for)

RUN_SLACK_S = 40  # beyond the measured time: start of the data path, warm-up, slow machines


class Scenario:
    """The same server and client on the kernel and on Gazelle.

    A run returns a dict of figures: `value` is the one that counts, `lower_is_better` tells which
    way, `ratios` names more of them that are compared: figure -> lower is better. Every run starts
    its own hosts and programs, so runs do not inherit each other's state.
    """

    unit, lower_is_better, wire = "", False, "fast wire (virtio-user to vhost-user)"
    programs = ()  # for the versions in the result
    ratios = {}
    keys = {}  # of lstack.conf, beyond fastwire.py's
    memory_mb = MEMORY_MB  # of packet memory, each side
    runs_max = 1000  # where a run is long
    vhost_side, wire_options = "client", WIRE_OPTIONS

    def __init__(self, options, huge):
        self.options, self.seconds, self.mode, self.huge = options, options.seconds, options.mode, huge
        self.keys = {**self.keys, **dict(s.split("=", 1) for s in options.set)}
        self.profiler, self.realtime = options.profiler, options.realtime
        self.vhost_side = options.vhost_side or self.vhost_side
        self.wire_options = options.wire or self.wire_options

    @classmethod
    def hugepages(cls, options):
        """The packet memory of both sides."""
        return Hugepages(options.huge, 2 * cls.memory_mb + 16)

    def server_argv(self):
        """Command line of the server."""
        raise NotImplementedError

    def measure(self, start_client, server):
        """Drive `server`; start_client(argv) starts a captured client. Returns the figures."""
        raise NotImplementedError

    def tune_kernel(self, hosts):
        """Settings of the kernel's namespaces, before the server starts."""

    def start_neighbours(self, hosts):
        """Programs on the server's host that are not measured, before the server starts."""

    @staticmethod
    def headline(middle):
        """More keys of the result, from the medians of both stacks."""
        del middle
        return {}

    def client(self, start_client, argv, profile=False, slack=RUN_SLACK_S):
        """Run one client to its end; returns what it printed."""
        process = start_client(argv)
        if profile and self.profiler:
            self.profiler.attach("client", process)
        out, code = process.wait(self.seconds + slack)
        if code != 0:
            raise WireError(f"{argv[0]} ended with {code}\n{out}\n{process.tail()}")
        return out

    def profile_server(self):
        """From now on the server's time is recorded, where --profile asks for it."""
        if self.profiler:
            self.profiler.attach("server", self.profiler.server)

    def run_kernel(self):
        """Both ends on the kernel, in two namespaces on a veth pair with default offloads."""
        with Hosts(veth=True, addresses=("server", "client"), realtime=self.realtime) as hosts:
            self.tune_kernel(hosts)
            self.start_neighbours(hosts)
            server = hosts.start("server", self.server_argv())
            time.sleep(0.5)
            return self.measure(lambda argv: hosts.start("client", argv, capture=True), server)

    def run_gazelle(self):
        """Both ends on Gazelle over the fast wire."""
        with Hosts(realtime=self.realtime) as hosts:
            wire = FastWire(hosts, self.huge, self.mode, self.keys, self.vhost_side,
                            self.wire_options, self.memory_mb)
            server = wire.start_server(self.server_argv())
            if self.profiler:
                self.profiler.server = server
            return self.measure(wire.start_client, server)


class ServerOnly:
    """Mixed into a Scenario: only the server changes stacks, the client stays on the kernel."""

    wire = "af_packet on a veth; the client's veth end has tx, tso and gso off"
    vhost_side = wire_options = None
    vdev = "net_af_packet0,iface={dev},framesz=2048,framecnt=512"

    def listening(self, server):
        """The server answers from now on."""
        raise NotImplementedError

    def run_gazelle(self):
        """The server on Gazelle by af_packet, the client on the kernel."""
        with Hosts(veth=True, addresses=("client",), realtime=self.realtime) as hosts:
            hosts.plain_peer("client")
            argv = self.server_argv()
            gazelle = Gazelle(hosts.scratch, self.huge, self.mode, self.keys, hosts.cpu,
                              self.memory_mb)
            self.start_neighbours(hosts)
            conf = gazelle.write_conf("server", self.vdev.format(dev=hosts.dev["server"]))
            server = hosts.start("server", argv, gazelle.env(conf, argv))
            if self.profiler:
                self.profiler.server = server
            wait_for(lambda: self.listening(server), server, f"{argv[0]} did not start")
            time.sleep(1)
            return self.measure(lambda a: hosts.start("client", a, capture=True), server)


class Program:
    """A benchmark that is one program, without hosts and without the kernel beside it.

    It prints a table, and its JSON as the last line.
    """

    memory_mb, lower_is_better = MEMORY_MB, False

    def __init__(self, options, huge):
        self.options, self.huge = options, huge

    @classmethod
    def hugepages(cls, options):
        """The packet memory of the program."""
        return Hugepages(options.huge, cls.memory_mb)

    def argv(self):
        """The command line."""
        raise NotImplementedError

    def timeout_s(self):
        """When it has failed."""
        return 20 + 10 * self.options.seconds * self.options.runs

    def result(self, say):
        """Run it; the JSON object."""
        argv = self.argv()
        try:
            done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False,
                                  timeout=self.timeout_s())
        except subprocess.TimeoutExpired:
            raise WireError(f"{argv[0]}: no end after {self.timeout_s():.0f} s") from None
        lines = done.stdout.splitlines()
        if done.returncode != 0 or not lines:
            raise WireError(f"{argv[0]} ended with {done.returncode}\n{done.stdout}")
        for line in lines[:-1]:
            say(line)
        return json.loads(lines[-1])


def idle_us(server):
    """CPU time an accelerated server has spent polling in vain; 0 for one on the kernel."""
    if server.conf is None:
        return 0
    prefix = re.search(r'^unix_prefix="(.*)"', server.conf.read_text(), re.M).group(1)
    done = subprocess.run([str(find_built("gazellectl", "ctl", "GAZELLE_CTL")), "lstack", "show",
                           str(server.pid), "-u", prefix, "--yaml"],
                          capture_output=True, text=True, check=False, timeout=10)
    return sum(int(n) for n in re.findall(r"^\s*idle_us: (\d+)", done.stdout, re.M))
