"""Two network namespaces and a router between them, whose cable can be cut: packets vanish, and nobody is told.

Takes root. `inside(…)` is what stands before a command that runs in one of them.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

HERE, THERE = "10.77.1.2", "10.77.2.2"
"""Addresses of the two; the router is .1 in both networks."""


class Namespace:
    """A network namespace that lasts as long as a process which does nothing."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        self.made = self._holder.stdout.readline() == "up\n"

    @property
    def pid(self) -> int:
        """Whose namespace it is."""
        return self._holder.pid

    @property
    def inside(self) -> list[str]:
        """What stands before a command that runs in it."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net"]

    def run(self, *command: str) -> None:
        """Run a command in it; it must succeed."""
        subprocess.run([*self.inside, *command], check=True, capture_output=True)

    def close(self) -> None:
        """Let it go, and every interface in it."""
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        self._holder.stdin.close()
        self._holder.wait(10)
        self._holder.stdout.close()


class Routed:
    """Both ends and the router."""

    def __init__(self, here: Namespace, there: Namespace, router: Namespace) -> None:
        self.here, self.there, self._router = here, there, router

    def plug(self) -> None:
        """Let packets through."""
        self._router.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")

    def cut(self) -> None:
        """Let them vanish."""
        self._router.run("sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward")


@contextmanager
def routed() -> Iterator[Routed]:
    """Make all three, or say what is missing."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    if not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        pytest.skip("network namespaces need unshare and nsenter (util-linux) and ip (iproute2)")
    spaces = [Namespace(), Namespace(), Namespace()]
    try:
        if not all(space.made for space in spaces):
            pytest.skip("network namespaces cannot be made here")
        here, there, router = spaces
        for number, space in ((1, here), (2, there)):
            name = f"to{number}"
            router.run("ip", "link", "add", name, "type", "veth", "peer", "name", "out", "netns", str(space.pid))
            router.run("ip", "address", "add", f"10.77.{number}.1/24", "dev", name)
            router.run("ip", "link", "set", name, "up")
            space.run("ip", "address", "add", f"10.77.{number}.2/24", "dev", "out")
            space.run("ip", "link", "set", "out", "up")
            space.run("ip", "route", "add", "default", "via", f"10.77.{number}.1")
        made = Routed(here, there, router)
        made.plug()
        yield made
    finally:
        for space in spaces:
            space.close()
