"""One message of a capture, read as far as it can be without keys: its name, its members, whether it is protected.

What is ciphered is named for what it is (`ProtectedNas`, `ProtectedSrb`, `UserPacket`), with what its header says.
Whatever cannot be read is named `Malformed`, with the reason. Knows nothing of other messages.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rprov.errors import DecodeError
from rprov.model.tap import LinkName
from rprov.security.envelope import PlainPdu, parse_pdu
from rprov.session.ip.packet import IpProtocol, decode_ipv4
from rprov.trace.capture import NGAP, Captured
from rprov.trace.eap_seen import PDCP_HEADER, PDCP_MAC
from rprov.trace.fields import fields_of
from rprov.trace.ngap import fields_of_ngap, procedure_of
from rprov.wire import eap, radius
from rprov.wire.eap_tls import decode_fragment
from rprov.wire.gtpu import Gpdu, decode_gtpu
from rprov.wire.link import N2Kind, decode_n2_frame
from rprov.wire.link_asn1 import decode_link
from rprov.wire.nas_asn1 import decode_nas
from rprov.wire.radio import SrbKind, decode_radio_frame, decode_srb
from rprov.wire.radio_asn1 import decode_radio
from rprov.wire.radio_user import split_user_datagram
from rprov.wire.radius_attributes import join_eap

MALFORMED = "Malformed"

_DRB_HEADER = 3
_SN_BITS = {2: 0x0FFF, 3: 0x3FFFF}


@dataclass(frozen=True, slots=True)
class Reading:
    """What one message says. `value` is the message itself, where it could be read as one."""

    message: str
    fields: dict[str, Any] = field(default_factory=dict)
    protected: bool = False
    value: object = None


def read_message(seen: Captured) -> Reading:
    """Read one message."""
    if seen.fault:
        return Reading(MALFORMED, {"error": seen.fault})
    try:
        return _READERS.get(str(seen.link), _octets)(seen.octets)
    except DecodeError as error:
        return Reading(MALFORMED, {"error": str(error), "octets": len(seen.octets)})


def read_value(value: object, security: dict[str, Any] | None = None) -> Reading:
    """Give a message that was decoded already; `security` is what protected it, beside its members."""
    found = fields_of(value)
    if security is None:
        return Reading(type(value).__name__, found, False, value)
    return Reading(type(value).__name__, found | {"security": security}, True, value)


def read_nas(pdu: bytes) -> Reading:
    """Read a NAS PDU; raises `DecodeError`."""
    parsed = parse_pdu(pdu)
    if isinstance(parsed, PlainPdu):
        return read_value(decode_nas(parsed.message))
    head = {"header": parsed.header.name, "mac": parsed.mac.hex(), "sequence_number": parsed.sequence_number}
    if not parsed.header.ciphered:
        return read_value(decode_nas(parsed.payload), head)
    return Reading("ProtectedNas", {"security": head, "octets": len(parsed.payload)}, True)


def _radio(octets: bytes) -> Reading:
    frame = decode_radio_frame(octets)
    if frame.ue_radio_id == 0:
        return read_value(decode_radio(frame.payload))
    pdu = frame.payload
    if len(pdu) <= PDCP_HEADER + PDCP_MAC:
        raise DecodeError("a PDCP PDU of a signalling bearer is shorter than its header, an octet and its MAC-I")
    if any(pdu[-PDCP_MAC:]):
        return _protected_srb(pdu)
    kind, payload = decode_srb(pdu[PDCP_HEADER:-PDCP_MAC])
    if kind is SrbKind.NAS:
        return read_nas(payload)
    return read_value(decode_radio(payload))


def _protected_srb(pdu: bytes) -> Reading:
    """Integrity alone protects the messages that switch ciphering on (TS 33.501 6.7.4); the rest is ciphered."""
    head = _pdcp(pdu, PDCP_HEADER)
    sealed = Reading("ProtectedSrb", {"security": head, "octets": len(pdu) - PDCP_HEADER - PDCP_MAC}, True)
    try:
        kind, payload = decode_srb(pdu[PDCP_HEADER:-PDCP_MAC])
        if kind is SrbKind.RRC:
            message = decode_radio(payload)
            if type(message).__name__.startswith("AsSecurityMode"):
                return read_value(message, head | {"mac": pdu[-PDCP_MAC:].hex()})
    except DecodeError:
        return sealed
    return sealed


def _pdcp(pdu: bytes, header: int) -> dict[str, Any]:
    return {"sequence_number": int.from_bytes(pdu[:header]) & _SN_BITS[header]}


def _n2(octets: bytes) -> Reading:
    frame = decode_n2_frame(octets)
    if frame.kind is N2Kind.CONTROL:
        return read_value(decode_link(frame.payload))
    return read_nas(frame.payload)


def _eap(octets: bytes) -> Reading:
    packet = eap.decode(octets)
    name = f"Eap{type(packet).__name__}"
    found: dict[str, Any] = {"identifier": packet.identifier}
    if isinstance(packet, eap.Request | eap.Response):
        try:
            found["type"] = eap.EapType(packet.type).name
        except ValueError:
            found["type"] = packet.type
        if packet.type == eap.EapType.TLS:
            piece = decode_fragment(packet.data)
            found |= {"start": piece.start, "more": piece.more, "total": piece.total, "tls_octets": len(piece.data)}
        else:
            found["data"] = packet.data.hex()
    return Reading(name, found, False, packet)


def _radio_user(octets: bytes) -> Reading:
    header, pdu = split_user_datagram(octets)
    if len(pdu) <= _DRB_HEADER:
        raise DecodeError("a PDCP PDU of a data bearer is shorter than its header and an octet")
    found = {"bearer": header[-1], "security": _pdcp(pdu, _DRB_HEADER), "octets": len(pdu) - _DRB_HEADER}
    return Reading("UserPacket", found, True)


def _n3(octets: bytes) -> Reading:
    message = decode_gtpu(octets)
    if not isinstance(message, Gpdu):
        return read_value(message)
    found = fields_of(message) | {"payload": len(message.payload)}
    try:
        found["packet"] = packet_fields(message.payload)
    except DecodeError as error:
        found["packet"] = {"error": str(error)}
    return Reading("Gpdu", found, False, message)


def packet_fields(octets: bytes) -> dict[str, Any]:
    """Say where an IP packet goes; raises `DecodeError`."""
    packet = decode_ipv4(octets)
    addresses = [".".join(map(str, address)) for address in (packet.source, packet.destination)]
    found: dict[str, Any] = {"source": addresses[0], "destination": addresses[1], "octets": len(octets)}
    try:
        found["protocol"] = IpProtocol(packet.protocol).name
    except ValueError:
        found["protocol"] = packet.protocol
    if packet.protocol in (IpProtocol.TCP, IpProtocol.UDP) and len(packet.payload) >= 4:
        ports = int.from_bytes(packet.payload[:2]), int.from_bytes(packet.payload[2:4])
        found |= {"source_port": ports[0], "destination_port": ports[1]}
    return found


def _aaa(octets: bytes) -> Reading:
    packet = radius.decode(octets)
    name = "".join(word.capitalize() for word in packet.code.name.split("_"))
    found: dict[str, Any] = {
        "identifier": packet.identifier,
        "authenticator": packet.authenticator.hex(),
        "attributes": [{"type": _kind(kind), "value": value.hex()} for kind, value in packet.attributes],
    }
    if (carried := join_eap(packet)) is not None:
        try:
            reading = _eap(carried)
            found["eap"] = {"message": reading.message} | reading.fields
        except DecodeError as error:
            found["eap"] = {"error": str(error)}
    return Reading(name, found, False, packet)


def _kind(number: int) -> str | int:
    try:
        return radius.Kind(number).name
    except ValueError:
        return number


def _es9(octets: bytes) -> Reading:
    return Reading("TcpSegment", {"octets": len(octets)}, True)


def _ngap(octets: bytes) -> Reading:
    found = fields_of_ngap(octets)
    return Reading(procedure_of(octets), found, "security" in found.get("nas", {}))


def _octets(octets: bytes) -> Reading:
    return Reading("Message", {"octets": len(octets)})


_READERS: Mapping[str, Callable[[bytes], Reading]] = {
    LinkName.RADIO: _radio,
    LinkName.N2: _n2,
    LinkName.EAP: _eap,
    LinkName.RADIO_USER: _radio_user,
    LinkName.N3: _n3,
    LinkName.AAA: _aaa,
    LinkName.ES9: _es9,
    NGAP: _ngap,
}
