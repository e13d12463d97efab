"""The messages of mutual authentication and download between card and SM-DP+ (SGP.22 5.7.5, 5.7.13, 5.7.14).

Knows how they are written and which octets of each are signed (`raw`), never by whom or whether rightly.

    serverSigned1  -- DPauth signs --> card        euiccSigned1 -- eUICC signs --> SM-DP+
    smdpSigned2    -- DPpb signs ----> card        euiccSigned2 -- eUICC signs --> SM-DP+
"""

from dataclasses import dataclass, field
from typing import Self

from rprov.errors import DecodeError
from rprov.provision.sgp22.info import EuiccInfo2
from rprov.provision.sgp22.keys import signature_do
from rprov.provision.sgp22.metadata import MAX_ADDRESS, read_transaction_id
from rprov.provision.sgp22.tlv import (
    Reader,
    boolean,
    fixed,
    integer,
    open_tlv,
    read_boolean,
    read_integer,
    read_text,
    tlv,
)

CHALLENGE_LENGTH = 16
MAX_MATCHING_ID = 255


@dataclass(frozen=True, slots=True)
class CardError:
    """An error answer of the card. CancelSession's has no transaction: it is empty then."""

    transaction_id: bytes
    code: int


def error_answer(tag: int, transaction_id: bytes, code: int) -> bytes:
    """Make the error answer to AuthenticateServer or PrepareDownload."""
    return tlv(tag, tlv(0xA1, tlv(0x80, transaction_id), tlv(0x81, integer(code))))


def _card_error(reader: Reader, what: str) -> CardError:
    inside = Reader(reader.take(0xA1).value, what)
    transaction_id = read_transaction_id(inside.take(0x80).value, what)
    return CardError(transaction_id, read_integer(inside.take(0x81).value, what, 127))


# --- AuthenticateServer, BF38 ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ServerSigned1:
    """What the SM-DP+ signs first."""

    transaction_id: bytes
    euicc_challenge: bytes
    server_address: str
    server_challenge: bytes
    raw: bytes

    @classmethod
    def build(cls, transaction_id: bytes, euicc_challenge: bytes, server_address: str, server_challenge: bytes) -> Self:
        """Make it."""
        raw = tlv(
            0x30,
            tlv(0x80, transaction_id),
            tlv(0x81, euicc_challenge),
            tlv(0x83, server_address.encode()),
            tlv(0x84, server_challenge),
        )
        return cls(transaction_id, euicc_challenge, server_address, server_challenge, raw)

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read it; what later versions append is skipped, and stays signed. Raises DecodeError."""
        what = "serverSigned1"
        reader = open_tlv(octets, 0x30, what)
        transaction_id = read_transaction_id(reader.take(0x80).value, what)
        euicc_challenge = fixed(reader.take(0x81).value, CHALLENGE_LENGTH, what)
        address = read_text(reader.take(0x83).value, what, MAX_ADDRESS)
        server_challenge = fixed(reader.take(0x84).value, CHALLENGE_LENGTH, what)
        reader.rest()
        return cls(transaction_id, euicc_challenge, address, server_challenge, octets)


def context_params(matching_id: str, tac: bytes) -> bytes:
    """Make ctxParams1: the matchingId and what there is to say about the device."""
    device = tlv(0xA1, tlv(0x80, fixed(tac, 4, "a TAC")), tlv(0xA1))
    return tlv(0xA0, tlv(0x80, matching_id.encode()) if matching_id else b"", device)


def _matching_id(context: bytes) -> str:
    what = "ctxParams1"
    reader = open_tlv(context, 0xA0, what)
    element = reader.optional(0x80)
    reader.take(0xA1)
    reader.rest()
    return read_text(element.value, what, MAX_MATCHING_ID) if element else ""


@dataclass(frozen=True, slots=True)
class AuthenticateServerRequest:
    """LPA -> card: the server's first proof, and what the device says (ctxParams1)."""

    signed: ServerSigned1
    signature: bytes
    ci_id: bytes
    certificate: bytes
    context: bytes

    def encode(self) -> bytes:
        """Make a BF38."""
        return tlv(
            0xBF38,
            self.signed.raw,
            signature_do(self.signature),
            tlv(0x04, self.ci_id),
            self.certificate,
            self.context,
        )

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read a whole BF38; raises DecodeError."""
        what = "AuthenticateServer"
        reader = open_tlv(octets, 0xBF38, what)
        signed = ServerSigned1.decode(reader.take(0x30).raw)
        signature = fixed(reader.take(0x5F37).value, 64, what)
        ci_id = fixed(reader.take(0x04).value, 20, what)
        certificate = reader.take(0x30).raw
        context = reader.take(0xA0).raw
        _matching_id(context)
        reader.finish()
        return cls(signed, signature, ci_id, certificate, context)


@dataclass(frozen=True, slots=True)
class EuiccSigned1:
    """What the card signs first; `info` and the context stand in it as they were."""

    transaction_id: bytes
    server_address: str
    server_challenge: bytes
    info: EuiccInfo2
    matching_id: str
    raw: bytes

    @staticmethod
    def build(signed: ServerSigned1, info: bytes, context: bytes) -> bytes:
        """Make the 30 TLV that is then signed."""
        return tlv(
            0x30,
            tlv(0x80, signed.transaction_id),
            tlv(0x83, signed.server_address.encode()),
            tlv(0x84, signed.server_challenge),
            info,
            context,
        )

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read it; raises DecodeError."""
        what = "euiccSigned1"
        reader = open_tlv(octets, 0x30, what)
        transaction_id = read_transaction_id(reader.take(0x80).value, what)
        address = read_text(reader.take(0x83).value, what, MAX_ADDRESS)
        challenge = fixed(reader.take(0x84).value, CHALLENGE_LENGTH, what)
        info = EuiccInfo2.decode(reader.take(0xBF22).raw)
        matching_id = _matching_id(reader.take(0xA0).raw)
        reader.rest()
        return cls(transaction_id, address, challenge, info, matching_id, octets)


