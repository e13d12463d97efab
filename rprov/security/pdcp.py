"""PDCP of one radio bearer: numbers, MAC-I, ciphering and the receive window (TS 38.323). Knows no RRC and no NAS.

    SRB, 12 bits   | 0000 SN(4) | SN (8)  |          data | MAC-I (4)
    DRB, 18 bits   | 1 00000 SN(2) | SN (8) | SN (8) | data | MAC-I (4, with integrity only)
                   `------- in clear -------'`----- ciphered -----'

COUNT is HFN | SN, 32 bits. The MAC covers header and plain data; data and MAC-I are then ciphered (5.9, 5.8).
"""

import hmac
from dataclasses import dataclass, field
from typing import Protocol

from rprov.crypto.hierarchy import KGnb, k_rrc_enc, k_rrc_int, k_up_enc, k_up_int
from rprov.crypto.nas_algorithms import Ciphering, Integrity, cipher, integrity
from rprov.errors import DecodeError, MacMismatch, Misuse, Replayed
from rprov.model.security import Algorithms

SRB_SN_BITS = 12
DRB_SN_BITS = 18
MAX_SDU = 9000
"""The most that a PDU carries, in octets (TS 38.323 4.3.1)."""

_MAC_SIZE = 4
_NO_MAC = bytes(_MAC_SIZE)
_MAX_COUNT = (1 << 32) - 1


class Pdcp(Protocol):
    """What a data plane needs of a bearer."""

    def protect(self, data: bytes) -> bytes:
        """Give the PDU that carries `data`."""

    def unprotect(self, pdu: bytes) -> bytes:
        """Give what a PDU carries; raises `MacMismatch`, `Replayed` or `DecodeError`."""


@dataclass(frozen=True, slots=True)
class PdcpKeys:
    """The prepared algorithms of a bearer; a data radio bearer may lack either (TS 33.501 6.6.1)."""

    integrity: Integrity | None = field(repr=False)
    ciphering: Ciphering | None = field(repr=False)

    @classmethod
    def of_srb(cls, key: KGnb, algorithms: Algorithms) -> "PdcpKeys":
        """Prepare K_RRCint and K_RRCenc."""
        return cls(
            integrity(algorithms.nia, k_rrc_int(key, algorithms.nia)),
            cipher(algorithms.nea, k_rrc_enc(key, algorithms.nea)),
        )

    @classmethod
    def of_drb(cls, key: KGnb, algorithms: Algorithms, *, integrity_on: bool, ciphering_on: bool) -> "PdcpKeys":
        """Prepare K_UPint and K_UPenc, as far as the bearer uses them."""
        return cls(
            integrity(algorithms.nia, k_up_int(key, algorithms.nia)) if integrity_on else None,
            cipher(algorithms.nea, k_up_enc(key, algorithms.nea)) if ciphering_on else None,
        )


