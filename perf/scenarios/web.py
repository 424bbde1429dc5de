# SPDX-License-Identifier: BSD-3-Clause
"""nginx with one worker and wrk with one thread: keep-alive, and a connection per request."""

import pathlib
import re
import tempfile

from fastwire import SERVER_ADDR, WireError
from scenarios.base import Scenario

FILE_BYTES = 1024
CONNECTIONS = 50
NGINX = """daemon off; worker_processes 1; user root; pid {dir}/nginx.pid;
error_log {dir}/error.log warn; worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{ access_log off; sendfile on; keepalive_requests 1000000000; open_file_cache max=100;
  client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
  uwsgi_temp_path {dir}; scgi_temp_path {dir};
  server {{ listen {host}:8080 backlog=4096; root {dir}/www; }} }}
"""
IN_MS = {"us": 1e-3, "ms": 1, "s": 1e3, "m": 6e4}


def wrk_figures(text):
    """The figures of what `wrk --latency` printed."""
    def latency_ms(pattern):
        match = re.search(pattern + r"\s+([\d.]+)(us|ms|s|m)\b", text)
        return round(float(match.group(1)) * IN_MS[match.group(2)], 4) if match else None

    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if rate is None:
        raise WireError(f"wrk printed no figures:\n{text}")
    errors = re.search(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    kinds = ("connect", "read", "write", "timeout")
    status = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return {"value": float(rate.group(1)), "p50_ms": latency_ms("50%"), "p99_ms": latency_ms("99%"),
            "max_ms": latency_ms(r"Latency\s+\S+\s+\S+"),
            **{f"{k}_errors": int(errors.group(i + 1)) if errors else 0
               for i, k in enumerate(kinds)},
            "status_errors": int(status.group(1)) if status else 0}


class Http(Scenario):
    """nginx, one worker, and wrk, 50 keep-alive connections, a file of 1 KB; requests per second."""

    unit, programs = "req/s", ("nginx", "wrk")
    headers = ()

    def run_kernel(self):
        with self.site():
            return super().run_kernel()

    def run_gazelle(self):
        with self.site():
            return super().run_gazelle()

    def site(self):
        """A directory with the file and nginx's settings, as long as a run lasts."""
        directory = tempfile.TemporaryDirectory(prefix="gazelle-http-")
        self.dir = pathlib.Path(directory.name)
        self.dir.chmod(0o755)
        (self.dir / "www").mkdir()
        (self.dir / "www" / "file.bin").write_bytes(b"x" * FILE_BYTES)
        (self.dir / "nginx.conf").write_text(NGINX.format(dir=self.dir, host=SERVER_ADDR))
        return directory

    def server_argv(self):
        return ["nginx", "-e", str(self.dir / "error.log"), "-c", str(self.dir / "nginx.conf")]

    def wrk(self, start_client, seconds, profile=False):
        """One wrk; what it printed."""
        argv = ["wrk", "-t", "1", "-c", str(CONNECTIONS), "-d",
                str(max(1, round(seconds))), "--latency"]
        for header in self.headers:
            argv += ["-H", header]
        return self.client(start_client, argv + [f"http://{SERVER_ADDR}:8080/file.bin"], profile)

    def measure(self, start_client, server):
        self.wrk(start_client, 1)  # the server may still be starting: its errors do not count
        self.profile_server()
        figures = wrk_figures(self.wrk(start_client, self.seconds, profile=True))
        errors = {k: v for k, v in figures.items() if k.endswith("_errors") and v}
        if errors:
            raise WireError(f"wrk met errors: {errors} at {figures['value']:.0f} requests/s")
        return figures


class HttpClose(Http):
    """As http with a new connection for each request.

    nginx closes first, so TIME_WAIT is the server's; where wrk is faster, the client's. The kernel
    may use all local ports and reuse those in TIME_WAIT (tcp_tw_reuse), so that it never runs out;
    Gazelle reuses them by itself.
    """

    headers = ("Connection: close",)
    keys = {"tcp_conn_count": "40000"}

    def tune_kernel(self, hosts):
        hosts.sysctl("client", "net.ipv4.ip_local_port_range", "1024 65535")
        hosts.sysctl("client", "net.ipv4.tcp_tw_reuse", "1")
