"""The AAA server: authentications from identity to verdict, what comes back in the Accept, rude clients, bounds."""

from dataclasses import replace
from typing import Any

import pytest
from doubles.pki import EID, NOW, OTHER_EID, Held, seeded, shared_pki
from doubles.radius_nas import ANONYMOUS, MTU_1400, Device, Nas

from rprov.auth.aaa_server import LARGEST_HOPS, AaaBounds, AaaClient, AaaServer, Ended
from rprov.auth.eap_tls import EapTlsServerEngines
from rprov.auth.rates import Attempts
from rprov.causes import Cause
from rprov.crypto.tls_context import TlsCredentials
from rprov.crypto.x509 import Role, eid_of, subject_key_id
from rprov.crypto.x509_crl import Revocations
from rprov.errors import DecodeError, MacMismatch, PeerError, Unprotected
from rprov.model.rates import AttemptRates
from rprov.wire import eap
from rprov.wire.radius import Attribute, Code, Kind, Packet, SharedSecret, check_answer, decode, encode, seal_request
from rprov.wire.radius_attributes import join_eap, split_eap

CLIENT = AaaClient("cp-1", SharedSecret(b"a secret of 16 octets"))
OTHER = AaaClient("cp-2", SharedSecret(b"another secret of 16 octets"))
IDENTITY = eap.encode(eap.Response(0, eap.EapType.IDENTITY, ANONYMOUS))


class Bench:
    """A server, its clock, and everything that it said was over."""

    def __init__(
        self,
        bounds: AaaBounds | None = None,
        network: Held | None = None,
        rates: AttemptRates | None = None,
        **options: Any,
    ) -> None:
        pki = shared_pki()
        held = network or pki.network
        self.engines = EapTlsServerEngines(TlsCredentials(held.chain, held.key), [pki.ci.certificate], **options)
        self.server = AaaServer(lambda: self.engines, bounds, None if rates is None else Attempts(rates))
        self.entropy = seeded("aaa")
        self.now = 0.0
        self.ended: list[Ended] = []

    def receive(self, octets: bytes, client: AaaClient = CLIENT, source: object = "here") -> bytes:
        reply = self.server.receive(client, source, octets, self.now, NOW, self.entropy)
        if reply.ended is not None:
            self.ended.append(reply.ended)
        return reply.octets

    def nas(self, client: AaaClient = CLIENT, **options: Any) -> Nas:
        return Nas(client.secret, lambda octets: self.receive(octets, client), **options)


# --- authentications ----------------------------------------------------------------------------------------------


def test_a_good_device_is_accepted_and_its_keys_and_eid_come_back():
    bench = Bench()
    nas = bench.nas()
    verdict = nas.run(Device())
    assert verdict.code is Code.ACCESS_ACCEPT
    assert isinstance(verdict.eap, eap.Success)
    assert verdict.peer_msk is not None
    assert nas.keys(verdict) == verdict.peer_msk.octets
    assert verdict.user_name == EID.digits
    (ended,) = bench.ended
    assert ended.certificate is not None
    assert eid_of(ended.certificate) == EID
    assert replace(ended, certificate=None) == Ended("cp-1", "anonymous@example.org", EID, Cause.NORMAL)
    assert bench.server.under_way == 0


def test_two_authentications_have_different_keys():
    nas = Bench().nas()
    first, second = nas.run(Device()), nas.run(Device())
    assert nas.keys(first) != nas.keys(second)


def test_chargeable_user_identity_comes_where_it_was_asked_for():
    """RFC 4372 2.1: the request has it, of one zero octet."""
    nas = Bench().nas()
    assert nas.run(Device()).answer.values(Kind.CHARGEABLE_USER_IDENTITY) == []
    asked = nas.run(Device(), ANONYMOUS, Attribute(Kind.CHARGEABLE_USER_IDENTITY, b"\0"))
    assert asked.answer.values(Kind.CHARGEABLE_USER_IDENTITY) == [EID.digits.encode()]


def test_proxy_states_come_back_in_their_order_in_every_answer():
    hops = (Attribute(Kind.PROXY_STATE, b"one"), Attribute(Kind.PROXY_STATE, b"two"))
    assert Bench().nas().run(Device(), ANONYMOUS, *hops).code is Code.ACCESS_ACCEPT  # check_answer compares them


