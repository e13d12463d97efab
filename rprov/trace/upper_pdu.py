"""Wireshark's form for a message without the packet that carried it ("exported PDU", link type 252).

    | tag (2) | length (2) | value, padded to 4 | … | 0 (2) | 0 (2) | the message

Tags are those of Wireshark (wsutil/exported_pdu_tlvs.h); 0x7270 is our own, and others skip it. Knows no message.
"""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import Struct

from rprov.errors import DecodeError

LINK_TYPE = 252
"""LINKTYPE_WIRESHARK_UPPER_PDU."""

_DISSECTOR, _IPV4_SOURCE, _IPV4_DESTINATION, _IPV6_SOURCE, _IPV6_DESTINATION = 12, 20, 21, 22, 23
_PORT_TYPE, _SOURCE_PORT, _DESTINATION_PORT = 24, 25, 26
_PLACE = 0x7270
"""stream (4), payload protocol identifier (4), id of the UE on the link (4)."""

_SCTP = 1  # the port type: what our control links behave like, whatever carries them
_TAG = Struct(">HH")
_OWN = Struct(">III")
_LONGEST_TAGS = 1024


@dataclass(frozen=True, slots=True)
class UpperPdu:
    """A message with its ends; an address that is no IP address (a link in memory) is written as nothing."""

    dissector: str
    source: tuple[str, int]
    destination: tuple[str, int]
    octets: bytes
    stream: int = 0
    ppid: int = 0
    ue: int = 0

    def encode(self) -> bytes:
        """Give the octets of a record."""
        tags = [(_DISSECTOR, self.dissector.encode("ascii"))]
        for (host, _), version_4, version_6 in (
            (self.source, _IPV4_SOURCE, _IPV6_SOURCE),
            (self.destination, _IPV4_DESTINATION, _IPV6_DESTINATION),
        ):
            address = _address(host)
            if address is not None:
                tags.append((version_4 if address.version == 4 else version_6, address.packed))
        tags += [
            (_PORT_TYPE, _SCTP.to_bytes(4)),
            (_SOURCE_PORT, self.source[1].to_bytes(4)),
            (_DESTINATION_PORT, self.destination[1].to_bytes(4)),
            (_PLACE, _OWN.pack(self.stream, self.ppid, self.ue)),
            (0, b""),
        ]
        head = b"".join(
            _TAG.pack(tag, len(value) + -len(value) % 4) + value + bytes(-len(value) % 4) for tag, value in tags
        )
        return head + self.octets


def decode_upper_pdu(octets: bytes) -> UpperPdu:
    """Read a record; raises `DecodeError`. What it does not say is 0 or empty."""
    found: dict[int, bytes] = {}
    at = 0
    while True:
        if at + _TAG.size > min(len(octets), _LONGEST_TAGS):
            raise DecodeError("the tags of an upper PDU do not end")
        tag, length = _TAG.unpack_from(octets, at)
        at += _TAG.size
        if tag == 0:
            break
        value = octets[at : at + length]
        if len(value) != length:
            raise DecodeError("a tag of an upper PDU is longer than the record")
        found[tag] = value
        at += length
    stream, ppid, ue = _own(found.get(_PLACE, b""))
    return UpperPdu(
        found.get(_DISSECTOR, b"").rstrip(b"\0").decode("ascii", errors="replace"),
        (_host(found, _IPV4_SOURCE, _IPV6_SOURCE), _number(found, _SOURCE_PORT)),
        (_host(found, _IPV4_DESTINATION, _IPV6_DESTINATION), _number(found, _DESTINATION_PORT)),
        octets[at:],
        stream,
        ppid,
        ue,
    )


def _own(value: bytes) -> tuple[int, int, int]:
    if not value:
        return 0, 0, 0
    if len(value) != _OWN.size:
        raise DecodeError("the tag 0x7270 of an upper PDU has 12 octets")
    stream, ppid, ue = _OWN.unpack(value)
    return stream, ppid, ue


def _number(found: dict[int, bytes], tag: int) -> int:
    value = found.get(tag, bytes(4))
    if len(value) != 4:
        raise DecodeError("a port of an upper PDU has 4 octets")
    return int.from_bytes(value)


def _host(found: dict[int, bytes], version_4: int, version_6: int) -> str:
    if (value := found.get(version_4)) is not None:
        if len(value) != 4:
            raise DecodeError("an IPv4 address of an upper PDU has 4 octets")
        return str(IPv4Address(value))
    if (value := found.get(version_6)) is not None:
        if len(value) != 16:
            raise DecodeError("an IPv6 address of an upper PDU has 16 octets")
        return str(IPv6Address(value))
    return ""


@lru_cache(maxsize=4096)
def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None
