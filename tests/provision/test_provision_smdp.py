"""The SM-DP+: who gets a profile, who does not and why, and whose word on the result counts."""

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from doubles import es10_calls
from doubles.pki import EID, FOREIGN_EID, NOW, OTHER_EID, SMDP_FQDN, Held, Pki, shared_pki
from doubles.rsp import CONTENTS, OTHER_CONTENTS, Server, Wire, make_card, make_order, make_server, make_settings
from hypothesis import given
from hypothesis import strategies as st

from rprov.causes import Cause
from rprov.crypto.x509 import Role, subject_key_id
from rprov.errors import Misuse, Refused
from rprov.provision.euicc.es10 import Euicc
from rprov.provision.profile import build_profile
from rprov.provision.protocol import Answer, CardCommand, Post, Request
from rprov.provision.sgp22 import es9
from rprov.provision.sgp22.confirmation import CodeHash
from rprov.provision.sgp22.es9 import Body, Function
from rprov.provision.sgp22.info import EuiccInfo1
from rprov.provision.sgp22.keys import sign, signature_do, verify
from rprov.provision.sgp22.lpa import Lpa
from rprov.provision.sgp22.metadata import Event, InstallationResult, NotificationMetadata, ProfileMetadata, Receiver
from rprov.provision.sgp22.objects import (
    AuthenticateServerRequest,
    CancelSessionRequest,
    ServerSigned1,
    context_params,
    oid_octets,
)
from rprov.provision.sgp22.orders import (
    OrderState,
    RecordCancelled,
    RecordEvent,
    RecordFailed,
    RecordInstalled,
    RecordWrongCode,
    ReserveDownload,
)
from rprov.provision.sgp22.smdp_checks import MAX_DOWNLOADS, MAX_WRONG_CODES, SmdpSettings
from rprov.provision.sgp22.smdp_sessions import LIFETIME, MAX_OPENING
from rprov.provision.sgp22.tlv import read, tlv

PKI = shared_pki()


def status(body: Body | None) -> str:
    """`subject/reason` of an answer, or what else it is."""
    if body is None:
        return "204"
    refusal = es9.refusal_of(body)
    return "executed" if refusal is None else f"{refusal.subject}/{refusal.reason}"


def refused(run: Callable[[], object]) -> str:
    """The text with which a download ends."""
    with pytest.raises(Refused) as caught:
        run()
    return str(caught.value)


def begin(server: Server, card: Euicc, address: str = SMDP_FQDN, info: bytes = b"") -> Body | None:
    challenge = card.execute(tlv(0xBF2E))[5:-2]
    body = {
        "smdpAddress": address,
        "euiccChallenge": es9.base64_of(challenge),
        "euiccInfo1": es9.base64_of(info or card.execute(tlv(0xBF20))[:-2]),
    }
    return server.ask(Function.INITIATE_AUTHENTICATION, body)


class Bodies(dict[str, Body]):
    """What the LPA posted in a good download, by function; the server that got it stands beside it."""

    def __init__(self, stop_before: Function | None = None, pki: Pki = PKI) -> None:
        super().__init__()
        self.card, self.server = make_card(pki), make_server(pki)

        def watch(request: Request, answer: Answer) -> Answer:
            if isinstance(request, Post):
                self[request.path.removeprefix(es9.PATH)] = request.body
            return answer

        wire = Wire(self.card, self.server, watch)
        dialogue = Lpa("MATCH-1").download(SMDP_FQDN, EID)
        request = next(dialogue)
        try:
            while stop_before is None or not (isinstance(request, Post) and request.path == stop_before.path):
                request = dialogue.send(wire.answer(request))
            self[stop_before.value] = request.body
        except StopIteration:
            pass

    def ask(self, function: Function, **changed: str) -> Body | None:
        return self.server.ask(function, self[function.value] | changed)


# --- initiateAuthentication ------------------------------------------------------------------------------------------


def test_the_server_proves_itself() -> None:
    server, card = make_server(PKI), make_card(PKI)
    answer = begin(server, card)
    assert answer is not None
    assert status(answer) == "executed"
    raw = es9.octets_of(answer, "serverSigned1")
    signed = ServerSigned1.decode(raw)
    signature = read(es9.octets_of(answer, "serverSignature1"), "x")
    assert signature.tag == 0x5F37
    verify(PKI.dp_auth.key.public_key(), signature.value, raw)
    assert signed.transaction_id == es9.transaction_of(answer)
    assert answer["transactionId"] == signed.transaction_id.hex().upper()
    ci_id = es9.octets_of(answer, "euiccCiPKIdToBeUsed")
    assert ci_id == b"\x04\x14" + subject_key_id(PKI.ci.certificate)
    assert server.smdp.open_transactions == 1


