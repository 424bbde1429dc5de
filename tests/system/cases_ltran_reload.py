# SPDX-License-Identifier: BSD-3-Clause
"""Behind ltran: a prefork server exchanges its workers, and nobody who connects is refused."""

import os
import re
import signal
import time

from cases_ltran import BOTH, THREE, ltran_case, start_nginx
from harness import Failure, children
from ltran_bed import LTRAN_PEER, Ltran

RELOADS = 4


def clients(bed, seconds, count=2):
    return [bed.far(LTRAN_PEER + ["visit", THREE, "8080", str(seconds)]) for _ in range(count)]


def never_refused(bed, visitors, seconds, endings, took):
    """None was refused, where the new workers `took` less than the 2 s that ltran waits for them. A visitor has one connection at a time, which each worker that ends may reset: it is
    of those that it had not accepted yet."""
    visits, resets = 0, 0
    for client in visitors:
        output = bed.finish(client, seconds + 30, expect="ok")
        found = re.search(r"(\d+) visits, (\d+) refused, (\d+) reset, longest ([\d.]+)", output)
        print(f"        {found[0]}")
        if int(found[2]) > 0 and took < 2:
            raise Failure(f"refused: {found[0]}")
        visits += int(found[1])
        resets += int(found[3])
    if visits < 50 or resets > endings * len(visitors):
        raise Failure(f"{visits} visits, {resets} reset")


def start(bed, workers):
    net = Ltran(bed)
    server = start_nginx(bed, net, workers)
    bed.until(bed.run_far, ["curl", "-sS", "-m", "5", f"http://{THREE}:8080/pid"], r"\d+")
    net.wait_members(workers)
    return net, server


def reload(bed, workers):
    net, server = start(bed, workers)
    visitors = clients(bed, 2 * RELOADS + 1)
    took = 0
    for _ in range(RELOADS):
        before = set(net.members())
        server.popen.send_signal(signal.SIGHUP)
        took = max(took, net.wait_until(
            lambda old=before: len(net.members()) == workers and not old & set(net.members()),
            "the workers are the old ones"))
        time.sleep(0.3)
    never_refused(bed, visitors, 2 * RELOADS + 1, RELOADS * workers, took)


@ltran_case(modes=BOTH, seconds=90)
def ltran_reload(bed):
    """nginx is reloaded: its old workers stop listening before the new ones do, or after."""
    reload(bed, 2)


@ltran_case(seconds=90)
def ltran_reload_single(bed):
    """The same with one worker: between the two nobody listens at all."""
    reload(bed, 1)


@ltran_case(seconds=90)
def ltran_last_worker_killed(bed):
    """The only worker is killed; its master makes another one, to which the clients come."""
    net, server = start(bed, 1)
    visitors = clients(bed, 5)
    time.sleep(1)
    victim = children(server.pid)[0]
    os.kill(victim, signal.SIGKILL)
    took = net.wait_until(lambda: net.members() and victim not in net.members(), "no new worker")
    never_refused(bed, visitors, 5, 1, took)


@ltran_case(seconds=90)
def ltran_stopped_server_refuses(bed):
    """Nobody waits for a server that has been stopped for good for longer than its listener is awaited."""
    net, server = start(bed, 1)
    server.popen.send_signal(signal.SIGTERM)
    server.popen.wait(10)
    output = bed.run_far(LTRAN_PEER + ["visit", THREE, "8080", "0.001"], expect="ok")
    if not re.search(r"1 visits, 1 refused", output) or float(re.search(r"longest ([\d.]+)", output)[1]) > 4:
        raise Failure(output)
    net.alive()
