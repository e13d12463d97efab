"""The LPA as a pure dialogue: between a card and an SM-DP+, from the first challenge to the delivered result.

Owns the order of the functions and what an LPA must check itself (SGP.22 3.1.2, 3.1.3); keeps no key and no secret. A
download that fails is cancelled on the card and at the server, and the card's and the server's words come out in the
text of `Refused(PROVISIONING_FAILED)`.

    card: challenge, info -> initiateAuthentication -> card: AuthenticateServer -> authenticateClient
    -> card: PrepareDownload -> getBoundProfilePackage -> card: package -> handleNotification -> card: remove
"""

from collections.abc import Generator
from dataclasses import dataclass
from enum import IntEnum
from typing import NoReturn

from rprov.causes import Cause
from rprov.crypto.x509 import parse_certificate, registered_id, roles
from rprov.errors import DecodeError, Misuse, Refused, RprovError
from rprov.model.identifiers import Eid
from rprov.model.session import ProvisioningServer
from rprov.provision.protocol import Answer, Dialogue, Downloaded, Notifying, Request
from rprov.provision.sgp22 import es9, lpa_card
from rprov.provision.sgp22.activation import ActivationCode
from rprov.provision.sgp22.bpp import cut, metadata_in
from rprov.provision.sgp22.codes import AuthenticateError, CancelReason, PrepareError, meaning
from rprov.provision.sgp22.confirmation import CodeHash
from rprov.provision.sgp22.es9 import Body, Function
from rprov.provision.sgp22.lpa_card import InstallRefused, ServerRefused, Steps, command, fail, post
from rprov.provision.sgp22.metadata import ProfileMetadata
from rprov.provision.sgp22.objects import (
    AuthenticateServerAnswer,
    AuthenticateServerRequest,
    CancelSessionRequest,
    CardError,
    PrepareDownloadAnswer,
    PrepareDownloadRequest,
    ServerSigned1,
    SmdpSigned2,
    context_params,
)
from rprov.provision.sgp22.tlv import fixed, open_tlv, read, tlv

DEFAULT_TAC = bytes.fromhex("35290611")
"""A type allocation code for a device that was given none; the one that a well-known LPA uses."""


class LpaRefused(Refused):
    """The LPA itself refuses, for a reason that the card and the server are told."""

    def __init__(self, reason: CancelReason, detail: str) -> None:
        self.reason = reason
        super().__init__(Cause.PROVISIONING_FAILED, detail)