@pytest.mark.parametrize(
    ("address", "good"),
    [
        (SMDP_FQDN, True),
        (SMDP_FQDN.upper(), True),
        (f"{SMDP_FQDN}:443", True),
        (f"{SMDP_FQDN}:8443", False),
        ("other.example.com", False),
        ("", False),
    ],
)
def test_only_its_own_address(address: str, good: bool) -> None:
    answer = begin(make_server(PKI), make_card(PKI), address)
    assert status(answer) == ("executed" if good else "8.8.1/3.8")
    if answer is not None and good:
        assert ServerSigned1.decode(es9.octets_of(answer, "serverSigned1")).server_address == address


def test_cards_without_a_common_ci() -> None:
    server, card = make_server(PKI), make_card(PKI)
    ours, other = subject_key_id(PKI.ci.certificate), bytes(20)
    for verification, signing, expected in (
        ((ours,), (other,), "8.8.2/3.1"),
        ((other,), (ours,), "8.8.4/3.7"),
        ((), (), "8.8.2/3.1"),
        ((other, ours), (other, ours), "executed"),
    ):
        assert status(begin(server, card, info=EuiccInfo1.build(verification, signing).raw)) == expected


def test_a_ci_under_which_the_server_has_no_certificate() -> None:
    server = make_server(PKI, settings=make_settings(PKI, anchors=(PKI.ci.certificate, PKI.other_ci.certificate)))
    other = subject_key_id(PKI.other_ci.certificate)
    assert status(begin(server, make_card(PKI), info=EuiccInfo1.build((other,), (other,)).raw)) == "8.8.4/3.7"


def test_cards_of_another_age() -> None:
    ci = subject_key_id(PKI.ci.certificate)
    info = EuiccInfo1.build((ci,), (ci,)).raw.replace(bytes.fromhex("8203020202"), bytes.fromhex("8203010000"))
    assert status(begin(make_server(PKI), make_card(PKI), info=info)) == "8.8.3/3.1"


def test_settings_that_make_no_server() -> None:
    with pytest.raises(Misuse):
        SmdpSettings(SMDP_FQDN, (), ())
    with pytest.raises(Misuse):
        make_settings(PKI, host_id=b"")
    with pytest.raises(Misuse, match="OID"):
        make_settings(PKI, binding=PKI.make_dp_pb(oid="2.999.11"))


# --- whose card ------------------------------------------------------------------------------------------------------


def download(
    server: Server, card: Euicc | None = None, lpa: Lpa | None = None, tamper: Any = None, eid: Any = EID
) -> Any:
    wire = Wire(card or make_card(PKI), server)
    if tamper is not None:
        wire.tamper = tamper
    return wire.download(lpa, eid=eid)


WRONG_CARDS: dict[str, tuple[Callable[[], Held], str]] = {
    "expired eUICC": (lambda: PKI.make_euicc(not_after=NOW - timedelta(days=1)), "8.1.3/6.3"),
    "eUICC of tomorrow": (lambda: PKI.make_euicc(not_before=NOW + timedelta(days=1)), "8.1.3/6.3"),
    "expired EUM": (lambda: PKI.make_euicc(eum=PKI.make_eum(not_after=NOW - timedelta(days=1))), "8.1.2/6.3"),
    "EUM with another role": (lambda: PKI.make_euicc(eum=PKI.make_eum(policies=(Role.CI.oid,))), "8.1.2/6.1"),
    "EUM that may not sign": (lambda: PKI.make_euicc(eum=PKI.make_eum(key_usage=("digital_signature",))), "8.1.2/6.1"),
    "another CI": (lambda: PKI.make_euicc(eum=PKI.make_eum(PKI.other_ci)), "8.11.1/3.9"),
    "a device's certificate": (lambda: PKI.device, "8.1.3/6.1"),
    "no role": (lambda: PKI.make_euicc(policies=()), "8.1.3/6.1"),
    "EUM that nobody vouches for": (lambda: PKI.make_euicc(eum=PKI.make_eum(form="none")), "8.1.3/6.1"),
}