def test_an_identity_with_an_eid_must_be_the_certificates():
    bench = Bench()
    nas = bench.nas()
    good = f"{EID}@rsp.mnc001.mcc001.3gppnetwork.org".encode()
    assert nas.run(Device(), good).code is Code.ACCESS_ACCEPT
    wrong = nas.run(Device(), f"{OTHER_EID}@rsp.mnc001.mcc001.3gppnetwork.org".encode())
    assert wrong.code is Code.ACCESS_REJECT
    assert bench.ended[-1].cause is Cause.EID_MISMATCH


def test_an_identity_with_an_impossible_eid_is_rejected_at_once():
    bench = Bench()
    verdict = bench.nas().run(Device(), b"1" * 32 + b"@example.org")
    assert (verdict.code, verdict.rounds) == (Code.ACCESS_REJECT, 1)
    assert bench.ended[-1].cause is Cause.EID_MISMATCH


@pytest.mark.parametrize("identity", [b"", b"@example.org", b"\xff\x00\x1b[31m", b"1" * 31, b"x" * 253])
def test_any_other_identity_is_anonymous(identity):
    bench = Bench()
    assert bench.nas().run(Device(), identity).code is Code.ACCESS_ACCEPT
    assert bench.ended[-1].identity.isprintable()


def test_an_identity_that_is_too_long_is_rejected():
    assert Bench().nas().run(Device(), b"x" * 254).code is Code.ACCESS_REJECT


