"""Wireshark with our dissector reads what we read: captures of a run, any message, and garbage.

tshark comes from Debian's package of that name; the tests say so where it is missing.
"""

import random
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from doubles.any_message import any_of
from doubles.captures import LOWER, UPPER, data, ethernet, ip, pcap, sctp_packet, taps, tcp, udp
from doubles.dissector import dissected, flat, same, tshark
from hypothesis import HealthCheck, given, settings

from rprov.causes import Cause
from rprov.cli.main import run as rprov
from rprov.model.identifiers import CpUeId, Eid, RanUeId, UeRadioId
from rprov.model.numbers import Port, Ppid
from rprov.model.secret import Secret
from rprov.model.security import Nea, Nia, SecurityCapability
from rprov.model.tap import LinkName
from rprov.security.envelope import PlainPdu, ProtectedPdu, SecurityHeader
from rprov.trace.capture import read_capture
from rprov.trace.reading import MALFORMED, read_message
from rprov.wire.framing import encode_frame
from rprov.wire.link import InitialContextSetupRequest, LinkMessage, N2Frame, N2Kind
from rprov.wire.link_asn1 import encode_link
from rprov.wire.messages import (
    AttachReject,
    AttachRequest,
    AttachType,
    AuthenticationReject,
    NasMessage,
    SecurityModeCommand,
)
from rprov.wire.nas_asn1 import encode_nas
from rprov.wire.radio import RadioFrame, RadioMessage, SrbKind, encode_srb
from rprov.wire.radio_asn1 import encode_radio

pytestmark = pytest.mark.slow

UE = 0x0A0B0C0D
EID = Eid.parse("89049032123451234512345678901235")
CAPABILITY = SecurityCapability.of((Nea.NEA0, Nea.NEA2), (Nia.NIA2,))
ATTACH = AttachRequest(AttachType.REMOTE_PROVISIONING, EID, 7, CAPABILITY)
CONTROL = frozenset({LinkName.RADIO, LinkName.N2})
OPAQUE = frozenset({"ProtectedNas", "ProtectedSrb", "UserPacket"})


def ports(run: Path) -> tuple[str, ...]:
    """Name the ports of user packets: a run takes free ones, which may by chance be those of something else."""
    kinds = {LinkName.N3: "gtp", LinkName.RADIO_USER: "rprov.user"}
    found = {
        (end[1], kinds[LinkName(seen.link)])
        for seen in read_capture(run)
        if seen.link in kinds
        for end in (seen.sender, seen.receiver)
    }
    return tuple(part for port, name in sorted(found) for part in ("-d", f"udp.port=={port},{name}"))


def differences(path: Path, *arguments: str) -> list[str]:
    """Compare both readings of every message on radio and N2."""
    theirs = dict(dissected(path, *arguments))
    found = []
    for seen in read_capture(path):
        if seen.link not in CONTROL:
            continue
        ours, shown = read_message(seen), theirs[seen.frame]
        if ours.message == MALFORMED:
            found += [] if _refused(shown.malformed, str(ours.fields["error"])) else [f"{seen.frame}: {ours} {shown}"]
        elif ours.message in OPAQUE:
            found += [] if "rprov.ciphered" in shown.experts else [f"{seen.frame}: {ours} {shown}"]
        elif shown.message != ours.message or shown.malformed:
            found.append(f"{seen.frame}: {ours.message} / {shown.message} {shown.malformed}")
        else:
            found += [f"{seen.frame}: {text}" for text in same(flat(ours.fields), shown.fields)]
    return found


VALUES = ("EID", "digits", "PLMN", "an MCC", "an MNC", "DNN", "S-NSSAI", "realm", "routing indicator")
"""What the classes of values refuse, not the grammar: Wireshark shows it."""


def _refused(reasons: list[str], error: str) -> bool:
    return bool(reasons) or any(word in error for word in VALUES)


def write(path: Path, messages: Iterable[tuple[LinkName, bytes]]) -> Path:
    with taps(path, embed=True) as tap:
        for link, octets in messages:
            ppid = Ppid.N2 if link is LinkName.N2 else Ppid.RADIO
            tap.message(link, LOWER, UPPER, inbound=False, stream=1, ppid=ppid, octets=octets)
    return path


