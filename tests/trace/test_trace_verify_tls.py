"""Handshakes that others have recorded, opened with the secrets in the same file: keys, signatures, certificates."""

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from rprov.model.secret import Secret
from rprov.trace.capture import Capture
from rprov.trace.keylog import Keys
from rprov.trace.verify.flights import PacketFault, flights_of
from rprov.trace.verify.tls_open import Flight, KeysMissing, Opened, TlsFault, open_handshake
from rprov.wire import radius
from rprov.wire.radius_attributes import join_eap

CAPTURES = Path(__file__).parents[1] / "captures" / "eap-tls"
TLS_1_2, TLS_1_3 = 0x0303, 0x0304
VERSIONS = {"tls12": TLS_1_2, "tls13": TLS_1_3}
EMSK = r"Derived EMSK - hexdump\(len=64\): ([0-9a-f ]+)"
MPPE = r"MS-MPPE-{}-Key .*hexdump\(len=32\): ([0-9a-f ]+)"


@cache
def recorded(name: str) -> tuple[tuple[Flight, ...], Keys]:
    """The flights of a run of FreeRADIUS with eapol_test, and the secrets that stand beside them."""
    capture, keys = Capture(CAPTURES / f"fr321-eapol210-{name}.pcapng"), Keys()
    packets = [join_eap(radius.decode(seen.octets)) for seen in capture.messages() if seen.link == "aaa"]
    keys.add(capture.key_lines)
    return tuple(flight for _, flight in flights_of([packet for packet in packets if packet is not None])), keys


def printed(name: str, pattern: str) -> bytes:
    found = re.search(pattern, (CAPTURES / f"fr321-eapol210-{name}.eapol_test.txt").read_text())
    assert found is not None
    return bytes.fromhex(found[1])


def opened(name: str) -> Opened:
    return open_handshake(*recorded(name))


@pytest.mark.parametrize("name", VERSIONS)
def test_keys_are_those_that_eapol_test_printed(name: str) -> None:
    found = opened(name)
    assert found.version == VERSIONS[name]
    assert found.keys is not None
    msk, emsk = found.keys
    assert emsk.octets == printed(name, EMSK)
    # RFC 2548: what the peer receives with and what it sends with are the halves of MSK.
    assert msk.octets == printed(name, MPPE.format("Recv")) + printed(name, MPPE.format("Send"))


@pytest.mark.parametrize("name", VERSIONS)
def test_both_have_signed_and_finished(name: str) -> None:
    found = opened(name)
    assert found.verified == found.finished == {True, False}
    assert found.done
    assert not found.resumed
    assert "rprov" in found.server[0].subject.rfc4514_string()
    assert found.client
    # RFC 9190: TLS 1.3 alone has a commitment of one octet
    assert [data for _, client, data in found.application if not client] == ([b"\0"] if name == "tls13" else [])


@pytest.mark.parametrize("name", VERSIONS)
def test_a_changed_bit_is_found_wherever_it_is(name: str) -> None:
    flights, keys = recorded(name)
    for number, flight in enumerate(flights):
        for at in range(0, len(flight.octets), 37):
            octets = bytearray(flight.octets)
            octets[at] ^= 1 << at % 8
            other = [*flights[:number], replace(flight, octets=bytes(octets)), *flights[number + 1 :]]
            with pytest.raises((TlsFault, KeysMissing)):
                open_handshake(other, keys)


def test_a_refusal_is_an_alert_and_no_fault() -> None:
    found = opened("tls13-peer-unknown-ca")
    assert found.alerts == [(True, 48)]
    assert not found.done


def test_a_handshake_that_never_had_secrets_says_so() -> None:
    with pytest.raises(KeysMissing, match="no CLIENT_RANDOM"):
        opened("tls12-server-rejects-client")


def test_secrets_of_another_handshake_open_nothing() -> None:
    flights, _ = recorded("tls13")
    with pytest.raises(KeysMissing, match="CLIENT_HANDSHAKE_TRAFFIC_SECRET"):
        open_handshake(flights, recorded("tls12")[1])


def test_wrong_secrets_are_told_by_the_record_that_they_do_not_open() -> None:
    flights, keys = recorded("tls13")
    wrong = Keys({name: Secret(bytes(len(value.octets))) for name, value in keys.tls.items()})
    with pytest.raises(TlsFault, match="does not open"):
        open_handshake(flights, wrong)


def test_a_packet_that_is_none_is_named_by_its_place() -> None:
    with pytest.raises(PacketFault) as caught:
        list(flights_of([b"\x01\x01\x00\x06\x0d\x20", b"\x02\x01\x00\x05\x0d"]))
    assert caught.value.place == 1


def test_octets_that_are_no_tls_are_told() -> None:
    for octets in (b"\x16\x03\x03\x00", b"\x16\x03\x03\xff\xff", b"GET / HTTP/1.1\r\n", b"\x17\x03\x03\x00\x01\x00"):
        with pytest.raises(TlsFault):
            open_handshake([Flight(True, octets)], Keys())
