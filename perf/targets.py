# SPDX-License-Identifier: BSD-3-Clause
"""What each scenario has to reach: the one table, and its judge.

A row is (key of the result, comparison, bound); a bound that is a string is another key of the
same result. Figures of the fast wire, both ends on Gazelle on one core each, against both ends on
the kernel over veth in the same run.
"""

REDIS_WORST = ("gazelle_max_ms", "<=", "kernel_max_ms")

ATTACK = (("gazelle_connects_failed", "<=", 0), ("gazelle_kept", ">=", 0.8))
ATTACK_MEMORY = ATTACK + (("gazelle", "<=", 60),)

TARGETS = {
    "redis": (("ratio", ">=", 7), ("ratio_set", ">=", 7), REDIS_WORST),
    "redis-500": (("ratio", ">=", 8), ("ratio_set", ">=", 8), REDIS_WORST),
    "redis-3000": (("ratio", ">=", 10), ("ratio_set", ">=", 10), REDIS_WORST),
    "redis-pipeline": (("ratio", ">=", 1.2), ("ratio_set", ">=", 1.2)),
    "redis-server-only": (("ratio", ">=", 1.3), ("ratio_server_cpu_us_per_request", ">=", 3)),
    "rr": (("ratio", ">=", 20), ("ratio_p99", ">=", 10)),
    "stream": (("ratio", ">=", 3),),
    "mixed": (("gazelle_share_bulk", ">=", 0.5), ("gazelle_share_ping", ">=", 0.5)),
    "udp": (("ratio", ">=", 6), ("gazelle_lost", "<=", 0)),
    "http": (("ratio", ">=", 3),),
    "http-close": (("ratio", ">=", 5),),
    "conns": (("cost_ratio", "<=", 1.3),),
    "conns-idle": (("gazelle_connections", ">=", 1000000), ("gazelle_lost", "<=", 0),
                   ("gazelle", "<=", 2048), ("stall_ms", "<=", 1)),
    "idle": (("gazelle", "<=", 1), ("first_request_cost", "<=", 1.5)),
    "idle-fast": (("gazelle", "<=", 1), ("first_request_cost", "<=", 1.5)),
    "goodput": (("ratio", ">=", 1),),
    "ltran": (("mpps", ">=", 8),),
    "attack-unread": ATTACK_MEMORY, "attack-tiny": ATTACK_MEMORY, "attack-early": ATTACK_MEMORY,
    "attack-syn": ATTACK, "attack-syn-away": ATTACK, "attack-arp": ATTACK, "attack-garp": ATTACK,
    "attack-ping": ATTACK,
    "graph": (("total_cycles_per_packet", "<=", 60),),
}


def reached(result, row):
    """True or False; None where a figure is missing."""
    key, comparison, bound = row
    value = result.get(key)
    bound = result.get(bound) if isinstance(bound, str) else bound
    if value is None or bound is None:
        return None
    return value >= bound if comparison == ">=" else value <= bound


def judge(result):
    """What the JSON line says: the target in words, whether it was met, and which rows were not."""
    rows = TARGETS.get(result["scenario"], ())
    verdicts = [reached(result, row) for row in rows]
    said = {"target": ", ".join(f"{k} {c} {b}" for k, c, b in rows) or None,
            "met": None if not rows or None in verdicts else all(verdicts)}
    missed = [f"{row[0]} {row[1]} {row[2]}" for row, ok in zip(rows, verdicts) if ok is False]
    if missed:
        said["met"], said["missed"] = False, missed
    return said
