"""EAP's lock-step at both ends, with methods that only count."""

import pytest
from cryptography.x509 import Certificate
from doubles.pki import shared_pki

from rprov.auth.eap.method import Ask, Deny, Done, GaveUp, Proved, Reply
from rprov.auth.eap.peer import Denied, EapPeer, SendResponse
from rprov.auth.eap.server import (
    MAX_RETRANSMISSIONS,
    MAX_ROUNDS,
    EapServer,
    GivenUp,
    Ignored,
    PeerKnown,
    SendRequest,
    Succeeded,
)
from rprov.auth.eap.states import PeerState, ServerState
from rprov.causes import Cause
from rprov.crypto.hierarchy import Emsk, Msk
from rprov.errors import Misuse, Refused
from rprov.wire.eap import EapType, Failure, Request, Response, Success, decode, encode

MSK, EMSK = Msk(bytes(64)), Emsk(bytes([1]) * 64)


class ServerDouble:
    """Gives the steps it was made with, and remembers what it was fed."""

    type = EapType.TLS

    def __init__(self, *steps) -> None:
        self.steps = list(steps)
        self.fed: list[bytes] = []
        self.closed = 0
        self.certificate: Certificate = shared_pki().device.certificate

    def begin(self):
        return Ask(b"start")

    def on_data(self, data):
        self.fed.append(data)
        return self.steps.pop(0)

    def authorise(self):
        return Ask(b"commitment")

    def refuse(self, cause):
        return Ask(b"goodbye", ending=GaveUp(cause, "no order"))

    def close(self):
        self.closed += 1


class PeerDouble:
    """Answers as it was told to."""

    type = EapType.TLS

    def __init__(self, *steps) -> None:
        self.steps = list(steps)
        self.fed: list[bytes] = []
        self.closed = 0

    def on_data(self, data):
        self.fed.append(data)
        return self.steps.pop(0)

    def close(self):
        self.closed += 1


def response(identifier: int, data: bytes = b"data", kind: int = EapType.TLS) -> bytes:
    return encode(Response(identifier, kind, data))


def request(identifier: int, data: bytes = b"data", kind: int = EapType.TLS) -> bytes:
    return encode(Request(identifier, kind, data))


# --- server -------------------------------------------------------------------------------------------------------


def test_identifiers_count_up_and_wrap():
    server = EapServer(ServerDouble(Ask(b"1"), Ask(b"2")), identifier=254)
    assert decode(server.begin().packet) == Request(254, 13, b"start")
    assert decode(server.on_packet(response(254)).packet) == Request(255, 13, b"1")
    assert decode(server.on_packet(response(255)).packet) == Request(0, 13, b"2")


def test_success_and_failure_carry_the_identifier_of_the_response():
    method = ServerDouble(Ask(b"1"), Done(MSK, EMSK))
    server = EapServer(method, identifier=7)
    server.begin()
    server.on_packet(response(7))
    outcome = server.on_packet(response(8))
    assert outcome == Succeeded(encode(Success(8)), MSK, EMSK)
    assert method.closed == 1
    server = EapServer(ServerDouble(GaveUp(Cause.EAP_FAILED, "no")), identifier=7)
    server.begin()
    assert server.on_packet(response(7)) == GivenUp(encode(Failure(7)), Cause.EAP_FAILED, "no")


def test_a_response_to_another_request_is_discarded():
    method = ServerDouble(Ask(b"1"))
    server = EapServer(method)
    server.begin()
    outstanding = server.on_packet(response(1))
    for identifier in (1, 0, 3, 255):
        assert server.on_packet(response(identifier)) == Ignored()
        assert server.passed[-2:] == (ServerState.DISCARD, ServerState.IDLE)
    assert method.fed == [b"data"]
    assert server.again() is outstanding


