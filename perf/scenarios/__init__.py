# SPDX-License-Identifier: BSD-3-Clause
"""The scenarios of perf/run, by name: the one place to register one (and targets.py its target).

A scenario is a class of scenarios.base: a Scenario has a run on each stack, a Program is one
benchmark program of ours. `perf/run all` takes them in this order.
"""

from scenarios.attack import (AttackArp, AttackEarly, AttackGarp, AttackPing, AttackSyn, AttackSynAway,
                              AttackTiny, AttackUnread)
from scenarios.basic import Graph, Mixed, RoundTrip, Stream, Udp
from scenarios.conns import Conns, ConnsIdle
from scenarios.goodput import Goodput, GoodputReceiver
from scenarios.idle import Idle, IdleFast
from scenarios.linerate import LineRate
from scenarios.ltran import Ltran, LtranRedis, LtranRedisWire
from scenarios.redis import (Redis, Redis500, Redis3000, RedisPipeline, RedisServerOnly,
                             RedisServerOnlyXdp)
from scenarios.web import Http, HttpClose

SCENARIOS = {
    "redis": Redis,
    "redis-500": Redis500,
    "redis-3000": Redis3000,
    "redis-pipeline": RedisPipeline,
    "redis-server-only": RedisServerOnly,
    "redis-server-only-xdp": RedisServerOnlyXdp,
    "rr": RoundTrip,
    "stream": Stream,
    "mixed": Mixed,
    "udp": Udp,
    "http": Http,
    "http-close": HttpClose,
    "conns": Conns,
    "conns-idle": ConnsIdle,
    "idle": Idle,
    "idle-fast": IdleFast,
    "goodput": Goodput,
    "goodput-receiver": GoodputReceiver,
    "graph": Graph,
    "linerate": LineRate,
    "ltran": Ltran,
    "ltran-redis": LtranRedis,
    "ltran-redis-wire": LtranRedisWire,
    "attack-unread": AttackUnread,
    "attack-tiny": AttackTiny,
    "attack-early": AttackEarly,
    "attack-syn": AttackSyn,
    "attack-syn-away": AttackSynAway,
    "attack-arp": AttackArp,
    "attack-garp": AttackGarp,
    "attack-ping": AttackPing,
}