@dataclass(frozen=True, slots=True)
class AuthenticateServerAnswer:
    """Card -> SM-DP+: the card's first proof."""

    signed: EuiccSigned1
    signature: bytes
    euicc_certificate: bytes
    eum_certificate: bytes

    @staticmethod
    def build(signed: bytes, signature: bytes, euicc_certificate: bytes, eum_certificate: bytes) -> bytes:
        """Make a BF38."""
        return tlv(0xBF38, tlv(0xA0, signed, signature_do(signature), euicc_certificate, eum_certificate))

    @classmethod
    def decode(cls, octets: bytes) -> "AuthenticateServerAnswer | CardError":
        """Read a whole BF38; raises DecodeError."""
        what = "answer to AuthenticateServer"
        outer = open_tlv(octets, 0xBF38, what)
        if outer.peek() == 0xA1:
            return _card_error(outer, what)
        reader = Reader(outer.take(0xA0).value, what)
        outer.finish()
        signed = EuiccSigned1.decode(reader.take(0x30).raw)
        signature = fixed(reader.take(0x5F37).value, 64, what)
        certificates = reader.take(0x30).raw, reader.take(0x30).raw
        reader.rest()
        return cls(signed, signature, *certificates)


# --- PrepareDownload, BF21 -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SmdpSigned2:
    """What the SM-DP+ signs next, with the card's first signature behind it."""

    transaction_id: bytes
    confirmation_required: bool
    one_time_key: bytes | None
    raw: bytes

    @classmethod
    def build(cls, transaction_id: bytes, confirmation_required: bool) -> Self:
        """Make it; we never ask a card to use an older one-time key again, but cards must obey who does."""
        raw = tlv(0x30, tlv(0x80, transaction_id), tlv(0x01, boolean(confirmation_required)))
        return cls(transaction_id, confirmation_required, None, raw)

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read it; raises DecodeError."""
        what = "smdpSigned2"
        reader = open_tlv(octets, 0x30, what)
        transaction_id = read_transaction_id(reader.take(0x80).value, what)
        required = read_boolean(reader.take(0x01).value, what)
        key = reader.optional(0x5F49)
        reader.rest()
        return cls(transaction_id, required, fixed(key.value, 65, what) if key else None, octets)


@dataclass(frozen=True, slots=True)
class PrepareDownloadRequest:
    """LPA -> card: the server's second proof, and the hashed confirmation code."""

    signed: SmdpSigned2
    signature: bytes
    hash_cc: bytes | None = field(repr=False)
    certificate: bytes

    def encode(self) -> bytes:
        """Make a BF21."""
        code = b"" if self.hash_cc is None else tlv(0x04, self.hash_cc)
        return tlv(0xBF21, self.signed.raw, signature_do(self.signature), code, self.certificate)

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read a whole BF21; raises DecodeError."""
        what = "PrepareDownload"
        reader = open_tlv(octets, 0xBF21, what)
        signed = SmdpSigned2.decode(reader.take(0x30).raw)
        signature = fixed(reader.take(0x5F37).value, 64, what)
        code = reader.optional(0x04)
        certificate = reader.take(0x30).raw
        reader.finish()
        return cls(signed, signature, fixed(code.value, 32, what) if code else None, certificate)


@dataclass(frozen=True, slots=True)
class EuiccSigned2:
    """What the card signs next, with the server's second signature behind it."""

    transaction_id: bytes
    one_time_key: bytes
    hash_cc: bytes | None = field(repr=False)
    raw: bytes = field(repr=False)

    @classmethod
    def build(cls, transaction_id: bytes, one_time_key: bytes, hash_cc: bytes | None) -> Self:
        """Make it."""
        code = b"" if hash_cc is None else tlv(0x04, hash_cc)
        raw = tlv(0x30, tlv(0x80, transaction_id), tlv(0x5F49, one_time_key), code)
        return cls(transaction_id, one_time_key, hash_cc, raw)

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read it; raises DecodeError. Whether the key is a point is seen when it is used."""
        what = "euiccSigned2"
        reader = open_tlv(octets, 0x30, what)
        transaction_id = read_transaction_id(reader.take(0x80).value, what)
        key = fixed(reader.take(0x5F49).value, 65, what)
        code = reader.optional(0x04)
        reader.rest()
        return cls(transaction_id, key, fixed(code.value, 32, what) if code else None, octets)


@dataclass(frozen=True, slots=True)
class PrepareDownloadAnswer:
    """Card -> SM-DP+: the card's second proof."""

    signed: EuiccSigned2
    signature: bytes

    def encode(self) -> bytes:
        """Make a BF21."""
        return tlv(0xBF21, tlv(0xA0, self.signed.raw, signature_do(self.signature)))

    @classmethod
    def decode(cls, octets: bytes) -> "PrepareDownloadAnswer | CardError":
        """Read a whole BF21; raises DecodeError."""
        what = "answer to PrepareDownload"
        outer = open_tlv(octets, 0xBF21, what)
        if outer.peek() == 0xA1:
            return _card_error(outer, what)
        reader = Reader(outer.take(0xA0).value, what)
        outer.finish()
        signed = EuiccSigned2.decode(reader.take(0x30).raw)
        signature = fixed(reader.take(0x5F37).value, 64, what)
        reader.rest()
        return cls(signed, signature)


