"""The LPA: a whole download between card and server, and everything that an LPA must notice by itself."""

import hashlib
import json
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

import pytest
from doubles import es10_calls
from doubles.pki import EID, OTHER_EID, SMDP_FQDN, Pki, shared_pki
from doubles.rsp import CONTENTS, OTHER_CONTENTS, Wire, make_card, make_order, make_server, make_settings
from doubles.rsp_bench import metadata_of
from hypothesis import given
from hypothesis import strategies as st

from rprov.causes import Cause
from rprov.crypto.x509 import Role
from rprov.errors import DecodeError, Misuse, Refused
from rprov.model.session import ProvisioningProtocol, ProvisioningServer
from rprov.provision.euicc.es10 import NOT_NOW
from rprov.provision.protocol import Answer, CardCommand, Post, Provisioner, Request
from rprov.provision.sgp22 import es9, lpa_card
from rprov.provision.sgp22.activation import ActivationCode
from rprov.provision.sgp22.codes import (
    AuthenticateError,
    BppError,
    CancelError,
    CancelReason,
    PrepareError,
    StateChange,
    Status,
    meaning,
)
from rprov.provision.sgp22.confirmation import CodeHash
from rprov.provision.sgp22.es9 import Function
from rprov.provision.sgp22.keys import certificate_octets, sign, signature_do
from rprov.provision.sgp22.lpa import Lpa
from rprov.provision.sgp22.objects import CancelSessionAnswer, ServerSigned1, SmdpSigned2
from rprov.provision.sgp22.orders import OrderState
from rprov.provision.sgp22.tlv import open_tlv, tlv

PKI = shared_pki()

ANSWERED = (Function.INITIATE_AUTHENTICATION, Function.AUTHENTICATE_CLIENT, Function.BOUND_PROFILE_PACKAGE)
"""The functions of a download that are answered with a body."""


def make_wire(pki: Pki = PKI, **settings: Any) -> Wire:
    return Wire(make_card(pki), make_server(pki, settings=make_settings(pki, **settings)))


def failure(wire: Wire, lpa: Lpa | None = None, **where: Any) -> str:
    """The text with which a download ends; the cause is always the same one, and nothing is on the card."""
    with pytest.raises(Refused) as caught:
        wire.download(lpa, **where)
    assert caught.value.cause is Cause.PROVISIONING_FAILED
    assert wire.card.state.profiles == ()
    return caught.value.detail


def cancelled(wire: Wire) -> CancelReason | None:
    """The reason that the card told the server, if it did."""
    for request in wire.seen:
        if isinstance(request, Post) and request.path == Function.CANCEL_SESSION.path:
            answer = CancelSessionAnswer.decode(es9.octets_of(request.body, "cancelSessionResponse"))
            assert isinstance(answer, CancelSessionAnswer)
            return CancelReason(answer.reason)
    return None


# --- the good way ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("curve", ["P-256", "brainpoolP256r1"])
@pytest.mark.parametrize("replaced", [True, False], ids=["own keys", "session keys"])
def test_a_whole_download(curve: str, replaced: bool) -> None:
    wire = make_wire(shared_pki(curve), replace_session_keys=replaced)
    outcome = wire.download()
    assert (outcome.iccid, outcome.name, outcome.provider) == (CONTENTS.iccid, "IoT one", "rprov test")
    assert outcome.enabled
    assert outcome.notified
    profile = wire.card.enabled_profile()
    assert profile is not None
    assert profile.contents == CONTENTS
    assert wire.card.state.notifications == ()
    assert wire.server.store.order().state is OrderState.INSTALLED
    assert wire.functions == [
        "initiateAuthentication",
        "authenticateClient",
        "getBoundProfilePackage",
        "handleNotification",
        "handleNotification",
    ]


def test_step_5_knows_it_as_a_provisioner_only() -> None:
    protocol: Provisioner = Lpa("MATCH-1")
    server = ProvisioningServer(ProvisioningProtocol.SGP22, SMDP_FQDN, (IPv4Address("127.0.0.1"),), 8443)
    wire = make_wire(port=8443)
    assert wire.run(protocol.begin(server, EID)).iccid == CONTENTS.iccid
    posts = [request for request in wire.seen if isinstance(request, Post)]
    assert posts[0].body["smdpAddress"] == f"{SMDP_FQDN}:8443"


