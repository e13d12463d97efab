"""The seam between EAP's lock-step and its methods, both ends: type data in, a step out. Knows no packet.

`server.EapServer` and `peer.EapPeer` own identifiers, duplicates and bounds; a method owns what it says. A method
never raises for what a peer sent: it gives up, or denies.
"""

from dataclasses import dataclass
from typing import Protocol

from cryptography.x509 import Certificate

from rprov.causes import Cause
from rprov.crypto.hierarchy import Emsk, Msk


@dataclass(frozen=True, slots=True)
class GaveUp:
    """Server: the method has failed; the peer needs nothing more but EAP-Failure."""

    cause: Cause
    detail: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Server: another request with this type data. With `ending` it tells the peer why all this is going to end."""

    data: bytes
    ending: GaveUp | None = None


@dataclass(frozen=True, slots=True)
class Proved:
    """Server: the peer has proved this certificate; the owner must now authorise or refuse."""

    certificate: Certificate
    resumed: bool = False
    """Whether it did so in an earlier exchange, and has shown by a ticket that it is the same."""


@dataclass(frozen=True, slots=True)
class Done:
    """Server: both sides are proved."""

    msk: Msk
    emsk: Emsk


ServerStep = Ask | Proved | Done | GaveUp


class ServerMethod(Protocol):
    """The server's half of a method."""

    @property
    def type(self) -> int:
        """The EAP type."""

    def begin(self) -> ServerStep:
        """Give the first request."""

    def on_data(self, data: bytes) -> ServerStep:
        """Take the type data of a response."""

    def authorise(self) -> ServerStep:
        """Go on after `Proved`."""

    def refuse(self, cause: Cause) -> ServerStep:
        """End after `Proved`, telling the peer first if the method can."""

    def close(self) -> None:
        """Free what the method holds; called once, at the end."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Peer: a response with this type data. The keys are there from the round on that proves the server's success.

    `refused`: the server has said in the method that it will not go on, so that its EAP-Failure says the truth.
    """

    data: bytes
    msk: Msk | None = None
    emsk: Emsk | None = None
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Deny:
    """Peer: the server is refused; `data` is the last response, which tells it so."""

    cause: Cause
    detail: str
    data: bytes


PeerStep = Reply | Deny


class PeerMethod(Protocol):
    """The peer's half of a method."""

    @property
    def type(self) -> int:
        """The EAP type."""

    def on_data(self, data: bytes) -> PeerStep:
        """Take the type data of a request."""

    def close(self) -> None:
        """Free what the method holds; called once, at the end."""