# --- CancelSession, BF41 ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CancelSessionRequest:
    """LPA -> card."""

    transaction_id: bytes
    reason: int

    def encode(self) -> bytes:
        """Make a BF41."""
        return tlv(0xBF41, tlv(0x80, self.transaction_id), tlv(0x81, integer(self.reason)))

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read a whole BF41; raises DecodeError."""
        what = "CancelSession"
        reader = open_tlv(octets, 0xBF41, what)
        transaction_id = read_transaction_id(reader.take(0x80).value, what)
        reason = read_integer(reader.take(0x81).value, what, 127)
        reader.finish()
        return cls(transaction_id, reason)


@dataclass(frozen=True, slots=True)
class CancelSessionAnswer:
    """Card -> SM-DP+: the card's word that the session is over. `smdp_oid` is the content of an OBJECT IDENTIFIER."""

    transaction_id: bytes
    smdp_oid: bytes
    reason: int
    signed: bytes
    signature: bytes

    @staticmethod
    def build_signed(request: CancelSessionRequest, smdp_oid: bytes) -> bytes:
        """Make the 30 TLV that is then signed."""
        return tlv(0x30, tlv(0x80, request.transaction_id), tlv(0x81, smdp_oid), tlv(0x82, integer(request.reason)))

    @staticmethod
    def build(signed: bytes, signature: bytes) -> bytes:
        """Make a BF41."""
        return tlv(0xBF41, tlv(0xA0, signed, signature_do(signature)))

    @classmethod
    def decode(cls, octets: bytes) -> "CancelSessionAnswer | CardError":
        """Read a whole BF41; raises DecodeError."""
        what = "answer to CancelSession"
        outer = open_tlv(octets, 0xBF41, what)
        error = outer.optional(0x81)
        if error is not None:
            return CardError(b"", read_integer(error.value, what, 127))
        body = Reader(outer.take(0xA0).value, what)
        outer.finish()
        signed = body.take(0x30)
        signature = fixed(body.take(0x5F37).value, 64, what)
        body.finish()
        reader = Reader(signed.value, what)
        transaction_id = read_transaction_id(reader.take(0x80).value, what)
        smdp_oid = reader.take(0x81).value
        reason = read_integer(reader.take(0x82).value, what, 127)
        if not smdp_oid:
            raise DecodeError(f"{what}: an empty OID")
        return cls(transaction_id, smdp_oid, reason, signed.raw, signature)


def oid_octets(dotted: str) -> bytes:
    """Content octets of an OBJECT IDENTIFIER (X.690 8.19)."""
    arcs = [int(arc) for arc in dotted.split(".")]
    content = bytearray()
    for number in (arcs[0] * 40 + arcs[1], *arcs[2:]):
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(0x80 | number & 0x7F)
        content.extend(reversed(groups))
    return bytes(content)
