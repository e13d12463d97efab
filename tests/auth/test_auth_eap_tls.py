"""EAP-TLS as a scheme, UE and CP-AU in memory: the good run, every refusal, and the rude peer at each step."""

import gc
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache

import pytest
from doubles.pki import EID, FOREIGN_EID, NOW, OTHER_EID, OTHER_PLMN, PLMN, Held, Pki, shared_pki
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL

from rprov.auth.eap_tls import EapTlsNetworkScheme, EapTlsPeerEngines, EapTlsPeerScheme, EapTlsServerEngines
from rprov.auth.scheme import (
    Answer,
    Authenticated,
    Challenge,
    Discarded,
    Failed,
    NetworkOutcome,
    NetworkScheme,
    PeerProved,
    PeerScheme,
    Refusal,
)
from rprov.causes import Cause
from rprov.crypto.hierarchy import KAusf, k_seaf
from rprov.crypto.tls_context import TlsCredentials
from rprov.crypto.x509 import Role, subject_key_id
from rprov.crypto.x509_crl import Revocations
from rprov.errors import Misuse, Refused
from rprov.model.identifiers import Eid, EidHint
from rprov.wire.eap import Failure, Request, Response, Success, decode, encode
from rprov.wire.eap_tls import Fragment, decode_fragment, encode_fragment
from rprov.wire.messages import (
    AkaAnswer,
    AkaChallenge,
    AuthenticationFailure,
    AuthenticationRequest,
    AuthenticationResponse,
    Eap,
)

NETWORK = PLMN.serving_network_name


def credentials(held: Held) -> TlsCredentials:
    return TlsCredentials(held.chain, held.key)


@lru_cache(maxsize=64)
def server_engines(network: str = "network", fragment: int = 1400, curve: str = "P-256") -> EapTlsServerEngines:
    pki = shared_pki(curve)
    return EapTlsServerEngines(credentials(getattr(pki, network)), [pki.ci.certificate], fragment=fragment)


@lru_cache(maxsize=64)
def peer_engines(device: str = "device", fragment: int = 1400, curve: str = "P-256") -> EapTlsPeerEngines:
    pki = shared_pki(curve)
    return EapTlsPeerEngines(credentials(getattr(pki, device)), [pki.network_ca.certificate], fragment)


REPETITIONS = 5


@dataclass
class Run:
    """One exchange: who spoke, what each ended with. `bend` may change any packet on its way."""

    network: NetworkScheme
    ue: PeerScheme
    refuse: Cause | None = None
    bend: Callable[[int, str, bytes], bytes] = lambda number, to, packet: packet
    rounds: int = 0
    k_ausf: KAusf | None = None
    refusal: Refusal | None = None
    proved: PeerProved | None = None
    packets: list[tuple[str, bytes]] = field(default_factory=list)
    outcome: NetworkOutcome | None = None

    def run(self) -> "Run":
        outcome = self.network.begin()
        while not isinstance(outcome, Authenticated | Failed):
            outcome = self.step(outcome)
        self.outcome = outcome
        if isinstance(outcome, Authenticated):
            self.ue.accept_success(outcome.eap_success)
        return self

    def step(self, outcome: NetworkOutcome) -> NetworkOutcome:
        match outcome:
            case Challenge(Eap(packet)):
                self.rounds += 1
                for _ in range(REPETITIONS):
                    following = self.ask(packet)
                    if not isinstance(following, Discarded):
                        return following
                return self.network.on_failure(AuthenticationFailure(Cause.AUTHENTICATION_TIMEOUT))
            case PeerProved():
                self.proved = outcome
                return self.network.refuse(self.refuse) if self.refuse else self.network.authorise()
            case _:
                raise AssertionError(outcome)

    def ask(self, packet: bytes) -> NetworkOutcome:
        """One request and its answer, as often as T3560 repeats it."""
        packet = self.carry("ue", packet)
        answer = self.ue.on_request(AuthenticationRequest(0, b"\x00\x00", Eap(packet)))
        if isinstance(answer, Discarded):
            return answer
        if isinstance(answer, Refusal):
            self.refusal = answer
            return self.network.on_failure(answer.message)
        self.k_ausf = answer.k_ausf
        packet = self.carry("network", answer.message.answer.packet)
        return self.network.on_response(AuthenticationResponse(Eap(packet)))

    def carry(self, to: str, packet: bytes) -> bytes:
        packet = self.bend(len(self.packets), to, packet)
        self.packets.append((to, packet))
        return packet


