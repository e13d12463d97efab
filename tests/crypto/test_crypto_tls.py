"""The TLS engine: handshakes in memory, refusals as the right alerts, the exporter, rude octets."""

import gc
import hashlib
import hmac
import json
import weakref
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from doubles.pki import EID, NOW, PLMN, Held, Pki, shared_pki
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL

from rprov.causes import Cause
from rprov.crypto import tls_openssl
from rprov.crypto.tls import LARGEST_DATA, TlsEngine, TlsFailed
from rprov.crypto.tls_context import Side, TlsContext, TlsCredentials
from rprov.crypto.x509 import Role, check_chain, eid_of
from rprov.crypto.x509_network import check_network
from rprov.errors import EnvironmentLacks, Misuse, Refused
from rprov.model.tls import TlsChoices, TlsResumption

EXPORTS = json.loads((Path(__file__).parents[1] / "vectors" / "eap_tls_export.json").read_text())
LABEL = b"EXPORTER_EAP_TLS_Key_Material"


@pytest.fixture(scope="session")
def pki() -> Pki:
    return shared_pki()


def credentials(held: Held) -> TlsCredentials:
    return TlsCredentials(held.chain, held.key)


class Pair:
    """A server and a client engine with the real judges, and the octets between them."""

    def __init__(self, pki: Pki, device: Held | None = None, network: Held | None = None, at=NOW, **judges):
        device, network = device or pki.device, network or pki.network

        def judge_device(leaf, intermediates):
            check_chain(leaf, intermediates, [pki.ci.certificate], frozenset({Role.DEVICE, Role.EUICC}), at)
            if eid_of(leaf) != EID:
                raise Refused(Cause.EID_MISMATCH)

        def judge_network(leaf, intermediates):
            check_network(leaf, intermediates, [pki.network_ca.certificate], PLMN.cp_name, at)

        server = TlsContext(Side.SERVER, credentials(network), [pki.ci.certificate])
        client = TlsContext(Side.CLIENT, credentials(device), [pki.network_ca.certificate])
        self.server: TlsEngine = TlsEngine(server, judges.get("judge_device", judge_device))
        self.client: TlsEngine = TlsEngine(client, judges.get("judge_network", judge_network))

    def hello(self) -> bytes:
        return self.client.start()

    def shake(self) -> bytes:
        """Run the handshake; give what the server still has to send (tickets)."""
        flight = self.client.feed(self.server.feed(self.hello()).flight).flight
        return self.server.feed(flight).flight


@pytest.mark.parametrize("curve", ["P-256", "brainpoolP256r1"])
@pytest.mark.parametrize("name", ["device", "euicc", "extension_device"])
def test_a_mutual_handshake_commits_and_exports(curve, name):
    pki = shared_pki(curve)
    pair = Pair(pki, getattr(pki, name))
    tickets = pair.shake()
    assert pair.server.done
    assert pair.client.done
    assert pair.server.peer == getattr(pki, name).certificate
    assert pair.client.peer == pki.network.certificate
    progress = pair.client.feed(tickets + pair.server.send(b"\x00"))
    assert (progress.data, progress.flight, progress.closed) == (b"\x00", b"", False)
    keys = pair.server.export(LABEL, 128, b"\x0d")
    assert keys == pair.client.export(LABEL, 128, b"\x0d")
    assert len(keys) == 128
    # TLS 1.3: a shorter export is not a prefix of a longer one
    assert pair.server.export(LABEL, 64, b"\x0d") != keys[:64]
    assert pair.server.export(LABEL, 128, b"") != keys


def test_the_client_hello_is_small_and_offers_tls_1_3_only(pki):
    hello = Pair(pki).hello()
    assert len(hello) < 300  # a post-quantum group would make it 1,451 octets
    assert bytes.fromhex("002b 0003 02 0304") in hello  # supported_versions
    assert bytes.fromhex("000a 0006 0004 001d 0017") in hello  # supported_groups: X25519, P-256


def test_octets_may_come_one_by_one(pki):
    pair = Pair(pki)
    flight = b""
    for octet in pair.hello():
        flight += pair.server.feed(bytes((octet,))).flight
    answer = b"".join(pair.client.feed(bytes((octet,))).flight for octet in flight)
    for octet in answer:
        pair.server.feed(bytes((octet,)))
    assert pair.server.done


