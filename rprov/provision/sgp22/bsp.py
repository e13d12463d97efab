"""BSP, the protection of a bound profile package (SGP.22 2.6.4; SCP03t before). Knows keys and segments, no meaning.

    tag | length | AES-CBC ciphertext or clear text | C-MAC (8)
                   ICV = AES(S-ENC, counter)          AES-CMAC(S-MAC, chaining value | tag | length | data)[:8]

One counter and one chain of MACs run over all segments, in their order: a segment that is changed, left out, repeated
or moved does not open.
"""

import hmac
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF

from rprov.errors import DecodeError, MacMismatch
from rprov.model.secret import Secret
from rprov.provision.sgp22.tlv import header

KEY_TYPE = 0x88  # AES (GlobalPlatform key type coding, SGP.22 5.5.1)
KEY_LENGTH = 0x10
MAC_LENGTH = 8

MAX_SEGMENT = 1020
"""The longest segment that we send, with tag, length and MAC (SGP.22 2.5.3); longer ones are accepted."""

CLEAR_ROOM = MAX_SEGMENT - 4 - MAC_LENGTH
CIPHERED_ROOM = CLEAR_ROOM // 16 * 16 - 1
"""How much plain text fits into one segment: a block more for the padding that is always there."""


class ChainingValue(Secret):
    """The MAC chaining value, 16 octets."""


class SEnc(Secret):
    """S-ENC or PPK-ENC, 16 octets."""


class SMac(Secret):
    """S-MAC or PPK-CMAC, 16 octets."""


@dataclass(frozen=True, slots=True)
class BspKeys:
    """What one run of the protection starts from."""

    chaining_value: ChainingValue
    enc: SEnc
    mac: SMac


def shared_info(host_id: bytes, eid: bytes, key_type: int = KEY_TYPE, key_length: int = KEY_LENGTH) -> bytes:
    """Key type, key length, host id and EID, the latter two with their lengths (SGP.22 2.6.4.2)."""
    return bytes((key_type, key_length, len(host_id))) + host_id + bytes((len(eid),)) + eid


def derive_keys(secret: bytes, info: bytes) -> BspKeys:
    """X9.63 with SHA-256 over the shared secret, 48 octets (SGP.22 2.6.4.2)."""
    octets = X963KDF(SHA256(), 3 * KEY_LENGTH, info).derive(secret)
    return BspKeys(ChainingValue(octets[:16]), SEnc(octets[16:32]), SMac(octets[32:48]))


class Bsp:
    """One run: a counter and a chain of MACs. It serves one direction only, either protecting or opening."""

    __slots__ = ("_chain", "_counter", "_keys")

    def __init__(self, keys: BspKeys, counter: int = 1) -> None:
        self._keys = keys
        self._chain = keys.chaining_value
        self._counter = counter

    @property
    def chaining_value(self) -> ChainingValue:
        """The chaining value that the next segment's MAC starts from."""
        return self._chain

    @property
    def counter(self) -> int:
        """The number that the next segment is ciphered with; every segment takes one, MAC-only ones too."""
        return self._counter

    def protect(self, tag: int, plain: bytes) -> bytes:
        """Cipher and MAC one segment (tags 86 and 87)."""
        padded = plain + b"\x80" + bytes(-(len(plain) + 1) % 16)
        cipher = self._cipher().encryptor()
        return self._seal(tag, cipher.update(padded) + cipher.finalize())

    def authenticate(self, tag: int, clear: bytes) -> bytes:
        """MAC one segment (tag 88)."""
        return self._seal(tag, clear)

    def unprotect(self, tag: int, value: bytes) -> bytes:
        """Check and decipher the value of one segment; raises MacMismatch or DecodeError (bad padding)."""
        cipher = self._cipher()
        data = self._verified(tag, value)
        if not data or len(data) % 16:
            raise DecodeError("a ciphered segment is not a number of whole blocks")
        decryptor = cipher.decryptor()
        padded = decryptor.update(data) + decryptor.finalize()
        plain = padded.rstrip(b"\x00")
        if not plain.endswith(b"\x80") or len(padded) - len(plain) > 15:
            raise DecodeError("a segment has wrong padding")
        return plain[:-1]

    def verified(self, tag: int, value: bytes) -> bytes:
        """Check the value of a MAC-only segment and give its clear text; raises MacMismatch."""
        return self._verified(tag, value)

    def _cipher(self) -> Cipher[modes.CBC]:
        key = algorithms.AES(self._keys.enc.octets)
        # The ICV is one block of the counter under the key itself, so that it cannot be foretold (SGP.22 2.6.4.4).
        encryptor = Cipher(key, modes.ECB()).encryptor()  # noqa: S305 - a single block
        icv = encryptor.update(self._counter.to_bytes(16, "big")) + encryptor.finalize()
        return Cipher(key, modes.CBC(icv))

    def _seal(self, tag: int, data: bytes) -> bytes:
        front = header(tag, len(data) + MAC_LENGTH) + data
        return front + self._advance(self._mac(front))

    def _verified(self, tag: int, value: bytes) -> bytes:
        if len(value) < MAC_LENGTH:
            raise MacMismatch("a segment is too short for its MAC")
        data, mac = value[:-MAC_LENGTH], value[-MAC_LENGTH:]
        full = self._mac(header(tag, len(value)) + data)
        if not hmac.compare_digest(full[:MAC_LENGTH], mac):
            raise MacMismatch("the MAC of a segment is wrong")
        self._advance(full)
        return data

    def _mac(self, front: bytes) -> bytes:
        cmac = CMAC(algorithms.AES(self._keys.mac.octets))
        cmac.update(self._chain.octets + front)
        return cmac.finalize()

    def _advance(self, full_mac: bytes) -> bytes:
        self._chain = ChainingValue(full_mac)
        self._counter += 1
        return full_mac[:MAC_LENGTH]
