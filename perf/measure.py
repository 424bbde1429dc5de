# SPDX-License-Identifier: BSD-3-Clause
"""Runs of one scenario, medians, and the JSON object they make.

Runs alternate (kernel, Gazelle, kernel, ...), so that whatever disturbs the machine disturbs both.
"""

import inspect
import os
import statistics
import subprocess

import machine
from scenarios import SCENARIOS
from scenarios.base import Program
from targets import judge

STACKS = ("kernel", "gazelle")


class Profiler:
    """perf record on the accelerated processes of one run; prints where the time went."""

    def __init__(self, seconds, symbols, realtime):
        self.seconds, self.symbols, self.server, self.records = seconds, symbols, None, {}
        self.prefix = ["chrt", "--rr", "2"] if realtime else []

    def attach(self, side, process):
        """Start recording `process` for most of the run."""
        path = f"/tmp/gazelle-perf-{os.getpid()}-{side}.data"
        # The client needs a moment to start its data path; wait inside so that it is not recorded.
        command = (f"sleep 1; exec perf record -q -F 1999 -g -o {path} -p {process.pid} "
                   f"-- sleep {max(0.5, self.seconds - 1.5)}")
        self.records[side] = (path, subprocess.Popen(self.prefix + ["sh", "-c", command],
                                                     stdout=subprocess.DEVNULL,
                                                     stderr=subprocess.DEVNULL))

    def report(self):
        """Print the symbols with the most time of their own, per side."""
        for side, (path, process) in self.records.items():
            process.wait()
            done = subprocess.run(
                ["perf", "report", "-i", path, "--no-children", "-g", "none", "--stdio",
                 "--percent-limit", "0.4", "-s", "dso,symbol"],
                capture_output=True, text=True, check=False)
            rows = [r for r in done.stdout.splitlines() if r.strip() and not r.startswith("#")]
            print(f"--- {side}: time of their own", *rows[:self.symbols], sep="\n")
            os.unlink(path)
        self.records.clear()


def one_run(scenario, stack):
    """One run with the share of time the hypervisor took away meanwhile."""
    total, stolen = machine.cpu_ticks()
    figures = getattr(scenario, f"run_{stack}")()
    total_after, stolen_after = machine.cpu_ticks()
    figures["steal_percent"] = round(100 * (stolen_after - stolen) / max(1, total_after - total), 1)
    return figures


def times_better(kernel, gazelle, lower_is_better):
    """How many times better Gazelle is; None without both figures."""
    if not kernel or not gazelle:
        return None
    return round(kernel / gazelle if lower_is_better else gazelle / kernel, 2)


def medians(runs):
    """Median of every figure that all runs have."""
    keys = [k for k in runs[0] if k != "steal_percent"] if runs else []
    return {k: round(statistics.median(r[k] for r in runs), 3) for k in keys
            if all(isinstance(r.get(k), (int, float)) for r in runs)}


def figures(scenario, runs):
    """kernel, gazelle, ratio; then the same of the other figures, as STACK_FIGURE, ratio_FIGURE."""
    middle = {s: medians(runs[s]) for s in STACKS}
    result = {s: middle[s].get("value") for s in STACKS}
    result["ratio"] = times_better(result["kernel"], result["gazelle"], scenario.lower_is_better)
    for key, lower_is_better in scenario.ratios.items():
        name = "ratio_" + key.removesuffix("_us")
        result[name] = times_better(middle["kernel"].get(key), middle["gazelle"].get(key),
                                    lower_is_better)
    result.update(scenario.headline(middle))
    result.update({"unit": scenario.unit, "lower_is_better": scenario.lower_is_better})
    for stack in STACKS:
        result.update({f"{stack}_{k}": v for k, v in middle[stack].items() if k != "value"})
        values = [r["value"] for r in runs[stack]]
        if values:
            result[f"{stack}_min"], result[f"{stack}_max"] = min(values), max(values)
    return result


def compare(name, options, say):
    """All runs of one Scenario; returns its JSON object."""
    runs = {s: [] for s in STACKS}
    stacks = STACKS if options.only is None else (options.only,)
    with SCENARIOS[name].hugepages(options) as huge:
        scenario = SCENARIOS[name](options, huge.used)
        say(f"{name}: {inspect.getdoc(scenario).split(chr(10) * 2)[0]} "
            f"Hugepages: {'yes' if huge.used else 'no'}, {options.mode}.")
        for i in range(min(options.runs, scenario.runs_max)):
            for stack in stacks:
                run = one_run(scenario, stack)
                runs[stack].append(run)
                more = " ".join(f"{k}={v}" for k, v in run.items() if k != "value")
                say(f"run {i + 1} {stack:8} {run['value']:>12,.3f} {scenario.unit}  {more}")
                if options.profiler and stack == "gazelle":
                    options.profiler.report()
    result = {"scenario": name, **figures(scenario, runs)}
    return {**result, **judge(result),
            "runs": max(len(r) for r in runs.values()), "seconds": options.seconds, "mode": options.mode,
            "realtime": options.realtime, "hugepages": huge.used, "wire": scenario.wire,
            "vhost_side": scenario.vhost_side, "virtio_options": scenario.wire_options,
            **machine.facts(),
            "steal_percent": {s: [r["steal_percent"] for r in runs[s]] for s in STACKS},
            "versions": machine.versions(scenario.programs), "all": runs}


def run_program(name, options, say):
    """A Program: it prints a table and its JSON itself."""
    with SCENARIOS[name].hugepages(options) as huge:
        result = SCENARIOS[name](options, huge.used).result(say)
    result = {"scenario": name, "lower_is_better": SCENARIOS[name].lower_is_better, **result}
    return {**result, **judge(result), "mode": options.mode, "hugepages": huge.used, **machine.facts(),
            "versions": machine.versions(())}


def measure(name, options, say):
    """The scenario `name`; returns its JSON object."""
    is_program = issubclass(SCENARIOS[name], Program)
    return (run_program if is_program else compare)(name, options, say)