def n2(kind: N2Kind, payload: bytes) -> tuple[LinkName, bytes]:
    return LinkName.N2, N2Frame(RanUeId(UE), CpUeId(9), kind, payload).encode()


def on_radio(payload: bytes, ue: int = UE) -> tuple[LinkName, bytes]:
    return LinkName.RADIO, RadioFrame(UeRadioId(ue), payload).encode()


def srb(kind: SrbKind, payload: bytes, mac: bytes = bytes(4)) -> bytes:
    return b"\0\3" + encode_srb(kind, payload) + mac


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("dissector")
    options = ["--pcap", str(place / "run.pcapng"), "--keylog", str(place / "run.keys")]
    assert rprov(["demo", "--devices", "2", "--workdir", str(place / "demo"), *options]) == 0
    return place / "run.pcapng"


def test_a_run_reads_the_same(run: Path) -> None:
    assert differences(run) == []


def test_a_run_has_nothing_malformed_and_all_of_its_protocols(run: Path) -> None:
    keys = f"tls.keylog_file:{run.with_suffix('.keys')}"
    wrong = "_ws.malformed || _ws.expert.severity == error || rprov.unprotected"
    assert tshark(run, *ports(run), "-o", keys, "-Y", wrong) == ""
    kinds = {LinkName.RADIO: "rprov.radio", LinkName.N2: "rprov.n2", LinkName.RADIO_USER: "rprov.user"}
    theirs = dict(dissected(run, *ports(run), "-o", keys))
    for seen in read_capture(run):
        name = {**kinds, LinkName.N3: "gtp", LinkName.EAP: "eap"}[LinkName(seen.link)]
        assert name in theirs[seen.frame].protocols
    inside = {name for reading in theirs.values() for name in reading.protocols}
    assert {"rprov.nas", "dns", "tls", "http"} <= inside


def test_eap_inside_nas_is_put_together_for_each_ue(run: Path) -> None:
    keys = f"tls.keylog_file:{run.with_suffix('.keys')}"
    arguments = (
        "-o",
        keys,
        "-Y",
        "rprov.nas && tls.handshake.type == 11",
        "-T",
        "fields",
        "-e",
        "frame.interface_name",
    )
    links = tshark(run, *arguments).split()
    assert sorted(links) == ["n2"] * 4 + ["radio"] * 4  # two UEs, a certificate of each side


def test_filters_find_by_member(run: Path) -> None:
    eid = tshark(run, "-Y", "rprov.nas.eid", "-T", "fields", "-e", "rprov.nas.eid").split()[0]
    found = tshark(run, "-Y", f'rprov.nas.eid == "{eid}" && rprov.nas.type == 0', "-T", "fields", "-e", "frame.number")
    assert len(found.split()) == 2  # on the radio and on N2
    commands = tshark(run, "-Y", 'rprov.nas.message == "SecurityModeCommand" && rprov.nas.nea == 2')
    assert len(commands.splitlines()) == 8  # two UEs, two attaches, two links


def test_nothing_changes_when_packets_are_read_twice(run: Path) -> None:
    assert differences(run, "-2") == []


def _plain_nas(message: NasMessage) -> list[tuple[LinkName, bytes]]:
    pdu = PlainPdu(encode_nas(message)).encode()
    return [n2(N2Kind.NAS, pdu), on_radio(srb(SrbKind.NAS, pdu))]


def _control(message: LinkMessage) -> list[tuple[LinkName, bytes]]:
    return [n2(N2Kind.CONTROL, encode_link(message))]


def _rrc(message: RadioMessage) -> list[tuple[LinkName, bytes]]:
    octets = encode_radio(message)
    return [on_radio(octets, 0), on_radio(srb(SrbKind.RRC, octets))]


WRITERS: dict[str, Callable[..., list[tuple[LinkName, bytes]]]] = {"nas": _plain_nas, "link": _control, "radio": _rrc}


def any_messages(interface: str, count: int) -> list[tuple[LinkName, bytes]]:
    drawn: list[tuple[LinkName, bytes]] = []

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(any_of(interface))
    def draw(message: object) -> None:
        drawn.extend(WRITERS[interface](message))

    draw()
    return drawn


@pytest.mark.parametrize("interface", WRITERS)
def test_any_message_reads_the_same(interface: str, tmp_path: Path) -> None:
    path = write(tmp_path / "any.pcapng", any_messages(interface, 400))
    assert differences(path, "--disable-protocol", "eap") == []
    assert len({reading.message for _, reading in dissected(path)}) >= 8


