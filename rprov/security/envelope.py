"""The framing of a NAS PDU: plain, or with MAC and sequence number (TS 24.501 9.1.1, 9.3). Knows no key and no COUNT.

    plain       +------+-----------------------------
                | 0    | message
                +------+-----------------------------
    protected   +------+---------+--------+----------
                | 1..4 | MAC (4) | SQN (1)| payload, a whole message, ciphered for 2 and 4
                +------+---------+--------+----------

The first octet is outside the MAC, as in TS 24.501 4.4.3.3: whoever changes it turns an accepted message into one that
cannot be decoded, not into another message.
"""

from dataclasses import dataclass
from enum import IntEnum

from rprov.errors import DecodeError

MAC_SIZE = 4
MAX_PDU = 9000
"""The longest PDU that is looked at, in octets: as much as PDCP carries (TS 38.323 4.3.1)."""

_HEADER_SIZE = 1 + MAC_SIZE + 1


class SecurityHeader(IntEnum):
    """Security header types (TS 24.501 9.3.1)."""

    PLAIN = 0
    INTEGRITY = 1
    INTEGRITY_CIPHERED = 2
    INTEGRITY_NEW_CONTEXT = 3
    """Only of a SecurityModeCommand."""
    INTEGRITY_CIPHERED_NEW_CONTEXT = 4
    """Only of a SecurityModeComplete."""

    @property
    def ciphered(self) -> bool:
        """Say whether the payload is ciphered."""
        return self in (SecurityHeader.INTEGRITY_CIPHERED, SecurityHeader.INTEGRITY_CIPHERED_NEW_CONTEXT)

    @property
    def new_context(self) -> bool:
        """Say whether the PDU takes a context into use."""
        return self >= SecurityHeader.INTEGRITY_NEW_CONTEXT


_HEADERS = tuple(SecurityHeader)  # a look-up by value that costs nothing


@dataclass(frozen=True, slots=True)
class PlainPdu:
    """A PDU without protection."""

    message: bytes

    def encode(self) -> bytes:
        """Give the octets."""
        return b"\0" + self.message


@dataclass(frozen=True, slots=True)
class ProtectedPdu:
    """A PDU that claims to be protected: nothing of it is checked yet."""

    header: SecurityHeader
    mac: bytes
    sequence_number: int
    payload: bytes

    def encode(self) -> bytes:
        """Give the octets."""
        return bytes((self.header,)) + self.mac + bytes((self.sequence_number,)) + self.payload


ParsedPdu = PlainPdu | ProtectedPdu


def parse_pdu(octets: bytes) -> ParsedPdu:
    """Take a PDU apart; raises `DecodeError`."""
    if len(octets) > MAX_PDU:
        raise DecodeError(f"a NAS PDU has at most {MAX_PDU} octets")
    if len(octets) < 2:
        raise DecodeError("a NAS PDU has a header and a message")
    if octets[0] == SecurityHeader.PLAIN:
        return PlainPdu(octets[1:])
    if octets[0] >= len(_HEADERS):
        raise DecodeError(f"there is no security header type {octets[0]}")
    if len(octets) <= _HEADER_SIZE:
        raise DecodeError("a protected NAS PDU has a MAC, a sequence number and a payload")
    return ProtectedPdu(_HEADERS[octets[0]], octets[1:5], octets[5], octets[6:])