def test_on_the_usual_port_the_address_has_none() -> None:
    server = ProvisioningServer(ProvisioningProtocol.SGP22, SMDP_FQDN, (IPv4Address("127.0.0.1"),), 443)
    wire = make_wire()
    wire.run(Lpa().begin(server, EID))
    first = next(request for request in wire.seen if isinstance(request, Post))
    assert first.body["smdpAddress"] == SMDP_FQDN


def test_a_profile_may_be_left_disabled() -> None:
    wire = make_wire()
    assert not wire.download(Lpa("MATCH-1", enable=False)).enabled
    assert wire.card.enabled_profile() is None


def test_a_second_profile_takes_over_and_the_server_hears_of_both() -> None:
    wire = make_wire()
    wire.download()
    wire.server.store.orders.append(make_order(OTHER_CONTENTS, matching_id="MATCH-2"))
    outcome = wire.download(Lpa("MATCH-2"))
    assert outcome.iccid == OTHER_CONTENTS.iccid
    assert [profile.enabled for profile in wire.card.state.profiles] == [False, True]
    assert wire.card.state.notifications == ()


def test_requests_do_not_print_what_they_carry() -> None:
    wire = make_wire()
    wire.download()
    for request in wire.seen:
        assert repr(request) == (f"Post(path={request.path!r})" if isinstance(request, Post) else "CardCommand()")


# --- what an LPA checks ----------------------------------------------------------------------------------------------

Change = Callable[[dict[str, Any]], None]


def answering(function: Function, change: Change) -> Callable[[Request, Answer], Answer]:
    """Change the server's answer to one function."""

    def tamper(request: Request, answer: Answer) -> Answer:
        if isinstance(request, Post) and request.path == function.path and isinstance(answer, dict):
            changed = json.loads(json.dumps(answer))
            change(changed)
            assert isinstance(changed, dict)
            return changed
        return answer

    return tamper


def signed_by_server(raw: bytes) -> dict[str, str]:
    return {
        "serverSigned1": es9.base64_of(raw),
        "serverSignature1": es9.base64_of(signature_do(sign(PKI.dp_auth.key, raw))),
    }


def test_another_card_in_the_device() -> None:
    wire = make_wire()
    assert str(EID) in failure(wire, eid=OTHER_EID)
    assert wire.functions == []


def test_a_server_that_signs_another_address() -> None:
    def change(answer: dict[str, Any]) -> None:
        signed = ServerSigned1.decode(es9.octets_of(answer, "serverSigned1"))
        forged = ServerSigned1.build(
            signed.transaction_id, signed.euicc_challenge, "evil.example", signed.server_challenge
        )
        answer.update(signed_by_server(forged.raw))

    wire = make_wire()
    wire.tamper = answering(Function.INITIATE_AUTHENTICATION, change)
    assert "signed the address evil.example" in failure(wire)
    assert wire.functions == ["initiateAuthentication"]


def test_a_server_that_is_not_the_one_contacted() -> None:
    assert "8.8.1/3.8" in failure(make_wire(), address="other.example.com")


@pytest.mark.parametrize("function", ANSWERED)
def test_a_transaction_that_changes_under_way(function: Function) -> None:
    wire = make_wire()
    wire.tamper = answering(function, lambda answer: answer.update(transactionId="AB" * 16))
    assert "transaction" in failure(wire)
    assert (cancelled(wire) is None) == (function is Function.INITIATE_AUTHENTICATION)


def test_a_second_proof_for_another_transaction() -> None:
    wire = make_wire()
    raw = SmdpSigned2.build(b"another", False).raw
    wire.tamper = answering(Function.AUTHENTICATE_CLIENT, lambda answer: answer.update(smdpSigned2=es9.base64_of(raw)))
    assert "another transaction" in failure(wire)
    assert cancelled(wire) is CancelReason.UNDEFINED