def test_garbage_is_told_and_no_more(run: Path, tmp_path: Path) -> None:
    """Bits turned, ends cut off, octets added: no error of Lua, and what both can read is the same."""
    chance = random.Random(20260101)
    messages = [(LinkName(item.link), item.octets) for item in read_capture(run) if item.link in CONTROL]
    messages += [message for interface in WRITERS for message in any_messages(interface, 100)]
    spoilt = [(link, _spoil(octets, chance)) for link, octets in messages for _ in range(3)]
    path = write(tmp_path / "garbage.pcapng", spoilt)
    assert differences(path) == []


def _spoil(octets: bytes, chance: random.Random) -> bytes:
    changed = bytearray(octets)
    match chance.randrange(3):
        case 0:
            for _ in range(chance.randint(1, 4)):
                changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        case 1:
            del changed[chance.randint(1, len(changed)) :]
        case _:
            changed += chance.randbytes(chance.randint(1, 3))
    return bytes(changed)


def one(path: Path, *arguments: str) -> list[list[str]]:
    return [line.split("\t") for line in tshark(path, *arguments).splitlines()]


def test_over_tcp_frames_are_put_together(tmp_path: Path) -> None:
    first = encode_frame(0, Ppid.N2, n2(N2Kind.INITIAL_NAS, PlainPdu(encode_nas(ATTACH)).encode())[1])
    second = encode_frame(1, Ppid.RADIO, on_radio(srb(SrbKind.NAS, PlainPdu(encode_nas(ATTACH)).encode()))[1])
    octets = first + second
    pieces = [octets[:7], octets[7:30], octets[30:]]
    for number, port in enumerate((Port.N2, 41000)):  # the second port says nothing: the first octets must do
        ends = (("192.0.2.1", 40000), ("192.0.2.2", int(port)))
        cuts = pieces if port == Port.N2 else [octets]
        sequence, packets = 1000, []
        for piece in cuts:
            packets.append(ethernet(tcp(*ends, sequence, piece)))
            sequence += len(piece)
        path = pcap(tmp_path / f"{number}.pcap", packets)
        lines = one(path, "-T", "fields", "-e", "rprov.ppid", "-e", "rprov.nas.eid", "-e", "rprov.stream")
        assert lines[-1] == ["0x72700002,0x72700001", f"{EID},{EID}", "0,1"]


def test_a_heartbeat_on_n2_is_known(tmp_path: Path) -> None:
    ends = (("192.0.2.1", 40000), ("192.0.2.2", int(Port.N2)))
    path = pcap(tmp_path / "f.pcap", [ethernet(tcp(*ends, 1000, encode_frame(0, Ppid.HEARTBEAT, b"?")))])
    fields = ("_ws.col.Protocol", "_ws.col.Info", "rprov.unknown")
    ((protocol, info, unknown),) = one(path, "-T", "fields", *(word for name in fields for word in ("-e", name)))
    assert (protocol, unknown) == ("RPROV", "")
    assert info.endswith("Heartbeat ?")


def test_over_sctp_messages_are_known_by_their_ppid(tmp_path: Path) -> None:
    _, octets = n2(N2Kind.NAS, PlainPdu(encode_nas(ATTACH)).encode())
    packet = sctp_packet(LOWER, UPPER, [data(1, octets, int(Ppid.N2))])
    direct = ethernet(ip(LOWER, UPPER, 132, packet))
    inside = ethernet(udp((LOWER[0], 9899), (UPPER[0], 9899), packet))
    for number, frame in enumerate((direct, inside)):
        path = pcap(tmp_path / f"{number}.pcap", [frame])
        assert one(path, "-T", "fields", "-e", "rprov.nas.eid") == [[str(EID)]]


def test_user_packets_have_their_port(tmp_path: Path) -> None:
    datagram = udp(LOWER, (UPPER[0], int(Port.RADIO_USER)), struct.pack(">IB", UE, 3) + b"\0\0\7" + bytes(20))
    path = pcap(tmp_path / "user.pcap", [ethernet(datagram)])
    fields = ("-e", "rprov.user.ue_radio_id", "-e", "rprov.user.bearer", "-e", "rprov.user.sequence_number")
    assert one(path, "-T", "fields", *fields) == [["0x0a0b0c0d", "3", "7"]]


