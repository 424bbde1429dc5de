# SPDX-License-Identifier: BSD-3-Clause
"""Starts that fail: no program lives on that nobody can reach, and none is started again and again."""

import os
import pathlib
import signal
import time

from cases import BOTH, COMPLETION, case
from cases_programs import REDIS
from cases_start import write_conf
from harness import NEAR, PEER, Failure, cpu_seconds

FULL = os.environ.get("GAZELLE_FULL") == "1"

# Listens on the stack's address, and says which call refuses that.
LISTEN = """
import resource, socket, sys
if sys.argv[2] == "no-memory":
    pages = int(open("/proc/self/statm").read().split()[0])
    limit = pages * resource.getpagesize() + (96 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
listener = socket.create_server((sys.argv[1], 7000))
print("listening", flush=True)
listener.accept()
print("accepted")
"""


def change(path, old, new):
    text = path.read_text()
    if old not in text:
        raise Failure(f"no {old!r} in {text!r}")
    path.write_text(text.replace(old, new))


def no_device(bed, conf):
    change(conf, f"iface={bed.near_dev}", "iface=nosuch0")


def no_driver(bed, conf):
    change(conf, "net_af_packet0", "net_nosuch0")


def driver_refuses(bed, conf):
    change(conf, f"iface={bed.near_dev}", f"iface={bed.near_dev},framesz=1")


def unknown_argument(bed, conf):
    change(conf, '"--no-pci"', '"--no-pci", "--nosuch"')


def wrong_value(bed, conf):
    change(conf, 'mask_addr="255', 'mask_addr="256')


def wrong_syntax(bed, conf):
    conf.write_text(conf.read_text() + "mtu = = 3\n")


def nothing(bed, conf):
    pass


def no_file(bed, conf):
    conf.unlink()


def a_directory(bed, conf):
    conf.unlink()
    conf.mkdir()


# What is wrong, and what is said.
# Not among them: hugepages that are not there (ordinary pages are used) and pools that do not fit
# (cases_pool.py).
FAILURES = {
    "no-device": (no_device, "cannot start: "),
    "no-driver": (no_driver, "cannot start: "),
    "driver-refuses": (driver_refuses, "cannot start: "),
    "unknown-argument": (unknown_argument, "cannot start: "),
    "no-memory": (nothing, "cannot start: "),
    "no-rights": (nothing, "cannot start: "),
    "wrong-value": (wrong_value, "the settings cannot be used"),
    "wrong-syntax": (wrong_syntax, "the settings cannot be used"),
    "no-file": (no_file, "the settings cannot be used"),
    "a-directory": (a_directory, "the settings cannot be used"),
}

NO_SETTINGS = ("no-file", "a-directory")  # on_error, too, is in the file: "kernel"


def start(bed, name, on_error, argv):
    """What is said, and the program; not by `gazelle run`, which refuses some of this itself."""
    return FAILURES[name][1], start_with(bed, name, on_error, argv, FAILURES[name][0])


def start_with(bed, name, on_error, argv, spoil):
    conf = bed.scratch / "lstack.conf"
    conf.write_text(pathlib.Path(write_conf(bed, f'on_error="{on_error}"',
                                            f'stack_thread_mode="{bed.mode}"')).read_text())
    spoil(bed, conf)
    program = pathlib.Path(argv[0]).name
    if name == "no-rights":
        bed.scratch.chmod(0o755)
        argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *argv]
    return bed.plain(["env", f"LSTACK_CONF_PATH={conf}",
                      f"LD_PRELOAD={bed.build / 'preload' / 'liblstack.so'}",
                      f"GAZELLE_BIND_PROCNAME={program}", *argv])


def expect_end(bed, name, on_error):
    text, server = start(bed, name, on_error, [PEER[0], "-c", LISTEN, NEAR, name])
    code = server.wait(20)
    output = server.output()
    ends = "the program ends"
    if text.startswith("the settings") and on_error == "kernel":
        ends = "Cannot assign requested address"
    if code == 0 or text not in output or ends not in output:
        raise Failure(f"{name}, {on_error}: ended with {code}: {output}")


@case(modes=BOTH, kernel=False, seconds=120)
def start_failures(bed):
    """Whatever is wrong, a program whose address only the stack has does not live on: it says why and
    ends, or its bind() fails as the kernel's does. All combinations with GAZELLE_FULL=1."""
    for number, name in enumerate(FAILURES):
        words = ("kernel",) if name in NO_SETTINGS else ("kernel", "exit")
        for on_error in words if FULL else words[number % len(words):][:1]:
            expect_end(bed, name, on_error)


