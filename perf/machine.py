# SPDX-License-Identifier: BSD-3-Clause
"""What was measured, and on what: CPU, memory, kernel, versions."""

import datetime
import os
import pathlib
import platform
import re
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
    if shutil.which("git") is None:
        return "unknown"
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


def now():
    """The time, as results have it."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def read(path):
    """A small file of /proc or /sys; empty where there is none."""
    try:
        return pathlib.Path(path).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def caches():
    """Those of the first core, as "L1d 32K"."""
    kinds = {"Data": "d", "Instruction": "i", "Unified": ""}
    found = []
    for index in sorted(pathlib.Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        shared = read(index / "shared_cpu_list")
        found.append(f"L{read(index / 'level')}{kinds.get(read(index / 'type'), '?')} "
                     f"{read(index / 'size')} (shared by cores {shared})")
    return ", ".join(found) or "unknown"


def mitigations():
    """What the kernel does against each flaw of the CPU, where it has one."""
    found = []
    for path in sorted(pathlib.Path("/sys/devices/system/cpu/vulnerabilities").glob("*")):
        state = read(path)
        if not state.startswith("Not affected"):
            found.append(f"{path.name}: {state.removeprefix('Mitigation: ')}")
    return "; ".join(found) or "none"


def meminfo(key):
    """A row of /proc/meminfo, as text."""
    match = re.search(rf"^{key}:\s+(.*)$", read("/proc/meminfo"), re.M)
    return match.group(1) if match else "unknown"


def threads_per_core():
    """Hardware threads of the first core."""
    text = read("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list")
    return len([n for part in text.split(",") for n in part.split("-")]) or 1


def description():
    """The machine, for people: ordered name -> text."""
    info = read("/proc/cpuinfo")
    mhz = re.search(r"^cpu MHz\s*:\s*(\S+)", info, re.M)
    nodes = list(pathlib.Path("/sys/devices/system/node").glob("node[0-9]*"))
    os_name = re.search(r'^PRETTY_NAME="?([^"\n]*)', read("/etc/os-release"), re.M)
    governor = read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return {
        "CPU": cpu_model() + (f", {float(mhz.group(1)):.0f} MHz" if mhz else "")
               + (", virtual machine" if re.search(r"\bhypervisor\b", info) else ""),
        "Cores": f"{os.cpu_count()} ({threads_per_core()} thread(s) per core), "
                 f"{max(1, len(nodes))} NUMA node(s)",
        "Caches": caches(),
        "Frequency governor": governor or "not visible",
        "Memory": f"{int(meminfo('MemTotal').split()[0]) / 1048576:.1f} GB",
        "Hugepages": f"{meminfo('Hugepagesize')} each; reserved for each run, and given back",
        "Mitigations": mitigations(),
        "Kernel": f"{platform.system()} {platform.release()}",
        "System": os_name.group(1) if os_name else platform.platform(),
        "Versions": ", ".join(f"{k} {v}" for k, v in versions(PACKAGES).items() if k != "kernel"),
    }
