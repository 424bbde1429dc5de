#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The program ltran from outside: its command line, start, end, and the unit of systemd.

usage: test_ltran_program.py LTRAN LTRAN.SERVICE
Runs as any user: the NIC is DPDK's null device, the memory ordinary pages.
"""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "system"))
from dispositions import default_for_children  # noqa: E402

LTRAN = pathlib.Path(sys.argv[1]).resolve()
UNIT = pathlib.Path(sys.argv[2]).resolve()
CONF = """forward_kit_args="--no-huge -m 64 --vdev=net_null0,no-rx=1 {args}"
dispatch_subnet="198.18.0.0"
dispatch_subnet_length=8
unix_prefix="{prefix}"
low_power_mode=1
{more}
"""
STARTS_WITHIN_S = 20
CAPABILITIES = "net_raw,net_admin,ipc_lock,dac_override,chown,sys_ptrace,linux_immutable"


class Skip(Exception):
    pass


def expect(holds, what):
    if not holds:
        raise AssertionError(what)


def run(*args):
    done = subprocess.run([LTRAN, *args], capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout, done.stderr


class Bed:
    """A directory with a configuration and a socket to be notified on."""

    def __init__(self, dir):
        self.dir = pathlib.Path(dir)
        self.prefix = f"test{os.getpid()}_"
        self.conf = self.dir / "ltran.conf"
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(self.dir / "notify"))
        self.notify.settimeout(STARTS_WITHIN_S)

    def write(self, args="", more=""):
        self.conf.write_text(CONF.format(args=args, prefix=self.prefix, more=more))

    @contextlib.contextmanager
    def started(self, *before):
        """A running ltran, ready; killed at the end where it still runs."""
        env = dict(os.environ, NOTIFY_SOCKET=str(self.dir / "notify"))
        with open(self.dir / "log", "w") as log:
            process = subprocess.Popen([*before, LTRAN, "--config-file", self.conf], env=env,
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            try:
                expect(self.notify.recv(100) == b"READY=1", "another message than READY=1")
            except TimeoutError:
                raise AssertionError("not ready: " + self.log()) from None
            yield process
        finally:
            process.kill()
            process.wait()
            self.remove_leftovers()

    def log(self):
        return (self.dir / "log").read_text()

    def ours(self, ending=".sock"):
        """Sockets of this test in the run directory."""
        if os.geteuid() == 0:
            run_dir = pathlib.Path("/var/run/gazelle")
        elif os.environ.get("XDG_RUNTIME_DIR"):
            run_dir = pathlib.Path(os.environ["XDG_RUNTIME_DIR"]) / "gazelle"
        else:
            run_dir = pathlib.Path(f"/tmp/gazelle-{os.geteuid()}")
        return sorted(run_dir.glob(self.prefix + "*" + ending))

    def remove_leftovers(self):
        for path in self.ours(ending=""):
            path.unlink(missing_ok=True)


def help_is_shown(_bed):
    for option in ("-h", "--help"):
        code, out, err = run(option)
        expect(code == 0 and "--config-file FILE" in out and not err, (code, out, err))


def version_is_shown(_bed):
    for option in ("-v", "--version"):
        code, out, err = run(option)
        expect(code == 0 and re.fullmatch(r"gazelle version: \d+\.\d+\.\d+\n", out), (code, out))


def wrong_command_lines_are_refused(_bed):
    for args, message in ((("--nonsense",), "nonsense"), (("-c",), "requires an argument"),
                          (("file.conf",), 'unexpected argument "file.conf"'),
                          (("--config-file", "x", "y"), 'unexpected argument "y"')):
        code, _, err = run(*args)
        expect(code == 2 and message in err and "ltran --help" in err, (args, code, err))


def missing_file_is_named(_bed):
    for args in (("-c", "/nonexistent/x"), ("--config-file", "/nonexistent/x"),
                 ("--config-file=/nonexistent/x",), ("-config-file", "/nonexistent/x")):
        code, _, err = run(*args)
        expect(code == 1 and "/nonexistent/x: cannot be read: No such file" in err, (code, err))


def every_wrong_setting_is_named(bed):
    bed.write(more="bond_mtu=10\nbond_mode=3\nbond_port=\"0x1\"")
    code, _, err = run("-c", str(bed.conf))
    expect(code == 1, code)
    for text in ("ltran.conf:6: bond_mtu = 10: out of range", "bond_mode = 3", "bond_ports?"):
        expect(text in err, err)


def unknown_syslog_facility_is_refused(bed):
    bed.write(args="--syslog demon")
    code, _, err = run("-c", str(bed.conf))
    expect(code == 1 and '--syslog "demon": no such facility' in err, (code, err))


def wrong_dpdk_arguments_are_refused(bed):
    bed.write(args="--nonsense")
    code, _, err = run("-c", str(bed.conf))
    expect(code == 1 and "forward_kit_args" in err, (code, err))


def ends_cleanly_by_signal(bed):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        bed.write()
        with bed.started() as process:
            names = [path.name for path in bed.ours()]
            expect(f"{bed.prefix}ltran_client.sock" in names, names)
            for path in bed.ours():
                expect(path.stat().st_mode & 0o077 == 0, f"others may use {path}")
            process.send_signal(number)
            expect(process.wait(10) == 0, bed.log())
            expect(bed.notify.recv(100) == b"STOPPING=1", "no STOPPING=1")
            expect(not bed.ours(), bed.ours())


def arguments_of_the_user_guide_are_accepted(bed):
    bed.write(args="--socket-mem 64,0,0,0 --huge-dir /mnt/hugepages-ltran --proc-type primary "
              "--legacy-mem --map-perfect --syslog daemon")
    with bed.started() as process:
        process.terminate()
        expect(process.wait(10) == 0, bed.log())


def second_one_is_refused(bed):
    bed.write()
    with bed.started() as process:
        code, _, err = run("-c", str(bed.conf))
        expect(code == 1 and err, (code, err))
        expect(process.poll() is None and bed.ours(), "the first one has gone")


def starts_after_kill(bed):
    bed.write()
    with bed.started() as process:
        process.kill()
        process.wait()
        leftovers = bed.ours()
        expect(leftovers, "nothing to be in the way")
        with bed.started() as again:
            again.terminate()
            expect(again.wait(10) == 0, bed.log())


def capabilities_of_the_unit_suffice(bed):
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        raise Skip("needs root and setpriv")
    expect(sorted("cap_" + c for c in CAPABILITIES.split(",")) == sorted(
        unit_value("CapabilityBoundingSet").lower().split()), "other capabilities")
    bed.write()
    caps = ",+".join(["-all"] + CAPABILITIES.split(","))
    with bed.started("setpriv", "--bounding-set", caps, "--no-new-privs") as process:
        process.terminate()
        expect(process.wait(10) == 0, bed.log())


def unit_value(key):
    return re.search(rf"^{key}=(.*)$", UNIT.read_text(), re.M).group(1)


def unit_is_accepted_by_systemd(bed):
    if not shutil.which("systemd-analyze"):
        raise Skip("no systemd-analyze")
    copy = bed.dir / "ltran.service"
    text, n = re.subn(r"^ExecStart=\S+", f"ExecStart={LTRAN}", UNIT.read_text(), flags=re.M)
    expect(n == 1 and "@" not in text.replace("@system-service", ""), text)
    copy.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True)
    expect(done.returncode == 0 and not done.stderr, done.stderr)
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=40", copy],
                          capture_output=True, text=True)
    expect(done.returncode == 0, done.stdout[-200:])


TESTS = (help_is_shown, version_is_shown, wrong_command_lines_are_refused, missing_file_is_named,
         every_wrong_setting_is_named, unknown_syslog_facility_is_refused,
         wrong_dpdk_arguments_are_refused, ends_cleanly_by_signal,
         arguments_of_the_user_guide_are_accepted, second_one_is_refused, starts_after_kill,
         capabilities_of_the_unit_suffice, unit_is_accepted_by_systemd)


def main():
    default_for_children()
    passed = failed = 0
    for test in TESTS:
        if len(sys.argv) > 3 and sys.argv[3] not in test.__name__:
            continue
        with tempfile.TemporaryDirectory() as dir:
            bed = Bed(dir)
            try:
                test(bed)
                passed += 1
                print("ok     ", test.__name__)
            except Skip as reason:
                print("skip   ", test.__name__, reason)
            except (AssertionError, OSError, subprocess.SubprocessError) as reason:
                failed += 1
                print("FAIL   ", test.__name__, reason)
            finally:
                bed.notify.close()
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
