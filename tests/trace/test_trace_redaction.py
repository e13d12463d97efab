"""Keys that cross a link in clear are zeros in a record, and nothing else of it changes."""

import dataclasses
from pathlib import Path

import pytest
from doubles.captures import LOWER, UPPER, taps
from hypothesis import given, settings
from hypothesis import strategies as st

from rprov.model.numbers import Ppid
from rprov.model.secret import Secret
from rprov.model.security import SecurityCapability
from rprov.model.tap import LinkName
from rprov.trace.capture import Capture
from rprov.trace.redaction import redact_n2, redact_radius
from rprov.wire import radius
from rprov.wire.link import InitialContextSetupRequest, LinkMessage, N2Frame, N2Kind, decode_n2_frame
from rprov.wire.link_asn1 import decode_link, encode_link
from rprov.wire.radius import Attribute, Kind, Packet, SharedSecret
from rprov.wire.radius_attributes import mppe_keys

KEY = bytes(range(100, 132))
REQUEST = InitialContextSetupRequest(Secret(KEY), SecurityCapability(0x70, 0x70))
FRAME = N2Frame(1, 2, N2Kind.CONTROL, encode_link(REQUEST)).encode()  # type: ignore[arg-type]


def holds(octets: bytes, key: bytes) -> bool:
    """Say whether a key stands somewhere, at whatever bit."""
    digits, wanted = (f"{int.from_bytes(value):0{8 * len(value)}b}" for value in (octets, key))
    return wanted in digits


def test_k_gnb_becomes_zeros_and_the_rest_stays() -> None:
    assert holds(FRAME, KEY)
    shown, redacted = redact_n2(FRAME)
    assert redacted
    assert len(shown) == len(FRAME)
    assert not holds(shown, KEY)
    message = decode_link(decode_n2_frame(shown).payload)
    assert message == dataclasses.replace(REQUEST, k_gnb=Secret(bytes(32)))
    assert shown[:9] == FRAME[:9]


def test_every_key_among_the_messages_of_n2_is_found() -> None:
    """Another message that carries a `Secret` would be found by its type; none does so far."""
    carriers = {
        kind.__name__ for kind in LinkMessage.__args__ for item in dataclasses.fields(kind) if item.type is Secret
    }
    assert carriers == {"InitialContextSetupRequest"}


def test_a_message_with_a_key_that_cannot_be_read_shows_nothing_of_it() -> None:
    shown, redacted = redact_n2(FRAME + b"\1")  # octets after the end: no message
    assert redacted
    assert not holds(shown, KEY)
    assert shown[:10] == FRAME[:10]
    assert len(shown) == len(FRAME) + 1


@given(st.binary(max_size=60))
@settings(max_examples=60, deadline=None)
def test_whatever_is_no_key_stays(octets: bytes) -> None:
    for kind in (N2Kind.NAS, N2Kind.INITIAL_NAS):
        frame = N2Frame(1, 2, kind, b"\0" + octets).encode()  # type: ignore[arg-type]
        assert redact_n2(frame) == (frame, False)
    assert redact_n2(octets)[0][:9] == octets[:9]
    assert len(redact_radius(octets)[0]) == len(octets)


def test_keys_of_an_aaa_server(tmp_path: Path) -> None:
    hidden = mppe_keys(Secret(bytes(range(64))), b"\x81\x02", bytes(16), SharedSecret(b"s" * 16))
    attributes = (Attribute(Kind.USER_NAME, b"who"), *hidden, Attribute(Kind.EAP_MESSAGE, b"\3\1\0\4"))
    packet = radius.encode(Packet(radius.Code.ACCESS_ACCEPT, 7, bytes(range(16)), attributes))
    shown, redacted = redact_radius(packet)
    assert redacted
    assert len(shown) == len(packet)
    after = radius.decode(shown)
    assert after.values(Kind.USER_NAME) == [b"who"]
    assert after.values(Kind.EAP_MESSAGE) == [b"\3\1\0\4"]
    for value in (item.value[6:] for item in hidden):
        assert value in packet
        assert value not in shown
    assert all(not any(value[6:]) for value in after.values(Kind.VENDOR_SPECIFIC))


@pytest.mark.parametrize("embed", [False, True])
def test_a_capture_has_the_keys_only_where_they_were_asked_for(tmp_path: Path, embed: bool) -> None:
    path = tmp_path / "f"
    with taps(path, embed=embed) as tap:
        tap.message(LinkName.N2, UPPER, LOWER, inbound=False, stream=0, ppid=Ppid.N2, octets=FRAME)
    (found,) = Capture(path).messages()
    assert found.redacted is not embed
    assert (found.octets == FRAME) is embed
    assert holds(path.read_bytes(), KEY) is embed