@pytest.mark.parametrize("name", WRONG_CARDS)
def test_cards_whose_certificates_are_not_valid(name: str) -> None:
    make, expected = WRONG_CARDS[name]
    server = make_server(PKI)
    text = refused(lambda: download(server, make_card(PKI, make())))
    assert f"the SM-DP+ refused authenticateClient: {expected}" in text
    assert server.store.seen == []


def test_an_eid_outside_what_the_eum_may_issue() -> None:
    server = make_server(PKI, make_order(eid=FOREIGN_EID))
    card = make_card(PKI, PKI.make_euicc(FOREIGN_EID), FOREIGN_EID)
    assert "8.1.3/6.1" in refused(lambda: download(server, card, eid=FOREIGN_EID))


def test_an_eum_in_the_operators_table_is_vouched_for() -> None:
    eum = PKI.make_eum(form="none")
    table = {subject_key_id(eum.certificate): ("89049032",)}
    server = make_server(PKI, settings=make_settings(PKI, eum_table=table))
    assert download(server, make_card(PKI, PKI.make_euicc(eum=eum))).iccid == CONTENTS.iccid


def test_the_form_of_the_newer_eum_certificates() -> None:
    euicc = PKI.make_euicc(eum=PKI.make_eum(form="extension"))
    assert download(make_server(PKI), make_card(PKI, euicc)).iccid == CONTENTS.iccid


def test_a_card_with_another_key_than_its_certificate_says() -> None:
    good, other = PKI.euicc, PKI.make_euicc()
    card = make_card(PKI, Held(good.certificate, other.key, good.issuers))
    assert "8.1/6.1" in refused(lambda: download(make_server(PKI), card))


def _changed(name: str, index: int) -> Any:
    """Change one bit of the card's answer to one command."""

    def tamper(request: Request, answer: Answer) -> Answer:
        if isinstance(request, CardCommand) and request.octets.startswith(bytes.fromhex(name)):
            assert isinstance(answer, bytes)
            changed = bytearray(answer)
            changed[index] ^= 1
            return bytes(changed)
        return answer

    return tamper


def test_a_bad_first_signature() -> None:
    bodies = Bodies(Function.AUTHENTICATE_CLIENT)
    octets = bytearray(es9.octets_of(bodies["authenticateClient"], "authenticateServerResponse"))
    at = octets.index(b"\x5f\x37\x40") + 10
    octets[at] ^= 1
    body = {"authenticateServerResponse": es9.base64_of(bytes(octets))}
    assert status(bodies.ask(Function.AUTHENTICATE_CLIENT, **body)) == "8.1/6.1"


def test_a_bad_second_signature() -> None:
    text = refused(lambda: download(make_server(PKI), tamper=_changed("BF21", -3)))
    assert "refused getBoundProfilePackage: 8.1/6.1" in text


def test_another_servers_challenge_is_refused() -> None:
    """A card's proof for one transaction is of no use in another."""
    first = Bodies(Function.AUTHENTICATE_CLIENT)
    second = begin(first.server, make_card(PKI))
    assert second is not None
    transaction = second["transactionId"]
    assert status(first.ask(Function.AUTHENTICATE_CLIENT, transactionId=transaction)) == "8.10.1/3.9"


def test_a_card_that_signs_another_challenge() -> None:
    server = make_server(PKI)
    card = make_card(PKI)
    answer = begin(server, card)
    assert answer is not None
    signed = ServerSigned1.decode(es9.octets_of(answer, "serverSigned1"))
    forged = ServerSigned1.build(signed.transaction_id, signed.euicc_challenge, SMDP_FQDN, bytes(16))
    ci_id = read(es9.octets_of(answer, "euiccCiPKIdToBeUsed"), "x").value
    request = AuthenticateServerRequest(
        forged,
        sign(PKI.dp_auth.key, forged.raw),
        ci_id,
        es9.octets_of(answer, "serverCertificate"),
        context_params("MATCH-1", bytes(4)),
    )
    proof = es9.base64_of(card.execute(request.encode())[:-2])
    body = {"transactionId": answer["transactionId"], "authenticateServerResponse": proof}
    assert status(server.ask(Function.AUTHENTICATE_CLIENT, body)) == "8.1/6.1"


# --- whose order -----------------------------------------------------------------------------------------------------


def test_an_order_is_for_one_eid_only() -> None:
    server = make_server(PKI, make_order(eid=OTHER_EID))
    assert "8.1.1/3.8" in refused(lambda: download(server))
    assert server.store.order().state is OrderState.RELEASED


