"""Resumption: what it saves, who decides on it, what ends it. The network and the device each judge it anew."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from doubles.eap_tls_run import Run
from doubles.pki import EID, NOW, OTHER_EID, OTHER_PLMN, PLMN, Held, seeded, shared_pki
from doubles.radius_nas import Device, Nas
from hypothesis import given
from hypothesis import strategies as st

from rprov.auth import eap_tls, resumable
from rprov.auth.aaa_server import AaaClient, AaaServer
from rprov.auth.eap_tls import Believed, EapTlsPeerEngines, EapTlsServerEngines
from rprov.auth.resumable import Resumable
from rprov.auth.ticket import Ticket, TicketPocket
from rprov.causes import Cause
from rprov.crypto.issue_ocsp import make_ocsp
from rprov.crypto.ocsp import Staple
from rprov.crypto.tls import TlsSession
from rprov.crypto.tls_context import TlsCredentials
from rprov.crypto.x509 import subject_key_id
from rprov.crypto.x509_crl import Revocations
from rprov.crypto.x509_trust import DeviceAnchors
from rprov.errors import DecodeError, Refused
from rprov.model.identifiers import EidHint
from rprov.model.kinds import Unfit
from rprov.model.revocation import RevocationCheck
from rprov.model.tls import LONGEST_RESUMPTION, TlsChoices, TlsGroup, TlsResumption, TlsVersion
from rprov.wire.eap import decode
from rprov.wire.eap_tls import decode_fragment
from rprov.wire.messages import ABBA_MSK
from rprov.wire.radius import Code, SharedSecret

PKI = shared_pki()
LIFETIME = 3600
ON = TlsChoices(resumption=TlsResumption(enabled=True, lifetime=LIFETIME))
LATER = NOW + timedelta(seconds=LIFETIME * 2 // 3)
HOUR = timedelta(hours=1)


def server(choices: TlsChoices = ON, network: Held = PKI.network) -> EapTlsServerEngines:
    return EapTlsServerEngines(TlsCredentials(network.chain, network.key), [PKI.ci.certificate], choices=choices)


def device(pocket: TicketPocket, choices: TlsChoices = ON, held: Held = PKI.device, **over) -> EapTlsPeerEngines:
    anchors = over.pop("anchors", [PKI.network_ca.certificate])
    return EapTlsPeerEngines(TlsCredentials(held.chain, held.key), anchors, choices=choices, pocket=pocket, **over)


class Pair:
    """A network and a device that know each other from a full handshake at NOW."""

    def __init__(self, choices: TlsChoices = ON, held: Held = PKI.device, **over) -> None:
        self.pocket = TicketPocket()
        self.cp, self.ue = server(choices), device(self.pocket, choices, held, **over)
        self.first = Run(self.cp, self.ue)
        assert self.first.ok
        assert not self.first.resumed
        assert self.pocket.ticket is not None

    def again(self, **over) -> Run:
        return Run(self.cp, self.ue, **over)


def hello(run: Run) -> bytes:
    return decode_fragment(decode(run.to_cp[0]).data).data


def extensions(client_hello: bytes) -> dict[int, bytes]:
    """Of a ClientHello in one record (RFC 8446 4.1.2)."""
    body = client_hello[5 + 4 + 2 + 32 :]
    body = body[1 + body[0] :]
    body = body[2 + int.from_bytes(body[:2]) :]
    body = body[1 + body[0] :]
    body, found = body[2:], {}
    while body:
        length = int.from_bytes(body[2:4])
        found[int.from_bytes(body[:2])] = body[4 : 4 + length]
        body = body[4 + length :]
    return found


PRE_SHARED_KEY, EARLY_DATA, PSK_MODES = 41, 42, 45


# --- what it is ---------------------------------------------------------------------------------------------------


def test_the_second_time_is_shorter_has_its_own_keys_and_no_certificate():
    pair = Pair()
    second = pair.again()
    assert second.ok
    assert second.resumed
    assert second.k_ausf != pair.first.k_ausf
    # ServerHello … Finished in the second request: nothing of a certificate's size
    assert len(second.to_ue[1]) < 300 < len(pair.first.to_ue[1])
    assert len(second.to_cp[1]) < 100 < len(pair.first.to_cp[1])
    assert second.proved.eid == EID
    assert second.proved.certificate == pair.first.proved.certificate
    assert second.proved.path == pair.first.proved.path


def test_a_resumption_brings_the_next_ticket():
    pair = Pair()
    for _ in range(3):
        before = pair.pocket.ticket
        assert pair.again().resumed
        assert pair.pocket.ticket.session != before.session
        assert pair.pocket.ticket.since == NOW


def test_a_ticket_is_offered_with_a_fresh_key_exchange_and_no_early_data():
    pair = Pair()
    plain, offered = extensions(hello(pair.first)), extensions(hello(pair.again()))
    assert PRE_SHARED_KEY not in plain
    assert PRE_SHARED_KEY in offered
    for hello_ in (plain, offered):
        assert hello_[PSK_MODES] == b"\x01\x01"  # psk_dhe_ke and nothing else
        assert EARLY_DATA not in hello_


def test_the_ue_has_no_key_before_the_commitment_of_a_resumed_handshake_either():
    pair = Pair()

    def bend(packet: bytes) -> bytes:
        data = decode(packet).data
        return packet[:-1] + bytes((packet[-1] ^ 1,)) if 23 in data[1:2] and len(packet) > 700 else packet

    run = pair.again(bend=bend)
    assert not run.ok
    assert run.k_ausf is None
    assert pair.pocket.ticket is None


def test_a_hidden_eid_stays_hidden():
    pair = Pair()
    run = pair.again(claimed=EidHint(EID.digits[:8]))
    assert run.resumed
    assert EID.digits.encode() not in b"".join(run.to_ue + run.to_cp)


@pytest.mark.parametrize("curve", ["P-256", "brainpoolP256r1"])
@pytest.mark.parametrize("group", TlsGroup)
def test_every_group_and_curve_resumes(group, curve):
    choices = TlsChoices(groups=(group,), resumption=ON.resumption)
    pki = shared_pki(curve)
    pocket = TicketPocket()
    cp = EapTlsServerEngines(TlsCredentials(pki.network.chain, pki.network.key), [pki.ci.certificate], choices=choices)
    ue = device(pocket, choices, pki.device, anchors=[pki.network_ca.certificate])
    assert [Run(cp, ue).resumed for _ in range(2)] == [False, True]


LASTING = Pair()
LASTING_TICKET = LASTING.pocket.ticket


@given(up=st.booleans(), number=st.integers(0, 2), position=st.integers(0, 2000), change=st.integers(1, 255))
def test_an_octet_changed_on_the_way_never_splits_the_two_sides(up, number, position, change):
    """Behind the EAP header, in any packet of a resumption: both have the same keys, or nobody has any."""
    pair, passed = LASTING, []
    pair.pocket.put(LASTING_TICKET)

    def bend(packet: bytes) -> bytes:
        passed.append(packet)
        if len(passed) != number + 1 or len(packet) < 7:
            return packet
        at = 6 + position % (len(packet) - 6)
        return packet[:at] + bytes((packet[at] ^ change,)) + packet[at + 1 :]

    run = pair.again(bend_up=bend) if up else pair.again(bend=bend)
    last_word = up and number == 2  # the acknowledgement: the device is done, and learns in NAS that nobody else is
    assert run.ok or run.k_ausf is None or last_word


# --- off, on one side or both -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cp", "ue"), [(False, False), (True, False), (False, True)])
def test_it_takes_both_sides(cp, ue):
    pocket = TicketPocket()
    network = server(ON if cp else TlsChoices())
    one = device(pocket, ON if ue else TlsChoices())
    for _ in range(3):
        run = Run(network, one)
        assert run.ok
        assert not run.resumed
    assert ue or pocket.ticket is None


def test_it_is_for_tls_1_3_alone():
    """In TLS 1.2 a server that resumes sends its Finished first: the success, before anybody was asked."""
    both = (TlsVersion.TLS_1_3, TlsVersion.TLS_1_2)
    with pytest.raises(Unfit, match=r"TLS 1\.3 alone"):
        TlsChoices(tls_versions=both, resumption=TlsResumption(enabled=True))
    assert TlsChoices(tls_versions=both).takes_1_2


# --- the network decides anew (RFC 9190 5.7, CVE-2017-9148) -------------------------------------------------------


def test_everything_is_asked_again(monkeypatch):
    pair = Pair()
    asked = []

    def check(real: Callable) -> Callable:
        return lambda *given, **named: asked.append(real.__qualname__) or real(*given, **named)

    monkeypatch.setattr(DeviceAnchors, "check", check(DeviceAnchors.check))
    monkeypatch.setattr(Revocations, "check", check(Revocations.check))
    monkeypatch.setattr(eap_tls, "eid_of", check(eap_tls.eid_of))
    assert pair.again().resumed
    assert asked[:3] == ["DeviceAnchors.check", "Revocations.check", "eid_of"]


def test_whoever_is_revoked_in_between_is_refused_by_an_alert():
    pair = Pair()
    one = PKI.device.certificate
    pair.cp.revoked = Revocations(frozenset({(subject_key_id(PKI.eum.certificate), one.serial_number)}))
    run = pair.again()
    assert not run.ok
    assert not run.resumed
    assert run.outcome.cause is Cause.CERTIFICATE_REVOKED
    assert run.k_ausf is None
    # the whole handshake was made, so that the refusal could be one: the device has shown its certificate
    assert len(run.to_cp[1]) > 1000


def test_a_revoked_manufacturer_is_found_too():
    pair = Pair()
    eum = PKI.eum.certificate
    pair.cp.revoked = Revocations(frozenset({(subject_key_id(PKI.ci.certificate), eum.serial_number)}))
    assert pair.again().outcome.cause is Cause.CERTIFICATE_REVOKED


def test_a_crl_that_is_exchanged_leaves_tickets_good_for_everybody_else():
    pair = Pair()
    pair.cp.revoked = Revocations(frozenset({(b"k" * 20, 5)}))
    assert pair.again().resumed


def test_without_a_current_crl_nobody_resumes_where_one_is_required():
    pair = Pair()
    pair.cp.revoked = Revocations(required=True)
    assert pair.again().outcome.cause is Cause.REVOCATION_UNKNOWN


def test_a_certificate_that_expires_in_between_is_refused():
    held = PKI.make_device(now=NOW - timedelta(days=1) + HOUR / 2, days=1)
    pair = Pair(held=held)
    assert pair.again(at=NOW + HOUR / 3).resumed
    run = pair.again(at=NOW + HOUR * 2 / 3)
    assert run.outcome.cause is Cause.CERTIFICATE_EXPIRED
    assert not run.resumed


def test_an_order_that_is_gone_is_found_before_the_commitment():
    pair = Pair()
    run = pair.again(refuse=Cause.NO_ORDER)
    assert run.proved.resumed
    assert run.outcome.cause is Cause.NO_ORDER
    assert run.k_ausf is None
    assert pair.pocket.ticket is None


@pytest.mark.parametrize(("cause", "good"), [(Cause.NO_ORDER, False), (Cause.CONGESTION, True)])
def test_the_network_forgets_a_device_whose_order_is_gone_and_not_one_that_came_too_often(cause, good):
    """A device that is provisioned has no order; its ticket, wherever it is kept, is good for nothing any more."""
    pair = Pair()
    ticket = pair.pocket.ticket
    assert pair.again(refuse=cause).proved.resumed
    pair.pocket.put(ticket)
    run = pair.again()
    assert PRE_SHARED_KEY in extensions(hello(run))
    assert run.ok
    assert run.resumed is good


def test_a_device_that_was_never_authorised_has_no_ticket_that_is_good():
    """OpenSSL sends tickets before anybody could decide; they lead to a full handshake."""
    pocket = TicketPocket()
    cp, ue = server(), device(pocket)
    refused = Run(cp, ue, refuse=Cause.NO_ORDER)
    assert refused.outcome.cause is Cause.NO_ORDER
    session = refused.ue._engine.session()
    assert session is not None
    pocket.put(Ticket(ue._binding(PLMN), NOW, (PKI.network.certificate,), b"", session))
    run = Run(cp, ue)
    assert PRE_SHARED_KEY in extensions(hello(run))
    assert run.ok
    assert not run.resumed


@pytest.mark.parametrize("claimed", [OTHER_EID, EidHint("89049033")])
def test_a_stolen_ticket_does_not_make_somebody_else_of_its_holder(claimed):
    pair = Pair()
    stolen = pair.pocket.ticket
    run = pair.again(claimed=claimed)
    assert run.outcome.cause is Cause.EID_MISMATCH
    # in the hands of another device, which claims its own EID: its own certificate decides, in a full handshake
    pocket = TicketPocket()
    other = device(pocket, held=PKI.other_device)
    pocket.put(Ticket(other._binding(PLMN), NOW, stolen.path, b"", stolen.session))
    honest = Run(pair.cp, other, claimed=OTHER_EID)
    assert PRE_SHARED_KEY in extensions(hello(honest))
    assert honest.ok
    assert not honest.resumed
    # and where it claims the EID of the ticket, it is let in as that device: whoever has a ticket with its keys is it
    pocket.put(Ticket(other._binding(PLMN), NOW, stolen.path, b"", stolen.session))
    assert Run(pair.cp, other).resumed


def test_a_ticket_may_be_offered_again_with_its_keys_and_not_without():
    """Within its lifetime OpenSSL takes a ticket repeatedly. That needs its keys, and gives other keys each time."""
    pair = Pair()
    ticket, keys = pair.pocket.ticket, set()
    for _ in range(3):
        pair.pocket.take()
        pair.pocket.put(ticket)
        run = pair.again()
        assert run.resumed
        keys.add(run.k_ausf.octets)
    assert len(keys) == 3


def test_a_recorded_hello_played_again_leads_nowhere():
    pair = Pair()
    recorded = pair.again()
    network = pair.cp.scheme(EID, PLMN.serving_network_name, NOW)
    network.begin()
    machine = network._server
    answered = machine.on_packet(recorded.to_cp[0])
    assert len(answered.packet) < 300  # resumed so far: the hello is genuine
    end = machine.on_packet(recorded.to_cp[1])  # and the Finished is of another handshake
    while not hasattr(end, "cause"):
        end = machine.on_packet(bytes((2, decode(end.packet).identifier, 0, 6, 13, 0)))
    assert end.cause is Cause.EAP_FAILED


def test_a_ticket_of_another_context_leads_to_a_full_handshake():
    pair = Pair()
    pair.cp = server()
    run = pair.again()
    assert PRE_SHARED_KEY in extensions(hello(run))
    assert run.ok
    assert not run.resumed
    assert pair.again().resumed


# --- lifetime -----------------------------------------------------------------------------------------------------


def test_the_lifetime_counts_from_the_full_handshake_at_the_network():
    pair = Pair()
    patient = device(pair.pocket, TlsChoices(resumption=TlsResumption(enabled=True, lifetime=LONGEST_RESUMPTION)))
    assert Run(pair.cp, patient).ok
    assert Run(pair.cp, patient, at=LATER).resumed
    late = Run(pair.cp, patient, at=NOW + timedelta(seconds=LIFETIME + 1))
    assert PRE_SHARED_KEY in extensions(hello(late))
    assert late.ok
    assert not late.resumed


def test_the_lifetime_counts_from_the_full_handshake_at_the_device():
    long = TlsChoices(resumption=TlsResumption(enabled=True, lifetime=LONGEST_RESUMPTION))
    pocket = TicketPocket()
    cp, ue = server(long), device(pocket)
    assert Run(cp, ue).ok
    assert Run(cp, ue, at=LATER).resumed
    late = Run(cp, ue, at=NOW + timedelta(seconds=LIFETIME + 1))
    assert PRE_SHARED_KEY not in extensions(hello(late))
    assert late.ok


def test_a_clock_that_went_back_costs_a_full_handshake():
    pair = Pair()
    run = pair.again(at=NOW - HOUR)
    assert run.ok
    assert not run.resumed


def test_a_clock_that_went_back_at_the_network_does_not_make_a_handshake_younger():
    known = Resumable(LIFETIME)
    leaf = PKI.device.certificate
    known.remember((leaf, PKI.eum.certificate, PKI.ci.certificate), NOW)
    assert known.issuers(leaf, NOW)
    with pytest.raises(Refused):
        known.issuers(leaf, NOW - HOUR)
    with pytest.raises(Refused):
        known.issuers(leaf, NOW)  # and now it is forgotten


@pytest.mark.parametrize("lifetime", [1, 77, LONGEST_RESUMPTION])
def test_a_ticket_says_how_long_it_is_good(lifetime):
    """RFC 8446 4.6.1, RFC 9190 2.1.2; in OpenSSL's SSL_SESSION the lifetime of the ticket is element [9]."""
    pair = Pair(TlsChoices(resumption=TlsResumption(enabled=True, lifetime=lifetime)))
    octets = lifetime.to_bytes((lifetime.bit_length() + 8) // 8)
    said = bytes((0xA9, len(octets) + 2, 2, len(octets))) + octets
    assert said in pair.pocket.ticket.session.octets


def test_nobody_may_ask_for_more_than_seven_days(tmp_path):
    from rprov.config import load_aaa
    from rprov.errors import ConfigError

    file = tmp_path / "aaa.yaml"
    file.write_text(f"eap_tls: {{resumption: {{enabled: true, lifetime: {LONGEST_RESUMPTION + 1}}}}}\n")
    with pytest.raises(ConfigError, match=r"eap_tls\.resumption\.lifetime"):
        load_aaa(file)


def test_the_oldest_device_gives_way():
    known = Resumable(LIFETIME, most=2)
    leaves = [PKI.device, PKI.euicc, PKI.other_device]
    for held in leaves:
        known.remember((held.certificate, PKI.eum.certificate, PKI.ci.certificate), NOW)
    assert len(known) == 2
    with pytest.raises(Refused):
        known.issuers(PKI.device.certificate, NOW)
    assert list(known.issuers(PKI.other_device.certificate, NOW)) == [PKI.eum.certificate]


def test_what_is_forgotten_leads_to_a_full_handshake(monkeypatch):
    pair = Pair()
    pair.cp._resumable._known.clear()
    run = pair.again()
    assert run.ok
    assert not run.resumed
    assert resumable.MOST_DEVICES > 1000


def test_a_hello_that_was_asked_for_again_is_taken_again_as_a_whole():
    """Two flights of the client come before the ticket is judged: the full handshake begins with both."""
    choices = TlsChoices(groups=(TlsGroup.P384, TlsGroup.X25519), resumption=ON.resumption)
    pocket = TicketPocket()
    cp = server(TlsChoices(groups=(TlsGroup.X25519,), resumption=ON.resumption))
    ue = device(pocket, choices)
    first, second = Run(cp, ue), Run(cp, ue)
    assert first.ok
    assert second.resumed
    cp._resumable._known.clear()
    third = Run(cp, ue)
    assert third.ok
    assert not third.resumed
    assert len(third.to_ue[1]) == len(second.to_ue[1]) < 120  # the HelloRetryRequest
    assert len(second.to_cp[2]) < 100 < 1200 < len(third.to_cp[2])  # after the second hello: a certificate, or none


# --- the device decides anew --------------------------------------------------------------------------------------


def changed(**over) -> Callable[[TicketPocket], EapTlsPeerEngines]:
    return lambda pocket: device(pocket, over.get("choices", ON), **{k: v for k, v in over.items() if k != "choices"})


CHANGES = {
    "another anchor beside": changed(anchors=[PKI.network_ca.certificate, PKI.other_network_ca.certificate]),
    "another server name": changed(server_name=f"x.{PLMN.cp_name}"),
    "another name elsewhere": changed(elsewhere=(Believed((PKI.other_network_ca.certificate,), "aaa.example.org"),)),
    "keys from the MSK": changed(abba=ABBA_MSK),
    "another credential": changed(held=PKI.euicc),
    "another demand on staples": changed(revocation=RevocationCheck.OFF),
    "other groups": changed(choices=TlsChoices(groups=(TlsGroup.X25519,), resumption=ON.resumption)),
    "another lifetime": changed(choices=TlsChoices(resumption=TlsResumption(enabled=True, lifetime=60))),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_ticket_of_other_settings_is_dropped(name):
    pair = Pair()
    pair.ue = CHANGES[name](pair.pocket)
    scheme = pair.ue.scheme(PLMN, NOW)
    assert PRE_SHARED_KEY not in extensions(scheme._engine.start())
    assert pair.pocket.ticket is None


def test_the_same_settings_take_it_up_after_a_restart():
    pair = Pair()
    pocket = TicketPocket(Ticket.decode(pair.pocket.ticket.encode()))
    assert Run(pair.cp, device(pocket)).resumed


def test_a_ticket_of_another_network_is_dropped():
    pair = Pair()
    scheme = pair.ue.scheme(OTHER_PLMN, NOW)
    assert PRE_SHARED_KEY not in extensions(scheme._engine.start())
    assert pair.pocket.ticket is None


def test_a_network_whose_certificate_expires_in_between_is_not_offered_a_ticket():
    network = PKI.make_network(now=NOW - timedelta(days=1) + HOUR / 2, days=1)
    pocket = TicketPocket()
    cp, ue = server(network=network), device(pocket)
    assert Run(cp, ue).ok
    run = Run(cp, ue, at=NOW + HOUR * 2 / 3)
    assert PRE_SHARED_KEY not in extensions(hello(run))
    assert run.refusal.message.cause is Cause.NETWORK_CERTIFICATE_EXPIRED


def staple(until: datetime) -> Staple:
    ca = PKI.network_ca
    made = make_ocsp(PKI.network.certificate, ca.certificate, ca.key, NOW - HOUR, days=1)
    return Staple(made.public_bytes(Encoding.DER), until)


def test_an_ocsp_response_is_remembered_and_must_still_be_good():
    long = TlsChoices(resumption=TlsResumption(enabled=True, lifetime=LONGEST_RESUMPTION))
    pocket = TicketPocket()
    cp, ue = server(long), device(pocket, long, revocation=RevocationCheck.STAPLE_REQUIRED)
    cp.staple = staple(NOW + timedelta(days=1))
    assert Run(cp, ue).ok
    assert pocket.ticket.staple
    assert Run(cp, ue, at=LATER).resumed
    run = Run(cp, ue, at=NOW + timedelta(days=1))
    assert PRE_SHARED_KEY not in extensions(hello(run))
    assert run.refusal.message.cause is Cause.NETWORK_REVOCATION_UNKNOWN


def test_a_ticket_is_gone_as_soon_as_it_is_offered():
    pair = Pair()
    pair.ue.scheme(PLMN, NOW)
    assert pair.pocket.ticket is None


def test_a_session_with_another_network_is_refused_with_a_goodbye(monkeypatch):
    """Cannot be with OpenSSL as it is: a ticket opens at whoever has made it, and the certificate is of the session."""
    pair = Pair()

    def another(self, leaf) -> None:
        raise Refused(Cause.NETWORK_CERTIFICATE_INVALID, "another network")

    monkeypatch.setattr(eap_tls._NetworkJudge, "judge_again", another)
    run = pair.again()
    assert run.refusal.message.cause is Cause.NETWORK_CERTIFICATE_INVALID
    assert run.k_ausf is None


def test_the_network_of_a_ticket_is_the_one_that_resumes():
    judge = eap_tls._NetworkJudge(
        [eap_tls.Believed([PKI.network_ca.certificate], None)], PLMN, NOW, RevocationCheck.OFF
    )
    with pytest.raises(Refused):
        judge.judge_again(PKI.network.certificate)
    judge.judge(PKI.network.certificate, [])
    judge.judge_again(PKI.network.certificate)
    with pytest.raises(Refused):
        judge.judge_again(PKI.network_below_sub_ca.certificate)


# --- how a ticket is kept -----------------------------------------------------------------------------------------


def test_a_ticket_comes_back_from_its_octets_and_shows_nothing():
    ticket = Pair().pocket.ticket
    assert Ticket.decode(ticket.encode()) == ticket
    assert ticket.session.octets.hex() not in repr(ticket)
    assert len(ticket.encode()) < 4000


@given(st.data())
def test_octets_that_are_no_ticket_are_refused(data):
    octets = bytearray(TICKET)
    for _ in range(data.draw(st.integers(1, 3))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(octets)))
    for changed_ in (bytes(octets), bytes(octets[:cut]), data.draw(st.binary(max_size=100))):
        try:
            Ticket.decode(changed_)
        except DecodeError:
            continue


TICKET = LASTING_TICKET.encode()


@pytest.mark.parametrize("session", [b"\x00", b"\x30\x00", bytes(1000), TICKET])
def test_a_session_that_is_none_costs_a_full_handshake(session):
    pair = Pair()
    ticket = pair.pocket.take()
    pair.pocket.put(ticket.next(TlsSession(session)))
    run = pair.again()
    assert run.ok
    assert not run.resumed


# --- behind RADIUS ------------------------------------------------------------------------------------------------


def test_an_aaa_server_takes_tickets_says_so_and_decides_anew():
    engines = server()
    aaa = AaaServer(lambda: engines)
    client, ended = AaaClient("cp", SharedSecret(b"a secret of more than 16")), []

    def exchange(octets: bytes) -> bytes:
        reply = aaa.receive(client, "here", octets, 0.0, NOW, seeded_aaa)
        ended.extend([reply.ended] if reply.ended else [])
        return reply.octets

    seeded_aaa = seeded("aaa")
    nas, one = Nas(client.secret, exchange), Device(resumes=True)
    for resumed in (False, True):
        verdict = nas.run(one)
        assert verdict.code is Code.ACCESS_ACCEPT
        assert nas.keys(verdict) == verdict.peer_msk.octets
        assert one.resumed is resumed
        assert (ended[-1].eid, ended[-1].detail) == (EID, "resumed" if resumed else "")
    gone = frozenset({(subject_key_id(PKI.eum.certificate), PKI.device.certificate.serial_number)})
    engines.revoked = Revocations(gone)
    assert nas.run(one).code is Code.ACCESS_REJECT
    assert ended[-1].cause is Cause.CERTIFICATE_REVOKED
