"""RRC messages: UPER of `asn1/rprov-radio.asn`. Knows neither the fixed header nor PDCP.

The grammar is parsed at the first use and once in a process.
"""

from functools import cache

from rprov.wire.asn1 import load
from rprov.wire.radio import BearerAddition, RadioMessage
from rprov.wire.types_asn1 import TYPES
from rprov.wire.uper_compile import MessageCodec, Table

_RADIO_TYPES: Table = {
    "BearerAddition": BearerAddition,
}


@cache
def _codec() -> MessageCodec[RadioMessage]:
    table = {**TYPES, **_RADIO_TYPES, **{kind.__name__: kind for kind in RadioMessage.__args__}}
    return MessageCodec(load("rprov-types", "rprov-radio"), table, "RadioMessage")


def encode_radio(message: RadioMessage) -> bytes:
    """Give the octets of a message; raises `EncodeError` that names the path."""
    return _codec().encode(message)


def decode_radio(octets: bytes) -> RadioMessage:
    """Read one message; raises `DecodeError` that names the path."""
    return _codec().decode(octets)


class RadioAsn1:
    """The `RadioCodec` of this format; making one parses the grammar, so that no message waits for it."""

    def __init__(self) -> None:
        self._codec = _codec()

    def encode(self, message: RadioMessage) -> bytes:
        """Give the octets of a message; raises `EncodeError` that names the path."""
        return self._codec.encode(message)

    def decode(self, octets: bytes) -> RadioMessage:
        """Read one message; raises `DecodeError` that names the path."""
        return self._codec.decode(octets)