ALERTS = {
    "unknown ca": ["device_of_other_ci", "network"],
    "certificate expired": ["expired_device", "expired_eum_device"],
    "bad certificate": ["future_device", "foreign_device", "unvouched_device", "other_device"],
    "unsupported certificate": ["roleless_device", "two_faced_device", "eum_with_wrong_role", "dp_tls"],
}
CAUSES = {
    "device_of_other_ci": Cause.UNKNOWN_CI,
    "network": Cause.UNKNOWN_CI,
    "expired_device": Cause.CERTIFICATE_EXPIRED,
    "expired_eum_device": Cause.CERTIFICATE_EXPIRED,
    "future_device": Cause.CERTIFICATE_NOT_YET_VALID,
    "foreign_device": Cause.EUM_NOT_AUTHORISED,
    "unvouched_device": Cause.EUM_NOT_AUTHORISED,
    "other_device": Cause.EID_MISMATCH,
    "roleless_device": Cause.WRONG_CERTIFICATE_ROLE,
    "two_faced_device": Cause.WRONG_CERTIFICATE_ROLE,
    "eum_with_wrong_role": Cause.WRONG_CERTIFICATE_ROLE,
    "dp_tls": Cause.WRONG_CERTIFICATE_ROLE,
}


@pytest.mark.parametrize(("alert", "name"), [(alert, name) for alert, names in ALERTS.items() for name in names])
def test_the_server_refuses_with_an_alert_and_the_exact_cause(pki, alert, name):
    pair = Pair(pki, getattr(pki, name))
    flight = pair.client.feed(pair.server.feed(pair.hello()).flight).flight
    with pytest.raises(TlsFailed) as caught:
        pair.server.feed(flight)
    assert caught.value.cause is CAUSES[name]
    assert not pair.server.done
    assert pair.server.peer is None
    with pytest.raises(Misuse):
        pair.server.export(LABEL, 128, b"\x0d")
    with pytest.raises(TlsFailed, match=alert) as seen:
        pair.client.feed(caught.value.flight)
    assert seen.value.flight == b""  # an alert is not answered
    assert seen.value.cause is Cause.EAP_FAILED


