"""EAP packets found inside the messages of radio and N2, for whoever writes or checks a capture. Knows no key.

Authentication messages travel without ciphering, also on the radio: access security comes after them. What is ciphered
says nothing here.
"""

from typing import NamedTuple

from rprov.errors import DecodeError
from rprov.security.envelope import PlainPdu, parse_pdu
from rprov.wire.link import N2Kind, decode_n2_frame
from rprov.wire.messages import (
    AuthenticationFailure,
    AuthenticationReject,
    AuthenticationRequest,
    AuthenticationResponse,
    AuthenticationResult,
    Eap,
    NasMessage,
    SecurityModeCommand,
)
from rprov.wire.nas_asn1 import decode_nas
from rprov.wire.radio import SrbKind, decode_radio_frame, decode_srb

PDCP_HEADER, PDCP_MAC = 2, 4


class EapSeen(NamedTuple):
    """An EAP packet: whose it is, by the UE's id on that link, and whether the UE sent it."""

    ue: int
    from_ue: bool
    packet: bytes


def eap_on_radio(octets: bytes) -> EapSeen | None:
    """Find the EAP packet of a message of the radio link."""
    try:
        frame = decode_radio_frame(octets)
        if frame.ue_radio_id == 0:
            return None
        pdu = nas_of_srb(frame.payload)
    except DecodeError:
        return None
    return None if pdu is None else _of_nas(frame.ue_radio_id, pdu)


def eap_on_n2(octets: bytes) -> EapSeen | None:
    """Find the EAP packet of a message of N2."""
    try:
        frame = decode_n2_frame(octets)
    except DecodeError:
        return None
    return None if frame.kind is N2Kind.CONTROL else _of_nas(frame.ran_ue_id, frame.payload)


def nas_of_srb(pdu: bytes) -> bytes | None:
    """Give the NAS PDU of a signalling bearer without keys: its MAC-I is zeros. Raises `DecodeError`."""
    if len(pdu) <= PDCP_HEADER + PDCP_MAC or any(pdu[-PDCP_MAC:]):
        return None
    kind, payload = decode_srb(pdu[PDCP_HEADER:-PDCP_MAC])
    return payload if kind is SrbKind.NAS else None


def _of_nas(ue: int, octets: bytes) -> EapSeen | None:
    try:
        pdu = parse_pdu(octets)
        if isinstance(pdu, PlainPdu):
            message = decode_nas(pdu.message)
        elif not pdu.header.ciphered:
            message = decode_nas(pdu.payload)
        else:
            return None
    except DecodeError:
        return None
    from_ue = isinstance(message, AuthenticationResponse | AuthenticationFailure)
    eap = eap_of(message)
    return None if eap is None else EapSeen(ue, from_ue, eap.packet)


def eap_of(message: NasMessage) -> Eap | None:
    """Give what a NAS message carries of EAP."""
    match message:
        case AuthenticationRequest(challenge=Eap() as eap) | AuthenticationResponse(answer=Eap() as eap):
            return eap
        case AuthenticationFailure(eap=eap) | AuthenticationReject(eap=eap) | SecurityModeCommand(eap=eap):
            return eap
        case AuthenticationResult(eap=eap):
            return eap
        case _:
            return None
