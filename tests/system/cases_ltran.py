# SPDX-License-Identifier: BSD-3-Clause
"""Programs behind ltran: the ordinary ones of cases_programs.py, several on one NIC and address."""

import json
import re
import time

from cases import BOTH, COMPLETION, case
from cases_programs import NGINX, REDIS, make_site, redis_benchmark
from harness import FAR, NEAR_KERNEL, PEER, PYTHON, Failure, children, cpu_seconds, sh
from ltran_bed import LTRAN_PEER, Capture, Ltran, instance_addr

ONE, TWO, THREE = (instance_addr(n) for n in range(3))


def ltran_case(modes=(COMPLETION,), seconds=60):
    return case(wires=("af_packet",), modes=modes, seconds=seconds, kernel=False)


def redis(net, addr, **more):
    return net.instance(REDIS + ["--bind", addr], addr, **more)


def ask_redis(bed, addr, seconds=20):
    bed.until(bed.run_far, ["redis-cli", "-h", addr, "ping"], "PONG", seconds)


def check_traffic(net, addr, least):
    """The instance's packets have gone through ltran, both ways."""
    row = net.member(addr)
    if row is None or row["rx_pkts"] < least or row["tx_pkts"] < least:
        raise Failure(f"fewer than {least} packets: {row}")


@ltran_case(modes=BOTH)
def ltran_redis(bed):
    """Two servers with an address each on one NIC."""
    net = Ltran(bed)
    redis(net, ONE)
    redis(net, TWO)
    for addr in (ONE, TWO):
        ask_redis(bed, addr)
        bed.run_far(["redis-cli", "-h", addr, "set", "who", addr], expect="OK")
    for addr in (ONE, TWO):
        bed.run_far(["redis-cli", "-h", addr, "get", "who"], expect=re.escape(addr))
    clients = [bed.far(redis_benchmark(addr, 20000)) for addr in (ONE, TWO)]
    for client in clients:
        bed.finish(client, expect='"GET"')
    for addr in (ONE, TWO):
        check_traffic(net, addr, 20000)


@ltran_case(modes=BOTH)
def ltran_transfer(bed):
    """20 MB each way, SHA-256 compared, through ltran and between two of its instances."""
    net = Ltran(bed)
    net.instance(PEER + ["serve", "9000"], ONE)
    size = str(20 << 20)
    bed.run_far(PEER + ["upload", ONE, "9000", size], expect="ok")
    bed.run_far(PEER + ["download", ONE, "9000", size], expect="ok")
    for way in ("upload", "download"):
        bed.finish(net.instance(PEER + [way, ONE, "9000", size], TWO), 30, expect="ok")


@ltran_case()
def ltran_local(bed):
    """What instances of one host send each other never reaches the wire."""
    net = Ltran(bed)
    redis(net, ONE)
    ask_redis(bed, ONE)
    with Capture(bed, f"host {TWO}") as capture:
        bed.finish(net.instance(redis_benchmark(ONE, 20000), TWO), expect='"GET"')
        if on_wire := [line for line in capture.lines("ethertype IPv4")]:
            raise Failure(f"on the wire: {on_wire[:3]}")
    check_traffic(net, ONE, 20000)


NGINX_PID = ("location = /pid { add_header Content-Type text/plain; "
             "return 200 \"$pid\"; } ")


def start_nginx(bed, net, workers=4, addr=THREE):
    conf = bed.logs / "nginx.conf"
    text = NGINX.format(dir=bed.logs, host=addr).replace("worker_processes 1", f"worker_processes {workers}")
    conf.write_text(text.replace("{ listen", "{ " + NGINX_PID + "listen"))
    return net.instance(["nginx", "-e", str(bed.logs / "error.log"), "-c", str(conf)], addr)


def answers_by_worker(bed, addr, count):
    """Requests on new connections: how many each worker answered, by process id."""
    output = bed.run_far(LTRAN_PEER + ["spread", addr, "8080", str(count)], expect="ok")
    return {int(pid): int(n) for pid, n in re.findall(r"(\d+)=(\d+)", output)}


