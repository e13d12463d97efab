"""Captures as charts: which records are one arrow, whose they are, in which step, and what the page makes of them."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from ipaddress import IPv4Address
from typing import Any
from xml.etree import ElementTree

import pytest
from doubles.captures import LOWER, UPPER

from rprov.causes import Cause
from rprov.model.identifiers import CpUeId, Eid, Guti, Plmn, RanUeId, Suci, Teid, UeRadioId
from rprov.model.security import Nea, Nia, Scope, SecurityCapability
from rprov.model.session import TunnelEnd
from rprov.security.envelope import PlainPdu, ProtectedPdu, SecurityHeader
from rprov.session.ip.packet import encode_ipv4
from rprov.trace.capture import Captured
from rprov.trace.ladder import gather as bounds
from rprov.trace.ladder.about import about
from rprov.trace.ladder.chart import Arrow, Chart, Ladder, Lane, Protection, count, duration
from rprov.trace.ladder.drawing import MOST_CHARTS, drawing_of
from rprov.trace.ladder.gather import gather
from rprov.trace.ladder.page import LONGEST_TEXT, page_of
from rprov.trace.ladder.text import text_of
from rprov.trace.reading import Reading, read_value
from rprov.wire import link, radio
from rprov.wire.gtpu import PduType, encode_gpdu
from rprov.wire.link_asn1 import encode_link
from rprov.wire.messages import (
    AttachAccept,
    AttachReject,
    AttachRequest,
    AttachType,
    AuthenticationRequest,
    Eap,
    NasMessage,
    SecurityModeCommand,
)
from rprov.wire.nas_asn1 import encode_nas
from rprov.wire.radio_asn1 import encode_radio
from rprov.wire.radio_user import user_header

UE = 0x0A0B0C0D
PLMN = Plmn("001", "01")
EID = Eid.parse("89049032123451234512345678901235")
CAPABILITY = SecurityCapability.of((Nea.NEA2,), (Nia.NIA2,))
ATTACH = AttachRequest(AttachType.REMOTE_PROVISIONING, EID, 7, CAPABILITY)
AGAIN = AttachRequest(AttachType.INITIAL, Suci(PLMN, "0", 2, 1, b"hidden"), 7, CAPABILITY)
CP = ("192.0.2.3", 29712)


class Tape:
    """Messages one after the other, a millisecond apart, each with its frame number."""

    def __init__(self) -> None:
        self.messages: list[Captured] = []

    def add(self, link_name: str, octets: bytes, up: bool, ends: Any, ue: int | None = UE) -> None:
        number = len(self.messages) + 1
        sender, receiver = ends if up else ends[::-1]
        self.messages.append(Captured(number, number / 1000, link_name, sender, receiver, None, ue, octets))

    def cell(self, message: radio.RadioMessage, *, up: bool, ue_end: Any = LOWER) -> None:
        octets = radio.RadioFrame(UeRadioId(0), encode_radio(message)).encode()
        self.add("radio", octets, up, (ue_end, UPPER), None)

    def srb(self, payload: bytes, *, up: bool, mac: bytes = bytes(4), ue: int = UE, ue_end: Any = LOWER) -> None:
        octets = radio.RadioFrame(UeRadioId(ue), b"\0\3" + payload + mac).encode()
        self.add("radio", octets, up, (ue_end, UPPER), ue)

    def n2(self, kind: link.N2Kind, payload: bytes, *, up: bool, ue: int = UE) -> None:
        octets = link.N2Frame(RanUeId(ue), CpUeId(9), kind, payload).encode()
        self.add("n2", octets, up, (UPPER, CP), ue or None)

    def nas(self, pdu: bytes, *, up: bool, ue: int = UE, ue_end: Any = LOWER) -> None:
        """On both links, in the order in which it passes them."""
        steps = [lambda: self.srb(b"\1" + pdu, up=up, ue=ue, ue_end=ue_end)]
        steps.append(lambda: self.n2(link.N2Kind.NAS, pdu, up=up, ue=ue))
        for step in steps if up else steps[::-1]:
            step()

    def ciphered_nas(self, size: int, *, up: bool) -> None:
        pdu = ProtectedPdu(SecurityHeader.INTEGRITY_CIPHERED, b"\1\2\3\4", 1, b"\xaa" * size).encode()
        steps = [lambda: self.srb(b"\xbb" * (1 + len(pdu)), up=up, mac=b"\5\6\7\x08")]
        steps.append(lambda: self.n2(link.N2Kind.NAS, pdu, up=up))
        for step in steps if up else steps[::-1]:
            step()

    def connect(self, ue: int = UE, ue_end: Any = LOWER) -> None:
        self.cell(radio.CellInfo(PLMN, 1, True), up=False, ue_end=ue_end)
        self.cell(radio.RrcSetupRequest(b"\1\2\3\4"), up=True, ue_end=ue_end)
        self.cell(radio.RrcSetup(b"\1\2\3\4", UeRadioId(ue)), up=False, ue_end=ue_end)

    def packet(self, protocol: int, remote: str, port: int, *, up: bool, size: int = 100) -> None:
        source, destination = IPv4Address("10.45.0.2"), IPv4Address(remote)
        ports = (40000, port)
        if not up:
            source, destination, ports = destination, source, ports[::-1]
        segment = b"".join(number.to_bytes(2) for number in ports) + bytes(4 + size)
        inner = encode_ipv4(source.packed, destination.packed, protocol, segment)
        kind = PduType.UPLINK if up else PduType.DOWNLINK
        self.add("n3", encode_gpdu(Teid(7), kind, 9, inner), up, (UPPER, CP), UE)


def plain(message: NasMessage) -> bytes:
    return PlainPdu(encode_nas(message)).encode()


def command() -> bytes:
    octets = encode_nas(SecurityModeCommand(Nea.NEA2, Nia.NIA2, 0, CAPABILITY, b"\0\0", Eap(b"\3\1\0\4")))
    return ProtectedPdu(SecurityHeader.INTEGRITY_NEW_CONTEXT, b"\1\2\3\4", 0, octets).encode()


def attach() -> Tape:
    tape = Tape()
    tape.connect()
    tape.nas(plain(ATTACH), up=True)
    tape.nas(plain(AuthenticationRequest(0, b"\0\0", Eap(b"\1\1\0\6\x0d\x20"))), up=False)
    tape.nas(command(), up=False)
    tape.ciphered_nas(24, up=True)
    return tape


def brief(chart: Chart) -> list[tuple[str, Lane, Lane, int | None]]:
    return [(arrow.name, arrow.sender, arrow.receiver, arrow.step) for arrow in chart.arrows]


def test_what_is_seen_on_two_links_is_one_arrow() -> None:
    (chart,) = gather(attach().messages).charts
    assert brief(chart) == [
        ("CellInfo", Lane.RAN, Lane.UE, 1),
        ("RrcSetupRequest", Lane.UE, Lane.RAN, 1),
        ("RrcSetup", Lane.RAN, Lane.UE, 1),
        ("AttachRequest", Lane.UE, Lane.CP, 1),
        ("AuthenticationRequest", Lane.CP, Lane.UE, 2),
        ("SecurityModeCommand", Lane.CP, Lane.UE, 3),
        ("ProtectedNas", Lane.UE, Lane.CP, 3),
    ]
    assert chart.title == f"EID {EID}"
    assert [arrow.relayed for arrow in chart.arrows] == [False] * 3 + [True] * 4
    assert [arrow.frames for arrow in chart.arrows] == [[1], [2], [3], [4, 5], [6, 7], [8, 9], [10, 11]]
    assert [arrow.protection for arrow in chart.arrows][-2:] == [Protection.INTEGRITY, Protection.CIPHERED]
    assert [band.step for band in chart.bands] == [1, 2, 3]


def test_what_is_ciphered_is_one_arrow_only_where_sizes_agree_and_for_one_ue() -> None:
    tape = attach()
    tape.srb(b"\xbb" * 9, up=False, mac=b"\5\6\7\x08")  # RRC: nothing on N2 is like it
    pdu = ProtectedPdu(SecurityHeader.INTEGRITY_CIPHERED, b"\1\2\3\4", 2, b"\xaa" * 2).encode()
    tape.n2(link.N2Kind.NAS, pdu, up=True)  # of the size of the last one, but it goes the other way
    tape.n2(link.N2Kind.NAS, pdu, up=False, ue=UE + 1)
    first, second = gather(tape.messages).charts
    assert brief(first)[-2:] == [("ProtectedSrb", Lane.RAN, Lane.UE, 3), ("ProtectedNas", Lane.RAN, Lane.CP, 3)]
    # With nothing of a radio link, NAS is still between UE and CP.
    assert brief(second) == [("ProtectedNas", Lane.CP, Lane.UE, None)]


def test_keys_give_names_and_members() -> None:
    accept = AttachAccept(Guti(PLMN, 1, 2), Scope.PROVISIONING, 600, 54)
    tape = attach()
    tape.ciphered_nas(20, up=False)

    def opener(seen: Captured) -> Reading | None:
        head = {"header": "INTEGRITY_CIPHERED", "mac": "00", "sequence_number": 1}
        return read_value(accept, head | {"link": str(seen.link)}) if seen.frame > 11 else None

    ladder = gather(tape.messages, opener)
    (chart,) = ladder.charts
    assert brief(chart)[-1] == ("AttachAccept", Lane.CP, Lane.UE, 3)
    assert chart.arrows[-1].about == "provisioning"
    assert chart.arrows[-1].protection is Protection.CIPHERED
    assert ladder.deciphered
    assert "Drawn without keys" not in page_of(ladder, "f")
    assert "Drawn without keys" in page_of(gather(tape.messages), "f")


def test_both_attaches_of_a_device_are_one_chart() -> None:
    tape = attach()
    tape.n2(link.N2Kind.CONTROL, encode_link(link.UeContextReleaseCommand(Cause.NORMAL)), up=False)
    tape.cell(radio.RrcSetupRequest(b"\5\6\7\x08"), up=True)
    tape.cell(radio.RrcSetup(b"\5\6\7\x08", UeRadioId(UE + 1)), up=False)
    tape.nas(plain(AGAIN), up=True, ue=UE + 1)
    other = ("192.0.2.77", 40077)
    tape.connect(UE + 2, other)
    tape.nas(plain(AGAIN), up=True, ue=UE + 2, ue_end=other)
    first, second = gather(tape.messages).charts
    assert first.title == f"EID {EID}"
    assert [band.step for band in first.bands] == [1, 2, 3, 6, 7]
    assert brief(first)[-3:] == [
        ("RrcSetupRequest", Lane.UE, Lane.RAN, 7),
        ("RrcSetup", Lane.RAN, Lane.UE, 7),
        ("AttachRequest", Lane.UE, Lane.CP, 7),
    ]
    assert second.title == f"UE {UE + 2:08x}"
    assert {band.step for band in second.bands} == {7}


def test_what_belongs_to_no_ue_is_a_chart_of_its_own() -> None:
    tape = attach()
    tape.n2(link.N2Kind.CONTROL, encode_link(link.N2SetupRequest("ran", PLMN, 1)), up=True, ue=0)
    _, links = gather(tape.messages).charts
    assert links.title == "Links of the network"
    assert brief(links) == [("N2SetupRequest", Lane.RAN, Lane.CP, None)]


def test_user_packets_are_bursts_of_their_flows() -> None:
    tape = attach()
    tape.packet(17, "10.45.0.1", 53, up=True)
    tape.packet(17, "10.45.0.1", 53, up=False)
    for up, size in ((True, 500), (True, 600), (False, 12), (True, 100), (False, 900)):
        tape.packet(6, "203.0.113.10", 443, up=up, size=size)
    tape.packet(17, "198.51.100.9", 9, up=True)
    end = TunnelEnd(IPv4Address(CP[0]), CP[1], Teid(7))
    control = link.SessionResourceSetupRequest(1, end, True, True)
    tape.n2(link.N2Kind.CONTROL, encode_link(control), up=False)
    session = tape.messages.pop()
    setup = replace(session, at=0.0115)
    (chart,) = gather([*tape.messages[:11], setup, *tape.messages[11:]]).charts
    packets = [arrow for arrow in chart.arrows if arrow.packets]
    assert [(arrow.name, arrow.sender, arrow.receiver, arrow.packets) for arrow in packets] == [
        ("DNS", Lane.RAN, Lane.UP, 1),
        ("DNS", Lane.UP, Lane.RAN, 1),
        ("HTTPS x3", Lane.RAN, Lane.SERVER, 3),
        ("HTTPS", Lane.SERVER, Lane.RAN, 1),
        ("UDP port 9", Lane.RAN, Lane.UP, 1),
    ]
    assert packets[2].fields["acknowledgements"] == 1
    assert packets[2].octets == 500 + 600 + 100 + 3 * 28
    assert packets[-1].about == "no answer"
    assert {arrow.step for arrow in packets} == {5}
    assert {arrow.protection for arrow in packets} == {Protection.LINK}

    radio_user = Captured(99, 0.013, "radio-user", LOWER, UPPER, None, UE, user_header(UeRadioId(UE), 1) + bytes(40))
    (chart,) = gather([*tape.messages[:11], setup, *tape.messages[11:], radio_user]).charts
    packets = [arrow for arrow in chart.arrows if arrow.packets]
    assert {arrow.left for arrow in packets} == {Lane.UE}
    assert {arrow.protection for arrow in packets} == {Protection.CIPHERED}


def test_user_packets_of_a_radio_alone_are_counted() -> None:
    tape = attach()
    for up in (True, True, False):
        tape.add("radio-user", user_header(UeRadioId(UE), 1) + bytes(40), up, (LOWER, UPPER))
    (chart,) = gather(tape.messages).charts
    assert brief(chart)[-2:] == [("user packets x2", Lane.UE, Lane.RAN, 5), ("user packets", Lane.RAN, Lane.UE, 5)]
    assert chart.radio_octets == sum(len(seen.octets) for seen in tape.messages if seen.link != "n2")


def test_refusals_and_what_is_no_message_stand_out() -> None:
    tape = attach()
    tape.nas(plain(AttachReject(Cause.CONGESTION, 30)), up=False)
    tape.n2(link.N2Kind.CONTROL, b"\xff", up=True)
    (chart,) = gather(tape.messages).charts
    assert [(arrow.name, arrow.refused) for arrow in chart.arrows[-2:]] == [("AttachReject", True), ("Malformed", True)]
    assert chart.arrows[-2].about == "congestion"


def test_everything_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_CHARTS", 3)
    monkeypatch.setattr(bounds, "MAX_ARROWS", 5)
    monkeypatch.setattr(bounds, "MAX_IN_ALL", 12)
    tape = Tape()
    for number in range(5):
        end = (f"192.0.2.{100 + number}", 40000)
        tape.connect(UE + number, end)
        for _ in range(4):
            tape.nas(plain(ATTACH), up=True, ue=UE + number, ue_end=end)
    ladder = gather(tape.messages)
    assert [len(chart.arrows) for chart in ladder.charts] == [5, 5, 2]
    assert ladder.left_out == 2
    assert all(chart.left_out for chart in ladder.charts)
    assert "2 more devices not drawn" in page_of(ladder, "f")
    assert "and 2 more devices" in text_of(ladder)


# --- what is drawn ----------------------------------------------------------------------------------------------------

VOID = frozenset({"meta", "link", "br"})
HOSTILE = "</script><script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)>"


class Page(HTMLParser):
    """A page taken apart; what is open must be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.seen if name == tag]