def test_without_a_matching_id_the_eid_finds_the_order() -> None:
    server = make_server(
        PKI,
        make_order(OTHER_CONTENTS, OTHER_EID, matching_id="OTHER"),
        make_order(OTHER_CONTENTS, state=OrderState.INSTALLED, matching_id=""),
        make_order(matching_id=""),
    )
    assert download(server, lpa=Lpa()).iccid == CONTENTS.iccid


@pytest.mark.parametrize(("matching_id", "expected"), [("NO-SUCH", "8.2.6/3.8"), ("", "8.2.5/4.3")])
def test_without_an_order_there_is_no_profile(matching_id: str, expected: str) -> None:
    server = make_server(PKI, make_order(eid=OTHER_EID))
    assert f"refused authenticateClient: {expected}" in refused(lambda: download(server, lpa=Lpa(matching_id)))


def test_a_cancelled_order_gives_nothing() -> None:
    server = make_server(PKI, make_order(state=OrderState.CANCELLED))
    assert "8.2/1.2" in refused(lambda: download(server))


def test_a_profile_that_is_installed_is_not_given_again() -> None:
    server = make_server(PKI)
    download(server)
    assert server.store.order().state is OrderState.INSTALLED
    text = refused(lambda: download(server))
    assert "8.2.6/3.8" in text
    assert "installed already" in text


def test_an_order_cancelled_in_the_middle_gives_nothing() -> None:
    bodies = Bodies(Function.BOUND_PROFILE_PACKAGE)
    bodies.server.store.change(CONTENTS.iccid, state=OrderState.CANCELLED)
    assert status(bodies.ask(Function.BOUND_PROFILE_PACKAGE)) == "8.2/1.2"


def test_an_order_that_goes_at_the_last_moment_gives_nothing() -> None:
    bodies = Bodies(Function.BOUND_PROFILE_PACKAGE)
    store = bodies.server.store
    ask = store.ask
    store.ask = lambda query: False if isinstance(query, ReserveDownload) else ask(query)  # type: ignore[method-assign]
    assert status(bodies.ask(Function.BOUND_PROFILE_PACKAGE)) == "8.2/3.7"


def test_an_order_replaced_in_the_middle_gives_nothing() -> None:
    bodies = Bodies(Function.BOUND_PROFILE_PACKAGE)
    bodies.server.store.orders = [make_order(OTHER_CONTENTS)]
    assert status(bodies.ask(Function.BOUND_PROFILE_PACKAGE)) == "8.2/3.7"
    bodies = Bodies(Function.BOUND_PROFILE_PACKAGE)
    bodies.server.store.orders = []
    assert status(bodies.ask(Function.BOUND_PROFILE_PACKAGE)) == "8.2/3.7"


def test_a_download_without_an_installation_may_be_repeated_but_not_for_ever() -> None:
    server = make_server(PKI)

    def break_off(request: Request, answer: Answer) -> Answer:
        if isinstance(request, CardCommand) and request.octets.startswith(b"\xbf\x36"):
            raise Refused(Cause.RADIO_LINK_LOST)
        if isinstance(request, Post) and request.path == Function.CANCEL_SESSION.path:
            raise Refused(Cause.RADIO_LINK_LOST)
        return answer

    server.store.ask = _without_cancellations(server)  # type: ignore[method-assign]
    for _ in range(MAX_DOWNLOADS):
        refused(lambda: download(server, tamper=break_off))
    assert server.store.order().downloads == MAX_DOWNLOADS
    assert "8.8.5/6.4" in refused(lambda: download(server))


def _without_cancellations(server: Server) -> Any:
    ask = server.store.ask
    return lambda query: None if isinstance(query, RecordCancelled) else ask(query)


def test_a_card_with_too_little_memory() -> None:
    server = make_server(PKI, make_order(profile=tlv(0xA6, bytes(1 << 19)) + build_profile(CONTENTS)))
    card = make_card(PKI)
    assert card.state.free_memory > 1 << 19
    profile = tlv(0xA6, bytes((1 << 20) - 100)) + build_profile(CONTENTS)
    server.store.change(CONTENTS.iccid, profile=profile)
    assert "8.1/4.8" in refused(lambda: download(server, card))


@pytest.mark.parametrize("profile", [b"", b"broken", build_profile(OTHER_CONTENTS)])
def test_a_broken_profile_in_the_store_is_not_delivered(profile: bytes) -> None:
    assert "8.2.5/4.3" in refused(lambda: download(make_server(PKI, make_order(profile=profile))))