@ltran_case(modes=BOTH)
def ltran_nginx_workers(bed):
    """Four workers share one address; every one of them answers."""
    net = Ltran(bed)
    digest = make_site(bed.logs, 5 << 20)
    server = start_nginx(bed, net)
    url = f"http://{THREE}:8080/"
    bed.until(bed.run_far, ["curl", "-sS", "-m", "5", url + "small.html"], "small")
    net.wait_members(4)
    seen = answers_by_worker(bed, THREE, 200)
    if set(seen) != set(children(server.pid)) or min(seen.values()) < 10:
        raise Failure(f"answers by worker: {seen}")
    bed.run_far(PEER + ["fetch", url + "large.bin", digest], expect="ok")
    output = bed.run_far(["wrk", "-t", "1", "-c", "50", "-d", "1", url + "small.html"],
                         expect=r"[1-9]\d* requests in")
    if "Socket errors" in output or "Non-2xx" in output:
        raise Failure(output)


@ltran_case()
def ltran_memcached(bed):
    net = Ltran(bed)
    net.instance(["memcached", "-u", "root", "-l", ONE, "-p", "11211", "-U", "0"], ONE)
    bed.run_far(PEER + ["memcached", ONE, "11211"], expect="ok")


@ltran_case()
def ltran_udp(bed):
    """Datagrams of all sizes, fragments too, to an instance with an address of its own."""
    net = Ltran(bed)
    net.instance(PEER + ["udp-echo", "7001"], ONE)
    bed.run_far(PEER + ["udp-sizes", ONE, "7001", "1", "64", "1472", "1473", "9000", "9000"],
                expect="ok")


@ltran_case()
def ltran_ping(bed):
    net = Ltran(bed)
    net.instance(PEER + ["echo", "7000"], ONE)
    bed.until(bed.run_far, ["ping", "-c", "1", "-W", "1", ONE], " 0% packet loss")
    for size in ("56", "1472", "3000", "14790"):
        bed.run_far(["ping", "-c", "3", "-i", "0.05", "-w", "5", "-s", size, ONE],
                    expect="3 received")


@ltran_case()
def ltran_fragments_shared(bed):
    """Fragments find the right one of several instances of an address; a ping one of them."""
    net = Ltran(bed)
    for port in ("7001", "7002", "7003"):
        net.instance(PEER + ["udp-echo", port], ONE)
    net.wait_members(3)
    for port in ("7001", "7002", "7003"):
        bed.run_far(PEER + ["udp-sizes", ONE, port, "100", "8192", "8192"], expect="ok")
    bed.run_far(["ping", "-c", "3", "-i", "0.05", "-w", "5", "-s", "3000", ONE], expect="3 received")


@ltran_case()
def ltran_comes_later(bed):
    """An instance that starts before ltran waits for it."""
    net = Ltran(bed, start=False)
    server = redis(net, ONE)
    time.sleep(1)
    if not server.running():
        raise Failure(f"ended without ltran: {server.output()[-400:]}")
    net.start()
    ask_redis(bed, ONE)


@ltran_case()
def ltran_two_stacks(bed):
    """Two stacks, two queues: connections on both, and the right bytes on each."""
    net = Ltran(bed)
    server = net.instance(PEER + ["echo", "7000"], ONE, memory_mb=128, stack_num=2, listen_shadow=1)
    client = bed.far(PEER + ["echo-many", ONE, "7000", "64", "3"])
    deadline = time.monotonic() + 10
    while min(counts := by_stack(net, server) or [0]) < 5 or sum(counts) < 60:
        if time.monotonic() > deadline:
            raise Failure(f"established connections per stack: {counts}")
        time.sleep(0.2)
    bed.finish(client, expect="ok")


