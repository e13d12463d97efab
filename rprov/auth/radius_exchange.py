"""One question to an AAA server and what is believed of the answer (RFC 2865, RFC 3579 3.2). Knows no socket.

What is asked is written before it is known which server gets it; `Sealed` is the same for one server, with its secret.
An answer that is not proved to be that server's, to this very request, is an exception and nothing else: whoever waits
goes on waiting (CVE-2024-3596, CVE-2025-24912).
"""

from dataclasses import dataclass

from rprov.crypto.hierarchy import Msk
from rprov.errors import DecodeError
from rprov.wire.radius import Attribute, Code, Packet, SharedSecret, check_answer, decode, seal_request
from rprov.wire.radius_attributes import msk_of


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """What an AAA server is asked. `server` is the only one that knows this exchange, once one has begun it."""

    attributes: tuple[Attribute, ...]
    server: str | None = None


@dataclass(frozen=True, slots=True)
class AccessAnswer:
    """What `server` has answered, checked. `msk` is there if an Access-Accept brought one that can be read."""

    server: str
    packet: Packet
    msk: Msk | None = None


@dataclass(frozen=True, slots=True)
class Sealed:
    """A request as one server gets it, as often as need be: the octets stay the same."""

    octets: bytes
    packet: Packet
    secret: SharedSecret

    @classmethod
    def of(cls, request: AccessRequest, identifier: int, authenticator: bytes, secret: SharedSecret) -> "Sealed":
        """Seal it; `identifier` and `authenticator` are fresh and random. Raises `EncodeError`."""
        octets = seal_request(identifier, authenticator, request.attributes, secret)
        return cls(octets, decode(octets), secret)

    @classmethod
    def status(cls, identifier: int, authenticator: bytes, secret: SharedSecret) -> "Sealed":
        """Seal a Status-Server, which asks whether anybody is there (RFC 5997)."""
        octets = seal_request(identifier, authenticator, (), secret, Code.STATUS_SERVER)
        return cls(octets, decode(octets), secret)

    def opened(self, octets: bytes, server: str) -> AccessAnswer:
        """Check an answer; raises `PeerError` for whatever does not answer this request."""
        packet = decode(octets)
        check_answer(packet, self.packet, self.secret)
        msk: Msk | None = None
        if packet.code is Code.ACCESS_ACCEPT:
            try:
                msk = Msk(msk_of(packet, self.packet.authenticator, self.secret).octets)
            except DecodeError:
                msk = None  # it is the server's word all the same: an Accept without keys, which lets nobody in
        return AccessAnswer(server, packet, msk)
