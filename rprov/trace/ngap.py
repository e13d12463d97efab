"""N2 of other cores, as far as it is like ours: the NGAP procedure, the ids of a UE, and the 5G NAS PDU in it.

    NGAP-PDU (TS 38.413, aligned PER): | choice | procedure code | criticality | length | 0 | count (2) | IE, IE, … |
    IE: | id (2) | criticality | length | value |            lengths as in X.691 11.9: one octet, or two from 128 on

Reads no value but octet strings and ids; every other is left where it stands. Takes no key, and shows none.
"""

from collections.abc import Iterator, Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Any

from rprov.errors import DecodeError
from rprov.security.envelope import MAC_SIZE

PROCEDURES: Mapping[int, str] = MappingProxyType(
    {
        4: "DownlinkNASTransport",
        9: "ErrorIndication",
        14: "InitialContextSetup",
        15: "InitialUEMessage",
        21: "NGSetup",
        24: "Paging",
        28: "PDUSessionResourceRelease",
        29: "PDUSessionResourceSetup",
        41: "UEContextRelease",
        42: "UEContextReleaseRequest",
        44: "UERadioCapabilityInfoIndication",
        46: "UplinkNASTransport",
    }
)
"""Those that a registration and its session take (TS 38.413 9.4.7)."""

_OUTCOMES = {0x00: "", 0x20: "Response", 0x40: "Failure"}
_CLASS_1 = (14, 21, 28, 29, 41)
"""Procedures that have an answer: what begins them is a request, or a command."""

_BEGINS = {28: "Command", 41: "Command"}


class Element(IntEnum):
    """Information elements that are looked into (TS 38.413 9.4.7)."""

    AMF_UE_NGAP_ID = 10
    NAS_PDU = 38
    RAN_UE_NGAP_ID = 85
    SECURITY_KEY = 94


MESSAGES: Mapping[int, str] = MappingProxyType(
    {
        0x41: "RegistrationRequest",
        0x42: "RegistrationAccept",
        0x43: "RegistrationComplete",
        0x44: "RegistrationReject",
        0x45: "DeregistrationRequest",
        0x46: "DeregistrationAccept",
        0x4C: "ServiceRequest",
        0x4E: "ServiceAccept",
        0x54: "ConfigurationUpdateCommand",
        0x56: "AuthenticationRequest",
        0x57: "AuthenticationResponse",
        0x58: "AuthenticationReject",
        0x59: "AuthenticationFailure",
        0x5A: "AuthenticationResult",
        0x5B: "IdentityRequest",
        0x5C: "IdentityResponse",
        0x5D: "SecurityModeCommand",
        0x5E: "SecurityModeComplete",
        0x5F: "SecurityModeReject",
        0x64: "Status",
        0x67: "UplinkNasTransport",
        0x68: "DownlinkNasTransport",
    }
)
"""Message types of 5GS mobility management (TS 24.501 9.7)."""

_MOBILITY = 0x7E
_SECURITY = 7
"""Octets before the message of a protected PDU: discriminator, header type, MAC, sequence number (TS 24.501 9.1.1)."""

_RAND, _AUTN, _RES_STAR, _EAP = 0x21, 0x20, 0x2D, 0x78


def procedure_of(octets: bytes) -> str:
    """Name an NGAP message as TS 38.413 does; raises `DecodeError`."""
    if len(octets) < 4 or octets[0] not in _OUTCOMES:
        raise DecodeError("no NGAP message begins so")
    code, outcome = octets[1], _OUTCOMES[octets[0]]
    name = PROCEDURES.get(code, f"Procedure{code}")
    if code in _CLASS_1 and not outcome:
        outcome = _BEGINS.get(code, "Request")
    return name + ("Complete" if code == 41 and outcome == "Response" else outcome)


