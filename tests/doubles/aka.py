"""Networks and USIMs that share a subscriber, for both ways of AKA in 5G and both sets of authentication functions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rprov.auth.aka import AMF_5G, FiveGAkaNetworkScheme, FiveGAkaPeerScheme
from rprov.auth.eap_aka_prime import EapAkaPrimeNetworkScheme
from rprov.auth.eap_aka_prime_peer import EapAkaPrimePeerScheme
from rprov.auth.scheme import Challenge, NetworkScheme, PeerScheme
from rprov.auth.usim import Usim, next_sqn
from rprov.crypto.milenage import AkaFunctions, Milenage
from rprov.crypto.tuak import Tuak, TuakSizes
from rprov.model.identifiers import Supi
from rprov.model.secret import Secret
from rprov.wire.messages import AuthenticationRequest, AuthenticationResponse, Eap

K, OPC = Secret(bytes(range(16))), Secret(bytes(range(16, 32)))
K256, TOPC = Secret(bytes(range(32))), Secret(bytes(range(32, 64)))
SUPI = Supi("001010000000001")
NAI = Supi("device7@operator.example")
NETWORK = "5G:mnc001.mcc001.3gppnetwork.org"
RAND = bytes(range(64, 80))
FIRST_SQN = next_sqn(0)

FUNCTIONS: dict[str, AkaFunctions] = {
    "MILENAGE": Milenage(K, OPC),
    "TUAK, K of 128 bits": Tuak(K, TOPC),
    "TUAK, K of 256 bits, long RES, Keccak twice": Tuak(K256, TOPC, TuakSizes(res=16, iterations=2)),
    "TUAK, short RES": Tuak(K, TOPC, TuakSizes(res=4)),
}


def usim(functions: AkaFunctions) -> Usim:
    """A fresh USIM."""
    return Usim(K, OPC, functions=functions)


@dataclass(frozen=True)
class Way:
    """One way of AKA: how each end is made. Arguments beyond the first have the values above."""

    name: str
    network: Callable[..., NetworkScheme]
    peer: Callable[..., PeerScheme]


def _five_g(functions: AkaFunctions, **other: Any) -> NetworkScheme:
    values = {"supi": SUPI, "amf": AMF_5G, "sqn": FIRST_SQN, "network": NETWORK, "rand": RAND, **other}
    return FiveGAkaNetworkScheme(functions=functions, **values)


def _eap(functions: AkaFunctions, **other: Any) -> NetworkScheme:
    values = {"supi": SUPI, "amf": AMF_5G, "sqn": FIRST_SQN, "network": NETWORK, "rand": RAND, **other}
    return EapAkaPrimeNetworkScheme(functions=functions, **values)


FIVE_G_AKA = Way("5G AKA", _five_g, lambda card, supi=SUPI, network=NETWORK: FiveGAkaPeerScheme(card, network))
EAP_AKA_PRIME = Way(
    "EAP-AKA'", _eap, lambda card, supi=SUPI, network=NETWORK: EapAkaPrimePeerScheme(card, supi, network)
)
WAYS = (FIVE_G_AKA, EAP_AKA_PRIME)


def first_request(scheme: NetworkScheme) -> AuthenticationRequest:
    """Begin, and put the challenge into its message."""
    outcome = scheme.begin()
    assert isinstance(outcome, Challenge)
    return AuthenticationRequest(1, b"\0\0", outcome.challenge)


def eap_request(packet: bytes) -> AuthenticationRequest:
    """A request with an EAP packet, as it comes to the UE."""
    return AuthenticationRequest(1, b"\0\0", Eap(packet))


def eap_response(packet: bytes) -> AuthenticationResponse:
    """A response with an EAP packet, as it comes to the network."""
    return AuthenticationResponse(Eap(packet))
