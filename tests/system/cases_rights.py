# SPDX-License-Identifier: BSD-3-Clause
"""Least rights: what runs without root, and what other users of the host can do about it."""

import os
import pathlib
import shutil
import socket
import stat
import time

from cases import COMPLETION, case
from harness import FAR, NEAR, PEER, PYTHON, Failure, Proc, Skip, sh

NOBODY, SOMEBODY = 65534, 65533  # the second one is nobody's in any distribution
SILENT = 6  # sockets where nobody answers


class Rights:
    """Programs of an ordinary user on a bed: files where that user reaches them."""

    def __init__(self, bed, uid=NOBODY):
        self.bed, self.uid = bed, uid
        self.run_dir = pathlib.Path(f"/tmp/gazelle-{uid}")  # stays: others may use it by now
        bed.scratch.chmod(0o711)
        self.dir = bed.scratch / "user"
        self.dir.mkdir()
        for path in (bed.build / "preload" / "liblstack.so", pathlib.Path(PEER[1])):
            shutil.copy(path, self.dir)
            (self.dir / path.name).chmod(0o755)
        os.chown(self.dir, uid, uid)
        self.peer = [PYTHON, str(self.dir / "peer.py")]

    def conf(self, addr, *vdev):
        path = self.dir / f"{addr}.conf"
        path.write_text(f'dpdk_args=["--no-huge", "-m", "96", "--no-pci", "--vdev", "{",".join(vdev)}"]\n'
                        f'host_addr="{addr}"\nmask_addr="255.255.255.0"\nlow_power_mode=1\n'
                        f'on_error="exit"\nstack_thread_mode="{self.bed.mode}"\n', encoding="ascii")
        path.chmod(0o644)
        return path

    def become(self, *caps):
        """setpriv to the user with these capabilities, which no exec can add to."""
        given = ",".join(["-all"] + ["+" + cap for cap in caps])
        return ["setpriv", "--reuid", str(self.uid), "--regid", str(self.uid), "--clear-groups",
                "--no-new-privs", f"--inh-caps={given}", f"--ambient-caps={given}",
                f"--bounding-set={given}"]

    def env(self, conf):
        return ["env", "-u", "XDG_RUNTIME_DIR", f"LD_PRELOAD={self.dir / 'liblstack.so'}",
                f"LSTACK_CONF_PATH={conf}",
                f"GAZELLE_BIND_PROCNAME={os.path.basename(os.path.realpath(PYTHON))}"]

    def start(self, argv, on_gazelle=True):
        log = self.bed.logs / f"{len(self.bed.procs):02d}-user.log"
        proc = Proc(argv, log, on_gazelle)
        self.bed.procs.append(proc)
        return proc

    def in_near(self, caps, conf, *argv):
        return self.start(["ip", "netns", "exec", self.bed.near_ns] + self.become(*caps)
                          + self.env(conf) + self.peer + list(argv))

    def ctl(self, *argv, check=True):
        return self.bed.ctl("--user", str(self.uid), *argv, check=check)

    def files_are_private(self):
        """Everything under the run directory is the user's alone."""
        for path, mode in [(self.run_dir, 0o700)] + [(p, 0o600) for p in self.run_dir.iterdir()]:
            found = path.lstat()
            if found.st_uid != self.uid or stat.S_IMODE(found.st_mode) != mode:
                raise Failure(f"{path}: user {found.st_uid}, mode {stat.S_IMODE(found.st_mode):o}")

    def leaves_no_dpdk(self):
        found = [p for p in pathlib.Path("/tmp").glob("dpdk/gazelle_*") if p.lstat().st_uid == self.uid]
        if found:
            raise Failure(f"left behind: {found}")


