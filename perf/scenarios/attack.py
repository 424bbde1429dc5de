# SPDX-License-Identifier: BSD-3-Clause
"""Under attack: how somebody honest fares while others take memory or send floods."""

import json
import pathlib
import sys
import time

from fastwire import ROOT, SERVER_ADDR, WireError, find_built, sh
from scenarios.base import Scenario, ServerOnly

PORT = 7000
BEFORE_S = 2
PEER = [sys.executable, str(ROOT / "perf" / "attack_peer.py")]


class Attack(ServerOnly, Scenario):
    """The longest pause of a ping-pong while the attack lasts, in ms.

    `share` is its rate by that of the seconds before, `connects_failed` of `connects` are new
    connections (one every 20 ms) that were not answered within a second; `control_share` is the share
    while the same frames go to a host that is not there: what making them takes from the client's core.
    `kept` is the share that is left when that is taken out.
    """

    unit, lower_is_better = "ms", True
    ratios = {"kept": False, "connect_max_ms": True}
    # A /16, so that there are strangers enough.
    keys = {"low_power_mode": "1", "mask_addr": '"255.255.0.0"'}
    memory_mb = 128
    attack = ()       # arguments of attack_peer.py
    has_control = False

    def server_argv(self):
        return [sys.executable, str(ROOT / "tests" / "system" / "memory_peer.py"), "server", str(PORT)]

    def listening(self, server):
        # Python says nothing; a process with the library is up when it has its control socket.
        return any(f"_{server.pid}.sock" in p.name for p in pathlib.Path("/var/run/gazelle").iterdir())

    def tune_kernel(self, hosts):
        hosts.plain_peer("client")
        sh("ip", "-n", hosts.ns["server"], "addr", "add", f"{SERVER_ADDR}/16", "dev", hosts.dev["server"])

    def argv(self, host):
        """The attacker's command line."""
        program, *rest = self.attack
        return PEER + [program, host, str(PORT), str(self.seconds), *rest]

    def under(self, start_client, host):
        """Figures of the probe, with the attack on `host`; None: on nobody."""
        probe = start_client(PEER + ["probe", SERVER_ADDR, str(PORT), str(BEFORE_S), str(self.seconds)])
        time.sleep(0.7 + BEFORE_S)
        attacker = start_client(self.argv(host))
        out, code = probe.wait(self.seconds + 30)
        if code != 0:
            raise WireError(f"probe: {out}\n{probe.tail()}")
        out_attack, code = attacker.wait(30)
        if code != 0:
            raise WireError(f"{self.attack}: {out_attack}\n{attacker.tail()}")
        return json.loads(out.splitlines()[-1])

    def measure(self, start_client, server):
        seen = self.under(start_client, SERVER_ADDR)
        before, during = seen["before"], seen["during"]
        figures = {"value": during["pause_ms"], "pause_before_ms": before["pause_ms"],
                   "share": round(during["echoes_per_s"] / max(1, before["echoes_per_s"]), 3),
                   **{k: during[k] for k in ("connects", "connects_failed", "connect_max_ms")}}
        if self.has_control:
            seen = self.under(start_client, "nobody")
            figures["control_share"] = round(seen["during"]["echoes_per_s"] /
                                             max(1, seen["before"]["echoes_per_s"]), 3)
        figures["kept"] = round(figures["share"] / min(1, figures.get("control_share", 1)), 3)
        return figures


class AttackUnread(Attack):
    """500 clients do not read the 256 KB that each is sent."""

    attack = ("unread", "500")


class AttackTiny(Attack):
    """One client sends 60,000 segments of one byte that nobody reads."""

    attack = ("tiny", "60000")


class AttackEarly(Attack):
    """600 connections send 250 segments of one byte each, every one behind a gap."""

    @property
    def attack(self):
        """tests/early_segments.c"""
        return ("raw", str(find_built("early_segments", "tests", "GAZELLE_EARLY")), "{port}", "600", "250",
                "50000", "{seconds}")


class Flood(Attack):
    """Frames of one kind from addresses that do not exist."""

    has_control = True
    kind, rate = "", 20000

    @property
    def attack(self):
        """tests/flood.c"""
        return ("raw", str(find_built("flood", "tests", "GAZELLE_FLOOD")), str(self.rate), "{seconds}",
                self.kind, "{port}")


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