@pytest.mark.parametrize("over", [0, 1])
def test_the_largest_profile_fits_into_a_bound_package(over: int) -> None:
    size = (31 << 14) - len(build_profile(CONTENTS)) - 5 + over
    server = make_server(PKI, make_order(profile=tlv(0xA6, bytes(size)) + build_profile(CONTENTS)))
    if over:
        assert "8.2.5/4.3" in refused(lambda: download(server))
    else:
        assert download(server).iccid == CONTENTS.iccid


def test_the_metadata_are_those_of_the_order() -> None:
    bodies = Bodies(Function.AUTHENTICATE_CLIENT)
    answer = bodies.ask(Function.AUTHENTICATE_CLIENT)
    assert answer is not None
    metadata = ProfileMetadata.decode(es9.octets_of(answer, "profileMetadata"))
    assert (metadata.iccid, metadata.name, metadata.provider) == (CONTENTS.iccid, "IoT one", "rprov test")
    assert metadata.receivers == (Receiver(frozenset({Event.ENABLE, Event.DISABLE, Event.DELETE}), SMDP_FQDN),)


def test_a_server_that_wants_to_hear_of_nothing() -> None:
    card = make_card(PKI)
    download(make_server(PKI, settings=make_settings(PKI, events=frozenset())), card)
    assert card.state.profiles[0].metadata.receivers == ()


def test_no_order_prints_its_keys() -> None:
    order = make_order(confirmation=CodeHash.of_code("1234"))
    assert CONTENTS.k.octets.hex() not in repr(order)
    assert "profile=" not in repr(order)
    assert "CodeHash(32 octets)" in repr(order)
    assert "PrivateKey" not in repr(make_settings(PKI))


# --- confirmation codes ----------------------------------------------------------------------------------------------

CODE = CodeHash.of_code("4711")


def coded() -> Server:
    return make_server(PKI, make_order(confirmation=CODE))


def test_the_right_confirmation_code() -> None:
    assert download(coded(), lpa=Lpa("MATCH-1", CODE)).iccid == CONTENTS.iccid


def test_a_missing_confirmation_code() -> None:
    bodies = Bodies(Function.BOUND_PROFILE_PACKAGE)
    bodies.server.store.change(CONTENTS.iccid, confirmation=CODE)
    assert status(bodies.ask(Function.BOUND_PROFILE_PACKAGE)) == "8.2.7/2.2"


def test_wrong_confirmation_codes_are_counted_and_end_the_order() -> None:
    server = coded()
    wrong = Lpa("MATCH-1", CodeHash.of_code("4712"))
    for number in range(MAX_WRONG_CODES):
        assert "8.2.7/3.8" in refused(lambda: download(server, lpa=wrong))
        assert server.store.order().wrong_codes == number + 1
    assert "8.2.7/6.4" in refused(lambda: download(server, lpa=wrong))
    assert "8.2.7/6.4" in refused(lambda: download(server, lpa=Lpa("MATCH-1", CODE)))


def test_guessing_in_many_transactions_at_once_does_not_help() -> None:
    server = coded()
    waiting = []
    for number in range(MAX_WRONG_CODES + 2):
        wire = Wire(make_card(PKI), server)
        dialogue = Lpa("MATCH-1", CodeHash.of_code(str(number))).download(SMDP_FQDN, EID)
        request = next(dialogue)
        while not (isinstance(request, Post) and request.path == Function.BOUND_PROFILE_PACKAGE.path):
            request = dialogue.send(wire.answer(request))
        waiting.append(request.body)
    got = [status(server.ask(Function.BOUND_PROFILE_PACKAGE, body)) for body in waiting]
    assert got == ["8.2.7/3.8"] * MAX_WRONG_CODES + ["8.2.7/6.4"] * 2
    assert sum(isinstance(query, RecordWrongCode) for query in server.store.seen) == MAX_WRONG_CODES


# --- transactions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [Function.AUTHENTICATE_CLIENT, Function.BOUND_PROFILE_PACKAGE])
def test_unknown_and_repeated_transactions(function: Function) -> None:
    bodies = Bodies(function)
    assert status(bodies.ask(function, transactionId="00" * 16)) == "8.10.1/3.9"
    assert status(bodies.ask(function, transactionId=bodies[function.value]["transactionId"].lower())) == "executed"
    assert status(bodies.ask(function)) == "8.10.1/3.9"


