#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the system tests: real programs on Gazelle between network namespaces. Needs root.

Each case runs in every setting (wire and mode) it names; a test's name is case/wire/mode.
GAZELLE_OFF=1 runs the same programs with the kernel on both ends, which tests the tests.
"""

import argparse
import os
import pathlib
import shutil
import signal
import sys
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import cases_bond  # noqa: E402,F401  (register themselves)
import cases_descriptors  # noqa: E402,F401
import cases_device  # noqa: E402,F401
import cases_launch  # noqa: E402,F401
import cases_ltran  # noqa: E402,F401
import cases_ltran_bond  # noqa: E402,F401
import cases_ltran_hostile  # noqa: E402,F401
import cases_ltran_life  # noqa: E402,F401
import cases_ltran_reload  # noqa: E402,F401
import cases_ltran_safety  # noqa: E402,F401
import cases_memory  # noqa: E402,F401
import cases_flood  # noqa: E402,F401
import cases_net  # noqa: E402,F401
import cases_perf  # noqa: E402,F401
import cases_pool  # noqa: E402,F401
import cases_posix  # noqa: E402,F401
import cases_programs  # noqa: E402,F401
import cases_rights  # noqa: E402,F401
import cases_run  # noqa: E402,F401
import cases_start  # noqa: E402,F401
import cases_start_failures  # noqa: E402,F401
import cases_threads  # noqa: E402,F401
from cases import CASES  # noqa: E402
from dispositions import default_for_children  # noqa: E402
from harness import KERNEL, ROOT, Bed, Failure, Skip  # noqa: E402


def settings(case, off, quick):
    if off:
        return [("kernel", KERNEL)] if case.kernel else []
    return [(wire, mode) for wire in case.wires for mode in case.modes
            if not quick or wire == case.wires[0]]


def on_alarm(_number, _frame):
    raise Failure("took too long")


def run_one(case, wire, mode, args):
    """Returns ("ok" | "FAIL" | "skip", reason)."""
    logs = args.logs / f"{case.name}-{wire}-{mode}"
    shutil.rmtree(logs, ignore_errors=True)
    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(case.seconds)
    try:
        with Bed(wire, mode, args.build, logs) as bed:
            case.run(bed)
    except Skip as reason:
        return "skip", str(reason)
    except Failure as reason:
        return "FAIL", f"{reason}\n        logs: {logs}"
    except Exception:  # a broken test must not hide the others
        return "FAIL", traceback.format_exc()
    finally:
        signal.alarm(0)
    if not args.keep:
        shutil.rmtree(logs, ignore_errors=True)
    return "ok", ""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--logs", type=pathlib.Path, default=ROOT / ".setup" / "log" / "system")
    parser.add_argument("--quick", action="store_true", help="the first wire of each case only")
    parser.add_argument("--keep", action="store_true", help="keep the logs of passed tests")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    parser.add_argument("names", nargs="*", help="run the tests whose names contain one of these")
    args = parser.parse_args()
    off = os.environ.get("GAZELLE_OFF") == "1"
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda n, _: sys.exit(128 + n))
    default_for_children()
    os.environ["GAZELLE_BUILD"] = str(args.build.resolve())
    counts = {"ok": 0, "FAIL": 0, "skip": 0}
    for case in CASES:
        for wire, mode in settings(case, off, args.quick):
            name = f"{case.name}/{wire}/{mode}"
            if args.names and not any(n in name for n in args.names):
                continue
            if args.list:
                print(name)
                continue
            started = time.monotonic()
            result, reason = run_one(case, wire, mode, args)
            counts[result] += 1
            print(f"{result:<7} {name} ({time.monotonic() - started:.1f} s)"
                  + (f": {reason}" if reason else ""), flush=True)
    print(f"{counts['ok']} passed, {counts['FAIL']} failed"
          + (f", {counts['skip']} skipped" if counts["skip"] else ""))
    return counts["FAIL"] != 0


if __name__ == "__main__":
    sys.exit(main())
