"""A registration that another UE and another core made (UERANSIM and free5GC; netlabufjf/wd-2025-pcaps, CC0-1.0).

The capture was taken with NEA0 and NIA2, and its NGAP carries K_gNB in clear: everything between K and K_gNB, and every
NAS MAC, can be checked against what two other implementations agreed on.
"""

import re

from doubles.known_answers import VECTORS

from rprov.auth.aka import AkaVector, FiveGAkaPeerScheme, SubscriberKeys
from rprov.auth.scheme import Answer
from rprov.auth.usim import ARRAY_SIZE, Usim
from rprov.crypto.bits import xor
from rprov.crypto.hierarchy import KAmf, k_amf, k_gnb, k_seaf
from rprov.crypto.milenage import Milenage, opc
from rprov.model.identifiers import Plmn, Supi
from rprov.model.secret import Secret
from rprov.model.security import Algorithms, Nea, Nia, Scope
from rprov.security.context import SecurityContext, Side
from rprov.security.envelope import ProtectedPdu, SecurityHeader, parse_pdu
from rprov.wire.messages import AkaAnswer, AkaChallenge, AuthenticationRequest

CAPTURE = (VECTORS / "5g_aka-3gpp-enp0s3-free5gc.pcap").read_bytes()
K = Secret.parse("8baf473f2f8fd09487cccbd7097c6862")
OP = Secret.parse("8e27b6af0e692e750f32667a3b14605d")
SUPI = Supi("208930000000001")
NETWORK = Plmn("208", "93").serving_network_name
ABBA = b"\0\0"


def _after(marker: str, size: int) -> bytes:
    """The octets that follow a marker, which must stand in the capture once."""
    found = [match.end() for match in re.finditer(re.escape(bytes.fromhex(marker)), CAPTURE)]
    assert len(found) == 1
    return CAPTURE[found[0] : found[0] + size]


def _nas(start: str) -> bytes:
    """The first NAS PDU that begins so, without its protocol discriminator 7E; NGAP puts its length before it."""
    at = CAPTURE.index(bytes.fromhex("7e" + start))
    return CAPTURE[at + 1 : at + CAPTURE[at - 1]]


RAND = _after("7e005600 02 0000 21", 16)  # AuthenticationRequest, ngKSI 0, ABBA, RAND
AUTN = _after("7e005600 02 0000 21" + RAND.hex() + "2010", 16)
RES_STAR = _after("7e00572d10", 16)  # AuthenticationResponse
K_GNB = _after("005e0020", 32)  # NGAP SecurityKey


def _k_amf() -> KAmf:
    sqn = int.from_bytes(xor(AUTN[:6], Milenage(K, opc(K, OP)).f2345(RAND).ak))
    usim = Usim(K, opc(K, OP), ((sqn >> 5) - 1,) * ARRAY_SIZE)
    answer = FiveGAkaPeerScheme(usim, NETWORK).on_request(AuthenticationRequest(0, ABBA, AkaChallenge(RAND, AUTN)))
    assert isinstance(answer, Answer)
    assert answer.message.answer == AkaAnswer(RES_STAR)
    assert AkaVector.make(SubscriberKeys(K, opc(K, OP), sqn), NETWORK, RAND).autn == AUTN
    assert answer.k_ausf is not None
    return k_amf(k_seaf(answer.k_ausf, NETWORK), SUPI, ABBA)


def test_challenge_answer_and_k_gnb_are_those_of_the_capture() -> None:
    assert k_gnb(_k_amf(), 0).octets == K_GNB


def test_every_nas_mac_of_the_capture_is_right() -> None:
    algorithms = Algorithms(Nea.NEA0, Nia.NIA2)
    cp = SecurityContext(Side.CP, 0, _k_amf(), algorithms, Scope.ORDINARY)
    ue = SecurityContext(Side.UE, 0, _k_amf(), algorithms, Scope.ORDINARY)
    uplink = ("0434b7889b", "02d5ce01dc", "02c6826fdd")
    downlink = ("0361679915", "0201f3ed55", "0232fa8226", "02ca5a5544")
    for receiver, starts in ((cp, uplink), (ue, downlink)):
        for count, start in enumerate(starts):
            pdu = parse_pdu(_nas(start))
            assert isinstance(pdu, ProtectedPdu)
            assert receiver.unprotect(pdu).count == count


def test_our_own_security_mode_command_is_theirs() -> None:
    cp = SecurityContext(Side.CP, 0, _k_amf(), Algorithms(Nea.NEA0, Nia.NIA2), Scope.ORDINARY)
    theirs = _nas("0361679915")
    assert cp.protect(theirs[6:], SecurityHeader.INTEGRITY_NEW_CONTEXT) == theirs