def schemes(
    device: str = "device",
    network: str = "network",
    claimed: Eid | EidHint = EID,
    fragments: tuple[int, int] = (1400, 1400),
    curve: str = "P-256",
) -> tuple[EapTlsNetworkScheme, EapTlsPeerScheme]:
    return (
        server_engines(network, fragments[0], curve).scheme(claimed, NETWORK, NOW),
        peer_engines(device, fragments[1], curve).scheme(PLMN, NOW),
    )


def run(refuse: Cause | None = None, bend=lambda number, to, packet: packet, **kinds) -> Run:
    return Run(*schemes(**kinds), refuse=refuse, bend=bend).run()


def assert_authenticated(done: Run) -> None:
    assert isinstance(done.outcome, Authenticated)
    assert done.outcome.identity == EID
    assert done.k_ausf is not None
    assert k_seaf(done.k_ausf, NETWORK) == done.outcome.k_seaf
    assert done.proved is not None
    assert done.proved.eid == EID
    assert str(EID) in done.proved.certificate


# --- good runs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("curve", ["P-256", "brainpoolP256r1"])
@pytest.mark.parametrize("device", ["device", "euicc", "extension_device"])
def test_both_sides_authenticate_and_hold_the_same_keys(curve, device):
    done = run(device=device, curve=curve)
    assert_authenticated(done)
    assert done.rounds == 3
    start, *_, commitment = [decode(packet) for to, packet in done.packets if to == "ue"]
    assert start == Request(1, 13, b"\x20")
    assert decode(done.outcome.eap_success.packet) == Success(commitment.identifier)
    assert done.packets[-1][1].hex() == f"02{commitment.identifier:02x}00060d00"


@pytest.mark.parametrize("size", [60, 61, 100, 255, 577, 1000, 1024, 1330, 1400, 1500])
def test_any_fragment_size_at_both_ends(size):
    for fragments in ((size, size), (size, 1400), (1400, size)):
        done = run(fragments=fragments)
        assert_authenticated(done)
        for to, packet in done.packets:
            assert len(packet) <= (fragments[0] if to == "ue" else fragments[1])


def test_a_sub_ca_of_the_network_is_taken():
    assert_authenticated(run(network="network_below_sub_ca"))


def test_no_packet_shows_the_eid():
    """TLS 1.3 hides the certificates: the EID does not cross the radio in clear inside EAP."""
    octets = b"".join(packet for _, packet in run().packets)
    assert EID.digits.encode() not in octets
    assert EID.octets not in octets


def test_every_run_has_its_own_keys():
    first, second = run(), run()
    assert first.outcome.k_seaf != second.outcome.k_seaf


def test_keys_depend_on_the_serving_network():
    done = run()
    assert k_seaf(done.k_ausf, OTHER_PLMN.serving_network_name) != done.outcome.k_seaf


def test_the_ue_has_no_key_before_the_commitment():
    network, ue = schemes()
    outcome = network.begin()
    keys = []
    while not isinstance(outcome, Authenticated):
        if isinstance(outcome, PeerProved):
            assert keys == [None, None]
            outcome = network.authorise()
        answer = ue.on_request(AuthenticationRequest(0, b"\x00\x00", outcome.challenge))
        keys.append(answer.k_ausf)
        with pytest.raises(Refused) if keys[-1] is None else _nothing():
            ue.accept_success(Eap(encode(Success(len(keys)))))
        outcome = network.on_response(answer.message)
    assert [key is not None for key in keys] == [False, False, True]


