"""Captures in which something was changed: whatever the coverage claims is noticed, and the frame is named."""

import json
import random
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from doubles.network import Network
from doubles.traced_runs import Made, record, refused_run, tries, whole_run
from doubles.uncovered import changed, covered

from rprov.cli.main import run as rprov
from rprov.cli.order import concealment
from rprov.model.identifiers import Eid
from rprov.trace.capture import Capture
from rprov.trace.decode import decode
from rprov.trace.keylog import read_keys
from rprov.trace.verify.check import check

PACKET = 6
"""The type of a pcapng block that has a packet."""


async def concealed(net: Network) -> None:
    """A whole run in which the subscriber conceals its SUPI."""
    await tries(net, await net.device(suci_key=concealment(net.files.cp(1))))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return record(tmp_path_factory.mktemp("whole"), concealed)


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return record(tmp_path_factory.mktemp("refused"), refused_run)


def blocks(made: Made) -> list[bytes]:
    """The file, block by block."""
    octets, found, at = made.pcap.read_bytes(), [], 0
    while at < len(octets):
        (length,) = struct.unpack_from("<I", octets, at + 4)
        found.append(octets[at : at + length])
        at += length
    return found


def packets(found: list[bytes]) -> list[int]:
    """Where the packets are among the blocks."""
    return [place for place, block in enumerate(found) if struct.unpack_from("<I", block)[0] == PACKET]


def noticed(made: Made, found: list[bytes]) -> bool:
    return made.check(b"".join(found)).ledger.first is not None


def bits(made: Made, seed: int, count: int, links: tuple[str, ...]) -> Iterator[tuple[int, bytes]]:
    """Captures with one bit of a covered octet changed, and the frame that it is in."""
    whole, claimed, chosen = made.pcap.read_bytes(), covered(made), random.Random(seed)
    pool = [packet for packet in Capture(made.pcap).packets() if packet.interface.name in links]
    while count:
        packet = chosen.choice(pool)
        at = chosen.randrange(len(packet.octets))
        if (packet.frame, at) in claimed:
            count -= 1
            yield packet.frame, changed(whole, packet.offset + at, chosen.randrange(8))


CONTROL, USER = ("radio", "n2", "eap"), ("radio-user", "n3")


@pytest.mark.parametrize("links", [CONTROL, USER])
def test_covered_bits_of_a_whole_run(whole: Made, links: tuple[str, ...]) -> None:
    _bits_are_noticed(whole, 12, links)


def test_covered_bits_of_a_refused_run(refused: Made) -> None:
    _bits_are_noticed(refused, 60, CONTROL)


@pytest.mark.slow
@pytest.mark.parametrize("links", [CONTROL, USER])
def test_many_covered_bits(whole: Made, links: tuple[str, ...]) -> None:
    _bits_are_noticed(whole, 400, links)


def _bits_are_noticed(made: Made, count: int, links: tuple[str, ...]) -> None:
    named = 0
    for frame, octets in bits(made, 7, count, links):
        first = made.check(octets).ledger.first
        assert first is not None, f"a covered bit in frame {frame}"
        named += first.frame == frame
    assert named >= count * 0.9  # what two records say and no third decides may be told of the other one


def test_a_lost_frame_is_noticed(refused: Made) -> None:
    found = blocks(refused)
    for place in packets(found):
        assert noticed(refused, [*found[:place], *found[place + 1 :]]), place


def test_a_repeated_frame_is_noticed(refused: Made) -> None:
    found, names = blocks(refused), [row.message for row in decode(Capture(refused.pcap).messages())]
    for place, name in zip(packets(found), names, strict=True):
        if name != "CellInfo":  # a cell says that as often as it likes
            assert noticed(refused, [*found[: place + 1], found[place], *found[place + 1 :]]), name


def test_frames_of_one_ue_on_one_link_do_not_change_places(refused: Made) -> None:
    found, rows = blocks(refused), list(decode(Capture(refused.pcap).messages()))
    places = packets(found)
    for one, row in enumerate(rows):
        later = (at for at in range(one + 1, len(rows)) if (rows[at].link, rows[at].ue) == (row.link, row.ue))
        other = next(later, None)
        if other is None:
            continue
        swapped = list(found)
        swapped[places[one]], swapped[places[other]] = found[places[other]], found[places[one]]
        assert noticed(refused, swapped), (row.frame, rows[other].frame)


@pytest.mark.slow
def test_frames_of_a_whole_run_that_are_lost_repeated_or_swapped(whole: Made) -> None:
    found, rows = blocks(whole), list(decode(Capture(whole.pcap).messages()))
    for place, row in zip(packets(found), rows, strict=True):
        if row.link == "n3" and row.message != "Gpdu":
            continue  # an ErrorIndication: N3 is lossy, and nothing counts these
        assert noticed(whole, [*found[:place], *found[place + 1 :]]), row
        if row.message != "CellInfo":
            assert noticed(whole, [*found[: place + 1], found[place], *found[place + 1 :]]), row


def test_a_lost_user_packet_is_forgiven_where_the_network_may_lose(whole: Made, tmp_path: Path) -> None:
    found, rows = blocks(whole), list(decode(Capture(whole.pcap).messages()))
    places = packets(found)
    one = next(place for place, row in zip(places, rows, strict=True) if row.link == "radio-user")
    path = tmp_path / "lossy.pcapng"
    path.write_bytes(b"".join([*found[:one], *found[one + 1 :]]))
    assert check(path, whole.keys).ledger.first is not None
    assert check(path, whole.keys, lossy=True).ledger.first is None


# --- keys -------------------------------------------------------------------------------------------------------------