class PdcpEntity:
    """One end of one radio bearer.

    `bearer` is the radio bearer identity, from 1; `sn_bits` 12 (SRB) or 18 (DRB); `sends` the DIRECTION of what this
    end sends, 0 at the UE and 1 at the RAN. With `keys` both directions are protected and ciphered at once, as on a
    DRB; without, an SRB's PDUs carry a MAC-I of zeros until `secure`. `window` is how many COUNTs below the highest
    received are still taken, each once; 0 demands that every COUNT is higher than the one before.
    """

    __slots__ = (
        "_bearer",
        "_cipher_in",
        "_cipher_out",
        "_drb",
        "_header_size",
        "_highest",
        "_integrity",
        "_keys",
        "_least",
        "_next",
        "_receives",
        "_seen",
        "_sends",
        "_sn_bits",
        "_sn_mask",
        "_window",
        "_window_mask",
    )

    def __init__(self, bearer: int, sn_bits: int, sends: int, keys: PdcpKeys | None, window: int) -> None:
        if not 1 <= bearer <= 32:
            raise Misuse("a radio bearer identity is 1 to 32")
        if sn_bits not in (SRB_SN_BITS, DRB_SN_BITS):
            raise Misuse("a sequence number of PDCP has 12 bits (SRB) or 18 (DRB)")
        if sends not in (0, 1):
            raise Misuse("a direction is 0 (uplink) or 1 (downlink)")
        if not 0 <= window < 1 << (sn_bits - 1):
            raise Misuse("a receive window is less than half the sequence numbers")  # TS 38.323 7.2
        self._bearer = bearer - 1  # BEARER is the identity minus 1 (TS 38.323 5.8)
        self._sends, self._receives = sends, 1 - sends
        self._sn_bits, self._sn_mask = sn_bits, (1 << sn_bits) - 1
        self._drb = sn_bits == DRB_SN_BITS
        self._header_size = 3 if self._drb else 2
        self._window, self._window_mask = window, (2 << window) - 1
        self._next = 0
        self._highest = -1
        self._seen = 0
        self._keys = keys
        self._integrity = keys.integrity if keys else None
        self._cipher_out = self._cipher_in = keys.ciphering if keys else None
        self._least = self._header_size + self._tail_size

    def __repr__(self) -> str:
        kind = "DRB" if self._drb else "SRB"
        return f"PdcpEntity({kind} {self._bearer + 1}, next {self._next}, highest {self._highest})"

    @property
    def _tail_size(self) -> int:
        # an SRB's PDU has the place of a MAC-I from the start (TS 38.323 6.3.4)
        return 0 if self._drb and self._integrity is None else _MAC_SIZE

    def secure(self, keys: PdcpKeys) -> None:
        """Set both COUNTs to 0 under fresh keys and protect the integrity of both directions from here on.

        Ciphering begins later and per direction: AS security mode command and complete are not ciphered (TS 33.501
        6.7.4). A receiver that must be able to go back tries the command on a new entity first.
        """
        if keys.integrity is None:
            raise Misuse("a bearer is not secured without integrity")
        self._next, self._highest, self._seen = 0, -1, 0
        self._keys = keys
        self._integrity = keys.integrity
        self._cipher_out = self._cipher_in = None
        self._least = self._header_size + self._tail_size

    def cipher_sending(self) -> None:
        """Cipher what is sent from here on."""
        self._cipher_out = self._keys_in_use().ciphering

    def cipher_receiving(self) -> None:
        """Decipher what is received from here on."""
        self._cipher_in = self._keys_in_use().ciphering

    def _keys_in_use(self) -> PdcpKeys:
        if self._keys is None:
            raise Misuse("the bearer has no keys yet")
        return self._keys

    def protect(self, data: bytes) -> bytes:
        """Give the PDU that carries `data`; raises `Misuse` where a COUNT would be used twice."""
        if not 0 < len(data) <= MAX_SDU:
            raise Misuse(f"a PDU carries 1 to {MAX_SDU} octets")
        count = self._next
        if count > _MAX_COUNT:
            raise Misuse("the COUNT of the bearer is used up: fresh keys are due")
        self._next = count + 1
        sn = count & self._sn_mask
        header = (sn | 0x800000).to_bytes(3) if self._drb else sn.to_bytes(2)
        if self._integrity is not None:
            body = data + self._integrity.mac(count, self._bearer, self._sends, header + data)
        elif self._drb:
            body = data
        else:
            body = data + _NO_MAC
        if self._cipher_out is not None:
            body = self._cipher_out.apply(count, self._bearer, self._sends, body)
        return header + body

    def unprotect(self, pdu: bytes) -> bytes:
        """Give what a PDU carries; raises `MacMismatch`, `Replayed` or `DecodeError`, and then nothing has changed."""
        count = self._count_of(pdu)
        behind = self._highest - count
        if behind >= 0 and (behind > self._window or self._seen >> behind & 1):
            raise Replayed(f"a PDU with COUNT {count}, while {self._highest} is the highest received")
        body = pdu[self._header_size :]
        if self._cipher_in is not None:
            body = self._cipher_in.apply(count, self._bearer, self._receives, body)
        data = self._verified(count, pdu[: self._header_size], body)
        if behind < 0:
            # older marks leave the window; a leap beyond it forgets them all
            kept = self._seen << -behind & self._window_mask if -behind <= self._window else 0
            self._seen, self._highest = kept | 1, count
        else:
            self._seen |= 1 << behind
        return data

    def unverified(self, pdu: bytes) -> bytes:
        """Give what a PDU carries as if it were not ciphered, unchecked and without taking it down.

        Only for the AS security mode command, which names the algorithms that verify it.
        """
        self._count_of(pdu)
        if len(pdu) <= self._header_size + _MAC_SIZE:
            raise DecodeError("a PDU of PDCP is shorter than its header and MAC-I")
        return pdu[self._header_size : -_MAC_SIZE]

    def _count_of(self, pdu: bytes) -> int:
        """Read the header and estimate the COUNT: the one nearest to the next expected (TS 38.323 5.2.2.1)."""
        if not self._least < len(pdu) <= self._least + MAX_SDU:
            raise DecodeError("a PDU of PDCP is shorter than its header and MAC-I, or too long")
        sn = int.from_bytes(pdu[: self._header_size]) ^ (0x800000 if self._drb else 0)
        if sn > self._sn_mask:
            raise DecodeError("a PDU of PDCP is no data PDU, or has reserved bits set")
        expected = self._highest + 1
        half = 1 << (self._sn_bits - 1)
        count = expected + ((sn - expected + half) & self._sn_mask) - half
        if not 0 <= count <= _MAX_COUNT:
            raise Replayed("a PDU whose COUNT lies before the first or after the last one")
        return count

    def _verified(self, count: int, header: bytes, body: bytes) -> bytes:
        if self._integrity is None and self._drb:
            return body
        data, received = body[:-_MAC_SIZE], body[-_MAC_SIZE:]
        expected = _NO_MAC
        if self._integrity is not None:
            expected = self._integrity.mac(count, self._bearer, self._receives, header + data)
        if not hmac.compare_digest(expected, received):
            raise MacMismatch("the MAC-I of a PDU is wrong")
        return data