def by_stack(net, server):
    """Established connections of each stack of a process."""
    counts = []
    for line in net.ctl("lstack", "show", server.pid, "-c", check=False).splitlines():
        if line.startswith("------ stack"):
            counts.append(0)
        elif re.search(r"\bESTABLISHED\b", line):
            counts[-1] += 1
    return counts


@ltran_case()
def ltran_clients_share_address(bed):
    """Processes of one address open connections at once; no two choose the same port."""
    net = Ltran(bed)
    bed.far(PEER + ["echo", "7000"])
    client = net.instance(LTRAN_PEER + ["clients-at-once", FAR, "7000", "3", "100"], ONE)
    bed.finish(client, 40, expect="ok")


@ltran_case()
def ltran_broadcast(bed):
    """One broadcast datagram reaches every instance, also those that share an address."""
    net = Ltran(bed)
    for addr in (ONE, TWO):
        net.instance(PEER + ["udp-echo", "7001"], addr)
    net.wait_members(2)  # the guests read for six seconds, however long a program takes to start
    guests = [net.guest_ready(THREE, "read:6") for _ in range(2)]
    net.wait_members(4)
    bed.run_far(LTRAN_PEER + ["udp-everyone", "255.255.255.255", "7001", "2", bed.far_dev],
                expect=f"answers {ONE} {TWO}")
    sh("ip", "-n", bed.far_ns, "route", "add", "239.0.0.0/8", "dev", bed.far_dev)
    bed.run_far(LTRAN_PEER + ["flood-udp", "239.1.2.3", "7001", "0.5", "100"], expect="ok")
    for guest in guests:
        count = int(re.search(r"read (\d+)", bed.finish(guest)).group(1))
        if count < 20:
            raise Failure(f"a guest has got {count} of 50 multicast datagrams")


@ltran_case()
def ltran_kernel_path(bed):
    """kni_switch: what no instance owns reaches the kernel by the tap device, and comes back."""
    net = Ltran(bed, kni_switch=1)
    redis(net, ONE)
    tap = [line.split(":")[1].strip() for line in
           sh("ip", "-n", bed.near_ns, "-o", "link", "show").splitlines()]
    tap = [name for name in tap if name not in ("lo",) and not name.startswith(bed.near_dev)]
    if len(tap) != 1:
        raise Failure(f"no tap device: {tap}")
    sh("ip", "-n", bed.near_ns, "addr", "add", NEAR_KERNEL + "/24", "dev", tap[0])
    sh("ip", "-n", bed.near_ns, "link", "set", tap[0], "up")
    bed.until(bed.run_far, ["ping", "-c", "3", "-i", "0.1", "-w", "3", NEAR_KERNEL], "3 received")
    ask_redis(bed, ONE)
    sh("ip", "netns", "exec", bed.near_ns, "ping", "-c", "1", "-W", "2", "-I", tap[0], FAR)


@ltran_case()
def ltran_mtu(bed):
    """bond_mtu bounds what leaves: no packet of an instance is longer."""
    net = Ltran(bed, bond_mtu=1000)
    net.instance(PEER + ["serve", "9000"], ONE)
    with Capture(bed, "tcp") as capture:
        bed.run_far(PEER + ["download", ONE, "9000", "1000000"], expect="ok")
    sizes = [int(n) for n in re.findall(r"length (\d+):", "\n".join(capture.lines()))]
    if not sizes or max(sizes) != 1014:
        raise Failure(f"longest frame: {max(sizes, default=None)}")


@ltran_case()
def ltran_subnet(bed):
    """dispatch_subnet_length counts host bits: with 4 there are 16 addresses, and no others."""
    net = Ltran(bed, dispatch_subnet="198.18.0.16", dispatch_subnet_length=4)
    for addr in ("198.18.0.15", "198.18.0.32"):
        if "EADDRNOTAVAIL" not in (output := refused(net, addr)):
            raise Failure(output)
    for addr in ("198.18.0.17", "198.18.0.31"):
        net.run_guest(addr, expect="ready")


