"""RFC 4137's machines, both ends: every state against every kind of packet, the ways through them, and any octets."""

from collections.abc import Callable
from typing import Any

import pytest
from doubles.pki import shared_pki
from hypothesis import given
from hypothesis import strategies as st

from rprov.auth.eap.method import Ask, Deny, Done, GaveUp, Proved, Reply
from rprov.auth.eap.peer import Denied, EapPeer, SendResponse
from rprov.auth.eap.server import MAX_ROUNDS, EapServer, GivenUp, Ignored, PeerKnown, SendRequest, Succeeded
from rprov.auth.eap.states import MethodState, PeerState, ServerState
from rprov.causes import Cause
from rprov.crypto.hierarchy import Emsk, Msk
from rprov.wire.eap import EapType, Failure, Request, Response, Success, decode, encode

MSK, EMSK = Msk(bytes(64)), Emsk(bytes(64))
ID = 7
"""The identifier of the outstanding request, and of the last answered one."""


class Method:
    """Both halves of a method that does what its type data says."""

    type = EapType.TLS

    def __init__(self) -> None:
        self.closed = 0

    def begin(self):
        return Ask(b"start")

    def authorise(self):
        return Ask(b"commitment")

    def refuse(self, cause):
        return Ask(b"goodbye", ending=GaveUp(cause, "refused"))

    def close(self):
        self.closed += 1


class Server(Method):
    def on_data(self, data):
        certificate = shared_pki().device.certificate
        ends = {b"proved": Proved(certificate), b"done": Done(MSK, EMSK), b"bad": GaveUp(Cause.EAP_FAILED, "bad")}
        return ends.get(data, Ask(b"more"))


class Peer(Method):
    def on_data(self, data):
        ends = {
            b"done": Reply(b"", MSK, EMSK),
            b"bad": Deny(Cause.EAP_FAILED, "bad", b"alert"),
            b"alert": Reply(b"", refused=True),
        }
        return ends.get(data, Reply(b"more"))


def request(identifier: int, data: bytes = b"", kind: int = 13, expanded: bool = False) -> bytes:
    return encode(Request(identifier, kind, data, expanded))


def response(identifier: int, data: bytes = b"", kind: int = 13, expanded: bool = False) -> bytes:
    return encode(Response(identifier, kind, data, expanded))


# --- peer ---------------------------------------------------------------------------------------------------------


def peer_in(*packets: bytes) -> Callable[[], EapPeer]:
    def make() -> EapPeer:
        peer = EapPeer(Peer(), b"@realm")
        for packet in packets:
            peer.on_packet(packet)
        return peer

    return make


def succeeded() -> EapPeer:
    peer = peer_in(request(ID - 1), request(ID, b"done"))()
    peer.accept_success(encode(Success(ID)))
    return peer


PEERS: dict[str, tuple[Callable[[], EapPeer], PeerState, MethodState]] = {
    "fresh": (peer_in(), PeerState.DISABLED, MethodState.NONE),
    "identified": (peer_in(request(ID, b"", 1)), PeerState.IDLE, MethodState.NONE),
    "under way": (peer_in(request(ID)), PeerState.IDLE, MethodState.CONT),
    "refused": (peer_in(request(ID - 1), request(ID, b"alert")), PeerState.IDLE, MethodState.MAY_CONT),
    "proved": (peer_in(request(ID - 1), request(ID, b"done")), PeerState.IDLE, MethodState.DONE),
    "succeeded": (succeeded, PeerState.SUCCESS, MethodState.DONE),
    "failed": (peer_in(request(ID - 1), request(ID, b"bad")), PeerState.FAILURE, MethodState.DONE),
}

TO_PEER: dict[str, bytes] = {
    "the request again": request(ID, b"other"),
    "a request": request(ID + 1),
    "the last request of the method": request(ID + 1, b"done"),
    "a refusal of the method": request(ID + 1, b"alert"),
    "a request that the method denies": request(ID + 1, b"bad"),
    "the method in the long form": request(ID + 1, b"", 13, True),
    "an identity request": request(ID + 1, b"", 1),
    "a notification": request(ID + 1, b"hello", 2),
    "a nak as a request": request(ID + 1, b"\r", 3),
    "another method": request(ID + 1, b"", 21),
    "another method, long form": request(ID + 1, b"", 21, True),
    "a success": encode(Success(ID)),
    "a success of another round": encode(Success(ID + 1)),
    "a failure": encode(Failure(ID)),
    "a failure of another round": encode(Failure(ID + 1)),
    "a response": response(ID),
    "nothing": b"",
    "noise": bytes(range(9)),
    "cut": request(ID + 1)[:-1],
    "an unknown code": b"\x05\x08\x00\x04",
}

