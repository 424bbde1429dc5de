# SPDX-License-Identifier: BSD-3-Clause
"""What was measured before: one JSON line per scenario and run of perf/run, and how it moved."""

import json
import statistics

# Only results that agree on all of these can be compared.
SAME = ("scenario", "mode", "hugepages", "realtime", "cpu", "cores", "gazelle_connections")
LAST = 3        # results that a new one is held against: their median
NOTABLE = 0.10  # of change; less is noise


def load(path):
    """All lines, oldest first; lines that are no JSON (an interrupted write) are left out."""
    entries = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entries.append(json.loads(line))
            except ValueError:
                continue
    return [e for e in entries if isinstance(e, dict)]


def append(path, result):
    """Keep a result, without its single runs."""
    with open(path, "a", encoding="utf-8") as history:
        history.write(json.dumps({k: v for k, v in result.items() if k != "all"}) + "\n")


def quality(result):
    """One figure of a result that grows as Gazelle gets better; None where there is none."""
    if result.get("ratio"):
        return result["ratio"]
    value = result.get("gazelle")
    if not value:
        return None
    return 1 / value if result.get("lower_is_better") else value


def before(result, entries):
    """Results of the same kind on the same kind of machine, the last ones."""
    same = [e for e in entries if all(e.get(k) == result.get(k) for k in SAME) and quality(e)]
    return same[-LAST:]


def change_percent(result, entries):
    """How much better (+) or worse (-) than the median of the last ones; None without any."""
    old, new = before(result, entries), quality(result)
    if not old or not new:
        return None
    return round(100 * (new / statistics.median(quality(e) for e in old) - 1), 1)
