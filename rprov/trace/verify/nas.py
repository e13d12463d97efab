"""Reads the NAS of one UE with keys: who it is, what its keys are made of, and whether every MAC and COUNT is right.

    attach request, authentication, SecurityModeCommand      -> K_AMF: the one that has made the command's MAC
    SecurityModeComplete                                     -> K_gNB, and the attach request arrived as it was sent
    everything after                                         -> MAC, COUNT, deciphered

The keys come from the capture's own TLS handshake, or from K_AUSF in the key log, and from nowhere else.
"""

import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rprov.crypto.hierarchy import KAmf, KGnb, k_amf, k_gnb, k_nas_enc, k_nas_int, k_seaf
from rprov.crypto.nas_algorithms import DOWNLINK, UPLINK, Ciphering, Integrity, cipher, integrity
from rprov.errors import DecodeError, RprovError
from rprov.model.security import Nea, Nia
from rprov.security.context import BEARER, Side
from rprov.security.envelope import PlainPdu, ProtectedPdu, SecurityHeader, parse_pdu
from rprov.security.policy import PLAIN_NAS, Phase
from rprov.trace.verify.identity import Claims, Root
from rprov.trace.verify.ledger import Ledger
from rprov.trace.verify.merge import Carried
from rprov.wire.messages import NasMessage, SecurityModeCommand, SecurityModeComplete
from rprov.wire.nas_asn1 import decode_nas, encode_nas

SOONEST_REPEAT = 1.0
"""Seconds: whoever says the same again has waited for an answer (TS 24.501 10.2 has 6 s and more)."""


@dataclass(slots=True)
class Context:
    """Keys of one NAS context, and the COUNTs that come next."""

    k_amf: KAmf
    integrity: Integrity
    ciphering: Ciphering
    counts: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})

    @classmethod
    def of(cls, key: KAmf, nea: Nea, nia: Nia) -> "Context":
        """Prepare the algorithms that a SecurityModeCommand names."""
        return cls(key, integrity(nia, k_nas_int(key, nia)), cipher(nea, k_nas_enc(key, nea)))

    def mac_is_right(self, pdu: ProtectedPdu, count: int, uplink: bool) -> bool:
        """Say whether a PDU was made with these keys and this COUNT."""
        octets = bytes((pdu.sequence_number,)) + pdu.payload
        return hmac.compare_digest(self.integrity.mac(count, BEARER, _direction(uplink), octets), pdu.mac)

    def opened(self, pdu: ProtectedPdu, count: int, uplink: bool) -> bytes:
        """Give what a PDU carries."""
        if not pdu.header.ciphered:
            return pdu.payload
        return self.ciphering.apply(count, BEARER, _direction(uplink), pdu.payload)


@dataclass(frozen=True, slots=True)
class NasRead:
    """One message, read."""

    carried: Carried
    message: NasMessage
    protected: bool


