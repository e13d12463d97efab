"""NAS messages in rprov's own format: UPER of `asn1/rprov-nas.asn`. Knows no security header.

The grammar is parsed at the first use and once in a process.
"""

from functools import cache
from operator import attrgetter

from rprov.model.security import Scope
from rprov.model.session import ProvisioningProtocol, ProvisioningServer, SessionKind
from rprov.wire import messages
from rprov.wire.asn1 import load
from rprov.wire.messages import AttachType, Eap, IdentityType, NasMessage
from rprov.wire.types_asn1 import TYPES
from rprov.wire.uper_compile import Leaf, MessageCodec, Table

_NAS_TYPES: Table = {
    "AttachType": AttachType,
    "IdentityType": IdentityType,
    "SessionKind": SessionKind,
    "Scope": Scope,
    "ProvisioningProtocol": ProvisioningProtocol,
    "ProvisioningServer": ProvisioningServer,
    "Eap": Leaf(Eap, attrgetter("packet"), Eap),
    "AkaChallenge": messages.AkaChallenge,
    "AkaAnswer": messages.AkaAnswer,
}


@cache
def _codec() -> MessageCodec[NasMessage]:
    table = {**TYPES, **_NAS_TYPES, **{kind.__name__: kind for kind in NasMessage.__args__}}
    return MessageCodec(load("rprov-types", "rprov-nas"), table, "NasMessage")


def encode_nas(message: NasMessage) -> bytes:
    """Give the octets of a message; raises `EncodeError` that names the path."""
    return _codec().encode(message)


def decode_nas(octets: bytes) -> NasMessage:
    """Read one message; raises `DecodeError` that names the path."""
    return _codec().decode(octets)


class NasAsn1:
    """The `NasCodec` of this format; making one parses the grammar, so that no message waits for it."""

    def __init__(self) -> None:
        self._codec = _codec()

    def encode(self, message: NasMessage) -> bytes:
        """Give the octets of a message; raises `EncodeError` that names the path."""
        return self._codec.encode(message)

    def decode(self, octets: bytes) -> NasMessage:
        """Read one message; raises `DecodeError` that names the path."""
        return self._codec.decode(octets)
