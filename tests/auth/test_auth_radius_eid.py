"""Which forms of an EID an Access-Accept may have, and what says nothing or too much."""

import pytest
from doubles.pki import EID, OTHER_EID
from hypothesis import given
from hypothesis import strategies as st

from rprov.auth.radius_eid import certificate_eid
from rprov.causes import Cause
from rprov.errors import Refused
from rprov.model.aaa_client import EidAttribute
from rprov.wire.radius import Attribute, Code, Kind, Packet

EID_OCTETS, OTHER = EID.digits.encode(), OTHER_EID.digits.encode()
BOTH = (EidAttribute.CHARGEABLE_USER_IDENTITY, EidAttribute.USER_NAME)


def accept(*values: bytes, kind: Kind = Kind.USER_NAME) -> Packet:
    return Packet(Code.ACCESS_ACCEPT, 1, bytes(16), tuple(Attribute(kind, value) for value in values))


FORMS = {
    "digits": EID_OCTETS,
    "NAI": EID_OCTETS + b"@rsp.mnc001.mcc001.3gppnetwork.org",
    "OpenSSL's one line": b"/C=ES/O=RSP Test EUM/serialNumber=" + EID_OCTETS + b"/CN=a device",
    "OpenSSL's one line, at its end": b"/O=RSP Test EUM/CN=a device/serialNumber=" + EID_OCTETS,
    "RFC 4514": b"CN=a device,serialNumber=" + EID_OCTETS + b",O=RSP Test EUM",
    "RFC 4514 with blanks": b"CN=a device, SERIALNUMBER=" + EID_OCTETS + b", O=RSP Test EUM",
    "one RDN of two": b"CN=a device+serialNumber=" + EID_OCTETS,
    "first": b"serialNumber=" + EID_OCTETS,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("attribute", "kind"),
    [
        (EidAttribute.USER_NAME, Kind.USER_NAME),
        (EidAttribute.CHARGEABLE_USER_IDENTITY, Kind.CHARGEABLE_USER_IDENTITY),
        (EidAttribute.CLASS, Kind.CLASS),
    ],
)
def test_a_form_that_is_read(form, attribute, kind):
    assert certificate_eid(accept(FORMS[form], kind=kind), [attribute]) == EID


NOTHING = {
    "nothing": [],
    "the anonymous identity": [b"anonymous@rsp.mnc001.mcc001.3gppnetwork.org"],
    "the octet that asked": [b"\0"],
    "wrong check digits": [EID_OCTETS[:-1] + b"9"],
    "31 digits": [EID_OCTETS[:-1]],
    "33 digits": [EID_OCTETS + b"0"],
    "in a word": [b"x" + EID_OCTETS],
    "digits of another script": ["٨".encode() * 32],
    "a name that says it": [b"/O=EUM/CN=myserialNumber=" + EID_OCTETS],
    "a name that goes on": [b"/O=EUM/serialNumber=" + EID_OCTETS + b"x"],
    "twice in one subject": [b"/CN=x/serialNumber=" + OTHER + b"/serialNumber=" + EID_OCTETS],
    "a name beside it": [b"/CN=serialNumber=" + OTHER + b"/serialNumber=" + EID_OCTETS],
    "two identities": [EID_OCTETS + b"@a@b"],
}


@pytest.mark.parametrize("what", NOTHING)
def test_what_says_nothing_lets_nobody_in(what):
    with pytest.raises(Refused, match="does not say whose certificate") as caught:
        certificate_eid(accept(*NOTHING[what]), BOTH)
    assert caught.value.cause is Cause.NETWORK_FAILURE


def test_an_attribute_that_is_not_searched_says_nothing():
    with pytest.raises(Refused):
        certificate_eid(accept(EID_OCTETS, kind=Kind.CLASS), BOTH)


def test_what_says_nothing_stands_beside_what_does():
    packet = Packet(
        Code.ACCESS_ACCEPT,
        1,
        bytes(16),
        (
            Attribute(Kind.USER_NAME, b"anonymous@example.org"),
            Attribute(Kind.CHARGEABLE_USER_IDENTITY, EID_OCTETS),
            Attribute(Kind.CLASS, OTHER),
        ),
    )
    assert certificate_eid(packet, BOTH) == EID


@pytest.mark.parametrize("forms", [(EID_OCTETS, OTHER), (OTHER, FORMS["NAI"]), (FORMS["RFC 4514"], OTHER)])
def test_two_that_differ_let_nobody_in(forms):
    with pytest.raises(Refused, match="says in two ways"):
        certificate_eid(accept(*forms), BOTH)


def test_two_that_agree_are_one():
    assert certificate_eid(accept(FORMS["digits"], FORMS["RFC 4514"]), BOTH) == EID


@given(st.binary(max_size=253))
def test_any_octets_say_an_eid_or_nothing(value):
    try:
        eid = certificate_eid(accept(value), BOTH)
    except Refused:
        return
    assert eid.digits.encode() in value