@dataclass(slots=True)
class NasStory:
    """The NAS of one UE."""

    ledger: Ledger
    claims: Claims
    read: list[NasRead] = field(default_factory=list)
    context: Context | None = None
    root: Root | None = None
    k_gnbs: list[KGnb] = field(default_factory=list)
    """K_gNB of each SecurityModeComplete: it may have been repeated."""
    attach_raw: bytes = b""
    macs: int = 0
    _before: dict[bool, Carried] = field(default_factory=dict)
    _seen: int = 0

    def follow(self, carried: Sequence[Carried]) -> None:
        """Go on with messages that were not there before; `carried` is the whole list, each time longer."""
        for item in carried[self._seen :]:
            self._one(item)
        self._seen = len(carried)

    def _one(self, item: Carried) -> None:
        try:
            parsed = parse_pdu(item.octets)
            message = self._plain(item, parsed) if isinstance(parsed, PlainPdu) else self._protected(item, parsed)
        except DecodeError as error:
            self.ledger.fault(item.frame, f"NAS: {error}")
            return
        if message is not None:
            self.read.append(NasRead(item, message, not isinstance(parsed, PlainPdu)))

    def _plain(self, item: Carried, pdu: PlainPdu) -> NasMessage:
        message = decode_nas(pdu.message)
        if encode_nas(message) != pdu.message:
            raise DecodeError(f"{type(message).__name__} is not encoded as it must be")
        before = self._before.get(item.uplink)
        if before is not None and before.octets == item.octets and item.at - before.at < SOONEST_REPEAT:
            self.ledger.loose(item.frame, f"the same {type(message).__name__} as in frame {before.frame}, at once")
        self._before[item.uplink] = item
        receiver = Side.CP if item.uplink else Side.UE
        if self.context is not None:
            self.ledger.fault(item.frame, f"{type(message).__name__} comes unprotected, though there are keys")
        elif type(message) not in PLAIN_NAS[receiver, Phase.NO_CONTEXT]:
            self.ledger.fault(item.frame, f"{type(message).__name__} comes unprotected, which it never may")
        self.claims.learn(item, message, pdu.message)
        return message

    def _protected(self, item: Carried, pdu: ProtectedPdu) -> NasMessage | None:
        if self.context is None:
            self._take_keys(item, pdu)
        context = self.context
        if context is None:
            return None
        count = context.counts[item.uplink]
        if pdu.sequence_number != count & 0xFF:
            self.ledger.fault(
                item.frame,
                f"NAS COUNT {pdu.sequence_number}, where {count & 0xFF} is due: a message is missing, comes twice or "
                "is not in its place",
            )
            count = (count & ~0xFF) | pdu.sequence_number
        context.counts[item.uplink] = count + 1
        if not context.mac_is_right(pdu, count, item.uplink):
            self.ledger.fault(item.frame, f"the MAC of {_name(pdu)} is wrong")
            return None
        self._covered(item)
        plain = context.opened(pdu, count, item.uplink)
        message = decode_nas(plain)
        self._check_header(pdu, message)
        if isinstance(message, SecurityModeComplete):
            self.k_gnbs.append(k_gnb(context.k_amf, count))
            self.claims.confirm(item, message, self.ledger)
        return message

    @staticmethod
    def _check_header(pdu: ProtectedPdu, message: NasMessage) -> None:
        expected = SecurityHeader.INTEGRITY_CIPHERED
        if isinstance(message, SecurityModeCommand):
            expected = SecurityHeader.INTEGRITY_NEW_CONTEXT
        elif isinstance(message, SecurityModeComplete):
            expected = SecurityHeader.INTEGRITY_CIPHERED_NEW_CONTEXT
        if pdu.header is not expected:
            raise DecodeError(f"{type(message).__name__} in a PDU with the security header {pdu.header.name}")

    def _covered(self, item: Carried) -> None:
        self.macs += 1
        for copy in item.copies:
            self.ledger.cover(copy.frame, copy.offset, len(copy.octets), "NAS MAC")

    def _take_keys(self, item: Carried, pdu: ProtectedPdu) -> None:
        if item.uplink or pdu.header is not SecurityHeader.INTEGRITY_NEW_CONTEXT:
            self.ledger.fault(item.frame, "a protected NAS message before there are keys")
            return
        command = decode_nas(pdu.payload)
        if not isinstance(command, SecurityModeCommand):
            raise DecodeError(f"{type(command).__name__} where a SecurityModeCommand belongs")
        for root, context in self._candidates(command):
            if context.mac_is_right(pdu, 0, uplink=False):
                self.context, self.root = context, root
                self.claims.check_command(item, command, root, self.ledger)
                return
        self.ledger.fault(item.frame, self.claims.why_no_keys(command))

    def _candidates(self, command: SecurityModeCommand) -> Iterator[tuple[Root, Context]]:
        for root in self.claims.roots(command.abba):
            key = k_amf(k_seaf(root.k_ausf, root.plmn.serving_network_name), root.supi, command.abba)
            try:
                yield root, Context.of(key, command.nea, command.nia)
            except RprovError:
                continue


def _direction(uplink: bool) -> int:
    return UPLINK if uplink else DOWNLINK


def _name(pdu: ProtectedPdu) -> str:
    return "a NAS message" if pdu.header.ciphered else "a SecurityModeCommand"