def test_user_packets_of_a_capture_of_ours_need_no_port(tmp_path: Path) -> None:
    """The name of the interface says what they are, and N2 where GTP-U goes."""
    with taps(tmp_path / "f.pcapng") as tap:
        for link, octets in (
            (LinkName.RADIO_USER, struct.pack(">IB", UE, 3) + b"\0\0\7" + bytes(20)),
            (LinkName.N3, b"\x32\x01\0\4\0\0\0\0\0\5\0\0"),
        ):
            tap.datagram(link, LOWER, (UPPER[0], 40001), inbound=True, octets=octets)
    (_, radio), (_, n3) = dissected(tmp_path / "f.pcapng")
    assert radio.headers["rprov.user.sequence_number"] == "7"
    assert "gtp" in n3.protocols


def test_a_tls_record_on_the_port_of_n2_is_tls(tmp_path: Path) -> None:
    record = b"\x15\3\3\0\2\2\x28"
    path = pcap(tmp_path / "tls.pcap", [ethernet(tcp(LOWER, UPPER, 5, record))])
    assert one(path, "-T", "fields", "-e", "tls.alert_message.desc") == [["40"]]


def _command(nea: Nea) -> bytes:
    command = encode_nas(SecurityModeCommand(nea, Nia.NIA2, 0, CAPABILITY, b"\0\0"))
    return ProtectedPdu(SecurityHeader.INTEGRITY_NEW_CONTEXT, b"\1\2\3\4", 0, command).encode()


@pytest.mark.parametrize("nea", [Nea.NEA0, Nea.NEA2])
def test_without_ciphering_what_is_protected_can_be_read(nea: Nea, tmp_path: Path) -> None:
    reject = encode_nas(AuthenticationReject(Cause.ILLEGAL_UE))
    sealed = ProtectedPdu(SecurityHeader.INTEGRITY_CIPHERED, b"\1\2\3\4", 1, reject).encode()
    path = write(tmp_path / "f.pcapng", [n2(N2Kind.NAS, _command(nea)), n2(N2Kind.NAS, sealed)])
    for arguments in ((), ("-2",)):
        (_, command), (_, after) = dissected(path, *arguments)
        assert command.message == "SecurityModeCommand"
        assert ("rprov.null_ciphering" in command.experts) == (nea is Nea.NEA0)
        assert after.message == ("AuthenticationReject" if nea is Nea.NEA0 else None)
        assert ("rprov.ciphered" in after.experts) == (nea is not Nea.NEA0)
        assert after.headers["rprov.nas.sequence_number"] == "1"


def test_what_an_expert_would_point_at(tmp_path: Path) -> None:
    reject = PlainPdu(encode_nas(AttachReject(Cause.CONGESTION, 30))).encode()
    command = PlainPdu(_command(Nea.NEA2)[6:]).encode()
    weak = ProtectedPdu(SecurityHeader.INTEGRITY, b"\1\2\3\4", 1, encode_nas(AttachReject(Cause.NORMAL))).encode()
    key = encode_link(InitialContextSetupRequest(Secret(b"k" * 32), CAPABILITY))
    unknown = PlainPdu(b"\x7f\xff").encode()
    messages = [n2(N2Kind.NAS, pdu) for pdu in (reject, command, weak, unknown)]
    path = write(tmp_path / "f.pcapng", [*messages, n2(N2Kind.CONTROL, key)])
    experts = [reading.experts for _, reading in dissected(path)]
    assert experts == [
        ["rprov.cause"],
        ["rprov.unprotected"],
        ["rprov.not_ciphered"],
        ["rprov.unknown"],
        ["rprov.key"],
    ]
    (text, *_) = tshark(path, "-V", "-Y", "rprov.cause").partition("PDU")[2:]
    assert "CONGESTION (22)" in text
    assert Cause.CONGESTION.text in text


def test_seen_of_nobody(tmp_path: Path) -> None:
    """A frame of a length that cannot be is told, and the rest of the stream is left alone."""
    path = pcap(tmp_path / "f.pcap", [ethernet(tcp(LOWER, UPPER, 5, b"\0\1\0\0" + bytes(30)))])
    assert one(path, "-Y", "rprov.malformed", "-T", "fields", "-e", "rprov.malformed")
