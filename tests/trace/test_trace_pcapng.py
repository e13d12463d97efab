"""Capture files as octets: what is written is read, in either byte order, and what is no capture is refused."""

import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprov.errors import DecodeError
from rprov.trace import pcapng_write as write
from rprov.trace.pcapng_read import CaptureHeads, RawPacket, read_packets
from rprov.trace.upper_pdu import UpperPdu, decode_upper_pdu

CAPTURES = Path(__file__).parents[1] / "captures" / "eap-tls"
FREE5GC = Path(__file__).parents[1] / "vectors" / "5g_aka-3gpp-enp0s3-free5gc.pcap"

HEAD = write.section("rprov test", "rprov run 00") + write.interface(252, "radio") + write.interface(101, "n3")

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
packets = st.lists(
    st.tuples(
        st.sampled_from((0, 1)),
        st.integers(0, (1 << 63) - 1),
        st.binary(max_size=200),
        st.sampled_from((True, False, None)),
        st.none() | texts,
    ),
    max_size=5,
)


def read(path: Path, octets: bytes, heads: CaptureHeads | None = None) -> list[RawPacket]:
    path.write_bytes(octets)
    return list(read_packets(path, heads))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pcapng") / "file"


@given(packets)
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read(
    place: Path, given_packets: list[tuple[int, int, bytes, bool | None, str | None]]
) -> None:
    octets = HEAD + b"".join(
        write.packet(number, at, body, inbound=inbound, comment=comment)
        for number, at, body, inbound, comment in given_packets
    )
    heads = CaptureHeads()
    found = read(place, octets, heads)
    assert [
        ((item.interface.name, item.interface.link_type), item.at, item.octets, item.inbound, item.comments)
        for item in found
    ] == [
        ((("radio", 252), ("n3", 101))[number], at, body, inbound, () if comment is None else (comment,))
        for number, at, body, inbound, comment in given_packets
    ]
    assert [item.frame for item in found] == list(range(1, len(found) + 1))
    assert all(octets[item.offset : item.offset + len(item.octets)] == item.octets for item in found)
    assert heads.comments == ["rprov run 00"]


def test_secrets_are_kept_apart(tmp_path: Path) -> None:
    heads = CaptureHeads()
    octets = HEAD + write.secrets(b"LABEL 00 11\nLABEL 22 33\n") + write.packet(0, 1, b"x")
    assert [item.octets for item in read(tmp_path / "f", octets, heads)] == [b"x"]
    assert heads.key_lines == ["LABEL 00 11", "LABEL 22 33"]


def test_the_other_byte_order(tmp_path: Path) -> None:
    section = struct.pack(">IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
    interface = struct.pack(">IIHHIHHB3xHHI", 1, 32, 1, 0, 0, 9, 1, 9, 0, 0, 32)
    packet = struct.pack(">IIIIIII4sI", 6, 36, 0, 1, 2, 3, 9, b"abc\0", 36)
    simple = struct.pack(">III4sI", 3, 20, 4, b"wxyz", 20)
    first, second = read(tmp_path / "f", section + interface + packet + simple)
    assert (first.octets, first.at, first.whole) == (b"abc", (1 << 32) + 2, False)
    assert second.octets == b"wxyz"
    assert first.interface.link_type == 1


@pytest.mark.parametrize(
    ("order", "magic", "unit"), [("<", 0xA1B2C3D4, 1000), (">", 0xA1B2C3D4, 1000), ("<", 0xA1B23C4D, 1)]
)
def test_the_older_format(tmp_path: Path, order: str, magic: int, unit: int) -> None:
    octets = (
        struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, 101) + struct.pack(order + "IIII", 5, 7, 3, 4) + b"abc"
    )
    (found,) = read(tmp_path / "f", octets)
    assert (found.at, found.octets, found.whole) == (5 * 10**9 + 7 * unit, b"abc", False)


def test_others_captures_are_read() -> None:
    assert len(list(read_packets(FREE5GC))) == 51
    heads = CaptureHeads()
    assert len(list(read_packets(CAPTURES / "fr321-eapol210-tls13.pcapng", heads))) == 16
    assert {line.split()[0] for line in heads.key_lines} >= {"EXPORTER_SECRET"}


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_is_refused_and_nothing_else(place: Path, data: st.DataObject) -> None:
    octets = bytearray(
        HEAD + write.secrets(b"LABEL 00 11\n") + write.packet(1, 77, b"payload", inbound=True, comment="c")
    )
    for at in data.draw(st.lists(st.integers(0, len(octets) - 1), max_size=4)):
        octets[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(octets)))
    with suppress(DecodeError):
        read(place, bytes(octets[:cut]))


@given(st.binary(max_size=300))
@settings(max_examples=80, deadline=None)
def test_garbage_is_refused(place: Path, octets: bytes) -> None:
    with pytest.raises(DecodeError):
        read(place, octets)
    for magic in (bytes.fromhex("0a0d0d0a"), bytes.fromhex("d4c3b2a1"), bytes.fromhex("a1b2c3d4")):
        with suppress(DecodeError):
            read(place, magic + octets)


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (HEAD + write.packet(2, 1, b"x"), "interface 2"),
        (HEAD + write.packet(0, 1, b"x")[:-1], "the file ends"),
        (HEAD[:8] + b"\0\0\0\0" + HEAD[12:], "byte order"),
        (HEAD + struct.pack("<II", 6, 1 << 30), "octets"),
        (HEAD + struct.pack("<IIII", 6, 16, 0, 12), "two lengths"),
    ],
)
def test_a_refusal_says_where(tmp_path: Path, octets: bytes, words: str) -> None:
    with pytest.raises(DecodeError, match=words):
        read(tmp_path / "f", octets)


hosts = st.ip_addresses().map(str) | st.just("")
ends = st.tuples(hosts, st.integers(0, (1 << 32) - 1))
numbers = st.integers(0, (1 << 32) - 1)


@given(ends, ends, st.binary(max_size=60), numbers, numbers, numbers)
@settings(max_examples=60, deadline=None)
def test_an_upper_pdu_comes_back(
    source: tuple[str, int], destination: tuple[str, int], octets: bytes, stream: int, ppid: int, ue: int
) -> None:
    record = UpperPdu("rprov.n2", source, destination, octets, stream, ppid, ue)
    assert decode_upper_pdu(record.encode()) == record


@given(st.binary(max_size=120))
@settings(max_examples=80, deadline=None)
def test_an_upper_pdu_of_garbage_is_refused_or_read(octets: bytes) -> None:
    with suppress(DecodeError):
        decode_upper_pdu(octets)