def test_a_request_is_repeated_octet_for_octet_and_not_for_ever():
    method = ServerDouble(Ask(b"1"), Ask(b"2"))
    server = EapServer(method)
    server.begin()
    for identifier in (1, 2):  # each request has its own repetitions
        outstanding = server.on_packet(response(identifier))
        for _ in range(MAX_RETRANSMISSIONS):
            assert server.again() is outstanding
            assert server.passed == (ServerState.RETRANSMIT, ServerState.IDLE)
    outcome = server.again()
    assert outcome == GivenUp(encode(Failure(3)), Cause.AUTHENTICATION_TIMEOUT, "the peer does not answer")
    assert server.state is ServerState.TIMEOUT_FAILURE
    assert method.closed == 1
    assert server.again() == Ignored()


def test_rounds_have_a_bound():
    server = EapServer(ServerDouble(*[Ask(b"")] * 100))
    outcome = server.begin()
    rounds = 1
    while isinstance(outcome, SendRequest):
        outcome = server.on_packet(response(decode(outcome.packet).identifier))
        rounds += 1
    assert isinstance(outcome, GivenUp)
    assert rounds == MAX_ROUNDS + 1


@pytest.mark.parametrize("expanded", [False, True])
@pytest.mark.parametrize(
    ("wanted", "says"), [((), "no other"), ((21,), "21"), ((18, 25), "18, 25"), ((0,), "no other")]
)
def test_a_nak_to_the_first_request_ends_in_failure_and_says_what_is_wanted(wanted, says, expanded):
    data = b"".join(b"\xfe" + bytes(6) + bytes((kind,)) for kind in wanted) if expanded else bytes(wanted)
    method = ServerDouble()
    server = EapServer(method)
    server.begin()
    outcome = server.on_packet(encode(Response(1, EapType.NAK, data, expanded)))
    assert isinstance(outcome, GivenUp)
    assert decode(outcome.packet) == Failure(1)
    assert outcome.detail.endswith(f"(Nak), and wants {says}")
    assert (method.fed, method.closed) == ([], 1)
    assert server.passed[-3:] == (ServerState.NAK, ServerState.SELECT_ACTION, ServerState.FAILURE)


def test_nothing_changes_after_the_end():
    for last in (Done(MSK, EMSK), GaveUp(Cause.EAP_FAILED, "no")):
        method = ServerDouble(last)
        server = EapServer(method)
        server.begin()
        outcome = server.on_packet(response(1))
        for octets in (response(1), response(2), b"", encode(Success(1))):
            assert server.on_packet(octets) == Ignored()
        assert server.abandon(Cause.AUTHENTICATION_TIMEOUT, "late") is outcome
        assert method.fed == [b"data"]
        assert method.closed == 1
        with pytest.raises(Misuse):
            server.authorise()


def test_nothing_reaches_the_method_while_the_owner_decides():
    method = ServerDouble(Proved(shared_pki().device.certificate), Done(MSK, EMSK))
    server = EapServer(method)
    server.begin()
    with pytest.raises(Misuse):
        server.authorise()
    assert server.on_packet(response(1)) == PeerKnown(shared_pki().device.certificate)
    assert server.state is ServerState.METHOD_RESPONSE
    assert server.on_packet(response(1)) == server.on_packet(b"") == server.again() == Ignored()
    assert decode(server.authorise().packet) == Request(2, 13, b"commitment")
    with pytest.raises(Misuse):
        server.authorise()
    with pytest.raises(Misuse):
        server.refuse(Cause.NO_ORDER)
    assert isinstance(server.on_packet(response(2)), Succeeded)


@pytest.mark.parametrize("between", [response(1), response(2, b"x", 50), b"", encode(Success(2)), encode(Failure(2))])
def test_the_cause_of_a_refusal_survives_whatever_comes_after_it(between):
    server = EapServer(ServerDouble(Proved(shared_pki().device.certificate), GaveUp(Cause.EAP_FAILED, "acknowledged")))
    server.begin()
    server.on_packet(response(1))
    server.refuse(Cause.NO_ORDER)
    assert server.on_packet(between) == Ignored()
    assert server.on_packet(response(2)) == GivenUp(encode(Failure(2)), Cause.NO_ORDER, "no order")


