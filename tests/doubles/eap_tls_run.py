"""One EAP-TLS authentication between the two schemes, in memory, with every packet kept."""

from doubles.pki import EID, NOW, PLMN

from rprov.auth.eap_tls import EapTlsPeerEngines, EapTlsServerEngines
from rprov.auth.scheme import Authenticated, Challenge, Failed, PeerProved, Refusal
from rprov.crypto.hierarchy import k_seaf
from rprov.wire.messages import AuthenticationRequest, AuthenticationResponse, Eap

NETWORK = PLMN.serving_network_name


class Run:
    """One exchange; `bend` may change what the server sends, `bend_up` what the peer does. Keeps every packet."""

    def __init__(
        self,
        cp: EapTlsServerEngines,
        ue: EapTlsPeerEngines,
        claimed=EID,
        refuse=None,
        bend=None,
        at=NOW,
        plmn=PLMN,
        bend_up=None,
    ) -> None:
        self.to_ue: list[bytes] = []
        self.to_cp: list[bytes] = []
        self.k_ausf = self.refusal = None
        self.network, self.ue = cp.scheme(claimed, NETWORK, at), ue.scheme(plmn, at)
        self.engine = self.network._server._method._engine
        self.version = None
        self.proved: PeerProved | None = None
        self.ue_resumed = False
        outcome = self.network.begin()
        while not isinstance(outcome, Authenticated | Failed):
            if isinstance(outcome, PeerProved):
                self.version = self.engine.version
                self.proved = outcome
                outcome = self.network.refuse(refuse) if refuse else self.network.authorise()
                continue
            assert isinstance(outcome, Challenge)
            packet = outcome.challenge.packet if bend is None else bend(outcome.challenge.packet)
            self.to_ue.append(packet)
            answer = self.ue.on_request(AuthenticationRequest(0, b"\x00\x00", Eap(packet)))
            if isinstance(answer, Refusal):
                self.refusal = answer
                outcome = self.network.on_failure(answer.message)
                continue
            self.k_ausf = answer.k_ausf
            self.ue_resumed = answer.resumed
            sent = answer.message.answer.packet
            self.to_cp.append(sent if bend_up is None else bend_up(sent))
            outcome = self.network.on_response(AuthenticationResponse(Eap(self.to_cp[-1])))
        self.outcome = outcome
        if isinstance(outcome, Authenticated):
            self.ue.accept_success(outcome.eap_success)
            assert k_seaf(self.k_ausf, NETWORK) == outcome.k_seaf
            assert outcome.identity == self.proved.eid

    @property
    def ok(self) -> bool:
        """Whether it has ended well."""
        return isinstance(self.outcome, Authenticated)

    @property
    def resumed(self) -> bool:
        """Whether both ends say that it was a resumption; they never say otherwise of one that ended well."""
        server = self.proved is not None and self.proved.resumed
        assert server == self.ue_resumed or not self.ok
        return server
