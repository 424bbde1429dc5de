# SPDX-License-Identifier: BSD-3-Clause
"""perf/run and its report: that they measure and say so; what they measure is not judged."""

import json
import os
import subprocess
import sys

from cases import COMPLETION, case
from harness import ROOT, Failure, sh

sys.path.insert(0, str(ROOT / "perf"))
# pylint: disable=wrong-import-position
import history  # noqa: E402
import scenarios  # noqa: E402
import targets  # noqa: E402

PERF_RUN = str(ROOT / "perf" / "run")
KEYS = {"scenario", "kernel", "gazelle", "ratio", "ratio_p99", "unit", "target", "met", "runs",
        "seconds", "mode", "hugepages", "cpu", "cores", "steal_percent", "versions",
        "change_percent", "all"}


def perf_run(bed, *args, expect=0):
    """Runs perf/run on the build under test; its lines."""
    env = {**os.environ, "GAZELLE_LIB": str(bed.build / "preload" / "liblstack.so"),
           "GAZELLE_RR": str(bed.build / "perf" / "rr"),
           "GAZELLE_CTL": str(bed.build / "ctl" / "gazellectl")}
    with subprocess.Popen([PERF_RUN, *args, "--json-only"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            out, err = process.communicate(timeout=25)
        finally:
            process.terminate()  # it takes its namespaces along
    if process.returncode != expect:
        raise Failure(f"perf/run {args[0]} ended with {process.returncode}: {err}")
    left = [n for n in sh("ip", "netns", "list").split() if n.startswith(f"gzF{process.pid}")]
    if left:
        raise Failure(f"left behind: {left}")
    return [json.loads(line) for line in out.splitlines()]


@case(wires=("fast",), modes=(COMPLETION,), seconds=30, kernel=False)
def perf_one(bed):
    """A scenario on both stacks: one line with figures, and its entry in the history."""
    past = bed.logs / "history.jsonl"
    args = ("rr", "--runs", "1", "--seconds", "0.5", "--huge", "no", "--history", str(past))
    lines = perf_run(bed, *args, "--record")
    if len(lines) != 1 or KEYS - lines[0].keys():
        raise Failure(f"missing: {KEYS - lines[0].keys()} in {lines}")
    result = lines[0]
    if not 0 < result["gazelle"] < result["kernel_max_us"] * 100 or result["kernel"] <= 0:
        raise Failure(f"no latencies: {result}")
    if result["ratio"] != round(result["kernel"] / result["gazelle"], 2):
        raise Failure(f"ratio {result['ratio']}: {result}")
    kept = history.load(past)
    if [k["scenario"] for k in kept] != ["rr"] or "all" in kept[0]:
        raise Failure(f"history: {kept}")
    slower = {**result, "ratio": result["ratio"] / 2}
    if history.change_percent(slower, kept) != -50:
        raise Failure(f"half the ratio is {history.change_percent(slower, kept)} % of change")


@case(wires=("fast",), modes=(COMPLETION,), seconds=30, kernel=False)
def perf_all(bed):
    """Without any time `all` still has a line for each scenario but attacks, in order, and says what it
    lacks."""
    lines = perf_run(bed, "all", "--minutes", "0", "--history", str(bed.logs / "history.jsonl"),
                     "--report", str(bed.logs / "report"), expect=1)
    if [r["scenario"] for r in lines] != [n for n in scenarios.SCENARIOS if not n.startswith("attack-")]:
        raise Failure(f"lines for {[r['scenario'] for r in lines]}")
    if not all("no time left" in r["error"] and r["met"] is not True for r in lines):
        raise Failure(f"{lines}")
    unknown = targets.TARGETS.keys() - scenarios.SCENARIOS.keys()
    if unknown:
        raise Failure(f"targets without a scenario: {unknown}")
    page = (bed.logs / "report" / "index.html").read_text()
    if "no time left" not in page:
        raise Failure("the report does not say what was not measured")


@case(wires=("fast",), modes=(COMPLETION,), seconds=30, kernel=False)
def perf_report(bed):
    """The report of recorded results: each scenario, verdicts, plots, nothing from elsewhere."""
    results = [recorded(name) for name in scenarios.SCENARIOS]
    for result in results:
        result.update(targets.judge(result))
    missed = [r["scenario"] for r in results if r["met"] is False]
    if missed != ["rr"]:
        raise Failure(f"missed: {missed}")
    report = bed.logs / "report"
    report.mkdir()
    lines = "".join(json.dumps(r) + "\n" for r in results)
    (report / "results.jsonl").write_text(lines)
    (bed.logs / "history.jsonl").write_text(2 * lines)
    (report / "run.json").write_text(json.dumps(
        {"machine": {"CPU": "abacus"}, "options": {"runs": 3, "seconds": 5, "mode": "m"}}))
    done = subprocess.run([str(ROOT / "perf" / "report.py"), str(report), "--history",
                           str(bed.logs / "history.jsonl")], capture_output=True, text=True,
                          check=False, timeout=25)
    if done.returncode or done.stderr:
        raise Failure(f"report.py ended with {done.returncode}: {done.stderr}")
    page = (report / "index.html").read_text()
    for name in scenarios.SCENARIOS:
        if f"<b>{name}</b>" not in page:
            raise Failure(f"no row for {name}")
    for what in ("abacus", "✓ ratio 12.5 (≥ 7)", "✗ ratio 12.5 (≥ 20)"):
        if what not in page:
            raise Failure(f"the page lacks {what}")
    if "://" in page:
        raise Failure("the page needs something from elsewhere")
    for plot in ("ratios", "targets", "throughput", "bulk", "latency", "conns", "graph", "trend"):
        if f'src="{plot}.svg"' not in page or "<svg" not in (report / f"{plot}.svg").read_text():
            raise Failure(f"no plot {plot}")


def recorded(name):
    """A result that meets its target; only rr's does not."""
    result = {"scenario": name, "kernel": 2.0, "gazelle": 25.0, "ratio": 12.5, "unit": "req/s",
              "cpu": "abacus", "cores": 2, "mode": "m"}
    for key, comparison, bound in targets.TARGETS.get(name, ()):
        if isinstance(bound, str):
            result[bound] = bound = 8
        if key not in ("ratio", "ratio_p99"):
            result[key] = bound if comparison == ">=" else bound / 2
    for stack in ("kernel", "gazelle"):
        result.update({f"{stack}_{k}": 3.5 for k in
                       ("p50_us", "p99_us", "p50_ms", "base_us_per_request", "alone_gbps")})
    if name == "rr":
        result["ratio_p99"] = 12.5
    if name == "graph":
        result["nodes"] = {"rx": 1.5, "classify": 31}
    return result
