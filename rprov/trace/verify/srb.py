"""Reads the signalling bearer of one UE: numbers, MAC-I, ciphering (TS 38.323), beside the PDCP entities of the nodes.

COUNTs go up by one with each PDU: the link is reliable, so one that is missing was taken out. The keys come with the
AS security mode command, whose MAC-I says which K_gNB it was.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

from rprov.crypto.hierarchy import KGnb
from rprov.crypto.nas_algorithms import DOWNLINK, UPLINK
from rprov.errors import DecodeError, RprovError
from rprov.model.security import Algorithms
from rprov.security.pdcp import PdcpKeys
from rprov.security.policy import PLAIN_RRC, Receiver
from rprov.trace.verify.align import Copy
from rprov.trace.verify.gather import Seen
from rprov.trace.verify.ledger import Ledger
from rprov.wire.radio import (
    AsSecurityModeCommand,
    AsSecurityModeComplete,
    AsSecurityModeFailure,
    RadioMessage,
    SrbKind,
    decode_srb,
)
from rprov.wire.radio_asn1 import decode_radio, encode_radio

HEADER, MAC, FRAME_HEADER = 2, 4, 4
_NO_MAC = bytes(MAC)
BEARER = 0
"""BEARER of SRB1: its identity minus 1 (TS 38.323 5.8)."""


@dataclass(frozen=True, slots=True)
class Rrc:
    """An RRC message of the bearer."""

    seen: Seen
    message: RadioMessage


@dataclass(slots=True)
class Srb:
    """The bearer, as far as it was read."""

    ledger: Ledger
    nas: list[tuple[Seen, Copy]] = field(default_factory=list)
    rrc: list[Rrc] = field(default_factory=list)
    k_gnb: KGnb | None = None
    algorithms: Algorithms | None = None
    protected: int = 0
    _keys: PdcpKeys | None = None
    _next: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    _before: dict[bool, int] = field(default_factory=dict)
    _ciphered: set[bool] = field(default_factory=set)

    def read(self, seen: Seen, candidates: Sequence[KGnb]) -> None:
        """Take the next frame; `candidates` are the keys that the security mode command may be made with."""
        pdu = seen.octets[FRAME_HEADER:]
        try:
            self._take(seen, pdu, candidates)
        except DecodeError as error:
            self.ledger.fault(seen.frame, f"radio: {error}")

    def _take(self, seen: Seen, pdu: bytes, candidates: Sequence[KGnb]) -> None:
        if len(pdu) <= HEADER + MAC:
            raise DecodeError("a PDU of PDCP is shorter than its header and MAC-I")
        number = int.from_bytes(pdu[:HEADER])
        command = self._command(seen, pdu)
        if command is not None and self._keys is None:
            self._take_keys(command, pdu, candidates)
        if number > 0xFFF:
            raise DecodeError("a PDU of PDCP has reserved bits set")
        if self._is_failure(seen, pdu):
            self._back()
        uplink = seen.uplink
        if number != self._next[uplink] & 0xFFF:
            self.ledger.fault(
                seen.frame,
                f"the PDU number {number} on the signalling bearer, where {self._next[uplink] & 0xFFF} is due: "
                "a message is missing, comes twice or is not in its place",
            )
            self._next[uplink] = (self._next[uplink] & ~0xFFF) | number
        count = self._next[uplink]
        self._next[uplink] = count + 1
        plain = self._opened(seen, pdu, count)
        if plain is None:
            return
        kind, payload = decode_srb(plain)
        offset = seen.head + FRAME_HEADER + HEADER
        if kind is SrbKind.NAS:
            self.nas.append((seen, Copy(seen.frame, offset + 1, payload, seen.captured.at)))
            return
        message = decode_radio(payload)
        if encode_radio(message) != payload:
            raise DecodeError(f"{type(message).__name__} is not encoded as it must be")
        self.rrc.append(Rrc(seen, message))
        receiver = Receiver.RAN if seen.uplink else Receiver.UE
        allowed = PLAIN_RRC[receiver, False] | {AsSecurityModeFailure}
        if self._keys is None and type(message) not in allowed:
            self.ledger.fault(seen.frame, f"{type(message).__name__} comes unprotected, which it never may")
        if self._keys is not None:
            if isinstance(message, AsSecurityModeCommand):
                self._ciphered.add(False)
            elif isinstance(message, AsSecurityModeComplete):
                self._ciphered.add(True)

    def _command(self, seen: Seen, pdu: bytes) -> AsSecurityModeCommand | None:
        """Read the message that names the algorithms which verify it; it is not ciphered (TS 33.501 6.7.4)."""
        if seen.uplink or self._keys is not None or pdu[-MAC:] == _NO_MAC:
            return None
        try:
            kind, payload = decode_srb(pdu[HEADER:-MAC])
            message = decode_radio(payload) if kind is SrbKind.RRC else None
        except DecodeError:
            return None
        return message if isinstance(message, AsSecurityModeCommand) else None

    def _take_keys(self, command: AsSecurityModeCommand, pdu: bytes, candidates: Sequence[KGnb]) -> None:
        self._before, self._next = dict(self._next), {True: 0, False: 0}
        for k_gnb in candidates:
            try:
                algorithms = Algorithms(command.nea, command.nia)
                keys = PdcpKeys.of_srb(k_gnb, algorithms)
            except RprovError:
                continue
            self._keys = self._keys or keys  # something to go on with, if none is right
            if _mac(keys, 0, DOWNLINK, pdu[:-MAC]) == pdu[-MAC:]:
                self._keys, self.k_gnb, self.algorithms = keys, k_gnb, algorithms
                return

    def _is_failure(self, seen: Seen, pdu: bytes) -> bool:
        """A UE that refuses the keys can only say so without them."""
        if not seen.uplink or self._keys is None or pdu[-MAC:] != _NO_MAC:
            return False
        try:
            kind, payload = decode_srb(pdu[HEADER:-MAC])
            return kind is SrbKind.RRC and isinstance(decode_radio(payload), AsSecurityModeFailure)
        except DecodeError:
            return False

    def _back(self) -> None:
        self._keys, self._next = None, dict(self._before)
        self._ciphered.clear()

    def _opened(self, seen: Seen, pdu: bytes, count: int) -> bytes | None:
        begin = seen.head + FRAME_HEADER
        self.ledger.cover(seen.frame, seen.head, FRAME_HEADER, "the connection that it belongs to")
        header, body = pdu[:HEADER], pdu[HEADER:]
        if self._keys is None or self._keys.integrity is None:
            if body[-MAC:] != _NO_MAC:
                self.ledger.fault(seen.frame, "a MAC-I on the signalling bearer before there are keys")
            self.ledger.cover(seen.frame, begin, HEADER, "PDCP numbers")
            self.ledger.cover(seen.frame, begin + HEADER, 1, "canonical encoding of what follows")
            self.ledger.cover(seen.frame, begin + len(pdu) - MAC, MAC, "MAC-I, zeros before there are keys")
            return body[:-MAC]
        direction = UPLINK if seen.uplink else DOWNLINK
        if seen.uplink in self._ciphered and self._keys.ciphering is not None:
            body = self._keys.ciphering.apply(count, BEARER, direction, body)
        if not hmac.compare_digest(_mac(self._keys, count, direction, header + body[:-MAC]), body[-MAC:]):
            self.ledger.fault(seen.frame, "the MAC-I of a PDU on the signalling bearer is wrong")
            return None
        self.protected += 1
        self.ledger.cover(seen.frame, begin, len(pdu), "RRC MAC-I")
        return body[:-MAC]


def _mac(keys: PdcpKeys, count: int, direction: int, octets: bytes) -> bytes:
    return b"" if keys.integrity is None else keys.integrity.mac(count, BEARER, direction, octets)
