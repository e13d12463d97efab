"""What a node shows of its links to whoever keeps a capture. Knows no file and no format.

A tap sees each message as the protocols see it: whole, and without the protection of the link that carries it.
"""

from enum import StrEnum
from typing import Protocol


class LinkName(StrEnum):
    """The links of a capture, each an interface of its own."""

    RADIO = "radio"
    """Control messages between UE and RAN."""
    N2 = "n2"
    """Control messages between RAN and CP."""
    EAP = "eap"
    """EAP packets, once more beside the messages that carry them."""
    RADIO_USER = "radio-user"
    """User packets between UE and RAN."""
    N3 = "n3"
    """GTP-U between RAN and UP."""
    AAA = "aaa"
    """RADIUS."""
    ES9 = "es9"
    """HTTPS between LPA and SM-DP+, as it reaches the SM-DP+."""


End = tuple[str, int]
"""One end of a link: address and port."""


class Tap(Protocol):
    """Sees what crosses the links of one node; must not block and must not raise."""

    def message(
        self, link: LinkName, local: End, peer: End, *, inbound: bool, stream: int, ppid: int, octets: bytes
    ) -> None:
        """See one message of a control link, when it is received or handed to the link."""

    def datagram(self, link: LinkName, local: End, peer: End, *, inbound: bool, octets: bytes) -> None:
        """See one UDP datagram."""

    def segment(self, link: LinkName, local: End, peer: End, *, inbound: bool, at: int, octets: bytes) -> None:
        """See a piece of a byte stream; `at` octets went that way before."""