def test_without_keys_it_says_which_ones(whole: Made, refused: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert rprov(["trace", "verify", str(whole.pcap)]) == 1
    assert "the key log has no CLIENT_HANDSHAKE_TRAFFIC_SECRET" in capsys.readouterr().out
    assert rprov(["trace", "verify", str(whole.pcap), "--keylog", str(refused.keylog)]) == 1
    assert "the key log has no" in capsys.readouterr().out


@pytest.mark.parametrize("line", ["RPROV_KAUSF", "RPROV_SUPI"])
def test_without_our_own_lines_the_subscriber_has_no_keys(whole: Made, tmp_path: Path, line: str) -> None:
    left = [text for text in whole.keylog.read_text().splitlines(keepends=True) if not text.startswith(line)]
    keylog = tmp_path / "left.keys"
    keylog.write_text("".join(left))
    found = check(whole.pcap, read_keys(keylog))
    assert found.ledger.first is not None
    assert "the key log has nothing" in found.ledger.first.what
    assert found.ues[0].nas.root is not None
    assert found.ues[1].nas.root is None


def test_lines_of_another_run_do_not_stand_in_the_way(whole: Made, tmp_path: Path) -> None:
    wrong = re.sub(
        r"^RPROV_KAUSF [0-9a-f]{16} ([0-9a-f]{8}) [0-9a-f]+$",
        lambda line: f"RPROV_KAUSF {'0' * 16} {line[1]} {'00' * 32}",
        whole.keylog.read_text(),
        flags=re.MULTILINE,
    )
    keylog = tmp_path / "other.keys"
    keylog.write_text(wrong)
    assert check(whole.pcap, read_keys(keylog)).ues[1].nas.root is None
    keylog.write_text(wrong + whole.keylog.read_text())
    found = check(whole.pcap, read_keys(keylog))
    assert found.ledger.first is None
    assert found.ues[1].nas.root is not None


def test_another_k_gnb_on_n2_is_named(tmp_path: Path) -> None:
    made = record(tmp_path, whole_run, embed=True)
    messages = list(Capture(made.pcap).messages())
    rows = {row.frame: row for row in decode(messages)}
    packet = next(
        packet for packet in Capture(made.pcap).packets() if rows[packet.frame].message == "InitialContextSetupRequest"
    )
    middle = packet.offset + len(packet.octets) - 20  # within its 32 octets, which stand at the end
    found = made.check(changed(made.pcap.read_bytes(), middle, 3)).ledger.first
    assert found is not None
    assert found.frame == packet.frame
    assert "K_gNB" in found.what


def test_a_device_that_claims_the_eid_of_another_is_named(whole: Made) -> None:
    """The claim of the capture's own device is changed in memory, before it is held against its certificate."""
    checked = whole.check()
    ue = checked.ues[0]
    command = next(item for item in ue.nas.read if type(item.message).__name__ == "SecurityModeCommand")
    ue.claims.identities[:] = [Eid.with_check_digits("890490320000000000000000000001")]
    assert ue.nas.root is not None
    ue.claims.check_command(command.carried, command.message, ue.nas.root, checked.ledger)  # type: ignore[arg-type]
    assert any("the attach request claims" in fault.what for fault in checked.ledger.faults)


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command(whole: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = ["--keylog", str(whole.keylog)]
    assert rprov(["trace", "verify", str(whole.pcap), *keys]) == 0
    assert "nothing is wrong" in capsys.readouterr().out
    frame, octets = next(bits(whole, 3, 1, CONTROL))
    path = tmp_path / "changed.pcapng"
    path.write_bytes(octets)
    assert rprov(["trace", "verify", str(path), *keys]) == 1
    assert f"frame {frame}: " in capsys.readouterr().out
    assert rprov(["trace", "verify", str(path), *keys, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["right"] is False
    assert told["first"]["frame"] == frame
    assert rprov(["trace", "verify", str(whole.pcap), *keys, "--coverage"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(line.keys() == {"frame", "offset", "length", "by"} for line in lines)
    assert {line["frame"] for line in lines} == set(range(1, len(packets(blocks(whole))) + 1))


@pytest.mark.parametrize("octets", [b"", b"nonsense" * 9, bytes(64)])
def test_a_file_that_is_no_capture_is_wrong_use(
    whole: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str], octets: bytes
) -> None:
    path = tmp_path / "none.pcapng"
    path.write_bytes(octets)
    assert rprov(["trace", "verify", str(path)]) == 2
    assert rprov(["trace", "verify", str(whole.pcap), "--keylog", str(path)]) == (2 if octets else 1)
    assert rprov(["trace", "verify", str(whole.pcap), "--anchors", str(path)]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_capture_of_something_else_cannot_be_checked(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(__file__).parents[1] / "captures" / "eap-tls" / "fr321-eapol210-tls13.pcapng"
    assert rprov(["trace", "verify", str(path)]) == 2
    assert "nothing of the radio and of N2" in capsys.readouterr().err


def test_keys_show_what_was_ciphered(whole: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert rprov(["trace", "decode", str(whole.pcap), "--keylog", str(whole.keylog), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    names = {row["message"] for row in rows}
    assert names >= {"SecurityModeComplete", "AttachAccept", "PduSessionAccept", "RrcReconfiguration", "DetachAccept"}
    assert not names & {"ProtectedNas", "ProtectedSrb"}
    assert all(row["protected"] for row in rows if row["message"] == "AttachAccept")
    inner = [row["fields"]["packet"] for row in rows if row["message"] == "UserPacket"]
    assert {"10.45.0.2"} <= {packet["source"] for packet in inner}
