"""Sockets of this process: how many there are and may be, and how to make one deaf."""

import contextlib
import ctypes
import os
import resource
import socket
import struct
from collections.abc import Collection, Iterator
from ipaddress import IPv4Address
from typing import Any

SO_ATTACH_FILTER = 26
_LOAD, _IS, _GIVE = 0x20, 0x15, 0x06  # BPF_LD | BPF_W | BPF_ABS; BPF_JMP | BPF_JEQ | BPF_K; BPF_RET | BPF_K
_DESTINATION = 0xFFF00000 + 16  # SKF_NET_OFF, and where an IPv4 header has the destination


def sockets() -> int:
    """How many sockets this process has."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            count += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
    return count


@contextlib.contextmanager
def room_for(descriptors: int) -> Iterator[None]:
    """Let this process have as many files and sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, descriptors), max(hard, descriptors)))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def deafen(made: Any, only_at: Collection[str] = ()) -> None:
    """Let the kernel drop what comes for a socket, as if the wire were cut; takes no privilege.

    With `only_at`, only what comes to one of these IPv4 addresses.
    """
    steps = [(_GIVE, 0, 0, 0)]
    if only_at:
        numbers = [int(IPv4Address(address)) for address in only_at]
        steps = [(_LOAD, 0, 0, _DESTINATION)]
        steps += [(_IS, len(numbers) - index, 0, number) for index, number in enumerate(numbers)]
        steps += [(_GIVE, 0, 0, 0xFFFFFFFF), (_GIVE, 0, 0, 0)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    head = struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(program))  # struct sock_fprog
    made.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, head)