S = PeerState
_ANSWER = ("SEND_RESPONSE", "IDLE")
_AGAIN = {"the request again": ("RETRANSMIT", *_ANSWER)}
_NEW_METHOD = {
    "a request": ("GET_METHOD", "METHOD", *_ANSWER),
    "the method in the long form": ("GET_METHOD", "METHOD", *_ANSWER),
    "the last request of the method": ("GET_METHOD", "METHOD", *_ANSWER),
    "a refusal of the method": ("GET_METHOD", "METHOD", *_ANSWER),
    "a request that the method denies": ("GET_METHOD", "METHOD", "FAILURE"),
    "an identity request": ("IDENTITY", *_ANSWER),
    "another method": ("GET_METHOD", *_ANSWER),
    "another method, long form": ("GET_METHOD", *_ANSWER),
}
_METHOD = {
    "a request": ("METHOD", *_ANSWER),
    "the method in the long form": ("METHOD", *_ANSWER),
    "the last request of the method": ("METHOD", *_ANSWER),
    "a refusal of the method": ("METHOD", *_ANSWER),
    "a request that the method denies": ("METHOD", "FAILURE"),
}
_NOTICE = {"a notification": ("NOTIFICATION", *_ANSWER)}
_END = {"a failure": ("FAILURE",)}

PEER_WAYS: dict[str, dict[str, tuple[str, ...]]] = {
    "fresh": {**_NEW_METHOD, **_NOTICE, "the request again": ("GET_METHOD", "METHOD", *_ANSWER)},
    "identified": {**_AGAIN, **_NEW_METHOD, **_NOTICE, **_END},
    "under way": {**_AGAIN, **_METHOD, **_NOTICE},
    "refused": {**_AGAIN, **_METHOD, **_NOTICE, **_END},
    "proved": {**_AGAIN},
}
"""What is not here is discarded; the last two states take nothing at all."""


@pytest.mark.parametrize("kind", TO_PEER)
@pytest.mark.parametrize("where", PEERS)
def test_every_state_of_the_peer_against_every_packet(where: str, kind: str) -> None:
    make, state, method_state = PEERS[where]
    peer = make()
    assert (peer.state, peer.method_state) == (state, method_state)
    before = peer._answer
    outcome = peer.on_packet(TO_PEER[kind])
    if state in (PeerState.SUCCESS, PeerState.FAILURE):
        assert outcome == Ignored()
        assert (peer.state, peer.method_state) == (state, method_state)
        return
    way = PEER_WAYS[where].get(kind, ("DISCARD", "IDLE"))
    begun = ("INITIALIZE", "IDLE") if where == "fresh" else ()
    assert peer.passed == tuple(PeerState(name) for name in (*begun, "RECEIVED", *way))
    assert isinstance(outcome, {"IDLE": SendResponse, "FAILURE": Denied}[way[-1]] if way[0] != "DISCARD" else Ignored)
    if way[0] == "DISCARD":
        assert (peer._answer, peer.method_state) == (before, method_state)
    if way[0] == "RETRANSMIT":
        assert outcome is before


def test_the_tables_name_every_state_of_the_peer() -> None:
    seen = {name for ways in PEER_WAYS.values() for way in ways.values() for name in way}
    seen |= {"DISCARD", "RECEIVED", "INITIALIZE"} | {state for _, state, _ in PEERS.values()}
    assert seen == set(PeerState)


# --- server -------------------------------------------------------------------------------------------------------


def server_in(*packets: bytes, ask_identity: bool = False, decide: bool = False, identifier: int = ID) -> Any:
    def make() -> EapServer:
        server = EapServer(Server(), identifier)
        server.begin(ask_identity=ask_identity)
        for packet in packets:
            server.on_packet(packet)
        if decide:
            server.refuse(Cause.NO_ORDER)
        return server

    return make


