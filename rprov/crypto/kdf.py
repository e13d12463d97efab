"""The key derivation function of TS 33.220. Owns the layout of its input S and refuses to know what a key is for."""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from rprov.errors import Misuse

_SHA_256 = SHA256()


def kdf(key: bytes, fc: int, *parameters: bytes) -> bytes:
    """Derive 32 octets: HMAC-SHA-256(key, FC | P0 | L0 | P1 | L1 | …) (TS 33.220 B.2.0).

    FC is one octet; each Li is the length of Pi in octets, two octets big-endian (B.2.1.2). Raises `Misuse` for a
    value that does not fit these fields.
    """
    if not 0 <= fc <= 0xFF:
        raise Misuse("FC of a key derivation is one octet")
    s = bytearray((fc,))
    for parameter in parameters:
        if len(parameter) > 0xFFFF:
            raise Misuse("a parameter of a key derivation has at most 65535 octets")
        s += parameter
        s += len(parameter).to_bytes(2)
    mac = HMAC(key, _SHA_256)
    mac.update(s)
    return mac.finalize()
