"""What stands in a certificate's subject and of which curve its key is, read from the octets where they stand.

The library makes an object of each attribute and of the key; a certificate's name then costs more than all else that
we look at in it. Owns no rule: a subject of an unusual form is None here, and the caller asks the library. Only for
certificates that the library has read, so that their DER is known to be whole.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

ORGANIZATION = bytes.fromhex("55040a")
SERIAL_NUMBER = bytes.fromhex("550405")

_SHORT_NAMES: Mapping[bytes, str] = MappingProxyType(
    {
        bytes.fromhex("550403"): "CN",
        bytes.fromhex("550406"): "C",
        bytes.fromhex("550407"): "L",
        bytes.fromhex("550408"): "ST",
        ORGANIZATION: "O",
        bytes.fromhex("55040b"): "OU",
        SERIAL_NUMBER: "serialNumber",
    }
)
"""RFC 4514 3, and one more; by the octets of the OID."""

_CURVES: Mapping[bytes, str] = MappingProxyType(
    {
        bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107"): "secp256r1",
        bytes.fromhex("301406072a8648ce3d020106092b2403030208010107"): "brainpoolP256r1",
    }
)
"""The AlgorithmIdentifiers of the curves of SGP.22 2.6.5, id-ecPublicKey with a named curve (RFC 5480 2.1.1)."""

_UTF8_STRING, _PRINTABLE_STRING = 0x0C, 0x13
_VERSION = 0xA0
_UNQUOTED = re.compile(r"[0-9A-Za-z]([0-9A-Za-z .:_@/()-]*[0-9A-Za-z.:_@/()-])?")
"""Text that RFC 4514 2.4 leaves as it is, beyond doubt."""

Attributes = tuple[tuple[bytes, str], ...]
"""The octets of each OID and the text of its value, in the order of the certificate."""

Result = TypeVar("Result")


class Plain(NamedTuple):
    """What the octets say."""

    attributes: Attributes | None
    """A subject of one ASCII string in each RDN; None for any other."""
    curve: str | None
    """The curve of the key, one of SGP.22's; None for any other key. Whether the point is on it is not looked at."""


class _Octets:
    """The octets that the latest certificate was read from; the library would write them anew."""

    __slots__ = ("_latest",)

    def __init__(self) -> None:
        self._latest: tuple[x509.Certificate, bytes] | None = None

    def keep(self, certificate: x509.Certificate, der: bytes) -> None:
        self._latest = certificate, der

    def of(self, certificate: x509.Certificate) -> bytes:
        latest = self._latest
        return latest[1] if latest and latest[0] is certificate else certificate.public_bytes(Encoding.DER)


_OCTETS = _Octets()
keep_octets = _OCTETS.keep


def latest(read: Callable[[x509.Certificate], Result]) -> Callable[[x509.Certificate], Result]:
    """Remember what was read of the latest certificate, which is asked about several times in a row.

    By identity: the library's hash of a certificate takes as long as reading it.
    """
    held: tuple[x509.Certificate, Result] | None = None

    def remembered(certificate: x509.Certificate) -> Result:
        nonlocal held
        found = held
        if found is None or found[0] is not certificate:
            found = held = certificate, read(certificate)
        return found[1]

    return remembered


@latest
def plain(certificate: x509.Certificate) -> Plain:
    """Read a certificate's subject and the curve of its key."""
    der = _OCTETS.of(certificate)
    try:
        at, _ = _element(der, 0)
        at, _ = _element(der, at)
        if der[at] == _VERSION:
            at = _element(der, at)[1]
        for _ in ("serialNumber", "signature", "issuer", "validity"):
            at = _element(der, at)[1]
        key, _ = _element(der, _element(der, at)[1])
        return Plain(_attributes(der, at), _CURVES.get(der[key : _element(der, key)[1]]))
    except IndexError:
        return Plain(None, None)


def _attributes(der: bytes, subject: int) -> Attributes | None:
    found = []
    at, end = _element(der, subject)
    while at < end:
        member, after = _element(der, at)
        oid, last = _element(der, member)
        _, value = _element(der, oid)
        text, stop = _element(der, value)
        content = der[text:stop]
        usual = last == after and stop == last and der[value] in (_UTF8_STRING, _PRINTABLE_STRING)
        if not (usual and content and content.isascii()):
            return None
        found.append((der[oid + 2 : value], content.decode("ascii")))
        at = after
    return tuple(found)


def written(attributes: Attributes) -> str | None:
    """Write a subject as RFC 4514 2 has it, the last attribute first; None where something would have to be quoted."""
    parts = []
    for oid, text in reversed(attributes):
        name = _SHORT_NAMES.get(oid)
        if name is None or _UNQUOTED.fullmatch(text) is None:
            return None
        parts.append(f"{name}={text}")
    return ",".join(parts)


def _element(octets: bytes, at: int) -> tuple[int, int]:
    """Where the content of a DER element begins and ends."""
    length = octets[at + 1]
    start = at + 2
    if length >= 0x80:
        start += length & 0x7F
        length = int.from_bytes(octets[at + 2 : start])
    return start, start + length