NETWORKS = {
    "network_of_other_plmn": (Cause.NETWORK_NAME_MISMATCH, "bad certificate"),
    "network_of_other_anchor": (Cause.NETWORK_ANCHOR_UNKNOWN, "unknown ca"),
    "network_with_gsma_role": (Cause.NETWORK_ROLE_FORBIDDEN, "unsupported certificate"),
    "network_with_device_role": (Cause.NETWORK_ROLE_FORBIDDEN, "unsupported certificate"),
    "network_without_server_auth": (Cause.NETWORK_CERTIFICATE_INVALID, "bad certificate"),
    "network_without_usage": (Cause.NETWORK_CERTIFICATE_INVALID, "bad certificate"),
    "expired_network": (Cause.NETWORK_CERTIFICATE_EXPIRED, "certificate expired"),
    "future_network": (Cause.NETWORK_CERTIFICATE_NOT_YET_VALID, "bad certificate"),
    "euicc": (Cause.NETWORK_ANCHOR_UNKNOWN, "unknown ca"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_client_refuses_with_an_alert_and_the_exact_cause(pki, name):
    cause, alert = NETWORKS[name]
    pair = Pair(pki, network=getattr(pki, name))
    flight = pair.server.feed(pair.hello()).flight
    with pytest.raises(TlsFailed) as caught:
        pair.client.feed(flight)
    assert caught.value.cause is cause
    assert not pair.client.done
    with pytest.raises(TlsFailed, match=alert):
        pair.server.feed(caught.value.flight)


def test_dates_are_judged_at_the_time_given_whatever_openssls_clock_says(pki):
    """The PKI ends in 2035: far beyond it a handshake fails, and a certificate of another century can be good."""
    Pair(pki).shake()
    pair = Pair(pki, at=NOW + timedelta(days=20 * 365))
    with pytest.raises(TlsFailed) as caught:
        pair.client.feed(pair.server.feed(pair.hello()).flight)
    assert caught.value.cause is Cause.NETWORK_CERTIFICATE_EXPIRED
    past = Pki(seed="past")
    past.terms = lambda **over: {  # type: ignore[method-assign]
        "now": NOW.replace(year=2001), "days": 365, "entropy": past.entropy, **over
    }  # fmt: skip
    old = Pair(past, at=NOW.replace(year=2001) + timedelta(days=9))
    old.shake()
    assert old.server.done


def test_a_judge_that_breaks_refuses(pki):
    def broken(leaf, intermediates):
        raise ZeroDivisionError("a bug of ours")

    pair = Pair(pki, judge_device=broken)
    flight = pair.client.feed(pair.server.feed(pair.hello()).flight).flight
    with pytest.raises(ZeroDivisionError):
        pair.server.feed(flight)
    assert not pair.server.done


def test_openssls_own_complaints_count_where_the_judge_says_yes(pki):
    """A lenient judge does not make a stranger's chain good."""
    for name in ("device_of_other_ci", "network"):
        pair = Pair(pki, getattr(pki, name), judge_device=lambda leaf, intermediates: None)
        flight = pair.client.feed(pair.server.feed(pair.hello()).flight).flight
        with pytest.raises(TlsFailed) as caught:
            pair.server.feed(flight)
        assert caught.value.cause is Cause.CERTIFICATE_INVALID
    pair = Pair(pki, network=pki.network_without_server_auth, judge_network=lambda leaf, intermediates: None)
    with pytest.raises(TlsFailed) as caught:
        pair.client.feed(pair.server.feed(pair.hello()).flight)
    assert caught.value.cause is Cause.NETWORK_CERTIFICATE_INVALID


def plain_client(pki: Pki, held: Held | None, method=SSL.TLS1_3_VERSION) -> SSL.Connection:
    """A client of bare pyOpenSSL, with whatever it likes to offer."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_max_proto_version(method)
    context.set_verify(SSL.VERIFY_NONE)
    if held is not None:
        context.use_certificate(held.certificate)
        for issuer in held.issuers:
            context.add_extra_chain_cert(issuer)
        context.use_privatekey(held.key)
    connection = SSL.Connection(context, None)
    connection.set_connect_state()
    return connection


def step(connection: SSL.Connection, octets: bytes = b"") -> bytes:
    if octets:
        connection.bio_write(octets)
    with suppress(SSL.WantReadError):
        connection.do_handshake()
    try:
        return connection.bio_read(65536)
    except SSL.WantReadError:
        return b""


def test_a_client_without_a_certificate_is_refused(pki):
    pair, client = Pair(pki), plain_client(pki, None)
    flight = step(client, pair.server.feed(step(client)).flight)
    with pytest.raises(TlsFailed) as caught:
        pair.server.feed(flight)
    assert caught.value.cause is Cause.EAP_FAILED
    assert caught.value.flight


def test_tls_1_2_is_refused(pki):
    pair, client = Pair(pki), plain_client(pki, pki.device, SSL.TLS1_2_VERSION)
    with pytest.raises(TlsFailed) as caught:
        pair.server.feed(step(client))
    assert caught.value.flight


def test_a_bare_client_with_its_default_groups_gets_through(pki):
    """Its first guess is a group that we do not take: a HelloRetryRequest, then all is well."""
    pair, client = Pair(pki), plain_client(pki, pki.device)
    flight = step(client)
    for _ in range(4):
        flight = step(client, pair.server.feed(flight).flight)
        if pair.server.done or not flight:
            break
    pair.server.feed(flight)
    assert pair.server.done


def test_a_stolen_certificate_without_its_key_is_useless(pki):
    """The chain of the device, and somebody else's key: the engine itself refuses to be set up so."""
    with pytest.raises(Misuse):
        TlsCredentials(pki.device.chain, pki.other_device.key)
    with pytest.raises(Misuse):
        TlsCredentials((), pki.device.key)


def test_goodbyes_and_data(pki):
    pair = Pair(pki)
    pair.client.feed(pair.shake())
    assert pair.client.feed(pair.server.close_notify()).closed
    pair = Pair(pki)
    pair.client.feed(pair.shake())
    with pytest.raises(TlsFailed, match="more application data"):
        pair.client.feed(pair.server.send(bytes(LARGEST_DATA + 1)))


def test_a_closed_engine_is_a_mistake_of_ours(pki):
    pair = Pair(pki)
    with pytest.raises(Misuse):
        pair.server.export(LABEL, 128, b"\x0d")
    pair.server.close()
    pair.server.close()
    with pytest.raises(Misuse):
        pair.server.feed(b"x")


def test_a_forgotten_engine_is_freed_at_once(pki):
    pair = Pair(pki)
    pair.shake()
    connections = [weakref.ref(pair.server._connection), weakref.ref(pair.client._connection)]
    gc.disable()
    try:
        del pair
        assert [connection() for connection in connections] == [None, None]
    finally:
        gc.enable()


def test_credentials_do_not_print_their_key(pki):
    shown = repr(credentials(pki.device))
    assert shown == "TlsCredentials(2 certificates)"


def test_a_pyopenssl_that_changed_is_named(pki, monkeypatch):
    monkeypatch.setattr(tls_openssl, "_NEEDED", ("SSL_dance",))
    with pytest.raises(EnvironmentLacks, match="SSL_dance"):
        TlsContext(Side.SERVER, credentials(pki.network), [pki.ci.certificate])


class Without:
    """pyOpenSSL's view of OpenSSL with one function less."""

    def __init__(self, library, name) -> None:
        self.library, self.name = library, name

    def __getattr__(self, name):
        if name == self.name:
            raise AttributeError(name)
        return getattr(self.library, name)


@pytest.mark.parametrize("name", tls_openssl._NEEDED)
def test_each_function_is_missed_at_the_start_and_not_in_a_handshake(pki, monkeypatch, name):
    monkeypatch.setattr(SSL, "_lib", Without(SSL._lib, name))
    with pytest.raises(EnvironmentLacks, match=f"no {name}; rprov needs pyOpenSSL"):
        TlsContext(Side.SERVER, credentials(pki.network), [pki.ci.certificate])


@pytest.mark.parametrize(
    ("owner", "name"),
    [(SSL, "_ffi"), (SSL, "_lib"), (SSL.Connection, "_reverse_mapping")],
)
def test_each_private_name_is_missed_at_the_start(pki, monkeypatch, owner, name):
    real = tls_openssl._private

    def private(holder, asked):
        return real(object() if (holder, asked) == (owner, name) else holder, asked)

    monkeypatch.setattr(tls_openssl, "_private", private)
    with pytest.raises(EnvironmentLacks, match=f"no {name}; rprov needs pyOpenSSL"):
        TlsContext(Side.SERVER, credentials(pki.network), [pki.ci.certificate])


def test_an_ocsp_judge_that_breaks_refuses(pki):
    """CVE-2026-27459 and its neighbour: what is raised in a callback must not pass for a yes."""

    def broken(staple):
        raise ZeroDivisionError("a bug of ours")

    pair = Pair(pki)
    client = TlsContext(Side.CLIENT, credentials(pki.device), [pki.network_ca.certificate])
    pair.client = TlsEngine(client, lambda leaf, intermediates: None, judge_status=broken)
    flight = pair.server.feed(pair.hello()).flight
    with pytest.raises(ZeroDivisionError):
        pair.client.feed(flight)
    assert not pair.client.done


def test_a_second_judge_that_breaks_refuses(pki):
    """The judge of a resumption is no callback of OpenSSL; what it raises comes through, and nothing is done."""
    choices = TlsChoices(resumption=TlsResumption(enabled=True))
    server = TlsContext(Side.SERVER, credentials(pki.network), [pki.ci.certificate], choices)
    client = TlsContext(Side.CLIENT, credentials(pki.device), [pki.network_ca.certificate], choices)

    def broken(leaf):
        raise ZeroDivisionError("a bug of ours")

    pair = Pair(pki)
    pair.server, pair.client = (TlsEngine(side, lambda leaf, intermediates: None) for side in (server, client))
    assert pair.client.feed(pair.shake() + pair.server.send(b"\x00")).data == b"\x00"
    session = pair.client.session()
    again = TlsEngine(server, lambda leaf, intermediates: None, again=broken)
    hello = TlsEngine(client, lambda leaf, intermediates: None, session=session).start()
    with pytest.raises(ZeroDivisionError):
        again.feed(hello)
    assert not again.done
    # Without a judge of resumptions, none takes place.
    strict = TlsEngine(server, lambda leaf, intermediates: None)
    assert len(strict.feed(hello).flight) > 700
    assert not strict.resumed


def test_groups_nobody_knows_are_named(pki):
    with pytest.raises(EnvironmentLacks, match="P-9999"):
        tls_openssl.set_groups(SSL.Context(SSL.TLS_SERVER_METHOD), b"P-9999")


@given(st.binary(min_size=1, max_size=200))
def test_any_octets_as_a_first_flight_fail_cleanly(octets):
    pair = Pair(shared_pki())
    with suppress(TlsFailed):
        assert not pair.server.feed(octets).flight
    assert not pair.server.done


@given(st.integers(0), st.integers(1, 255), st.sampled_from(["hello", "server", "client"]))
def test_a_changed_octet_in_any_flight_fails_or_changes_nothing(position, change, which):
    """The version field of the first record is the one thing that TLS 1.3 neither reads nor protects."""
    pair = Pair(shared_pki())

    def bent(octets: bytes, name: str) -> bytes:
        if name != which:
            return octets
        changed = bytearray(octets)
        changed[position % len(changed)] ^= change
        return bytes(changed)

    with suppress(TlsFailed):
        flight = pair.server.feed(bent(pair.hello(), "hello")).flight
        flight = pair.client.feed(bent(flight, "server")).flight
        pair.server.feed(bent(flight, "client"))
    if pair.server.done:
        assert pair.server.export(LABEL, 128, b"\x0d") == pair.client.export(LABEL, 128, b"\x0d")


# --- the exporter, against vectors ---


def expand_label(secret: bytes, label: bytes, context: bytes, length: int, algorithm) -> bytes:
    """HKDF-Expand-Label (RFC 8446 7.1)."""
    full = b"tls13 " + label
    info = length.to_bytes(2) + bytes((len(full),)) + full + bytes((len(context),)) + context
    return HKDFExpand(algorithm, length, info).derive(secret)


def tls13_exporter(secret: bytes, label: bytes, context: bytes, length: int, name: str) -> bytes:
    """TLS-Exporter (RFC 8446 7.5)."""
    algorithm = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}[name]
    empty = hashlib.new(name, b"").digest()
    derived = expand_label(secret, label, empty, algorithm.digest_size, algorithm)
    return expand_label(derived, b"exporter", hashlib.new(name, context).digest(), length, algorithm)


def tls12_prf(secret: bytes, seed: bytes, length: int, name: str) -> bytes:
    """P_hash (RFC 5246 5)."""
    made, chained = b"", seed
    while len(made) < length:
        chained = hmac.digest(secret, chained, name)
        made += hmac.digest(secret, chained + seed, name)
    return made[:length]


@pytest.mark.parametrize("vector", [v for v in EXPORTS if v["tls_version"] == "1.3"], ids=lambda vector: vector["id"])
def test_the_key_material_of_rfc_9190_by_hand(vector):
    secret = bytes.fromhex(vector["exporter_master_secret"])
    context = bytes.fromhex(vector["context"])
    for which in ("key_material", "method_id"):
        label = vector[f"label_{which}"].encode()
        made = tls13_exporter(secret, label, context, vector[f"length_{which}"], vector["hash"])
        assert made.hex() == vector[which]
    assert vector["msk"] + vector["emsk"] == vector["key_material"]
    assert vector["session_id"] == "0d" + vector["method_id"]


@pytest.mark.parametrize("vector", [v for v in EXPORTS if v["tls_version"] == "1.2"], ids=lambda vector: vector["id"])
def test_the_key_material_of_rfc_5216_by_hand(vector):
    seed = vector["label"].encode() + bytes.fromhex(vector["client_random"]) + bytes.fromhex(vector["server_random"])
    made = tls12_prf(bytes.fromhex(vector["master_secret"]), seed, vector["length_key_material"], vector["hash"])
    assert made.hex() == vector["key_material"]


def test_openssls_exporter_is_the_one_of_the_vectors(pki):
    """The key log of a live handshake, through the same hand-made exporter."""
    lines: list[bytes] = []
    server = TlsContext(Side.SERVER, credentials(pki.network), [pki.ci.certificate])
    server._context.set_keylog_callback(lambda connection, line: lines.append(line))
    pair = Pair(pki)
    pair.server = TlsEngine(server, lambda leaf, intermediates: None)
    pair.shake()
    secret = next(bytes.fromhex(line.split()[2].decode()) for line in lines if line.startswith(b"EXPORTER_SECRET"))
    name = {32: "sha256", 48: "sha384"}[len(secret)]
    assert pair.server.export(LABEL, 128, b"\x0d") == tls13_exporter(secret, LABEL, b"\x0d", 128, name)