B = ID - 1
SERVERS: dict[str, tuple[Callable[[], EapServer], ServerState, MethodState]] = {
    "asks who it is": (server_in(ask_identity=True), ServerState.IDLE, MethodState.CONT),
    "proposed": (server_in(), ServerState.IDLE, MethodState.PROPOSED),
    "under way": (server_in(response(B), identifier=B), ServerState.IDLE, MethodState.CONT),
    "decision": (server_in(response(ID, b"proved")), ServerState.METHOD_RESPONSE, MethodState.CONT),
    "ending": (server_in(response(B, b"proved"), identifier=B, decide=True), ServerState.IDLE, MethodState.CONT),
    "succeeded": (server_in(response(ID, b"done")), ServerState.SUCCESS, MethodState.DONE),
    "failed": (server_in(response(ID, b"bad")), ServerState.FAILURE, MethodState.DONE),
}

TO_SERVER: dict[str, bytes] = {
    "a response": response(ID),
    "the last response of the method": response(ID, b"done"),
    "a proof": response(ID, b"proved"),
    "a bad response": response(ID, b"bad"),
    "the method in the long form": response(ID, b"", 13, True),
    "an identity": response(ID, b"@realm", 1),
    "an acknowledged notification": response(ID, b"", 2),
    "a nak": response(ID, b"\x15", 3),
    "an expanded nak": response(ID, bytes.fromhex("fe00000000000015"), 3, True),
    "another method": response(ID, b"", 21),
    "a vendor's type": encode(Response(ID, 254, bytes.fromhex("00013700000001"))),
    "the round before": response(ID - 1),
    "a round to come": response(ID + 1),
    "a nak of another round": response(ID + 1, b"\x15", 3),
    "a request": request(ID),
    "a success": encode(Success(ID)),
    "a failure": encode(Failure(ID)),
    "nothing": b"",
    "noise": bytes(range(9)),
    "cut": response(ID)[:-1],
    "an unknown code": b"\x05\x07\x00\x04",
}

_TAKEN = ("INTEGRITY_CHECK", "METHOD_RESPONSE")
_ASKED = ("METHOD_REQUEST", "SEND_REQUEST", "IDLE")
_SERVED = {
    "a response": (*_TAKEN, *_ASKED),
    "the method in the long form": (*_TAKEN, *_ASKED),
    "the last response of the method": (*_TAKEN, "SELECT_ACTION", "SUCCESS"),
    "a proof": _TAKEN,
    "a bad response": (*_TAKEN, "SELECT_ACTION", "FAILURE"),
}
_NAK = ("NAK", "SELECT_ACTION", "FAILURE")

SERVER_WAYS: dict[str, dict[str, tuple[str, ...]]] = {
    "asks who it is": {"an identity": (*_TAKEN, "SELECT_ACTION", "PROPOSE_METHOD", *_ASKED)},
    "proposed": {**_SERVED, "a nak": _NAK, "an expanded nak": _NAK},
    "under way": _SERVED,
    "ending": _SERVED,
}
OUTCOMES = {
    "IDLE": SendRequest,
    "METHOD_RESPONSE": PeerKnown,
    "SUCCESS": Succeeded,
    "FAILURE": GivenUp,
}


@pytest.mark.parametrize("kind", TO_SERVER)
@pytest.mark.parametrize("where", SERVERS)
def test_every_state_of_the_server_against_every_packet(where: str, kind: str) -> None:
    make, state, method_state = SERVERS[where]
    server = make()
    assert (server.state, server.method_state) == (state, method_state)
    before = server._last
    outcome = server.on_packet(TO_SERVER[kind])
    if state is not ServerState.IDLE:
        assert outcome == Ignored()
        assert (server.state, server.method_state, server._last) == (state, method_state, before)
        return
    way = SERVER_WAYS[where].get(kind, ("DISCARD", "IDLE"))
    assert server.passed == tuple(ServerState(name) for name in ("RECEIVED", *way))
    if way[0] == "DISCARD":
        assert outcome == Ignored()
        assert (server._last, server.method_state) == (before, method_state)
        assert server.again() is before
    else:
        assert isinstance(outcome, OUTCOMES[way[-1]])
    if where == "ending" and isinstance(outcome, GivenUp):
        assert outcome.cause is Cause.NO_ORDER


