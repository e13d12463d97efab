"""Blocks of a pcapng file (draft-ietf-opsawg-pcapng), little endian, with times in nanoseconds. Knows no link.

| type (4) | length (4) | body, padded to 4 | options: code (2), length (2), value, padded … | length (4) |
"""

from collections.abc import Iterable
from struct import Struct

SECTION, INTERFACE, PACKET, SECRETS = 0x0A0D0D0A, 1, 6, 0x0A
BYTE_ORDER = 0x1A2B3C4D
TLS_KEY_LOG = 0x544C534B
"""The type of decryption secrets that a file of SSLKEYLOGFILE's form is."""

COMMENT, END = 1, 0
SHB_USERAPPL, IF_NAME, IF_TSRESOL, EPB_FLAGS = 4, 2, 9, 2
INBOUND, OUTBOUND = 1, 2
NANOSECONDS = 9
SNAPLEN = 262_144

_FRAME = Struct("<II")
_OPTION = Struct("<HH")
_PACKET = Struct("<IIIII")
_UNKNOWN_LENGTH = (1 << 64) - 1


def _padded(octets: bytes) -> bytes:
    return octets + bytes(-len(octets) % 4)


def _options(options: Iterable[tuple[int, bytes]]) -> bytes:
    given = b"".join(_OPTION.pack(code, len(value)) + _padded(value) for code, value in options)
    return given + _OPTION.pack(END, 0) if given else b""


def _block(kind: int, body: bytes) -> bytes:
    length = len(body) + 12
    return _FRAME.pack(kind, length) + body + length.to_bytes(4, "little")


def section(application: str, comment: str) -> bytes:
    """Give the block that begins a file."""
    head = BYTE_ORDER.to_bytes(4, "little") + b"\1\0\0\0" + _UNKNOWN_LENGTH.to_bytes(8, "little")
    options = _options([(COMMENT, comment.encode()), (SHB_USERAPPL, application.encode())])
    return _block(SECTION, head + options)


def interface(link_type: int, name: str) -> bytes:
    """Give the block of an interface; packets name it by its place among those of the file, from 0."""
    head = link_type.to_bytes(2, "little") + b"\0\0" + SNAPLEN.to_bytes(4, "little")
    return _block(INTERFACE, head + _options([(IF_NAME, name.encode()), (IF_TSRESOL, bytes((NANOSECONDS,)))]))


def packet(
    interface_id: int, at: int, octets: bytes, *, inbound: bool | None = None, comment: str | None = None
) -> bytes:
    """Give the block of a packet; `at` is nanoseconds since 1970, `inbound` as the recording node saw it."""
    options = []
    if comment is not None:
        options.append((COMMENT, comment.encode()))
    if inbound is not None:
        options.append((EPB_FLAGS, (INBOUND if inbound else OUTBOUND).to_bytes(4, "little")))
    head = _PACKET.pack(interface_id, at >> 32, at & 0xFFFFFFFF, len(octets), len(octets))
    return _block(PACKET, head + _padded(octets) + _options(options))


def secrets(lines: bytes) -> bytes:
    """Give the block with keys for the packets after it, as lines of a key log."""
    return _block(SECRETS, _FRAME.pack(TLS_KEY_LOG, len(lines)) + _padded(lines))
