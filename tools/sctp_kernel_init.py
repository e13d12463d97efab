"""The first process inside the kernel of `with_sctp_kernel.sh`: mounts, modules, loopback, then the command.

Its one argument is the directory in which the command stands, and where output and exit code go. It uses nothing but
the standard library, and no program of the machine.
"""

import ctypes
import fcntl
import os
import platform
import socket
import struct
import subprocess
import sys
from pathlib import Path

MODULES = ("hmac", "md5", "sha1_generic", "sha256_generic", "sctp", "dummy", "veth", "sch_netem")
"""What SCTP needs (its cookies are signed: without hmac, listening fails) and what tests of networks may want."""

POWER_OFF = 0x4321FEDC
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING, IFF_LOOPBACK = 0x8914, 0x1, 0x40, 0x8
FINIT_MODULE = {"x86_64": 313, "aarch64": 273}

_LIBC = ctypes.CDLL(None, use_errno=True)


def mount(kind: str, where: str) -> None:
    """Put a file system somewhere; what is there already may stay."""
    Path(where).mkdir(parents=True, exist_ok=True)
    if _LIBC.mount(b"none", where.encode(), kind.encode(), 0, None):
        print(f"{where}: {os.strerror(ctypes.get_errno())}", file=sys.stderr)


def load_modules(below: Path) -> None:
    """Load the modules and what they depend on, in that order."""
    needs: dict[str, list[str]] = {}
    for line in (below / "modules.dep").read_text().splitlines():
        file, _, others = line.partition(":")
        needs[Path(file).name.split(".")[0].replace("-", "_")] = [*reversed(others.split()), file]
    for name in MODULES:
        for file in needs.get(name, []):
            with (below / file).open("rb") as opened:
                _LIBC.syscall(FINIT_MODULE[platform.machine()], opened.fileno(), b"", 0)  # loaded already: as well


def raise_loopback() -> None:
    """Let 127.0.0.0/8 and ::1 work."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        flags = IFF_UP | IFF_RUNNING | IFF_LOOPBACK
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags))


def perform(run: Path) -> int:
    """Run the command; gives its exit code as a shell would."""
    command = (run / "command").read_bytes().split(b"\0")[:-1]
    pairs = (line.partition(b"=") for line in (run / "environment").read_bytes().split(b"\0") if line)
    environment = {name: value for name, _, value in pairs} | {b"SCTP_KERNEL": platform.release().encode()}
    directory = (run / "directory").read_text().rstrip("\n")
    with (run / "out").open("ab") as out, (run / "err").open("ab") as err:
        try:
            code = subprocess.call(
                command, env=environment, cwd=directory, stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )
        except OSError as error:
            err.write(f"{command[0].decode(errors='replace')}: {error.strerror}\n".encode())
            return 127
    return code if code >= 0 else 128 - code


def main(run: Path) -> None:
    """Do all of it, and switch the kernel off."""
    for kind, where in (
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("tmpfs", "/run"),
        ("tmpfs", "/dev/shm"),
        ("devpts", "/dev/pts"),
    ):
        mount(kind, where)
    if not Path("/dev/fd").exists():
        Path("/dev/fd").symlink_to("/proc/self/fd")
    load_modules(Path("/usr/lib/uml/modules") / platform.release())
    raise_loopback()
    (run / "code").write_text(str(perform(run)))
    os.sync()
    _LIBC.reboot(POWER_OFF)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
