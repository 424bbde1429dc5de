# SPDX-License-Identifier: BSD-3-Clause
"""What was measured, and on what: CPU, memory, kernel, versions."""

import os
import platform
import shutil
import subprocess

from fastwire import ROOT

# Programs whose package versions a result may name.
PACKAGES = {"redis-server": "redis-server", "redis-benchmark": "redis-tools", "iperf3": "iperf3",
            "nginx": "nginx", "wrk": "wrk"}


def cpu_ticks():
    """Total and stolen ticks of all cores."""
    with open("/proc/stat", encoding="ascii") as stat:
        ticks = [int(t) for t in stat.readline().split()[1:9]]
    return sum(ticks), ticks[7]


def cpu_model():
    """The model name."""
    with open("/proc/cpuinfo", encoding="ascii") as info:
        for line in info:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def commit():
    """Which state of the tree was measured."""
    done = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"],
                          capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def versions(programs):
    """Versions of the tree, the kernel, DPDK and `programs`."""
    found = {"kernel": platform.release(), "gazelle": commit()}
    for name in ("librte-eal23",) + tuple(PACKAGES[p] for p in programs):
        if shutil.which("dpkg-query") is None:
            break
        done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name],
                              capture_output=True, text=True, check=False)
        if done.returncode == 0:
            found["dpdk" if name.startswith("librte") else name] = done.stdout
    return found


def facts():
    """What every result says about the machine."""
    return {"cpu": cpu_model(), "cores": os.cpu_count()}
