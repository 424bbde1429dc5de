# SPDX-License-Identifier: BSD-3-Clause
"""`gazelle run` itself: who belongs to a run, what it leaves of its caller's, ends in its set-up."""

import os
import pathlib
import shutil
import signal
import subprocess
import time

from cases import COMPLETION, case
from cases_run import (GAZELLE, SECOND, device, expect_changed, expect_state, in_near, janitor_of,
                       prepare, sh, states)
from harness import NEAR, PEER, Failure

SOMEBODY = 65534
RUNS = pathlib.Path("/var/run/gazelle/runs")


def serving(bed, port="7000", host=NEAR, *options):
    """A server on Gazelle that has been reached."""
    server = bed.near(PEER + ["serve", port], *options)
    bed.until(bed.run_far, PEER + ["upload", host, port, "1000"], "ok", seconds=10)
    return server


def environment(pid):
    pairs = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return dict(p.decode().split("=", 1) for p in pairs if b"=" in p)


def confs():
    return set(RUNS.glob("*.conf")) | set(pathlib.Path("/tmp").glob("gazelle-??????.conf"))


def expect_no_new_conf(before, when):
    """Others may start runs at the same time: what is there for long was left behind."""
    deadline = time.monotonic() + 10
    while new := {c for c in confs() - before if str(c) not in used_confs()}:
        if time.monotonic() > deadline:
            raise Failure(f"{when}: {new} left behind")
        time.sleep(0.1)


def used_confs():
    used = set()
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            used.add(environment(path.name).get("LSTACK_CONF_PATH"))
        except OSError:
            continue
    return used


@case(modes=(COMPLETION,), kernel=False)
def run_looks_at_device(bed):
    """Somebody changes a device that a run has: the next run puts it right. The end restores what
    the first one found."""
    in_near(bed, "ethtool", "-K", bed.near_dev, "gro", "off")
    before = device(bed)
    first = serving(bed)
    prepare(bed)
    second = serving(bed, "7001", SECOND, "--addr", SECOND + "/24")
    expect_changed(bed, "in the second run")
    first.stop()
    second.stop()
    expect_state(bed, before, "after both")


@case(modes=(COMPLETION,), kernel=False)
def run_after_kill(bed):
    """Somebody changes a device that a killed run has left: that is the state to restore."""
    in_near(bed, "ethtool", "-K", bed.near_dev, "gro", "off")
    server = serving(bed)
    os.killpg(os.getpgid(janitor_of(server)), signal.SIGKILL)
    server.popen.kill()
    server.wait(5)
    before = prepare(bed)
    server = serving(bed)
    expect_changed(bed, "after a killed run")
    server.stop()
    expect_state(bed, before, "after the next run")


@case(modes=(COMPLETION,), kernel=False)
def run_foreign_process(bed):
    """A process of another user cannot pretend to belong to a run."""
    before = prepare(bed)
    server = serving(bed)
    conf = environment(server.pid)["LSTACK_CONF_PATH"]
    if os.stat(os.path.dirname(conf)).st_mode & 0o077:
        raise Failure(f"{conf}: others see the name")
    liar = subprocess.Popen(["/usr/bin/env", "-i", f"LSTACK_CONF_PATH={conf}", "sleep", "30"],
                            user=SOMEBODY, group=SOMEBODY, extra_groups=())
    try:
        server.stop()
        expect_state(bed, before, "with another user's process")
        if os.path.exists(conf):
            raise Failure("the configuration stays")
    finally:
        liar.kill()
        liar.wait()


@case(modes=(COMPLETION,), kernel=False)
def run_daemon(bed):
    """A program that goes to the background and writes over its environment (for `ps`) has the device
    until it ends."""
    before = prepare(bed)
    pidfile = bed.scratch / "pid"
    start = bed.near(["redis-server", "--port", "6379", "--bind", NEAR, "--protected-mode", "no",
                      "--save", "", "--daemonize", "yes", "--pidfile", str(pidfile)])
    bed.finish(start, 10)
    try:
        bed.until(bed.run_far, ["redis-cli", "-h", NEAR, "ping"], "PONG", seconds=10)
        time.sleep(2.5)  # a janitor that does not see it has given up by then
        expect_changed(bed, "with a daemon")
    finally:
        os.kill(int(pidfile.read_text()), signal.SIGTERM)
    expect_state(bed, before, "after the daemon")


STDS = "r=; for n in 0 1 2; do [ -e /proc/$$/fd/$n ] && r=$r$n; done; echo open:$r >$OUT; exit 7"


@case(modes=(COMPLETION,), kernel=False)
def run_closed_descriptors(bed):
    """Standard descriptors that are closed, full or without a reader: as with env."""
    before, left, out = prepare(bed), confs(), bed.scratch / "out"
    run = bed.gazelle_run(False, 0, []) + ["sh", "-c", STDS]
    for how in ("", "<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", "<&- >&- 2>&-", "2>/dev/full",
                "2>&1 >/dev/full | exec true"):
        said = {}
        for name, argv in (("env", ["env", "sh", "-c", STDS]), ("run", run)):
            out.unlink(missing_ok=True)
            code = subprocess.run(["bash", "-c", f'"$@" {how}; exit ${{PIPESTATUS[0]}}', "-", *argv],
                                  env=dict(os.environ, OUT=str(out)), timeout=20,
                                  stderr=subprocess.DEVNULL, check=False).returncode
            said[name] = (code, out.read_text() if out.exists() else None)
        if said["env"] != said["run"]:
            raise Failure(f"{how!r}: {said}")
    expect_state(bed, before, "afterwards")
    expect_no_new_conf(left, "afterwards")


