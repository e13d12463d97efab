import importlib.util
import sys
from pathlib import Path

import asn1tools
import pytest

from rprov.wire.link import LinkMessage
from rprov.wire.messages import NasMessage
from rprov.wire.radio import RadioMessage

ROOT = Path(__file__).parents[2]
UNIONS = {"nas": NasMessage, "link": LinkMessage, "radio": RadioMessage}


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("draw_messages", ROOT / "tools" / "draw_messages.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["draw_messages"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["draw_messages"]


def test_the_page_is_fresh(tool):
    page = (ROOT / "docs" / "messages.md").read_text(encoding="utf-8")
    assert page == tool.render(), "docs/messages.md is stale: run `python tools/draw_messages.py`"
    assert "generated" in page.splitlines()[0]
    assert "do not edit" in page.splitlines()[0]


@pytest.mark.parametrize("interface", UNIONS)
def test_every_message_has_its_place_and_direction(tool, interface):
    page = tool.render()
    for kind in UNIONS[interface].__args__:
        assert f"#### {kind.__name__}\n\n" in page
        direction = page.split(f"#### {kind.__name__}\n\n")[1].splitlines()[0]
        assert "->" in direction or direction.startswith("Both directions.")


@pytest.mark.parametrize("name", ["types", *UNIONS])
def test_the_tool_reads_what_asn1tools_reads(tool, name):
    text = (ROOT / "asn1" / f"rprov-{name}.asn").read_text(encoding="utf-8")
    (module,) = asn1tools.parse_string(text).values()
    found = {item.name: [member.name for member in item.members] for item in tool.read_grammar(name)}
    assert found == {
        kind: [member["name"] for member in description.get("members", ()) if member]
        for kind, description in module["types"].items()
    }


@pytest.mark.parametrize("name", ["types", *UNIONS])
def test_every_member_says_what_it_means(tool, name):
    for item in tool.read_grammar(name):
        if item.text.startswith("SEQUENCE {"):
            for member in item.members:
                assert member.meaning, f"{item.name}.{member.name}"
