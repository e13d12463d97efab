"""EAP's lock-step at both ends, with methods that only count."""

import pytest
from cryptography.x509 import Certificate
from doubles.pki import shared_pki

from rprov.auth.eap.method import Ask, Deny, Done, GaveUp, Proved, Reply
from rprov.auth.eap.peer import Denied, EapPeer, SendResponse
from rprov.auth.eap.server import MAX_ROUNDS, EapServer, GivenUp, PeerKnown, SendRequest, Succeeded
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


def test_a_response_to_another_request_gets_the_outstanding_one_again():
    method = ServerDouble(Ask(b"1"))
    server = EapServer(method)
    server.begin()
    outstanding = server.on_packet(response(1))
    for identifier in (1, 0, 3, 255):
        assert server.on_packet(response(identifier)) is outstanding
    assert method.fed == [b"data"]


def test_repetitions_have_a_bound():
    method = ServerDouble()
    server = EapServer(method)
    server.begin()
    outcomes = [server.on_packet(response(99)) for _ in range(MAX_ROUNDS)]
    assert all(isinstance(outcome, SendRequest) for outcome in outcomes[:-1])
    assert isinstance(outcomes[-1], GivenUp)
    assert method.closed == 1


def test_rounds_have_a_bound():
    server = EapServer(ServerDouble(*[Ask(b"")] * 100))
    outcome = server.begin()
    rounds = 1
    while isinstance(outcome, SendRequest):
        outcome = server.on_packet(response(decode(outcome.packet).identifier))
        rounds += 1
    assert isinstance(outcome, GivenUp)
    assert rounds == MAX_ROUNDS + 1


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\xff",
        b"\x02\x01\x00\x04",
        encode(Success(1)),
        encode(Failure(1)),
        request(1),
        response(1, bytes((18,)), EapType.NAK),
        response(1, b"me", EapType.IDENTITY),
        response(1, b"", EapType.NOTIFICATION),
        response(1, b"x", 50),
    ],
)
def test_anything_but_a_response_of_the_method_ends_in_failure(octets):
    method = ServerDouble()
    server = EapServer(method)
    server.begin()
    outcome = server.on_packet(octets)
    assert isinstance(outcome, GivenUp)
    assert decode(outcome.packet) == Failure(1)
    assert method.fed == []
    assert method.closed == 1


def test_nothing_changes_after_the_end():
    for last in (Done(MSK, EMSK), GaveUp(Cause.EAP_FAILED, "no")):
        method = ServerDouble(last)
        server = EapServer(method)
        server.begin()
        outcome = server.on_packet(response(1))
        for octets in (response(1), response(2), b"", encode(Success(1))):
            assert server.on_packet(octets) is outcome
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
    known = server.on_packet(response(1))
    assert known == PeerKnown(shared_pki().device.certificate)
    assert server.on_packet(response(1)) is known
    assert server.on_packet(b"") is known
    assert decode(server.authorise().packet) == Request(2, 13, b"commitment")
    with pytest.raises(Misuse):
        server.authorise()
    with pytest.raises(Misuse):
        server.refuse(Cause.NO_ORDER)
    assert isinstance(server.on_packet(response(2)), Succeeded)


@pytest.mark.parametrize("last", [response(2), response(2, b"x", 50), b"", encode(Success(2))])
def test_the_cause_of_a_refusal_survives_whatever_comes_after_it(last):
    server = EapServer(ServerDouble(Proved(shared_pki().device.certificate), GaveUp(Cause.EAP_FAILED, "acknowledged")))
    server.begin()
    server.on_packet(response(1))
    server.refuse(Cause.NO_ORDER)
    assert server.on_packet(last) == GivenUp(encode(Failure(2)), Cause.NO_ORDER, "no order")


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
    assert method.fed == [b"data"]


def test_another_method_is_answered_with_nak_at_the_start_only():
    peer = EapPeer(PeerDouble(Reply(b"a")))
    assert peer.on_packet(request(1, b"", 50)) == SendResponse(response(1, bytes((13,)), EapType.NAK))
    assert peer.on_packet(request(2, b"start")) == SendResponse(response(2, b"a"))
    assert isinstance(peer.on_packet(request(3, b"", 50)), Denied)


def test_identity_says_nothing_and_a_notification_is_acknowledged():
    peer = EapPeer(PeerDouble(Reply(b"a")))
    assert peer.on_packet(request(1, b"who?", EapType.IDENTITY)) == SendResponse(response(1, b"", EapType.IDENTITY))
    notified = peer.on_packet(request(2, b"hello", EapType.NOTIFICATION))
    assert notified == SendResponse(response(2, b"", EapType.NOTIFICATION))
    assert peer.on_packet(request(3)) == SendResponse(response(3, b"a"))


@pytest.mark.parametrize("octets", [b"", b"\x01\x01\x00\x04", encode(Success(1)), encode(Failure(1)), response(1)])
def test_packets_out_of_place_are_denied(octets):
    for begun in (False, True):
        method = PeerDouble(Reply(b"a"))
        peer = EapPeer(method)
        if begun:
            peer.on_packet(request(1))
        denied = peer.on_packet(octets)
        assert isinstance(denied, Denied)
        assert denied.packet is None
        assert method.closed == 1
        assert peer.on_packet(request(2)) is denied  # and it stays so


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
    for octets in (request(2), request(3), encode(Failure(2)), encode(Success(9)), b"", response(1)):
        assert peer.on_packet(octets) is last
    peer.accept_success(encode(Success(2)))


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