def hostile() -> Ladder:
    arrow = Arrow(
        1.0, Lane.UE, Lane.CP, HOSTILE, HOSTILE, 5, fields={HOSTILE: [HOSTILE, {"a": HOSTILE}], "x": "y" * 999}
    )
    arrow.frames.append(1)
    return Ladder((Chart(HOSTILE, (arrow,)), Chart("b\0\x1b\ud800", (replace(arrow, at=2.0),))))


def ladder() -> Ladder:
    tape = attach()
    tape.n2(link.N2Kind.CONTROL, encode_link(link.N2SetupRequest("ran", PLMN, 1)), up=True, ue=0)
    return gather(tape.messages)


def test_the_page_stands_alone_and_fits_a_phone() -> None:
    text = page_of(ladder(), "run.pcapng")
    page = Page(text)
    assert page.all("html") == [{"lang": "en"}]
    metas = page.all("meta")
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in metas
    assert any("default-src 'none'" in str(meta.get("content")) for meta in metas)
    assert page.all("link") == [{"rel": "icon", "href": "data:,"}]
    addresses = {value for _, attributes in page.seen for name, value in attributes.items() if name in ("src", "href")}
    assert addresses == {"data:,"}
    assert not re.search(r"url\(|@import|https?:", text)
    assert "prefers-color-scheme: dark" in text