class _nothing:  # noqa: N801
    def __enter__(self):
        return None

    def __exit__(self, *_):
        return None


def test_a_hint_is_enough_and_the_certificate_says_the_rest():
    assert_authenticated(run(claimed=EidHint(EID.digits[:8])))
    done = run(claimed=EidHint("89121212"))
    assert done.outcome.cause is Cause.EID_MISMATCH


def test_a_server_name_of_the_configuration_takes_the_place_of_the_plmns():
    pki = shared_pki()
    network = pki.make_network(names=["core.example.com"])
    server = EapTlsServerEngines(credentials(network), [pki.ci.certificate])
    anchors = [pki.network_ca.certificate]
    named = EapTlsPeerEngines(credentials(pki.device), anchors, server_name="core.example.com")
    unnamed = EapTlsPeerEngines(credentials(pki.device), anchors)
    done = Run(server.scheme(EID, NETWORK, NOW), named.scheme(PLMN, NOW)).run()
    assert_authenticated(done)
    done = Run(server.scheme(EID, NETWORK, NOW), unnamed.scheme(PLMN, NOW)).run()
    assert done.outcome.cause is Cause.NETWORK_NAME_MISMATCH


# --- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "cause"),
    [
        ("device_of_other_ci", Cause.UNKNOWN_CI),
        ("network", Cause.UNKNOWN_CI),
        ("expired_device", Cause.CERTIFICATE_EXPIRED),
        ("expired_eum_device", Cause.CERTIFICATE_EXPIRED),
        ("future_device", Cause.CERTIFICATE_NOT_YET_VALID),
        ("other_device", Cause.EID_MISMATCH),
        ("foreign_device", Cause.EUM_NOT_AUTHORISED),
        ("unvouched_device", Cause.EUM_NOT_AUTHORISED),
        ("roleless_device", Cause.WRONG_CERTIFICATE_ROLE),
        ("two_faced_device", Cause.WRONG_CERTIFICATE_ROLE),
        ("eum_with_wrong_role", Cause.WRONG_CERTIFICATE_ROLE),
        ("dp_tls", Cause.WRONG_CERTIFICATE_ROLE),
        ("dp_auth", Cause.WRONG_CERTIFICATE_ROLE),
    ],
)
@pytest.mark.parametrize("size", [60, 1400])
def test_the_network_refuses_a_device_by_an_alert_then_failure(device, cause, size):
    done = run(device=device, fragments=(size, size))
    assert isinstance(done.outcome, Failed)
    assert done.outcome.cause is cause
    assert done.refusal is None  # the UE answers the alert with nothing
    assert done.k_ausf is None
    assert done.proved is None
    last = decode(done.packets[-1][1])
    assert last.data == b"\x00"
    assert decode(done.outcome.eap_failure.packet) == Failure(last.identifier)


@pytest.mark.parametrize(
    ("network", "cause"),
    [
        ("network_of_other_plmn", Cause.NETWORK_NAME_MISMATCH),
        ("network_of_other_anchor", Cause.NETWORK_ANCHOR_UNKNOWN),
        ("network_with_gsma_role", Cause.NETWORK_ROLE_FORBIDDEN),
        ("network_with_device_role", Cause.NETWORK_ROLE_FORBIDDEN),
        ("network_without_server_auth", Cause.NETWORK_CERTIFICATE_INVALID),
        ("network_without_usage", Cause.NETWORK_CERTIFICATE_INVALID),
        ("expired_network", Cause.NETWORK_CERTIFICATE_EXPIRED),
        ("future_network", Cause.NETWORK_CERTIFICATE_NOT_YET_VALID),
        ("euicc", Cause.NETWORK_ANCHOR_UNKNOWN),
    ],
)
@pytest.mark.parametrize("size", [60, 1400])
def test_the_ue_refuses_a_network_and_its_cause_reaches_the_network(network, cause, size):
    done = run(network=network, fragments=(size, size))
    assert isinstance(done.outcome, Failed)
    assert done.outcome.cause is cause
    assert done.refusal.message.cause is cause
    alert = decode(done.refusal.message.eap.packet)
    assert isinstance(alert, Response)
    assert decode_fragment(alert.data).data[0] in (0x15, 0x17)  # a TLS alert, plain or inside an encrypted record
    assert decode(done.outcome.eap_failure.packet) == Failure(alert.identifier)


