"""Concealing a SUPI and revealing it again: the null scheme, Profile A and Profile B (TS 33.501 C.2, C.3).

Owns ECIES as 3GPP profiles it, and the scheme's input: the MSIN in swapped BCD, or the username of an NAI. Refuses to
know which scheme a UE is to use and where a home network keeps its keys.
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from rprov.causes import Cause
from rprov.errors import DecodeError, Misuse, Refused
from rprov.model.identifiers import Imsi, Plmn, Suci, Supi, swap_nibbles
from rprov.model.secret import Secret

NULL_SCHEME = 0
PROFILE_A = 1
PROFILE_B = 2

Entropy = Callable[[int], bytes]

_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_PUBLIC_SIZE = {PROFILE_A: 32, PROFILE_B: 33}  # TS 33.501 C.3.4.1, C.3.4.2: Profile B compresses its points
_UNCOMPRESSED = 65  # TS 31.102 4.4.11.8
_TAG_SIZE = 8


@dataclass(frozen=True, slots=True)
class HomeNetworkKey:
    """A home network's private key, 32 octets: of X25519 for Profile A, a scalar of P-256 for Profile B."""

    profile: int
    private: Secret

    def __post_init__(self) -> None:
        if self.profile not in _PUBLIC_SIZE:
            raise Misuse(f"a home network key is of profile 1 (A) or 2 (B), not {self.profile}")
        if len(self.private) != 32:
            raise Misuse("a home network key has 32 octets")
        if self.profile == PROFILE_B and not 0 < int.from_bytes(self.private.octets) < _P256_ORDER:
            raise Misuse("a home network key of profile B is no scalar of P-256")

    @property
    def public(self) -> bytes:
        """The public key as a USIM holds it: 32 octets of X25519, or a compressed point of P-256, 33 octets."""
        return _public(self.profile, self.private)


# --- the SUPI of the IMSI kind ------------------------------------------------------------------------------------


def conceal(
    imsi: Imsi,
    home: Plmn,
    routing_indicator: str,
    scheme: int,
    key_id: int,
    public_key: bytes | None,
    entropy: Entropy,
) -> Suci:
    """Conceal an IMSI of the network `home`; the null scheme takes no public key and key id 0 (TS 23.003 2.2B)."""
    output = conceal_octets(scheme, _bcd(imsi.msin(home)), public_key, entropy)
    if scheme == NULL_SCHEME and key_id:
        raise Misuse("the null scheme has key id 0")
    return Suci(home, routing_indicator, scheme, key_id, output)


def reveal(suci: Suci, keys: Mapping[int, HomeNetworkKey]) -> Supi:
    """Give the SUPI that a SUCI conceals, of either kind; raises `Refused` whatever is wrong with it."""
    if suci.realm is not None:
        return reveal_nai(suci.scheme, suci.key_id, suci.output, suci.realm, keys)
    msin = _digits(reveal_octets(suci.scheme, suci.key_id, suci.output, keys))
    try:
        return Supi.of_imsi(Imsi(suci.home.mcc + suci.home.mnc + msin))
    except DecodeError as error:
        raise _unknown(f"the SUCI conceals no IMSI: {error}") from None


def _bcd(digits: str) -> bytes:
    # TS 24.501 9.11.3.4: the first digit in the low half, an odd end filled with F
    return swap_nibbles(bytes.fromhex(digits + "F" * (len(digits) % 2)))


def _digits(bcd: bytes) -> str:
    digits = swap_nibbles(bcd).hex().removesuffix("f")
    if not (digits.isascii() and digits.isdigit()):
        raise _unknown("the SUCI conceals something else than digits")
    return digits


# --- the SUPI of the NAI kind -------------------------------------------------------------------------------------


def conceal_username(username: str, scheme: int, public_key: bytes | None, entropy: Entropy) -> bytes:
    """Give the scheme output for the username of an NAI; its realm stays in clear (TS 33.501 6.12.2, C.3.2)."""
    return conceal_octets(scheme, username.encode(), public_key, entropy)


def conceal_nai(
    nai: Supi,
    home: Plmn,
    routing_indicator: str,
    scheme: int,
    key_id: int,
    public_key: bytes | None,
    entropy: Entropy,
) -> Suci:
    """Conceal a SUPI of the NAI kind; its realm stays in clear and tells who can reveal it (TS 23.003 28.7.3)."""
    if not nai.is_nai:
        raise Misuse("this SUPI is of the IMSI kind")
    username, _, realm = nai.text.partition("@")
    output = conceal_username(username, scheme, public_key, entropy)
    if scheme == NULL_SCHEME and key_id:
        raise Misuse("the null scheme has key id 0")
    return Suci(home, routing_indicator, scheme, key_id, output, realm)


def reveal_nai(scheme: int, key_id: int, output: bytes, realm: str, keys: Mapping[int, HomeNetworkKey]) -> Supi:
    """Give the SUPI `username@realm` whose username a scheme output conceals; raises `Refused`."""
    try:
        username = reveal_octets(scheme, key_id, output, keys).decode()
        if not username or "@" in username:
            raise _unknown("the SUCI conceals no username")
        return Supi(f"{username}@{realm}")
    except (UnicodeDecodeError, DecodeError):
        raise _unknown("the SUCI conceals no username") from None


# --- the schemes --------------------------------------------------------------------------------------------------


