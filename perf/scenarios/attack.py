# SPDX-License-Identifier: BSD-3-Clause
"""Under attack: how somebody honest fares while others take memory or send floods."""

import json
import pathlib
import sys
import time

from fastwire import CLIENT_ADDR, ROOT, SERVER_ADDR, WireError, find_built, sh
from scenarios.base import Scenario, ServerOnly

PORT, NEIGHBOUR_PORT = 7000, 7100
NEIGHBOUR = "198.18.0.98"
BEFORE_S = 2
PEER = [sys.executable, str(ROOT / "perf" / "attack_peer.py")]


def victim(port):
    """A server to be attacked."""
    return [sys.executable, str(ROOT / "tests" / "system" / "memory_peer.py"), "server", str(port)]


class Attack(ServerOnly, Scenario):
    """The longest pause of a ping-pong while the attack lasts, in ms.

    `share` is its rate by that of the seconds before, `connects_failed` of `connects` are new
    connections (one every 20 ms) that were not answered within a second; `control_share` is the share
    while the same attacker does the same to somebody else: what he takes from the client's core himself.
    `kept` is the share that is left when that is taken out.
    """

    unit, lower_is_better = "ms", True
    ratios = {"kept": False, "connect_max_ms": True}
    # A /16, so that there are strangers enough, and a gateway to those from elsewhere.
    keys = {"low_power_mode": "1", "mask_addr": '"255.255.0.0"', "gateway_addr": f'"{CLIENT_ADDR}"'}
    memory_mb = 128
    vdev = "net_af_packet0,iface={dev}"  # the rings that a user gets

    def server_argv(self):
        return victim(PORT)

    def listening(self, server):
        # Python says nothing; a process with the library is up when it has its control socket.
        return any(f"_{server.pid}.sock" in p.name for p in pathlib.Path("/var/run/gazelle").iterdir())

    def tune_kernel(self, hosts):
        hosts.plain_peer("client")
        sh("ip", "-n", hosts.ns["server"], "addr", "add", f"{SERVER_ADDR}/16", "dev", hosts.dev["server"])
        sh("ip", "-n", hosts.ns["server"], "route", "add", "default", "via", CLIENT_ADDR)

    def attacker(self, is_control):
        """The attacker's command line."""
        raise NotImplementedError

    def under(self, start_client, is_control):
        """Figures of the probe, with the attack on the server or on somebody else."""
        probe = start_client(PEER + ["probe", SERVER_ADDR, str(PORT), str(BEFORE_S), str(self.seconds)])
        time.sleep(0.7 + BEFORE_S)
        argv = PEER + self.attacker(is_control)
        attacker = start_client(argv)
        out, code = probe.wait(self.seconds + 30)
        if code != 0:
            raise WireError(f"probe: {out}\n{probe.tail()}")
        out_attack, code = attacker.wait(30)
        if code != 0:
            raise WireError(f"{argv}: {out_attack}\n{attacker.tail()}")
        return json.loads(out.splitlines()[-1])

    def measure(self, start_client, server):
        seen, control = self.under(start_client, False), self.under(start_client, True)
        before, during = seen["before"], seen["during"]
        figures = {"value": during["pause_ms"], "pause_before_ms": before["pause_ms"],
                   "share": round(during["echoes_per_s"] / max(1, before["echoes_per_s"]), 3),
                   **{k: during[k] for k in ("connects", "connects_failed", "connect_max_ms")}}
        figures["control_share"] = round(control["during"]["echoes_per_s"] /
                                         max(1, control["before"]["echoes_per_s"]), 3)
        figures["kept"] = round(figures["share"] / min(1, figures["control_share"]), 3)
        return figures


class Clients(Attack):
    """Connections of the client's kernel; for the control run, to another server beside the first one, on
    the kernel always."""

    attack = ()  # command of attack_peer.py and its last argument

    def start_neighbours(self, hosts):
        sh("ip", "-n", hosts.ns["server"], "addr", "add", f"{NEIGHBOUR}/16", "dev", hosts.dev["server"])
        hosts.start("server", victim(NEIGHBOUR_PORT))

    def attacker(self, is_control):
        at = (NEIGHBOUR, NEIGHBOUR_PORT) if is_control else (SERVER_ADDR, PORT)
        return [self.attack[0], at[0], str(at[1]), str(self.seconds), self.attack[1]]


class AttackUnread(Clients):
    """500 clients do not read the 256 KB that each is sent."""

    attack = ("unread", "500")


class AttackTiny(Clients):
    """One client sends 60,000 segments of one byte that nobody reads."""

    attack = ("tiny", "60000")


class AttackEarly(Attack):
    """600 connections send 250 segments of one byte each, every one behind a gap."""

    def attacker(self, is_control):
        """tests/early_segments.c; for the control run the connections are there, too, and what follows
        goes to a host that is not."""
        return ["raw", SERVER_ADDR, str(PORT), str(self.seconds),
                str(find_built("early_segments", "tests", "GAZELLE_EARLY")), "{port}", "600", "250", "50000",
                "{seconds}", *(("{nobody_mac}", "{nobody}") if is_control else ())]


class Flood(Attack):
    """Frames of one kind from addresses that do not exist; for the control run to a host that is not there,
    either."""

    kind, rate = "", 20000

    def attacker(self, is_control):
        """tests/flood.c"""
        return ["raw", "nobody" if is_control else SERVER_ADDR, str(PORT), str(self.seconds),
                str(find_built("flood", "tests", "GAZELLE_FLOOD")), str(self.rate), "{seconds}", self.kind,
                "{port}"]


class AttackSyn(Flood):
    """30,000 SYNs a second from the host's own network."""

    kind, rate = "syn", 30000


class AttackSynAway(Flood):
    """30,000 SYNs a second from another network."""

    kind, rate = "away", 30000


class AttackArp(Flood):
    """20,000 ARP requests a second."""

    kind = "arp"


class AttackGarp(Flood):
    """20,000 gratuitous ARP messages a second."""

    kind = "garp"


class AttackPing(Flood):
    """20,000 echo requests a second."""

    kind = "ping"