def test_an_euicc_is_no_network_even_for_a_ue_that_trusts_its_ci():
    pki = shared_pki()
    ue = EapTlsPeerEngines(credentials(pki.device), [pki.ci.certificate]).scheme(PLMN, NOW)
    done = Run(server_engines("euicc").scheme(EID, NETWORK, NOW), ue).run()
    assert done.outcome.cause is Cause.NETWORK_ROLE_FORBIDDEN


def test_roles_are_policy():
    pki = shared_pki()
    devices_only = EapTlsServerEngines(credentials(pki.network), [pki.ci.certificate], roles=frozenset({Role.DEVICE}))
    done = Run(devices_only.scheme(EID, NETWORK, NOW), peer_engines("euicc").scheme(PLMN, NOW)).run()
    assert done.outcome.cause is Cause.WRONG_CERTIFICATE_ROLE
    assert_authenticated(Run(devices_only.scheme(EID, NETWORK, NOW), peer_engines().scheme(PLMN, NOW)).run())
    for roles in (frozenset(), frozenset({Role.DEVICE, Role.DP_AUTH})):
        with pytest.raises(Misuse):
            EapTlsServerEngines(credentials(pki.network), [pki.ci.certificate], roles=roles)


def test_the_operators_table_vouches_for_an_eum():
    pki = shared_pki()
    eum = pki.unvouched_device.issuers[0]
    table = {subject_key_id(eum): (EID.digits[:8],)}
    server = EapTlsServerEngines(credentials(pki.network), [pki.ci.certificate], eum_table=table)
    ue = peer_engines("unvouched_device").scheme(PLMN, NOW)
    assert_authenticated(Run(server.scheme(EID, NETWORK, NOW), ue).run())


@pytest.mark.parametrize("which", ["device", "eum"])
def test_revoked_serials_are_refused(which):
    pki = shared_pki()
    held, issuer = (pki.device, pki.eum) if which == "device" else (pki.eum, pki.ci)
    revoked = Revocations(frozenset({(subject_key_id(issuer.certificate), held.certificate.serial_number)}))
    server = EapTlsServerEngines(credentials(pki.network), [pki.ci.certificate], revoked=revoked)
    done = Run(server.scheme(EID, NETWORK, NOW), peer_engines().scheme(PLMN, NOW)).run()
    assert done.outcome.cause is Cause.CERTIFICATE_REVOKED


def test_time_is_an_argument_at_both_ends():
    later = NOW + timedelta(days=20 * 365)
    done = Run(server_engines().scheme(EID, NETWORK, later), peer_engines().scheme(PLMN, NOW)).run()
    assert done.outcome.cause is Cause.CERTIFICATE_EXPIRED
    done = Run(server_engines().scheme(EID, NETWORK, NOW), peer_engines().scheme(PLMN, later)).run()
    assert done.outcome.cause is Cause.NETWORK_CERTIFICATE_EXPIRED


@pytest.mark.parametrize("size", [60, 1400])
def test_no_order_is_said_after_the_certificate_and_before_the_commitment(size):
    done = run(refuse=Cause.NO_ORDER, fragments=(size, size))
    assert isinstance(done.outcome, Failed)
    assert done.outcome.cause is Cause.NO_ORDER
    assert done.proved.eid == EID
    assert done.k_ausf is None
    assert done.refusal is None
    with pytest.raises(Refused):
        done.ue.accept_success(Eap(encode(Success(decode(done.packets[-1][1]).identifier))))