@pytest.mark.parametrize("function", [Function.AUTHENTICATE_CLIENT, Function.BOUND_PROFILE_PACKAGE])
def test_a_transaction_ends_with_its_lifetime(function: Function) -> None:
    bodies = Bodies(function)
    bodies.server.now = LIFETIME + 0.1
    assert status(bodies.ask(function)) == "8.10.1/3.9"
    bodies = Bodies(function)
    bodies.server.now = LIFETIME
    assert status(bodies.ask(function)) == "executed"


def test_functions_out_of_order() -> None:
    bodies = Bodies(Function.BOUND_PROFILE_PACKAGE)
    assert status(bodies.ask(Function.AUTHENTICATE_CLIENT)) == "8.10.1/3.9"
    assert status(bodies.ask(Function.BOUND_PROFILE_PACKAGE)) == "executed"
    assert status(bodies.ask(Function.BOUND_PROFILE_PACKAGE)) == "8.10.1/3.9"


def test_a_flood_of_strangers_does_not_push_out_a_proved_card() -> None:
    bodies = Bodies(Function.BOUND_PROFILE_PACKAGE)
    body = bodies["initiateAuthentication"]
    for _ in range(MAX_OPENING + 10):
        assert status(bodies.server.ask(Function.INITIATE_AUTHENTICATION, body)) == "executed"
    assert bodies.server.smdp.open_transactions == MAX_OPENING + 1
    assert status(bodies.ask(Function.BOUND_PROFILE_PACKAGE)) == "executed"


def test_old_transactions_make_room() -> None:
    server, card = make_server(PKI), make_card(PKI)
    for number in range(5):
        server.now = number * LIFETIME
        begin(server, card)
    assert server.smdp.open_transactions == 2


def test_a_cards_error_ends_the_transaction() -> None:
    bodies = Bodies(Function.AUTHENTICATE_CLIENT)
    error = tlv(0xBF38, tlv(0xA1, tlv(0x80, bytes(16)), tlv(0x81, b"\x06")))
    body = {"authenticateServerResponse": es9.base64_of(error)}
    answer = bodies.ask(Function.AUTHENTICATE_CLIENT, **body)
    assert status(answer) == "8.1/4.2"
    assert answer is not None
    assert "6 challenge mismatch" in answer["header"]["functionExecutionStatus"]["statusCodeData"]["message"]
    assert status(bodies.ask(Function.AUTHENTICATE_CLIENT)) == "8.10.1/3.9"


# --- cancelSession ---------------------------------------------------------------------------------------------------


def cancel_body(bodies: Bodies, reason: int = 1) -> Body:
    transaction = bodies["getBoundProfilePackage"]["transactionId"]
    answer = bodies.card.execute(CancelSessionRequest(bytes.fromhex(transaction), reason).encode())[:-2]
    return {"transactionId": transaction, "cancelSessionResponse": es9.base64_of(answer)}


@pytest.mark.parametrize("delivered", [False, True])
def test_a_card_cancels_its_session(delivered: bool) -> None:
    bodies = Bodies(Function.BOUND_PROFILE_PACKAGE)
    if delivered:
        bodies.ask(Function.BOUND_PROFILE_PACKAGE)
    body = cancel_body(bodies)
    assert status(bodies.server.ask(Function.CANCEL_SESSION, body)) == "executed"
    assert bodies.server.store.seen[-1] == RecordCancelled(EID, CONTENTS.iccid, 1)
    assert bodies.server.store.order().state is OrderState.RELEASED
    assert status(bodies.server.ask(Function.CANCEL_SESSION, body)) == "8.10.1/3.9"
    assert status(bodies.ask(Function.BOUND_PROFILE_PACKAGE)) == "8.10.1/3.9"