def test_the_page_has_every_message_and_what_is_in_it() -> None:
    drawn = ladder()
    page = Page(page_of(drawn, "run.pcapng"))
    assert len(page.all("details")) == len(page.all("summary")) == sum(len(chart.arrows) for chart in drawn.charts)
    for word in ("AttachRequest", "UE to CP", EID.digits, "ciphered", "Attach request", "attach type"):
        assert word in page.text
    assert [item["value"] for item in page.all("option")] == ["0", "1"]
    titles = {attributes.get("id") for attributes in page.all("h2")}
    assert {attributes["aria-labelledby"] for attributes in page.all("article")} == titles
    (one,) = (Chart("one", drawn.charts[0].arrows),)
    assert Page(page_of(Ladder((one,)), "f")).all("select") == []


def test_what_strangers_say_is_only_text() -> None:
    drawn = hostile()
    page = Page(page_of(drawn, HOSTILE).encode("utf-8", "replace").decode())
    assert len(page.all("script")) == 1
    assert page.all("img") == []
    assert HOSTILE in page.text
    assert "y" * LONGEST_TEXT + "… (999 characters)" in page.text
    root = ElementTree.fromstring(drawing_of(drawn, HOSTILE))
    assert {element.tag.split("}")[1] for element in root.iter()} <= {
        *("svg", "title", "style", "text", "tspan", "path", "rect", "g", "polygon", "circle")
    }