@case(modes=(COMPLETION,), kernel=False)
def run_ended_in_set_up(bed):
    """Whenever a launcher is killed, the device is as before and no file stays."""
    before, left = prepare(bed), confs()
    argv = bed.gazelle_run(False, 0, []) + ["sleep", "0.1"]
    for step in range(16):
        number = (signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGHUP)[step % 4]
        launcher = subprocess.Popen(argv, stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(0.02 * step)
        launcher.send_signal(number)
        launcher.wait(10)
    expect_state(bed, before, "after all")
    expect_no_new_conf(left, "after all")


@case(modes=(COMPLETION,), kernel=False)
def run_many_at_once(bed):
    """Starts and ends that meet each other restore what was there before all."""
    before, left = prepare(bed), confs()
    argv = bed.gazelle_run(False, 0, []) + ["sleep", "0.05"]
    for _ in range(3):
        runs = [subprocess.Popen(argv, stderr=subprocess.DEVNULL) for _ in range(6)]
        if codes := [r.returncode for r in runs if r.wait(30)]:
            raise Failure(f"exit codes {codes}")
    expect_state(bed, before, "after all")
    expect_no_new_conf(left, "after all")


@case(modes=(COMPLETION,), kernel=False)
def run_device_gone(bed):
    """The device goes while a program uses it: nothing of it stays."""
    prepare(bed)
    left = confs()
    server = serving(bed)
    sh("ip", "-n", bed.near_ns, "link", "del", bed.near_dev)
    server.stop()
    expect_no_new_conf(left, "after the device")
    deadline = time.monotonic() + 10
    while left := [s for s in states() if f"dev {bed.near_dev}\n" in s.read_text()]:
        if time.monotonic() > deadline:
            raise Failure(f"{left} stays")
        time.sleep(0.1)


@case(modes=(COMPLETION,), kernel=False)
def run_from_anywhere(bed):
    """Blanks in names of ours, scripts without a last newline, names that are none."""
    tree = bed.scratch / "a tree: with blanks"
    tree.mkdir()
    shutil.copy(GAZELLE, tree)
    shutil.copy(bed.build / "preload" / "liblstack.so", tree)
    options = bed.gazelle_run(False, 0, [])[1:]
    said = sh(str(tree / "gazelle"), *options, "grep", "-o", "-m1", "liblstack.so", "/proc/self/maps")
    if "liblstack.so" not in said:
        raise Failure(f"not preloaded: {said!r}")
    script = bed.scratch / "a script"
    script.write_text("#!/bin/true")
    script.chmod(0o755)
    sh(GAZELLE, *options, str(script))
    for program, code in (("/no/such", 127), ("no-such-command", 127)):
        done = subprocess.run([GAZELLE, *options, program], capture_output=True, text=True,
                              check=False)
        if done.returncode != code or "no such program" not in done.stderr:
            raise Failure(f"{program}: {done}")


def launchers(bed):
    """Command lines that all end in the same server, under another name than they begin with."""
    shim = bed.scratch / "python3"
    shim.write_text(f'#!/bin/bash\nexec {PEER[0]} "$@"\n')
    shim.chmod(0o755)
    other = bed.scratch / "server"
    shutil.copy(os.path.realpath(PEER[0]), other)
    serve = [PEER[1], "serve", "7000"]
    line = " ".join([str(other), *serve])
    return {
        "sh -c exec": ["sh", "-c", "exec " + line],
        "sh -c, a child": ["sh", "-c", line + "; exit $?"],
        "a shim": [str(shim), *serve],
        "env, nice, timeout": ["env", "A=1", "nice", "timeout", "60", str(other), *serve],
        "a program that becomes another": [PEER[0], "-c", "import os, sys\nos.execv(sys.argv[1], "
                                           "sys.argv[1:])", str(other), *serve],
        "a shell of a shell": ["setsid", "-w", "sh", "-c", f"(sh -c '{line}') & wait"],
    }


def kill_all(bed):
    """Whatever runs in the namespace: timeout and setsid make groups of their own. A killed process is
    gone from the list before the kernel has taken back its port."""
    for pid in sh("ip", "netns", "pids", bed.near_ns).split():
        os.kill(int(pid), signal.SIGKILL)
    deadline = time.monotonic() + 10
    while sh("ip", "netns", "exec", bed.near_ns, "ss", "-tlnH"):
        if time.monotonic() > deadline:
            raise Failure("the killed server still listens")
        time.sleep(0.05)


@case(modes=(COMPLETION,), kernel=False, seconds=120)
def run_through_launchers(bed):
    """A program is accelerated that another one starts."""
    before = prepare(bed)
    for how, argv in launchers(bed).items():
        server = bed.near(argv)
        try:
            bed.until(bed.run_far, PEER + ["upload", NEAR, "7000", "1000"], "ok", seconds=20)
        except Failure as why:
            raise Failure(f"{how}: {why}; {server.output()[-500:]}") from None
        kill_all(bed)
        server.wait(5)
    expect_state(bed, before, "afterwards")


HELPER = """
import os, socket, subprocess, sys
# What a bound program starts is the kernel's, but for its own kind.
for argv in (["sh", "-c", "grep -c liblstack.so /proc/self/maps; exec grep -c /runs/ /proc/self/maps"],
             [sys.executable, "-c", "print(open('/proc/self/maps').read().count('/runs/'))"]):
    print(subprocess.run(argv, stdout=subprocess.PIPE, text=True).stdout.split()[-1], end=" ")
print(flush=True)
"""


@case(modes=(COMPLETION,), kernel=False)
def run_binds_no_helpers(bed):
    """Through a shell or not: a bound program's helpers are not bound, its workers are."""
    program = [PEER[0], "-c", HELPER]
    script = bed.scratch / "helper.py"
    script.write_text(HELPER)
    for how, argv in (("itself", program), ("sh", ["sh", "-c", f"{PEER[0]} {script}; true"])):
        said = bed.finish(bed.near(argv), 20)
        if said.split()[-2:] != ["0", "1"]:
            raise Failure(f"{how}: {said!r}")


@case(modes=(COMPLETION,), kernel=False)
def run_two_programs(bed):
    """A script starts two servers: the first has the device, the other says why it has not."""
    other = bed.scratch / "server"
    shutil.copy(os.path.realpath(PEER[0]), other)
    go = bed.scratch / "go"  # the first has the device
    line = f"{PEER[0]} {PEER[1]} serve 7000 & until [ -e {go} ]; do sleep 0.1; done; " \
           f"{other} {PEER[1]} serve 7001 & wait"
    server = bed.near(["sh", "-c", line])
    bed.until(bed.run_far, PEER + ["upload", NEAR, "7000", "1000"], "ok", seconds=10)
    go.touch()
    deadline = time.monotonic() + 10
    while "of the same `gazelle run` has the device" not in server.output():
        if time.monotonic() > deadline:
            raise Failure(f"it does not say so: {server.output()!r}")
        time.sleep(0.1)
    bed.run_far(PEER + ["upload", NEAR, "7000", "1000"], expect="ok")


@case(modes=(COMPLETION,), kernel=False)
def run_names_unreachable(bed):
    """Programs that nothing can be preloaded into are named."""
    source = bed.scratch / "static.c"
    source.write_text("int main(void) { return 0; }\n")
    sh("gcc", "-static", "-o", str(bed.scratch / "static"), str(source))
    options = bed.gazelle_run(False, 0, [])[1:]
    for argv, why in (([str(bed.scratch / "static")], "statically linked"),
                      (["env", "-i", "true"], "takes LD_PRELOAD away"), (["true"], None)):
        done = subprocess.run([GAZELLE, *options, *argv], capture_output=True, text=True, check=False)
        named = (why or "kernel's sockets") in done.stderr
        if done.returncode or named != (why is not None):
            raise Failure(f"{argv}: {done}")


@case(modes=(COMPLETION,), kernel=False)
def run_says_what_is_wrong(bed):
    """Options that cannot be followed are named, and nothing is changed for them."""
    copy = bed.scratch / "gazelle"
    shutil.copy(GAZELLE, copy)
    bed.scratch.chmod(0o711)
    copy.chmod(0o755)
    in_near(bed, "ip", "link", "set", "lo", "up")
    before = in_near(bed, "ethtool", "-k", "lo")
    wire = ["--netns", bed.near_ns, "--device", bed.near_dev, "--addr", SECOND + "/24"]
    loopback = [*wire[:2], "--device", "lo", *wire[4:]]
    user = ["setpriv", "--reuid", str(SOMEBODY), "--clear-groups", str(copy)]
    for run, options, message in (
            ([GAZELLE], [*wire, "--set", "=1"], "--set =1: KEY=VALUE expected"),
            ([GAZELLE], [*wire, "--set", "="], "--set =: KEY=VALUE expected"),
            ([GAZELLE], [*wire, "--set", "@=1"], "--set @=1: KEY=VALUE expected"),
            ([GAZELLE], [*wire, "--set", "mtu"], "--set mtu: KEY=VALUE expected"),
            ([GAZELLE], loopback, "lo is the loopback device"),
            ([GAZELLE], [*wire[:2], "--device", "no", *wire[4:]],
             "no network device no in namespace"),
            (user, wire, f"--netns {bed.near_ns}: the namespace cannot be entered")):
        done = subprocess.run([*run, "run", *options, "--", "true"], capture_output=True,
                              text=True, check=False)
        if done.returncode != 1 or message not in done.stderr or done.stderr.count("\n") != 1:
            raise Failure(f"{options}: {done}")
    if in_near(bed, "ethtool", "-k", "lo") != before:
        raise Failure("the loopback device has been changed")
