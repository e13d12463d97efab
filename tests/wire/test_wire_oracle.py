"""rprov's codec and asn1tools agree bit for bit, both ways, on anything that the grammars allow."""

from functools import cache
from pathlib import Path

import asn1tools
import pytest
from doubles.any_message import INTERFACES, any_of
from doubles.asn1_dicts import as_choice
from hypothesis import given, settings
from hypothesis import strategies as st

from rprov.causes import Cause
from rprov.errors import DecodeError
from rprov.wire.link import LinkMessage
from rprov.wire.link_asn1 import LinkAsn1
from rprov.wire.messages import NasMessage
from rprov.wire.nas_asn1 import NasAsn1
from rprov.wire.radio import RadioMessage
from rprov.wire.radio_asn1 import RadioAsn1

GRAMMARS = Path(__file__).parents[2] / "asn1"
CODECS = {"nas": NasAsn1(), "link": LinkAsn1(), "radio": RadioAsn1()}
UNIONS = {"nas": NasMessage, "link": LinkMessage, "radio": RadioMessage}
ROOTS = {"nas": "NasMessage", "link": "LinkMessage", "radio": "RadioMessage"}
interfaces = st.sampled_from(sorted(CODECS))


@cache
def oracle(interface):
    return asn1tools.compile_files([GRAMMARS / "rprov-types.asn", GRAMMARS / f"rprov-{interface}.asn"], "uper")


@pytest.mark.parametrize("interface", UNIONS)
def test_the_strategies_know_every_message(interface):
    assert set(INTERFACES[interface]) == set(UNIONS[interface].__args__)


@pytest.mark.parametrize(
    ("interface", "kind"), [pytest.param(name, kind, id=kind.__name__) for name in UNIONS for kind in INTERFACES[name]]
)
@given(data=st.data())
def test_agrees_with_asn1tools_on_any_value(interface, kind, data):
    message = data.draw(st.builds(kind, *INTERFACES[interface][kind]))
    value = as_choice(message)
    octets = CODECS[interface].encode(message)
    assert octets == oracle(interface).encode(ROOTS[interface], value, check_constraints=True)
    assert oracle(interface).decode(ROOTS[interface], octets, check_constraints=True) == value
    assert CODECS[interface].decode(octets) == message


def known(value):
    """A value of asn1tools with 111 in the place of every cause that rprov has no name for."""
    match value:
        case {**members}:
            return {name: _cause(item) if name == "cause" else known(item) for name, item in members.items()}
        case (str() as name, item):
            return name, known(item)
        case list():
            return [known(item) for item in value]
        case _:
            return value


def _cause(number):
    return number if number in set(Cause) else 111


def check_any_octets(interface, octets):
    """A DecodeError, or what asn1tools reads; and then the same octets come back, if nothing was lost on purpose."""
    try:
        message = CODECS[interface].decode(octets)
    except DecodeError:
        return
    value = oracle(interface).decode(ROOTS[interface], octets)
    assert as_choice(message) == known(value)
    has_additions = oracle(interface).encode(ROOTS[interface], value) != octets
    if value == known(value) and not has_additions:
        assert CODECS[interface].encode(message) == octets


@settings(max_examples=600)
@given(interfaces, st.binary(max_size=60))
def test_any_octets_give_a_message_or_a_decode_error(interface, octets):
    check_any_octets(interface, octets)


@settings(max_examples=200)
@given(interfaces.flatmap(lambda name: st.tuples(st.just(name), any_of(name))), st.data())
def test_any_damage_gives_a_message_or_a_decode_error(case, data):
    interface, message = case
    octets = bytearray(CODECS[interface].encode(message))
    for _ in range(data.draw(st.integers(1, 3))):
        octets[data.draw(st.integers(0, len(octets) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    check_any_octets(interface, bytes(octets))


@pytest.mark.parametrize("interface", CODECS)
def test_all_that_fits_into_two_octets(interface):
    for number in range(1 << 16):
        check_any_octets(interface, number.to_bytes(2))
