#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""perf/report.py DIR: write DIR/index.html from DIR/results.jsonl and DIR/run.json again.

`perf/run all --report DIR` writes all of them. The page needs nothing from elsewhere: the plots are
SVG files beside it, made with gnuplot; without gnuplot it has the tables only.
"""

import argparse
import html
import inspect
import json
import pathlib
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
# pylint: disable=wrong-import-position
import history
import report_plots as plots
from fastwire import ROOT
from scenarios import SCENARIOS
from targets import TARGETS, reached

PLOT_TIMEOUT_S = 30

# File, function, heading, what one sees.
PLOTS = (
    ("ratios", plots.ratios, "Against the kernel",
     "Medians; logarithmic. The mark is the target. Latencies count the other way round, so that "
     "longer is always better."),
    ("targets", plots.targets, "Against the targets",
     "How many times the target was reached (green) or missed (red); logarithmic."),
    ("throughput", plots.throughput, "Requests per second", "Both ends on the same stack, one core "
     "each (redis-server-only: the client on the kernel)."),
    ("bulk", plots.bulk, "Bulk data", "One TCP stream from client to server."),
    ("latency", plots.latency, "Latency", "Medians over the runs of each percentile; logarithmic."),
    ("conns", plots.conns, "Cost of a request among many connections",
     "The kernel has as many open as the limit on descriptors allows."),
    ("goodput", plots.goodput, "Goodput with loss", "iperf3 through random loss, round trip 2 ms."),
    ("graph", plots.graph, "Packet path", "Each node on its own, and the way from the wire to lwIP "
     "without lwIP; logarithmic."),
    ("linerate", plots.linerate, "RFC 2544 over the fast wire",
     "wire: frames go back as they came; graph: through the nodes there and back; udp: an "
     "accelerated echo server."),
)

STYLE = """
body { font: 15px/1.5 sans-serif; color: #222; max-width: 1060px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.6em; margin-bottom: 0; } h2 { font-size: 1.2em; margin: 2em 0 0.3em; }
p.note { color: #555; margin: 0.2em 0 0.6em; } img { max-width: 100%; border: 1px solid #ddd; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; }
th, td { border-bottom: 1px solid #ddd; padding: 4px 8px; vertical-align: top; }
td.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td { font-size: 0.93em; } small { color: #777; } td.what { width: 34%; } td.what span { color: #555; font-size: 0.88em; }
span.error { color: #b02a2a !important; }
.yes { color: #2b7a3d; } .no { color: #b02a2a; } .yes, .no { white-space: nowrap; }
table.facts th { width: 12em; font-weight: normal; color: #555; }
"""


def save(directory, results, machine, options):
    """What render() needs."""
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "results.jsonl", "w", encoding="utf-8") as out:
        out.writelines(json.dumps(r) + "\n" for r in results)
    kept = {k: v for k, v in options.items() if isinstance(v, (int, float, str, list, type(None)))}
    (directory / "run.json").write_text(json.dumps({"machine": machine, "options": kept}, indent=1),
                                        encoding="utf-8")


def draw(directory, name, script):
    """Run gnuplot; the file's name, or None where there is nothing to show."""
    if script is None or shutil.which("gnuplot") is None:
        return None
    done = subprocess.run(["gnuplot", "-"], input=script, capture_output=True, text=True,
                          check=False, timeout=PLOT_TIMEOUT_S)
    if done.returncode != 0 or not done.stdout:
        print(f"report: gnuplot, {name}: {done.stderr.strip()}", file=sys.stderr)
        return None
    (directory / f"{name}.svg").write_text(done.stdout, encoding="utf-8")
    return f"{name}.svg"


def cell(value, low=None, high=None):
    """A table cell with a number, and below it how far the runs were apart."""
    shown = plots.number(value) if isinstance(value, (int, float)) else "–"
    if low is not None and low != high:
        shown += f"<br><small>{plots.number(low)} – {plots.number(high)}</small>"
    return f'<td class="n">{shown}</td>'


def verdicts(result):
    """The targets of a scenario, each with what was measured."""
    rows = []
    for key, comparison, bound in TARGETS.get(result["scenario"], ()):
        ok = reached(result, (key, comparison, bound))
        sign = "≥" if comparison == ">=" else "≤"
        value = result.get(key)
        text = f"{key} {plots.number(value)}" if value is not None else key
        text += f" ({sign} {bound}" + (
            f" {plots.number(result[bound])})" if result.get(bound) is not None else ")")
        mark = {True: ("yes", "✓ "), False: ("no", "✗ "), None: ("no", "not measured: ")}[ok]
        rows.append(f'<span class="{mark[0]}">{mark[1]}{html.escape(text)}</span>')
    return "<br>".join(rows)


def scenario_row(result):
    """One row of the table."""
    name = result["scenario"]
    about = inspect.getdoc(SCENARIOS[name]).split("\n\n")[0] if name in SCENARIOS else ""
    about = f"<span>{html.escape(about)}</span>"
    if "error" in result:
        about += f'<br><span class="error">{html.escape(result["error"])}</span>'
    change = result.get("change_percent")
    shown = "–" if change is None else f"{change:+.0f} %"
    if change is not None and abs(change) >= 100 * history.NOTABLE:
        shown = f'<span class="{"yes" if change > 0 else "no"}">{shown}</span>'
    return (f'<tr><td class="what"><b>{html.escape(name)}</b><br>{about}</td>'
            + "".join(cell(*(result.get(k) for k in (s, f"{s}_min", f"{s}_max")))
                      for s in ("kernel", "gazelle")) +
            f"<td>{html.escape(result.get('unit') or '')}</td>{cell(result.get('ratio'))}"
            f"<td>{verdicts(result)}</td><td class=\"n\">{shown}</td></tr>")


def facts(rows):
    """A table of names and texts."""
    cells = "".join(f"<tr><th>{html.escape(str(k))}</th><td>{html.escape(str(v))}</td></tr>"
                    for k, v in rows.items())
    return f'<table class="facts">{cells}</table>'


def page(results, run, images):
    """The whole page."""
    judged = [r["met"] for r in results if r.get("met") is not None]
    options = run["options"]
    steal = [s for r in results for v in r.get("steal_percent", {}).values() for s in v]
    about = {"Measured": results[0].get("time", "") if results else "",
             "Runs": f"{options['runs']} of each stack, {options['seconds']:g} s each, taking turns; "
                     f"medians; {options['mode']}",
             "Time taken away by the hypervisor":
                 f"{max(steal):g} % in the worst run" if steal else "not visible",
             **run["machine"]}
    figures = "".join(f'<h2>{title}</h2><p class="note">{note}</p>'
                      f'<img src="{image}" alt="{title}">' for image, title, note in images)
    if not images:
        figures = '<p class="note">Without plots: gnuplot is not installed.</p>'
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Gazelle measured</title>'
        f"<style>{STYLE}</style></head><body><h1>Gazelle against the kernel</h1>"
        f'<p class="note">{sum(judged)} of {len(judged)} scenarios reach their targets. Each '
        "compares the same programs on both stacks in the same minutes; “times better” is "
        "of the middle runs, for latencies and costs the kernel's by Gazelle's. “Change” is "
        "against the last results on this kind of machine.</p>"
        "<table><tr><th>scenario</th><th>kernel</th><th>Gazelle</th><th>unit</th>"
        "<th>times better</th><th>targets</th><th>change</th></tr>"
        + "".join(map(scenario_row, results)) + f"</table>{figures}<h2>Machine</h2>{facts(about)}"
        '<p class="note">Every figure: <a href="results.jsonl">results.jsonl</a></p></body></html>\n')


def render(directory, entries):
    """DIR/index.html and its plots."""
    results = [json.loads(line) for line in
               (directory / "results.jsonl").read_text(encoding="utf-8").splitlines()]
    run = json.loads((directory / "run.json").read_text(encoding="utf-8"))
    by_name = {r["scenario"]: r for r in results if "error" not in r}
    images = []
    for name, function, title, note in PLOTS:
        image = draw(directory, name, function(by_name))
        if image:
            images.append((image, title, note))
    image = draw(directory, "trend", plots.trend(by_name, entries))
    if image:
        images.append((image, "Former runs", "On this kind of machine; logarithmic."))
    (directory / "index.html").write_text(page(results, run, images), encoding="utf-8")


def main():
    """Render a directory again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--history", type=pathlib.Path, default=ROOT / "perf" / "history.jsonl")
    args = parser.parse_args()
    render(args.directory, history.load(args.history))
    return 0


if __name__ == "__main__":
    sys.exit(main())