def test_how_the_server_begins() -> None:
    def way(*names: str) -> tuple[ServerState, ...]:
        return tuple(ServerState(name) for name in (*names, "SELECT_ACTION", "PROPOSE_METHOD", *_ASKED))

    server = EapServer(Server())
    assert server.state is ServerState.DISABLED
    server.begin()
    assert server.passed == way("INITIALIZE")
    server = EapServer(Server())
    server.begin(picked_up=True)
    assert server.passed == way("INITIALIZE", "PICK_UP_METHOD", "METHOD_RESPONSE")


def test_the_tables_name_every_state_of_the_server() -> None:
    seen = {name for ways in SERVER_WAYS.values() for way in ways.values() for name in way}
    seen |= {"DISCARD", "RECEIVED"} | {state for _, state, _ in SERVERS.values()}
    elsewhere = {"DISABLED", "INITIALIZE", "PICK_UP_METHOD", "RETRANSMIT", "TIMEOUT_FAILURE"}
    assert seen | elsewhere == set(ServerState)
    assert not seen & elsewhere


# --- any octets ---------------------------------------------------------------------------------------------------

_TYPES = st.sampled_from([1, 2, 3, 13, 21, 254])
_DATA = st.sampled_from([b"", b"done", b"bad", b"proved", b"alert", b"more", bytes(7)])
_IDS = st.integers(0, 6)
_PACKETS = st.one_of(
    st.binary(max_size=20),
    st.builds(lambda *parts: encode(Request(*parts)), _IDS, _TYPES, _DATA),
    st.builds(lambda *parts: encode(Response(*parts)), _IDS, _TYPES, _DATA),
    st.builds(lambda number: encode(Success(number)), _IDS),
    st.builds(lambda number: encode(Failure(number)), _IDS),
)


@given(st.lists(_PACKETS, max_size=25))
def test_any_packets_leave_a_peer_in_a_state_of_its_own(packets: list[bytes]) -> None:
    peer = EapPeer(Peer())
    answers: dict[int, bytes] = {}
    ended = False
    for octets in packets:
        outcome = peer.on_packet(octets)
        assert peer.state in (PeerState.IDLE, PeerState.FAILURE)
        if ended:
            assert outcome == Ignored()
        if isinstance(outcome, SendResponse):
            answer = decode(outcome.packet)
            asked = decode(octets)
            assert isinstance(answer, Response)
            assert isinstance(asked, Request)
            assert answer.identifier == asked.identifier
            if answer.identifier == peer._answered and peer.passed[-3] is PeerState.RETRANSMIT:
                assert answers[answer.identifier] == outcome.packet
            answers[answer.identifier] = outcome.packet
        ended = ended or isinstance(outcome, Denied)
    assert peer._method.closed <= 1 + ended


@given(st.lists(_PACKETS, max_size=25))
def test_any_packets_leave_a_server_in_a_state_of_its_own(packets: list[bytes]) -> None:
    server = EapServer(Server())
    last = server.begin()
    for octets in packets:
        outcome = server.on_packet(octets)
        if isinstance(outcome, Ignored):
            continue
        assert server.state is not ServerState.DISCARD
        if isinstance(outcome, SendRequest) and isinstance(last, SendRequest):
            before, now = decode(last.packet), decode(outcome.packet)
            assert now.identifier == (before.identifier + 1) % 256
        last = outcome
    ends = (ServerState.SUCCESS, ServerState.FAILURE)
    assert (server.state in ends) == isinstance(last, Succeeded | GivenUp)
    assert server._method.closed == (server.state in ends)


def test_both_ends_bound_the_rounds_of_an_endless_method() -> None:
    peer, server = EapPeer(Peer()), EapServer(Server(), 250)
    asked, rounds = server.begin(), 0
    while isinstance(asked, SendRequest):
        answered = peer.on_packet(asked.packet)
        assert isinstance(answered, SendResponse)
        asked = server.on_packet(answered.packet)
        rounds += 1
    assert isinstance(asked, GivenUp)
    assert rounds == MAX_ROUNDS
