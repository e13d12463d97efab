"""What others fell into with EAP-TLS, each as a test: when keys are worth something, and what a last word may be."""

from dataclasses import replace

import pytest
from doubles.eap_tls_run import NETWORK, Run
from doubles.pki import EID, NOW, PLMN, shared_pki
from OpenSSL import SSL

from rprov.auth.eap.methods.tls import KEY_CONTEXT, KEY_LABEL
from rprov.auth.eap.peer import Denied
from rprov.auth.eap.states import MethodState
from rprov.auth.eap_tls import EapTlsPeerEngines, EapTlsServerEngines
from rprov.auth.scheme import Authenticated, Challenge, Failed, PeerProved
from rprov.auth.ticket import TicketPocket
from rprov.causes import Cause
from rprov.crypto.hierarchy import Emsk, k_ausf_from_emsk
from rprov.crypto.tls import TlsEngine, TlsFailed
from rprov.crypto.tls_context import Side, TlsCredentials
from rprov.model.tls import TlsChoices, TlsResumption, TlsVersion
from rprov.wire.eap import Request, Response, decode, encode
from rprov.wire.eap_tls import decode_fragment
from rprov.wire.messages import AuthenticationRequest, AuthenticationResponse, Eap

PKI = shared_pki()
BOTH = TlsChoices(tls_versions=(TlsVersion.TLS_1_3, TlsVersion.TLS_1_2))
VERSIONS = pytest.mark.parametrize("version", TlsVersion)


def server(choices: TlsChoices = BOTH) -> EapTlsServerEngines:
    return EapTlsServerEngines(
        TlsCredentials(PKI.network.chain, PKI.network.key), [PKI.ci.certificate], choices=choices
    )


def peer(choices: TlsChoices = BOTH, device=PKI.device, pocket: TicketPocket | None = None) -> EapTlsPeerEngines:
    own = TlsCredentials(device.chain, device.key)
    return EapTlsPeerEngines(own, [PKI.network_ca.certificate], choices=choices, pocket=pocket)


def only(version: TlsVersion) -> TlsChoices:
    return TlsChoices(tls_versions=(version,))


def to_the_decision(choices: TlsChoices = BOTH):
    """Run up to where the network has proved the device and must decide."""
    network, ue = server(choices).scheme(EID, NETWORK, NOW), peer(choices).scheme(PLMN, NOW)
    outcome = network.begin()
    while not isinstance(outcome, PeerProved):
        outcome = network.on_response(ue.on_request(AuthenticationRequest(0, bytes(2), outcome.challenge)).message)
    return network, ue


# --- keys ---------------------------------------------------------------------------------------------------------


@VERSIONS
def test_all_key_material_comes_from_one_export(version, monkeypatch):
    """In TLS 1.3 the length goes into the derivation: MSK alone would be another one."""
    asked, export = [], TlsEngine.export

    def watched(engine, label, length, context):
        asked.append(length)
        return export(engine, label, length, context)

    monkeypatch.setattr(TlsEngine, "export", watched)
    assert Run(server(only(version)), peer(only(version))).ok
    assert asked == [128, 128]  # each side once


def test_a_shorter_export_would_be_another_key():
    network, _ = to_the_decision()
    engine = network._server._method._engine
    assert engine.export(KEY_LABEL, 64, KEY_CONTEXT) != engine.export(KEY_LABEL, 128, KEY_CONTEXT)[:64]


@VERSIONS
def test_where_keys_cannot_be_exported_nothing_is_committed(version, monkeypatch):
    network, _ = to_the_decision(only(version))
    sent = []
    monkeypatch.setattr(TlsEngine, "send", lambda engine, data: sent.append(data) or b"")

    def broken(engine, label, length, context):
        raise TlsFailed(Cause.EAP_FAILED, "no exporter")

    monkeypatch.setattr(TlsEngine, "export", broken)
    outcome = network.authorise()
    assert isinstance(outcome, Failed)
    assert sent == []


