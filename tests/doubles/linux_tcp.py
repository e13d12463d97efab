"""A program: the TCP of the Linux kernel against rprov's, through a TUN device in a network namespace of its own.

Prints "ok", or exits with 77 and says what this machine lacks. Arguments: the probability of losing a packet.
"""

import ctypes
import fcntl
import os
import random
import select
import socket
import struct
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from rprov.session.ip.states import Failure
from rprov.session.ip.tcp import TcpStack

LACKS = 77
KERNEL, OURS = "10.45.0.9", "10.45.0.2"
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
TUNSETIFF, IFF_TUN_NO_PI = 0x400454CA, 0x1001
SIOCSIFADDR, SIOCSIFNETMASK, SIOCSIFMTU, SIOCSIFFLAGS, IFF_UP_RUNNING = 0x8916, 0x891C, 0x8922, 0x8914, 0x41


def tun():
    """Give a TUN device, up, in a fresh namespace."""
    flags = CLONE_NEWNET if os.geteuid() == 0 else CLONE_NEWUSER | CLONE_NEWNET
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags):
        raise OSError(ctypes.get_errno(), "unshare")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    name = b"t0"
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH14x", name, IFF_TUN_NO_PI))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for request, address in ((SIOCSIFADDR, KERNEL), (SIOCSIFNETMASK, "255.255.255.0")):
            packed = struct.pack("16sH2x4s8x", name, socket.AF_INET, socket.inet_aton(address))
            fcntl.ioctl(control, request, packed)
        fcntl.ioctl(control, SIOCSIFMTU, struct.pack("16si", name, 1400))
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", name, IFF_UP_RUNNING))
    return device


class Echo:
    """Sends back what comes, closes when the other side has."""

    def __init__(self, connection):
        self.connection = connection
        self.held = b""

    def act(self, now):
        if not self.held and self.connection.room:
            self.held = self.connection.read(self.connection.room)
        if self.held:
            self.held = self.held[self.connection.write(self.held, now) :]
        if not self.held and self.connection.ended:
            self.connection.close(now)


class Client:
    """Sends `data`, closes its half, reads to the end."""

    def __init__(self, connection, data):
        self.connection, self.data = connection, data
        self.sent = 0
        self.got = bytearray()

    def act(self, now):
        self.sent += self.connection.write(memoryview(self.data)[self.sent :], now)
        if self.sent == len(self.data) and not self.connection.opening:
            self.connection.shutdown(now)
        self.got += self.connection.read(1 << 20)
        if self.connection.ended and self.connection.failure is None:
            self.connection.close(now)


def kernel_client(data, results):
    with socket.create_connection((OURS, 443), timeout=30) as connection:
        parts = []

        def receive():
            while part := connection.recv(65536):
                parts.append(part)

        receiver = threading.Thread(target=receive)
        receiver.start()
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        receiver.join()
    results.append(b"".join(parts) == data)


def kernel_server(listener):
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(30)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
        connection.sendall(b"".join(parts)[::-1])


def main():
    loss = float(sys.argv[1])
    try:
        device = tun()
    except OSError as error:
        print(f"no TUN device in a namespace here: {error}")
        sys.exit(LACKS)
    rng = random.Random(1)
    data = rng.randbytes(2_000_000)
    stack = TcpStack(os.urandom)
    stack.listen(lambda _address, port: port == 443)
    results = []
    listener = socket.create_server((KERNEL, 8080))
    threads = [
        threading.Thread(target=kernel_client, args=(data, results), daemon=True),
        threading.Thread(target=kernel_server, args=(listener,), daemon=True),
    ]
    ours, theirs = socket.inet_aton(OURS), socket.inet_aton(KERNEL)
    for thread in threads:
        thread.start()
    client = Client(stack.connect(ours, theirs, 8080, time.monotonic()), data)
    refused = stack.connect(ours, theirs, 8081, time.monotonic())
    users = [client]
    give_up = time.monotonic() + 60
    while stack.connections or any(thread.is_alive() for thread in threads):
        now = time.monotonic()
        if now > give_up:
            print("no end after a minute")
            sys.exit(1)
        for packet in stack.output():
            if rng.random() >= loss:
                os.write(device, packet)
        if select.select([device], [], [], 0.01)[0]:
            for _ in range(64):
                try:
                    packet = os.read(device, 2000)
                except BlockingIOError:
                    break
                if packet[0] == 0x45 and packet[9] == 6 and rng.random() >= loss:
                    stack.receive(packet, time.monotonic())
        now = time.monotonic()
        stack.poll(now)
        for connection in stack.take_incoming():
            connection.accept(now)
            users.append(Echo(connection))
        for user in users:
            user.act(now)
        stack.take_changed()
    listener.close()
    checks = {
        "the kernel got back what it sent": results == [True],
        "we got back what we sent": bytes(client.got) == data[::-1],
        "a closed port refused": refused.failure is Failure.REFUSED,
        "every packet was well-formed": stack.malformed == 0,
    }
    failed = [what for what, right in checks.items() if not right]
    print("ok" if not failed else f"not so: {failed}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