def test_metadata_shown_are_the_metadata_installed() -> None:
    wire = make_wire()
    shown = es9.base64_of(metadata_of(OTHER_CONTENTS))
    wire.tamper = answering(Function.AUTHENTICATE_CLIENT, lambda answer: answer.update(profileMetadata=shown))
    assert "other metadata" in failure(wire)
    assert cancelled(wire) is CancelReason.METADATA_MISMATCH
    assert wire.server.store.order().state is OrderState.RELEASED


def test_policy_rules_that_nobody_agreed_to() -> None:
    elements = open_tlv(metadata_of(CONTENTS), 0xBF25, "x").rest()
    ruled = es9.base64_of(tlv(0xBF25, *(item.raw for item in elements), tlv(0x99, b"\x06\x40")))
    wire = make_wire()
    wire.tamper = answering(Function.AUTHENTICATE_CLIENT, lambda answer: answer.update(profileMetadata=ruled))
    assert "policy rules" in failure(wire)
    assert cancelled(wire) is CancelReason.PPR_NOT_ALLOWED


def test_a_package_that_is_none() -> None:
    wire = make_wire()
    garbage = es9.base64_of(tlv(0xBF36, tlv(0xBF23)))
    wire.tamper = answering(Function.BOUND_PROFILE_PACKAGE, lambda answer: answer.update(boundProfilePackage=garbage))
    assert "bound profile package" in failure(wire)
    assert cancelled(wire) is CancelReason.LOAD_BPP_ERROR


def test_a_confirmation_code_that_is_not_there() -> None:
    wire = make_wire()
    wire.server.store.change(CONTENTS.iccid, confirmation=CodeHash.of_code("1"))
    assert "confirmation code" in failure(wire)
    assert cancelled(wire) is CancelReason.POSTPONED
    with pytest.raises(Refused, match="needs a confirmation code"):
        Lpa.of_code(ActivationCode.parse("LPA:1$h$M$$1"))


def test_an_activation_code_that_names_the_server() -> None:
    assert make_wire().download(Lpa("MATCH-1", smdp_oid="2.999.10")).notified
    assert "another one than the activation code names" in failure(make_wire(), Lpa("MATCH-1", smdp_oid="2.999.11"))


# --- errors of card and server come out ------------------------------------------------------------------------------


def test_a_server_certificate_of_another_role() -> None:
    wire = make_wire(auth=PKI.make_dp_auth(policies=(Role.DP_TLS.oid,)))
    text = failure(wire)
    assert "the card refused AuthenticateServer: 1 invalid certificate" in text
    assert "has role DP_TLS" in text
    assert wire.functions == ["initiateAuthentication", "authenticateClient"]  # the server hears of it


def test_a_server_certificate_of_another_ci() -> None:
    text = failure(make_wire(auth=PKI.make_dp_auth(PKI.other_ci)))
    assert "the card refused AuthenticateServer: 1 invalid certificate" in text
    assert "issuer CN=another CI" in text


def test_a_ci_that_the_card_does_not_know() -> None:
    wire = make_wire()
    other = es9.base64_of(tlv(0x04, bytes(20)))
    wire.tamper = answering(Function.INITIATE_AUTHENTICATION, lambda answer: answer.update(euiccCiPKIdToBeUsed=other))
    assert "7 unknown ci: the card does not know the certificate issuer" in failure(wire)


def test_a_binding_certificate_of_another_server() -> None:
    wire = make_wire()
    other = PKI.make_dp_pb(oid="2.999.11")
    certificate = es9.base64_of(certificate_octets(other.certificate))
    wire.tamper = answering(Function.AUTHENTICATE_CLIENT, lambda answer: answer.update(smdpCertificate=certificate))
    text = failure(wire)
    assert "the card refused PrepareDownload: 1 invalid certificate" in text
    assert "another server" in text


def test_a_bad_signature_of_the_server() -> None:
    wire = make_wire()
    forged = es9.base64_of(signature_do(bytes(64)))
    wire.tamper = answering(Function.INITIATE_AUTHENTICATION, lambda answer: answer.update(serverSignature1=forged))
    assert "2 invalid signature: the SM-DP+'s signature does not verify" in failure(wire)