OTHERS = st.integers(0, 10**22 - 1).map(lambda number: Eid.with_check_digits(f"{EID.digits[:8]}{number:022d}"))


@given(OTHERS)
def test_the_eid_of_another_certificate_never_passes(claimed):
    done = run(claimed=claimed)
    if claimed == EID:
        assert_authenticated(done)
    else:
        assert done.outcome.cause is Cause.EID_MISMATCH
        assert done.k_ausf is None


@pytest.mark.parametrize("claimed", [OTHER_EID, FOREIGN_EID])
def test_nearby_and_foreign_claims_do_not_pass(claimed):
    assert run(claimed=claimed).outcome.cause is Cause.EID_MISMATCH


# --- the rude peer ------------------------------------------------------------------------------------------------


def test_duplicates_in_both_directions_change_nothing():
    network, ue = schemes(fragments=(200, 200))
    outcome = network.begin()
    previous = None
    while not isinstance(outcome, Authenticated):
        if isinstance(outcome, PeerProved):
            assert network.on_response(previous.message) == Discarded()
            outcome = network.authorise()
        request = AuthenticationRequest(0, b"\x00\x00", outcome.challenge)
        if previous is not None:
            assert network.on_response(previous.message) == Discarded()  # the old answer again
        answer = ue.on_request(request)
        assert ue.on_request(request) == answer
        outcome, previous = network.on_response(answer.message), answer
    assert network.on_response(previous.message) == Discarded()
    ue.accept_success(outcome.eap_success)
    assert k_seaf(previous.k_ausf, NETWORK) == outcome.k_seaf


@pytest.mark.parametrize("habit", ["every", "every fragment", "first", "none"])
@pytest.mark.parametrize("size", [1400, 200])
def test_the_message_length_may_stand_wherever_others_put_it(habit, size):
    """FreeRADIUS tells it in every packet, eapol_test in the first fragment, others nowhere."""
    totals: dict[str, int] = {}

    def bend(count: int, to: str, packet: bytes) -> bytes:
        good = decode(packet)
        piece = decode_fragment(good.data)
        if not piece.data:
            return packet
        if piece.total is not None:
            totals[to] = piece.total
        fragmented = to in totals
        total = totals.get(to, len(piece.data))
        if not piece.more:
            totals.pop(to, None)
        told = {"every": True, "every fragment": fragmented, "first": piece.total is not None, "none": False}[habit]
        changed = Fragment(piece.data, piece.more, total if told else None)
        return encode(type(good)(good.identifier, 13, encode_fragment(changed)))

    assert_authenticated(run(bend=bend, fragments=(size, size)))


def transcript(fragments=(300, 300)) -> int:
    return len(run(fragments=fragments).packets)


def rude_packets(packet: bytes) -> dict[str, bytes]:
    """What a rude peer may send in place of a good packet."""
    good = decode(packet)
    kind = type(good)
    data = good.data

    def with_data(octets: bytes) -> bytes:
        return encode(kind(good.identifier, 13, octets))

    return {
        "nothing": b"",
        "noise": bytes(range(60)),
        "truncated": packet[:-1],
        "header only": packet[:5],
        "length too long": packet[:2] + b"\xff\xff" + packet[4:],
        "other code": bytes((5,)) + packet[1:],
        "success": encode(Success(good.identifier)),
        "failure": encode(Failure(good.identifier)),
        "no flags": with_data(b""),
        "promises more": with_data(bytes((0x40,))),
        "endless": with_data(encode_fragment(Fragment(b"x", True, 0xFFFFFFFF))),
        "start": with_data(b"\x20") if data != b"\x20" else with_data(b"\x20x"),
        "short": with_data(data[:-1]) if len(data) > 1 else with_data(b"\x80"),
        "long": with_data(data + b"\x00"),
        "flipped": with_data(data[:-1] + bytes((data[-1] ^ 0x41,))),
        "tls noise": with_data(b"\x00" + bytes(50)),
        "plain alert": with_data(bytes.fromhex("00 15 0303 0002 02 28")),
        "plain warning": with_data(bytes.fromhex("00 15 0303 0002 01 00")),
        "another hello": with_data(bytes.fromhex("00 16 0303 0004 00000000")),
        "nak": encode(Response(good.identifier, 3, b"\x12")),
        "other method": encode(kind(good.identifier, 50, b"x")),
    }