@dataclass(frozen=True, slots=True)
class Lpa:
    """An LPA and what it was told: fulfils `Provisioner`.

    `matching_id` empty: the server finds the order by the EID. `confirmation` is the hash of the confirmation code.
    """

    matching_id: str = ""
    confirmation: CodeHash | None = None
    smdp_oid: str = ""
    tac: bytes = DEFAULT_TAC
    enable: bool = True

    @classmethod
    def of_code(cls, code: ActivationCode, confirmation: CodeHash | None = None, enable: bool = True) -> "Lpa":
        """An LPA that was given an activation code; raises `Refused` when it needs a confirmation code too."""
        if code.confirmation_required and confirmation is None:
            fail("the activation code needs a confirmation code")
        return cls(code.matching_id, confirmation, code.smdp_oid, enable=enable)

    def begin(self, server: ProvisioningServer, card: Eid) -> Dialogue:
        """Download one profile from `server` into the card with this EID."""
        return self.download(_address(server), card)

    def notify(self, server: ProvisioningServer) -> Notifying:
        """Bring `server` the notifications that wait for it on the card (SGP.22 3.5)."""
        return lpa_card.deliver(_address(server))

    def download(self, address: str, card: Eid) -> Dialogue:
        """Download one profile from the SM-DP+ at `address` (host, or host:port) into the card with this EID."""
        try:
            return (yield from self._download(address, card))
        except DecodeError as error:
            raise Refused(Cause.PROVISIONING_FAILED, str(error)) from error

    def _download(self, address: str, card: Eid) -> Dialogue:
        found = yield from lpa_card.eid()
        if found != card:
            fail(f"the card in the device has EID {found}, not {card}")
        opened = yield from self._open(address)
        try:
            metadata, pieces = yield from self._obtain(opened)
            result = yield from lpa_card.load(pieces)
        except InstallRefused as refusal:
            # The card has ended its session by itself; the server hears of it through the signed result.
            yield from _try(lpa_card.deliver(address))
            raise Refused(refusal.cause, refusal.detail) from refusal
        except RprovError as error:
            yield from _try(_cancel(opened, error))
            raise
        if result.notification.iccid != metadata.iccid:
            fail(f"the card installed {result.notification.iccid}, not {metadata.iccid}")
        # First tell, then enable: a card that changes its profile may take the connection away with it.
        notified = yield from _try(lpa_card.deliver(address))
        if self.enable:
            yield from lpa_card.enable(metadata.iccid)
            yield from _try(lpa_card.deliver(address))
        return Downloaded(metadata.iccid, metadata.name, metadata.provider, self.enable, notified)

    def _open(self, address: str) -> Steps["_Opened"]:
        """Bring the card's challenge to the server and check what comes back against it (SGP.22 3.0.1)."""
        challenge = yield from lpa_card.challenge()
        info = yield from command(tlv(0xBF20), "GetEUICCInfo1")
        body: Body = {
            "smdpAddress": address,
            "euiccChallenge": es9.base64_of(challenge),
            "euiccInfo1": es9.base64_of(info),
        }
        answer = yield from post(Function.INITIATE_AUTHENTICATION, body)
        signed = ServerSigned1.decode(es9.octets_of(answer, "serverSigned1"))
        transaction_id = es9.transaction_of(answer)
        if signed.transaction_id != transaction_id:
            fail("the SM-DP+ signed another transaction than it names")
        if signed.server_address.lower() != address.lower():
            fail(f"the SM-DP+ signed the address {signed.server_address}, but {address} was contacted")
        certificate = read(es9.octets_of(answer, "serverCertificate"), "serverCertificate").raw
        if self.smdp_oid and _oid_of(certificate) != self.smdp_oid:
            fail("the SM-DP+ is another one than the activation code names")
        request = AuthenticateServerRequest(
            signed,
            _signature(answer, "serverSignature1"),
            fixed(read(es9.octets_of(answer, "euiccCiPKIdToBeUsed"), "CI key id").value, 20, "CI key id"),
            certificate,
            context_params(self.matching_id, self.tac),
        )
        return _Opened(transaction_id, request)

    def _obtain(self, opened: "_Opened") -> Steps[tuple[ProfileMetadata, tuple[bytes, ...]]]:
        """Let card and server prove themselves, and fetch the package, checked as far as an LPA can."""
        proof = yield from command(opened.request.encode(), "AuthenticateServer")
        body = _body(opened, authenticateServerResponse=es9.base64_of(proof))
        proved = AuthenticateServerAnswer.decode(proof)
        if isinstance(proved, CardError):
            yield from _tell(Function.AUTHENTICATE_CLIENT, body)
            _fail_by_card("AuthenticateServer", AuthenticateError, proved.code, opened.request.certificate)
        answer = yield from post(Function.AUTHENTICATE_CLIENT, body)
        _check_transaction(opened, answer)
        metadata = ProfileMetadata.decode(es9.octets_of(answer, "profileMetadata"))
        if metadata.policy_rules:
            raise LpaRefused(CancelReason.PPR_NOT_ALLOWED, "the profile has policy rules that no one agreed to")
        body = yield from self._prepare(opened, answer)
        answer = yield from post(Function.BOUND_PROFILE_PACKAGE, body)
        _check_transaction(opened, answer)
        package = es9.octets_of(answer, "boundProfilePackage")
        try:
            pieces, bound = cut(package), metadata_in(package)
        except DecodeError as error:
            raise LpaRefused(CancelReason.LOAD_BPP_ERROR, str(error)) from error
        # What was shown, and perhaps agreed to, is what gets installed (SGP.22 3.1.3.2).
        if bound != metadata.raw:
            raise LpaRefused(
                CancelReason.METADATA_MISMATCH, "the package carries other metadata than the SM-DP+ had shown"
            )
        return metadata, pieces

    def _prepare(self, opened: "_Opened", answer: Body) -> Steps[Body]:
        """Bring the server's second proof to the card; gives the body of the request for the package."""
        signed = SmdpSigned2.decode(es9.octets_of(answer, "smdpSigned2"))
        if signed.transaction_id != opened.transaction_id:
            fail("the SM-DP+ signed another transaction than it names")
        hash_cc = None
        if signed.confirmation_required:
            if self.confirmation is None:
                raise LpaRefused(CancelReason.POSTPONED, "the SM-DP+ asks for a confirmation code, and there is none")
            hash_cc = self.confirmation.for_transaction(opened.transaction_id)
        certificate = read(es9.octets_of(answer, "smdpCertificate"), "smdpCertificate").raw
        request = PrepareDownloadRequest(signed, _signature(answer, "smdpSignature2"), hash_cc, certificate)
        prepared = yield from command(request.encode(), "PrepareDownload")
        body = _body(opened, prepareDownloadResponse=es9.base64_of(prepared))
        proved = PrepareDownloadAnswer.decode(prepared)
        if isinstance(proved, CardError):
            yield from _tell(Function.BOUND_PROFILE_PACKAGE, body)
            _fail_by_card("PrepareDownload", PrepareError, proved.code, certificate)
        return body