def test_what_a_device_exports_before_the_network_has_looked_is_worth_nothing():
    """In TLS 1.3 a client is done first: its handshake is complete while the network is about to refuse it."""
    network, ue = server().scheme(EID, NETWORK, NOW), peer(device=PKI.other_device).scheme(PLMN, NOW)
    answer = ue.on_request(AuthenticationRequest(0, bytes(2), network.begin().challenge))
    answer = ue.on_request(AuthenticationRequest(0, bytes(2), network.on_response(answer.message).challenge))
    engine = ue._engine
    assert engine.done
    early = k_ausf_from_emsk(Emsk(engine.export(KEY_LABEL, 128, KEY_CONTEXT)[64:]))
    assert len(early.octets) == 32  # there it is, and nobody takes it
    assert answer.k_ausf is None
    alert = network.on_response(answer.message)
    answer = ue.on_request(AuthenticationRequest(0, bytes(2), alert.challenge))
    assert answer.k_ausf is None
    ended = network.on_response(answer.message)
    assert isinstance(ended, Failed)
    assert ended.cause is Cause.EID_MISMATCH


# --- the last word ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["alert", "nonsense", "data", "half a record"])
def test_only_nothing_or_a_goodbye_answers_the_commitment(name):
    network, ue = to_the_decision(only(TlsVersion.TLS_1_3))
    commitment = network.authorise().challenge.packet
    engine = ue._engine
    engine.feed(decode_fragment(decode(commitment).data).data)
    said = {
        "alert": b"\x15\x03\x03\x00\x02\x02\x28",
        "nonsense": b"hello",
        "data": engine.send(b"\x00"),
        "half a record": b"\x17\x03\x03\x00\x20" + bytes(7),
    }[name]
    packet = encode(Response(decode(commitment).identifier, 13, b"\x00" + said))
    ended = network.on_response(AuthenticationResponse(Eap(packet)))
    if isinstance(ended, Challenge):  # an alert against it first
        packet = encode(Response(decode(ended.challenge.packet).identifier, 13, b"\x00"))
        ended = network.on_response(AuthenticationResponse(Eap(packet)))
    assert isinstance(ended, Failed)


@VERSIONS
@pytest.mark.parametrize("word", ["data", "a goodbye"])
def test_who_says_more_than_its_finished_is_not_proved(word, version, monkeypatch):
    """Data before anybody was authorised, or a goodbye that would pass for the answer to the commitment."""
    feed = TlsEngine.feed

    def talkative(engine, octets):
        was_done = engine.done
        progress = feed(engine, octets)
        if engine._context.side is Side.CLIENT and not was_done and progress.flight and engine.peer is not None:
            more = engine.send(b"x") if word == "data" else engine.close_notify()
            return replace(progress, flight=progress.flight + more)
        return progress

    monkeypatch.setattr(TlsEngine, "feed", talkative)
    if version is TlsVersion.TLS_1_2:
        monkeypatch.setattr(TlsEngine, "send", lambda engine, data: b"\x17\x03\x03\x00\x01x")
        monkeypatch.setattr(TlsEngine, "close_notify", lambda engine: b"\x15\x03\x03\x00\x02\x01\x00")
    run = Run(server(only(version)), peer(only(version)))
    assert isinstance(run.outcome, Failed)
    assert run.outcome.cause is Cause.EAP_FAILED
    assert run.proved is None
    assert run.k_ausf is None


def asked_once_more(ended: Failed | Challenge, ue, network):
    """Let the device answer a request; give what the network makes of that."""
    answer = ue.on_request(AuthenticationRequest(0, bytes(2), ended.challenge))
    assert answer.k_ausf is None
    return network.on_response(answer.message)


def test_a_failure_is_believed_after_a_goodbye_in_place_of_the_commitment():
    network, ue = to_the_decision(only(TlsVersion.TLS_1_3))
    ended = asked_once_more(network.refuse(Cause.NO_ORDER), ue, network)
    assert isinstance(ended, Failed)
    assert isinstance(ue._peer.on_packet(ended.eap_failure.packet), Denied)