def test_the_servers_words_come_out_and_the_card_is_free_again() -> None:
    wire = make_wire()
    assert "the SM-DP+ refused authenticateClient: 8.2.6/3.8" in failure(wire, Lpa("NO-SUCH"))
    assert cancelled(wire) is None  # the server has ended the transaction itself
    assert wire.download().notified


def test_a_card_that_answers_with_a_status() -> None:
    wire = make_wire()
    wire.tamper = lambda request, answer: (
        NOT_NOW if isinstance(request, CardCommand) and request.octets.startswith(b"\xbf\x36") else answer
    )
    assert "the card answered piece 1 of" in (text := failure(wire))
    assert "6985" in text
    assert cancelled(wire) is CancelReason.UNDEFINED


def test_a_card_that_says_nothing_at_the_end() -> None:
    wire = make_wire()

    def tamper(request: Request, answer: Answer) -> Answer:
        silent = isinstance(answer, bytes) and answer.startswith(b"\xbf\x37")
        return b"\x90\x00" if silent else answer

    wire.tamper = tamper
    with pytest.raises(Refused, match="does not say that it is installed"):
        wire.download()


@pytest.mark.parametrize("octets", [b"", b"\x90", b"\xbf\x2e\x00\x90\x00", b"garbage\x90\x00", b"\x6f\x00"])
@pytest.mark.parametrize("tag", ["BF3E", "BF2E", "BF20", "BF38", "BF21", "BF36"])
def test_garbage_from_the_card_ends_in_a_refusal(tag: str, octets: bytes) -> None:
    wire = make_wire()
    wire.tamper = lambda request, answer: (
        octets if isinstance(request, CardCommand) and request.octets.startswith(bytes.fromhex(tag)) else answer
    )
    failure(wire)


GARBAGE: list[Any] = [
    None,
    {},
    {"header": {}},
    {"header": {"functionExecutionStatus": {"status": "Executed-Success"}}},
    {"header": {"functionExecutionStatus": {"status": 7}}},
    {"header": {"functionExecutionStatus": {"status": "Expired"}}},
    {"header": {"functionExecutionStatus": {"status": "Failed", "statusCodeData": {"subjectCode": 8}}}},
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=str)
@pytest.mark.parametrize("function", ANSWERED)
def test_garbage_from_the_server_ends_in_a_refusal(function: Function, garbage: Any) -> None:
    wire = make_wire()
    wire.tamper = lambda request, answer: (
        garbage if isinstance(request, Post) and request.path == function.path else answer
    )
    failure(wire)


@given(st.data())
def test_a_member_of_an_answer_that_is_garbage(drawn: st.DataObject) -> None:
    function = drawn.draw(st.sampled_from(ANSWERED))
    value = drawn.draw(st.one_of(st.none(), st.text(max_size=9), st.binary(max_size=40).map(es9.base64_of)))

    def change(answer: dict[str, Any]) -> None:
        answer[drawn.draw(st.sampled_from(sorted(set(answer) - {"header"})))] = value

    wire = make_wire()
    wire.tamper = answering(function, change)
    failure(wire)


def test_a_strangers_text_does_not_reach_the_terminal_as_it_is() -> None:
    wire = make_wire()
    body = es9.failure(Status("8.1", "4.2", "x"), "\x1b[31m" + "y" * 1000)
    wire.tamper = lambda request, answer: body if isinstance(request, Post) else answer
    text = failure(wire)
    assert "\x1b" not in text
    assert len(text) < 400


# --- interruptions and notifications ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(3))
def test_a_link_that_breaks_leaves_the_card_as_it_was(number: int) -> None:
    wire = make_wire()
    broken = ANSWERED[number].path

    def tamper(request: Request, answer: Answer) -> Answer:
        if isinstance(request, Post) and request.path in (broken, Function.CANCEL_SESSION.path):
            raise Refused(Cause.RADIO_LINK_LOST)
        return answer

    wire.tamper = tamper
    state = wire.card.state
    with pytest.raises(Refused) as caught:
        wire.download()
    assert caught.value.cause is Cause.RADIO_LINK_LOST
    assert wire.card.state is state
    wire.tamper = lambda request, answer: answer
    assert wire.download().notified


