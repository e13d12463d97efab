"""Captures of ours, opened by Wireshark's own dissectors: EAP, TLS with our keys, GTP-U, RADIUS.

tshark comes from Debian's package of that name; the tests say so where it is missing.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from doubles.captures import LOWER, UPPER, taps
from doubles.network import Network, run
from doubles.pcapng import radius_attributes

from rprov.cli.main import run as rprov
from rprov.model.tap import LinkName
from rprov.model.tracing import TraceSecrets, TraceSettings
from rprov.trace.capture import read_capture
from rprov.trace.tracing import tracing

pytestmark = pytest.mark.slow

CERTIFICATE, CERTIFICATE_VERIFY, FINISHED = "11", "15", "20"


def tshark(pcap: Path, *arguments: str) -> list[list[str]]:
    """Run tshark; gives the fields of each line."""
    program = shutil.which("tshark")
    if program is None:
        pytest.skip("tshark is missing: apt-get install tshark")
    environment = {**os.environ, "HOME": str(pcap.parent), "LC_ALL": "C.UTF-8"}
    command = [program, "-r", str(pcap), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    complaints = [line for line in done.stderr.splitlines() if line and "as user" not in line]
    assert not complaints
    return [line.split("\t") for line in done.stdout.splitlines()]


def shown(pcap: Path, filter_text: str, *fields: str, more: tuple[str, ...] = ()) -> list[list[str]]:
    return tshark(pcap, *more, "-Y", filter_text, "-T", "fields", *(part for name in fields for part in ("-e", name)))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wireshark")
    options = ["--pcap", str(place / "run.pcapng"), "--keylog", str(place / "run.keys"), "--credential", "euicc"]
    assert rprov(["demo", "--devices", "2", "--workdir", str(place / "demo"), *options]) == 0
    return place / "run.pcapng"


def keys_of(pcap: Path) -> tuple[str, ...]:
    return ("-o", f"tls.keylog_file:{pcap.with_suffix('.keys')}")


def test_nothing_in_it_is_malformed(demo: Path) -> None:
    assert len(tshark(demo)) == len(list(read_capture(demo)))
    assert shown(demo, "_ws.malformed || _ws.expert.severity == error", "frame.number", more=keys_of(demo)) == []


def test_interfaces_times_and_directions(demo: Path) -> None:
    seen = list(read_capture(demo))
    lines = shown(demo, "frame", "frame.interface_name", "frame.time_epoch", "frame.packet_flags_direction")
    assert [line[0] for line in lines] == [item.link for item in seen]
    assert [line[2] for line in lines] == ["0x00000001" if item.inbound else "0x00000002" for item in seen]
    assert all(abs(float(line[1]) - item.at) < 1e-5 for line, item in zip(lines, seen, strict=True))


def test_two_ues_of_one_association_are_two_conversations_of_eap(demo: Path) -> None:
    lines = shown(demo, "eap", "frame.number", "eap.code", "eap.id")
    ours = [item for item in read_capture(demo) if item.link == "eap"]
    assert [int(line[0]) for line in lines] == [item.frame for item in ours]
    assert [(int(line[1]), int(line[2])) for line in lines] == [tuple(item.octets[:2]) for item in ours]
    assert {item.ue for item in ours if item.octets[0] == 3} == {item.ue for item in ours}  # each has its success


def test_tls_opens_with_the_key_log(demo: Path) -> None:
    opened = shown(demo, "tls.handshake.type == 11", "frame.number", "tls.handshake.type", more=keys_of(demo))
    seen = {item.frame: item for item in read_capture(demo)}
    mine = [(seen[int(number)], types.split(",")) for number, types in opened if seen[int(number)].link == "eap"]
    assert len({item.ue for item, _ in mine}) == 2
    assert len(mine) == 4  # a certificate of each side, for each UE
    for _, types in mine:
        assert {CERTIFICATE, CERTIFICATE_VERIFY, FINISHED} <= set(types)
    assert shown(demo, "tls.handshake.type == 11", "frame.number") == []  # not without keys


def test_user_packets_are_gtp(demo: Path) -> None:
    n3 = [item for item in read_capture(demo) if item.link == "n3"]
    ports = {end[1] for item in n3 for end in (item.sender, item.receiver)}
    decode_as = tuple(part for port in sorted(ports) for part in ("-d", f"udp.port=={port},gtp"))
    lines = shown(
        demo,
        "gtp && udp.checksum.status == 1",
        "frame.number",
        "gtp.teid",
        more=(*decode_as, "-o", "udp.check_checksum:TRUE"),
    )
    assert [int(line[0]) for line in lines] == [item.frame for item in n3]
    assert [int(line[1].split(",")[0], 16) for line in lines if line[1]] == [
        int.from_bytes(item.octets[4:8]) for item, line in zip(n3, lines, strict=True) if line[1]
    ]


def test_the_download_opens_inside_gtp(demo: Path) -> None:
    n3 = [item for item in read_capture(demo) if item.link == "n3"]
    ports = {end[1] for item in n3 for end in (item.sender, item.receiver)}
    decode_as = tuple(part for port in sorted(ports) for part in ("-d", f"udp.port=={port},gtp"))
    found = shown(demo, "http.request.method == POST", "http.request.uri", more=(*decode_as, *keys_of(demo)))
    paths = [uri for line in found for uri in line[0].split(",")]
    assert sum(path.endswith("initiateAuthentication") for path in paths) == 2
    assert sum(path.endswith("getBoundProfilePackage") for path in paths) == 2


def test_embedded_keys_open_it_alone(tmp_path: Path) -> None:
    pcap = tmp_path / "run.pcapng"

    async def go() -> None:
        with tracing(TraceSettings(pcap=pcap, secrets=TraceSecrets.EMBED)) as traced:
            net = Network(tmp_path / "net", tracing=traced.only(LinkName.N2, LinkName.EAP))
            async with net, net.ue(await net.device()) as ue:
                assert (await ue.outcome()).ok

    run(go())
    opened = shown(pcap, "tls.handshake.type == 11", "frame.interface_name")
    assert opened.count(["eap"]) == 2


def test_radius_is_radius(tmp_path: Path) -> None:
    radius = Path(__file__).parents[1] / "captures" / "eap-tls" / "fr321-eapol210-tls13.pcapng"
    packets = [item.octets for item in read_capture(radius)]
    with taps(tmp_path / "f.pcapng") as tap:
        for number, octets in enumerate(packets):
            tap.datagram(LinkName.AAA, (UPPER[0], 1812), LOWER, inbound=number % 2 == 0, octets=octets)
    lines = shown(tmp_path / "f.pcapng", "radius", "radius.code", "frame.comment")
    assert [int(line[0]) for line in lines] == [octets[0] for octets in packets]
    assert [line[1] for line in lines if len(line) > 1 and line[1]] == ["redacted"]
    assert radius_attributes(packets[-1])


def test_a_stream_is_put_together(tmp_path: Path) -> None:
    with taps(tmp_path / "f.pcapng") as tap:
        for at, part in ((0, b"GET / HTTP/1.1\r\nHost: "), (22, b"example.com\r\n\r\n")):
            tap.segment(LinkName.ES9, (UPPER[0], 8080), LOWER, inbound=True, at=at, octets=part)
    (line,) = shown(
        tmp_path / "f.pcapng",
        "http.request",
        "http.host",
        "tcp.checksum.status",
        more=("-o", "tcp.check_checksum:TRUE"),
    )
    assert line == ["example.com", "1"]


def test_any_text(tmp_path: Path, capsys: Any) -> None:
    """What people see first: a list of packets, none of which Wireshark calls unknown."""
    with taps(tmp_path / "f.pcapng") as tap:
        tap.datagram(LinkName.N3, (UPPER[0], 2152), LOWER, inbound=True, octets=b"\x32\x01\0\4\0\0\0\0\0\5\0\0")
    (line,) = tshark(tmp_path / "f.pcapng")
    assert re.search("GTP.*Echo request", line[0])
