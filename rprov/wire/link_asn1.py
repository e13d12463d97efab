"""Control messages of N2: UPER of `asn1/rprov-link.asn`. Knows neither the fixed header nor NAS.

The grammar is parsed at the first use and once in a process.
"""

from functools import cache
from operator import attrgetter

from rprov.model.secret import Secret
from rprov.wire.asn1 import load
from rprov.wire.link import LinkMessage
from rprov.wire.types_asn1 import TYPES
from rprov.wire.uper_compile import Leaf, MessageCodec, Table

_LINK_TYPES: Table = {
    "GnbKey": Leaf(Secret, attrgetter("octets"), Secret),
}


@cache
def _codec() -> MessageCodec[LinkMessage]:
    table = {**TYPES, **_LINK_TYPES, **{kind.__name__: kind for kind in LinkMessage.__args__}}
    return MessageCodec(load("rprov-types", "rprov-link"), table, "LinkMessage")


def encode_link(message: LinkMessage) -> bytes:
    """Give the octets of a message; raises `EncodeError` that names the path."""
    return _codec().encode(message)


def decode_link(octets: bytes) -> LinkMessage:
    """Read one message; raises `DecodeError` that names the path."""
    return _codec().decode(octets)


class LinkAsn1:
    """The `LinkCodec` of this format; making one parses the grammar, so that no message waits for it."""

    def __init__(self) -> None:
        self._codec = _codec()

    def encode(self, message: LinkMessage) -> bytes:
        """Give the octets of a message; raises `EncodeError` that names the path."""
        return self._codec.encode(message)

    def decode(self, octets: bytes) -> LinkMessage:
        """Read one message; raises `DecodeError` that names the path."""
        return self._codec.decode(octets)
