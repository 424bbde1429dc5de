# SPDX-License-Identifier: BSD-3-Clause
"""perf/run all, perf/run attack: every scenario, a table, and one JSON line for each, last."""

import argparse
import contextlib
import json
import signal
import time

import history
import machine
from fastwire import WireError
from measure import measure
from scenarios import SCENARIOS
from targets import TARGETS, judge

# What a line of the summary leaves out; the history and the report have it.
LONG = ("all", "versions", "cpu", "cores", "wire", "vhost_side", "virtio_options", "nodes", "duts")
LIMIT_S = 300  # of one scenario


@contextlib.contextmanager
def time_limit(seconds):
    """Ends what runs inside with a WireError; whatever it has made is cleaned up on the way out."""
    def on_alarm(_number, _frame):
        raise WireError(f"no end after {seconds:.0f} s")

    old = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def measure_one(name, options, say, limit_s):
    """The result of a scenario; where it failed, one that says why."""
    started = time.monotonic()
    try:
        with time_limit(limit_s):
            result = measure(name, argparse.Namespace(**vars(options)), say)
    except Exception as error:  # one broken scenario must not hide the others
        say(f"{name}: FAILED: {error}")
        result = {"scenario": name, "error": (str(error).splitlines() or [repr(error)])[0], "mode": options.mode,
                  **machine.facts()}
        result.update(judge(result), met=False if name in TARGETS else None)
    result["took_s"] = round(time.monotonic() - started, 1)
    return result


def table(results):
    """Rows for people: what was measured, what was wanted, and how it moved."""
    def cell(value, width):
        return f"{value:>{width},.4g}" if isinstance(value, (int, float)) else f"{'':>{width}}"

    yield (f"{'scenario':18} {'kernel':>10} {'gazelle':>10} {'ratio':>7} {'change':>8}  "
           f"{'met':4} target")
    for r in results:
        change = r.get("change_percent")
        change = "" if change is None else f"{change:+.1f} %"
        met = {True: "yes", False: "NO", None: "-"}[r.get("met")]
        wanted = r.get("error") or r.get("target") or ""
        yield (f"{r['scenario']:18} {cell(r.get('kernel'), 10)} {cell(r.get('gazelle'), 10)} "
               f"{cell(r.get('ratio'), 7)} {change:>8}  {met:4} {wanted}")
        if r.get("missed"):
            yield f"{'':18} {'':49} missed: {', '.join(r['missed'])}"


def measure_all(options, say):
    """Every scenario of "all", or of "attack", that was not skipped, within options.minutes; the results
    in order."""
    names = [n for n in SCENARIOS if n not in options.skip and
             n.startswith("attack-") == (options.scenario == "attack")]
    end = time.monotonic() + 60 * options.minutes
    entries, results = history.load(options.history), []
    for name in names:
        say(f"=== {name}")
        left = end - time.monotonic()
        if left < 5:
            result = {"scenario": name, "error": f"no time left of {options.minutes:g} minutes"}
            result.update(judge(result))
        else:
            result = measure_one(name, options, say, min(left, LIMIT_S))
        result["time"] = machine.now()
        result["change_percent"] = history.change_percent(result, entries)
        results.append(result)
        if "error" not in result:
            history.append(options.history, result)
    return results


def summary_line(result):
    """The JSON line of a result: what counts first, without what is long."""
    first = ("scenario", "kernel", "gazelle", "ratio", "unit", "target", "met", "missed",
             "change_percent")
    line = {k: result[k] for k in first if k in result}
    line.update({k: v for k, v in result.items() if k not in line and k not in LONG})
    return json.dumps(line)
