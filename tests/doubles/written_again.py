"""What was read of a capture, written again by the encoders of each layer, from the message outwards."""

from rprov.model.identifiers import UeRadioId
from rprov.security.envelope import PlainPdu, ProtectedPdu, parse_pdu
from rprov.trace import raw_ip
from rprov.trace.capture import Captured
from rprov.trace.eap_seen import PDCP_HEADER, PDCP_MAC
from rprov.trace.pcapng_read import RawPacket
from rprov.trace.pcapng_write import packet
from rprov.trace.tap import DISSECTORS, LINK_TYPES
from rprov.trace.upper_pdu import UpperPdu
from rprov.wire import eap
from rprov.wire.eap_tls import decode_fragment, encode_fragment
from rprov.wire.gtpu import decode_gtpu, encode_gtpu
from rprov.wire.link import N2Frame, N2Kind, decode_n2_frame
from rprov.wire.link_asn1 import decode_link, encode_link
from rprov.wire.nas_asn1 import decode_nas, encode_nas
from rprov.wire.radio import RadioFrame, SrbKind, decode_radio_frame, decode_srb, encode_srb
from rprov.wire.radio_asn1 import decode_radio, encode_radio
from rprov.wire.radio_user import split_user_datagram, user_header


def block(raw: RawPacket, seen: Captured) -> bytes:
    """The packet's block as it must stand in the file; its message is decoded and encoded, too."""
    octets = message(seen)
    if seen.link in DISSECTORS:
        ue = seen.ue if seen.link == "eap" else 0
        record = UpperPdu(
            DISSECTORS[seen.link], seen.sender, seen.receiver, octets, seen.stream or 0, seen.ppid or 0, ue or 0
        ).encode()
    else:
        record = raw_ip.udp_packet(seen.sender, seen.receiver, octets)
    place = list(LINK_TYPES).index(seen.link)
    return packet(place, raw.at, record, inbound=raw.inbound, comment=raw.comments[0] if raw.comments else None)


def message(seen: Captured) -> bytes:
    """The message alone."""
    match seen.link:
        case "radio":
            return _radio(seen.octets)
        case "n2":
            return _n2(seen.octets)
        case "eap":
            return _eap(seen.octets)
        case "radio-user":
            header, pdu = split_user_datagram(seen.octets)
            return user_header(UeRadioId(int.from_bytes(header[:4])), header[4]) + pdu
        case "n3":
            return encode_gtpu(decode_gtpu(seen.octets))
    raise AssertionError(f"nothing writes messages of {seen.link} again")


def _radio(octets: bytes) -> bytes:
    frame = decode_radio_frame(octets)
    if not frame.ue_radio_id:
        return RadioFrame(frame.ue_radio_id, encode_radio(decode_radio(frame.payload))).encode()
    head, mac = frame.payload[:PDCP_HEADER], frame.payload[-PDCP_MAC:]
    if any(mac):
        return octets  # ciphered
    kind, payload = decode_srb(frame.payload[PDCP_HEADER:-PDCP_MAC])
    inner = _nas(payload) if kind is SrbKind.NAS else encode_radio(decode_radio(payload))
    return RadioFrame(frame.ue_radio_id, head + encode_srb(kind, inner) + mac).encode()


def _n2(octets: bytes) -> bytes:
    frame = decode_n2_frame(octets)
    inner = encode_link(decode_link(frame.payload)) if frame.kind is N2Kind.CONTROL else _nas(frame.payload)
    return N2Frame(frame.ran_ue_id, frame.cp_ue_id, frame.kind, inner).encode()


def _nas(pdu: bytes) -> bytes:
    match parse_pdu(pdu):
        case PlainPdu(message=octets):
            return PlainPdu(encode_nas(decode_nas(octets))).encode()
        case ProtectedPdu(payload=payload) as sealed if not sealed.header.ciphered:
            again = encode_nas(decode_nas(payload))
            return ProtectedPdu(sealed.header, sealed.mac, sealed.sequence_number, again).encode()
        case sealed:
            return sealed.encode()


def _eap(octets: bytes) -> bytes:
    found = eap.decode(octets)
    if isinstance(found, eap.Request | eap.Response) and found.type == eap.EapType.TLS:
        assert encode_fragment(decode_fragment(found.data)) == found.data
    return eap.encode(found)
