"""The seam between messages and formats: another format for a link is another class with these two functions.

Decoding raises `DecodeError` and nothing else, whatever the octets. Encoding raises `EncodeError` for a message whose
values the format cannot carry.
"""

from typing import Protocol

from rprov.wire.link import LinkMessage
from rprov.wire.messages import NasMessage
from rprov.wire.radio import RadioMessage


class NasCodec(Protocol):
    """A format of NAS messages."""

    def encode(self, message: NasMessage) -> bytes:
        """Give the octets."""

    def decode(self, octets: bytes) -> NasMessage:
        """Read one message."""


class LinkCodec(Protocol):
    """A format of the control messages of N2."""

    def encode(self, message: LinkMessage) -> bytes:
        """Give the octets."""

    def decode(self, octets: bytes) -> LinkMessage:
        """Read one message."""


class RadioCodec(Protocol):
    """A format of RRC messages."""

    def encode(self, message: RadioMessage) -> bytes:
        """Give the octets."""

    def decode(self, octets: bytes) -> RadioMessage:
        """Read one message."""
