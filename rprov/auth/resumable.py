"""Whom a network lets resume: devices that it has authenticated and authorised in full, and not long ago.

A ticket brings the device's own certificate back, and nothing of who vouches for it; a resumed handshake asks nobody
about it (CVE-2017-9148). So what a full handshake has proved is remembered here, beside the TLS context whose tickets
these are, and every resumption is judged by it anew. Knows no TLS and no clock.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from rprov.causes import Cause
from rprov.crypto.x509_path import Verified
from rprov.errors import Refused

MOST_DEVICES = 50_000
"""Devices remembered; one takes about 300 octets, and the oldest gives way: it makes a full handshake next time."""


class Resumable:
    """The devices of one TLS context."""

    def __init__(self, lifetime: int, most: int = MOST_DEVICES) -> None:
        """Take `lifetime`, the seconds after a full handshake in which it stands for others."""
        self._lifetime = timedelta(seconds=lifetime)
        self._most = most
        self._known: dict[bytes, tuple[datetime, Verified]] = {}  # the oldest first

    def __len__(self) -> int:
        return len(self._known)

    def remember(self, path: Sequence[x509.Certificate], wall: datetime) -> None:
        """Note a device that was authorised after a full handshake, by its path: leaf, …, anchor."""
        name = _name(path[0])
        self._known.pop(name, None)
        self._known[name] = wall, Verified(path[1:-1])
        if len(self._known) > self._most:
            del self._known[next(iter(self._known))]

    def forget(self, leaf: x509.Certificate) -> None:
        """Let no ticket of this device be good any more."""
        self._known.pop(_name(leaf), None)

    def issuers(self, leaf: x509.Certificate, wall: datetime) -> Verified:
        """Give who stood between the device and its anchor; raises `Refused`: the handshake must be a full one.

        The signature is not verified again: this is, octet for octet, the certificate for which it was.
        """
        name = _name(leaf)
        since, issuers = self._known.get(name, (None, Verified()))
        if since is None:
            raise Refused(Cause.EAP_FAILED, "nobody remembers the full handshake of this ticket")
        if not timedelta(0) <= wall - since <= self._lifetime:
            del self._known[name]
            raise Refused(Cause.EAP_FAILED, "the full handshake of this ticket was too long ago")
        return issuers


def _name(certificate: x509.Certificate) -> bytes:
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()
