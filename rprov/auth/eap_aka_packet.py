"""Whole packets of EAP-AKA': AT_MAC and AT_CHECKCODE made and checked (RFC 9048, RFC 4187 10.13, 10.15).

AT_MAC covers the EAP header too, which is why EAP-AKA' does not stand behind the seam of `auth/eap/method.py`: a method
there never sees its header. Refuses to know whose turn it is.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import replace

from rprov.crypto.prf_prime import KAut
from rprov.errors import MacMismatch
from rprov.wire.eap import EapType, Request, Response, encode
from rprov.wire.eap_aka import MAC_SIZE, AkaData, decode_aka, encode_aka, zero_mac

AkaPacket = Request | Response


def request(identifier: int, data: AkaData, k_aut: KAut | None = None) -> Request:
    """Make a request, with AT_MAC where there is a key for it."""
    return Request(identifier, EapType.AKA_PRIME, _type_data(Request, identifier, data, k_aut))


def response(identifier: int, data: AkaData, k_aut: KAut | None = None) -> Response:
    """Make a response, with AT_MAC where there is a key for it."""
    return Response(identifier, EapType.AKA_PRIME, _type_data(Response, identifier, data, k_aut))


def _type_data(kind: type[AkaPacket], identifier: int, data: AkaData, k_aut: KAut | None) -> bytes:
    if k_aut is None:
        return encode_aka(data)
    unsealed = encode_aka(replace(data, mac=bytes(MAC_SIZE)))
    mac = _mac(kind(identifier, EapType.AKA_PRIME, unsealed), k_aut)
    return encode_aka(replace(data, mac=mac))


def check_mac(packet: AkaPacket, k_aut: KAut) -> None:
    """Insist on a right AT_MAC; raises `MacMismatch`, also where there is none."""
    mac = decode_aka(packet.data).mac
    if mac is None:
        raise MacMismatch("an EAP-AKA' packet without AT_MAC")
    if not hmac.compare_digest(mac, _mac(replace(packet, data=zero_mac(packet.data)), k_aut)):
        raise MacMismatch("AT_MAC is wrong")


def _mac(packet: AkaPacket, k_aut: KAut) -> bytes:
    # RFC 9048 3.4.2: HMAC-SHA-256-128 with K_aut over the whole packet, AT_MAC zeroed
    return hmac.digest(k_aut.octets, encode(packet), "sha256")[:MAC_SIZE]


def checkcode(identities: Sequence[AkaPacket]) -> bytes:
    """Give AT_CHECKCODE of all AKA-Identity packets in their order: nothing for none (RFC 9048 3.4.3: SHA-256)."""
    if not identities:
        return b""
    return hashlib.sha256(b"".join(encode(packet) for packet in identities)).digest()
