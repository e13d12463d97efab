"""What a UE keeps in order to resume: the session, and all that the network was believed for, to judge it again.

A ticket is offered once, whatever comes of it; a resumed handshake brings the next one (RFC 8446 C.4: a ticket that is
seen twice can be followed). Where it is kept meanwhile is the shell's affair. Knows no TLS and no clock.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from rprov.crypto.tls import TlsSession
from rprov.crypto.x509_path import parse_certificate
from rprov.errors import DecodeError

_VERSION = b"\x01"
_BINDING = 32
_TIME = 8
LARGEST_PART = 0xFFFF
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Ticket:
    """One session. `since` is when its full handshake was; a resumption does not make it younger."""

    binding: bytes
    """What it is good for, and under which trust: `bind` of exactly that."""
    since: datetime
    path: tuple[x509.Certificate, ...]
    """The network's certificate and those between it and its anchor."""
    staple: bytes
    """The OCSP response of the full handshake, or nothing."""
    session: TlsSession

    def next(self, session: TlsSession) -> "Ticket":
        """Give what a resumed handshake leaves."""
        return replace(self, session=session)

    def is_current(self, wall: datetime, lifetime: int) -> bool:
        """Whether its full handshake was at most `lifetime` seconds ago."""
        return timedelta(0) <= wall - self.since <= timedelta(seconds=lifetime)

    def encode(self) -> bytes:
        """Give it as octets, secrets included; they are to be sealed."""
        chain = [certificate.public_bytes(Encoding.DER) for certificate in self.path]
        since = (self.since - _EPOCH) // timedelta(microseconds=1)
        parts = (self.staple, self.session.octets, *chain)
        return b"".join((_VERSION, self.binding, since.to_bytes(_TIME), *map(_part, parts)))

    @classmethod
    def decode(cls, octets: bytes) -> "Ticket":
        """Read what `encode` has made; raises `DecodeError`."""
        start = len(_VERSION) + _BINDING
        if octets[:1] != _VERSION or len(octets) < start + _TIME:
            raise DecodeError("a ticket of a form that is not known here")
        try:
            since = _EPOCH + timedelta(microseconds=int.from_bytes(octets[start : start + _TIME]))
        except OverflowError:
            raise DecodeError("a ticket of no time") from None
        staple, session, *chain = _parts(octets[start + _TIME :])
        path = tuple(map(parse_certificate, chain))
        return cls(octets[len(_VERSION) : start], since, path, staple, TlsSession(session))


def bind(*words: str | bytes, certificates: Sequence[x509.Certificate] = ()) -> bytes:
    """Give 32 octets that stand for all of these, in this order."""
    ders = (certificate.public_bytes(Encoding.DER) for certificate in certificates)
    parts = (*(word.encode() if isinstance(word, str) else word for word in words), *ders)
    return hashlib.sha256(b"".join(map(_part, parts))).digest()


def _part(octets: bytes) -> bytes:
    return len(octets).to_bytes(4) + octets


def _parts(octets: bytes) -> list[bytes]:
    """Split; there are three at least."""
    found = []
    while octets:
        length = int.from_bytes(octets[:4])
        if length > LARGEST_PART or len(octets) < 4 + length:
            raise DecodeError("a ticket that ends early")
        found.append(octets[4 : 4 + length])
        octets = octets[4 + length :]
    if len(found) < 3:
        raise DecodeError("a ticket without a session, or without a certificate")
    return found


class TicketPocket:
    """Holds the one ticket of a device, for its core; the shell keeps it beyond a restart."""

    __slots__ = ("_ticket",)

    def __init__(self, ticket: Ticket | None = None) -> None:
        self._ticket = ticket

    @property
    def ticket(self) -> Ticket | None:
        """What is in it now."""
        return self._ticket

    def put(self, ticket: Ticket) -> None:
        """Keep a ticket in the place of any other."""
        self._ticket = ticket

    def take(self) -> Ticket | None:
        """Take out what is in it; afterwards it is empty."""
        ticket, self._ticket = self._ticket, None
        return ticket
