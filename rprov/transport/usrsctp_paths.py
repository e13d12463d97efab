"""Which path a packet belongs to, and by which numbers the library knows paths.

A number is made from the addresses with a secret, not counted, so that a stranger's INIT leaves no entry here: the
answer goes out at once, and the COOKIE ECHO that follows gives the same number again. An entry stays for whoever has
shown with a cookie that packets reach it, or whom we try to reach, and lives as long as its associations.
"""

import struct
from hashlib import blake2b

from rprov.transport.usrsctp_carrier import Carrier, Name, Path

Tag = bytes
"""What all packets to one association have in common: ports and verification tag, the first 8 octets."""

_SALTS = 4
"""Attempts to find a free number; two are needed where a NAT has moved a peer and given its old port to another."""


class Paths:
    """All paths of a process."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.by_number: dict[int, Path] = {}
        """What the library means by a number."""
        self.by_tag: dict[Tag, Path] = {}
        """Whose packets these are, wherever they come from."""

    def enter(self, carrier: Carrier, name: Name) -> Path | None:
        """Make a path; None where all numbers that it could have are taken, which chance does not bring about."""
        for salt in range(_SALTS):
            text = f"{salt} {carrier.address} {name}".encode()
            digest = blake2b(text, key=self._secret, digest_size=struct.calcsize("P")).digest()
            number = int.from_bytes(digest)
            if number and number not in self.by_number:  # 0 is "any peer" to the library
                path = Path(carrier, name, number)
                self.by_number[number] = path
                carrier.paths[name] = path
                return path
        return None

    def leave(self, path: Path) -> None:
        """Forget a path that no association uses any more."""
        if self.by_number.get(path.number) is path:
            del self.by_number[path.number]
        path.carrier.paths.pop(path.name, None)

    def move(self, path: Path, name: Name) -> None:
        """Take over a peer's new address, which a NAT has given it; the number stays."""
        path.carrier.paths.pop(path.name, None)
        path.name = name
        path.carrier.paths[name] = path

    def clear(self) -> None:
        """Forget all of them."""
        self.by_number.clear()
        self.by_tag.clear()
