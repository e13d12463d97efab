"""User packets on the radio link: a UDP datagram with a fixed header and a PDCP PDU. Knows no key.

+------------------+------------+----------------------------------------------
| ueRadioId (4)    | bearer (1) | PDCP PDU: SN (3, 18 bits used) | data | MAC-I (4)
+------------------+------------+----------------------------------------------
"""

from struct import Struct

from rprov.errors import DecodeError
from rprov.model.identifiers import UeRadioId

_HEADER = Struct(">IB")
HEADER_OCTETS = _HEADER.size
BEARER_OCTET = HEADER_OCTETS - 1
"""Which octet of a datagram names the bearer."""


def user_header(ue_radio_id: UeRadioId, bearer: int) -> bytes:
    """Give the 5 octets that stand before every PDCP PDU of a bearer (1 to 29); they never change."""
    return _HEADER.pack(ue_radio_id, bearer)


def split_user_datagram(datagram: bytes) -> tuple[bytes, bytes]:
    """Give header (5 octets, as `user_header` makes it) and PDCP PDU; raises `DecodeError`."""
    if len(datagram) <= HEADER_OCTETS:
        raise DecodeError("a user datagram is shorter than its header and one octet")
    return datagram[:HEADER_OCTETS], datagram[HEADER_OCTETS:]