RUDENESS = tuple(rude_packets(encode(Request(1, 13, b"\x00"))))


@pytest.mark.parametrize("name", RUDENESS)
def test_the_rude_peer_at_each_step_ends_in_failure_or_changes_nothing(name):
    """In place of each packet of a fragmented run, in either direction, one rude packet."""
    for number in range(transcript()):

        def bend(count: int, to: str, packet: bytes, at: int = number) -> bytes:
            return rude_packets(packet)[name] if count == at else packet

        network, ue = schemes(fragments=(300, 300))
        done = Run(network, ue, bend=bend)
        try:
            done.run()
        except Refused:
            # The network was not the one to notice: the UE refuses the EAP-Success that it is shown.
            assert isinstance(done.outcome, Authenticated)
            assert done.k_ausf is None
            continue
        assert isinstance(done.outcome, Failed | Authenticated)
        if isinstance(done.outcome, Authenticated):
            assert_authenticated(done)
        else:
            assert isinstance(decode(done.outcome.eap_failure.packet), Failure)


@pytest.mark.parametrize("name", ["nothing", "noise", "success", "failure", "truncated", "nak", "other method"])
def test_what_is_not_for_now_is_discarded_and_the_good_packet_still_counts(name):
    """A stranger says something first, at any point of a run; who repeats what was lost is let in."""
    for number in range(1, transcript()):
        if name == "nak" and number == 1:
            continue  # the one place where it is for now

        def bend(count: int, to: str, packet: bytes, at: int = number) -> bytes:
            return rude_packets(packet)[name] if count == at else packet

        assert_authenticated(run(bend=bend, fragments=(300, 300)))


@pytest.mark.parametrize("name", ["plain alert", "flipped"])
def test_rudeness_in_the_middle_of_the_handshake_never_authenticates(name):
    """Packets 1 to 3 of an unfragmented run: ClientHello, the server's flight, the client's flight."""
    for number in (1, 2, 3):

        def bend(count: int, to: str, packet: bytes, at: int = number) -> bytes:
            return rude_packets(packet)[name] if count == at else packet

        done = run(bend=bend)
        assert isinstance(done.outcome, Failed)
        assert done.k_ausf is None


@given(st.integers(0, 5), st.binary(max_size=80))
def test_any_octets_at_any_step_end_in_an_outcome(number, octets):
    def bend(count: int, to: str, packet: bytes) -> bytes:
        return octets if count == number else packet

    done = Run(*schemes(), bend=bend).run()
    if isinstance(done.outcome, Authenticated):
        assert_authenticated(done)  # what was not for now has changed nothing
    else:
        assert isinstance(decode(done.outcome.eap_failure.packet), Failure)


@given(st.integers(0, 5), st.integers(0), st.integers(1, 255))
def test_a_changed_octet_never_splits_the_two_sides(number, position, change):
    """After any one change both hold the same key, or the network has failed, or the UE refuses the success."""

    def bend(count: int, to: str, packet: bytes) -> bytes:
        if count != number:
            return packet
        changed = bytearray(packet)
        changed[position % len(changed)] ^= change
        return bytes(changed)

    done = Run(*schemes(), bend=bend)
    try:
        done.run()
    except Refused:
        assert done.k_ausf is None or isinstance(done.outcome, Authenticated)
        return
    if isinstance(done.outcome, Authenticated):
        assert_authenticated(done)


