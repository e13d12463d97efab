"""What a message does, without what is drawn anew in every run: its name, its cause, and what kind of it it is.

Two nodes that behave alike say the same here, whatever their keys, nonces and identities. Knows no capture file.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from rprov.causes import Cause
from rprov.errors import DecodeError
from rprov.trace.capture import Captured
from rprov.trace.eap_seen import eap_of
from rprov.trace.reading import read_message
from rprov.wire import eap
from rprov.wire.eap_aka import Subtype
from rprov.wire.eap_tls import decode_fragment
from rprov.wire.link import N2SetupResponse
from rprov.wire.messages import (
    AkaAnswer,
    AttachRequest,
    AuthenticationFailure,
    AuthenticationRequest,
    AuthenticationResponse,
    IdentityRequest,
    IdentityResponse,
    SecurityModeCommand,
)
from rprov.wire.messages import AkaChallenge as Challenge5G
from rprov.wire.radio import AsSecurityModeCommand, CellInfo

ALERT, HANDSHAKE = 21, 22
_RECORD_HEADER = 5
_PLAIN_ALERT = 7
"""Octets of a record with an alert that is not encrypted (RFC 8446 6)."""


class Draws(StrEnum):
    """What of a message holds in one run only, because the other side has drawn something before."""

    NOTHING = ""
    TLS = "it answers a TLS hello, whose random is drawn anew in every run"
    RAND = "it answers RAND, which is drawn anew in every run"
    KEYS = "it is protected by keys of that run"


@dataclass(frozen=True, slots=True)
class Said:
    """What a message does."""

    message: str
    cause: Cause | None = None
    kind: str = ""
    """In words, where one name stands for several things."""

    def __str__(self) -> str:
        beside = [text for text in (self.kind, "" if self.cause is None else f"cause {self.cause.name}") if text]
        return f"{self.message} ({', '.join(beside)})" if beside else self.message


@dataclass(frozen=True, slots=True)
class Heard:
    """One message: what it does, the value that was read, and what it rests on."""

    said: Said
    value: object
    draws: Draws = Draws.NOTHING
    hello: bool = False
    """Whether it carries TLS, so that who answers depends on it from now on."""


class Listener:
    """Reads the messages of one UE and one direction, in their order: fragments of TLS are known by those before."""

    def __init__(self) -> None:
        self._more = False

    def hear(self, seen: Captured) -> Heard:
        """Read a message."""
        reading = read_message(seen)
        value = reading.value
        said = Said(reading.message, _cause(value), _kind(value))
        if reading.protected:
            header = reading.fields.get("security", {}).get("header", "")
            return Heard(replace(said, kind=said.kind or header), value, Draws.KEYS)
        carried = eap_of(value)  # type: ignore[arg-type]  # anything that is no NAS message carries none
        if carried is None:
            return Heard(said, value, _draws(value))
        return self._eap(said, value, carried.packet)

    def _eap(self, said: Said, value: object, octets: bytes) -> Heard:
        try:
            packet = eap.decode(octets)
            if not isinstance(packet, eap.Request | eap.Response):
                return Heard(replace(said, kind=f"EAP {type(packet).__name__}"), value)
            if packet.type == eap.EapType.TLS:
                return self._tls(said, value, packet.data)
        except DecodeError:
            return Heard(replace(said, kind="EAP that cannot be read"), value)
        if packet.type == eap.EapType.AKA_PRIME and packet.data:
            name = _subtype(packet.data[0])
            bound = isinstance(packet, eap.Response) and packet.data[0] in _BOUND
            return Heard(replace(said, kind=f"EAP-AKA' {name}"), value, Draws.RAND if bound else Draws.NOTHING)
        return Heard(replace(said, kind=f"EAP type {packet.type}"), value)

    def _tls(self, said: Said, value: object, octets: bytes) -> Heard:
        piece = decode_fragment(octets)
        within, self._more = self._more, piece.more
        if piece.start:
            return Heard(replace(said, kind="EAP-TLS start"), value)
        if not piece.data:
            return Heard(replace(said, kind="EAP-TLS acknowledgement"), value)
        if within:
            return Heard(replace(said, kind="EAP-TLS, more of it"), value, Draws.TLS, hello=True)
        content = piece.data[0]
        if content == ALERT and len(piece.data) == _PLAIN_ALERT:
            return Heard(replace(said, kind=f"EAP-TLS, alert {piece.data[-1]}"), value)
        kind = "EAP-TLS, handshake" if content == HANDSHAKE else "EAP-TLS, encrypted"
        return Heard(replace(said, kind=kind), value, Draws.TLS, hello=True)


_BOUND = (Subtype.CHALLENGE, Subtype.SYNCHRONIZATION_FAILURE, Subtype.NOTIFICATION, Subtype.REAUTHENTICATION)
"""Answers of EAP-AKA' that hold for one RAND."""


def _cause(value: object) -> Cause | None:
    found = getattr(value, "cause", None)
    return found if isinstance(found, Cause) else None


def _kind(value: object) -> str:
    match value:
        case CellInfo() | N2SetupResponse():
            return "provisioning offered" if value.provisioning_offered else "provisioning not offered"
        case AttachRequest():
            return f"{value.attach_type.name}, by {type(value.identity).__name__}"
        case IdentityRequest():
            return value.identity_type.name
        case IdentityResponse():
            return f"by {type(value.identity).__name__}"
        case AuthenticationRequest(challenge=Challenge5G()) | AuthenticationResponse(answer=AkaAnswer()):
            return "5G-AKA"
        case SecurityModeCommand() | AsSecurityModeCommand():
            return f"{value.nea.name}, {value.nia.name}"
        case _:
            return ""


def _draws(value: object) -> Draws:
    match value:
        case AuthenticationResponse(answer=AkaAnswer()):
            return Draws.RAND
        case AuthenticationFailure(auts=bytes()):
            return Draws.RAND
        case _:
            return Draws.NOTHING


def _subtype(number: int) -> str:
    try:
        return Subtype(number).name
    except ValueError:
        return str(number)
