"""Another host with two wires to it: a network namespace. What is made `within` it is on that host."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

OURS, THEIRS = ("10.61.0.1", "10.62.0.1"), ("10.61.0.2", "10.62.0.2")
"""Addresses of both hosts, one for each wire."""

QUICK = {
    "heartbeat": 0.1,
    "rto_initial": 0.1,
    "rto_min": 0.1,
    "rto_max": 0.2,
    "path_retransmissions": 1,
    "retransmissions": 20,
}
"""How SCTP behaves that gives up a path soon, and a peer late."""

_FAR = "far"


@contextmanager
def within_far() -> Iterator[None]:
    """Sockets that are made meanwhile are on the other host."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net") as here, open(f"/run/netns/{_FAR}") as there:
        assert libc.setns(there.fileno(), 0) == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            assert libc.setns(here.fileno(), 0) == 0, os.strerror(ctypes.get_errno())


@contextmanager
def two_wires() -> Iterator[None]:
    """The other host is there meanwhile; skips where it cannot be made."""
    if shutil.which("ip") is None:
        pytest.skip("two wires need ip: apt-get install iproute2")

    def ip(line: str) -> None:
        subprocess.run(["ip", *line.split()], check=True, capture_output=True, text=True)

    ip(f"netns add {_FAR}")
    try:
        for index, (ours, theirs) in enumerate(zip(OURS, THEIRS, strict=True)):
            ip(f"link add near{index} type veth peer name far{index} netns {_FAR}")
            ip(f"addr add {ours}/24 dev near{index}")
            ip(f"link set near{index} up")
            ip(f"-n {_FAR} addr add {theirs}/24 dev far{index}")
            ip(f"-n {_FAR} link set far{index} up")
        yield
    finally:
        ip(f"netns del {_FAR}")