def test_an_identity_is_asked_for_first_where_somebody_wants_it():
    server = EapServer(ServerDouble(Done(MSK, EMSK)), identifier=9)
    assert decode(server.begin(ask_identity=True).packet) == Request(9, EapType.IDENTITY, b"")
    assert server.on_packet(response(9)) == Ignored(), "a method that nobody has proposed"
    started = server.on_packet(response(9, b"@example.org", EapType.IDENTITY))
    assert decode(started.packet) == Request(10, 13, b"start")
    assert server.on_packet(response(10, b"@example.org", EapType.IDENTITY)) == Ignored()
    assert isinstance(server.on_packet(response(10)), Succeeded)


def test_an_exchange_begins_once_and_before_anything_else():
    server = EapServer(ServerDouble())
    with pytest.raises(Misuse):
        server.on_packet(response(1))
    server.begin()
    with pytest.raises(Misuse):
        server.begin()


def test_an_exchange_can_be_abandoned():
    method = ServerDouble()
    server = EapServer(method)
    server.begin()
    outcome = server.abandon(Cause.AUTHENTICATION_TIMEOUT, "silent")
    assert outcome == GivenUp(encode(Failure(1)), Cause.AUTHENTICATION_TIMEOUT, "silent")
    assert method.closed == 1


# --- peer ---------------------------------------------------------------------------------------------------------


def test_a_peer_answers_with_the_identifier_of_the_request():
    peer = EapPeer(PeerDouble(Reply(b"a"), Reply(b"b")))
    assert peer.on_packet(request(9)) == SendResponse(response(9, b"a"))
    assert peer.on_packet(request(200)) == SendResponse(response(200, b"b"))


def test_a_repeated_request_gets_the_same_octets_and_does_not_reach_the_method():
    method = PeerDouble(Reply(b"a"))
    peer = EapPeer(method)
    first = peer.on_packet(request(9))
    assert peer.on_packet(request(9)) is first
    assert peer.on_packet(request(9, b"something else")) is first
    assert peer.passed == tuple(PeerState(name) for name in ("RECEIVED", "RETRANSMIT", "SEND_RESPONSE", "IDLE"))
    assert method.fed == [b"data"]


def test_another_method_is_answered_with_nak_at_the_start_only():
    peer = EapPeer(PeerDouble(Reply(b"a")))
    assert peer.on_packet(request(1, b"", 50)) == SendResponse(response(1, bytes((13,)), EapType.NAK))
    assert peer.on_packet(request(2, b"start")) == SendResponse(response(2, b"a"))
    assert peer.on_packet(request(3, b"", 50)) == Ignored()


@pytest.mark.parametrize(
    "asked",
    [
        "fe 000000 00000015 01",  # EAP-TTLS in the long form
        "fe 000137 0000000d 00",  # a type 13 of a vendor
        "fe 000000 0000010d",
        "fe 000000 00000000",
    ],
)
def test_an_expanded_type_is_answered_with_an_expanded_nak(asked):
    peer = EapPeer(PeerDouble(Reply(b"a")))
    body = bytes.fromhex(asked)
    answer = peer.on_packet(bytes((1, 7, 0, 4 + len(body))) + body)
    assert answer.packet == bytes.fromhex("02 07 0014 fe 000000 00000003 fe 000000 0000000d")
    assert peer.on_packet(request(8)) == SendResponse(response(8, b"a"))


def test_a_method_in_the_long_form_is_the_same_method_and_answered_in_that_form():
    method = PeerDouble(Reply(b"a"), Reply(b"b"))
    peer = EapPeer(method)
    assert peer.on_packet(bytes.fromhex("01 07 000d fe 000000 0000000d 20")).packet == bytes.fromhex(
        "02 07 000d fe 000000 0000000d 61"
    )
    assert method.fed == [b"\x20"]
    assert peer.on_packet(request(8)) == SendResponse(response(8, b"b"))


def test_identity_says_what_it_was_told_to_and_a_notification_is_acknowledged():
    peer = EapPeer(PeerDouble(Reply(b"a"), Reply(b"b")), identity=b"@example.org")
    identity = peer.on_packet(request(1, b"who?", EapType.IDENTITY))
    assert identity == SendResponse(response(1, b"@example.org", EapType.IDENTITY))
    notified = peer.on_packet(request(2, b"hello", EapType.NOTIFICATION))
    assert notified == SendResponse(response(2, b"", EapType.NOTIFICATION))
    assert peer.on_packet(request(3)) == SendResponse(response(3, b"a"))
    # RFC 3748 5.2: a Notification may come in between; 2.1: an Identity may not
    assert peer.on_packet(request(4, b"hello", EapType.NOTIFICATION)) == SendResponse(response(4, b"", 2))
    assert peer.on_packet(request(5, b"who?", EapType.IDENTITY)) == Ignored()
    assert peer.on_packet(request(6)) == SendResponse(response(6, b"b"))


