# SPDX-License-Identifier: BSD-3-Clause
"""`gazelle run` and the device that it changes: put back by the last user, whoever gets killed."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

from cases import COMPLETION, case
from harness import FAR, NEAR, PEER, ROOT, Failure, sh

GAZELLE = str(ROOT / "gazelle")
SECOND = "198.18.0.4"
BULK = 5_000_000
BULK_SECONDS = 10  # with frames that the kernel merges it is eight minutes


def in_near(bed, *argv):
    return sh("ip", "netns", "exec", bed.near_ns, *argv)


def device(bed):
    """All that a device can tell of its settings."""
    link = json.loads(in_near(bed, "ip", "-d", "-j", "link", "show", "dev", bed.near_dev))[0]
    path = f"/proc/sys/net/ipv4/conf/{bed.near_dev}/forwarding"
    return {"flags": sorted(set(link["flags"]) - {"LOWER_UP", "NO-CARRIER"}), "mtu": link["mtu"],
            "promiscuity": link["promiscuity"], "forwarding": in_near(bed, "cat", path).strip(),
            "features": in_near(bed, "ethtool", "-k", bed.near_dev)}


def prepare(bed):
    """A device with everything that a run changes; its state."""
    in_near(bed, "ethtool", "-K", bed.near_dev, "gro", "on")
    in_near(bed, "sysctl", "-qw", f"net.ipv4.conf.{bed.near_dev}.forwarding=1")
    return device(bed)


def expect_state(bed, before, when):
    """Janitors need a moment."""
    deadline = time.monotonic() + 10
    while (now := device(bed)) != before:
        if time.monotonic() > deadline:
            changed = {k: (v, now[k]) for k, v in before.items() if now[k] != v}
            raise Failure(f"{when}: {changed}")
        time.sleep(0.05)


def expect_changed(bed, when):
    now = device(bed)
    if "generic-receive-offload: off" not in now["features"] or now["forwarding"] != "0":
        raise Failure(f"{when}, the kernel merges or forwards what is the program's")
    if now["promiscuity"] == 0:
        raise Failure(f"{when}, the device is not promiscuous")


def upload(bed, host=NEAR, port="7000"):
    started = time.monotonic()
    bed.run_far(PEER + ["upload", host, port, str(BULK)], expect="ok", timeout=60)
    return time.monotonic() - started


def janitor_of(server):
    """The shell beside a program: it has the same command line as the launcher had."""
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            argv = path.read_bytes().split(b"\0")[:-1]
        except OSError:
            continue
        if len(argv) > 2 and argv[1:] == [a.encode() for a in server.argv[server.argv.index(GAZELLE):]] \
                and int(path.parent.name) != server.pid:
            return int(path.parent.name)
    raise Failure("no janitor")


def conf_of(server):
    """Its configuration, a file in runs/."""
    for entry in pathlib.Path(f"/proc/{server.pid}/environ").read_bytes().split(b"\0"):
        if entry.startswith(b"LSTACK_CONF_PATH="):
            return pathlib.Path(entry.partition(b"=")[2].decode())
    raise Failure("no configuration")


def states():
    return list(pathlib.Path("/var/run/gazelle/devices").glob("*-*"))


@case(modes=(COMPLETION,), kernel=False, seconds=90)
def run_after_run(bed):
    """The end of a run, be it late, does not touch the device that the next one uses already."""
    before = prepare(bed)
    taken, late = [], None
    try:
        for _ in range(3):
            server = bed.near(PEER + ["serve", "7000"])
            bed.until(bed.run_far, PEER + ["upload", NEAR, "7000", "1000"], "ok", seconds=10)
            if late:
                os.kill(late, signal.SIGCONT)
            taken.append(upload(bed))
            expect_changed(bed, "in the next run")
            late = janitor_of(server)
            os.kill(late, signal.SIGSTOP)
            server.stop()
    finally:
        if late:
            os.kill(late, signal.SIGCONT)
    if max(taken) > BULK_SECONDS:
        raise Failure(f"{BULK} bytes took {taken} s")
    expect_state(bed, before, "after the last run")


@case(modes=(COMPLETION,), kernel=False)
def run_beside_run(bed):
    """Two programs share a device; it is put back when both have ended."""
    before = prepare(bed)
    first = bed.near(PEER + ["serve", "7000"])
    bed.until(bed.run_far, PEER + ["upload", NEAR, "7000", "1000"], "ok", seconds=10)
    second = bed.near(PEER + ["serve", "7001"], "--addr", SECOND + "/24")
    bed.until(bed.run_far, PEER + ["upload", SECOND, "7001", "1000"], "ok", seconds=10)
    first.stop()
    time.sleep(0.5)
    expect_changed(bed, "beside a run that has ended")
    if upload(bed, SECOND, "7001") > BULK_SECONDS:
        raise Failure("slow beside a run that has ended")
    second.popen.kill()
    second.wait(5)
    expect_state(bed, before, "after both")


@case(modes=(COMPLETION,), kernel=False)
def run_killed(bed):
    """Kills: of the program, of its janitor. What stays is named, taken over, and put back."""
    before = prepare(bed)
    for victim in ("program", "janitor and program"):
        server = bed.near(PEER + ["serve", "7000"])
        bed.until(bed.run_far, PEER + ["upload", NEAR, "7000", "1000"], "ok", seconds=10)
        left = conf_of(server)
        if victim != "program":
            os.killpg(os.getpgid(janitor_of(server)), signal.SIGKILL)
        server.popen.kill()
        server.wait(5)
        if victim == "program":
            expect_state(bed, before, "after kill -9")
    said = subprocess.run([GAZELLE, "doctor"], capture_output=True, text=True, check=False).stdout
    if not re.search(rf"left +network device {bed.near_dev} .*\n.*restore", said):
        raise Failure(f"doctor does not name {bed.near_dev}: {said}")
    server = bed.near(PEER + ["serve", "7000"])
    bed.until(bed.run_far, PEER + ["upload", NEAR, "7000", "1000"], "ok", seconds=10)
    expect_changed(bed, "after a killed run")
    if left.exists():
        raise Failure(f"{left} of the killed run is there after the next run's start")
    left = conf_of(server)
    os.killpg(os.getpgid(janitor_of(server)), signal.SIGKILL)
    sh(GAZELLE, "restore")
    server.stop()
    sh(GAZELLE, "restore")
    expect_state(bed, before, "after gazelle restore")
    if left.exists():
        raise Failure(f"gazelle restore leaves {left}")
    inode = in_near(bed, "stat", "-L", "-c", "%i", "/proc/self/ns/net").strip()
    if [s for s in states() if s.name.startswith(f"{inode}-")]:
        raise Failure("a state file stays")


@case(modes=(COMPLETION,), kernel=False)
def run_keeps_promisc(bed):
    """A device that an administrator has made promiscuous, or that was down, stays so."""
    in_near(bed, "ip", "link", "set", bed.near_dev, "promisc", "on")
    in_near(bed, "ip", "link", "set", bed.near_dev, "down")
    before = prepare(bed)
    server = bed.near(PEER + ["serve", "7000"], "--set", "mtu=1400")
    bed.until(bed.run_far, PEER + ["upload", NEAR, "7000", "1000"], "ok", seconds=10)
    if "PROMISC" not in device(bed)["flags"]:
        raise Failure("a start takes the flag away")
    server.stop()
    expect_state(bed, before, "after the run")


@case(modes=(COMPLETION,), kernel=False)
def run_stale_state(bed):
    """A state file of another device that had the number, or of another boot, is not obeyed."""
    before = prepare(bed)
    directory = pathlib.Path("/var/run/gazelle/devices")
    directory.mkdir(parents=True, exist_ok=True)
    inode = in_near(bed, "stat", "-L", "-c", "%i", "/proc/self/ns/net").strip()
    index = json.loads(in_near(bed, "ip", "-j", "link", "show", "dev", bed.near_dev))[0]["ifindex"]
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    path = directory / f"{inode}-{index}"
    wrong = "generic-receive-offload off\nforwarding 0\nmtu 1300\nup 0\n"
    for head in (f"boot {boot}\ndev {bed.near_dev}\nmac 02:00:00:00:00:77\n", "boot x\ndev "
                 f"{bed.near_dev}\nmac {'0' * 17}\n"):
        path.write_text(head + wrong)
        server = bed.near(PEER + ["serve", "7000"])
        bed.until(bed.run_far, PEER + ["upload", NEAR, "7000", "1000"], "ok", seconds=10)
        server.stop()
        expect_state(bed, before, "after a run with a stale state")
        path.write_text(head + wrong)
        sh(GAZELLE, "restore")
        expect_state(bed, before, "after gazelle restore with a stale state")
    if path.exists() or FAR not in sh("ip", "-n", bed.far_ns, "addr"):
        raise Failure("the stale state stays")
