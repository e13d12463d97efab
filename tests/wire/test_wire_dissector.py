"""The dissector for Wireshark is drawn from the grammars as they are. tests/interop runs it in tshark."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from rprov.model.numbers import Port, Ppid
from rprov.wire.link import LinkMessage
from rprov.wire.messages import NasMessage
from rprov.wire.radio import RadioMessage

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool():
    places = list(sys.path)
    spec = importlib.util.spec_from_file_location("draw_dissector", ROOT / "tools" / "draw_dissector.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["draw_dissector"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    sys.path[:] = places
    del sys.modules["draw_dissector"]
    del sys.modules["draw_messages"]


def test_the_file_is_fresh(tool):
    text = (ROOT / "tools" / "wireshark" / "rprov.lua").read_text(encoding="utf-8")
    assert text == tool.render(), "tools/wireshark/rprov.lua is stale: run `python tools/draw_dissector.py`"
    assert "do not edit" in text.splitlines()[1]


def test_every_message_and_every_number_is_there(tool):
    text = tool.render()
    for kind in (*NasMessage.__args__, *LinkMessage.__args__, *RadioMessage.__args__):
        assert f"    {kind.__name__} = {{" in text
    for number in (Port.RADIO, Port.N2, Port.RADIO_USER, Ppid.RADIO, Ppid.N2, Ppid.TLS):
        assert re.search(rf"\b{number:d}\b", text)


def test_every_field_has_one_name_and_a_protocol(tool):
    drawn = tool.Dissector()
    for proto, grammar, root in tool.INTERFACES:
        drawn.add(proto, grammar, root)
    for name, field in drawn.fields.items():
        assert name == field.name
        assert name.startswith(field.proto + ".")
        assert re.fullmatch(r"rprov(\.[a-z0-9_]+)+", name)
    for name in (
        "rprov.nas.type",
        "rprov.nas.eid",
        "rprov.nas.cause",
        "rprov.n2.uplink.teid",
        "rprov.radio.add.bearer",
    ):
        assert name in drawn.fields
    assert drawn.fields["rprov.nas.eid"].kind == "string"
    assert drawn.fields["rprov.nas.quota"].kind == "uint64"


def test_a_name_that_would_be_two_things_is_refused(tool):
    drawn = tool.Dissector()
    drawn.fields["rprov.nas.eid"] = tool.Field("rprov.nas", "rprov.nas.eid", "bytes", "EID")
    with pytest.raises(SystemExit, match=r"rprov\.nas\.eid is two things"):
        drawn.add("nas", "rprov-nas", "NasMessage")
