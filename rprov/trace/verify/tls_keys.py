"""What TLS derives of the secrets in a key log: keys of records, Finished, MSK and EMSK.

RFC 8446 7, RFC 5246 5 and 6.3.
"""

import hmac
from dataclasses import dataclass
from hashlib import new as new_hash

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, HashAlgorithm
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from rprov.crypto.hierarchy import Emsk, Msk

EAP_TLS_TYPE = b"\x0d"


@dataclass(frozen=True, slots=True)
class Suite:
    """A cipher suite."""

    hash_name: str
    key_octets: int
    chacha: bool = False

    @property
    def algorithm(self) -> HashAlgorithm:
        """Its hash."""
        return SHA256() if self.hash_name == "sha256" else SHA384()

    def digest(self, octets: bytes) -> bytes:
        """Hash with it."""
        return new_hash(self.hash_name, octets).digest()

    def mac(self, key: bytes, octets: bytes) -> bytes:
        """Give an HMAC with its hash."""
        return hmac.digest(key, octets, self.hash_name)


_AES_128, _AES_256 = Suite("sha256", 16), Suite("sha384", 32)
_CHACHA = Suite("sha256", 32, chacha=True)
SUITES: dict[int, Suite] = {
    0x1301: _AES_128,
    0x1302: _AES_256,
    0x1303: _CHACHA,
    0xC02B: _AES_128,
    0xC02C: _AES_256,
    0xCCA9: _CHACHA,
    0xC02F: _AES_128,
    0xC030: _AES_256,
    0xCCA8: _CHACHA,
}
"""What is read; whoever negotiates another one is told so."""


def expand_label(suite: Suite, secret: bytes, label: str, context: bytes, length: int) -> bytes:
    """HKDF-Expand-Label (RFC 8446 7.1)."""
    full = b"tls13 " + label.encode("ascii")
    info = length.to_bytes(2) + bytes((len(full),)) + full + bytes((len(context),)) + context
    return HKDFExpand(suite.algorithm, length, info).derive(secret)


def prf(suite: Suite, secret: bytes, label: bytes, seed: bytes, length: int) -> bytes:
    """P_hash of TLS 1.2 (RFC 5246 5)."""
    seed = label + seed
    chained, out = seed, b""
    while len(out) < length:
        chained = suite.mac(secret, chained)
        out += suite.mac(secret, chained + seed)
    return out[:length]


class Sealed:
    """Opens the records of one direction under one key."""

    def __init__(self, suite: Suite, key: bytes, iv: bytes) -> None:
        self._aead: AESGCM | ChaCha20Poly1305 = ChaCha20Poly1305(key) if suite.chacha else AESGCM(key)
        self._iv = iv
        self._explicit = len(iv) == 4  # AES-GCM of TLS 1.2 (RFC 5288 3)
        self._sequence = 0

    @classmethod
    def tls_1_3(cls, suite: Suite, secret: bytes) -> "Sealed":
        """Take a traffic secret."""
        key = expand_label(suite, secret, "key", b"", suite.key_octets)
        return cls(suite, key, expand_label(suite, secret, "iv", b"", 12))

    @property
    def used(self) -> bool:
        """Whether a record was opened."""
        return self._sequence > 0

    def open_1_3(self, header: bytes, payload: bytes) -> bytes:
        """Open a record; raises `InvalidTag`."""
        plain = self._aead.decrypt(self._nonce(), payload, header)
        self._sequence += 1
        return plain

    def open_1_2(self, header: bytes, payload: bytes) -> bytes:
        """Open a record; raises `InvalidTag`."""
        explicit, sealed = (payload[:8], payload[8:]) if self._explicit else (b"", payload)
        if len(sealed) < 16:
            raise InvalidTag
        nonce = self._iv + explicit if self._explicit else self._nonce()
        bound = self._sequence.to_bytes(8) + header[:3] + (len(sealed) - 16).to_bytes(2)
        plain = self._aead.decrypt(nonce, sealed, bound)
        self._sequence += 1
        return plain

    def _nonce(self) -> bytes:
        return (int.from_bytes(self._iv) ^ self._sequence).to_bytes(12)


def exported_1_3(suite: Suite, exporter_secret: bytes) -> tuple[Msk, Emsk]:
    """MSK and EMSK of EAP-TLS with TLS 1.3 (RFC 9190 2.3)."""
    nothing = suite.digest(b"")
    derived = expand_label(suite, exporter_secret, "EXPORTER_EAP_TLS_Key_Material", nothing, len(nothing))
    return _halves(expand_label(suite, derived, "exporter", suite.digest(EAP_TLS_TYPE), 128))


def exported_1_2(suite: Suite, master: bytes, client_random: bytes, server_random: bytes) -> tuple[Msk, Emsk]:
    """MSK and EMSK of EAP-TLS with TLS 1.2 (RFC 5216 2.3)."""
    return _halves(prf(suite, master, b"client EAP encryption", client_random + server_random, 128))


def _halves(octets: bytes) -> tuple[Msk, Emsk]:
    return Msk(octets[:64]), Emsk(octets[64:])
