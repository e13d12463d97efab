"""What EAP-TLS may negotiate: groups, suites, kinds of network certificates, and TLS 1.2 where policy lets it in."""

from functools import lru_cache

import pytest
from cryptography.hazmat.primitives import hashes
from doubles.eap_tls_run import NETWORK, Run
from doubles.pki import EID, NOW, PLMN, START, Held, Pki, seeded, shared_pki

from rprov.auth.eap.methods.tls import KEY_LABEL_1_2
from rprov.auth.eap_tls import EapTlsPeerEngines, EapTlsServerEngines
from rprov.auth.scheme import Authenticated, Failed, PeerProved
from rprov.causes import Cause
from rprov.crypto import issue, tls, tls_context, tls_openssl
from rprov.crypto.hierarchy import Emsk, k_ausf_from_emsk
from rprov.crypto.tls_context import TlsCredentials
from rprov.errors import EnvironmentLacks
from rprov.model.identifiers import EidHint
from rprov.model.kinds import Unfit
from rprov.model.tls import TlsChoices, TlsGroup, TlsSuite, TlsVersion
from rprov.wire.eap import Success, decode
from rprov.wire.eap_tls import decode_fragment
from rprov.wire.messages import AuthenticationRequest

V13, V12 = (TlsVersion.TLS_1_3,), (TlsVersion.TLS_1_2,)
BOTH = (TlsVersion.TLS_1_3, TlsVersion.TLS_1_2)
PKI = shared_pki()
KINDS = ("P-256", "P-384", "brainpoolP256r1", "Ed25519")


def choices(*groups: TlsGroup, versions=V13, suites=tuple(TlsSuite)) -> TlsChoices:
    return TlsChoices(groups=groups or TlsChoices().groups, tls_versions=versions, suites=suites)


@lru_cache(maxsize=64)
def server(chosen: TlsChoices, network: Held = PKI.network, pki: Pki = PKI) -> EapTlsServerEngines:
    return EapTlsServerEngines(TlsCredentials(network.chain, network.key), [pki.ci.certificate], choices=chosen)


@lru_cache(maxsize=64)
def peer(
    chosen: TlsChoices, device: Held = PKI.device, anchor: Held = PKI.network_ca, fragment: int = 1400
) -> EapTlsPeerEngines:
    return EapTlsPeerEngines(TlsCredentials(device.chain, device.key), [anchor.certificate], fragment, choices=chosen)


# --- groups -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", TlsGroup)
def test_every_group_works_end_to_end_and_is_the_one_used(group):
    chosen = choices(group)
    run = Run(server(chosen), peer(chosen))
    assert isinstance(run.outcome, Authenticated)
    hello = b"".join(decode_fragment(decode(packet).data).data for packet in run.to_cp[:2])
    identifiers = {
        TlsGroup.X25519: ["001d"],
        TlsGroup.P256: ["0017"],
        TlsGroup.P384: ["0018"],
        TlsGroup.BRAINPOOL_P256R1: ["001f", "001a"],  # RFC 8734 and RFC 7027
        TlsGroup.POST_QUANTUM: ["11ec"],  # X25519MLKEM768
    }[group]
    # one of the two brainpool codes is of TLS 1.2 and may be left out of a hello for 1.3 alone
    assert any(bytes.fromhex("0002" + identifier) in hello for identifier in identifiers) or all(
        bytes.fromhex(identifier) in hello for identifier in identifiers
    )


def test_post_quantum_is_large_and_has_a_way_back():
    """Its ClientHello fits into one EAP packet of 1,400, just so; a server without it asks for a group of both."""
    both = choices(TlsGroup.POST_QUANTUM, TlsGroup.X25519)
    run = Run(server(both), peer(both))
    assert isinstance(run.outcome, Authenticated)
    assert 1300 < len(run.to_cp[0]) <= 1400
    assert len(Run(server(choices()), peer(choices())).to_cp[0]) < 300
    small = Run(server(both), peer(both, fragment=500))
    assert isinstance(small.outcome, Authenticated)
    assert decode_fragment(decode(small.to_cp[0]).data).total > 1300
    assert isinstance(Run(server(choices(TlsGroup.X25519)), peer(both)).outcome, Authenticated)
    assert isinstance(Run(server(both), peer(choices(TlsGroup.X25519))).outcome, Authenticated)


def test_no_group_in_common_ends_in_failure():
    run = Run(server(choices(TlsGroup.P384)), peer(choices(TlsGroup.X25519)))
    assert isinstance(run.outcome, Failed)
    assert run.k_ausf is None