def test_whoever_goes_on_after_an_alert_gets_nothing_and_its_failure_is_still_believed():
    network, ue = server().scheme(EID, NETWORK, NOW), peer(device=PKI.other_device).scheme(PLMN, NOW)
    outcome = network.begin()
    while ue._peer.method_state is not MethodState.MAY_CONT:
        before, outcome = outcome, asked_once_more(outcome, ue, network)
    identifier = decode(before.challenge.packet).identifier + 1
    commitment = encode(Request(identifier, 13, b"\x00" + b"\x17\x03\x03\x00\x17" + bytes(23)))
    answer = ue.on_request(AuthenticationRequest(0, bytes(2), Eap(commitment)))
    assert answer.k_ausf is None
    assert decode(answer.message.answer.packet).data == b"\x00"
    failure = bytes((4, identifier, 0, 4))
    assert isinstance(ue._peer.on_packet(failure), Denied)


def test_a_commitment_cut_short_is_not_acknowledged_as_one():
    """A changed length makes OpenSSL wait for the rest; an acknowledgement now would be the network's success alone."""

    def bend(packet: bytes) -> bytes:
        data = decode_fragment(decode(packet).data).data
        if data[:1] != b"\x17":
            return packet
        # the last record is the 0x00: 5 octets of header, 19 of content, padding none
        return packet[:-20] + bytes((packet[-20] + 1,)) + packet[-19:]

    run = Run(server(only(TlsVersion.TLS_1_3)), peer(only(TlsVersion.TLS_1_3)), bend=bend)
    assert isinstance(run.outcome, Failed)
    assert run.refusal is not None
    assert run.k_ausf is None


def test_the_acknowledgement_has_its_octet_of_flags():
    run = Run(server(), peer())
    last = run.to_cp[-1]
    assert (len(last), last[2:]) == (6, b"\x00\x06\x0d\x00")


# --- versions and early data --------------------------------------------------------------------------------------


def hello_of(version: bytes) -> bytes:
    """A ClientHello of before TLS 1.3, by hand: what a peer sends for which a version hole was left."""
    suites = bytes.fromhex("c009c00ac023c02b")
    groups, formats = bytes.fromhex("000a00080006001d00170018"), bytes.fromhex("000b00020100")
    extensions = groups + formats
    body = version + bytes(range(32)) + b"\x00" + len(suites).to_bytes(2) + suites + b"\x01\x00"
    body += len(extensions).to_bytes(2) + extensions
    handshake = b"\x01" + len(body).to_bytes(3) + body
    return b"\x16\x03\x01" + len(handshake).to_bytes(2) + handshake


@pytest.mark.parametrize("version", [b"\x03\x00", b"\x03\x01", b"\x03\x02"], ids=["SSL 3.0", "TLS 1.0", "TLS 1.1"])
def test_nothing_older_than_tls_1_2_is_let_in(version):
    network = server().scheme(EID, NETWORK, NOW)
    start = decode(network.begin().challenge.packet)
    packet = encode(Response(start.identifier, 13, b"\x00" + hello_of(version)))
    told = network.on_response(AuthenticationResponse(Eap(packet)))
    alert = decode_fragment(decode(told.challenge.packet).data).data
    assert alert[0] == 21
    assert alert[-2:] == b"\x02\x46"  # fatal, protocol_version


def test_a_ticket_allows_no_early_data():
    choices = TlsChoices(resumption=TlsResumption(enabled=True))
    pocket = TicketPocket()
    assert isinstance(Run(server(choices), peer(choices, pocket=pocket)).outcome, Authenticated)
    library, ffi = SSL._lib, SSL._ffi
    octets = pocket.ticket.session.octets
    place = ffi.new("unsigned char[]", octets)
    session = library.d2i_SSL_SESSION(ffi.NULL, ffi.new("unsigned char **", place), len(octets))
    assert library.SSL_SESSION_get_max_early_data(session) == 0
    library.SSL_SESSION_free(session)