def test_packets_of_another_run_are_refused():
    """The client's flight of one run, played into another."""
    recorded = [packet for _, packet in run().packets]
    for number in (1, 3):

        def replay(count: int, to: str, packet: bytes, at: int = number) -> bytes:
            return recorded[at] if count >= at else packet

        done = run(bend=replay)
        assert isinstance(done.outcome, Failed)
    # the whole network side replayed to a new UE: it never gets past the server's flight
    ue = peer_engines().scheme(PLMN, NOW)
    answers = [ue.on_request(AuthenticationRequest(0, b"\x00\x00", Eap(packet))) for packet in recorded[::2]]
    assert isinstance(answers[1], Refusal)
    assert all(isinstance(answer, Discarded) for answer in answers[2:])


def test_a_commitment_before_the_clients_certificate_is_refused():
    """TLS 1.3 lets a server send data with its first flight; then it has not seen our certificate."""
    network, ue = schemes()
    answer = ue.on_request(AuthenticationRequest(0, b"\x00\x00", network.begin().challenge))
    connection = network._server._method._engine._connection
    connection.bio_write(decode_fragment(decode(answer.message.answer.packet).data).data)
    size = SSL._ffi.new("size_t *")
    assert SSL._lib.SSL_read_early_data(connection._ssl, SSL._ffi.new("char[]", 16), 16, size) == 2  # none came
    assert SSL._lib.SSL_write_early_data(connection._ssl, b"\x00", 1, size) == 1  # half a round trip early
    packet = encode(Request(2, 13, b"\x00" + connection.bio_read(65536)))
    refusal = ue.on_request(AuthenticationRequest(0, b"\x00\x00", Eap(packet)))
    assert isinstance(refusal, Refusal)
    assert refusal.message.cause is Cause.EAP_FAILED


def to_the_commitment() -> tuple[EapTlsNetworkScheme, EapTlsPeerScheme, bytes]:
    """Run up to where the commitment is due; give its packet's identifier as the network would choose it."""
    network, ue = schemes()
    outcome = network.begin()
    for _ in range(2):
        answer = ue.on_request(AuthenticationRequest(0, b"\x00\x00", outcome.challenge))
        outcome = network.on_response(answer.message)
    assert isinstance(outcome, PeerProved)
    return network, ue, bytes((decode(answer.message.answer.packet).identifier + 1,))


@pytest.mark.parametrize("data", [b"\x01", b"\x00\x00", b"\x00\x01", b"hello", bytes(64), bytes(65)])
def test_only_one_zero_octet_is_a_commitment(data):
    network, ue, identifier = to_the_commitment()
    method = network._server._method
    flight = method._unsent + method._engine.send(data)
    packet = encode(Request(identifier[0], 13, b"\x00" + flight))
    refusal = ue.on_request(AuthenticationRequest(0, b"\x00\x00", Eap(packet)))
    assert isinstance(refusal, Refusal)


def test_tickets_may_come_before_the_commitment():
    network, ue, identifier = to_the_commitment()
    method = network._server._method
    assert method._unsent
    first = encode(Request(identifier[0], 13, b"\x00" + method._unsent))
    waiting = ue.on_request(AuthenticationRequest(0, b"\x00\x00", Eap(first)))
    assert isinstance(waiting, Answer)
    assert waiting.k_ausf is None
    second = encode(Request(identifier[0] + 1, 13, b"\x00" + method._engine.send(b"\x00")))
    done = ue.on_request(AuthenticationRequest(0, b"\x00\x00", Eap(second)))
    assert done.k_ausf is not None