def test_a_library_without_a_group_says_so(monkeypatch):
    monkeypatch.setattr(tls_context, "_GROUPS", {**tls_context._GROUPS, TlsGroup.POST_QUANTUM: "X25519MLKEM9999"})
    with pytest.raises(EnvironmentLacks, match="X25519MLKEM9999"):
        peer.__wrapped__(choices(TlsGroup.POST_QUANTUM))


@pytest.mark.parametrize("suite", TlsSuite)
@pytest.mark.parametrize("version", [V13, V12], ids=["1.3", "1.2"])
def test_one_suite_alone(suite, version):
    chosen = choices(versions=version, suites=(suite,))
    assert isinstance(Run(server(chosen), peer(choices(versions=version))).outcome, Authenticated)
    others = tuple(other for other in TlsSuite if other is not suite)
    assert isinstance(Run(server(chosen), peer(choices(versions=version, suites=others))).outcome, Failed)


def test_choices_are_named_once():
    for key, value in (("groups", TlsGroup.X25519), ("suites", TlsSuite.AES_128_GCM), ("tls_versions", V12[0])):
        with pytest.raises(Unfit) as caught:
            TlsChoices(**{key: (value, value)})
        assert caught.value.key == key


# --- certificates -------------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def network_on(kind: str) -> tuple[Held, Held]:
    """An anchor and a network, both with keys of this kind."""
    entropy = seeded(f"network/{kind}")
    ca_key, key = issue.network_key(entropy, kind), issue.network_key(entropy, kind)
    terms = {"now": START, "days": 3650, "entropy": entropy}
    ca = issue.make_network_ca(ca_key, **terms)
    made = issue.make_network(ca, ca_key, key.public_key(), [PLMN.cp_name], **terms)
    return Held(ca, ca_key), Held(made, key)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("device_curve", ["P-256", "brainpoolP256r1"])
def test_network_certificates_of_every_kind(kind, device_curve):
    anchor, network = network_on(kind)
    pki = shared_pki(device_curve)
    run = Run(server(choices(), network, pki), peer(choices(), pki.device, anchor))
    assert isinstance(run.outcome, Authenticated)


def test_a_p_384_issuer_signs_with_sha_384_and_ed25519_with_itself():
    assert isinstance(network_on("P-384")[1].certificate.signature_hash_algorithm, hashes.SHA384)
    assert network_on("Ed25519")[1].certificate.signature_hash_algorithm is None


@pytest.mark.parametrize("kind", ["P-384", "Ed25519"])
def test_a_device_has_a_key_of_sgp_22(kind):
    """SGP.22 2.6.5 names P-256 and brainpoolP256r1; another key in a device's certificate is refused."""
    key = issue.network_key(seeded("device"), kind)
    eum = PKI.eum
    made = issue.make_device(eum.certificate, eum.key, key.public_key(), EID, **PKI.terms())
    run = Run(server(choices()), peer(choices(), Held(made, key, eum.issuers)))
    assert isinstance(run.outcome, Failed)
    assert run.outcome.cause is Cause.CERTIFICATE_INVALID


# --- TLS 1.2 ------------------------------------------------------------------------------------------------------


def records(packet: bytes) -> list[int]:
    data, found = decode_fragment(decode(packet).data).data, []
    while data:
        found.append(data[0])
        data = data[5 + int.from_bytes(data[3:5]) :]
    return found


@pytest.mark.parametrize("size", [100, 1400])
def test_tls_1_2_ends_with_the_servers_finished_and_without_a_0x00(size):
    old = choices(versions=V12)
    run = Run(server(old), peer(old, fragment=size))
    assert isinstance(run.outcome, Authenticated)
    assert run.version is TlsVersion.TLS_1_2
    assert records(run.to_ue[-1]) == [20, 22]  # ChangeCipherSpec, Finished, and no application data
    assert decode(run.to_cp[-1]).data == b"\x00"
    assert decode(run.outcome.eap_success.packet) == Success(decode(run.to_ue[-1]).identifier)


def test_the_keys_of_tls_1_2_have_their_own_label_and_no_context():
    old = choices(versions=V12)
    cp, ue = server(old).scheme(EID, NETWORK, NOW), peer(old).scheme(PLMN, NOW)
    outcome = cp.begin()
    while not isinstance(outcome, PeerProved):
        answer = ue.on_request(AuthenticationRequest(0, b"\x00\x00", outcome.challenge))
        outcome = cp.on_response(answer.message)
    connection = cp._server._method._engine._live
    material = connection.export_keying_material(b"client EAP encryption", 128, None)
    assert KEY_LABEL_1_2 == b"client EAP encryption"
    answer = ue.on_request(AuthenticationRequest(0, b"\x00\x00", cp.authorise().challenge))
    assert answer.k_ausf == k_ausf_from_emsk(Emsk(material[64:]))
    assert material != connection.export_keying_material(b"client EAP encryption", 128, b"")


