# SPDX-License-Identifier: BSD-3-Clause
"""The plots of the report: gnuplot scripts from results, one SVG each.

Every function takes the results by scenario name (and the history) and returns a script that
draws to standard output, or None where there is nothing to draw.
"""

from targets import TARGETS, reached

KERNEL, GAZELLE, GOOD, BAD = "#8a97a8", "#e0761a", "#3a8a4d", "#c43d3d"
SERIES = ("#8a97a8", "#4a6fa5", "#e0761a", "#3a8a4d", "#8e5ea2", "#c43d3d", "#2a9d8f", "#b08900",
          "#5c5c5c", "#d16ba5")
WIDTH, ROW, MARGIN = 900, 24, 120  # pixels
HISTORY_RUNS = 30
NO_RATIO = ("of alone", "bytes", "% of a core")  # units of which "times better" says little


def number(value):
    """Short, with thousands separated."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def text(words):
    """As a gnuplot string; `enhanced` is off, so nothing else is special."""
    return '"' + str(words).replace("\\", "\\\\").replace('"', '\\"') + '"'


def tics(labels):
    """Names at 0, 1, 2 ...; in them `%` is special."""
    return ", ".join(f"{text(label.replace('%', '%%'))} {i}" for i, label in enumerate(labels))


def head(height, left=24, width=WIDTH):
    """Terminal and looks that all plots share; `left` margin in characters."""
    return (f'set terminal svg size {width},{height} dynamic noenhanced font "sans-serif,13" '
            'background "#ffffff"\n'
            "set border 3 lc rgb '#555555'\nset tics nomirror textcolor rgb '#333333'\n"
            "set grid x lc rgb '#dddddd' lt 1\nset style fill solid noborder\n"
            f"set lmargin {left}\nset rmargin 8\n")


def rows_head(labels, left=None):
    """Horizontal rows from the top down, with their names at the left."""
    longest = max(map(len, labels))
    return (head(len(labels) * ROW + MARGIN, left or round(longest * 0.88) + 3)
            + f"set yrange [{len(labels) - 0.4}:-0.6]\nset ytics ({tics(labels)}) scale 0\n")


def block(name, rows):
    """A named data block."""
    return f"${name} << EOD\n" + "\n".join(" ".join(map(str, r)) for r in rows) + "\nEOD\n"


def targets(results):
    """Every target that is a number: how far each figure is from it."""
    rows = []
    for name, wanted in TARGETS.items():
        for key, comparison, bound in wanted:
            result = results.get(name, {})
            bound_value = result.get(bound) if isinstance(bound, str) else bound
            value = result.get(key)
            if not value or not bound_value:
                continue
            score = value / bound_value if comparison == ">=" else bound_value / value
            label = f"{name}: {key} {number(value)}, wanted {comparison} {number(bound_value)}"
            rows.append((label, min(max(score, 0.02), 50), reached(result, (key, comparison, bound))))
    if not rows:
        return None
    data = [(i, min(1, s), max(1, s), int((GOOD if ok else BAD)[1:], 16))
            for i, (_, s, ok) in enumerate(rows)]
    return (rows_head([r[0] for r in rows]) + block("d", data)
            + "set logscale x\nset xlabel 'measured by wanted (right of 1: reached)'\n"
            "set xrange [*<0.5:2<*]\nset arrow from 1, graph 0 to 1, graph 1 nohead lc rgb '#222222'\n"
            "plot $d using 2:1:2:3:($1-0.34):($1+0.34):4 with boxxyerror lc rgb variable notitle\n")


def ratios(results):
    """How many times better than the kernel, with the target of each."""
    rows = []
    for name, result in results.items():
        if result.get("unit") in NO_RATIO:
            continue
        wanted = {k: b for k, c, b in TARGETS.get(name, ()) if c == ">="}
        for key in ["ratio"] + [k for k in result if k.startswith("ratio_")]:
            if result.get(key) and (key == "ratio" or key in wanted):
                label = name + key.removeprefix("ratio").replace("_", " ")
                rows.append((f"{label}: {number(result[key])} x", result[key], wanted.get(key)))
    if not rows:
        return None
    data = [(i, min(1, r), max(1, r)) for i, (_, r, _) in enumerate(rows)]
    marks = [(i, t) for i, (_, _, t) in enumerate(rows) if t] or [(0, "NaN")]
    return (rows_head([r[0] for r in rows]) + block("d", data) + block("t", marks)
            + "set logscale x\nset xlabel 'times better than the kernel'\n"
            f"set xrange [*<0.5:{1.3 * max(r for _, r, _ in rows)}]\n"
            "set key top center outside horizontal\n"
            "set arrow from 1, graph 0 to 1, graph 1 nohead lc rgb '#222222'\n"
            f"plot $d using 2:1:2:3:($1-0.34):($1+0.34) with boxxyerror lc rgb '{GAZELLE}' notitle, "
            "$t using 2:($1-0.42):(0):(0.84) with vectors nohead lw 3 lc rgb '#222222' "
            "title 'target'\n")


def pairs(rows, xlabel, logscale=False):
    """Two bars per row: kernel and Gazelle, with their values. rows: (label, kernel, gazelle)."""
    def bars(name, column, shift):
        data = [(i + shift, r[column], text(number(r[column])))
                for i, r in enumerate(rows) if r[column]]
        return block(name, data or [("NaN", "NaN", '""')])

    top = max(max(r[1] or 0, r[2] or 0) for r in rows)
    low = min(v for r in rows for v in r[1:] if v)
    start = low / 3 if logscale else 0
    scale = (f"set logscale x\nset xrange [{start}:{top * 4}]\n" if logscale
             else f"set xrange [0:{top * 1.14}]\nset format x '%.12g'\n")
    script = rows_head([r[0] for r in rows]) + bars("k", 1, -0.19) + bars("g", 2, 0.19) + scale
    return (script.replace(f",{len(rows) * ROW + MARGIN} ", f",{len(rows) * ROW * 3 // 2 + MARGIN} ")
            + f"set xlabel {text(xlabel)}\nset key top center outside horizontal\nplot "
            + ", ".join(
                f"${n} using 2:1:({start}):2:($1-0.18):($1+0.18) with boxxyerror lc rgb '{c}' "
                f"title '{t}', ${n} using 2:1:3 with labels left offset 0.4,0 font ',11' notitle"
                for n, c, t in (("k", KERNEL, "kernel"), ("g", GAZELLE, "Gazelle"))) + "\n")


def throughput(results):
    """Requests per second, in thousands."""
    rows = []
    for name, r in results.items():
        if r.get("unit") in ("req/s", "echoes/s") and (r.get("kernel") or r.get("gazelle")):
            rows.append((name, (r.get("kernel") or 0) / 1e3, (r.get("gazelle") or 0) / 1e3))
            if r.get("kernel_set") or r.get("gazelle_set"):
                rows.append((f"{name} SET", (r.get("kernel_set") or 0) / 1e3,
                             (r.get("gazelle_set") or 0) / 1e3))
    return pairs(rows, "thousand requests per second") if rows else None


def bulk(results):
    """Gbit/s: the stream alone and beside a ping-pong."""
    rows = []
    if "stream" in results:
        rows.append(("stream (iperf3)", results["stream"].get("kernel"),
                     results["stream"].get("gazelle")))
    mixed = results.get("mixed", {})
    for key, label in (("alone_gbps", "mixed: the stream alone"),
                       ("both_gbps", "mixed: beside a ping-pong")):
        rows.append((label, mixed.get(f"kernel_{key}"), mixed.get(f"gazelle_{key}")))
    rows = [r for r in rows if r[1] or r[2]]
    return pairs(rows, "Gbit/s") if rows else None


LATENCIES = (  # scenario, figure, what it is called, its unit in microseconds
    ("rr", "p50_us", "p50", 1), ("rr", "p90_us", "p90", 1), ("rr", "p99_us", "p99", 1),
    ("rr", "p999_us", "p99.9", 1), ("rr", "max_us", "worst", 1),
    ("mixed", "both_p50_us", "ping-pong beside a stream p50", 1),
    ("mixed", "both_p99_us", "ping-pong beside a stream p99", 1),
    ("udp", "p50_us", "p50", 1), ("udp", "p99_us", "p99", 1), ("udp", "max_us", "worst", 1),
    *((name, figure, label, 1000) for name in
      ("redis", "redis-500", "redis-3000", "redis-pipeline", "redis-server-only", "http",
       "http-close")
      for figure, label in (("p50_ms", "p50"), ("p99_ms", "p99"), ("max_ms", "worst"))),
    ("conns", "full_p50_us", "p50", 1), ("conns", "full_p99_us", "p99", 1),
    ("idle", "first_p50_us", "first request p50", 1),
    ("idle-fast", "first_p50_us", "first request p50", 1),
)


def latency(results):
    """Percentiles: a dot for each stack, joined."""
    rows = []
    for name, figure, label, scale in LATENCIES:
        values = [results.get(name, {}).get(f"{s}_{figure}") for s in ("kernel", "gazelle")]
        if name == "rr" and figure == "p50_us":
            values = [results.get(name, {}).get(s) for s in ("kernel", "gazelle")]
        if all(values):
            rows.append((f"{name} {label}", values[0] * scale, values[1] * scale))
    if not rows:
        return None
    data = [(i, k, g) for i, (_, k, g) in enumerate(rows)]
    return (rows_head([r[0] for r in rows]) + block("d", data)
            + "set logscale x\nset format x '%.12g'\nset xlabel 'microseconds (left is better)'\n"
            "set xrange [*:*]\nset offsets graph 0.03, graph 0.03, 0, 0\n"
            "set key top center outside horizontal\n"
            "plot $d using 2:1:($3-$2):(0) with vectors nohead lw 2 lc rgb '#cccccc' notitle, "
            f"$d using 2:1 with points pt 7 ps 0.9 lc rgb '{KERNEL}' title 'kernel', "
            f"$d using 3:1 with points pt 7 ps 0.9 lc rgb '{GAZELLE}' title 'Gazelle'\n")


def graph(results):
    """Cycles per packet of each node."""
    nodes = results.get("graph", {}).get("nodes")
    if not nodes:
        return None
    rows = list(nodes.items()) + [("rx to tcp-to-lwip", results["graph"]["total_cycles_per_packet"])]
    data = [(i, max(v, 0.5), text(f"{v:g}")) for i, (_, v) in enumerate(rows)]
    return (rows_head([r[0] for r in rows]) + block("d", data)
            + "set logscale x\nset xrange [0.5:*]\nset offsets 0, graph 0.1, 0, 0\n"
            "set xlabel 'cycles per packet, 64 bytes, full vectors'\n"
            f"plot $d using 2:1:(0.5):2:($1-0.34):($1+0.34) with boxxyerror lc rgb '{GAZELLE}' notitle,"
            " $d using 2:1:3 with labels left offset 0.4,0 notitle\n")


def conns(results):
    """Time per request by how many connections are open."""
    r = results.get("conns", {})
    rows = []
    for phase, label in (("base", "open: few, asked: all of them"),
                         ("hot", "open: all, asked: few"), ("full", "open: all, asked: all")):
        values = [r.get(f"{s}_{phase}_us_per_request") for s in ("kernel", "gazelle")]
        if any(values):
            rows.append((label, *values))
    return pairs(rows, "microseconds per request, 32 in flight") if rows else None


def goodput(results):
    """Mbit/s by loss rate."""
    rates = results.get("goodput", {}).get("rates")
    if not rates:
        return None
    series = [k for k in next(iter(rates.values())) if k != "ratio"]
    width = 0.8 / len(series)
    script = head(360, 10) + "set grid y lc rgb '#dddddd' lt 1\nunset grid\nset grid y\n"
    plots = []
    for n, key in enumerate(series):
        shift = (n - (len(series) - 1) / 2) * width
        script += block(f"s{n}", [(i + shift, r.get(key) or "NaN", text(number(r.get(key) or 0)))
                                  for i, r in enumerate(rates.values())])
        title = "Gazelle" if key == "gazelle" else key.replace("_", " ")
        colour = GAZELLE if key == "gazelle" else SERIES[n]
        plots.append(f"$s{n} using 1:2:({width * 0.92}) with boxes lc rgb '{colour}' title '{title}', "
                     f"$s{n} using 1:2:3 with labels offset 0,0.6 font ',11' notitle")
    return (script + f"set xtics ({tics(f'{rate} %' for rate in rates)}) scale 0\nset xrange [-0.6:{len(rates) - 0.4}]\n"
            "set yrange [0:*]\nset offsets 0, 0, graph 0.08, 0\nset ylabel 'Mbit/s'\n"
            "set xlabel 'packets lost at random'\n"
            "set key top center outside horizontal\nplot " + ", ".join(plots) + "\n")


def linerate(results):
    """RFC 2544: throughput in packets and bits, latency, and loss by offered load."""
    duts = results.get("linerate", {}).get("duts")
    if not duts:
        return None
    script = head(900, 10) + "set multiplot layout 2,2\nset lmargin 9\nset rmargin 3\nset key below\n"
    script += "set grid x y lc rgb '#dddddd' lt 1\n"

    def chart(title, xlabel, ylabel, series, setup=""):
        out = f"set title {text(title)}\nset xlabel {text(xlabel)} offset 0,0.5\nset ylabel {text(ylabel)}\n{setup}"
        plots = []
        for n, (name, points) in enumerate(series.items()):
            ident = f"p{len(charts)}x{n}"
            out += block(ident, points)
            plots.append(f"${ident} using 1:2 with linespoints pt 7 ps 0.6 lw 2 lc rgb "
                         f"'{SERIES[(n + 1) % len(SERIES)]}' title '{name}'")
        charts.append(title)
        return out + "plot " + ", ".join(plots) + "\n"

    charts = []
    sizes = {d: [(r["frame"], r) for r in rows] for d, rows in duts.items()}
    frame = "frame size, bytes"
    script += chart("Throughput, packets", frame, "Mpps",
                    {d: [(f, r["mpps"]) for f, r in rows] for d, rows in sizes.items()},
                    "set yrange [0:*]\n")
    script += chart("Throughput, bits", frame, "Gbit/s",
                    {d: [(f, r["gbps"]) for f, r in rows] for d, rows in sizes.items()})
    half = "latency_us_at_50_percent"
    script += chart("Latency at half the throughput", frame, "microseconds",
                    {f"{d} {p}": [(f, r[half][p]) for f, r in rows]
                     for d, rows in sizes.items() for p in ("p50", "p99") if half in rows[0][1]},
                    "set logscale y\nset yrange [*:*]\n")
    script += chart(f"Loss at {next(iter(sizes.values()))[0][0]}-byte frames", "offered, Mpps",
                    "packets lost, %",
                    {d: [(p["mpps"], p["loss_percent"]) for p in rows[0][1]["loss_curve"]]
                     for d, rows in sizes.items() if "loss_curve" in rows[0][1]},
                    "unset logscale y\nset yrange [0:*]\n")
    return script + "unset multiplot\n"


def trend(results, entries):
    """Ratio to the kernel of each scenario, run after run on this kind of machine."""
    series = {}
    for entry in entries:
        now = results.get(entry.get("scenario"), {})
        if entry.get("ratio") and entry.get("unit") not in NO_RATIO and entry.get("cpu") == now.get("cpu") and \
                entry.get("mode") == now.get("mode"):
            series.setdefault(entry["scenario"], []).append(entry["ratio"])
    series = {k: v[-HISTORY_RUNS:] for k, v in series.items() if len(v) > 1}
    if not series:
        return None
    longest = max(map(len, series.values()))
    script = head(480, 10) + ("set grid x y lc rgb '#dddddd' lt 1\nset logscale y\n"
                              "set ylabel 'times better than the kernel'\n"
                              "set xlabel 'runs, the latest at 0'\n"
                              "set key outside right center\nset rmargin 26\n"
                              f"set xrange [{-longest + 0.7}:0.3]\nset xtics 1\n")
    plots = []
    for n, (name, values) in enumerate(series.items()):
        script += block(f"h{n}", [(i - len(values) + 1, v) for i, v in enumerate(values)])
        dash = 1 + n // len(SERIES)
        plots.append(f"$h{n} with linespoints pt 7 ps 0.5 lw 2 dt {dash} lc rgb "
                     f"'{SERIES[n % len(SERIES)]}' title '{name}'")
    return script + "plot " + ", ".join(plots) + "\n"