def elements(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Give the information elements of an NGAP message, id and octets; raises `DecodeError`."""
    body, rest = _counted(octets, 3)
    if rest != len(octets) or len(body) < 3:
        raise DecodeError("an NGAP message has another length than it says")
    at = 3
    for _ in range(int.from_bytes(body[1:3])):
        number = int.from_bytes(body[at : at + 2])
        value, at = _counted(body, at + 3)
        yield number, value


def octet_string(value: bytes) -> bytes:
    """Read an OCTET STRING of any size; raises `DecodeError`."""
    return _counted(value, 0)[0]


def fields_of_ngap(octets: bytes) -> dict[str, Any]:
    """Give what can be shown of an NGAP message; raises `DecodeError`."""
    found: dict[str, Any] = {}
    for number, value in elements(octets):
        match number:
            case Element.RAN_UE_NGAP_ID:
                found["ran_ue_id"] = int.from_bytes(value[1:])
            case Element.AMF_UE_NGAP_ID:
                found["amf_ue_id"] = int.from_bytes(value[1:])
            case Element.NAS_PDU:
                found["nas"] = read_5g_nas(octet_string(value))
    return found | {"octets": len(octets)}


def read_5g_nas(pdu: bytes) -> dict[str, Any]:
    """Show a NAS PDU of 5GS as far as it can be read without keys; raises `DecodeError`."""
    if len(pdu) < 3 or pdu[0] != _MOBILITY:
        raise DecodeError("no NAS PDU of 5GS mobility management begins so")
    header = pdu[1] & 0x0F
    if not header:
        return _message(pdu)
    if len(pdu) <= _SECURITY:
        raise DecodeError("a protected NAS PDU has a MAC, a sequence number and a message")
    security = {"header": header, "mac": pdu[2 : 2 + MAC_SIZE].hex(), "sequence_number": pdu[6]}
    inner = pdu[_SECURITY:]
    # With NEA0 what is called ciphered is readable; nothing else begins like a plain message but by chance.
    return (_message(inner) if inner[:2] == bytes((_MOBILITY, 0)) else {"message": "Ciphered"}) | {"security": security}


def _message(plain: bytes) -> dict[str, Any]:
    if len(plain) < 3:
        raise DecodeError("a NAS message ends before its type")
    found: dict[str, Any] = {"message": MESSAGES.get(plain[2], f"Type{plain[2]:02x}")}
    if found["message"] == "AuthenticationRequest" and len(plain) > 4:
        return found | {"ksi": plain[3] & 0x07, "abba": plain[5 : 5 + plain[4]].hex()} | _named(plain[5 + plain[4] :])
    if found["message"] in ("AuthenticationResponse", "AuthenticationResult", "AuthenticationReject"):
        return found | _named(plain[3:])
    return found


def _named(octets: bytes) -> dict[str, str]:
    """Read the elements of authentication messages (TS 24.501 8.2.1, 8.2.2): AKA and EAP."""
    found, at = {}, 0
    while at < len(octets):
        tag = octets[at]
        if tag == _RAND:
            found["rand"], at = octets[at + 1 : at + 17].hex(), at + 17
        elif tag == _EAP:
            end = at + 3 + int.from_bytes(octets[at + 1 : at + 3])
            found["eap"], at = octets[at + 3 : end].hex(), end
        elif tag in (_AUTN, _RES_STAR) and at + 1 < len(octets):
            end = at + 2 + octets[at + 1]
            found["autn" if tag == _AUTN else "res_star"], at = octets[at + 2 : end].hex(), end
        else:
            break
    return found


def _counted(octets: bytes, at: int) -> tuple[bytes, int]:
    """Read octets behind their count; give where they end, too."""
    if at >= len(octets) or octets[at] >= 0xC0:  # fragments of 16,384 octets: no message of N2 is so long
        raise DecodeError("NGAP ends in a length, or has one that no message here has")
    count, at = octets[at], at + 1
    if count & 0x80:
        if at >= len(octets):
            raise DecodeError("NGAP ends in a length")
        count, at = (count & 0x3F) << 8 | octets[at], at + 1
    if at + count > len(octets):
        raise DecodeError("NGAP ends in an element")
    return octets[at : at + count], at + count
