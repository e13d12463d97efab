"""An AAA server in memory: the core of `rprov aaa`, asked with what a `RadiusNetworkScheme` wants to know.

aaa = MemoryAaa(); world = World(certificate=aaa.cp_side(), ue_certificate=msk_side()); world.aaa = aaa
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from doubles.certificates import credentials
from doubles.pki import NOW, Held, seeded, shared_pki

from rprov.auth.aaa_server import AaaClient, AaaServer
from rprov.auth.abba_choice import AbbaChoice
from rprov.auth.eap_tls import EapTlsPeerEngines, EapTlsServerEngines
from rprov.auth.radius_exchange import AccessAnswer, AccessRequest, Sealed
from rprov.auth.radius_scheme import RadiusNetworkScheme, RadiusTerms
from rprov.auth.scheme import NetworkScheme, PeerScheme
from rprov.model.aaa_client import EidAttribute
from rprov.model.identifiers import Eid, EidHint, Plmn
from rprov.procedure.events import AaaAnswered
from rprov.wire.messages import ABBA, ABBA_MSK
from rprov.wire.radius import SharedSecret

SECRET = SharedSecret(b"a secret of more than 16")
TERMS = RadiusTerms(
    "cp", "rsp.mnc001.mcc001.3gppnetwork.org", (EidAttribute.CHARGEABLE_USER_IDENTITY, EidAttribute.USER_NAME)
)
CLIENT = AaaClient("cp", SECRET)


@dataclass
class MemoryAaa:
    """`change` may put another answer in place of a true one, after it was checked."""

    name: str = "aaa"
    network: Held | None = None
    options: dict[str, Any] = field(default_factory=dict)
    change: Callable[[AccessAnswer], AccessAnswer] = lambda answer: answer
    asked: list[AccessRequest] = field(default_factory=list)

    def __post_init__(self) -> None:
        pki = shared_pki()
        engines = EapTlsServerEngines(credentials(self.network or pki.network), [pki.ci.certificate], **self.options)
        self.server = AaaServer(lambda: engines)
        self.entropy = seeded(f"{self.name}/aaa")
        self.ended: list[Any] = []

    def __call__(self, request: AccessRequest) -> AaaAnswered:
        """Answer as the shell would."""
        return AaaAnswered(self.answer(request))

    def answer(self, request: AccessRequest) -> AccessAnswer:
        self.asked.append(request)
        sealed = Sealed.of(request, self.entropy(1)[0], self.entropy(16), SECRET)
        reply = self.server.receive(CLIENT, "cp", sealed.octets, float(len(self.asked)), NOW, self.entropy)
        if reply.ended is not None:
            self.ended.append(reply.ended)
        return self.change(sealed.opened(reply.octets, self.name))

    def without_keys(self, answer: AccessAnswer) -> AccessAnswer:
        return replace(answer, msk=None)

    @staticmethod
    def cp_side(terms: RadiusTerms = TERMS) -> Callable[[Eid | EidHint, Any], NetworkScheme]:
        """The CP behind it."""
        return lambda claimed, env: RadiusNetworkScheme(claimed, env.policy.plmn.serving_network_name, terms)


def msk_side(
    device: Held | None = None, allowed: Held | None = None, name: str | None = None
) -> Callable[[Plmn, Any], PeerScheme]:
    """A UE that gives an MSK to networks which `allowed` certifies for `name`, and to others EMSK only."""
    pki = shared_pki()
    own, anchor = credentials(device or pki.device), pki.network_ca.certificate
    emsk = EapTlsPeerEngines(own, [anchor])
    msk = EapTlsPeerEngines(own, [(allowed or pki.network_ca).certificate], server_name=name, abba=ABBA_MSK)

    def scheme(plmn: Plmn, env: Any) -> PeerScheme:
        return AbbaChoice({ABBA: lambda: emsk.scheme(plmn, env.wall), ABBA_MSK: lambda: msk.scheme(plmn, env.wall)})

    return scheme