def conceal_octets(scheme: int, plain: bytes, public_key: bytes | None, entropy: Entropy) -> bytes:
    """Give the scheme output for a scheme input; an ephemeral key is made of `entropy` (TS 33.501 C.3.2).

    Raises `Refused` for a public key that is none: it came with a profile, and nothing else may be sent instead.
    """
    if scheme == NULL_SCHEME:
        if public_key is not None:
            raise Misuse("the null scheme takes no public key")
        return plain
    if scheme not in _PUBLIC_SIZE:
        raise Misuse(f"protection scheme {scheme} is not built")
    if public_key is None:
        raise Misuse("this protection scheme needs the home network's public key")
    ephemeral = _ephemeral(scheme, entropy)
    own = _public(scheme, ephemeral)
    try:
        keys = _Keys.agree(scheme, ephemeral, _compressed(scheme, public_key), own)
    except ValueError:
        detail = "the home network's public key in the profile is no public key of its scheme"
        raise Refused(Cause.DEVICE_FAILURE, detail) from None
    ciphered = keys.apply(plain)
    return own + ciphered + keys.tag(ciphered)


def reveal_octets(scheme: int, key_id: int, output: bytes, keys: Mapping[int, HomeNetworkKey]) -> bytes:
    """Give the scheme input of a scheme output (TS 33.501 C.3.3); raises `Refused`."""
    if scheme == NULL_SCHEME:
        if key_id:
            raise _unknown("the null scheme has key id 0")
        return output
    if scheme not in _PUBLIC_SIZE:
        raise _unknown(f"protection scheme {scheme} is not built")
    key = keys.get(key_id)
    if key is None:
        raise _unknown(f"there is no home network key {key_id}")
    if key.profile != scheme:
        raise _unknown(f"home network key {key_id} is not of protection scheme {scheme}")
    size = _PUBLIC_SIZE[scheme]
    if len(output) <= size + _TAG_SIZE:
        raise _unknown("the scheme output is too short")
    other, ciphered, tag = output[:size], output[size:-_TAG_SIZE], output[-_TAG_SIZE:]
    try:
        agreed = _Keys.agree(scheme, key.private, other, other)
    except ValueError:
        raise _unknown("the ephemeral key of the SUCI is no point on the curve") from None
    if not hmac.compare_digest(tag, agreed.tag(ciphered)):
        raise _unknown("the tag of the SUCI is wrong: it was made for another key, or changed")
    return agreed.apply(ciphered)


def _unknown(detail: str) -> Refused:
    return Refused(Cause.IDENTITY_UNKNOWN, detail)


@dataclass(frozen=True, slots=True, repr=False)
class _Keys:
    """What one agreement gives: AES-128 key, initial counter block, MAC key of 32 octets (TS 33.501 C.3.4)."""

    encryption: bytes
    counter: bytes
    mac: bytes

    @classmethod
    def agree(cls, scheme: int, private: Secret, public: bytes, ephemeral_public: bytes) -> "_Keys":
        """Agree on keys; SharedInfo1 is the ephemeral public key. Raises `ValueError` for a bad public key."""
        shared = _shared(scheme, private, public)
        octets = X963KDF(SHA256(), 64, ephemeral_public).derive(shared)
        return cls(octets[:16], octets[16:32], octets[32:])

    def apply(self, data: bytes) -> bytes:
        """Cipher or decipher."""
        return aes_ctr32(self.encryption, self.counter, data)

    def tag(self, ciphered: bytes) -> bytes:
        """Give the MAC tag, 8 octets."""
        return hmac.digest(self.mac, ciphered, "sha256")[:_TAG_SIZE]


def aes_ctr32(key: bytes, counter: bytes, data: bytes) -> bytes:
    """AES-128 in counter mode of which only the last 32 bits count (TS 33.501 C.3.4: m = 32)."""
    low = int.from_bytes(counter[12:])
    until_wrap = ((1 << 32) - low) * 16
    head = Cipher(AES(key), CTR(counter)).encryptor().update(data[:until_wrap])
    if len(data) <= until_wrap:
        return head
    return head + Cipher(AES(key), CTR(counter[:12] + bytes(4))).encryptor().update(data[until_wrap:])


def _ephemeral(scheme: int, entropy: Entropy) -> Secret:
    if scheme == PROFILE_A:
        return Secret(entropy(32))
    # 48 octets, so that the remainder is as good as uniform
    return Secret((int.from_bytes(entropy(48)) % (_P256_ORDER - 1) + 1).to_bytes(32))


def _public(profile: int, private: Secret) -> bytes:
    if profile == PROFILE_A:
        return X25519PrivateKey.from_private_bytes(private.octets).public_key().public_bytes_raw()
    point = ec.derive_private_key(int.from_bytes(private.octets), ec.SECP256R1()).public_key()
    return point.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def _compressed(scheme: int, public: bytes) -> bytes:
    """Give a public key as scheme outputs have it; a USIM may hold one of P-256 at its full length, too."""
    if scheme != PROFILE_B or len(public) != _UNCOMPRESSED:
        return public
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)
    return point.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def _shared(scheme: int, private: Secret, public: bytes) -> bytes:
    if len(public) != _PUBLIC_SIZE[scheme]:
        raise ValueError("a public key of another size")
    if scheme == PROFILE_A:
        return X25519PrivateKey.from_private_bytes(private.octets).exchange(X25519PublicKey.from_public_bytes(public))
    own = ec.derive_private_key(int.from_bytes(private.octets), ec.SECP256R1())
    return own.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public))