def _address(server: ProvisioningServer) -> str:
    return server.fqdn if server.port == 443 else f"{server.fqdn}:{server.port}"


@dataclass(frozen=True, slots=True)
class _Opened:
    """A transaction that the server has opened."""

    transaction_id: bytes
    request: AuthenticateServerRequest


def _body(opened: _Opened, **members: str) -> Body:
    return {"transactionId": es9.transaction_text(opened.transaction_id), **members}


def _oid_of(certificate: bytes) -> str:
    try:
        return registered_id(parse_certificate(certificate))
    except Refused as error:
        fail(error.detail)


def _signature(answer: Body, name: str) -> bytes:
    return fixed(read(es9.octets_of(answer, name), name).value, 64, name)


def _check_transaction(opened: _Opened, answer: Body) -> None:
    if es9.transaction_of(answer) != opened.transaction_id:
        fail("the SM-DP+ changed the transaction under way")


def _tell(function: Function, body: Body) -> Steps[bool]:
    """Pass the card's error on, so that the server ends the transaction too (SGP.22 3.1.2); it can only refuse."""

    def passed_on() -> Steps[bool]:
        yield from post(function, body)
        return True

    return (yield from _try(passed_on()))


def _fail_by_card(name: str, kind: type[IntEnum], code: int, certificate: bytes) -> NoReturn:
    """Say what the card said no to; for a certificate also which one it was, for the card tells a number only."""
    detail = f"the card refused {name}: {meaning(kind, code)}"
    if code == AuthenticateError.INVALID_CERTIFICATE:  # the same number in both enums
        detail += f" ({_described(certificate)})"
    fail(detail)


def _described(octets: bytes) -> str:
    try:
        certificate = parse_certificate(octets)
        names = " and ".join(sorted(role.name for role in roles(certificate))) or "none"
        issuer = certificate.issuer.rfc4514_string()
        until = certificate.not_valid_after_utc.date().isoformat()
    except (RprovError, ValueError):
        return "its certificate cannot be read"
    return f"its certificate has role {names}, issuer {issuer}, end {until}"


def _cancel(opened: _Opened, error: RprovError) -> Steps[bool]:
    """Cancel on the card, and at the server unless it is what refused (SGP.22 3.0.2)."""
    reason = error.reason if isinstance(error, LpaRefused) else CancelReason.UNDEFINED
    request = CancelSessionRequest(opened.transaction_id, reason)
    answer = yield from command(request.encode(), "CancelSession")
    if open_tlv(answer, 0xBF41, "answer to CancelSession").peek() != 0xA0 or isinstance(error, ServerRefused):
        return False
    yield from post(Function.CANCEL_SESSION, _body(opened, cancelSessionResponse=es9.base64_of(answer)))
    return True


def _try(steps: Generator[Request, Answer, bool]) -> Generator[Request, Answer, bool]:
    """Do what would be good to do, after the outcome is settled: its failure changes nothing and is told as False."""
    try:
        return (yield from steps)
    except Misuse:
        raise
    except RprovError:
        return False