def test_a_close_notify_in_answer_to_the_commitment_is_success():
    """Some supplicants say goodbye where RFC 9190 wants an empty response; data is no goodbye."""
    for answer, expected in (("goodbye", Authenticated), ("data", Failed)):
        network, ue, _ = to_the_commitment()
        engine = ue._peer._method._engine
        commitment = network.authorise().challenge.packet
        engine.feed(decode_fragment(decode(commitment).data).data)
        said = engine.close_notify() if answer == "goodbye" else engine.send(b"\x00")
        packet = encode(Response(decode(commitment).identifier, 13, b"\x00" + said))
        assert isinstance(network.on_response(AuthenticationResponse(Eap(packet))), expected)


def test_after_the_end_nothing_changes_at_either_side():
    done = run()
    success = done.outcome
    last_request = [packet for to, packet in done.packets if to == "ue"][-1]
    for octets in (last_request, done.packets[-1][1], b"", encode(Failure(3)), encode(Request(77, 13, b"\x20"))):
        assert done.ue.on_request(AuthenticationRequest(0, b"\x00\x00", Eap(octets))) == Discarded()
        assert done.network.on_response(AuthenticationResponse(Eap(octets))) == Discarded()
    assert done.network.on_failure(AuthenticationFailure(Cause.EAP_FAILED)) == success
    done.ue.accept_success(success.eap_success)


def test_success_must_be_there_and_be_the_right_one():
    done = run()
    identifier = decode(done.packets[-1][1]).identifier
    for wrong in (None, Eap(encode(Success(identifier + 1))), Eap(encode(Failure(identifier))), Eap(b"")):
        with pytest.raises(Refused) as caught:
            done.ue.accept_success(wrong)
        assert caught.value.cause is Cause.EAP_FAILED


def test_answers_of_another_scheme_fail():
    network, ue = schemes()
    network.begin()
    failed = network.on_response(AuthenticationResponse(AkaAnswer(bytes(16))))
    assert isinstance(failed, Failed)
    refusal = ue.on_request(AuthenticationRequest(0, b"\x00\x00", AkaChallenge(bytes(16), bytes(16))))
    assert isinstance(refusal, Refusal)


def test_an_abba_that_announces_msk_is_refused():
    network, ue = schemes()
    refusal = ue.on_request(AuthenticationRequest(0, b"\x00\x01", network.begin().challenge))
    assert isinstance(refusal, Refusal)
    assert refusal.message.cause is Cause.EAP_FAILED


def test_a_ue_that_gives_up_ends_the_exchange_with_its_cause():
    network, _ = schemes()
    network.begin()
    failed = network.on_failure(AuthenticationFailure(Cause.NETWORK_NAME_MISMATCH))
    assert failed.cause is Cause.NETWORK_NAME_MISMATCH
    assert decode(failed.eap_failure.packet) == Failure(1)


@pytest.mark.parametrize("size", [0, 23, 1501])
def test_packet_sizes_that_make_no_sense_are_refused_when_configured(size):
    pki = shared_pki()
    with pytest.raises(Misuse):
        EapTlsServerEngines(credentials(pki.network), [pki.ci.certificate], fragment=size)
    with pytest.raises(Misuse):
        EapTlsPeerEngines(credentials(pki.device), [pki.network_ca.certificate], fragment=size)


def test_connections_are_freed_at_the_end_and_when_forgotten():
    gc.disable()
    try:
        network, ue = schemes()
        connections = [weakref.ref(scheme._method._engine._connection) for scheme in (network._server, ue._peer)]
        Run(network, ue).run()
        assert [connection() for connection in connections] == [None, None]
        network, ue = schemes()
        ue.on_request(AuthenticationRequest(0, b"\x00\x00", network.begin().challenge))
        connections = [weakref.ref(scheme._method._engine._connection) for scheme in (network._server, ue._peer)]
        del network, ue
        assert [connection() for connection in connections] == [None, None]
    finally:
        gc.enable()


def test_nothing_secret_is_shown():
    pki: Pki = shared_pki()
    done = run()
    shown = repr(done.outcome) + repr(done.k_ausf) + repr(credentials(pki.device))
    assert done.outcome.k_seaf.octets.hex() not in shown
    assert "64" not in repr(done.k_ausf)
