"""DNS as far as a PDU session needs it (RFC 1035): one question for an address, and its answer.

Who answers here knows some names and nothing else: it never asks anybody, so a question cannot carry anything out of
the session. What is no well-formed question raises `DecodeError` and is left without an answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address
from struct import Struct

from rprov.errors import DecodeError

PORT = 53
_HEADER = Struct(">HHHHHH")
_RESPONSE, _OPCODE, _AUTHORITATIVE, _TRUNCATED, _RECURSION_DESIRED = 0x8000, 0x7800, 0x0400, 0x0200, 0x0100
_RESERVED = 0x0040
_CLASS_IN = 1
_POINTER_TO_QUESTION = b"\xc0\x0c"  # the name of every answer: octet 12, right after the header
_TTL_SECONDS = 60
_MAX_OCTETS = 512  # RFC 1035 2.3.4; EDNS is read, never used
_MAX_RECORDS = 16


class RecordType(IntEnum):
    """Types of records and questions."""

    A = 1
    AAAA = 28
    OPT = 41


class ResponseCode(IntEnum):
    """What came of a question (RFC 1035 4.1.1)."""

    NO_ERROR = 0
    REFUSED = 5


@dataclass(frozen=True, slots=True)
class Question:
    """A question: message id, whether recursion is desired, name without the last dot, type, class, its octets."""

    message_id: int
    recursion_desired: bool
    name: str
    kind: int
    klass: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said: its code (0 is no error) and the addresses."""

    code: int
    addresses: tuple[IPv4Address, ...]


def encode_query(message_id: int, name: str) -> bytes:
    """Give the question for the IPv4 addresses of `name`; raises `DecodeError` for what is no name."""
    labels = name.rstrip(".").split(".")
    if not name.isascii() or len(name) > 253 or not all(0 < len(label) <= 63 for label in labels):
        raise DecodeError("not a domain name")
    octets = b"".join(bytes((len(label),)) + label.encode("ascii") for label in labels) + b"\0"
    header = _HEADER.pack(message_id, _RECURSION_DESIRED, 1, 0, 0, 0)
    return header + octets + RecordType.A.to_bytes(2) + _CLASS_IN.to_bytes(2)


def decode_query(octets: bytes) -> Question:
    """Read one question, with nothing after it but an EDNS record; raises `DecodeError`."""
    if not _HEADER.size < len(octets) <= _MAX_OCTETS:
        raise DecodeError("a DNS message of the wrong size")
    message_id, flags, questions, answers, authorities, additional = _HEADER.unpack_from(octets)
    if flags & (_RESPONSE | _OPCODE | _AUTHORITATIVE | _TRUNCATED | _RESERVED):
        raise DecodeError("not a standard DNS query")
    if questions != 1 or answers or authorities or additional > 1:
        raise DecodeError("a DNS query that is more than one question")
    name, offset = _question_name(octets)
    if additional:
        _edns(octets[offset:])
    elif offset != len(octets):
        raise DecodeError("a DNS query with octets after its end")
    kind, klass = int.from_bytes(octets[offset - 4 : offset - 2]), int.from_bytes(octets[offset - 2 : offset])
    return Question(message_id, bool(flags & _RECURSION_DESIRED), name, kind, klass, octets[_HEADER.size : offset])


def _question_name(octets: bytes) -> tuple[str, int]:
    """Read the name of the question; give it and where the question ends."""
    labels: list[bytes] = []
    offset = _HEADER.size
    while offset < len(octets) and octets[offset]:
        size = octets[offset]
        if size > 63 or offset + 1 + size >= len(octets):  # from 192: a pointer, which has no place in a question
            raise DecodeError("a DNS name that does not fit its message")
        labels.append(octets[offset + 1 : offset + 1 + size])
        offset += 1 + size
    end = offset + 5
    if end > len(octets) or offset - _HEADER.size > 253:
        raise DecodeError("a DNS question that does not fit its message")
    try:
        return b".".join(labels).decode("ascii"), end
    except UnicodeDecodeError:
        raise DecodeError("a DNS name that is not ASCII") from None


def _edns(record: bytes) -> None:
    # RFC 6891 6.1.2: root name, type, class, TTL, length, options
    if len(record) < 11 or record[0] or int.from_bytes(record[1:3]) != RecordType.OPT:
        raise DecodeError("a DNS query with a record that is not EDNS")
    if int.from_bytes(record[9:11]) != len(record) - 11:
        raise DecodeError("an EDNS record of the wrong length")


def answer_query(octets: bytes, addresses_of: Callable[[str], Sequence[IPv4Address] | None]) -> bytes:
    """Answer a question from what is known here; raises `DecodeError` if it is none.

    A known name has A records and an empty answer for AAAA; everything else is REFUSED.
    """
    question = decode_query(octets)
    known = addresses_of(question.name.lower()) if question.klass == _CLASS_IN else None
    if known is None or question.kind not in (RecordType.A, RecordType.AAAA):
        return _response(question, ResponseCode.REFUSED, ())
    return _response(question, ResponseCode.NO_ERROR, known if question.kind == RecordType.A else ())


def _response(question: Question, code: ResponseCode, addresses: Sequence[IPv4Address]) -> bytes:
    flags = _RESPONSE | code
    if code is ResponseCode.NO_ERROR:
        flags |= _AUTHORITATIVE
    if question.recursion_desired:
        flags |= _RECURSION_DESIRED
    head = RecordType.A.to_bytes(2) + _CLASS_IN.to_bytes(2) + _TTL_SECONDS.to_bytes(4) + b"\0\4"
    records = b"".join(_POINTER_TO_QUESTION + head + address.packed for address in addresses)
    return _HEADER.pack(question.message_id, flags, 1, len(addresses), 0, 0) + question.raw + records


def decode_answer(octets: bytes, query: bytes) -> Answer:
    """Read the answer to `query` (as `encode_query` made it); raises `DecodeError` if it answers something else."""
    if not len(query) <= len(octets) <= _MAX_OCTETS:
        raise DecodeError("a DNS message of the wrong size")
    message_id, flags, questions, answers, _, _ = _HEADER.unpack_from(octets)
    if not flags & _RESPONSE or flags & (_OPCODE | _TRUNCATED) or questions != 1 or answers > _MAX_RECORDS:
        raise DecodeError("not a DNS answer")
    offset = len(query)
    if (
        message_id != int.from_bytes(query[:2])
        or octets[_HEADER.size : offset].lower() != query[_HEADER.size :].lower()
    ):
        raise DecodeError("the answer to another DNS question")
    addresses: list[IPv4Address] = []
    for _ in range(answers):
        record = octets[offset : offset + 12]
        if len(record) < 12 or record[:2] != _POINTER_TO_QUESTION:
            raise DecodeError("a DNS answer about another name")
        size = int.from_bytes(record[10:12])
        value = octets[offset + 12 : offset + 12 + size]
        if len(value) != size:
            raise DecodeError("a DNS record that does not fit its message")
        if int.from_bytes(record[2:4]) == RecordType.A and size == 4:
            addresses.append(IPv4Address(value))
        offset += 12 + size
    return Answer(flags & 0x000F, tuple(addresses))