def wait_for(condition, what, proc, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        if not proc.running() or time.monotonic() > deadline:
            raise Failure(f"{what}: {proc.output()[-600:]}")
        time.sleep(0.05)


@case(modes=(COMPLETION,), kernel=False)
def rights_af_packet(bed):
    """af_packet as an ordinary user: CAP_NET_RAW, and CAP_NET_ADMIN for the driver's flags."""
    user = Rights(bed)
    conf = user.conf(NEAR, "net_af_packet0", f"iface={bed.near_dev}")
    server = user.in_near(("net_raw", "net_admin"), conf, "echo", "7000")
    bed.until(bed.run_far, PEER + ["echo-many", NEAR, "7000", "8"], "ok")
    if "tcp-to-lwip" not in user.ctl("graph", "show", server.pid):
        raise Failure("no graph")
    if bed.ctl("graph", "show", server.pid, check=False):
        raise Failure("root has used another user's socket without being asked to")
    user.files_are_private()
    user.leaves_no_dpdk()
    server.stop()
    none = user.in_near((), conf, "echo", "7000")
    if none.wait(20) == 0 or "gazelle: cannot start" not in none.output():
        raise Failure(f"without capabilities: {none.output()!r}")
    user.leaves_no_dpdk()


@case(modes=(COMPLETION,), kernel=False)
def rights_virtio_user(bed):
    """virtio-user and vhost-user between two programs: no capability at all."""
    user = Rights(bed)
    wire = user.dir / "wire.sock"
    near = user.in_near((), user.conf(NEAR, "net_virtio_user0", f"path={wire}", "server=1", "queues=1",
                                      "mac=02:00:00:00:00:01"), "echo", "7000")
    wait_for(wire.exists, "no wire", near)
    conf = user.conf(FAR, "net_vhost0", f"iface={wire}", "client=1")

    def run_far(argv, timeout, expect):
        far = user.in_near((), conf, *argv)
        return bed.finish(far, timeout, expect)

    bed.until(run_far, ["echo-many", NEAR, "7000", "8"], "ok", seconds=30)
    if "tcp-to-lwip" not in user.ctl("graph", "show", near.pid):
        raise Failure("no graph")
    user.leaves_no_dpdk()


@case(modes=(COMPLETION,), kernel=False)
def rights_tap(bed):
    """tap in a user namespace of an ordinary user."""
    user = Rights(bed)
    # A kernel can forbid them to ordinary users, and does to everybody behind chroot().
    probe = user.start(user.become() + ["unshare", "--user", "true"], False)
    if probe.wait(10) != 0:
        raise Skip(f"no user namespace here: {probe.output().strip()}")
    conf = user.conf(NEAR, "net_tap0", "iface=gzuser")
    script = user.dir / "in-namespace.sh"
    script.write_text(f"""
        {' '.join(user.env(conf) + user.peer)} echo 7000 &
        for i in $(seq 200); do ip link set gzuser up 2>/dev/null && break; sleep 0.1; done
        ip addr add {FAR}/24 dev gzuser
        for i in $(seq 50); do
            {' '.join(user.peer)} echo-many {NEAR} 7000 8 && break
            sleep 0.2
        done
        kill $!
    """, encoding="ascii")
    proc = user.start(user.become() + ["unshare", "--user", "--map-root-user", "--net", "sh",
                                       str(script)], False)
    bed.finish(proc, 50, "ok")


@case(modes=(COMPLETION,), kernel=False)
def rights_squatted_names(bed):
    """Another user has made our directory in /tmp: it is not used, and says so."""
    user = Rights(bed, SOMEBODY)
    shutil.rmtree(user.run_dir, ignore_errors=True)
    conf = user.conf(NEAR, "net_af_packet0", f"iface={bed.near_dev}")
    try:
        user.run_dir.mkdir(0o777)
        user.run_dir.chmod(0o777)
        os.chown(user.run_dir, NOBODY, NOBODY)
        server = user.in_near(("net_raw", "net_admin"), conf, "echo", "7000")
        bed.until(bed.run_far, PEER + ["echo-many", NEAR, "7000", "8"], "ok")
        if f"{user.run_dir} belongs to another user and is not used" not in server.output():
            raise Failure(f"says: {server.output()!r}")
        if list(user.run_dir.iterdir()):
            raise Failure("it has put something there")
    finally:
        shutil.rmtree(user.run_dir, ignore_errors=True)


@case(modes=(COMPLETION,), kernel=False)
def rights_silent_sockets(bed):
    """Sockets of another user that never answer cost root nothing; those of his own, one second."""
    prefix = bed.prefix + "-"  # ours among whatever else runs on this host; all of them are asked
    server = bed.near(PEER + ["echo", "7000"], "--set", f"unix_prefix={prefix}")
    bed.until(bed.run_far, PEER + ["echo-many", NEAR, "7000", "8"], "ok")
    theirs, ours = pathlib.Path(f"/tmp/gazelle-{SOMEBODY}"), pathlib.Path("/var/run/gazelle")
    sockets, made = [], []
    try:
        theirs.mkdir(0o700)
        for place in (theirs, ours):
            for number in range(SILENT):
                path = place / f"lstack_{9000000 + number}.sock"
                sockets.append(socket.socket(socket.AF_UNIX))
                sockets[-1].bind(str(path))
                made.append(path)
                sockets[-1].listen(number % 2)
                os.chown(path, SOMEBODY if place == theirs else 0, -1)
        os.chown(theirs, SOMEBODY, SOMEBODY)
        begin = time.monotonic()
        shown = sh(str(bed.build / "ctl" / "gazellectl"), "lstack", "show", "-u", prefix)
        took = time.monotonic() - begin
        if took > 2.5 or f"pid {server.pid}" not in shown:
            raise Failure(f"{took:.1f} s: {shown[:200]!r}")
    finally:
        for path in made:
            path.unlink(missing_ok=True)
        for sock in sockets:
            sock.close()
        shutil.rmtree(theirs, ignore_errors=True)