def without_ltran(bed, conf):
    conf.write_text(conf.read_text() + 'low_power_mode=1\nuse_ltran=1\n'
                    f'unix_prefix="{bed.prefix}-nosuch-"\n')


@case(modes=BOTH, kernel=False)
def start_before_ltran(bed):
    """ltran may come later: the program says that it waits, and sleeps until then."""
    server = start_with(bed, "no-ltran", "kernel", [PEER[0], "-c", LISTEN, NEAR, ""], without_ltran)
    deadline = time.monotonic() + 15
    while "waiting for ltran at" not in server.output() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)
    before = cpu_seconds(server.pid)
    time.sleep(2)
    if not server.running() or "waiting for ltran at" not in server.output():
        raise Failure(server.output())
    if cpu_seconds(server.pid) - before > 0.1:
        raise Failure(f"{cpu_seconds(server.pid) - before} s in 2 s")


@case(modes=(COMPLETION,), kernel=False)
def start_failures_redis(bed):
    """redis, too, ends with the message."""
    argv = [*REDIS, "--bind", NEAR]
    text, server = start(bed, "no-device", "kernel", argv)
    code = server.wait(20)
    if code == 0 or text not in server.output() or "the program ends" not in server.output():
        raise Failure(f"ended with {code}: {server.output()}")


NGINX = """daemon off;
error_log %s notice;
pid %s/nginx.pid;
worker_processes 2;
events {}
http { server { listen %s:8000; return 200 ok; } }
"""


@case(modes=(COMPLETION,), kernel=False)
def start_failures_nginx(bed):
    """Workers that cannot start are not made again and again."""
    conf = bed.scratch / "nginx.conf"
    conf.write_text(NGINX % (bed.scratch / "error.log", bed.scratch, NEAR))
    errors = bed.scratch / "error.log"
    for on_error in ("kernel", "exit"):
        errors.write_text("")
        _, master = start(bed, "no-device", on_error, ["nginx", "-c", str(conf), "-e", str(errors)])
        deadline = time.monotonic() + 20
        while errors.read_text().count("cannot be respawned") < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1)
        text = errors.read_text()
        if text.count("the program ends") != 2 or text.count("cannot be respawned") != 2:
            raise Failure(f"{on_error}: {text[-1000:]}")
        if cpu_seconds(master.pid) > 1:
            raise Failure(f"the master has used {cpu_seconds(master.pid)} s")
        master.stop()


# A master that starts a worker as soon as one ends, as many do.
RESPAWN = """
import os, socket, sys, time
listener = socket.create_server((sys.argv[1], 7000))
end = time.monotonic() + 6
while time.monotonic() < end:
    if os.fork() == 0:
        listener.accept()
        os._exit(0)
    os.wait()
    print("worker ended", flush=True)
"""


@case(modes=(COMPLETION,), kernel=False)
def start_failures_prefork(bed):
    """A worker that cannot start ends after a second, so its master does not burn a core."""
    _, master = start(bed, "no-device", "kernel", [PEER[0], "-c", RESPAWN, NEAR])
    master.wait(30)
    if not 1 <= master.output().count("worker ended") <= 6:
        raise Failure(f"in 6 seconds: {master.output()}")


# A handler in C, which runs at once (Python's own only sets a flag): _exit(7).
SERVER_WITHOUT_PEER = """
import ctypes, signal, socket, sys
libc = ctypes.CDLL(None)
if sys.argv[2] == "handler":
    exit_now = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda number: libc._exit(7))
    libc.signal(signal.SIGTERM, exit_now)
listener = socket.create_server((sys.argv[1], 7000))
print("listening", flush=True)
listener.accept()
"""


@case(wires=("fast",), modes=BOTH, kernel=False, seconds=60)
def server_without_peer_ends(bed):
    """A virtio-user server whose peer does not come ends on SIGTERM: by default, or by the program's handler."""
    for how, code in ("default", -signal.SIGTERM), ("handler", 7):
        server = bed.near([PEER[0], "-c", SERVER_WITHOUT_PEER, NEAR, how])
        deadline = time.monotonic() + 20
        while "waiting for a vhost peer" not in server.output():
            if time.monotonic() > deadline or not server.running():
                raise Failure(f"it does not wait: {server.output()[-400:]}")
            time.sleep(0.05)
        os.kill(server.pid, signal.SIGTERM)
        got = server.wait(5)
        if got != code:
            raise Failure(f"{how}: ended with {got}: {server.output()[-400:]}")
