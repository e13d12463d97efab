"""A rude SM-DP+ for one card: it goes through a download by hand, and each part can be made wrong on its own."""

from dataclasses import dataclass, field, replace

from doubles.pki import SMDP_FQDN, Held, Pki, seeded
from doubles.rsp import CONTENTS, make_card

from rprov.crypto.x509 import subject_key_id
from rprov.provision.euicc.es10 import DONE, Euicc
from rprov.provision.profile import ProfileContents, build_profile
from rprov.provision.sgp22.bpp import Binding, bind, cut
from rprov.provision.sgp22.bsp import BspKeys, ChainingValue, SEnc, SMac
from rprov.provision.sgp22.keys import certificate_octets, one_time_key, sign, signature_do
from rprov.provision.sgp22.metadata import Event, InstallationResult, ProfileMetadata, Receiver
from rprov.provision.sgp22.objects import (
    AuthenticateServerAnswer,
    AuthenticateServerRequest,
    CardError,
    PrepareDownloadAnswer,
    PrepareDownloadRequest,
    ServerSigned1,
    SmdpSigned2,
    context_params,
)
from rprov.provision.sgp22.tlv import open_tlv, tlv

TRANSACTION = bytes(range(16))
RECEIVERS = (Receiver(frozenset({Event.ENABLE, Event.DISABLE, Event.DELETE}), SMDP_FQDN),)


def data(answer: bytes) -> bytes:
    """The data of a card's answer, which must be a good one."""
    assert answer.endswith(DONE), answer.hex()
    return answer[: -len(DONE)]


def metadata_of(contents: ProfileContents) -> bytes:
    return ProfileMetadata.build(contents.iccid, contents.provider, contents.name, contents.home, RECEIVERS).raw


@dataclass
class Bench:
    """One card and one server. Change a field, or pass another value to a step, to be rude in that point."""

    pki: Pki
    card: Euicc = field(init=False)
    transaction_id: bytes = TRANSACTION
    signature1: bytes = b""
    card_key: bytes = b""

    def __post_init__(self) -> None:
        self.card = make_card(self.pki)
        self.entropy = seeded("bench")

    def challenge(self) -> bytes:
        return open_tlv(data(self.card.execute(tlv(0xBF2E))), 0xBF2E, "x").take(0x80).value

    def server_proof(
        self,
        challenge: bytes,
        signer: Held | None = None,
        certificate: bytes | None = None,
        ci_id: bytes | None = None,
    ) -> AuthenticateServerRequest:
        signer = signer or self.pki.dp_auth
        signed = ServerSigned1.build(self.transaction_id, challenge, SMDP_FQDN, bytes(16))
        return AuthenticateServerRequest(
            signed,
            sign(signer.key, signed.raw),
            ci_id if ci_id is not None else subject_key_id(self.pki.ci.certificate),
            certificate if certificate is not None else certificate_octets(signer.certificate),
            context_params("MATCH-1", bytes(4)),
        )

    def authenticate(self, request: AuthenticateServerRequest | None = None) -> AuthenticateServerAnswer | CardError:
        request = request or self.server_proof(self.challenge())
        answer = AuthenticateServerAnswer.decode(data(self.card.execute(request.encode())))
        if isinstance(answer, AuthenticateServerAnswer):
            self.signature1 = answer.signature
        return answer

    def binding_proof(self, signer: Held | None = None, transaction_id: bytes | None = None) -> PrepareDownloadRequest:
        signer = signer or self.pki.dp_pb
        signed = SmdpSigned2.build(transaction_id or self.transaction_id, False)
        signature = sign(signer.key, signed.raw, signature_do(self.signature1))
        return PrepareDownloadRequest(signed, signature, None, certificate_octets(signer.certificate))

    def prepare(self, request: PrepareDownloadRequest | None = None) -> PrepareDownloadAnswer | CardError:
        request = request or self.binding_proof()
        answer = PrepareDownloadAnswer.decode(data(self.card.execute(request.encode())))
        if isinstance(answer, PrepareDownloadAnswer):
            self.card_key = answer.signed.one_time_key
        return answer

    def ready(self) -> "Bench":
        """Bring the card to where it waits for a package."""
        assert isinstance(self.authenticate(), AuthenticateServerAnswer)
        assert isinstance(self.prepare(), PrepareDownloadAnswer)
        return self

    def package(
        self,
        contents: ProfileContents = CONTENTS,
        profile: bytes | None = None,
        metadata: bytes | None = None,
        transaction_id: bytes | None = None,
        signer: Held | None = None,
        replaced: bool = True,
    ) -> bytes:
        signer = signer or self.pki.dp_pb
        binding = Binding(transaction_id or self.transaction_id, self.card.state.eid.octets, self.card_key, b"bench")
        return bind(
            build_profile(contents) if profile is None else profile,
            metadata_of(contents) if metadata is None else metadata,
            binding,
            one_time_key(signer.key.curve, self.entropy),
            signer.key,
            BspKeys(ChainingValue(bytes(16)), SEnc(bytes(16)), SMac(bytes(16))) if replaced else None,
        )

    def load(self, package: bytes, pieces: tuple[bytes, ...] | None = None) -> InstallationResult | None:
        """Give the package to the card until it says something; None: it still waits for more."""
        for piece in pieces if pieces is not None else cut(package):
            answer = data(self.card.execute(piece))
            if answer:
                return InstallationResult.decode(answer)
        return None

    def install(self, contents: ProfileContents = CONTENTS) -> InstallationResult:
        result = self.ready().load(self.ready().package(contents))
        assert result is not None
        assert isinstance(result.outcome, bytes)
        return result

    def kept(self) -> object:
        """What the card keeps, apart from what it has to tell about failures."""
        return replace(self.card.state, notifications=(), next_sequence=1)