def test_a_result_that_cannot_be_delivered_waits_for_the_next_time() -> None:
    wire = make_wire()

    def tamper(request: Request, answer: Answer) -> Answer:
        if isinstance(request, Post) and request.path == Function.HANDLE_NOTIFICATION.path:
            raise Refused(Cause.RADIO_LINK_LOST)
        return answer

    ask = wire.server.ask
    wire.server.ask = lambda function, body: (  # type: ignore[method-assign]
        None if function is Function.HANDLE_NOTIFICATION else ask(function, body)
    )
    wire.tamper = tamper
    outcome = wire.download()
    assert outcome.enabled
    assert not outcome.notified
    assert wire.server.store.order().state is OrderState.DOWNLOADED
    assert len(wire.card.state.notifications) == 2
    wire.server.ask = ask  # type: ignore[method-assign]
    wire.tamper = lambda request, answer: answer
    assert wire.run(lpa_card.deliver(SMDP_FQDN)) is True
    assert wire.server.store.order().state is OrderState.INSTALLED
    assert wire.card.state.notifications == ()


def test_what_the_server_does_not_take_stays_on_the_card() -> None:
    wire = make_wire()
    wire.tamper = answering_none_with(es9.failure(Status("8.1", "6.1", "no")))
    assert not wire.download().notified
    assert len(wire.card.state.notifications) == 2


def answering_none_with(body: dict[str, Any]) -> Callable[[Request, Answer], Answer]:
    return lambda request, answer: (
        body if isinstance(request, Post) and request.path == Function.HANDLE_NOTIFICATION.path else answer
    )


def test_a_server_that_answers_a_notification_with_a_body_has_taken_it() -> None:
    wire = make_wire()
    wire.tamper = answering_none_with(es9.success())
    assert wire.download().notified


def test_notifications_for_others_are_left_alone() -> None:
    wire = make_wire()
    wire.download()
    es10_calls.disable_profile(wire.card.execute, CONTENTS.iccid)
    assert wire.run(lpa_card.deliver("other.example.com")) is True
    assert len(wire.card.state.notifications) == 1


def test_a_profile_that_is_there_already_is_settled_with_the_server() -> None:
    """The result of the first download was lost, the order is repeated, the card refuses: all is well in the end."""
    wire = make_wire()

    def lose(request: Request, answer: Answer) -> Answer:
        if isinstance(request, Post) and request.path == Function.HANDLE_NOTIFICATION.path:
            raise Refused(Cause.RADIO_LINK_LOST)
        return answer

    ask = wire.server.ask
    wire.server.ask = lambda function, body: (  # type: ignore[method-assign]
        None if function is Function.HANDLE_NOTIFICATION else ask(function, body)
    )
    wire.tamper = lose
    wire.download()
    wire.server.ask = ask  # type: ignore[method-assign]
    wire.tamper = lambda request, answer: answer
    with pytest.raises(Refused, match="9 iccid exists"):
        wire.download()
    assert wire.server.store.order().state is OrderState.INSTALLED
    assert wire.card.state.notifications == ()


def test_a_shell_that_answers_with_the_wrong_thing() -> None:
    dialogue = Lpa().download(SMDP_FQDN, EID)
    assert isinstance(next(dialogue), CardCommand)
    with pytest.raises(Misuse):
        dialogue.send({})
    with pytest.raises(Misuse):
        es10_calls.call(make_card(PKI).execute, Lpa("MATCH-1").download(SMDP_FQDN, EID))


def test_switching_a_profile_that_is_not_there() -> None:
    card = make_card(PKI)
    for function in (es10_calls.enable_profile, es10_calls.disable_profile, es10_calls.delete_profile):
        with pytest.raises(Refused, match="1 not found: there is no such profile"):
            function(card.execute, CONTENTS.iccid)


