import json
from functools import cache
from pathlib import Path

import asn1tools
import pytest
from doubles.asn1_dicts import as_choice

from rprov.errors import DecodeError
from rprov.wire.link import LinkMessage
from rprov.wire.link_asn1 import LinkAsn1
from rprov.wire.messages import NasMessage
from rprov.wire.nas_asn1 import NasAsn1
from rprov.wire.radio import RadioMessage
from rprov.wire.radio_asn1 import RadioAsn1

ROOT = Path(__file__).parents[2]
VECTORS = json.loads((ROOT / "tests/vectors/rprov_messages.json").read_text())
CODECS = {"nas": NasAsn1(), "link": LinkAsn1(), "radio": RadioAsn1()}
UNIONS = {"nas": NasMessage, "link": LinkMessage, "radio": RadioMessage}
ROOTS = {"nas": "NasMessage", "link": "LinkMessage", "radio": "RadioMessage"}
CASES = [
    pytest.param(interface, vector, id=f"{vector['message']}: {vector['case']}")
    for interface in CODECS
    for vector in VECTORS[interface]
]


@cache
def json_of(interface):
    files = [ROOT / "asn1" / name for name in ("rprov-types.asn", f"rprov-{interface}.asn")]
    return asn1tools.compile_files(files, "jer")


@pytest.mark.parametrize("interface", UNIONS)
def test_every_message_has_a_vector(interface):
    assert {vector["message"] for vector in VECTORS[interface]} == {
        kind.__name__ for kind in UNIONS[interface].__args__
    }


@pytest.mark.parametrize(("interface", "vector"), CASES)
def test_vector_decodes_to_its_value(interface, vector):
    expected = json_of(interface).decode(ROOTS[interface], json.dumps(vector["value"]).encode())
    message = CODECS[interface].decode(bytes.fromhex(vector["octets"]))
    assert type(message).__name__ == vector["message"]
    assert as_choice(message) == expected


@pytest.mark.parametrize(("interface", "vector"), CASES)
def test_vector_is_what_its_message_encodes_to(interface, vector):
    octets = bytes.fromhex(vector["octets"])
    codec = CODECS[interface]
    assert codec.encode(codec.decode(octets)) == octets


@pytest.mark.parametrize(("interface", "vector"), CASES)
def test_every_truncation_is_refused(interface, vector):
    octets = bytes.fromhex(vector["octets"])
    for size in range(len(octets)):
        with pytest.raises(DecodeError, match="the octets end too early"):
            CODECS[interface].decode(octets[:size])


@pytest.mark.parametrize(("interface", "vector"), CASES)
def test_every_trailing_octet_is_refused(interface, vector):
    octets = bytes.fromhex(vector["octets"])
    for trailing in range(256):
        with pytest.raises(DecodeError, match="trailing octets: 1"):
            CODECS[interface].decode(octets + bytes((trailing,)))
    with pytest.raises(DecodeError, match="trailing octets: 40"):
        CODECS[interface].decode(octets + bytes(40))
