"""Messages on a byte stream (control links over TCP): a header that says where a message ends, as SCTP would.

    +----------------+-------------+----------------+------------------
    | length (4)     | stream (2)  | ppid (4)       | payload: `length` octets
    +----------------+-------------+----------------+------------------

Knows no socket and no message; which stream and which payload protocol identifier are allowed is the link's affair.
"""

import struct
from typing import NamedTuple

from rprov.errors import DecodeError, EncodeError

MAX_PAYLOAD = 65535
"""The longest payload, unless a link sets less. The longest message of ours has some 2,300 octets."""

_HEADER = struct.Struct(">IHI")
_LENGTH = struct.Struct(">I").unpack_from

HEADER_SIZE = _HEADER.size
"""Octets that a link over a byte stream adds to every message."""


class Frame(NamedTuple):
    """One message of a stream (0 to 65535), with its payload protocol identifier (`model.numbers.Ppid`)."""

    stream: int
    ppid: int
    payload: bytes


def encode_frame(stream: int, ppid: int, payload: bytes) -> bytes:
    """Put the header before a payload of 1 to 65535 octets; raises `EncodeError`."""
    if not 1 <= len(payload) <= MAX_PAYLOAD:
        raise EncodeError(f"a frame has 1 to {MAX_PAYLOAD} octets of payload, not {len(payload)}")
    try:
        return _HEADER.pack(len(payload), stream, ppid) + payload
    except struct.error:
        raise EncodeError("a stream has 16 bits, a payload protocol identifier 32") from None


class FrameReader:
    """Cuts what a byte stream brings into frames.

    Between two calls it holds less than one frame. A length of zero or above `limit` is refused as soon as it is read;
    after that nothing on the stream can be trusted, and every further call is refused, too.
    """

    def __init__(self, limit: int = MAX_PAYLOAD) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._fault: str | None = None

    def feed(self, data: bytes) -> list[Frame]:
        """Take octets and give the frames that they complete; raises `DecodeError`, and then gives none."""
        if self._fault is not None:
            raise DecodeError(self._fault)
        buffer = self._buffer
        if buffer:
            buffer += data
            if len(buffer) < _HEADER.size:
                return []
            (length,) = _LENGTH(buffer)
            if length <= self._limit and len(buffer) < _HEADER.size + length:
                return []  # and the octets stay where they are: a long frame comes in many pieces
            data = bytes(buffer)
            buffer.clear()
        frames: list[Frame] = []
        offset, octets = 0, len(data)
        while octets - offset >= _HEADER.size:
            length, stream, ppid = _HEADER.unpack_from(data, offset)
            if not 1 <= length <= self._limit:
                self._fault = f"a frame has 1 to {self._limit} octets of payload, not {length}"
                raise DecodeError(self._fault)
            begin = offset + _HEADER.size
            if octets < begin + length:
                break
            offset = begin + length
            frames.append(Frame(stream, ppid, data[begin:offset]))
        if offset < octets:
            buffer += data[offset:]
        return frames

    @property
    def within_frame(self) -> bool:
        """Whether a frame has begun and is not complete: a stream that ends now ends too early."""
        return bool(self._buffer)
