"""EAP-TLS that two other implementations spoke (FreeRADIUS 3.2.1 and eapol_test 2.10), replayed through our codecs.

The captures carry their own TLS secrets, and beside each stands what eapol_test printed: so every packet can be read
and written again octet for octet, and the keys follow from the secrets with our labels and lengths.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from doubles.pcapng import Capture, eap_packets, read
from doubles.pki import EID, NOW, PLMN, shared_pki

from rprov.auth.eap.methods.tls import COMMITMENT, KEY_CONTEXT, KEY_LABEL, KEY_LENGTH
from rprov.auth.eap_tls import EapTlsPeerEngines, EapTlsServerEngines
from rprov.auth.scheme import Answer, Challenge, Discarded, Failed, Refusal
from rprov.causes import Cause
from rprov.crypto.tls_context import TlsCredentials
from rprov.errors import Refused
from rprov.wire.eap import EapType, Failure, Request, Response, Success, decode, encode
from rprov.wire.eap_tls import Reassembly, decode_fragment, encode_fragment, split
from rprov.wire.messages import AuthenticationRequest, AuthenticationResponse, Eap

PLACE = Path(__file__).parents[1] / "captures" / "eap-tls"
TLS13, TLS12 = "fr321-eapol210-tls13", "fr321-eapol210-tls12"
UNKNOWN_CA, REJECTED = "fr321-eapol210-tls13-peer-unknown-ca", "fr321-eapol210-tls12-server-rejects-client"
ALL = (TLS13, TLS12, UNKNOWN_CA, REJECTED)
GOOD = (TLS13, TLS12)

SHA384_SUITES = {0x1302: "sha384", 0xC02C: "sha384", 0xC030: "sha384"}
"""TLS_AES_256_GCM_SHA384, ECDHE-ECDSA- and ECDHE-RSA-AES256-GCM-SHA384: what the two negotiated."""


@cache
def capture(name: str) -> Capture:
    return read(PLACE / f"{name}.pcapng")


@dataclass
class Message:
    """A TLS message put together, in how many EAP packets it came, and the data of the first one."""

    to_server: bool
    octets: bytes
    packets: int


def exchange(name: str) -> list[Message]:
    """Every TLS message of a capture; acknowledgements and the Start carry none."""
    parts = {True: Reassembly(), False: Reassembly()}
    found, packets = [], 0
    for to_server, octets in eap_packets(capture(name)):
        packet = decode(octets)
        if isinstance(packet, Success | Failure) or packet.type != EapType.TLS:
            continue
        fragment = decode_fragment(packet.data)
        if fragment.start or fragment.is_acknowledgement:
            continue
        packets += 1
        message = parts[to_server].add(fragment)
        if message is not None:
            found.append(Message(to_server, message, packets))
            packets = 0
    return found


def records(message: bytes) -> list[tuple[int, bytes]]:
    """The TLS records of a message: content type and fragment."""
    found = []
    while message:
        length = int.from_bytes(message[3:5])
        assert len(message) >= 5 + length
        found.append((message[0], message[5 : 5 + length]))
        message = message[5 + length :]
    return found


def printed(name: str, what: str) -> bytes:
    """What eapol_test printed, the last time it did."""
    text = (PLACE / f"{name}.eapol_test.txt").read_text()
    return bytes.fromhex(re.findall(rf"{re.escape(what)} - hexdump\(len=\d+\): ([0-9a-f ]+)", text)[-1])


def hello(message: bytes) -> tuple[bytes, bytes]:
    """The random of a ClientHello or ServerHello, and what follows its session id."""
    kind, body = records(message)[0]
    assert kind == 22
    random, rest = body[6:38], body[38:]
    return random, rest[1 + rest[0] :]


# --- the key derivations of RFC 8446 and RFC 5246 by hand: OpenSSL takes no secrets of others ----------------------


def expand(secret: bytes, info: bytes, length: int, digest: str) -> bytes:
    """HKDF-Expand (RFC 5869 2.3)."""
    made = block = b""
    for counter in range(1, 256):
        if len(made) >= length:
            break
        block = hmac.digest(secret, block + info + bytes((counter,)), digest)
        made += block
    return made[:length]


def expand_label(secret: bytes, label: bytes, context: bytes, length: int, digest: str) -> bytes:
    """HKDF-Expand-Label (RFC 8446 7.1)."""
    name = b"tls13 " + label
    info = length.to_bytes(2) + bytes((len(name),)) + name + bytes((len(context),)) + context
    return expand(secret, info, length, digest)


def exporter(secret: bytes, label: bytes, context: bytes, length: int, digest: str) -> bytes:
    """TLS-Exporter (RFC 8446 7.5)."""
    size = hashlib.new(digest).digest_size
    derived = expand_label(secret, label, hashlib.new(digest, b"").digest(), size, digest)
    return expand_label(derived, b"exporter", hashlib.new(digest, context).digest(), length, digest)


def prf(secret: bytes, label: bytes, seed: bytes, length: int, digest: str) -> bytes:
    """PRF of TLS 1.2 (RFC 5246 5)."""
    seed, made = label + seed, b""
    block = seed
    while len(made) < length:
        block = hmac.digest(secret, block, digest)
        made += hmac.digest(secret, block + seed, digest)
    return made[:length]


@dataclass
class Keys:
    """What both sides hold."""

    msk: bytes
    emsk: bytes
    session_id: bytes


def keys(name: str) -> Keys:
    messages = exchange(name)
    client_random, _ = hello(messages[0].octets)
    server_random, rest = hello(messages[1].octets)
    digest = SHA384_SUITES[int.from_bytes(rest[:2])]
    method = bytes((EapType.TLS,))
    if "EXPORTER_SECRET" in capture(name).secrets:
        random, secret = capture(name).secrets["EXPORTER_SECRET"]
        material = exporter(secret, KEY_LABEL, KEY_CONTEXT, KEY_LENGTH, digest)
        session_id = method + exporter(secret, b"EXPORTER_EAP_TLS_Method-Id", KEY_CONTEXT, 64, digest)
    else:
        random, secret = capture(name).secrets["CLIENT_RANDOM"]
        material = prf(secret, b"client EAP encryption", client_random + server_random, KEY_LENGTH, digest)
        session_id = method + client_random + server_random
    assert random == client_random
    return Keys(material[:64], material[64:], session_id)


# --- the tests ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_every_packet_is_read_and_written_again_octet_for_octet(name):
    packets = eap_packets(capture(name))
    assert len(packets) >= 12 - (name == UNKNOWN_CA) * 2
    for to_server, octets in packets:
        packet = decode(octets)
        assert encode(packet) == octets
        assert isinstance(packet, Response) == to_server
        if not isinstance(packet, Success | Failure) and packet.type == EapType.TLS:
            assert encode_fragment(decode_fragment(packet.data)) == packet.data


@pytest.mark.parametrize("name", ALL)
def test_responses_carry_the_identifier_of_their_request(name):
    asked = None
    for to_server, octets in eap_packets(capture(name)):
        packet = decode(octets)
        if to_server:
            assert asked is None or packet.identifier == asked
        else:
            # A Success or Failure answers the last response and carries its identifier (RFC 3748 4.2).
            assert not isinstance(packet, Success | Failure) or packet.identifier == asked
            asked = packet.identifier


@pytest.mark.parametrize("name", ALL)
def test_fragments_of_others_are_whole_tls_records(name):
    messages = exchange(name)
    assert [message.packets for message in messages][:2] == [1, 3]  # the server cuts at 600 octets
    for message in messages:
        again = Reassembly()
        whole = [made for fragment in split(message.octets, 600) if (made := again.add(fragment)) is not None]
        assert whole == [message.octets]


@pytest.mark.parametrize("name", GOOD)
def test_the_keys_are_those_that_eapol_test_printed(name):
    ours = keys(name)
    assert ours.emsk == printed(name, "EAP-TLS: Derived EMSK")
    assert ours.session_id == printed(name, "EAP: Session-Id")
    # RFC 5216 2.3: the server receives with the first half of MSK and sends with the second
    assert ours.msk[:32] == printed(name, "MS-MPPE-Recv-Key (crypt)")
    assert ours.msk[32:] == printed(name, "MS-MPPE-Send-Key (sign)")


def test_tls_1_3_commits_itself_and_tls_1_2_ends_with_its_finished():
    last = exchange(TLS13)[-1]
    ((kind, sealed),) = records(last.octets)
    assert not last.to_server
    # one octet, its inner content type and a tag of 16 octets, in an application data record (RFC 8446 5.2)
    assert (kind, len(sealed)) == (23, len(COMMITMENT) + 1 + 16)
    last = exchange(TLS12)[-1]
    assert not last.to_server
    assert [kind for kind, _ in records(last.octets)][-2:] == [20, 22]  # ChangeCipherSpec, Finished


@pytest.mark.parametrize("name", GOOD)
def test_a_good_exchange_ends_with_an_acknowledgement_and_success(name):
    (towards, acknowledged), (back, last) = eap_packets(capture(name))[-2:]
    assert (towards, back) == (True, False)
    assert decode_fragment(decode(acknowledged).data).is_acknowledgement
    assert isinstance(decode(last), Success)


# --- the captured refusals, met by our own ends -------------------------------------------------------------------


def our_server():
    pki = shared_pki()
    engines = EapTlsServerEngines(TlsCredentials(pki.network.chain, pki.network.key), [pki.ci.certificate])
    return engines.scheme(EID, PLMN.serving_network_name, NOW)


def our_ue():
    pki = shared_pki()
    engines = EapTlsPeerEngines(TlsCredentials(pki.device.chain, pki.device.key), [pki.network_ca.certificate])
    return engines.scheme(PLMN, NOW)


def test_the_peers_alert_unknown_ca_is_in_the_capture_and_ends_our_server():
    alert = exchange(UNKNOWN_CA)[-1]
    assert alert.to_server
    assert records(alert.octets) == [(21, bytes((2, 48)))]  # fatal, unknown_ca (RFC 8446 6)
    assert isinstance(decode(eap_packets(capture(UNKNOWN_CA))[-1][1]), Failure)
    server, ue = our_server(), our_ue()
    outcome = server.begin()
    answer = ue.on_request(AuthenticationRequest(0, b"\x00\x00", outcome.challenge))
    outcome = server.on_response(answer.message)
    assert isinstance(outcome, Challenge)  # our own flight; the device of the capture does not like it
    captured = decode(eap_packets(capture(UNKNOWN_CA))[-2][1])
    identifier = decode(outcome.challenge.packet).identifier
    packet = encode(Response(identifier, captured.type, captured.data))
    outcome = server.on_response(AuthenticationResponse(Eap(packet)))
    assert isinstance(outcome, Failed)
    assert outcome.cause is Cause.EAP_FAILED
    assert "unknown ca" in outcome.detail
    assert decode(outcome.eap_failure.packet) == Failure(identifier)


def test_a_bare_failure_gives_our_peer_no_keys():
    """FreeRADIUS refuses a certificate without an alert: a Failure where a commitment was due."""
    (towards, offered), (_, last) = eap_packets(capture(REJECTED))[-2:]
    assert towards
    assert decode_fragment(decode(offered).data).data  # the certificates, and no acknowledgement of an alert
    (stranger,) = certificates("rogue_ue.pem")
    assert stranger.public_bytes(Encoding.DER) in exchange(REJECTED)[-1].octets
    assert not any(kind == 21 for message in exchange(REJECTED) for kind, _ in records(message.octets))
    assert isinstance(decode(last), Failure)
    server, ue = our_server(), our_ue()
    outcome = server.begin()
    for _ in range(2):
        answer = ue.on_request(AuthenticationRequest(0, b"\x00\x00", outcome.challenge))
        assert isinstance(answer, Answer)
        outcome = server.on_response(answer.message)
    # Anybody could have said so: it is waited for the commitment, or for the network's own reject (CVE-2021-45079).
    assert ue.on_request(AuthenticationRequest(0, b"\x00\x00", Eap(last))) == Discarded()
    with pytest.raises(Refused):
        ue.accept_success(Eap(encode(Success(decode(last).identifier))))


def test_the_captured_start_begins_our_peer():
    """A Start of FreeRADIUS, answered by our ClientHello; a captured flight that is for another hello is refused."""
    packets = [decode(octets) for to_server, octets in eap_packets(capture(TLS13)) if not to_server]
    start, flight = packets[0], packets[1]
    assert isinstance(start, Request)
    ue = our_ue()
    answer = ue.on_request(AuthenticationRequest(0, b"\x00\x00", Eap(encode(start))))
    assert decode_fragment(decode(answer.message.answer.packet).data).data[:1] == b"\x16"
    acknowledged = ue.on_request(AuthenticationRequest(0, b"\x00\x00", Eap(encode(flight))))
    assert decode_fragment(decode(acknowledged.message.answer.packet).data).is_acknowledgement
    for packet in packets[2:4]:
        last = ue.on_request(AuthenticationRequest(0, b"\x00\x00", Eap(encode(packet))))
    assert isinstance(last, Refusal)


# --- who could read it --------------------------------------------------------------------------------------------


def certificates(name: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates((PLACE / name).read_bytes())


def test_tls_1_2_shows_the_certificates_of_both_sides_and_tls_1_3_hides_them():
    """Why an EID that must not cross the radio needs TLS 1.3."""
    shown, hidden = (b"".join(message.octets for message in exchange(name)) for name in GOOD[::-1])
    for certificate in certificates("srv.pem") + certificates("ue.pem"):
        assert certificate.public_bytes(Encoding.DER) in shown
        assert certificate.public_bytes(Encoding.DER) not in hidden
    (name,) = certificates("ue.pem")[0].subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
    assert str(name.value).encode() in shown
    assert str(name.value).encode() not in hidden