@pytest.mark.parametrize("octets", [b"", b"\x01\x01\x00\x04", response(1), encode(Success(1)), encode(Failure(1))])
def test_packets_out_of_place_are_discarded_and_the_exchange_goes_on(octets):
    for begun in (False, True):
        method = PeerDouble(Reply(b"a"), Reply(b"b"))
        peer = EapPeer(method)
        if begun:
            peer.on_packet(request(1))
        assert peer.on_packet(octets) == Ignored()
        assert method.closed == 0
        assert isinstance(peer.on_packet(request(2)), SendResponse)


def test_a_failure_is_believed_where_the_method_was_told_of_it_and_after_a_nak():
    told = EapPeer(PeerDouble(Reply(b"a"), Reply(b"", refused=True)))
    told.on_packet(request(1))
    told.on_packet(request(2))
    refused = EapPeer(PeerDouble())
    refused.on_packet(request(2, b"", 50))
    for peer in (told, refused):
        for octets in (encode(Failure(1)), encode(Success(2)), encode(Success(3))):
            assert peer.on_packet(octets) == Ignored()
        assert isinstance(peer.on_packet(encode(Failure(2))), Denied)
        assert peer.state is PeerState.FAILURE
        assert peer.on_packet(request(3)) == Ignored()


def test_a_denial_carries_the_methods_last_word():
    method = PeerDouble(Deny(Cause.NETWORK_NAME_MISMATCH, "other network", b"alert"))
    denied = EapPeer(method).on_packet(request(5))
    assert denied == Denied(Cause.NETWORK_NAME_MISMATCH, "other network", response(5, b"alert"))
    assert method.closed == 1


def test_rounds_of_a_peer_have_a_bound():
    peer = EapPeer(PeerDouble(*[Reply(b"")] * 100))
    outcomes = [peer.on_packet(request(number % 256)) for number in range(MAX_ROUNDS + 1)]
    assert isinstance(outcomes[-2], SendResponse)
    assert isinstance(outcomes[-1], Denied)


def test_once_the_keys_are_there_nothing_unprotected_changes_anything():
    method = PeerDouble(Reply(b"a"), Reply(b"", MSK, EMSK))
    peer = EapPeer(method)
    peer.on_packet(request(1))
    last = peer.on_packet(request(2))
    assert last.emsk == EMSK
    assert method.closed == 1
    assert peer.on_packet(request(2)) is last
    others = (
        request(3),
        request(3, b"", 2),
        encode(Failure(2)),
        encode(Success(2)),
        encode(Success(9)),
        b"",
        response(2),
    )
    for octets in others:
        assert peer.on_packet(octets) == Ignored()
    peer.accept_success(encode(Success(2)))
    assert peer.state is PeerState.SUCCESS
    assert peer.on_packet(request(2)) == Ignored()


def test_success_is_that_of_the_last_round_and_not_before_the_keys():
    peer = EapPeer(PeerDouble(Reply(b"a"), Reply(b"", MSK, EMSK)))
    for octets in (encode(Success(0)), encode(Success(255))):
        with pytest.raises(Refused):
            peer.accept_success(octets)
    peer.on_packet(request(1))
    with pytest.raises(Refused, match="before the server has proved"):
        peer.accept_success(encode(Success(1)))
    peer.on_packet(request(2))
    for octets in (
        encode(Success(1)),
        encode(Success(3)),
        encode(Failure(2)),
        request(2),
        b"",
        b"\x03\x02\x00\x05\x00",
    ):
        with pytest.raises(Refused) as caught:
            peer.accept_success(octets)
        assert caught.value.cause is Cause.EAP_FAILED
    peer.accept_success(encode(Success(2)))