@pytest.mark.parametrize(
    ("cp", "ue", "met"),
    [(BOTH, BOTH, "1.3"), (BOTH, V13, "1.3"), (V13, BOTH, "1.3"), (BOTH, V12, "1.2"), (V12, BOTH, "1.2")],
)
def test_the_newest_version_of_both_is_taken(cp, ue, met):
    run = Run(server(choices(versions=cp)), peer(choices(versions=ue)))
    assert isinstance(run.outcome, Authenticated)
    assert run.version == met


@pytest.mark.parametrize(("cp", "ue"), [(V13, V12), (V12, V13)])
def test_tls_1_2_needs_both_policies(cp, ue):
    run = Run(server(choices(versions=cp)), peer(choices(versions=ue)))
    assert isinstance(run.outcome, Failed)
    assert run.k_ausf is None


def test_a_hint_is_never_answered_with_tls_1_2():
    hint = EidHint(EID.digits[:8])
    assert isinstance(Run(server(choices(versions=BOTH)), peer(choices(versions=V12)), hint).outcome, Failed)
    run = Run(server(choices(versions=BOTH)), peer(choices(versions=BOTH)), hint)
    assert isinstance(run.outcome, Authenticated)
    assert run.version is TlsVersion.TLS_1_3
    assert EID.digits.encode() not in b"".join(run.to_ue + run.to_cp)


def test_tls_1_2_shows_the_eid():
    old = choices(versions=V12)
    assert EID.digits.encode() in b"".join(Run(server(old), peer(old)).to_cp)


@pytest.mark.parametrize("name", ["device_of_other_ci", "expired_device", "other_device", "roleless_device"])
def test_a_device_is_refused_by_an_alert_in_tls_1_2_too(name):
    old = choices(versions=V12)
    run = Run(server(old), peer(old, getattr(PKI, name)))
    assert isinstance(run.outcome, Failed)
    assert run.k_ausf is None
    assert records(run.to_ue[-1]) == [21]
    assert decode(run.to_cp[-1]).data == b"\x00"


@pytest.mark.parametrize("name", ["network_of_other_plmn", "network_of_other_anchor", "network_with_gsma_role"])
def test_a_network_is_refused_in_tls_1_2_too(name):
    old = choices(versions=V12)
    run = Run(server(old, getattr(PKI, name)), peer(old))
    assert isinstance(run.outcome, Failed)
    assert run.refusal is not None
    assert run.outcome.cause is run.refusal.message.cause


def test_no_order_holds_the_finished_back():
    old = choices(versions=V12)
    run = Run(server(old), peer(old), refuse=Cause.NO_ORDER)
    assert isinstance(run.outcome, Failed)
    assert run.outcome.cause is Cause.NO_ORDER
    assert run.k_ausf is None
    assert not any(20 in records(packet) for packet in run.to_ue)  # the server never changed its cipher


def test_a_changed_finished_gives_no_keys():
    old = choices(versions=V12)

    def bend(packet: bytes) -> bytes:
        finished = records(packet) == [20, 22]
        return packet[:-1] + bytes((packet[-1] ^ 1,)) if finished else packet

    run = Run(server(old), peer(old), bend=bend)
    assert isinstance(run.outcome, Failed)
    assert run.k_ausf is None
    assert run.refusal is not None


NO_EXTENDED_MASTER_SECRET = 1
"""SSL_OP_NO_EXTENDED_MASTER_SECRET of OpenSSL 3."""


@pytest.mark.parametrize("side", ["server", "peer"])
@pytest.mark.parametrize("lax_server", [False, True])
def test_tls_1_2_without_the_extended_master_secret_is_refused(side, lax_server, monkeypatch):
    """RFC 7627: whichever side leaves it out. The server notices first; were it lax, the UE would notice."""
    old = choices(versions=V12)
    cp, ue = server.__wrapped__(old), peer.__wrapped__(old)
    (cp if side == "server" else ue)._context._context.set_options(NO_EXTENDED_MASTER_SECRET)
    asked = []

    def has_it(connection) -> bool:
        asked.append(tls_openssl.has_extended_master_secret(connection))
        return asked[-1] or (lax_server and len(asked) == 1)

    monkeypatch.setattr(tls, "has_extended_master_secret", has_it)
    run = Run(cp, ue)
    assert isinstance(run.outcome, Failed)
    assert run.k_ausf is None
    assert asked == [False] * (1 + lax_server)
    assert (run.refusal is not None) == lax_server
    assert any(20 in records(packet) for packet in run.to_ue) == lax_server  # a strict server says nothing more