def test_nobody_else_cancels_it() -> None:
    bodies = Bodies(Function.BOUND_PROFILE_PACKAGE)
    transaction = bodies["getBoundProfilePackage"]["transactionId"]
    signed = tlv(0x30, tlv(0x80, bytes.fromhex(transaction)), tlv(0x81, oid_octets("2.999.10")), tlv(0x82, b"\x01"))
    forged = tlv(0xBF41, tlv(0xA0, signed, signature_do(sign(PKI.device.key, signed))))
    wrong = {
        "forged": (forged, "8.1/6.1"),
        "an error": (tlv(0xBF41, tlv(0x81, b"\x05")), "8.1/4.2"),
        "garbage": (b"garbage", "1.6/2.1"),
    }
    for octets, expected in wrong.values():
        body = {"transactionId": transaction, "cancelSessionResponse": es9.base64_of(octets)}
        assert status(bodies.server.ask(Function.CANCEL_SESSION, body)) == expected
    elsewhere = tlv(0x30, tlv(0x80, bytes.fromhex(transaction)), tlv(0x81, oid_octets("2.999.11")), tlv(0x82, b"\x01"))
    signature = signature_do(sign(PKI.euicc.key, elsewhere))
    body = {
        "transactionId": transaction,
        "cancelSessionResponse": es9.base64_of(tlv(0xBF41, tlv(0xA0, elsewhere, signature))),
    }
    assert status(bodies.server.ask(Function.CANCEL_SESSION, body)) == "8.10.1/3.9"
    assert status(bodies.ask(Function.BOUND_PROFILE_PACKAGE)) == "executed"


# --- notifications ---------------------------------------------------------------------------------------------------


def test_the_result_counts_when_its_signature_was_verified() -> None:
    bodies = Bodies(Function.HANDLE_NOTIFICATION)
    server = bodies.server
    assert server.store.order().state is OrderState.DOWNLOADED
    octets = bytearray(es9.octets_of(bodies["handleNotification"], "pendingNotification"))
    octets[-1] ^= 1
    forged = {"pendingNotification": es9.base64_of(bytes(octets))}
    assert status(server.ask(Function.HANDLE_NOTIFICATION, forged)) == "8.1/6.1"
    assert server.store.order().state is OrderState.DOWNLOADED
    assert status(bodies.ask(Function.HANDLE_NOTIFICATION)) == "204"
    assert server.store.seen[-1] == RecordInstalled(EID, CONTENTS.iccid)
    assert server.store.order().state is OrderState.INSTALLED
    assert status(bodies.ask(Function.HANDLE_NOTIFICATION)) == "204"  # its answer may be lost: it comes again


def test_a_result_may_come_long_after_the_transaction() -> None:
    bodies = Bodies(Function.HANDLE_NOTIFICATION)
    bodies.server.now = 1e9
    later = make_server(PKI)
    later.store = bodies.server.store
    assert status(later.ask(Function.HANDLE_NOTIFICATION, bodies["handleNotification"])) == "204"


def test_a_result_of_a_transaction_that_never_was() -> None:
    bodies = Bodies(Function.HANDLE_NOTIFICATION)
    bodies.server.store.downloads.clear()
    assert status(bodies.ask(Function.HANDLE_NOTIFICATION)) == "8.10.1/3.9"


def _result(bodies: Bodies, iccid: Any = CONTENTS.iccid, oid: str = "2.999.10", event: Event = Event.INSTALL) -> Body:
    transaction = bytes.fromhex(bodies["getBoundProfilePackage"]["transactionId"])
    metadata = NotificationMetadata.build(1, event, SMDP_FQDN, iccid)
    signed = InstallationResult.build_signed(transaction, metadata, oid_octets(oid), bytes(16))
    octets = tlv(0xBF37, signed, signature_do(sign(PKI.euicc.key, signed)))
    return {"pendingNotification": es9.base64_of(octets)}


def test_a_result_about_something_else() -> None:
    bodies = Bodies(Function.HANDLE_NOTIFICATION)
    for body in (
        _result(bodies, OTHER_CONTENTS.iccid),
        _result(bodies, None),
        _result(bodies, oid="2.999.11"),
        _result(bodies, event=Event.DELETE),
    ):
        assert status(bodies.server.ask(Function.HANDLE_NOTIFICATION, body)) == "1.6/2.1"
    assert bodies.server.store.order().state is OrderState.DOWNLOADED
    assert status(bodies.server.ask(Function.HANDLE_NOTIFICATION, _result(bodies))) == "204"


def test_a_failed_installation_is_recorded_with_its_reason() -> None:
    server, card = make_server(PKI), make_card(PKI)

    def tamper(request: Request, answer: Answer) -> Answer:
        return answer

    wire = Wire(card, server, tamper)
    execute = card.execute

    class Corrupting(Euicc):
        __slots__ = ()

        def execute(self, command: bytes) -> bytes:
            return execute(command[:-1] + bytes((command[-1] ^ 1,)) if command[0] == 0x86 else command)

    wire.card = Corrupting(card.state, {}, (), bytes, NOW)
    text = refused(wire.download)
    assert "5 load profile elements: 8 security: a segment's MAC or padding is wrong" in text
    failed = server.store.seen[-1]
    assert isinstance(failed, RecordFailed)
    assert failed.detail in text
    assert server.store.order().state is OrderState.RELEASED
    assert card.state.notifications == ()  # delivered, and removed
    assert download(server, card).iccid == CONTENTS.iccid