def test_the_drawing_has_every_message() -> None:
    drawn = ladder()
    root = ElementTree.fromstring(drawing_of(drawn, "run.pcapng"))
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}g")) == sum(len(chart.arrows) for chart in drawn.charts)
    words = " ".join(root.itertext())
    assert "AttachRequest" in words
    assert "Provisioning server" in words
    many = Ladder(drawn.charts[:1] * (MOST_CHARTS + 3))
    assert "and 3 more devices" in drawing_of(many, "f")


def test_text_is_lanes_of_characters() -> None:
    lines = text_of(ladder()).splitlines()
    assert lines[0] == f"EID {EID}"
    (request,) = (line for line in lines if "AttachRequest" in line)
    assert "|---------o-------->|" in request
    assert f"remote provisioning, EID {EID}" in request
    (protected,) = (line for line in lines if "ProtectedNas" in line)
    assert "|=========o========>|" in protected
    assert lines.index("2 Authenticate (0.0 ms)") > lines.index(request)


def test_nothing_is_drawn_of_nothing() -> None:
    empty = gather([])
    assert text_of(empty) == "no messages\n"
    assert "no message" in Page(page_of(empty, "f")).text
    assert "no messages" in drawing_of(empty, "f")


@pytest.mark.parametrize(
    ("message", "fields", "expected"),
    [
        ("AuthenticationRequest", {"challenge": {"AkaChallenge": {"rand": "00"}}}, "5G AKA"),
        ("AuthenticationResponse", {"answer": {"Eap": {"packet": "020100060d00"}}}, "EAP-TLS, nothing more"),
        ("AuthenticationRequest", {"challenge": {"Eap": {"packet": "0101000532"}}}, "EAP-AKA'"),
        ("AuthenticationRequest", {"challenge": {"Eap": {"packet": "ff"}}}, "EAP that cannot be read"),
        ("AuthenticationReject", {"cause": "NO_ORDER", "eap": {"packet": "04010004"}}, "EAP-Failure, no order"),
        ("AttachRequest", {"identity": {"EidHint": "89049032"}}, "an EID of 89049032…"),
        ("AttachRequest", {"identity": {"Suci": {"scheme": 0}}}, "SUCI in clear"),
        ("AttachRequest", {"identity": {"Guti": {"tmsi": 5}}}, "GUTI …00000005"),
        ("RrcReconfiguration", {"add": {"bearer": 1}}, "adds bearer 1"),
        ("AttachComplete", {}, ""),
    ],
)
def test_what_a_message_is_about(message: str, fields: dict[str, Any], expected: str) -> None:
    assert about(message, fields) == expected


def test_numbers_as_people_read_them() -> None:
    assert [duration(value) for value in (0.04, 12.34, 1500, 250_000)] == ["0.0 ms", "12.3 ms", "1.50 s", "250 s"]
    assert [count(value, "octet") for value in (0, 1, 12345)] == ["0 octets", "1 octet", "12,345 octets"]