def refused(net, addr):
    """What a guest says whom ltran refuses."""
    guest = net.guest(addr)
    if guest.wait(10) != 1:
        raise Failure(f"{addr} was not refused: {guest.output()}")
    return guest.output()


@ltran_case()
def ltran_client_limit(bed):
    """dispatch_max_clients: one more is refused, and may come when another has gone."""
    net = Ltran(bed, dispatch_max_clients=2)
    first = net.guest_ready(ONE, "stall:20")
    net.guest_ready(TWO, "stall:20")
    if "EUSERS" not in refused(net, THREE):
        raise Failure("refused for another reason")
    first.popen.kill()
    net.wait_members(1)
    net.guest_ready(THREE, "stall:1")


@ltran_case()
def ltran_prefix(bed):
    """unix_prefix separates two ltrans and their instances."""
    sh("ip", "link", "add", bed.near_dev + "2", "netns", bed.near_ns, "type", "veth", "peer", "name",
       bed.far_dev + "2", "netns", bed.far_ns)
    for space, dev in ((bed.near_ns, bed.near_dev + "2"), (bed.far_ns, bed.far_dev + "2")):
        sh("ip", "-n", space, "link", "set", dev, "up")
    nets = [Ltran(bed), Ltran(bed, dev=bed.near_dev + "2", unix_prefix=bed.prefix + "b-")]
    nets[0].guest_ready(ONE, "stall:20")
    nets[1].guest_ready(TWO, "stall:20")
    for net, addr in zip(nets, (ONE, TWO)):
        if [m["addr"] for m in net.members().values()] != [addr]:
            raise Failure(f"instances: {net.members()}")


@ltran_case(modes=BOTH)
def ltran_idle(bed):
    """An idle ltran and an idle instance use 1 % of a core at most, and wake up for a packet."""
    net = Ltran(bed)
    server = redis(net, ONE)
    ask_redis(bed, ONE)
    time.sleep(1.5)
    for _ in range(3):  # something may be under way in one of them
        used = [cpu_seconds(pid) for pid in (net.proc.pid, server.pid)]
        seconds = 4
        time.sleep(seconds)
        percent = [100 * (cpu_seconds(pid) - before) / seconds
                   for pid, before in zip((net.proc.pid, server.pid), used)]
        print(f"        idle: ltran {percent[0]:.1f} %, redis {percent[1]:.1f} %")
        if percent[0] <= 1:
            break
    else:
        raise Failure(f"idle ltran uses {percent[0]:.1f} % of a core")
    bed.run_far([*PEER, "pauses", ONE, "6379"], expect="ok")


@ltran_case()
def ltran_polls(bed):
    """Without low_power_mode it polls, and serves as well."""
    net = Ltran(bed, low_power_mode=0)
    redis(net, ONE, low_power_mode=0)
    ask_redis(bed, ONE)
    bed.run_far(redis_benchmark(ONE, 20000), expect='"GET"')


@ltran_case()
def ltran_iperf3(bed):
    """Bulk data both ways; what is too large for the wire is cut by ltran."""
    net = Ltran(bed)
    net.instance(["iperf3", "-s", "-B", ONE], ONE)
    for more in ((), ("-R",), ("-P", "4")):
        output = bed.until(bed.run_far, ["iperf3", "-c", ONE, "-t", "1", "-J", *more], '"sum_received"')
        result = json.loads(output[output.index("{"):])
        if result["end"]["sum_received"]["bits_per_second"] < 1e7:
            raise Failure(f"iperf3 {more}: {result['end']['sum_received']}")


@ltran_case()
def ltran_http_python(bed):
    """A program with a thread per connection."""
    net = Ltran(bed)
    digest = make_site(bed.logs, 5 << 20)
    net.instance([PYTHON, "-m", "http.server", "-d", str(bed.logs / "www"), "8000"], ONE)
    bed.run_far(PEER + ["fetch", f"http://{ONE}:8000/large.bin", digest], expect="ok")