def test_events_of_the_card_are_verified_and_recorded() -> None:
    server, card = make_server(PKI), make_card(PKI)
    download(server, card)
    assert server.store.seen[-1] == RecordEvent(EID, CONTENTS.iccid, Event.ENABLE)
    es10_calls.disable_profile(card.execute, CONTENTS.iccid)
    octets = bytearray(card.state.notifications[-1].octets)
    good = {"pendingNotification": es9.base64_of(bytes(octets))}
    at = octets.index(b"\x5f\x37\x40") + 10
    octets[at] ^= 1
    bad = {"pendingNotification": es9.base64_of(bytes(octets))}
    before = len(server.store.seen)
    assert status(server.ask(Function.HANDLE_NOTIFICATION, bad)) == "8.1/6.1"
    server.wall = NOW + timedelta(days=9000)
    assert status(server.ask(Function.HANDLE_NOTIFICATION, good)) == "8.1.2/6.3"
    assert len(server.store.seen) == before
    server.wall = NOW
    assert status(server.ask(Function.HANDLE_NOTIFICATION, good)) == "204"
    assert server.store.seen[-1] == RecordEvent(EID, CONTENTS.iccid, Event.DISABLE)


def test_events_for_another_server() -> None:
    server, card = make_server(PKI), make_card(PKI)
    download(server, card)
    es10_calls.disable_profile(card.execute, CONTENTS.iccid)
    body = {"pendingNotification": es9.base64_of(card.state.notifications[-1].octets)}
    other = make_server(PKI, settings=replace(make_settings(PKI), address="other.example.com"))
    assert status(other.ask(Function.HANDLE_NOTIFICATION, body)) == "1.6/2.1"


# --- whatever comes --------------------------------------------------------------------------------------------------

NAMES = [
    "transactionId",
    "smdpAddress",
    "euiccChallenge",
    "euiccInfo1",
    "authenticateServerResponse",
    "prepareDownloadResponse",
    "pendingNotification",
    "cancelSessionResponse",
]
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=20),
    st.binary(max_size=60).map(es9.base64_of),
    st.just([]),
)


@given(st.sampled_from(Function), st.dictionaries(st.sampled_from(NAMES), values))
def test_any_body_is_answered_with_a_status(function: Function, body: Body) -> None:
    answer = make_server(PKI).ask(function, body)
    refusal = es9.refusal_of(answer or {})
    assert refusal is not None
    assert refusal.subject[0].isdigit()


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (Function.AUTHENTICATE_CLIENT, "authenticateServerResponse"),
        (Function.BOUND_PROFILE_PACKAGE, "prepareDownloadResponse"),
        (Function.HANDLE_NOTIFICATION, "pendingNotification"),
    ],
)
@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
@pytest.mark.parametrize("offset", range(3))
def test_a_bit_changed_anywhere_is_refused(function: Function, name: str, offset: int) -> None:
    bodies = Bodies(function)
    octets = es9.octets_of(bodies[function.value], name)
    original = bodies.server.smdp
    # A certificate's own signature is a BIT STRING, and how many bits of it are unused stands outside every signature.
    held = (PKI.euicc.certificate.signature, PKI.eum.certificate.signature)
    unsigned = {octets.index(signature) - 1 for signature in held if signature in octets}
    for at in set(range(offset, len(octets), 9)) - unsigned:
        changed = bytearray(octets)
        changed[at] ^= 1 << at % 8
        bodies.server.smdp = _copied(original)
        answer = bodies.ask(function, **{name: es9.base64_of(bytes(changed))})
        assert status(answer) not in ("executed", "204"), at
    bodies.server.smdp = original
    assert status(bodies.ask(function)) in ("executed", "204")


def _copied(smdp: Any) -> Any:
    """The same server with its transactions as they are now."""
    twin = copy.copy(smdp)
    twin._sessions = copy.deepcopy(smdp._sessions, {id(value): value for value in _shared(smdp)})
    return twin


def _shared(smdp: Any) -> list[Any]:
    sessions = smdp._sessions
    return [entry for table in (sessions._opening, sessions._proved) for entry in table.values()]