REFUSED = {
    "device_of_other_ci": Cause.UNKNOWN_CI,
    "expired_device": Cause.CERTIFICATE_EXPIRED,
    "expired_eum_device": Cause.CERTIFICATE_EXPIRED,
    "future_device": Cause.CERTIFICATE_NOT_YET_VALID,
    "foreign_device": Cause.EUM_NOT_AUTHORISED,
    "unvouched_device": Cause.EUM_NOT_AUTHORISED,
    "roleless_device": Cause.WRONG_CERTIFICATE_ROLE,
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_device_that_is_not_believed_hears_the_alert_and_then_eap_failure(name):
    bench = Bench()
    verdict = bench.nas().run(Device(getattr(shared_pki(), name)))
    assert verdict.code is Code.ACCESS_REJECT
    assert isinstance(verdict.eap, eap.Failure)
    assert bench.ended[-1].cause is REFUSED[name]
    assert verdict.answer.values(Kind.VENDOR_SPECIFIC) == verdict.answer.values(Kind.USER_NAME) == []
    # identity, ClientHello, (the server's flight), Certificate: the alert is an Access-Challenge of its own
    good = Bench().nas().run(Device())
    assert verdict.rounds == good.rounds


def test_a_revoked_device_is_rejected():
    pki = shared_pki()
    revoked = Revocations(
        frozenset({(subject_key_id(pki.eum.certificate), pki.device.certificate.serial_number)}),
    )
    bench = Bench(revoked=revoked)
    assert bench.nas().run(Device()).code is Code.ACCESS_REJECT
    assert bench.ended[-1].cause is Cause.CERTIFICATE_REVOKED
    assert bench.nas().run(Device(pki.other_device)).code is Code.ACCESS_ACCEPT


def test_a_role_that_is_not_wanted_is_rejected():
    bench = Bench(roles=frozenset({Role.DEVICE}))
    assert bench.nas().run(Device(shared_pki().euicc)).code is Code.ACCESS_REJECT
    assert bench.ended[-1].cause is Cause.WRONG_CERTIFICATE_ROLE


def test_a_device_that_refuses_the_network_ends_in_a_reject():
    bench = Bench(network=shared_pki().network_of_other_anchor)
    verdict = bench.nas().run(Device())
    assert verdict.code is Code.ACCESS_REJECT
    assert verdict.denied is not None
    assert verdict.denied.cause is Cause.NETWORK_ANCHOR_UNKNOWN
    assert bench.server.under_way == 0


@pytest.mark.parametrize("mtu", [100, 300, 512, 900])
def test_no_eap_packet_is_larger_than_framed_mtu(mtu):
    """RFC 3579 2.4."""
    nas = Bench().nas(extra=(Attribute(Kind.FRAMED_MTU, mtu.to_bytes(4)),))
    verdict = nas.run(Device(fragment=mtu))
    assert verdict.code is Code.ACCESS_ACCEPT
    assert verdict.largest_eap == mtu


def test_without_framed_mtu_our_own_bound_holds():
    nas = Bench(fragment=700).nas(extra=())
    assert nas.run(Device()).largest_eap == 700


def test_every_answer_carries_its_message_authenticator_first():
    bench = Bench()
    seen = []

    def exchange(octets):
        seen.append(decode(bench.receive(octets)))
        return encode(seen[-1])

    Nas(CLIENT.secret, exchange).run(Device())
    assert {packet.attributes[0].type for packet in seen} == {Kind.MESSAGE_AUTHENTICATOR}


# --- the identity round -------------------------------------------------------------------------------------------


def test_eap_start_is_answered_with_a_request_for_identity_and_remembers_nothing():
    """RFC 3579 2.1: an EAP-Message without data."""
    bench = Bench()
    nas = bench.nas()
    answer, _ = nas.ask(b"", None)
    assert answer.code is Code.ACCESS_CHALLENGE
    asked = eap.decode(join_eap(answer) or b"")
    assert isinstance(asked, eap.Request)
    assert asked.type == eap.EapType.IDENTITY
    assert bench.server.under_way == 0
    begun, _ = nas.ask(eap.encode(eap.Response(asked.identifier, eap.EapType.IDENTITY, ANONYMOUS)), None)
    start = eap.decode(join_eap(begun) or b"")
    assert isinstance(start, eap.Request)
    assert start.type == eap.EapType.TLS
    assert start.identifier == (asked.identifier + 1) % 256


@pytest.mark.parametrize("packet", [eap.Response(3, 13, b"\0"), eap.Response(3, 3, b"\4"), eap.Success(3)])
def test_eap_that_does_not_begin_with_an_identity_is_rejected(packet):
    answer, _ = Bench().nas().ask(eap.encode(packet), None)
    assert answer.code is Code.ACCESS_REJECT
    assert join_eap(answer) == eap.encode(eap.Failure(3))


def test_another_eap_method_is_refused():
    """Nothing but type 13 is ever offered."""
    bench = Bench()
    nas = bench.nas()
    begun, _ = nas.ask(IDENTITY, None)
    nak = eap.encode(eap.Response(1, eap.EapType.NAK, b"\x19"))
    answer, _ = nas.ask(nak, begun.single(Kind.STATE))
    assert answer.code is Code.ACCESS_REJECT
    assert bench.ended[-1].cause is Cause.EAP_FAILED


# --- repetition ---------------------------------------------------------------------------------------------------


def test_a_request_that_comes_again_gets_the_same_octets_and_moves_nothing():
    """RFC 5080 2.2.2. Every request of the exchange comes three times."""
    bench = Bench()

    def thrice(octets):
        answers = {bench.receive(octets) for _ in range(3)}
        assert len(answers) == 1
        return answers.pop()

    nas = Nas(CLIENT.secret, thrice)
    verdict = nas.run(Device())
    assert verdict.code is Code.ACCESS_ACCEPT
    assert nas.keys(verdict) == (verdict.peer_msk.octets if verdict.peer_msk else b"")
    assert len(bench.ended) == 1


def test_the_same_request_from_elsewhere_is_another_request():
    bench = Bench()
    octets = bench.nas().request(IDENTITY, None)
    assert bench.receive(octets, source="here") != bench.receive(octets, source="there")
    assert bench.server.under_way == 2


def test_an_identifier_used_again_with_another_authenticator_is_another_request():
    bench = Bench()
    asked = [seal_request(7, bytes((n,)) * 16, split_eap(IDENTITY), CLIENT.secret) for n in (1, 2)]
    assert bench.receive(asked[0]) != bench.receive(asked[1])
    assert bench.server.under_way == 2


def test_an_eap_response_that_is_not_for_now_gets_the_same_request_and_error_cause_202():
    """A NAS that repeats on its own account: a new identifier, the old EAP packet (RFC 3579 2.2)."""
    nas = Bench().nas()
    begun, _ = nas.ask(IDENTITY, None)
    state = begun.single(Kind.STATE)
    first = Device().peer().on_packet(join_eap(begun) or b"")
    once, _ = nas.ask(first.packet or b"", state)
    assert not once.values(Kind.ERROR_CAUSE)
    for nonsense in (first.packet or b"", b"\x02", eap.encode(eap.Response(0, 13, b""))):
        again, _ = nas.ask(nonsense, state)
        assert join_eap(once) == join_eap(again)
        assert again.single(Kind.ERROR_CAUSE) == (202).to_bytes(4)


def test_a_peer_that_goes_on_with_nonsense_is_rejected():
    bench = Bench()
    nas = bench.nas()
    begun, _ = nas.ask(IDENTITY, None)
    state = begun.single(Kind.STATE)
    codes = [nas.ask(b"\x02", state)[0].code for _ in range(6)]
    assert codes == [Code.ACCESS_CHALLENGE] * 5 + [Code.ACCESS_REJECT]
    assert bench.server.under_way == 0


def test_an_answer_is_forgotten_after_its_time():
    bench = Bench(AaaBounds(answer_lifetime=10.0))
    octets = bench.nas().request(IDENTITY, None)
    first = bench.receive(octets)
    bench.now = 10.0
    assert bench.receive(octets) == first
    bench.now = 10.1
    assert bench.receive(octets) != first


def test_a_late_acknowledgement_after_the_end_is_rejected_and_changes_nothing():
    bench = Bench()
    kept: list[tuple[bytes, bytes | None]] = []
    nas = bench.nas()
    ask = nas.ask

    def remember(packet, state, *more):
        kept.append((packet, state))
        return ask(packet, state, *more)

    nas.ask = remember  # type: ignore[method-assign]
    assert nas.run(Device()).code is Code.ACCESS_ACCEPT
    answer, _ = ask(*kept[-1])
    assert answer.code is Code.ACCESS_REJECT
    assert answer.values(Kind.VENDOR_SPECIFIC) == []


# --- rude clients -------------------------------------------------------------------------------------------------


def test_requests_without_or_with_a_wrong_message_authenticator_get_no_answer():
    bench = Bench()
    bare = encode(Packet(Code.ACCESS_REQUEST, 1, bytes(16), split_eap(IDENTITY)))
    with pytest.raises(Unprotected):
        bench.receive(bare)
    with pytest.raises(MacMismatch):
        bench.receive(Nas(OTHER.secret, bytes).request(IDENTITY, None))
    assert bench.server.under_way == 0


def test_every_octet_changed_gets_no_answer():
    bench = Bench()
    octets = bench.nas().request(IDENTITY, None)
    for at in range(len(octets)):
        changed = octets[:at] + bytes((octets[at] ^ 1,)) + octets[at + 1 :]
        with pytest.raises(PeerError):
            bench.receive(changed)
    assert bench.server.under_way == 0


@pytest.mark.parametrize("code", [Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE])
def test_an_answer_sent_to_the_server_gets_no_answer(code):
    with pytest.raises(DecodeError):
        Bench().receive(seal_request(1, bytes(16), (), CLIENT.secret, code))


def test_a_state_of_another_client_is_worth_nothing_and_harms_nothing():
    bench = Bench()
    nas = bench.nas()
    begun, _ = nas.ask(IDENTITY, None)
    state = begun.single(Kind.STATE)
    first = Device().peer().on_packet(join_eap(begun) or b"").packet or b""
    stolen, _ = bench.nas(OTHER).ask(first, state)
    assert stolen.code is Code.ACCESS_REJECT
    answer, _ = nas.ask(first, state)
    assert answer.code is Code.ACCESS_CHALLENGE


@pytest.mark.parametrize("state", [b"", b"x", bytes(16), bytes(253)])
def test_an_unknown_state_is_rejected_with_eap_failure(state):
    answer, _ = Bench().nas().ask(eap.encode(eap.Response(9, 13, b"\0")), state)
    assert answer.code is Code.ACCESS_REJECT
    assert join_eap(answer) == eap.encode(eap.Failure(9))


@pytest.mark.parametrize("kind", [Kind.USER_PASSWORD, Kind.CHAP_PASSWORD, Kind.ARAP_PASSWORD])
def test_a_request_that_authenticates_in_two_ways_is_rejected(kind):
    answer, _ = Bench().nas().ask(IDENTITY, None, Attribute(kind, bytes(17)))
    assert answer.code is Code.ACCESS_REJECT


def test_a_request_without_eap_is_rejected():
    bench = Bench()
    octets = seal_request(1, bytes(16), (Attribute(Kind.USER_NAME, b"somebody"),), CLIENT.secret)
    answer = decode(bench.receive(octets))
    check_answer(answer, decode(octets), CLIENT.secret)
    assert answer.code is Code.ACCESS_REJECT
    assert join_eap(answer) is None


def test_more_proxy_state_than_an_answer_can_hold_gets_no_answer():
    hops = (Attribute(Kind.PROXY_STATE, bytes(250)),) * (LARGEST_HOPS // 250)
    bench = Bench()
    assert bench.nas().run(Device(), ANONYMOUS, *hops).code is Code.ACCESS_ACCEPT
    with pytest.raises(DecodeError):
        bench.nas().ask(IDENTITY, None, *hops, Attribute(Kind.PROXY_STATE, b"1"))


def test_nonsense_in_the_middle_ends_in_a_reject():
    bench = Bench()
    nas = bench.nas()
    begun, _ = nas.ask(IDENTITY, None)
    request = eap.decode(join_eap(begun) or b"")
    answer, _ = nas.ask(eap.encode(eap.Response(request.identifier, 13, b"\0garbage")), begun.single(Kind.STATE))
    verdict = answer
    if answer.code is Code.ACCESS_CHALLENGE:  # OpenSSL's alert goes first
        following = eap.decode(join_eap(answer) or b"")
        verdict, _ = nas.ask(eap.encode(eap.Response(following.identifier, 13, b"\0")), answer.single(Kind.STATE))
    assert verdict.code is Code.ACCESS_REJECT
    assert bench.server.under_way == 0


def test_status_server_is_answered():
    """RFC 5997: the watchdog of RADIUS over TLS."""
    octets = seal_request(5, bytes(16), (), CLIENT.secret, Code.STATUS_SERVER)
    answer = decode(Bench().receive(octets))
    check_answer(answer, decode(octets), CLIENT.secret)
    assert answer.code is Code.ACCESS_ACCEPT
    assert len(answer.attributes) == 1


# --- bounds -------------------------------------------------------------------------------------------------------


def test_the_oldest_authentication_gives_way():
    bench = Bench(AaaBounds(exchanges=3))
    nas = bench.nas()
    states = [nas.ask(IDENTITY, None)[0].single(Kind.STATE) for _ in range(4)]
    assert bench.server.under_way == 3
    ack = eap.encode(eap.Response(99, 13, b"\0"))
    assert nas.ask(ack, states[0])[0].code is Code.ACCESS_REJECT
    assert nas.ask(ack, states[1])[0].code is Code.ACCESS_CHALLENGE


def test_an_authentication_ends_after_its_time_whatever_comes():
    bench = Bench(AaaBounds(lifetime=30.0))
    nas = bench.nas()
    state = nas.ask(IDENTITY, None)[0].single(Kind.STATE)
    ack = eap.encode(eap.Response(99, 13, b"\0"))
    bench.now = 30.0
    assert nas.ask(ack, state)[0].code is Code.ACCESS_CHALLENGE
    bench.now = 30.1
    assert nas.ask(ack, state)[0].code is Code.ACCESS_REJECT
    assert bench.server.under_way == 0


def test_a_thousand_attempts_that_prove_nothing_leave_the_victim_served():
    """They say the victim's EID; some go on with a certificate of another device, most say no more."""
    bench = Bench(rates=AttemptRates(eid_burst=1, eid_seconds=86_400.0))
    claim = f"{EID}@example.org".encode()
    nas = bench.nas()
    for _ in range(1000):
        answer, _ = nas.ask(eap.encode(eap.Response(0, eap.EapType.IDENTITY, claim)), None)
        assert answer.code is Code.ACCESS_CHALLENGE
    stranger = Device(shared_pki().other_device)
    for _ in range(10):
        assert nas.run(stranger, claim).code is Code.ACCESS_REJECT
    assert nas.run(Device(), claim).code is Code.ACCESS_ACCEPT
    assert {ended.cause for ended in bench.ended} == {Cause.EID_MISMATCH, Cause.NORMAL}
    again = nas.run(Device(), claim)
    assert again.code is Code.ACCESS_REJECT
    assert bench.ended[-1].cause is Cause.CONGESTION
    bench.now += 86_401.0
    assert nas.run(Device(), claim).code is Code.ACCESS_ACCEPT


def test_kept_answers_are_bounded():
    bench = Bench(AaaBounds(answers=2))
    asked = [seal_request(n, bytes(16), (), CLIENT.secret, Code.STATUS_SERVER) for n in range(5)]
    for octets in asked:
        bench.receive(octets)
    assert len(bench.server._answers) == 2


def test_certificates_are_exchanged_while_authentications_run():
    """A new one begins with the new engines; the one under way ends with the old."""
    bench = Bench()
    nas = bench.nas()
    begun, _ = nas.ask(IDENTITY, None)
    other = Bench(network=shared_pki().network_of_other_anchor)
    peer = Device().peer()
    first = peer.on_packet(join_eap(begun) or b"")
    bench.engines = other.engines
    answer, _ = nas.ask(first.packet or b"", begun.single(Kind.STATE))
    while answer.code is Code.ACCESS_CHALLENGE:
        step = peer.on_packet(join_eap(answer) or b"")
        answer, _ = nas.ask(step.packet or b"", answer.single(Kind.STATE))
    assert answer.code is Code.ACCESS_ACCEPT
    assert nas.run(Device()).code is Code.ACCESS_REJECT


def test_the_default_mtu_of_the_double_is_what_eapol_test_sends():
    assert replace(Bench().nas()).extra == (MTU_1400,)