# --- texts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("1$SMDP.GSMA.COM$04386-AGYFT-A74Y8-3F815", ActivationCode("SMDP.GSMA.COM", "04386-AGYFT-A74Y8-3F815")),
        (
            "LPA:1$SMDP.GSMA.COM$04386-AGYFT-A74Y8-3F815$1.3.6.1.4.1.31746",
            ActivationCode("SMDP.GSMA.COM", "04386-AGYFT-A74Y8-3F815", "1.3.6.1.4.1.31746"),
        ),
        (
            "LPA:1$SMDP.GSMA.COM$04386-AGYFT-A74Y8-3F815$1.3.6.1.4.1.31746$1",
            ActivationCode("SMDP.GSMA.COM", "04386-AGYFT-A74Y8-3F815", "1.3.6.1.4.1.31746", True),
        ),
        ("LPA:1$h:8443$$$1", ActivationCode("h:8443", confirmation_required=True)),
        ("LPA:1$SMDP.GSMA.COM$", ActivationCode("SMDP.GSMA.COM")),
    ],
)
def test_activation_codes(text: str, code: ActivationCode) -> None:
    assert ActivationCode.parse(text) == code
    assert code.format() == "LPA:" + text.removeprefix("LPA:")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "LPA:",
        "1$host",
        "2$host$ID",
        "1$$ID",
        "1$host$id",
        "1$ho st$ID",
        "1$host$ID$x",
        "1$host$ID$$2",
        "1$host$ID$$1$",
        "1$-h$ID",
        "1$host:$ID",
        "LPA:1$h$" + "A" * 250,
    ],
)
def test_texts_that_are_no_activation_codes(text: str) -> None:
    with pytest.raises(DecodeError):
        ActivationCode.parse(text)


@given(st.text(alphabet="LPA:1$host.ID-29", max_size=40))
def test_any_text_is_an_activation_code_or_a_decode_error(text: str) -> None:
    try:
        code = ActivationCode.parse(text)
    except DecodeError:
        return
    assert ActivationCode.parse(code.format()) == code


def test_codes_of_different_functions_with_one_number_have_their_own_words() -> None:
    assert "another server" in meaning(PrepareError, 1)
    assert "chosen CI" in meaning(AuthenticateError, 1)
    assert meaning(BppError, 1) == "1 incorrect input: a value that the card cannot take"
    assert meaning(CancelError, 127) == "127 undefined"
    assert meaning(StateChange, 99) == "99, which is no StateChange"


@given(st.binary(max_size=80))
def test_any_body_is_an_object_or_a_decode_error(octets: bytes) -> None:
    try:
        body = es9.decode_body(octets)
    except DecodeError:
        return
    assert isinstance(body, dict)


@pytest.mark.parametrize(
    "octets", [b"[]", b"7", b"\xff", b'{"a":', b"[" * 100000, b'{"a":' * 60 + b"1", b" " * (es9.MAX_BODY + 1)]
)
def test_bodies_that_are_refused(octets: bytes) -> None:
    with pytest.raises(DecodeError):
        es9.decode_body(octets)


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=5))
def test_a_body_comes_back(body: dict[str, str]) -> None:
    assert es9.decode_body(es9.encode_body(body)) == body


@pytest.mark.parametrize("value", [None, 7, "=", "a", "abc", "äöü=", "YQ==="])
def test_members_that_are_not_base64(value: Any) -> None:
    with pytest.raises(DecodeError):
        es9.octets_of({"x": value}, "x")


def test_base64_with_line_breaks_is_read() -> None:
    assert es9.octets_of({"x": "YWJj\r\nZGVm\n"}, "x") == b"abcdef"


@pytest.mark.parametrize("value", [None, "", "ABC", "xy", "00" * 17])
def test_transactions_that_are_none(value: Any) -> None:
    with pytest.raises(DecodeError):
        es9.transaction_of({"transactionId": value})


def test_the_confirmation_hash_is_that_of_the_standard() -> None:
    inner = hashlib.sha256(b"4711").digest()
    expected = hashlib.sha256(inner + b"transaction").digest()
    code = CodeHash.of_code("4711")
    assert code.for_transaction(b"transaction") == expected
    assert code.fits(expected, b"transaction")
    assert not code.fits(expected, b"another")
    assert not code.fits(b"", b"transaction")
